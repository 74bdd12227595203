"""Parts that the graph encoders share: input and output, and ten blocks that each encoder fills with its own graph and temporal modules.

The shape is that of the CTR-GCN paper (Chen et al., ICCV 2021, section 3.4): channels w x 4, 2w x 3, 4w x 3 with w = 64; the fifth and
the eighth block halve the time; the first has no residual.

Clips are (N, M, T, V, C). Inside, features are (B, C, V, T) with B = N * M people. Joints come before time, so that the three subsets of a
graph convolution are one matrix product over 3 V: a value convolution whose output channels are ordered (channel, subset) writes
(B, C * 3, V, T), which is (B, C, 3 V, T) without moving anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from poseglot.errors import InputError, SettingError
from poseglot.models.encoders.folding import fold_
from poseglot.models.encoders.temporal import TemporalModule, init_conv
from poseglot.skeletons.layout import Layout

SUBSETS = 3  # self, inward, outward


class SkeletonEncoder(nn.Module):
    """Base of encoders: `enter` checks, pads and normalizes clips, `leave` brings features back into the order of clips.

    Args:
        layout: of the clips.
        num_persons: how many people a clip holds at most. The input BatchNorm has statistics for each.
        channels: numbers per joint.
        features: channels of the joint features.
    """

    def __init__(self, layout: Layout, *, num_persons: int, channels: int, features: int) -> None:
        super().__init__()
        self.num_persons, self.joints, self.channels = num_persons, len(layout), channels
        self.features = features
        """Channels of the joint features."""
        self.input_norm = nn.BatchNorm1d(num_persons * len(layout) * channels)

    def enter(self, x: Tensor) -> Tensor:
        """Map clips (N, M, T, V, C) to (N * num_persons, C, V, T). Missing people are padded with zeros.

        Raises:
            InputError: the clips have other joints or channels, or too many people.
        """
        n, m, t, v, c = x.shape
        if (v, c) != (self.joints, self.channels) or m > self.num_persons:
            raise InputError(
                f"the encoder was built for (N, up to {self.num_persons} people, T, {self.joints} joints, {self.channels} channels), "
                f"but a batch of shape {tuple(x.shape)} came."
            )
        if self.num_persons > 1 or m < self.num_persons:  # also if nobody is missing: an exported network cannot branch
            x = torch.cat([x, x.new_zeros(n, self.num_persons - m, t, v, c)], dim=1)
        x = self.input_norm(x.permute(0, 1, 3, 4, 2).reshape(n, self.num_persons * v * c, t))
        return x.view(n * self.num_persons, v, c, t).transpose(1, 2).contiguous()

    def leave(self, x: Tensor) -> Tensor:
        """Map (N * num_persons, F, V, T') to joint features (N, num_persons, T', V, F)."""
        y: Tensor = x.unflatten(0, (-1, self.num_persons))
        return y.permute(0, 1, 4, 3, 2)


class GraphUnit(nn.Module):
    """The part of a block that mixes joints: (B, C_in, V, T) -> (B, C_out, V, T). Each encoder has its own.

    Attributes:
        framewise: whether the output for a frame depends on that frame only, so that frames may be given one by one.
    """

    framewise = False

    def mean_topology(self, x: Tensor) -> Tensor:
        """Return (V, V): how much joint u (row) aggregates from joint v (column), added over subsets, averaged over the rest."""
        raise NotImplementedError


class SharedGraph(GraphUnit):
    """A graph convolution with the same topologies for all clips and channels, BatchNorm, residual, ReLU.

    A subclass has a `topology()` and sets `conv`, from (B, C_in * 3, V, T) ordered (channel, subset) to C_out, and `norm`.
    """

    framewise = True
    conv: nn.Module
    norm: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.residual: nn.Module | None = None
        self.register_buffer("fixed", None, persistent=False)
        self.fixed: Tensor | None
        """The topology, once it does not change any more."""

    def topology(self) -> Tensor:
        """Return (3, V, V): how much joint u (row) aggregates from joint v (column)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(aggregate(x, self.topology() if self.fixed is None else self.fixed)))
        return F.relu(y if self.residual is None else y + self.residual(x))

    def mean_topology(self, x: Tensor) -> Tensor:
        return self.topology().sum(dim=0)

    def fold_(self) -> None:
        if isinstance(self.conv, nn.Conv2d):
            self.conv, self.norm = fold_(self.conv, self.norm), nn.Identity()
            self.fixed = self.topology().detach()


