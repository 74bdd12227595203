"""From a recipe to the things it names: data, model and texts, checked against each other before anything is trained."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from poseglot.data.dataset import ClipDataset
from poseglot.data.quality.checks import coordinate_summary
from poseglot.data.readers.reading import reading_of
from poseglot.data.store import PackedStore, open_store
from poseglot.descriptions import (
    Description,
    PromptTable,
    load_descriptions,
    load_vocabulary,
    make_prompts,
    nearest_states,
)
from poseglot.errors import SettingError
from poseglot.models.convert import input_transform, official_parts
from poseglot.models.pretrained import recognizer_file
from poseglot.models.recognizer import Recognizer, RecognizerSpec, load_recognizer, new_recognizer
from poseglot.models.text import TextEncoder, load_text_encoder
from poseglot.models.text.prompt_learner import PromptLearner
from poseglot.skeletons.layout import GLOBAL, Layout, load_layout
from poseglot.training.gap import GAP, TextFeatures, balance
from poseglot.training.recipe import Recipe, TextRecipe
from poseglot.training.subsets import class_mapping, class_split, subsets
from poseglot.transforms import TRANSFORMS, Pipeline, load_pipeline

_logger = logging.getLogger("poseglot.training")


@dataclass(frozen=True, eq=False)
class Built:
    """Everything a recipe names.

    Attributes:
        train, test: The clips for training and validation (see `poseglot.training.subsets`), of the classes that are seen.
        task: The model with its loss, on the CPU.
        prompts: None without text.
    """

    train: ClipDataset
    test: ClipDataset
    task: GAP
    prompts: PromptTable | None


def build(recipe: Recipe) -> Built:
    """Open the data and build the model, with weights drawn from the recipe's seed.

    Raises:
        PoseglotError: Something the recipe names is missing or does not fit.
    """
    store = open_store(Path(recipe.data.store))
    layout = load_layout(store.info.layout)
    pipeline = load_pipeline(recipe.data.pipeline or store.info.pipeline)
    seen = class_split(recipe.data, store).seen
    prompts, bank = build_text(recipe, seen) if recipe.with_text else (None, None)
    sides = subsets(recipe.data, store)
    spec = _recognizer_spec(recipe, store, seen, layout, pipeline, prompts, bank)
    summary = coordinate_summary(store, sides[0])
    spec = replace(
        spec, reading=reading_of(store.info.source) or None, coordinates=None if summary is None else summary.table()
    )
    recognizer = new_recognizer(spec, seed=recipe.seed)
    if recipe.model.weights:
        start_from(recognizer, load_recognizer(recognizer_file(recipe.model.weights)), origin=recipe.model.weights)
    numbers = class_mapping(seen, store)
    pipelines = _augmented(pipeline, recipe.data.augment, seen, recipe.text.partition), pipeline
    train, test = (
        ClipDataset(store, indices, transform=partial(each, modality=spec.modality), class_mapping=numbers)
        for each, indices in zip(pipelines, sides, strict=True)
    )
    if recipe.optim.drop_last and len(train) * recipe.data.repeat < recipe.optim.batch_size:
        raise SettingError(
            f"an epoch has {len(train) * recipe.data.repeat} samples, fewer than one batch of {recipe.optim.batch_size}, and "
            "optim.drop_last would leave them all out. Lower optim.batch_size, raise data.repeat, or set optim.drop_last false."
        )
    loss = recipe.loss
    task = GAP(
        recognizer,
        bank=bank,
        alignment_weight=loss.alignment_weight,
        learn_alignment_weight=loss.learn_alignment_weight,
        logit_scale=loss.logit_scale,
        learn_logit_scale=loss.learn_logit_scale,
        target=loss.target,
        sentences=_numbers(prompts.sentences) if prompts is not None and loss.positives == "text" else None,
        similar=prompts is not None and loss.positives == "similar",
        label_smoothing=loss.label_smoothing,
        class_weights=balance(train.labels.bincount(minlength=len(seen))) if loss.balanced else None,
    )
    return Built(train, test, task, prompts)


def start_from(recognizer: Recognizer, trained: Recognizer, *, origin: str) -> None:
    """Copy the encoder of a trained recognizer, the heads of the same levels, and what its classifier knows of classes of the same name.

    Raises:
        SettingError: The encoders differ.
    """
    own, theirs = recognizer.spec, trained.spec
    for what, one, other in (
        ("layout", recognizer.layout.joints, trained.layout.joints),
        ("encoder", (own.encoder, own.encoder_kwargs), (theirs.encoder, theirs.encoder_kwargs)),
        ("people", own.num_persons, theirs.num_persons),
        ("channels", (own.channels, own.has_scores), (theirs.channels, theirs.has_scores)),
        ("modality", own.modality, theirs.modality),
        ("input transform", own.input_transform, theirs.input_transform),
    ):
        if one != other:
            remedy = " `poseglot join STORE --out ...` gives your clips its joints." if what == "layout" else ""
            raise SettingError(f"model.weights {origin} has another {what} than this training: {other}, not {one}.{remedy}")
    recognizer.encoder.load_state_dict(trained.encoder.state_dict())
    shared = [label for label in own.classes if label in theirs.classes]
    with torch.no_grad():
        for label in shared:
            row, known = own.classes.index(label), theirs.classes.index(label)
            recognizer.classifier.weight[row] = trained.classifier.weight[known]
            recognizer.classifier.bias[row] = trained.classifier.bias[known]
    if own.embed_dim == theirs.embed_dim:
        for name in set(recognizer.heads) & set(trained.heads):
            recognizer.heads[name].load_state_dict(trained.heads[name].state_dict())
    _logger.info(f"started from {origin}, which knows {len(shared)} of the {len(own.classes)} classes")


def _augmented(pipeline: Pipeline, augment: Sequence[Any], classes: Sequence[str], partition: str = "none") -> Pipeline:
    """Return a pipeline with further transforms behind it.

    Raises:
        SettingError: Mirrored clips would be of another class, or a transform acts in evaluation, too.
        PipelineError: A transform is unknown or refuses its settings.
    """
    if not augment:
        return pipeline
    names = [next(iter(entry)) if isinstance(entry, Mapping) else entry for entry in augment]
    sided = [label for label in classes if {"left", "right"} & set(_words(label))]
    if "mirror" in names and sided:
        raise SettingError(
            f"data.augment has mirror, which swaps left and right, but there are classes that name a side: {', '.join(sided)}. "
            "Leave mirror out."
        )
    if "mirror" in names and partition == "sides":
        raise SettingError(
            "data.augment has mirror, which swaps left and right, but text.partition sides tells them apart. Leave one of them out."
        )
    augmented = load_pipeline({**pipeline.table(), "transforms": [*pipeline.table()["transforms"], *augment]})
    if wrong := [transform.name for transform in augmented.transforms[len(pipeline.transforms) :] if not transform.augments]:
        accepted = [name for name, kind in TRANSFORMS.items() if kind.augments]
        raise SettingError(
            f"data.augment has {', '.join(wrong)}, which would change training clips and not those of evaluation. Accepted are "
            f"{', '.join(accepted)}; for others write a pipeline of your own (data.pipeline)."
        )
    return augmented


def _words(label: str) -> list[str]:
    """Return the words of a class name in lower case, also of swipe_left and swipeLeft."""
    return re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", label).lower())


def _numbers(names: Sequence[str]) -> Tensor:
    """Number names, equal ones alike."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([numbers[name] for name in names])


