"""A recipe small enough for tests: few clips (`few_clips`: five steps an epoch), a narrow encoder, a tiny random text encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from poseglot.training.recipe import DataRecipe, ModelRecipe, OptimRecipe, Recipe, WordsRecipe


def small_recipe(store: Path, text_encoder: Path, **changes: Any) -> Recipe:
    recipe = Recipe(
        data=DataRecipe(store=str(store), split="cross-person"),
        model=ModelRecipe(width=8),
        words=WordsRecipe(descriptions="demo", encoder=str(text_encoder), lr_scale=0.5),
        optim=OptimRecipe(epochs=3, batch_size=7, drop_last=False, warmup_epochs=1, steps=[2]),
    )
    return replace(recipe, **changes)
