"""Zero-shot recognition with a run: clips are compared with the texts of any classes, seen in training or not.

The alignment heads are in the recognizer's file. A text encoder that was trained is in the checkpoint. The store is needed only to
evaluate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from poseglot.data.dataset import ClipDataset
from poseglot.descriptions import Description, PromptTable, label_prompts, load_descriptions
from poseglot.errors import InputError, SettingError
from poseglot.evaluation import zero_shot
from poseglot.evaluation.metrics import Scores
from poseglot.evaluation.zero_shot import KEPT, ZeroShotResult, best_bias, cosines, keeping_bias, mean_over_levels
from poseglot.models.text.encode import encode_texts
from poseglot.training.overlap import warn_of_other_clips
from poseglot.training.recipe import Recipe
from poseglot.training.run import Run, as_run
from poseglot.training.subsets import draw_per_class, eval_indices, names_hash, subset_name

Features = npt.NDArray[np.float64]
# What classes are described by.
TEXTS = ("descriptions", "labels")
PER_CLASS = 32  # training clips of a class that represent it: more hardly move a mean or a quantile


class ZeroShotRecognizer:
    """Features of clips and of classes that can be compared (see `poseglot.evaluation.zero_shot`).

    Args:
        run: A run that was trained with text, or its folder.

    Attributes:
        classes: The classes that were seen in training.
        levels: The alignment levels, in the order of all features.
        logit_scale: The factor of the cosines in training; the mean over levels if each has learned its own.
        recognizer, text_encoder: As the run left them, on the run's device.

    Raises:
        SettingError: The run was trained without text.
        FileError: The run has no recipe, or its checkpoint is needed and gone.
    """

    def __init__(self, run: Run | str | Path) -> None:
        self.run = run = as_run(run)
        self.text_encoder, self.logit_scale = run.text_encoder, run.logit_scale
        self.recognizer, self.classes = run.recognizer, run.classes
        self.levels = tuple(run.spec.levels or ())

    def features(self, inputs: Tensor) -> Features:
        """Return the alignment features of clips: (N, M, T, V, C) -> (levels, N, width)."""
        with torch.inference_mode():
            return self.recognizer.alignment_features(inputs.to(self.run.device)).double().cpu().numpy()

    def training_features(self, per_class: int = PER_CLASS, *, seed: int = 0) -> Features:
        """Return the features of some training clips of each class, (levels, clips, width).

        Args:
            per_class: The largest number of clips of a class.
            seed: Draws them.

        Raises:
            FileError: The run's store cannot be read.
        """
        drawn = self.run.train.indices[draw_per_class(self.run.train.labels.numpy(), per_class, seed)]
        return self.dataset_features(self.run.dataset(drawn))

    def dataset_features(self, dataset: ClipDataset) -> Features:
        """Return the features of all clips of a data set, (levels, clips, width)."""
        return np.concatenate([self.features(inputs) for inputs in dataset.eval_inputs(64, self.run.device)], axis=1)

    def class_features(self, labels: Sequence[str]) -> Features:
        """Return the features of classes by the run's descriptions and prompt; see `description_features`.

        Raises:
            InputError: A class is not described.
        """
        return self.description_features(load_descriptions(self.run.recipe.text.descriptions).of(labels))

    def description_features(self, descriptions: Sequence[Description]) -> Features:
        """Return (levels, classes, width), the mean over a class's texts of their normalised features."""
        return self._encode(self.run.prompts_for(descriptions))

    def label_features(self, labels: Sequence[str]) -> Features:
        """Return the features of class names alone, the same at every level: (levels, classes, width)."""
        return self._encode(label_prompts(labels, self.levels, forms=self.run.recipe.text.prompt == "label"))

    @cached_property
    def described(self) -> tuple[str, ...]:
        """The actions that the run's descriptions have."""
        return tuple(load_descriptions(self.run.recipe.text.descriptions).classes)

    def action_features(self, actions: Sequence[str]) -> Features:
        """Return the features of actions (levels, actions, width): by their descriptions, or else by their names alone."""
        each = [
            self.class_features([action]) if action in self.described else self.label_features([action]) for action in actions
        ]
        return np.concatenate(each, axis=1)

    def classifier(
        self, *, descriptions: Sequence[Description] = (), labels: Sequence[str] = (), bias: float | None = 0.0
    ) -> ZeroShotClassifier:
        """Return a classifier of the trained classes and of added ones.

        Args:
            descriptions: Added classes that are described.
            labels: Added classes of which only the name is known.
            bias: Is added to the cosines of added classes, which the recognizer was not trained on; None finds it on training clips
                (`poseglot.evaluation.zero_shot.keeping_bias`).

        Raises:
            SettingError: A class would be there twice.
            FileError: The bias is to be found, and the run's store cannot be read.
        """
        classes = (*self.classes, *(each.label for each in descriptions), *labels)
        if twice := sorted({label for label in classes if classes.count(label) > 1}):
            raise SettingError(
                f"the classes {', '.join(map(repr, twice))} would be there twice; the run knows {', '.join(self.classes)}. Add other "
                "classes, each once."
            )
        features = [self.class_features(self.classes)]
        features += [self.description_features(descriptions)] if descriptions else []
        features += [self.label_features(labels)] if labels else []
        texts = np.concatenate(features, axis=1)
        added = range(len(self.classes), len(classes))
        if bias is None:
            bias = keeping_bias(cosines(self.training_features(), texts), added) if added else 0.0
        return ZeroShotClassifier(self, classes, texts, bias)

    def _encode(self, prompts: PromptTable) -> Features:
        assert prompts.levels == self.levels, "prompts and heads are of one recipe"
        texts = F.normalize(encode_texts(self.text_encoder, prompts.texts).double(), dim=1)
        mean: Features = prompts.class_means(texts).numpy()
        return mean


