"""The shipped recipes run: the demo recipe to its end, the NW-UCLA ones for a first step on the real data. Slow tier."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from poseglot.data.prepare import prepare
from poseglot.training.build import build
from poseglot.training.engine import Runtime, Trainer, train
from poseglot.training.recipe import Recipe
from poseglot.training.recipe_io import read_recipe
from poseglot.training.run_folder import RunFolder
from tests.training.test_task import one_batch

pytestmark = pytest.mark.slow
CPU = Runtime(accelerator="cpu")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    store = tmp_path_factory.mktemp("demo") / "store"
    prepare("demo", source=None, out=store)
    recipe = read_recipe("demo")
    return replace(recipe, data=replace(recipe.data, store=str(store)))


@pytest.mark.timeout(1800)
def test_the_demo_recipe_is_clearly_above_nearest_neighbour_and_under_perfect(demo: Recipe, tmp_path: Path) -> None:
    result = train(demo, tmp_path / "run", runtime=CPU)
    assert result.last.total == 288
    # Nearest neighbour stays below 70 % (tests/skeletons/test_synthetic.py).
    assert 0.85 <= result.last.correct / result.last.total < 1


@pytest.mark.parametrize("modality", ["joint", "bone", "joint_motion", "bone_motion"])
@pytest.mark.parametrize("name", ["paper", "paper-clip", "official", "cpu-hour", "fast"])
def test_an_nw_ucla_recipe_takes_its_first_steps_on_real_clips(name: str, modality: str, real_store: Path) -> None:
    recipe = read_recipe(f"nw-ucla/{name}")
    recipe = replace(
        recipe,
        data=replace(recipe.data, store=str(real_store), modality=modality),  # type: ignore[arg-type]
        # CLIP's weights come from a hub; here MiniLM stands in for them. Narrow, and in 32 bits, to be quick on any CPU.
        text=replace(recipe.text, encoder="minilm"),
        model=replace(recipe.model, base_channels=8),
        precision="32-true",
    )
    training = Trainer(fabric_of_a_cpu(), recipe, build(recipe), RunFolder(Path("unused")))
    losses = [float(training.step(torch.arange(16) * 60, epoch)["loss"]) for epoch in range(3)]
    assert np.isfinite(losses).all()
    assert len(training.built.train) == 1020
    assert len(training.built.test) == 464


def test_minilm_gives_the_same_loss_once_per_distinct_text_and_for_every_text(demo: Recipe) -> None:
    tuned = replace(demo, text=replace(demo.text, freeze=False))
    built = build(tuned)
    _, _, places = one_batch(built)
    built.task.train()
    bank = built.task.bank
    assert bank is not None
    assert bank.encoder is not None
    with torch.no_grad():
        together = bank(places)
        texts = [built.prompts.texts[int(place)] for place in places[:, 0]]  # type: ignore[union-attr]
        alone = torch.cat([bank.encoder(bank.encoder.tokenize([text])) for text in texts])
    torch.testing.assert_close(together[:, 0], alone, rtol=1e-4, atol=1e-5)


def fabric_of_a_cpu():  # type: ignore[no-untyped-def]
    from poseglot.training.engine import Fabric

    return Fabric(accelerator="cpu", devices=1)
