"""Few-shot recognition with a run: actions that it was not trained on, from a few example clips of each.

    predictor = poseglot.load("runs/first", engine="torch")
    examples = torch.cat([inputs for _, inputs in predictor.inputs(["one.npy", "two.npy"])])
    classifier = FewShotRecognizer("runs/first").classifier({"push-up": examples})
    predictor.predict(clips, classifier=classifier)

Nothing is trained. Each class has a prototype (`poseglot.evaluation.few_shot`): those of the trained classes come from some training
clips, those of added ones from the examples. A run with text compares its aligned features, level by level, and a text counts as a clip;
a run without text compares the features of the whole body.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from poseglot.data.dataset import ClipDataset
from poseglot.descriptions import load_descriptions
from poseglot.errors import InputError, SettingError
from poseglot.evaluation.few_shot import Features, prototype_scores, prototypes, unit
from poseglot.evaluation.metrics import Accuracy, Labels, Scores, top_k
from poseglot.evaluation.zero_shot import harmonic_mean
from poseglot.models.fuse import fuse
from poseglot.skeletons.layout import GLOBAL
from poseglot.training.run import Run, as_run
from poseglot.training.subsets import draw_per_class, eval_indices, train_indices
from poseglot.training.zero_shot import PER_CLASS, ZeroShotRecognizer

LOGIT_SCALE = 10.0  # of cosines, where no training has fixed one


class FewShotRecognizer:
    """A run whose classes have prototypes, to which others can be added.

    Args:
        run: A run, or its folder. Its store is needed.
        per_class: The number of training clips for the prototype of a trained class.
        seed: Draws these clips.

    Attributes:
        classes: The trained classes.
        levels: The levels that are compared.

    Raises:
        FileError: The run, its store, or the checkpoint of a trained text encoder cannot be read.
    """

    def __init__(self, run: Run | str | Path, *, per_class: int = PER_CLASS, seed: int = 0) -> None:
        self.run = run = as_run(run)
        self.classes = run.classes
        self._text = ZeroShotRecognizer(run) if run.recipe.with_text else None
        self._fused = None if self._text is not None else fuse(run.recognizer.drop_heads())
        self.levels = (GLOBAL,) if self._text is None else self._text.levels
        self._logit_scale = LOGIT_SCALE if self._text is None else self._text.logit_scale
        drawn = run.train.indices[draw_per_class(run.train.labels.numpy(), per_class, seed)]
        dataset = run.dataset(drawn)
        features = self._of_dataset(dataset)
        self.centre: Features = features.mean(axis=1)
        self._features, self._labels = unit(features, self.centre), dataset.labels.numpy()
        # A text is encoded once: those of the trained classes, (levels, classes, F), and of an added class, (levels, 1, F).
        self._own_texts = None if self._text is None else self._text.class_features(self.classes)
        self._added_texts: dict[str, Features] = {}

    def features(self, inputs: Tensor) -> Features:
        """Return centred unit features of clips: (N, M, T, V, C) -> (levels, N, F)."""
        return unit(self._raw(inputs), self.centre)

    def classifier(self, examples: Mapping[str, Tensor]) -> FewShotClassifier:
        """Return a classifier of the trained classes and of those that the examples show.

        Args:
            examples: Class -> the inputs (N, M, T, V, C) of its examples. Examples of a trained class join its training clips. A class
                without examples (N = 0) is known by its text alone.

        Raises:
            SettingError: A class has neither examples nor text.
        """
        return self._classifier({label: self.features(inputs) for label, inputs in examples.items() if len(inputs)}, examples)

    def _classifier(self, features: Mapping[str, Features], labels: Sequence[str] | Mapping[str, object]) -> FewShotClassifier:
        classes = (*self.classes, *(label for label in labels if label not in self.classes))
        texts = None
        if self._own_texts is not None:
            raw = np.concatenate([self._own_texts, *map(self._text_of, classes[len(self.classes) :])], axis=1)
            texts = unit(raw, raw.mean(axis=1))
        elif without := [label for label in classes[len(self.classes) :] if label not in features]:
            raise SettingError(f"{', '.join(without)}: a run without text needs an example clip of every added action.")
        all_features = np.concatenate([self._features, *features.values()], axis=1)
        numbers = [np.full(own.shape[1], classes.index(label)) for label, own in features.items()]
        all_labels: Labels = np.concatenate([self._labels, *numbers])
        return FewShotClassifier(
            self, classes, prototypes(all_features, all_labels, len(classes), texts=texts), self._logit_scale
        )

    def _text_of(self, label: str) -> Features:
        """Return the text features of an added class, (levels, 1, F): of its description if the run's set has one, else of its name."""
        assert self._text is not None
        if label not in self._added_texts:
            described = load_descriptions(self.run.recipe.text.descriptions).classes
            encode = self._text.class_features if label in described else self._text.label_features
            self._added_texts[label] = encode([label])
        return self._added_texts[label]

    def _raw(self, inputs: Tensor) -> Features:
        if self._text is not None:
            return self._text.features(inputs)
        assert self._fused is not None
        with torch.inference_mode():
            features: Features = self._fused.joint_features(inputs.to(self.run.device)).mean(dim=1)[None].double().cpu().numpy()
        return features

    def _of_dataset(self, dataset: ClipDataset) -> Features:
        return np.concatenate([self._raw(inputs) for inputs in dataset.eval_inputs(64, self.run.device)], axis=1)


