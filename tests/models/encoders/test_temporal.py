"""Temporal modules against their equations: frame by frame, branch by branch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseglot.models.encoders.temporal import MultiScaleTemporal, SingleScaleTemporal
from tests.models.encoders.helpers import assert_same_outputs_and_gradients

SHAPES = pytest.mark.parametrize(("stride", "length"), [(1, 8), (1, 9), (2, 8), (2, 9), (2, 1)])


def batch_norm(norm: nn.BatchNorm2d, y: Tensor, channels: slice) -> Tensor:
    """Some channels of it, in training mode."""
    y = (y - y.mean(dim=(0, 2, 3), keepdim=True)) / (y.var(dim=(0, 2, 3), correction=0, keepdim=True) + norm.eps).sqrt()
    return y * norm.weight[channels, None, None] + norm.bias[channels, None, None]


def plain_conv(conv: nn.Conv2d, x: Tensor, stride: int, dilation: int = 1) -> Tensor:
    """Each frame that is kept, as a sum over the frames around it; there are none before the first and after the last."""
    kernel = conv.weight.shape[3]
    frames = []
    for centre in range(0, x.shape[3], stride):
        y = conv.bias[None, :, None]
        for tap in range(kernel):
            index = centre + (tap - kernel // 2) * dilation
            if 0 <= index < x.shape[3]:
                y = y + torch.einsum("oi,biv->bov", conv.weight[:, :, 0, tap], x[..., index])
        frames.append(y.expand(len(x), -1, x.shape[2]))
    return torch.stack(frames, dim=3)


def plain_pool(x: Tensor, stride: int) -> Tensor:
    frames = [x[..., max(centre - 1, 0) : centre + 2].amax(dim=3) for centre in range(0, x.shape[3], stride)]
    return torch.stack(frames, dim=3)


@SHAPES
@pytest.mark.parametrize("kernel", [1, 5, 9])
def test_single_scale_is_one_convolution(stride: int, length: int, kernel: int) -> None:
    def plain(unit: SingleScaleTemporal, x: Tensor) -> Tensor:
        return batch_norm(unit.norm, plain_conv(unit.conv, x, stride), slice(8))

    unit = SingleScaleTemporal(8, stride=stride, kernel=kernel)
    assert_same_outputs_and_gradients(unit, plain, torch.randn(3, 8, 4, length))


@SHAPES
def test_multi_scale_is_its_four_branches(stride: int, length: int) -> None:
    def plain(unit: MultiScaleTemporal, x: Tensor) -> Tensor:
        slices = [slice(start, start + 4) for start in (0, 4, 8, 12)]
        entered = [
            F.relu(batch_norm(unit.entry_norm, F.conv2d(x, unit.entry.weight[own], unit.entry.bias[own]), own))
            for own in slices[:3]
        ]
        branches = [
            plain_conv(unit.narrow, entered[0], stride),
            plain_conv(unit.wide, entered[1], stride, dilation=2),
            plain_pool(entered[2], stride),
            plain_conv(unit.point, x, stride),
        ]
        return torch.cat([batch_norm(unit.exit_norm, y, own) for y, own in zip(branches, slices, strict=True)], dim=1)

    unit = MultiScaleTemporal(16, stride=stride)
    assert_same_outputs_and_gradients(unit, plain, torch.randn(3, 16, 4, length))