@dataclass(frozen=True, eq=False)
class ZeroShotClassifier:
    """Clips -> logits of the trained classes and of added ones, all by the cosines with their texts, which are on one scale.

    Attributes:
        recognizer: The features come from it.
        classes: The trained classes, then the added ones.
        features: (levels, classes, width) of their texts.
        bias: Is added to the cosines of added classes.
    """

    recognizer: ZeroShotRecognizer
    classes: tuple[str, ...]
    features: Features
    bias: float = 0.0

    def logits(self, inputs: Tensor) -> Scores:
        """Return (N, classes) scaled cosines of inputs (N, M, T, V, C); their softmax gives probabilities."""
        scores = mean_over_levels(cosines(self.recognizer.features(inputs), self.features))
        scores[:, len(self.recognizer.classes) :] += self.bias
        logits: Scores = self.recognizer.logit_scale * scores
        return logits


@dataclass(frozen=True)
class ZeroShotEvaluation:
    """The zero-shot results of a run.

    Attributes:
        run: The run's folder.
        dataset, split, subset, modality: What was evaluated.
        seen, unseen: The classes.
        results: `descriptions` and `labels` -> the result with these texts.
        biased: The same with a bias; empty if it is 0.
        bias_source: Where the bias comes from.
        recipe: The run's recipe.
    """

    run: str
    dataset: str
    split: str
    subset: str
    modality: str
    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    results: Mapping[str, ZeroShotResult]
    biased: Mapping[str, ZeroShotResult]
    bias_source: str
    recipe: Recipe

    def table(self) -> dict[str, Any]:
        """Return everything but the recipe as plain dicts and lists for JSON."""
        table = asdict(self)
        del table["recipe"]
        return table


def evaluate_zero_shot(
    run: Run | str | Path, *, bias: float | None = None, bias_from: Run | str | Path | None = None
) -> ZeroShotEvaluation:
    """Evaluate a run on the clips of its unseen classes, and on all clips among all classes.

    Args:
        run: A run that was trained with `data.unseen_classes`, or its folder.
        bias: Is subtracted from the cosines of seen classes where all classes are compared; by default it is found on training clips of
            the seen classes (`poseglot.evaluation.zero_shot.keeping_bias`).
        bias_from: A run to find the bias on instead. It must know nothing of the unseen classes (`data.excluded_classes`) and be evaluated
            on other clips.

    Raises:
        SettingError: The run was trained without text, or without two unseen classes.
        InputError: Clips of unseen classes were trained on, or the bias would be chosen on clips that are reported.
    """
    clips = _EvaluatedClips(as_run(run))
    other = None if bias_from is None else _EvaluatedClips(as_run(bias_from))
    if other is not None:
        _refuse_overlap(clips, other)
    results, biased = {}, {}
    for texts in TEXTS:
        found = partial(
            zero_shot.evaluate,
            clips.scores(texts),
            clips.labels,
            classes=clips.classes,
            unseen=clips.unseen,
            levels=clips.recognizer.levels,
        )
        results[texts] = found()
        if other is not None:
            subtracted = best_bias(other.scores(texts), other.labels, classes=other.classes, unseen=other.unseen)
        else:
            subtracted = clips.keeping_bias(texts) if bias is None else bias
        if bias != 0 or other is not None:
            biased[texts] = found(bias=subtracted)
    data = clips.run.data()
    return ZeroShotEvaluation(
        run=str(clips.run.folder),
        dataset=clips.run.store.info.name,
        split=data.split,
        subset=subset_name(data),
        modality=data.modality,
        seen=clips.seen,
        unseen=clips.unseen,
        results=results,
        biased=biased,
        bias_source=_source(bias, other),
        recipe=clips.run.recipe,
    )