@dataclass(frozen=True, eq=False)
class FewShotClassifier:
    """Clips -> logits of the classes with a prototype.

    Attributes:
        recognizer: The features come from it.
        classes: The trained classes, then the added ones.
        prototypes: (levels, classes, F).
        logit_scale: The factor of the cosines.
    """

    recognizer: FewShotRecognizer
    classes: tuple[str, ...]
    prototypes: Features
    logit_scale: float

    def logits(self, inputs: Tensor) -> Scores:
        """Return (N, classes) scaled cosines of inputs (N, M, T, V, C); their softmax gives probabilities."""
        logits: Scores = self.logit_scale * prototype_scores(self.recognizer.features(inputs), self.prototypes)
        return logits


@dataclass(frozen=True)
class FewShotResult:
    """The accuracies with some examples of each unseen class, for one draw of them.

    Attributes:
        shots: The number of examples of a class.
        among_unseen: Test clips of unseen classes, among these.
        seen, unseen: Test clips of seen and of unseen classes, among all.
    """

    shots: int
    among_unseen: Accuracy
    seen: Accuracy
    unseen: Accuracy

    @property
    def harmonic_mean(self) -> float:
        """The harmonic mean of the accuracies on seen and unseen classes, in percent."""
        return harmonic_mean(self.seen.percent, self.unseen.percent)


def evaluate_few_shot(
    run: Run | str | Path, *, shots: Sequence[int] = (1, 5, 10), draws: int = 5, seed: int = 0
) -> list[FewShotResult]:
    """Evaluate a run on its test clips with examples of its unseen classes, drawn from the training clips that are not test clips, too.

    Args:
        run: A run that was trained with `data.unseen_classes`, or its folder.
        shots: Numbers of examples; 0 is by text alone.
        draws: The number of draws of examples for each.
        seed: Draws them.

    Returns:
        A result for each number of examples and draw.

    Raises:
        InputError: The run has no unseen classes, or fewer training clips of one than examples.
    """
    run = as_run(run)
    unseen, store = run.class_split.unseen, run.store
    if not unseen:
        raise InputError(f"{run.folder} was trained on all classes. Train with data.unseen_classes.")
    recognizer = FewShotRecognizer(run, seed=seed)
    classes = (*run.classes, *unseen)
    tested = run.dataset(eval_indices(run.data(), store, classes), classes=classes)
    features, labels = unit(recognizer._of_dataset(tested), recognizer.centre), tested.labels.numpy()
    offered = train_indices(run.data(), store, unseen)
    offered = offered[~np.isin(store.content_hashes(offered), store.content_hashes(tested.indices))]
    pool = run.dataset(offered, classes=unseen)
    pool_features, pool_labels = unit(recognizer._of_dataset(pool), recognizer.centre), pool.labels.numpy()
    if (fewest := int(np.bincount(pool_labels, minlength=len(unseen)).min())) < max(shots):
        raise InputError(
            f"a class has {fewest} training clips that are not also test clips, fewer than the {max(shots)} examples that are wanted."
        )
    new, among = labels >= len(run.classes), slice(len(run.classes), None)
    results = []
    for count in shots:
        for draw in range(draws if count else 1):
            drawn = draw_per_class(pool_labels, count, (seed, draw))
            examples = {label: pool_features[:, drawn[pool_labels[drawn] == number]] for number, label in enumerate(unseen)}
            used = {label: own for label, own in examples.items() if own.shape[1]}
            scores = prototype_scores(features, recognizer._classifier(used, unseen).prototypes)
            results.append(
                FewShotResult(
                    count,
                    top_k(scores[new][:, among], labels[new] - len(run.classes), 1),
                    top_k(scores[~new], labels[~new], 1),
                    top_k(scores[new], labels[new], 1),
                )
            )
    return results
