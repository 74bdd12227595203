"""Learning rates: the paper's schedule written as a table, cosine by its formula, one-cycle against torch's own."""

from __future__ import annotations

import math

import pytest
import torch

from poseglot.errors import NotFoundError
from poseglot.training.schedule import SCHEDULES, create_schedule


def test_warm_up_then_two_steps() -> None:
    rate = create_schedule("steps", lr=0.2, epochs=110, steps_per_epoch=3, warmup_epochs=5, milestones=[90, 100])
    wanted = {0: 0.04, 1: 0.08, 4: 0.2, 5: 0.2, 89: 0.2, 90: 0.02, 99: 0.02, 100: 0.002, 109: 0.002}
    for epoch, expected in wanted.items():
        assert [rate(3 * epoch + step) for step in range(3)] == pytest.approx([expected] * 3)


def test_no_warm_up_and_no_steps_is_constant() -> None:
    rate = create_schedule("steps", lr=0.3, epochs=60, steps_per_epoch=1)
    assert [rate(step) for step in (0, 50)] == [0.3, 0.3]


def test_cosine_rises_by_steps_and_falls_by_half_a_cosine() -> None:
    rate = create_schedule("cosine", lr=0.2, epochs=10, steps_per_epoch=7, warmup_epochs=2, final_lr=0.01)
    assert [rate(step) for step in range(14)] == pytest.approx([0.2 * (step + 1) / 14 for step in range(14)])
    expected = [0.01 + 0.19 * (1 + math.cos(math.pi * step / 56)) / 2 for step in range(56)]
    assert [rate(14 + step) for step in range(56)] == pytest.approx(expected)


@pytest.mark.parametrize(("epochs", "steps", "warm"), [(10, 7, 3), (4, 5, 1)])
def test_one_cycle_is_that_of_torch(epochs: int, steps: int, warm: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.2, total_steps=epochs * steps, pct_start=warm / epochs, final_div_factor=1e4, cycle_momentum=False
    )
    expected = []
    for _ in range(epochs * steps):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step() if len(expected) < epochs * steps else None
    ours = create_schedule(
        "one-cycle", lr=0.2, epochs=epochs, steps_per_epoch=steps, warmup_epochs=warm, final_lr=0.2 / 25 / 1e4
    )
    assert [ours(step) for step in range(epochs * steps)] == pytest.approx(expected)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warm", [0, 1, 3])
def test_no_rate_is_above_the_highest_or_below_nothing(name: str, warm: int) -> None:
    rate = create_schedule(name, lr=0.5, epochs=3, steps_per_epoch=2, warmup_epochs=warm, milestones=[2])
    assert all(0 <= rate(step) <= 0.5 for step in range(6))


def test_an_unknown_schedule_is_named() -> None:
    with pytest.raises(NotFoundError, match="cosine"):
        create_schedule("cosin", lr=1, epochs=1, steps_per_epoch=1)
