"""From a recipe to the things it names: data, model, words. Checked against each other before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from poseglot.descriptions import (
    Description,
    PromptTable,
    load_descriptions,
    load_vocabulary,
    make_prompts,
    nearest_states,
)
from poseglot.errors import PoseglotError
from poseglot.models.official import hop_transform, official_parts
from poseglot.models.recognizer import RecognizerSpec, new_recognizer
from poseglot.models.text import TextEncoder, load_text_encoder
from poseglot.models.text.context import ContextEncoder
from poseglot.skeletons.layout import GLOBAL, Layout, load_layout
from poseglot.skeletons.store import PackedStore, open_store
from poseglot.skeletons.transforms import protocol_named
from poseglot.skeletons.views import Views
from poseglot.training.recipe import Recipe, WordsRecipe
from poseglot.training.sides import divided, numbers_of, sides
from poseglot.training.task import Task, TextBank


@dataclass(frozen=True, eq=False)
class Built:
    """Everything a recipe names.

    Attributes:
        train, test: the clips to learn from and those to look at (see `poseglot.training.sides`), of the classes that are seen.
        task: model and loss, on the CPU.
        prompts: None without words.
    """

    train: Views
    test: Views
    task: Task
    prompts: PromptTable | None


def build(recipe: Recipe) -> Built:
    """Open the data and build the model, with weights drawn from the recipe's seed.

    Raises:
        PoseglotError: something the recipe names is missing or does not fit.
    """
    store = open_store(Path(recipe.data.store))
    layout = load_layout(store.info.layout)
    protocol = protocol_named(recipe.data.protocol or store.info.protocol)
    protocol.check(effective_scale=recipe.data.effective_scale)
    seen = divided(recipe.data, store).seen
    prompts, bank = build_words(recipe, seen) if recipe.with_words else (None, None)
    spec = _recognizer_spec(recipe, store, seen, layout, prompts, bank)
    recognizer = new_recognizer(spec, seed=recipe.seed)
    numbers = numbers_of(seen, store)
    train, test = (Views(store, places, protocol, spec.stream, layout, numbers) for places in sides(recipe.data, store))
    if recipe.optim.drop_last and len(train) * recipe.data.repeat < recipe.optim.batch_size:
        raise PoseglotError(
            f"an epoch has {len(train) * recipe.data.repeat} samples, fewer than one batch of {recipe.optim.batch_size}, and "
            "optim.drop_last would leave them all out. Lower optim.batch_size, raise data.repeat, or set optim.drop_last false."
        )
    clips = train.labels.bincount(minlength=len(seen))
    return Built(train, test, Task(recognizer, recipe.loss, bank=bank, clips=clips), prompts)


def build_words(recipe: Recipe, classes: Sequence[str]) -> tuple[PromptTable, TextBank]:
    """What is read, and what reads it, for a recipe with words.

    Raises:
        PoseglotError: a class is not described, or the text encoder cannot be had.
    """
    words = recipe.words
    descriptions = load_descriptions(words.descriptions).of(classes)
    encoder = load_text_encoder(words.encoder)
    prompts = prompts_of(words, descriptions, encoder)
    context = None
    if words.prompt == "learned":
        context = ContextEncoder(encoder, length=words.context, seed=recipe.seed)
    return prompts, TextBank(prompts.texts, encoder, context=context, frozen=words.learning == "frozen")


def prompts_of(words: WordsRecipe, descriptions: Sequence[Description], encoder: TextEncoder) -> PromptTable:
    """The texts of some classes as a recipe has them.

    Args:
        encoder: pre-trained, as it was before it learned (the prompt `states` asks it which states are near).
    """
    return make_prompts(
        descriptions,
        prompt=words.prompt,
        partition=words.partition,
        states=_states(descriptions, words, encoder) if words.prompt == "states" else (),
        official_format=words.official_format,
    )


def _states(descriptions: Sequence[Description], words: WordsRecipe, encoder: TextEncoder) -> list[list[str]]:
    """The part states nearest to each class name, as the pre-trained text encoder sees them."""
    vocabulary = load_vocabulary(words.vocabulary)
    encoder.eval()
    with torch.no_grad():
        labels = encoder(encoder.tokenize([description.label for description in descriptions]))
        states = encoder(encoder.tokenize(vocabulary))
    return [[vocabulary[place] for place in nearest] for nearest in nearest_states(labels, states, words.states)]


def _recognizer_spec(
    recipe: Recipe,
    store: PackedStore,
    classes: tuple[str, ...],
    layout: Layout,
    prompts: PromptTable | None,
    bank: TextBank | None,
) -> RecognizerSpec:
    stream: str = recipe.data.stream
    levels: dict[str, tuple[int, ...]] = {}
    if recipe.with_levels:
        partition = official_parts(layout, stream) if recipe.words.official_parts else layout.partition(recipe.words.partition)
        everything = tuple(range(len(layout)))
        names = prompts.levels if prompts is not None else tuple(partition)
        levels = {level: everything if level == GLOBAL else tuple(partition[level]) for level in names}
    transform = None
    if recipe.model.official_input_transform:
        transform = tuple(map(tuple, hop_transform(layout, stream).tolist()))
        # The authors' network makes its bones itself, from joints.
        stream = stream.replace("bone", "joint")
    return RecognizerSpec(
        layout=layout.described(),
        classes=classes,
        people=store.people,
        channels=store.joints.shape[-1],
        encoder=recipe.model.encoder,
        options={"width": recipe.model.width, **recipe.model.options},
        levels=levels or None,
        text_width=bank.width if bank is not None else len(classes) if levels else 0,
        input_transform=transform,
        protocol=recipe.data.protocol or store.info.protocol,
        stream=stream,
        scored=store.info.scored,
    )
