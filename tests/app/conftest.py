"""Runs as a training leaves them, made by hand on a small store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from poseglot.app.cli import main
from poseglot.data.synthetic import ACTIONS
from poseglot.files import write_atomically
from poseglot.models.recognizer import Recognizer, RecognizerSpec, save_recognizer
from poseglot.training.recipe import DataRecipe, ModelRecipe, OptimRecipe, Recipe, TextRecipe
from poseglot.training.recipe_io import recipe_yaml
from poseglot.training.run_folder import RunFolder


@dataclass(frozen=True)
class Outcome:
    """What a command left behind: exit status, standard output, standard error."""

    status: int
    out: str
    error: str


@pytest.fixture
def poseglot(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs a command line in this process."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as left:
            status = int(left.code or 0)
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run


@pytest.fixture
def make_run(store_path: Path) -> Callable[..., Path]:
    """Writes a run's folder: a small recognizer, its recipe, and the log of two epochs."""

    def make(folder: Path, *, seed: int = 0, modality: str = "joint", classes: tuple[str, ...] = ACTIONS) -> Path:
        torch.manual_seed(seed)
        spec = RecognizerSpec(layout="kinect20", classes=classes, encoder_kwargs={"base_channels": 8}, modality=modality)
        recognizer = Recognizer(spec).eval()
        with torch.no_grad():
            clips = torch.rand(8, 1, 52, 20, 3) * 2 - 1
            recognizer.classifier.weight.mul_(2 / recognizer(clips)["logits"].std(dim=0).mean())
            recognizer.classifier.bias.sub_(recognizer(clips)["logits"].mean(dim=0))
        run = RunFolder(folder)
        save_recognizer(recognizer, run.recognizer)
        recipe = Recipe(
            data=DataRecipe(store=str(store_path), split="cross-person", modality=modality),  # type: ignore[arg-type]
            model=ModelRecipe(base_channels=8),
            text=TextRecipe(prompt="none", partition="none", descriptions="demo"),
            optim=OptimRecipe(epochs=2),
        )
        write_atomically(run.recipe, recipe_yaml(recipe))
        for epoch in (1, 2):
            run.add_to_log(
                {
                    "epoch": epoch,
                    "lr": 0.02 * epoch,
                    "loss": 2.5 / epoch,
                    "classification": 2.5 / epoch,
                    "alignment": 0.0,
                    "train": {"correct": 20 * epoch, "total": 96},
                    "seconds": 1.5,
                    "clips_per_second": 64.0,
                    "test": {"correct": 5 * epoch, "total": 24},
                }
            )
        return folder

    return make
