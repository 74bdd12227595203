"""The NTU recipes have the paper's settings, and run: on synthetic recordings in the real format, prepared as the real ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.prepare import prepare
from poseglot.data.synthetic.raw_ntu import raw_file, raw_names
from poseglot.inference import Predictor
from poseglot.training.build import build
from poseglot.training.engine import Runtime, Trainer, train
from poseglot.training.recipe import LossRecipe, ModelRecipe, Recipe
from poseglot.training.recipe_io import read_recipe
from poseglot.training.run_folder import RunFolder
from tests.training.test_shipped_recipes import fabric_of_a_cpu

RECIPES = [("ntu60", "cross-subject"), ("ntu60", "cross-view"), ("ntu120", "cross-subject"), ("ntu120", "cross-setup")]


def recipe_of(benchmark: str, split: str) -> Recipe:
    return read_recipe(f"{benchmark}/{split}")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 40 recordings of NTU RGB+D 60's classes."""
    folder = tmp_path_factory.mktemp("raw")
    for name in raw_names(40, seed=5, benchmark="ntu60"):
        (folder / f"{name}.skeleton").write_bytes(raw_file(name, seed=5, faults=("ghost", "gap")))
    return folder


def small(recipe: Recipe, store: Path, tiny_bert: Path) -> Recipe:
    """The recipe, narrow and with a small text encoder."""
    return replace(
        recipe,
        data=replace(recipe.data, store=str(store)),
        model=replace(recipe.model, base_channels=8),
        text=replace(recipe.text, encoder=str(tiny_bert)),
        optim=replace(recipe.optim, epochs=1, batch_size=8, warmup_epochs=1, milestones=[]),
    )


@pytest.mark.parametrize(("benchmark", "split"), RECIPES)
def test_a_recipe_has_the_papers_settings(benchmark: str, split: str) -> None:
    recipe = recipe_of(benchmark, split)
    assert (recipe.data.store, recipe.data.split, recipe.data.modality) == (f"data/{benchmark}", split, "joint")
    assert split in load_benchmark(benchmark).splits
    assert recipe.model == ModelRecipe("ctr-gcn", 64)
    assert recipe.loss == LossRecipe(alignment_weight=0.8, target="normalized", logit_scale=10.0)
    assert (recipe.text.prompt, recipe.text.partition, recipe.text.freeze) == ("synonym+parts", "four", False)
    optim = recipe.optim
    assert (optim.epochs, optim.batch_size, optim.lr, optim.name, optim.kwargs) == (110, 200, 0.1, "SGD", {})
    assert (optim.weight_decay, optim.warmup_epochs, optim.milestones, optim.gamma) == (5e-4, 5, [90, 100], 0.1)


def test_from_raw_files_to_an_answer(raw: Path, tmp_path: Path, tiny_bert: Path) -> None:
    store = prepare("ntu60", source=raw, out=tmp_path / "ntu60").store
    recipe = small(recipe_of("ntu60", "cross-subject"), tmp_path / "ntu60", tiny_bert)
    result = train(recipe, tmp_path / "run", runtime=Runtime(accelerator="cpu"))
    assert result.last.total == store.subset_mask("cross-subject", "test").sum()
    predictor = Predictor(tmp_path / "run")
    path = min(raw.iterdir())
    (from_file,) = predictor.predict([path])
    (from_store,) = predictor.predict([store[int(np.flatnonzero(store.clips["name"] == path.stem)[0])]])
    assert from_file.answers == from_store.answers
    assert from_file.answers[0].action in load_benchmark("ntu60").classes


@pytest.mark.parametrize(("benchmark", "split"), RECIPES)
def test_a_recipe_takes_its_first_steps(benchmark: str, split: str, raw: Path, tmp_path: Path, tiny_bert: Path) -> None:
    prepare(benchmark, source=raw, out=tmp_path / "store")
    recipe = small(recipe_of(benchmark, split), tmp_path / "store", tiny_bert)
    recipe = replace(recipe, data=replace(recipe.data, modality="bone_motion"))
    training = Trainer(fabric_of_a_cpu(), recipe, build(recipe), RunFolder(Path("unused")))
    losses = [float(training.step(torch.arange(8), epoch)["loss"].detach()) for epoch in range(3)]
    assert np.isfinite(losses).all()
