"""Evaluation of a run: accuracy, per class and calibration, on its test set or on another store or split.

evaluation = poseglot.evaluate("runs/first")
print(evaluation.top1, evaluation.per_class["squat"], evaluation.reliability.ece)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from poseglot.data.store import open_store
from poseglot.errors import InputError
from poseglot.evaluation import calibration, metrics
from poseglot.evaluation.calibration import Reliability, confidences, reliability
from poseglot.evaluation.metrics import Accuracy, Correct, correct, top_k
from poseglot.evaluation.scores import SavedScores, save_scores
from poseglot.models.fuse import fuse
from poseglot.training.run import Run, as_run
from poseglot.training.subsets import class_split, names_hash, subset_name, subsets


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of evaluating a recognizer on N clips.

    Attributes:
        scores: The logits of every clip, with names and labels.
        in_training: (N,) which clips are equal to a training clip, whatever their names.
        temperature: The temperature of the run's calibration; None if it was not calibrated.
    """

    scores: SavedScores
    in_training: npt.NDArray[np.bool_]
    temperature: float | None

    @cached_property
    def correct(self) -> Correct:
        """Which clips are correct, (N,)."""
        return correct(self.scores.logits, self.scores.labels)

    @property
    def top1(self) -> Accuracy:
        """The clips whose class has the highest score."""
        return self.top_k(1)

    @property
    def top5(self) -> Accuracy:
        """The clips whose class is among the five highest scores."""
        return self.top_k(5)

    def top_k(self, k: int) -> Accuracy:
        """Count the clips whose class is among the k highest scores."""
        return top_k(self.scores.logits, self.scores.labels, k)

    @property
    def top1_without_training_clips(self) -> Accuracy:
        """Top-1 without the clips that the training set contains too."""
        own = self.correct[~self.in_training]
        return Accuracy(int(own.sum()), len(own))

    @property
    def per_class(self) -> Mapping[str, Accuracy]:
        """Class name -> top-1 on its clips."""
        return dict(zip(self.scores.classes, metrics.per_class(self.scores.logits, self.scores.labels), strict=True))

    @cached_property
    def reliability(self) -> Reliability:
        """The quality of the probabilities without a temperature."""
        return reliability(self.scores.logits, self.scores.labels)

    @cached_property
    def calibrated(self) -> Reliability | None:
        """The quality of the probabilities at the run's temperature; None if it was not calibrated."""
        if self.temperature is None:
            return None
        return reliability(self.scores.logits, self.scores.labels, self.temperature)

    def coverage(self, threshold: float) -> tuple[Accuracy, Accuracy]:
        """Count clips when those with a top probability below a threshold are answered "unknown".

        Returns:
            The answered clips out of all, and the correct ones out of the answered.
        """
        return calibration.coverage(confidences(self.scores.logits, self.temperature or 1.0), self.correct, threshold)

    def save(self, path: str | Path) -> None:
        """Write the scores to a .npz file, from which ensembles, comparisons and reports are made."""
        save_scores(self.scores, path)


def evaluate(
    run: Run | str | Path,
    store: str | Path | None = None,
    split: str | None = None,
    *,
    logits: Callable[[Tensor], Any] | None = None,
    batch_size: int = 64,
) -> Evaluation:
    """Evaluate a run on the clips that its recipe evaluates, or on the test set of another store or split.

    Args:
        run: A run, or its folder.
        store: Another store of the same classes and joints.
        split: Another split of the store.
        logits: (N, M, T, V, C) inputs -> (N, classes) logits of another form of the recognizer, such as an exported one; by default the
            run's recognizer itself.

    Raises:
        PoseglotError: The data are missing, or are not of the recognizer's classes and joints.
    """
    run = as_run(run)
    data = run.data(store, split)
    clips, spec = open_store(Path(data.store)), run.spec
    if class_split(data, clips).seen != spec.classes:
        raise InputError(
            f"{run.folder} was trained on another data set than {data.store} ({clips.info.name}): it knows {len(spec.classes)} classes "
            f"({spec.classes[0]}, ...), the store has {len(clips.info.classes)} ({clips.info.classes[0]}, ...)."
        )
    trained_on, tested = subsets(data, clips)
    if store is None and split is None:
        warn_of_other_clips(run, names_hash(clips, trained_on))
    dataset = run.dataset(tested, store=clips)
    predict = logits or fuse(run.recognizer.drop_heads())
    with torch.inference_mode():
        batches = [predict(inputs) for inputs in dataset.eval_inputs(batch_size, run.device)]
    scores = SavedScores(
        names=tuple(dataset.names),
        labels=dataset.labels.numpy(),
        logits=np.concatenate([batch.cpu().numpy() if isinstance(batch, Tensor) else batch for batch in batches]),
        classes=spec.classes,
        modality=spec.modality,
        dataset=clips.info.name,
        split=data.split,
        subset=subset_name(data),
    )
    in_training = np.isin(clips.content_hashes(tested), clips.content_hashes(trained_on))
    return Evaluation(scores, in_training, run.temperature)


def warn_of_other_clips(run: Run, now: str) -> None:
    """Warn if the training set has changed since the run was trained.

    Args:
        now: The hash of the names of the training clips as they are now.
    """
    if run.files.trained_on() not in (None, now):
        warnings.warn(
            f"{run.folder} was trained on other clips than the training set of {run.data().store} has now, so clips may be evaluated that "
            "it was trained on.",
            stacklevel=3,
        )
