"""Optimizers by name: their defaults, their arguments, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from poseglot.errors import NotFoundError, SettingError
from poseglot.training.optimizers import create_optimizer, list_optimizers


def created(name: str, weight_decay: float = 0.01, **kwargs: Any) -> torch.optim.Optimizer:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(3, 3))]}]
    return create_optimizer(name, groups, lr=0.1, weight_decay=weight_decay, kwargs=kwargs)


def test_sgd_is_the_papers_unless_told_otherwise() -> None:
    (group,) = created("SGD").param_groups
    assert (group["lr"], group["momentum"], group["nesterov"], group["weight_decay"]) == (0.1, 0.9, True, 0.01)
    (group,) = created("SGD", momentum=0.0, nesterov=False).param_groups
    assert (group["momentum"], group["nesterov"]) == (0.0, False)


@pytest.mark.parametrize("name", sorted(set(list_optimizers()) - {"LBFGS", "SparseAdam", "Rprop"}))
def test_every_optimizer_of_torch_takes_a_step(name: str) -> None:
    optimizer = created(name)
    parameter = optimizer.param_groups[0]["params"][0]
    parameter.grad = torch.ones(3, 3)
    optimizer.step()
    assert parameter.abs().sum() > 0


def test_what_cannot_be_created_is_refused() -> None:
    with pytest.raises(NotFoundError, match="AdamW"):
        created("AdamWW")
    with pytest.raises(SettingError, match="betas"):
        created("AdamW", beta=1)
    with pytest.raises(SettingError, match="weight_decay"):
        created("Rprop")
    assert created("Rprop", weight_decay=0.0)
    with pytest.raises(SettingError, match="LBFGS"):
        created("LBFGS", weight_decay=0.0)
    with pytest.raises(SettingError, match="Nesterov"):
        created("SGD", momentum=0)