def _source(bias: float | None, other: _EvaluatedClips | None) -> str:
    """Return where a bias comes from, in words."""
    if other is not None:
        return f"found on {other.run.folder}"
    return "given" if bias is not None else f"leaves {KEPT:.0%} of training clips with their classes"


class _EvaluatedClips:
    """The clips that a run's recipe evaluates, those of unseen classes included, and their features."""

    def __init__(self, run: Run) -> None:
        self.run, self.recognizer = run, ZeroShotRecognizer(run)
        self.seen, self.unseen = run.class_split.seen, run.class_split.unseen
        if run.classes != self.seen:
            raise InputError(
                f"{run.folder} was trained on {', '.join(run.classes)}, but its recipe has {', '.join(self.seen)}; it is of another run."
            )
        if len(self.unseen) < 2:
            raise SettingError(
                f"{run.folder} has {len(self.unseen)} unseen classes; zero-shot recognition needs at least two. Train with "
                "data.unseen_classes, for example --data.unseen_classes 55-5 on NTU RGB+D 60, or "
                "--data.unseen_classes '[drop trash, carry]'."
            )
        self.classes = (*self.seen, *self.unseen)
        self.dataset: ClipDataset = run.dataset(eval_indices(run.data(), run.store, self.classes), classes=self.classes)
        self.labels = self.dataset.labels.numpy()
        _refuse_leaks(self)
        warn_of_other_clips(run, names_hash(run.store, run.train.indices))
        self._features = self.recognizer.dataset_features(self.dataset)
        self._texts: dict[str, Features] = {}

    def scores(self, texts: str) -> Scores:
        """Return the (levels, clips, classes) cosines with `descriptions`, or with `labels` alone."""
        return cosines(self._features, self._text_features(texts))

    def keeping_bias(self, texts: str) -> float:
        """Return the bias that leaves training clips with the seen classes."""
        trained = cosines(self._trained, self._text_features(texts))
        return keeping_bias(trained, range(len(self.seen), len(self.classes)))

    @cached_property
    def _trained(self) -> Features:
        return self.recognizer.training_features()

    def _text_features(self, texts: str) -> Features:
        if texts not in self._texts:
            encode = self.recognizer.class_features if texts == "descriptions" else self.recognizer.label_features
            self._texts[texts] = encode(self.classes)
        return self._texts[texts]


def _refuse_leaks(clips: _EvaluatedClips) -> None:
    """Check that no clip of an unseen class was trained on under another name."""
    store = clips.run.store
    new = clips.dataset.indices[clips.labels >= len(clips.seen)]
    if not len(new):
        raise InputError(f"{clips.run.folder} evaluates no clip of the unseen classes {', '.join(clips.unseen)}.")
    twins = np.isin(store.content_hashes(new), store.content_hashes(clips.run.train.indices))
    if twins.any():
        raise InputError(
            f"{twins.sum()} clips of unseen classes ({store.clips['name'][new][twins][0]}, ...) are also training clips of "
            f"{clips.run.folder}, under other names and classes, so the result would not be zero-shot."
        )


def _refuse_overlap(clips: _EvaluatedClips, other: _EvaluatedClips) -> None:
    """Check that the bias is found without the unseen classes and without the clips that are reported."""
    if met := set(other.classes) & set(clips.unseen):
        raise InputError(
            f"{other.run.folder} knows {', '.join(sorted(met))}, unseen by {clips.run.folder}, so the bias would be chosen on the answer. "
            "Train it with data.excluded_classes as this one's data.unseen_classes, and other classes unseen."
        )
    if np.isin(other.dataset.names, clips.dataset.names).any():
        raise InputError(
            f"{other.run.folder} is evaluated on clips that {clips.run.folder} is reported on. Choose on the training set (data.folds, or "
            "another split of it)."
        )
