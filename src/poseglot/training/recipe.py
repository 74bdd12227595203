"""A recipe: one YAML file that is one experiment. These dataclasses are its schema.

Values are checked by type when a recipe is read (unknown keys and wrong types are refused by name), and by meaning here.
What the authors' code does differently from the paper is a switch named `official...` or described as such.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from poseglot.descriptions import check_prompt
from poseglot.errors import SettingError

_PATHS = ("data.store", "data.pipeline", "model.weights", "text.descriptions", "text.vocabulary", "text.encoder")


@dataclass(frozen=True)
class DataRecipe:
    """The data, and what is done to clips before the network sees them.

    Attributes:
        store: The folder of a packed store, made by `poseglot prepare`.
        split: One of the store's splits.
        modality: One of joint, bone, joint_motion and bone_motion.
        pipeline: The list of transforms from a stored clip to the input: a packaged one (nw-ucla, nw-ucla-scaled,
            nw-ucla-early, ntu, metric, image, live, live-early, body) or a path ending in .yaml; empty: as the store says.
        augment: Random transforms of training clips behind the pipeline, each a name or {name: {setting: value}}, for example
            [mirror, joint-drop: {probability: 0.1}].
        mixup: The alpha of mixup's Beta distribution, for example 0.2 (Zhang et al., ICLR 2018); 0 is off. Two clips are mixed, and so are
            their labels and the texts that they are aligned with.
        part_swap: The share of clips that get a body part of another clip of their class; 0 is off.
        folds: The number of folds for cross-validation on the training set alone. No person is in two of them, and the test set is not
            touched. 0 validates on the test set.
        fold: The fold, from 1, that is held out for validation; 0 without folds.
        unseen_classes: Classes that are left out, to be recognised by their texts afterwards (`poseglot zero-shot`): a list of labels,
            the name of one that the benchmark has (ntu60: 55-5, 48-12; ntu120: 110-10, 96-24; nw-ucla: 7-3/1 to 7-3/10), or for any
            other set a way: 22-5/1 is the first that leaves 5 of 27 classes out, each as often as the others over all ways.
        excluded_classes: Classes, likewise, that do not exist: settings for one list of unseen classes are chosen without a look at it.
        repeat: The number of times that an epoch goes through the training set, each time augmented anew.
        balance_sets: Repeat the clips of smaller sets of a joined store (`poseglot join`), so that a set of n clips counts about
            sqrt(n).
        official_repeated_augmentation: As in the authors' code, every epoch sees the same augmented clips.
    """

    store: str
    split: str
    modality: Literal["joint", "bone", "joint_motion", "bone_motion"] = "joint"
    pipeline: str = ""
    augment: list[str | dict[str, Any]] = field(default_factory=list)
    mixup: float = 0.0
    part_swap: float = 0.0
    folds: int = 0
    fold: int = 0
    unseen_classes: list[str] | str = field(default_factory=list)
    excluded_classes: list[str] | str = field(default_factory=list)
    repeat: int = 1
    balance_sets: bool = False
    official_repeated_augmentation: bool = False

    def __post_init__(self) -> None:
        if (self.folds, self.fold) != (0, 0) and not (self.folds >= 2 and 1 <= self.fold <= self.folds):
            raise SettingError(
                f"data.folds {self.folds} and data.fold {self.fold} do not go together: give at least two folds and a fold from 1 to their "
                "number, or neither."
            )
        if self.repeat < 1:
            raise SettingError(f"data.repeat must be at least 1, not {self.repeat}.")
        if self.mixup < 0 or not 0 <= self.part_swap <= 1:
            raise SettingError(
                f"data.mixup is 0 or above, and data.part_swap from 0 to 1; not {self.mixup} and {self.part_swap}."
            )


@dataclass(frozen=True)
class ModelRecipe:
    """The skeleton encoder.

    Attributes:
        encoder: One of st-gcn, ctr-baseline, ctr-gcn-single, ctr-gcn (multi-scale), or one that was added.
        base_channels: The channels of its first blocks; the paper has 64.
        encoder_kwargs: Further options of the encoder, for example {kernel: 5}; each encoder refuses those that it does not have.
        weights: Start from the weights of a recognizer: the name of a packaged one, a run's folder, or a file. The encoder must be the
            same; the classifier starts with what is known of classes of the same name. Empty: start from the seed.
        official_input_transform: As in the authors' code, the network sees joints times I - A^k (the "k-hop bone") instead of joints
            or bones.
    """

    encoder: str = "ctr-gcn"
    base_channels: int = 64
    encoder_kwargs: dict[str, bool | int | float | str] = field(default_factory=dict)
    weights: str = ""
    official_input_transform: bool = False


@dataclass(frozen=True)
class TextRecipe:
    """The texts, their encoder, and the body parts that are aligned with them.

    Attributes:
        prompt: How descriptions become texts: label, synonym, paragraph, manual, states and learned describe the whole body (partition
            global), parts and synonym+parts the parts as well; `part-classes` has no text but a classifier on every pooled part;
            `none` trains without text.
        partition: The parts of the body; `none` trains without text, too.
        descriptions: A packaged set, or a path ending in .yaml.
        encoder: One of minilm, clip-b32, clip-b16, clip-l14 and bert, or a hub name or a folder; `random` is a control, with a fixed
            random vector for each text.
        shuffle: A control: every class gets the description of another class.
        freeze: Leave the text encoder as it is, and encode every text once per run; otherwise it is fine-tuned.
        train_layers: Fine-tune this many of the text encoder's last layers; the output of the layers below is computed once per text.
            0 tunes all of it.
        lr_scale: The text encoder's learning rate, as a share of `optim.lr`.
        name_parts: Name the part in each sentence: "put on a shoe, the foot: slides into the shoe".
        name_class: Begin the texts of parts with the class name, as the paper does. Without it a sentence is the same text in every
            class that shares it: `loss.positives text` goes with it.
        states: The number of part states that describe a class, for the prompt states.
        vocabulary: The vocabulary of part states: hake, or a path ending in .yaml.
        context_length: The number of learned vectors before the class name, for the prompt learned.
        official_parts: Use the authors' joint lists of the parts (partition four), overlaps and all.
        official_format: Punctuate texts as in the authors' code.
    """

    prompt: Literal[
        "none", "label", "synonym", "paragraph", "manual", "states", "learned", "parts", "synonym+parts", "part-classes"
    ] = "synonym+parts"
    partition: Literal["none", "global", "two", "four", "six", "sides"] = "four"
    descriptions: str = "nw-ucla"
    encoder: str = "minilm"
    shuffle: bool = False
    freeze: bool = False
    train_layers: int = 0
    lr_scale: float = 1.0
    name_parts: bool = False
    name_class: bool = True
    states: int = 5
    vocabulary: str = "hake"
    context_length: int = 16
    official_parts: bool = False
    official_format: bool = False

    def __post_init__(self) -> None:
        if self.prompt not in ("none", "part-classes"):
            check_prompt(self.prompt, self.partition)
        if self.official_parts and self.partition != "four":
            raise SettingError("text.official_parts goes with text.partition four; the authors' code has no other.")
        if self.train_layers < 0 or (self.train_layers and (self.freeze or self.prompt == "learned")):
            raise SettingError(
                f"text.train_layers {self.train_layers} tunes part of the text encoder: it goes with text.freeze false, and with any "
                "prompt but learned; 0 tunes all layers."
            )


@dataclass(frozen=True)
class LossRecipe:
    """L = L_cls + lambda * mean over levels of L_con (paper, equations 1 and 6).

    Attributes:
        alignment_weight: The weight lambda of the alignment beside the classification.
        learn_alignment_weight: Learn lambda, starting at `alignment_weight` (see `poseglot.training.gap.LearnedWeight`).
        target: The target distribution: `normalized` (the paper) or `soft10` (the authors' code).
        positives: The texts that a clip is aligned with: those of its class (`class`, the paper), or also those of other classes
            that say the same of the part (`text`), or every text in so far as it is like its own (`similar`).
        logit_scale: The factor of the cosines, 1 / tau; the paper's tau is 0.1.
        learn_logit_scale: Learn the factor of each level, starting at `logit_scale` (the authors' code, which uses it without exp).
        label_smoothing: The label smoothing of L_cls: this share of the target is spread over all classes (Szegedy et al., CVPR 2016).
        balanced: In L_cls every class weighs the same, however many clips it has.
    """

    alignment_weight: float = 0.8
    learn_alignment_weight: bool = False
    target: Literal["normalized", "soft10"] = "normalized"
    positives: Literal["class", "text", "similar"] = "class"
    logit_scale: float = 10.0
    learn_logit_scale: bool = False
    label_smoothing: float = 0.0
    balanced: bool = False

    def __post_init__(self) -> None:
        if self.learn_alignment_weight and self.alignment_weight <= 0:
            raise SettingError(
                f"loss.learn_alignment_weight needs a loss.alignment_weight above 0 to start from, not {self.alignment_weight}."
            )
        if not 0 <= self.label_smoothing < 1:
            raise SettingError(f"loss.label_smoothing is from 0 to below 1, not {self.label_smoothing}.")


@dataclass(frozen=True)
class OptimRecipe:
    """Optimizer, learning rate and averaging.

    Attributes:
        name: An optimizer of torch.optim, for example SGD or AdamW.
        kwargs: Further arguments of the optimizer, for example {betas: [0.9, 0.98]}. SGD has momentum 0.9 and nesterov unless they say
            otherwise.
        epochs: The number of epochs. The last one is the result.
        batch_size: The number of samples of a step, over all processes together.
        drop_last: Leave out an epoch's incomplete last batch.
        lr: The highest learning rate.
        schedule: The learning rate's schedule: steps (the paper), cosine or one-cycle; see `poseglot.training.schedule`.
        warmup_epochs: The number of epochs in which the learning rate rises.
        milestones: epochs (from 0) from which on the learning rate is `gamma` times what it was (steps).
        gamma: The factor of the learning rate at each of `milestones`.
        final_lr: The learning rate at the end (cosine, one-cycle).
        weight_decay: The weight decay of every parameter.
        decay_all: Whether biases and norms have weight decay, too; false is "no bias decay" (He et al., Bag of Tricks, CVPR 2019).
        ema_decay: Average the weights over steps, keeping this share at each, for example 0.998; the average is what is validated and
            saved as the recognizer (see `poseglot.training.average`). 0 is off.
    """

    name: str = "SGD"
    kwargs: dict[str, bool | int | float | str | list[float]] = field(default_factory=dict)
    epochs: int = 110
    batch_size: int = 64
    drop_last: bool = True
    lr: float = 0.1
    schedule: Literal["steps", "cosine", "one-cycle"] = "steps"
    warmup_epochs: int = 5
    milestones: list[int] = field(default_factory=lambda: [90, 100])
    gamma: float = 0.1
    final_lr: float = 0.0
    weight_decay: float = 4e-4
    decay_all: bool = True
    ema_decay: float = 0.0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise SettingError(
                f"optim.epochs and optim.batch_size must be at least 1, not {self.epochs} and {self.batch_size}."
            )
        if self.warmup_epochs < 0 or not 0 <= self.ema_decay < 1:
            raise SettingError(
                f"optim.warmup_epochs is 0 or above and optim.ema_decay from 0 to below 1, not {self.warmup_epochs} and "
                f"{self.ema_decay}."
            )


@dataclass(frozen=True)
class Recipe:
    """One experiment.

    Attributes:
        data, model, text, loss, optim: See their classes.
        seed: The seed of everything random.
        precision: The precision of training: 32-true, bf16-mixed, 16-mixed, or 64-true (slow, to compare runs exactly).
            Validation is never mixed.
        checkpoint_every: The number of epochs between checkpoints.
        evaluate_every: The number of epochs between validations (for the curve; nothing is chosen by them).
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
        if self.checkpoint_every < 1 or self.evaluate_every < 1:
            raise SettingError("checkpoint_every and evaluate_every must be at least 1.")
        if not 0 <= self.seed < 2**63:
            raise SettingError(f"the seed is a whole number from 0 to 2^63 - 1, not {self.seed}.")

    @property
    def with_levels(self) -> bool:
        """Tell whether anything is learned beside the classification of the whole body."""
        return self.text.prompt != "none" and self.text.partition != "none"

    @property
    def with_text(self) -> bool:
        """Tell whether texts are read."""
        return self.with_levels and self.text.prompt != "part-classes"


def differences(before: Recipe, now: Recipe) -> list[str]:
    """List the settings in which two recipes differ, each as `optim.lr (0.1 there, 0.2 wanted)`."""
    return [f"{name} ({there} there, {wanted} wanted)" for name, there, wanted in differing(before, now)]


def differing(before: Recipe, now: Recipe) -> list[tuple[str, Any, Any]]:
    """List the settings in which two recipes differ: name (`optim.lr`), and the values of both."""
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
    """Tell whether two paths lead to the same file or folder: a run may be trained in one folder and resumed from another."""
    if name not in _PATHS or not (os.path.exists(there) and os.path.exists(wanted)):
        return False
    return os.path.samefile(there, wanted)