def build_text(recipe: Recipe, classes: Sequence[str]) -> tuple[PromptTable, TextFeatures]:
    """Make the texts and their encoder, for a recipe with text.

    Raises:
        PoseglotError: A class is not described, or the text encoder cannot be had.
    """
    text = recipe.text
    descriptions = load_descriptions(text.descriptions).of(classes)
    encoder = load_text_encoder(text.encoder)
    if not text.freeze and not any(True for _ in encoder.parameters()):
        raise SettingError(f"the text encoder {text.encoder!r} has nothing to fine-tune. Set text.freeze true.")
    prompts = prompts_of(text, descriptions, encoder)
    context, room = None, encoder.max_tokens
    if text.prompt == "learned":
        context = PromptLearner(encoder, length=text.context_length, seed=recipe.seed)
        room -= text.context_length
    lengths = [len(ids) for ids in encoder.tokenizer(list(prompts.texts), verbose=False)["input_ids"]]
    if cut := [length - room for length in lengths if length > room]:
        _logger.warning(
            f"{len(cut)} of {len(lengths)} texts are longer than the {room} tokens that the text encoder reads: {sum(cut)} tokens "
            "are cut off."
        )
    return prompts, TextFeatures(prompts.texts, encoder, context=context, frozen=text.freeze, train_layers=text.train_layers)


