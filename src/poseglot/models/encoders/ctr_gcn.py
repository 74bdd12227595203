"""CTR-GCN: Channel-wise Topology Refinement Graph Convolution (Chen et al., ICCV 2021), the encoder of GAP's main results.

Ten blocks, each a graph convolution whose V x V topology is refined per channel from the data (CTR-GC), then a multi-scale
temporal module, both with residuals. Written from the paper's equations; what differs from the obvious way is algebra only:

  - theta and phi are 1x1 convolutions followed by a mean over time. Both are linear, so the mean comes first and the
    convolutions see one frame instead of T.
  - the three subsets share their input, so their 1x1 convolutions are one convolution with three times the outputs.
  - BatchNorm acts per channel, so branches that end in one are concatenated first and normalised together.

Shapes inside: (B, C, T, V) with B = N * M people. At the door: (N, M, T, V, C).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseglot.errors import PoseglotError
from poseglot.skeletons.graph import spatial_subsets
from poseglot.skeletons.layout import Layout

SUBSETS = 3  # self, inward, outward


class CTRGCN(nn.Module):
    """Clips -> joint features.

    Args:
        layout: of the clips.
        people: how many people a clip holds at most (the input BatchNorm has statistics for each).
        channels: coordinates per joint.
        width: of the first four blocks (64 in the paper); the next three have twice, the last three four times as many.
    """

    def __init__(self, layout: Layout, *, people: int = 1, channels: int = 3, width: int = 64) -> None:
        super().__init__()
        if width % 8:
            raise PoseglotError(f"the width of CTR-GCN must be a multiple of 8 (the paper has 64), not {width}.")
        self.people, self.joints, self.channels = people, len(layout), channels
        self.features = 4 * width
        """Channels of the joint features."""
        subsets = torch.from_numpy(spatial_subsets(layout))
        self.input_norm = nn.BatchNorm1d(people * len(layout) * channels)
        widths = [width] * 4 + [2 * width] * 3 + [4 * width] * 3
        blocks, incoming = [], channels
        for number, outgoing in enumerate(widths, start=1):
            stride = 2 if number in (5, 8) else 1
            blocks.append(Block(incoming, outgoing, subsets, stride=stride, residual=number > 1))
            incoming = outgoing
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """(N, M, T, V, C) -> joint features (N, M, T', V, F), T' = ceil(ceil(T / 2) / 2). Fewer people than `people` are padded."""
        n, m, t, v, c = x.shape
        if (v, c) != (self.joints, self.channels) or m > self.people:
            raise PoseglotError(
                f"the encoder was built for (N, up to {self.people} people, T, {self.joints} joints, {self.channels} channels), "
                f"but a batch of shape {tuple(x.shape)} came."
            )
        if m < self.people:
            x = F.pad(x, (0, 0, 0, 0, 0, 0, 0, self.people - m))
            m = self.people
        x = self.input_norm(x.permute(0, 1, 3, 4, 2).reshape(n, m * v * c, t))
        x = x.view(n * m, v, c, t).permute(0, 2, 3, 1).contiguous()
        for block in self.blocks:
            x = block(x)
        return x.view(n, m, *x.shape[1:]).permute(0, 1, 3, 4, 2)


class Block(nn.Module):
    """Graph convolution, temporal module, residual: (B, C_in, T, V) -> (B, C_out, ceil(T / stride), V)."""

    def __init__(self, incoming: int, outgoing: int, subsets: Tensor, *, stride: int, residual: bool) -> None:
        super().__init__()
        self.graph = GraphUnit(incoming, outgoing, subsets)
        self.temporal = MultiScaleTemporal(outgoing, stride=stride)
        self.residual: nn.Module | None = None
        if residual and (incoming != outgoing or stride != 1):
            self.residual = nn.Sequential(nn.Conv2d(incoming, outgoing, 1, stride=(stride, 1)), nn.BatchNorm2d(outgoing))
            init_conv(self.residual[0])
        elif residual:
            self.residual = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.temporal(self.graph(x))
        if self.residual is not None:
            y = y + self.residual(x)
        return F.relu(y)


class GraphUnit(nn.Module):
    """CTR-GC over the three subsets, BatchNorm, residual, ReLU: (B, C_in, T, V) -> (B, C_out, T, V).

    For subset s:  topology_s[b, c, u, v] = alpha * project_s(tanh(theta_s[b, :, u] - phi_s[b, :, v]))[c] + adjacency_s[u, v]
                   y[b, c, t, u]         += sum_v topology_s[b, c, u, v] * value_s(x)[b, c, t, v]
    """

    def __init__(self, incoming: int, outgoing: int, subsets: Tensor) -> None:
        super().__init__()
        reduced = 8 if incoming in (3, 9) else max(incoming // 8, 1)
        self.outgoing, self.reduced = outgoing, reduced
        self.adjacency = nn.Parameter(subsets.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        self.theta = _SubsetLinear(incoming, reduced)
        self.phi = _SubsetLinear(incoming, reduced)
        self.project = _SubsetLinear(reduced, outgoing)
        self.value = _SubsetLinear(incoming, outgoing)
        self.norm = nn.BatchNorm2d(outgoing)
        nn.init.constant_(self.norm.weight, 1e-6)
        self.residual: nn.Module = nn.Identity()
        if incoming != outgoing:
            self.residual = nn.Sequential(nn.Conv2d(incoming, outgoing, 1), nn.BatchNorm2d(outgoing))
            init_conv(self.residual[0])

    def forward(self, x: Tensor) -> Tensor:
        b, _, t, v = x.shape
        topology = self.topology(x.mean(dim=2))
        value = F.conv2d(x, self.value.weight.flatten(0, 1)[..., None, None], self.value.bias.flatten())
        value = value.view(b, SUBSETS, self.outgoing, t, v)
        y = value[:, 0] @ topology[:, 0].mT
        for subset in range(1, SUBSETS):
            y = y + value[:, subset] @ topology[:, subset].mT
        return F.relu(self.norm(y) + self.residual(x))

    def topology(self, mean: Tensor) -> Tensor:
        """(B, C_in, V), the mean over time -> (B, subsets, C_out, V, V)."""
        b, _, v = mean.shape
        theta, phi = self.theta(mean[:, None]), self.phi(mean[:, None])
        relation = torch.tanh(theta[..., :, None] - phi[..., None, :]).flatten(-2)
        refined = self.project(relation).view(b, SUBSETS, self.outgoing, v, v)
        topology: Tensor = refined * self.alpha + self.adjacency[:, None]
        return topology


class _SubsetLinear(nn.Module):
    """A 1x1 convolution for each subset: (B, subsets or 1, C_in, X) -> (B, subsets, C_out, X)."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(SUBSETS, outgoing, incoming) * math.sqrt(2 / outgoing))
        self.bias = nn.Parameter(torch.zeros(SUBSETS, outgoing))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.weight @ x + self.bias[..., None]
        return y


class MultiScaleTemporal(nn.Module):
    """Four branches of a quarter of the channels: 5x1 convolution with dilation 1, with dilation 2, 3x1 max-pool, 1x1 only.

    The first three begin with 1x1, BatchNorm, ReLU; all end in BatchNorm. (B, C, T, V) -> (B, C, ceil(T / stride), V).
    """

    def __init__(self, channels: int, *, stride: int) -> None:
        super().__init__()
        quarter = channels // 4
        self.quarter, self.stride = quarter, stride
        self.entry = nn.Conv2d(channels, 3 * quarter, 1)
        self.entry_norm = nn.BatchNorm2d(3 * quarter)
        self.narrow = nn.Conv2d(quarter, quarter, (5, 1), stride=(stride, 1), padding=(2, 0))
        self.wide = nn.Conv2d(quarter, quarter, (5, 1), stride=(stride, 1), padding=(4, 0), dilation=(2, 1))
        self.pool = nn.MaxPool2d((3, 1), stride=(stride, 1), padding=(1, 0))
        self.point = nn.Conv2d(channels, quarter, 1, stride=(stride, 1))
        self.exit_norm = nn.BatchNorm2d(channels)
        for conv in (self.entry, self.narrow, self.wide, self.point):
            init_conv(conv, branches=3 if conv is self.entry else 1)

    def forward(self, x: Tensor) -> Tensor:
        first, second, third = F.relu(self.entry_norm(self.entry(x))).split(self.quarter, dim=1)
        y: Tensor = self.exit_norm(torch.cat([self.narrow(first), self.wide(second), self.pool(third), self.point(x)], dim=1))
        return y


def init_conv(conv: nn.Module, *, branches: int = 1) -> None:
    """He initialisation by fan-out, bias 0. A convolution that is several branches in one has the fan-out of one of them."""
    assert isinstance(conv, nn.Conv2d)
    fan_out = conv.out_channels // branches * conv.kernel_size[0] * conv.kernel_size[1]
    nn.init.normal_(conv.weight, std=math.sqrt(2 / fan_out))
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
