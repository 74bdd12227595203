"""The learning rate by epoch, against the paper's schedule written as a table."""

from __future__ import annotations

import pytest

from poseglot.training.recipe import OptimRecipe
from poseglot.training.schedule import learning_rate


def test_warm_up_then_two_steps() -> None:
    optim = OptimRecipe(lr=0.2, warmup_epochs=5, milestones=[90, 100], gamma=0.1)
    wanted = {0: 0.04, 1: 0.08, 4: 0.2, 5: 0.2, 89: 0.2, 90: 0.02, 99: 0.02, 100: 0.002, 109: 0.002}
    for epoch, rate in wanted.items():
        assert learning_rate(optim, epoch) == pytest.approx(rate)


def test_no_warm_up_and_no_steps_is_constant() -> None:
    optim = OptimRecipe(lr=0.3, warmup_epochs=0, milestones=[])
    assert [learning_rate(optim, epoch) for epoch in (0, 50)] == [0.3, 0.3]
