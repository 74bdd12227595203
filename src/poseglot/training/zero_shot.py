"""Zero-shot recognition with a run: clips are compared with the texts of any classes, seen in training or not.

The alignment heads are in the recognizer's file. A text encoder that was trained is in the checkpoint. The store is needed only to
evaluate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
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
from poseglot.evaluation.zero_shot import ZeroShotResult, best_bias, cosines, mean_over_levels
from poseglot.models.text.encode import encode_texts
from poseglot.training.overlap import warn_of_other_clips
from poseglot.training.recipe import Recipe
from poseglot.training.run import Run, as_run
from poseglot.training.subsets import eval_indices, names_hash, subset_name

Features = npt.NDArray[np.float64]
# What classes are described by.
TEXTS = ("descriptions", "labels")


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

    def action_features(self, actions: Sequence[str]) -> Features:
        """Return the features of actions (levels, actions, width): by their descriptions, or else by their names alone."""
        described = load_descriptions(self.run.recipe.text.descriptions).classes
        each = [self.class_features([action]) if action in described else self.label_features([action]) for action in actions]
        return np.concatenate(each, axis=1)

    def classifier(
        self, *, descriptions: Sequence[Description] = (), labels: Sequence[str] = (), bias: float = 0.0
    ) -> ZeroShotClassifier:
        """Return a classifier of the trained classes and of added ones.

        Args:
            descriptions: Added classes that are described.
            labels: Added classes of which only the name is known.
            bias: Is added to the cosines of added classes, which the recognizer was not trained on.

        Raises:
            SettingError: A class would be there twice.
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
        return ZeroShotClassifier(self, classes, np.concatenate(features, axis=1), bias)

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
        biased: The same with a bias; empty without one.
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
    run: Run | str | Path, *, bias: float = 0.0, bias_from: Run | str | Path | None = None
) -> ZeroShotEvaluation:
    """Evaluate a run on the clips of its unseen classes, and on all clips among all classes.

    Args:
        run: A run that was trained with `data.unseen_classes`, or its folder.
        bias: Is subtracted from the cosines of seen classes where all classes are compared.
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
            bias = best_bias(other.scores(texts), other.labels, classes=other.classes, unseen=other.unseen)
        if bias or other is not None:
            biased[texts] = found(bias=bias)
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
        bias_source="given" if other is None else f"found on {other.run.folder}",
        recipe=clips.run.recipe,
    )


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
        batches = [self.recognizer.features(inputs) for inputs in self.dataset.eval_inputs(64, run.device)]
        self._features = np.concatenate(batches, axis=1)

    def scores(self, texts: str) -> Scores:
        """Return the (levels, clips, classes) cosines with `descriptions`, or with `labels` alone."""
        encode = self.recognizer.class_features if texts == "descriptions" else self.recognizer.label_features
        return cosines(self._features, encode(self.classes))


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
