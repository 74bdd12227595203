"""What the graph encoders share: the door, and ten blocks of which each encoder fills in the graph convolution and the temporal module.

The shape is that of the CTR-GCN paper (Chen et al., ICCV 2021, section 3.4): widths w x 4, 2w x 3, 4w x 3 with w = 64, the fifth
and the eighth block halve the time, the first has no residual.

Shapes inside: (B, C, T, V) with B = N * M people. At the door: (N, M, T, V, C).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseglot.errors import PoseglotError
from poseglot.skeletons.layout import Layout

SUBSETS = 3  # self, inward, outward


class SkeletonEncoder(nn.Module):
    """The door: `enter` checks, pads and normalises clips, `leave` brings features back into the order of clips.

    Args:
        layout: of the clips.
        people: how many people a clip holds at most (the input BatchNorm has statistics for each).
        channels: coordinates per joint.
        features: channels of the joint features.
    """

    def __init__(self, layout: Layout, *, num_persons: int, channels: int, features: int) -> None:
        super().__init__()
        self.num_persons, self.joints, self.channels = num_persons, len(layout), channels
        self.features = features
        """Channels of the joint features."""
        self.input_norm = nn.BatchNorm1d(num_persons * len(layout) * channels)

    def enter(self, x: Tensor) -> Tensor:
        """Clips (N, M, T, V, C) -> (N * people, C, T, V). Fewer people than `people` are padded with zeros."""
        n, m, t, v, c = x.shape
        if (v, c) != (self.joints, self.channels) or m > self.num_persons:
            raise PoseglotError(
                f"the encoder was built for (N, up to {self.num_persons} people, T, {self.joints} joints, {self.channels} channels), "
                f"but a batch of shape {tuple(x.shape)} came."
            )
        if m < self.num_persons:
            x = F.pad(x, (0, 0, 0, 0, 0, 0, 0, self.num_persons - m))
            m = self.num_persons
        x = self.input_norm(x.permute(0, 1, 3, 4, 2).reshape(n, m * v * c, t))
        return x.view(n * m, v, c, t).permute(0, 2, 3, 1).contiguous()

    def leave(self, x: Tensor) -> Tensor:
        """(N * people, F, T', V) -> joint features (N, people, T', V, F)."""
        return x.view(len(x) // self.num_persons, self.num_persons, *x.shape[1:]).permute(0, 1, 3, 4, 2)


class GraphUnit(nn.Module):
    """The half of a block that mixes joints: (B, C_in, T, V) -> (B, C_out, T, V). Each encoder has its own."""

    def mean_topology(self, x: Tensor) -> Tensor:
        """(B, C_in, T, V) -> (V, V): how much joint u (row) collects from joint v (column); subsets added, mean over the rest."""
        raise NotImplementedError


class Backbone(SkeletonEncoder):
    """Clips -> joint features (N, M, T', V, 4 * width), T' = ceil(ceil(T / 2) / 2).

    Args:
        layout, people, channels: see `SkeletonEncoder`.
        base_channels: of the first four blocks (64 in the paper); the next three have twice, the last three four times as many.
        graph: (C_in, C_out) -> the graph unit of a block.
        temporal: (channels, stride) -> its temporal module, (B, C, T, V) -> (B, C, ceil(T / stride), V).
    """

    def __init__(
        self,
        layout: Layout,
        *,
        num_persons: int,
        channels: int,
        base_channels: int,
        graph: Callable[[int, int], GraphUnit],
        temporal: Callable[[int, int], nn.Module],
    ) -> None:
        if type(base_channels) is not int or base_channels < 8 or base_channels % 8:
            raise PoseglotError(
                f"the base_channels of an encoder must be a multiple of 8 (the paper has 64), not {base_channels!r}."
            )
        super().__init__(layout, num_persons=num_persons, channels=channels, features=4 * base_channels)
        widths = [base_channels] * 4 + [2 * base_channels] * 3 + [4 * base_channels] * 3
        blocks, in_channels = [], channels
        for number, out_channels in enumerate(widths, start=1):
            stride = 2 if number in (5, 8) else 1
            # Built one part after another: the order in which random numbers are drawn is part of what a seed means.
            parts = graph(in_channels, out_channels), temporal(out_channels, stride)
            blocks.append(Block(*parts, shortcut(in_channels, out_channels, stride=stride) if number > 1 else None))
            in_channels = out_channels
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """(N, M, T, V, C) -> joint features (N, M, T', V, F). Fewer people than `people` are padded."""
        x = self.enter(x)
        for block in self.blocks:
            x = block(x)
        return self.leave(x)

    @torch.no_grad()
    def topologies(self, x: Tensor) -> list[Tensor]:
        """Clips (N, M, T, V, C) -> for each block (V, V): how much joint u (row) collects from joint v (column).

        The subsets added; mean over clips, people (absent ones are zeros, which the network sees too) and channels. For looking at
        what was learned: it runs in evaluation mode whatever the mode, and leaves no trace.
        """
        training = self.training
        self.eval()
        try:
            return list(self._topologies(self.enter(x)))
        finally:
            self.train(training)

    def _topologies(self, x: Tensor) -> Iterator[Tensor]:
        for block in self.blocks:
            assert isinstance(block, Block)
            yield block.graph.mean_topology(x)
            x = block(x)


class Block(nn.Module):
    """Graph unit, temporal module, residual, ReLU: (B, C_in, T, V) -> (B, C_out, ceil(T / stride), V)."""

    def __init__(self, graph: GraphUnit, temporal: nn.Module, residual: nn.Module | None) -> None:
        super().__init__()
        self.graph = graph
        self.temporal = temporal
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.temporal(self.graph(x))
        if self.residual is not None:
            y = y + self.residual(x)
        return F.relu(y)


def collect(x: Tensor, topology: Tensor) -> Tensor:
    """sum_v topology[s, u, v] * x[b, c, t, v] for every subset: (B, C, T, V) and (subsets, V, V) -> (B, subsets * C, T, V).

    Where a topology is the same for all channels, collecting commutes with 1x1 convolutions: a convolution for each subset and their sum
    are one convolution of what was collected, and C_in channels have to be carried along the graph instead of C_out.
    """
    return torch.cat([x @ subset.mT for subset in topology], dim=1)


def shortcut(in_channels: int, out_channels: int, *, stride: int = 1) -> nn.Module:
    """The identity; where the shape changes, a strided 1x1 convolution and BatchNorm."""
    if in_channels == out_channels and stride == 1:
        return nn.Identity()
    conv = nn.Conv2d(in_channels, out_channels, 1, stride=(stride, 1))
    init_conv(conv)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


def init_conv(conv: nn.Conv2d, *, branches: int = 1) -> None:
    """He initialisation by fan-out, bias 0. A convolution that is several branches in one has the fan-out of one of them."""
    fan_out = conv.out_channels // branches * conv.kernel_size[0] * conv.kernel_size[1]
    nn.init.normal_(conv.weight, std=math.sqrt(2 / fan_out))
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
