"""What the tests of the encoders share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from poseglot.testing import scramble


def assert_same_outputs_and_gradients(unit: nn.Module, plain: Callable[[Any, Tensor], Tensor], x: Tensor) -> None:
    """Compare `unit(x)` with `plain(unit, x)`, which uses the same parameters: in training mode, in double precision, scrambled first."""
    scramble(unit.double()).train()
    x = x.double().requires_grad_()
    wanted, found = plain(unit, x), unit(x)
    torch.testing.assert_close(found, wanted)
    weight = torch.randn(wanted.shape, dtype=torch.float64)
    gradients = (torch.autograd.grad((y * weight).sum(), [x, *unit.parameters()]) for y in (found, wanted))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)
