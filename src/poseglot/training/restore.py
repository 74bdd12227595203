"""What a finished run's text encoder says: it is not part of the recognizer, but of the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from poseglot.descriptions import PromptTable
from poseglot.errors import PoseglotError
from poseglot.training.build import build, build_text
from poseglot.training.checkpoint import load_part, load_weights
from poseglot.training.gap import TextFeatures
from poseglot.training.recipe_io import read_recipe
from poseglot.training.run import Run


@dataclass(frozen=True, eq=False)
class ClassTexts:
    """The words that a run learned from, and how its text encoder reads them.

    Attributes:
        prompts: every text of every class and level.
        features: alignment level -> (classes, text width), the mean over a class's texts.
        pretrained: whether they are read by the text encoder as it was before the training, because what it learned is gone.
    """

    prompts: PromptTable
    features: Mapping[str, Tensor]
    pretrained: bool


def text_features(run: Run) -> Mapping[str, Tensor]:
    """The text features that a run's recognizer was aligned with, as its text encoder has them after the last epoch.

    Returns:
        Alignment level -> (classes, text width), the mean over a class's texts; empty without text.

    Raises:
        PoseglotError: the run's data or checkpoint is gone.
    """
    built = build(read_recipe(run.recipe))
    if built.prompts is None:
        return {}
    task = built.task.eval()
    load_weights(run.checkpoint, task)
    assert task.bank is not None
    return _means(built.prompts, task.bank)


def class_texts(run: Run, classes: Sequence[str]) -> ClassTexts | None:
    """The same, and the words themselves, for which a run needs no data: only its recipe and, if its texts were learned, its checkpoint.

    Args:
        classes: of the recognizer.

    Returns:
        None if the run learned without text.

    Raises:
        PoseglotError: the recipe or the descriptions it names are gone; or what was learned in front of the texts.
    """
    recipe = read_recipe(run.recipe)
    if not recipe.with_text:
        return None
    prompts, bank = build_text(recipe, classes)
    learned = bank.encoder is not None
    if learned and run.checkpoint.exists():
        load_part(run.checkpoint, bank, "bank")
    elif learned and recipe.text.prompt == "learned":
        raise PoseglotError(f"{run.checkpoint} is gone, and with it what was learned in front of the class names.")
    return ClassTexts(prompts, _means(prompts, bank.eval()), pretrained=learned and not run.checkpoint.exists())


def _means(prompts: PromptTable, bank: TextFeatures) -> Mapping[str, Tensor]:
    with torch.no_grad():
        texts = bank(torch.arange(len(prompts.texts)))
    return dict(zip(prompts.levels, prompts.class_means(texts), strict=True))
