"""From a recipe to the things it names: data, model, text. Checked against each other before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from poseglot.data.dataset import ClipDataset
from poseglot.data.store import PackedStore, open_store
from poseglot.descriptions import (
    Description,
    PromptTable,
    load_descriptions,
    load_vocabulary,
    make_prompts,
    nearest_states,
)
from poseglot.errors import PoseglotError
from poseglot.models.convert import hop_transform, official_parts
from poseglot.models.recognizer import RecognizerSpec, new_recognizer
from poseglot.models.text import TextEncoder, load_text_encoder
from poseglot.models.text.prompt_learner import PromptLearner
from poseglot.skeletons.layout import GLOBAL, Layout, load_layout
from poseglot.skeletons.protocols import load_pipeline
from poseglot.training.gap import GAP, TextFeatures
from poseglot.training.recipe import Recipe, TextRecipe
from poseglot.training.subsets import class_mapping, class_split, subsets


@dataclass(frozen=True, eq=False)
class Built:
    """Everything a recipe names.

    Attributes:
        train, test: the clips to learn from and those to look at (see `poseglot.training.subsets`), of the classes that are seen.
        task: model and loss, on the CPU.
        prompts: None without text.
    """

    train: ClipDataset
    test: ClipDataset
    task: GAP
    prompts: PromptTable | None


def build(recipe: Recipe) -> Built:
    """Open the data and build the model, with weights drawn from the recipe's seed.

    Raises:
        PoseglotError: something the recipe names is missing or does not fit.
    """
    store = open_store(Path(recipe.data.store))
    layout = load_layout(store.info.layout)
    pipeline = load_pipeline(recipe.data.pipeline or store.info.pipeline)
    pipeline.check(effective_scale=recipe.data.effective_scale)
    seen = class_split(recipe.data, store).seen
    prompts, bank = build_text(recipe, seen) if recipe.with_text else (None, None)
    spec = _recognizer_spec(recipe, store, seen, layout, prompts, bank)
    recognizer = new_recognizer(spec, seed=recipe.seed)
    numbers = class_mapping(seen, store)
    train, test = (
        ClipDataset(store, indices, transform=partial(pipeline, modality=spec.modality), class_mapping=numbers)
        for indices in subsets(recipe.data, store)
    )
    if recipe.optim.drop_last and len(train) * recipe.data.repeat < recipe.optim.batch_size:
        raise PoseglotError(
            f"an epoch has {len(train) * recipe.data.repeat} samples, fewer than one batch of {recipe.optim.batch_size}, and "
            "optim.drop_last would leave them all out. Lower optim.batch_size, raise data.repeat, or set optim.drop_last false."
        )
    clips = train.labels.bincount(minlength=len(seen))
    return Built(train, test, GAP(recognizer, recipe.loss, bank=bank, clips=clips), prompts)


def build_text(recipe: Recipe, classes: Sequence[str]) -> tuple[PromptTable, TextFeatures]:
    """What is read, and what reads it, for a recipe with text.

    Raises:
        PoseglotError: a class is not described, or the text encoder cannot be had.
    """
    text = recipe.text
    descriptions = load_descriptions(text.descriptions).of(classes)
    encoder = load_text_encoder(text.encoder)
    prompts = prompts_of(text, descriptions, encoder)
    context = None
    if text.prompt == "learned":
        context = PromptLearner(encoder, length=text.context_length, seed=recipe.seed)
    return prompts, TextFeatures(prompts.texts, encoder, context=context, frozen=text.freeze)


def prompts_of(text: TextRecipe, descriptions: Sequence[Description], encoder: TextEncoder) -> PromptTable:
    """The texts of some classes as a recipe has them.

    Args:
        encoder: pre-trained, as it was before it learned (the prompt `states` asks it which states are near).
    """
    return make_prompts(
        descriptions,
        prompt=text.prompt,
        partition=text.partition,
        states=_states(descriptions, text, encoder) if text.prompt == "states" else (),
        official_format=text.official_format,
    )


def _states(descriptions: Sequence[Description], text: TextRecipe, encoder: TextEncoder) -> list[list[str]]:
    """The part states nearest to each class name, as the pre-trained text encoder sees them."""
    vocabulary = load_vocabulary(text.vocabulary)
    encoder.eval()
    with torch.no_grad():
        labels = encoder(encoder.tokenize([description.label for description in descriptions]))
        states = encoder(encoder.tokenize(vocabulary))
    return [[vocabulary[place] for place in nearest] for nearest in nearest_states(labels, states, text.states)]


def _recognizer_spec(
    recipe: Recipe,
    store: PackedStore,
    classes: tuple[str, ...],
    layout: Layout,
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
        transform = tuple(map(tuple, hop_transform(layout, modality).tolist()))
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
        embed_dim=bank.width if bank is not None else len(classes) if levels else 0,
        input_transform=transform,
        pipeline=recipe.data.pipeline or store.info.pipeline,
        modality=modality,
        has_scores=store.info.has_scores,
    )
