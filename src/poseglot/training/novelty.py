"""How well a run tells actions that it was not trained on from its own: the AUROC of each novelty score.

The run was trained with `data.unseen_classes`. Its test clips of these classes are the novel ones, those of its own classes the known
ones. Nothing is fitted on either; the distance learns the classes from training clips.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from poseglot.data.dataset import ClipDataset
from poseglot.errors import InputError
from poseglot.evaluation.novelty import ClassDistance, auroc, energy, improbability
from poseglot.models.fuse import FusedRecognizer, fuse
from poseglot.training.run import Run, as_run
from poseglot.training.subsets import class_split, eval_indices, subsets


@dataclass(frozen=True)
class NoveltyResult:
    """The detection of actions that were not trained on.

    Attributes:
        known, novel: The numbers of test clips.
        aurocs: Score (`probability`, `energy`, `distance`) -> the probability that a novel clip scores higher than a known one.
    """

    known: int
    novel: int
    aurocs: Mapping[str, float]


def detect_novelty(run: Run | str | Path, *, batch_size: int = 64) -> NoveltyResult:
    """Measure how well a run tells the test clips of left-out classes from those of its own.

    Raises:
        InputError: The run was trained on all classes, or there are no test clips of the others.
    """
    run = as_run(run)
    data, store = run.data(), run.store
    unseen = class_split(data, store).unseen
    novel = eval_indices(data, store, unseen)
    if not len(novel):
        raise InputError(
            f"{run.folder} has no test clips of classes that it was not trained on. Train with data.unseen_classes."
        )
    trained_on, known = subsets(data, store)
    encoder, training = fuse(run.recognizer.drop_heads()), run.dataset(trained_on)
    features, _ = _outputs(run, encoder, training, batch_size)
    distance = ClassDistance.fit(features, training.labels.numpy())
    (known_features, known_logits), (novel_features, novel_logits) = (
        _outputs(run, encoder, run.dataset(indices), batch_size) for indices in (known, novel)
    )
    scores = {
        "probability": (improbability(known_logits), improbability(novel_logits)),
        "energy": (energy(known_logits), energy(novel_logits)),
        "distance": (distance(known_features), distance(novel_features)),
    }
    return NoveltyResult(len(known), len(novel), {name: auroc(*pair) for name, pair in scores.items()})


def _outputs(
    run: Run, encoder: FusedRecognizer, dataset: ClipDataset, batch_size: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the whole body's features (N, F) and the logits (N, classes) of clips."""
    with torch.inference_mode():
        batches = [encoder.joint_features(inputs).mean(dim=1) for inputs in dataset.eval_inputs(batch_size, run.device)]
        features = torch.cat(batches)
        return features.cpu().numpy(), encoder.classify(features).cpu().numpy()
