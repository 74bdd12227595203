"""Checkpoints by themselves: everything comes back, the gradient scaler's state too."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from poseglot.errors import PoseglotError
from poseglot.training.checkpoint import Progress, load_checkpoint, save_checkpoint


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
    save_checkpoint(tmp_path / "c", module, optimizer, Progress(7, (5, 3), scaler), {"seed": 0})
    other, its_optimizer = trained(1)
    assert load_checkpoint(tmp_path / "c", other, its_optimizer, {"seed": 0}) == Progress(7, (5, 3), scaler)
    for ours, theirs in zip(other.state_dict().values(), module.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(other.parameters(), module.parameters(), strict=True):
        assert torch.equal(its_optimizer.state[ours]["momentum_buffer"], optimizer.state[theirs]["momentum_buffer"])


def test_every_setting_that_differs_is_named(tmp_path: Path) -> None:
    module, optimizer = trained(0)
    save_checkpoint(tmp_path / "c", module, optimizer, Progress(), {"seed": 0, "optim": {"lr": 1.0, "steps": [1]}})
    with pytest.raises(
        PoseglotError, match=r"optim\.lr \(1\.0 then, 2\.0 now\), seed \(0 then, 3 now\)\. Resume .*recipe\.yaml"
    ):
        load_checkpoint(tmp_path / "c", module, optimizer, {"seed": 3, "optim": {"lr": 2.0, "steps": [1]}})


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    module, optimizer = trained(0)
    save_checkpoint(tmp_path / "c", module, optimizer, Progress(), {})
    with pytest.raises(PoseglotError, match="does not fit the model"):
        load_checkpoint(tmp_path / "c", nn.Linear(2, 2), optimizer, {})
