"""Small models to serve, with random weights: one that was aligned with text, and one for two people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from poseglot.app.web.limits import Limits
from poseglot.app.web.service import ModelService
from poseglot.data.synthetic import ACTIONS
from poseglot.models.recognizer import Recognizer, RecognizerSpec, save_recognizer
from poseglot.skeletons.layout import load_layout
from poseglot.training.recipe import DataRecipe, ModelRecipe, OptimRecipe, Recipe, TextRecipe
from poseglot.training.recipe_io import recipe_yaml
from poseglot.training.run_folder import RunFolder

pytest.importorskip("fastapi")
pytest.importorskip("multipart")

UNLIMITED = Limits(rate=0)


def write_run(
    folder: Path, store: Path | None, tiny_bert: Path | None = None, *, people: int = 1, seed: int = 0, layout: Any = "kinect20"
) -> Path:
    """A run's folder: with text if there is a text encoder (whose width is 24), with a store if its clips are there."""
    torch.manual_seed(seed)
    joints = load_layout(layout)
    levels = {"global": tuple(range(len(joints))), **joints.partition("four")} if tiny_bert else None
    spec = RecognizerSpec(
        layout, ACTIONS, num_persons=people, encoder_kwargs={"base_channels": 8}, levels=levels, embed_dim=24 if levels else 0
    )
    run = RunFolder(folder)
    save_recognizer(Recognizer(spec).eval(), run.recognizer)
    words = (
        TextRecipe(prompt="parts", partition="four", descriptions="demo", encoder=str(tiny_bert), freeze=True)
        if tiny_bert
        else TextRecipe(prompt="none")
    )
    recipe = Recipe(
        data=DataRecipe(store=str(store or folder / "gone"), split="cross-person"),
        model=ModelRecipe(base_channels=8),
        text=words,
        optim=OptimRecipe(epochs=1),
    )
    run.recipe.write_text(recipe_yaml(recipe))
    return folder


@pytest.fixture(scope="session")
def worded(tmp_path_factory: pytest.TempPathFactory, store_path: Path, tiny_bert: Path) -> Path:
    """A run with text, of clips that are there."""
    return write_run(tmp_path_factory.mktemp("runs") / "worded", store_path, tiny_bert)


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run for two people, without text and without its clips."""
    return write_run(tmp_path_factory.mktemp("runs") / "pairs", None, people=2, seed=1)


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on other joints, those of NTU RGB+D."""
    return write_run(tmp_path_factory.mktemp("runs") / "others", None, seed=2, layout="ntu25")


Client = Callable[..., Any]


@pytest.fixture
def client(worded: Path) -> Iterator[Client]:
    """Makes a client of a server of some runs (by default the one with text, its words read)."""
    from contextlib import ExitStack

    from fastapi.testclient import TestClient

    from poseglot.app.web.server import create_app

    with ExitStack() as stack:

        def make(*runs: Path, limits: Limits = UNLIMITED, token: str | None = None, read: bool = True, **options: Any) -> Any:
            models = [ModelService(run, id=run.name, limits=limits) for run in runs or (worded,)]
            if read:
                for model in models:
                    model.load_texts()
            app = create_app(models, limits=limits, token=token)
            return stack.enter_context(TestClient(app, base_url="http://localhost", **options))

        yield make
