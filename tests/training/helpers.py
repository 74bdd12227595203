"""A recipe small enough for tests: few clips (`few_clips`: five steps an epoch), a narrow encoder, a tiny random text encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch.multiprocessing as multiprocessing
from torch import Tensor, nn

from poseglot.data.dataset import ClipDataset
from poseglot.models import recognizer as recognizers
from poseglot.training.recipe import DataRecipe, ModelRecipe, OptimRecipe, Recipe, TextRecipe
from poseglot.transforms import Randomness


def small_recipe(store: Path, text_encoder: Path, **changes: Any) -> Recipe:
    recipe = Recipe(
        data=DataRecipe(store=str(store), split="cross-person"),
        model=ModelRecipe(base_channels=8),
        text=TextRecipe(descriptions="demo", encoder=str(text_encoder), lr_scale=0.5),
        optim=OptimRecipe(epochs=3, batch_size=7, drop_last=False, warmup_epochs=1, milestones=[2]),
    )
    return replace(recipe, **changes)


def inputs(clips: ClipDataset, index: Tensor, *, epoch: int | None = 0) -> Tensor:
    """The network's input for some samples, augmented as in an epoch, or as for evaluation."""
    return clips.inputs(index, None if epoch is None else Randomness(0, epoch, index, batch=0))


def four_blocks(patch: pytest.MonkeyPatch) -> None:
    """Encoders get one block of each kind (the first, one as it comes, and the two that halve the frames) instead of ten."""
    whole = recognizers.create_encoder

    def short(*arguments: Any, **options: Any) -> nn.Module:
        encoder: Any = whole(*arguments, **options)
        encoder.blocks = nn.ModuleList(encoder.blocks[place] for place in (0, 1, 4, 7))
        return encoder

    patch.setattr(recognizers, "create_encoder", short)


def in_two_processes(function: Callable[..., None], *arguments: Any) -> None:
    """Call `function(rank, 2, *arguments)` in two processes; they come from one that has loaded what takes long and done nothing yet."""
    multiprocessing.get_context("forkserver").set_forkserver_preload([function.__module__, "transformers.models.bert"])
    multiprocessing.start_processes(function, args=(2, *arguments), nprocs=2, start_method="forkserver")
