"""BatchNorm in evaluation mode: a scale and a shift for each channel, folded into the convolution in front of it.

A module that can fold its own BatchNorms has a method `fold_`, which does so in place. `fold_batch_norms` calls it on every module of an
encoder. Whatever has no such method keeps its BatchNorms, and computes the same.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def scale_and_shift(norm: nn.Module, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return what a BatchNorm does to each channel in evaluation mode, in double precision.

    Args:
        bias: of a convolution in front that does not add it; the shift then includes it.
    """
    assert isinstance(norm, _BatchNorm) and norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    mean = norm.running_mean.double() if bias is None else norm.running_mean.double() - bias.double()
    return scale, norm.bias.double() - mean * scale


@torch.no_grad()
def scale_conv_(conv: nn.Conv2d, scale: Tensor | None = None, shift: Tensor | None = None) -> nn.Conv2d:
    """Change a convolution so that its outputs are scaled and then shifted. Its old parameters are replaced, not changed."""
    assert conv.bias is not None
    weight, bias = conv.weight.double(), conv.bias.double()
    if scale is not None:
        weight, bias = weight * scale[:, None, None, None], bias * scale
    conv.weight, conv.bias = constant(weight, conv.weight), constant(bias if shift is None else bias + shift, conv.bias)
    return conv


def fold_(conv: nn.Conv2d, norm: nn.Module) -> nn.Conv2d:
    """Fold a BatchNorm into the convolution in front of it."""
    return scale_conv_(conv, *scale_and_shift(norm))


def constant(tensor: Tensor, like: Tensor) -> nn.Parameter:
    """Return a parameter that does not learn, with the dtype and device of another tensor."""
    return nn.Parameter(tensor.detach().to(like, copy=True).contiguous(), requires_grad=False)


def conv_of(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """Return a 1x1 convolution with constant weights (C_out, C_in) and biases (C_out,)."""
    with torch.random.fork_rng(devices=[]):  # a new module draws weights
        conv = nn.Conv2d(weight.shape[1], weight.shape[0], 1)
    conv.weight, conv.bias = constant(weight[..., None, None], weight), constant(bias, bias)
    return conv


class ScaleShift(nn.Module):
    """A BatchNorm that could not be folded: x * scale + shift, or x + shift without a scale.

    Args:
        scale, shift: (C,).
        like: a tensor with the wanted dtype and device.
        dims: how many dimensions of x follow that of the channels.
    """

    def __init__(self, scale: Tensor | None, shift: Tensor, like: Tensor, *, dims: int = 2) -> None:
        super().__init__()
        shape = (-1, *[1] * dims)
        self.scale = None if scale is None else constant(scale.view(shape), like)
        self.shift = constant(shift.view(shape), like)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.shift if self.scale is None else x * self.scale + self.shift


def fold_batch_norms(module: nn.Module) -> nn.Module:
    """Fold the BatchNorms of a module's parts in place, for evaluation. Returns the module."""
    for part in list(module.modules()):
        if belongs_to_forward(part, "fold_"):
            part.fold_()  # type: ignore[operator]
    return module


def belongs_to_forward(module: nn.Module, name: str) -> bool:
    """Tell whether a method belongs to a module's `forward`.

    A subclass that overrides `forward` but not the method computes something else than the method knows.
    """
    order = type(module).__mro__
    owners = [next((place for place, cls in enumerate(order) if each in vars(cls)), None) for each in (name, "forward")]
    return owners[0] is not None and owners[1] is not None and owners[0] <= owners[1]
