"""From a recipe to the things it names: data, model, words. Checked against each other before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from poseglot.descriptions import PromptTable, load_descriptions, make_prompts
from poseglot.errors import PoseglotError
from poseglot.models.official import hop_transform, official_parts
from poseglot.models.recognizer import RecognizerSpec, new_recognizer
from poseglot.models.text import load_text_encoder
from poseglot.skeletons.layout import GLOBAL, Layout, load_layout
from poseglot.skeletons.store import PackedStore, open_store
from poseglot.skeletons.transforms import protocol_named
from poseglot.skeletons.views import Views
from poseglot.training.recipe import Recipe
from poseglot.training.sides import sides
from poseglot.training.task import Task, TextBank


@dataclass(frozen=True, eq=False)
class Built:
    """Everything a recipe names.

    Attributes:
        train, test: the clips to learn from and those to look at (see `poseglot.training.sides`).
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
    prompts = None
    if recipe.with_words:
        descriptions = load_descriptions(recipe.words.descriptions).of(store.info.classes)
        prompts = make_prompts(
            descriptions,
            prompt=recipe.words.prompt,
            partition=recipe.words.partition,
            official_format=recipe.words.official_format,
        )
    bank = None
    if prompts is not None:
        bank = TextBank(prompts.texts, load_text_encoder(recipe.words.encoder), frozen=recipe.words.learning == "frozen")
    spec = _recognizer_spec(recipe, store, layout, prompts, bank.width if bank is not None else 0)
    recognizer = new_recognizer(spec, seed=recipe.seed, layout=layout)
    train, test = (
        Views(store, places, protocol_named(spec.protocol), spec.stream, layout) for places in sides(recipe.data, store)
    )
    if recipe.optim.drop_last and len(train) * recipe.data.repeat < recipe.optim.batch_size:
        raise PoseglotError(
            f"an epoch has {len(train) * recipe.data.repeat} samples, fewer than one batch of {recipe.optim.batch_size}, and "
            "optim.drop_last would leave them all out. Lower optim.batch_size, raise data.repeat, or set optim.drop_last false."
        )
    task = Task(recognizer, recipe.loss, prompts=prompts, bank=bank)
    return Built(train, test, task, prompts)


def _recognizer_spec(
    recipe: Recipe, store: PackedStore, layout: Layout, prompts: PromptTable | None, text_width: int
) -> RecognizerSpec:
    stream: str = recipe.data.stream
    levels: dict[str, tuple[int, ...]] = {}
    if prompts is not None:
        partition = official_parts(layout, stream) if recipe.words.official_parts else layout.partition(recipe.words.partition)
        everything = tuple(range(len(layout)))
        levels = {level: everything if level == GLOBAL else tuple(partition[level]) for level in prompts.levels}
    transform = None
    if recipe.model.official_input_transform:
        transform = tuple(map(tuple, hop_transform(layout, stream).tolist()))
        # The authors' network makes its bones itself, from joints.
        stream = stream.replace("bone", "joint")
    return RecognizerSpec(
        layout=layout.name,
        classes=store.info.classes,
        people=store.people,
        channels=store.joints.shape[-1],
        encoder=recipe.model.encoder,
        options={"width": recipe.model.width},
        levels=levels or None,
        text_width=text_width,
        input_transform=transform,
        protocol=store.info.protocol,
        stream=stream,
    )