class Backbone(SkeletonEncoder):
    """Ten blocks: clips -> joint features (N, M, T', V, 4 * base_channels), T' = ceil(ceil(T / 2) / 2).

    Args:
        layout, num_persons, channels: see `SkeletonEncoder`.
        base_channels: of the first four blocks (64 in the paper). The next three have twice, the last three four times as many.
        graph: (C_in, C_out) -> the graph unit of a block.
        temporal: (channels, stride) -> its temporal module.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        num_persons: int,
        channels: int,
        base_channels: int,
        graph: Callable[[int, int], GraphUnit],
        temporal: Callable[[int, int], TemporalModule],
    ) -> None:
        if type(base_channels) is not int or base_channels < 8 or base_channels % 8:
            raise SettingError(f"base_channels must be a multiple of 8 (the paper has 64), not {base_channels!r}.")
        super().__init__(layout, num_persons=num_persons, channels=channels, features=4 * base_channels)
        blocks, in_channels = [], channels
        for number, factor in enumerate([1] * 4 + [2] * 3 + [4] * 3, start=1):
            out_channels, stride = factor * base_channels, 2 if number in (5, 8) else 1
            # The order of construction is the order in which random numbers are drawn: it is part of what a seed means.
            parts = graph(in_channels, out_channels), temporal(out_channels, stride)
            blocks.append(Block(*parts, shortcut(in_channels, out_channels, stride=stride) if number > 1 else None))
            in_channels = out_channels
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Map clips (N, M, T, V, C) to joint features (N, M, T', V, F). Missing people are padded with zeros."""
        x = self.enter(x)
        for block in self.blocks:
            x = block(x)
        return self.leave(x)

    @torch.no_grad()
    def topologies(self, x: Tensor) -> list[Tensor]:
        """Return for each block (V, V): how much joint u (row) aggregates from joint v (column), for inspection.

        Added over subsets, averaged over clips, people (absent ones are zeros, which the network sees too) and channels. It runs in
        evaluation mode whatever the mode, and changes nothing.
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
    """Graph unit, temporal module, residual, ReLU: (B, C_in, V, T) -> (B, C_out, V, ceil(T / stride))."""

    def __init__(self, graph: GraphUnit, temporal: TemporalModule, residual: nn.Module | None) -> None:
        super().__init__()
        self.graph = graph
        self.temporal = temporal
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        return self.finish(self.temporal(self.graph(x)), x)

    def finish(self, y: Tensor, x: Tensor) -> Tensor:
        """Add the residual of the block's input x, and apply ReLU."""
        return F.relu(y if self.residual is None else y + self.residual(x))


class SubsetConv(nn.Module):
    """The weights of a 1x1 convolution for each of the three subsets.

    Args:
        std: of the normally distributed weights; biases are zero.
    """

    def __init__(self, in_channels: int, out_channels: int, *, std: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(SUBSETS, out_channels, in_channels) * std)
        self.bias = nn.Parameter(torch.zeros(SUBSETS, out_channels))


def aggregate(x: Tensor, topology: Tensor) -> Tensor:
    """Return sum_v topology[s, u, v] * x[b, c, v, t] for each subset: (B, C, V, T) and (S, V, V) -> (B, C * S, V, T).

    Where a topology is the same for all channels, aggregating commutes with 1x1 convolutions: a convolution for each subset and their sum
    are one convolution of the aggregated features, and only C_in channels are carried along the graph instead of C_out.
    """
    y = topology.flatten(0, 1) @ x  # (B, C, S * V, T)
    by_subset: Tensor = y.unflatten(2, (len(topology), -1))
    return by_subset.flatten(1, 2)


class Shortcut(nn.Sequential):
    """A strided 1x1 convolution and BatchNorm, for a residual whose shape changes."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        conv = nn.Conv2d(in_channels, out_channels, 1, stride=(1, stride))
        init_conv(conv)
        super().__init__(conv, nn.BatchNorm2d(out_channels))

    def fold_(self) -> None:
        conv, norm = self
        if isinstance(norm, _BatchNorm):
            assert isinstance(conv, nn.Conv2d)
            self[0], self[1] = fold_(conv, norm), nn.Identity()


def shortcut(in_channels: int, out_channels: int, *, stride: int = 1) -> nn.Module:
    """Return the identity, or a `Shortcut` where the shape changes."""
    if in_channels == out_channels and stride == 1:
        return nn.Identity()
    return Shortcut(in_channels, out_channels, stride=stride)
