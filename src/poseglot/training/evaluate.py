"""Evaluation of a run: accuracy, per class and calibration, on its test set or on another store or split.

evaluation = poseglot.evaluate("runs/first")
print(evaluation.top1, evaluation.per_class["squat"], evaluation.reliability.ece)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import softmax
from torch import Tensor

from poseglot.data.adapt import EVERYTHING, adapt_store
from poseglot.data.join import set_names
from poseglot.data.store import Indices, PackedStore, open_store
from poseglot.errors import InputError, SettingError
from poseglot.evaluation import calibration, metrics
from poseglot.evaluation.calibration import Reliability, confidences, reliability
from poseglot.evaluation.conformal import set_quality
from poseglot.evaluation.metrics import Accuracy, Correct, correct, top_k
from poseglot.evaluation.scores import TEST, SavedScores, save_scores
from poseglot.models.fuse import fuse
from poseglot.training.overlap import clips_in_training
from poseglot.training.recipe import DataRecipe
from poseglot.training.run import Run, as_run
from poseglot.training.subsets import class_split, subset_name, subsets


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of evaluating a recognizer on N clips.

    Attributes:
        scores: The logits of every clip, with names and labels.
        in_training: (N,) which clips are equal to a training clip of the run, whatever their names; None if that could not be checked.
        temperature: The temperature of the run's calibration; None if it was not calibrated.
        set_thresholds: Coverage -> the threshold of the run's conformal sets; empty if it was not calibrated.
        store: The clips of another data set with the recognizer's joints and classes; None where the store has them itself.
        origins: (N,) the data set of each clip of a joined store; empty for others.
    """

    scores: SavedScores
    in_training: npt.NDArray[np.bool_] | None
    temperature: float | None
    set_thresholds: Mapping[float, float] = field(default_factory=dict)
    store: PackedStore | None = None
    origins: tuple[str, ...] = ()

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
    def top1_without_training_clips(self) -> Accuracy | None:
        """Top-1 without the clips that the training set contains too; None if these are not known."""
        if self.in_training is None:
            return None
        own = self.correct[~self.in_training]
        return Accuracy(int(own.sum()), len(own))

    @property
    def per_class(self) -> Mapping[str, Accuracy]:
        """Class name -> top-1 on its clips."""
        return dict(zip(self.scores.classes, metrics.per_class(self.scores.logits, self.scores.labels), strict=True))

    @property
    def per_set(self) -> Mapping[str, Accuracy]:
        """Data set of a joined store -> top-1 on its clips, among all classes; empty for others."""
        origins = np.array(self.origins)
        own = {name: self.correct[origins == name] for name in dict.fromkeys(self.origins)}
        return {name: Accuracy(int(found.sum()), len(found)) for name, found in own.items()}

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

    def sets(self, threshold: float) -> tuple[Accuracy, float, Accuracy]:
        """Count conformal sets: those that hold the true class, the mean number of classes in one, and the empty ones."""
        probabilities = softmax(self.scores.logits.astype(np.float64) / (self.temperature or 1.0), axis=1)
        return set_quality(probabilities, self.scores.labels, threshold)

    def save(self, path: str | Path) -> None:
        """Write the scores to a .npz file, from which ensembles, comparisons and reports are made."""
        save_scores(self.scores, path)


def evaluate(
    run: Run | str | Path,
    store: str | Path | None = None,
    split: str | None = None,
    *,
    class_map: Mapping[str, str] | None = None,
    logits: Callable[[Tensor], Any] | None = None,
    batch_size: int = 64,
) -> Evaluation:
    """Evaluate a run on the clips that its recipe evaluates, or on the test set of another store or split.

    Args:
        run: A run, or its folder.
        store: Another store. If it is of another data set, its joints are mapped by name, and all of its clips whose classes the
            recognizer knows are evaluated.
        split: Another split of the store.
        class_map: Label of that store -> class of the recognizer, or `-` to leave its clips out; other labels keep their names.
        logits: (N, M, T, V, C) inputs -> (N, classes) logits of another form of the recognizer, such as an exported one; by default the
            run's recognizer itself.

    Raises:
        PoseglotError: The data are missing, or are not of the recognizer's classes and joints.
    """
    run = as_run(run)
    data = run.data(store, split)
    clips = open_store(Path(data.store))
    if class_map is not None or _is_foreign(run, data, clips):
        if store is None:
            raise InputError(
                f"{run.folder} was trained on another data set than {data.store} ({clips.info.name}) has now: it knows "
                f"{len(run.classes)} classes ({run.classes[0]}, ...), the store has {len(clips.classes)} ({clips.classes[0]}, ...)."
            )
        return _evaluate_foreign(run, clips, split, class_map, logits=logits, batch_size=batch_size)
    learned, tested = subsets(data, clips)
    if not len(tested):
        raise InputError(
            f"split {data.split!r} of {clips.info.name} has no test set, for all clips are trained on. Evaluate on another set with "
            "--store, or cross-validate: `poseglot cross-validate --folds 5`."
        )
    scores = _score(run, clips, tested, logits, batch_size=batch_size, split=data.split, subset=subset_name(data))
    in_training = clips_in_training(run, clips, tested, assumed=learned)
    names = set_names(clips)
    origins = tuple(names[number] for number in clips.clips["setup"][tested].tolist()) if names else ()
    return Evaluation(scores, in_training, run.temperature, run.set_thresholds, origins=origins)


def _is_foreign(run: Run, data: DataRecipe, store: PackedStore) -> bool:
    """Tell whether a store has other classes or joints than the data that the run was trained on."""
    try:
        return class_split(data, store).seen != run.classes or store.info.layout != run.spec.layout
    except SettingError:  # the store lacks classes that the recipe leaves out
        return True


def _evaluate_foreign(
    run: Run,
    store: PackedStore,
    split: str | None,
    class_map: Mapping[str, str] | None,
    *,
    logits: Callable[[Tensor], Any] | None,
    batch_size: int,
) -> Evaluation:
    """Evaluate a run on the clips of another data set."""
    spec = run.spec
    adapted = adapt_store(store, classes=spec.classes, layout=run.layout, num_persons=spec.num_persons, class_map=class_map)
    for note in adapted.notes:
        warnings.warn(f"{store.info.name}: {note}.", stacklevel=3)
    tested = adapted.store.subset(split or EVERYTHING, "test")
    scores = _score(run, adapted.store, tested, logits, batch_size=batch_size, split=split or EVERYTHING)
    in_training = clips_in_training(run, store, adapted.indices[tested])
    return Evaluation(scores, in_training, run.temperature, run.set_thresholds, adapted.store)


def _score(
    run: Run,
    store: PackedStore,
    indices: Indices,
    logits: Callable[[Tensor], Any] | None,
    *,
    batch_size: int,
    split: str,
    subset: str = TEST,
) -> SavedScores:
    """Return the logits of some clips of a store."""
    dataset = run.dataset(indices, store=store)
    predict = logits or fuse(run.recognizer.drop_heads())
    with torch.inference_mode():
        batches = [predict(inputs) for inputs in dataset.eval_inputs(batch_size, run.device)]
    return SavedScores(
        names=tuple(dataset.names),
        labels=dataset.labels.numpy(),
        logits=np.concatenate([batch.cpu().numpy() if isinstance(batch, Tensor) else batch for batch in batches]),
        classes=run.classes,
        modality=run.spec.modality,
        dataset=store.info.name,
        split=split,
        subset=subset,
    )