def prompts_of(text: TextRecipe, descriptions: Sequence[Description], encoder: TextEncoder | None) -> PromptTable:
    """Return the texts of some classes as a recipe has them.

    Args:
        encoder: The text encoder as it was before the training. Only the prompt `states` needs it, to find the nearest states.
    """
    assert encoder is not None or text.prompt != "states"
    if text.shuffle:  # halfway round the list, as neighbours tend to be alike: sit down, stand up
        half = len(descriptions) // 2
        descriptions = [*descriptions[half:], *descriptions[:half]]
    return make_prompts(
        descriptions,
        prompt=text.prompt,
        partition=text.partition,
        states=_states(descriptions, text, encoder) if encoder is not None and text.prompt == "states" else (),
        official_format=text.official_format,
        name_parts=text.name_parts,
        name_class=text.name_class,
    )


def _states(descriptions: Sequence[Description], text: TextRecipe, encoder: TextEncoder) -> list[list[str]]:
    """Find the part states nearest to each class name in the pre-trained text encoder's space."""
    vocabulary = load_vocabulary(text.vocabulary)
    encoder.eval()
    with torch.no_grad():
        labels = encoder(encoder.tokenize([description.label for description in descriptions]))
        states = encoder(encoder.tokenize(vocabulary))
    return [[vocabulary[index] for index in nearest] for nearest in nearest_states(labels, states, text.states)]


def _recognizer_spec(
    recipe: Recipe,
    store: PackedStore,
    classes: tuple[str, ...],
    layout: Layout,
    pipeline: Pipeline,
    prompts: PromptTable | None,
    bank: TextFeatures | None,
) -> RecognizerSpec:
    modality: str = recipe.data.modality
    levels: dict[str, tuple[int, ...]] = {}
    if recipe.with_levels:
        partition = official_parts(layout, modality) if recipe.text.official_parts else layout.partition(recipe.text.partition)
        everything = tuple(range(len(layout)))
        names = prompts.levels if prompts is not None else tuple(partition)
        levels = {level: everything if level == GLOBAL else tuple(partition[level]) for level in names}
    transform = None
    if recipe.model.official_input_transform:
        transform = tuple(map(tuple, input_transform(layout, modality).tolist()))
        # The authors' network makes its bones itself, from joints.
        modality = modality.replace("bone", "joint")
    return RecognizerSpec(
        layout=layout.described(),
        classes=classes,
        num_persons=store.max_persons,
        channels=store.joints.shape[-1],
        encoder=recipe.model.encoder,
        encoder_kwargs={"base_channels": recipe.model.base_channels, **recipe.model.encoder_kwargs},
        levels=levels or None,
        embed_dim=bank.embed_dim if bank is not None else len(classes) if levels else 0,
        input_transform=transform,
        pipeline=pipeline.described(),
        modality=modality,
        has_scores=store.info.has_scores,
    )
