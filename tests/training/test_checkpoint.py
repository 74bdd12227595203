"""Checkpoints by themselves: everything comes back, the gradient scaler's state too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from poseglot.errors import FileError, SettingError
from poseglot.models.tensor_file import read_tensors, write_tensors
from poseglot.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from poseglot.training.recipe import DataRecipe, OptimRecipe, Recipe, TextRecipe

RECIPE = Recipe(DataRecipe(store="store", split="split"))


def trained(seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    module(torch.randn(5, 3)).square().sum().backward()
    optimizer.step()
    return module, optimizer


def test_weights_statistics_momentum_and_progress_come_back(tmp_path: Path) -> None:
    module, optimizer = trained(0)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0).state_dict()
    save_checkpoint(tmp_path / "c", module, optimizer, Progress(7, (5, 3), scaler), RECIPE)
    other, its_optimizer = trained(1)
    assert load_checkpoint(tmp_path / "c", other, its_optimizer, RECIPE) == Progress(7, (5, 3), scaler)
    for ours, theirs in zip(other.state_dict().values(), module.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(other.parameters(), module.parameters(), strict=True):
        assert torch.equal(its_optimizer.state[ours]["momentum_buffer"], optimizer.state[theirs]["momentum_buffer"])


def test_every_setting_that_differs_is_named(tmp_path: Path) -> None:
    module, optimizer = trained(0)
    save_checkpoint(tmp_path / "c", module, optimizer, Progress(), RECIPE)
    other = replace(RECIPE, seed=3, optim=OptimRecipe(lr=2.0))
    with pytest.raises(
        SettingError, match=r"optim\.lr \(0\.1 there, 2\.0 wanted\), seed \(0 there, 3 wanted\)\. Resume .*recipe\.yaml"
    ):
        load_checkpoint(tmp_path / "c", module, optimizer, other)


def test_settings_newer_than_the_checkpoint_have_their_defaults(tmp_path: Path) -> None:
    module, optimizer = trained(0)
    save_checkpoint(tmp_path / "c", module, optimizer, Progress(4), RECIPE)
    described, tensors = read_tensors(tmp_path / "c")
    del described["recipe"]["text"]["states"], described["recipe"]["loss"]
    write_tensors(tmp_path / "c", tensors, described)
    assert load_checkpoint(tmp_path / "c", module, optimizer, RECIPE).epochs == 4
    with pytest.raises(SettingError, match=r"text\.states \(5 there, 7 wanted\)"):
        load_checkpoint(tmp_path / "c", module, optimizer, replace(RECIPE, text=TextRecipe(states=7)))


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    module, optimizer = trained(0)
    save_checkpoint(tmp_path / "c", module, optimizer, Progress(), RECIPE)
    with pytest.raises(FileError, match="c does not fit"):
        load_checkpoint(tmp_path / "c", nn.Linear(2, 2), optimizer, RECIPE)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": -1},
        {"epochs": 1.5},
        {"epochs": 10**6},
        {"epochs": True},
        {"best_on_test": [1]},
        {"best_on_test": [3, 9]},
        {"scaler": 1},
    ],
    ids=str,
)
def test_impossible_progress_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    module, optimizer = trained(0)
    save_checkpoint(tmp_path / "c", module, optimizer, Progress(7, (5, 3)), RECIPE)
    described, tensors = read_tensors(tmp_path / "c")
    write_tensors(tmp_path / "c", tensors, {**described, "progress": {**described["progress"], **wrong}})
    before = module[0].weight.detach().clone()
    with pytest.raises(FileError):
        load_checkpoint(tmp_path / "c", module, optimizer, RECIPE)
    assert torch.equal(module[0].weight, before)


def test_other_clips_are_refused(tmp_path: Path) -> None:
    module, optimizer = trained(0)
    save_checkpoint(tmp_path / "c", module, optimizer, Progress(1), RECIPE, clips={"train": "a", "test": "b"})
    load_checkpoint(tmp_path / "c", module, optimizer, RECIPE, clips={"train": "a", "test": "b"})
    with pytest.raises(SettingError):
        load_checkpoint(tmp_path / "c", module, optimizer, RECIPE, clips={"train": "b", "test": "a"})


def test_the_checkpoint_before_is_taken_for_a_damaged_or_missing_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, before = tmp_path / "c", tmp_path / "before"
    module, optimizer = trained(0)
    for epoch in (1, 2):
        save_checkpoint(path, module, optimizer, Progress(epoch), RECIPE, keep=before)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileError):
        load_checkpoint(path, module, optimizer, RECIPE)
    assert load_checkpoint(path, module, optimizer, RECIPE, previous=before).epochs == 1
    assert str(before) in caplog.text
    path.unlink()
    assert load_checkpoint(path, module, optimizer, RECIPE, previous=before).epochs == 1


def test_a_damaged_checkpoint_never_takes_the_place_of_the_whole_one_before(tmp_path: Path) -> None:
    """The next save replaces it; a process that is killed before that still has the one before, and one after it has both."""
    path, before = tmp_path / "c", tmp_path / "before"
    module, optimizer = trained(0)
    for epoch in (1, 2):
        save_checkpoint(path, module, optimizer, Progress(epoch), RECIPE, keep=before)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    save_checkpoint(path, module, optimizer, Progress(2), RECIPE, keep=before)
    assert [load_checkpoint(file, module, optimizer, RECIPE).epochs for file in (path, before)] == [2, 1]
    save_checkpoint(path, module, optimizer, Progress(3), RECIPE, keep=before)
    assert [load_checkpoint(file, module, optimizer, RECIPE).epochs for file in (path, before)] == [3, 2]
