"""A recipe: one YAML file that is one experiment. These dataclasses are its schema.

Values are checked by type when a recipe is read (unknown keys and wrong types are refused by name), and by meaning here.
What the authors' code does differently from the paper is a switch named `official...` or described as such.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from poseglot.descriptions import check_prompt
from poseglot.errors import PoseglotError

_PATHS = ("data.store", "text.descriptions", "text.vocabulary", "text.encoder")


@dataclass(frozen=True)
class DataRecipe:
    """What is learned from.

    Attributes:
        store: folder of a packed store, made by `poseglot prepare`.
        split: one of the store's splits.
        stream: joint, bone, joint_motion or bone_motion.
        protocol: how the clips are placed and their frames chosen (nw-ucla, ntu, metric, image, live); empty: as the store says.
        folds: for cross-validation on the training set alone: divide it into so many folds, never dividing a person; the test set is not
            touched. 0 looks at the test set.
        fold: which of the folds, from 1, is held out and looked at; 0 without folds.
        unseen_classes: classes that are neither learned nor looked at in training, to be recognised by their words afterwards (`poseglot
            zero-shot`): a list of labels, or the name of one that the benchmark has (ntu60: 55-5, 48-12; ntu120: 110-10, 96-24; nw-ucla:
            7-3/1 to 7-3/10).
        excluded_classes: classes, likewise, that are not there at all: settings for one list of unseen classes are chosen without a look at them.
        repeat: how many times an epoch goes through the training set, each time augmented anew.
        effective_scale: apply the random scale where it has an effect, after the normalisation.
        official_repeated_augmentation: as in the authors' code, every epoch sees the same augmented views.
    """

    store: str
    split: str
    modality: Literal["joint", "bone", "joint_motion", "bone_motion"] = "joint"
    pipeline: str = ""
    folds: int = 0
    fold: int = 0
    unseen_classes: list[str] | str = field(default_factory=list)
    excluded_classes: list[str] | str = field(default_factory=list)
    repeat: int = 1
    effective_scale: bool = False
    official_repeated_augmentation: bool = False

    def __post_init__(self) -> None:
        if (self.folds, self.fold) != (0, 0) and not (self.folds >= 2 and 1 <= self.fold <= self.folds):
            raise PoseglotError(
                f"data.folds {self.folds} and data.fold {self.fold} do not go together: give at least two folds and a fold from 1 to their "
                "number, or neither."
            )


@dataclass(frozen=True)
class ModelRecipe:
    """The skeleton encoder.

    Attributes:
        encoder: of the skeleton: st-gcn, ctr-baseline, ctr-gcn-single, ctr-gcn (multi-scale), or one that was added.
        base_channels: of its first blocks; the paper has 64.
        encoder_kwargs: further options of the encoder, for example {kernel: 5}; each encoder refuses those that it does not have.
        official_input_transform: as in the authors' code, the network sees joints times I - A^k (the "k-hop bone") instead of joints
            or bones.
    """

    encoder: str = "ctr-gcn"
    base_channels: int = 64
    encoder_kwargs: dict[str, bool | int | float | str] = field(default_factory=dict)
    official_input_transform: bool = False


@dataclass(frozen=True)
class TextRecipe:
    """What is read, and how the body is divided to be aligned with it.

    Attributes:
        prompt: how descriptions become texts: label, synonym, paragraph, manual, states and learned describe the whole body (partition
            global), parts and synonym+parts the parts as well; `part-classes` has no words but a classifier on every pooled part;
            `none` trains without words.
        partition: into which parts the body is divided; `none` trains without words, too.
        descriptions: a packaged set, or a path ending in .yaml.
        encoder: of the texts: minilm, clip-b32, clip-b16, clip-l14, bert, a hub name or a folder.
        freeze: leave the text encoder as it is, and encode every text once per run; otherwise it is fine-tuned.
        states: for the prompt states: how many of the vocabulary's part states describe a class.
        vocabulary: of part states: hake, or a path ending in .yaml.
        context_length: for the prompt learned: how many vectors are learned before the class name.
        lr_scale: the text encoder's learning rate, as a share of `optim.lr`.
        official_parts: the authors' joint lists of the parts (partition four), overlaps and all.
        official_format: texts punctuated as in the authors' code.
    """

    prompt: Literal[
        "none", "label", "synonym", "paragraph", "manual", "states", "learned", "parts", "synonym+parts", "part-classes"
    ] = "synonym+parts"
    partition: Literal["none", "global", "two", "four", "six"] = "four"
    descriptions: str = "nw-ucla"
    encoder: str = "minilm"
    freeze: bool = False
    lr_scale: float = 1.0
    states: int = 5
    vocabulary: str = "hake"
    context_length: int = 16
    official_parts: bool = False
    official_format: bool = False

    def __post_init__(self) -> None:
        if self.prompt not in ("none", "part-classes"):
            check_prompt(self.prompt, self.partition)
        if self.official_parts and self.partition != "four":
            raise PoseglotError("text.official_parts goes with text.partition four; the authors' code has no other.")


@dataclass(frozen=True)
class LossRecipe:
    """L = L_cls + weight * mean over levels of L_con (paper, equations 1 and 6).

    Attributes:
        alignment_weight: lambda, the weight of the alignment beside the classification.
        learn_alignment_weight: learn lambda, starting at `weight` (see `poseglot.training.gap.LearnedWeight`).
        target: `normalized` (the paper) or `soft10` (the authors' code).
        logit_scale: what cosines are multiplied by, 1 / tau; the paper's tau is 0.1.
        learn_logit_scale: learn the scale of each level, starting at `scale` (the authors' code, which uses it without exp).
        balanced: in L_cls every class weighs the same, however many clips it has to learn from.
    """

    alignment_weight: float = 0.8
    learn_alignment_weight: bool = False
    target: Literal["normalized", "soft10"] = "normalized"
    logit_scale: float = 10.0
    learn_logit_scale: bool = False
    balanced: bool = False

    def __post_init__(self) -> None:
        if self.learn_alignment_weight and self.alignment_weight <= 0:
            raise PoseglotError(
                f"loss.learn_alignment_weight needs a loss.alignment_weight above 0 to start from, not {self.alignment_weight}."
            )


@dataclass(frozen=True)
class OptimRecipe:
    """SGD with momentum, warm-up and steps.

    Attributes:
        epochs: in all. The last one is the result.
        batch_size: over all processes together.
        drop_last: leave out an epoch's incomplete last batch.
        lr: learning rate of SGD.
        momentum: of SGD.
        nesterov: Nesterov's momentum.
        weight_decay: of SGD, on every parameter.
        warmup_epochs: epoch e (from 0) of these has lr * (e + 1) / warmup_epochs.
        milestones: epochs (from 0) from which on the learning rate is `decay` times what it was.
        gamma: what each of `milestones` multiplies the learning rate by.
    """

    epochs: int = 110
    batch_size: int = 64
    drop_last: bool = True
    lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 4e-4
    warmup_epochs: int = 5
    milestones: list[int] = field(default_factory=lambda: [90, 100])
    gamma: float = 0.1

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise PoseglotError(
                f"optim.epochs and optim.batch_size must be at least 1, not {self.epochs} and {self.batch_size}."
            )


@dataclass(frozen=True)
class Recipe:
    """One experiment.

    Attributes:
        data, model, text, loss, optim: see their classes.
        seed: of everything random.
        precision: of training: 32-true, bf16-mixed, 16-mixed, or 64-true (slow, to compare runs exactly); testing is never mixed.
        checkpoint_every: epochs between checkpoints.
        evaluate_every: epochs between looks at the test set (for the curve; nothing is chosen by them).
    """

    data: DataRecipe
    model: ModelRecipe = field(default_factory=ModelRecipe)
    text: TextRecipe = field(default_factory=TextRecipe)
    loss: LossRecipe = field(default_factory=LossRecipe)
    optim: OptimRecipe = field(default_factory=OptimRecipe)
    seed: int = 0
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "64-true"] = "32-true"
    checkpoint_every: int = 1
    evaluate_every: int = 1

    def __post_init__(self) -> None:
        if self.checkpoint_every < 1 or self.evaluate_every < 1 or self.data.repeat < 1:
            raise PoseglotError("checkpoint_every, evaluate_every and data.repeat must be at least 1.")

    @property
    def with_levels(self) -> bool:
        """Whether anything is learned beside the classification of the whole body."""
        return self.text.prompt != "none" and self.text.partition != "none"

    @property
    def with_text(self) -> bool:
        return self.with_levels and self.text.prompt != "part-classes"


def differences(before: Recipe, now: Recipe) -> list[str]:
    """The settings in which two recipes differ, each as `optim.lr (0.1 there, 0.2 wanted)`."""
    return [f"{name} ({there} there, {wanted} wanted)" for name, there, wanted in differing(before, now)]


def differing(before: Recipe, now: Recipe) -> list[tuple[str, Any, Any]]:
    """The settings in which two recipes differ: name (`optim.lr`), and what each has."""
    return _differing(asdict(before), asdict(now), "")


def _differing(before: dict[str, Any], now: dict[str, Any], prefix: str) -> list[tuple[str, Any, Any]]:
    found: list[tuple[str, Any, Any]] = []
    for key in sorted({*before, *now}):
        there, wanted = before.get(key), now.get(key)
        if isinstance(there, dict) and isinstance(wanted, dict):
            found += _differing(there, wanted, f"{prefix}{key}.")
        elif there != wanted and not _same_place(f"{prefix}{key}", there, wanted):
            found.append((f"{prefix}{key}", there, wanted))
    return found


def _same_place(name: str, there: Any, wanted: Any) -> bool:
    """Whether two paths lead to the same file or folder: a run may be trained in one folder and resumed from another."""
    if name not in _PATHS or not (os.path.exists(there) and os.path.exists(wanted)):
        return False
    return os.path.samefile(there, wanted)
