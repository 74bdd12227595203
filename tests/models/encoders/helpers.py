"""What the tests of the encoders share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from poseglot.models.encoders import create_encoder
from poseglot.skeletons.layout import load_layout


def build(name: str, layout: str, num_persons: int, *, seed: int = 0, **options: Any) -> nn.Module:
    """A small one, in evaluation mode."""
    torch.manual_seed(seed)
    return create_encoder(
        name, load_layout(layout), num_persons=num_persons, channels=3, **{"base_channels": 8, **options}
    ).eval()


def scrambled(module: nn.Module, *, seed: int = 1) -> nn.Module:
    """Every parameter and statistic random, so that nothing hides behind a zero or a one."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.dtype.is_floating_point:
            values = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype) * 0.3
            tensor.copy_(values.abs() + 0.5 if name.endswith("running_var") else values)
    return module


def clips(count: int, num_persons: int, frames: int, layout: str, *, seed: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, num_persons, frames, len(load_layout(layout)), 3, generator=generator)


def assert_equal_in_outputs_and_gradients(unit: nn.Module, plain: Callable[[Any, Tensor], Tensor], x: Tensor) -> None:
    """`unit(x)` and `plain(unit, x)`, which uses the same parameters; in training mode, in double precision, scrambled first."""
    scrambled(unit.double()).train()
    x = x.double().requires_grad_()
    wanted, fast = plain(unit, x), unit(x)
    torch.testing.assert_close(fast, wanted)
    weight = torch.randn(wanted.shape, dtype=torch.float64)
    for ours, theirs in zip(
        *(torch.autograd.grad((y * weight).sum(), [x, *unit.parameters()]) for y in (fast, wanted)), strict=True
    ):
        torch.testing.assert_close(ours, theirs)
