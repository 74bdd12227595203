"""CTR-GCN: Channel-wise Topology Refinement Graph Convolution (Chen et al., ICCV 2021), the encoder of GAP's main results.

The ten blocks of `backbone`, each with a graph convolution whose V x V topology is refined per channel from the data (CTR-GC). GAP's
comparison with other methods has it with multi-scale temporal modules, its ablation study with single-scale ones. Written from the
paper's equations; what differs from the obvious way is algebra only:

  - theta and phi are 1x1 convolutions followed by a mean over time. Both are linear, so the mean comes first and the
    convolutions see one frame instead of T.
  - the three subsets share their input, so their 1x1 convolutions are one convolution with three times the outputs.
  - BatchNorm acts per channel, so branches that end in one are concatenated first and normalised together.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseglot.errors import PoseglotError
from poseglot.kernels import topology as on_gpu
from poseglot.models.encoders import backbone, ctr_gcn_channels_last
from poseglot.models.encoders.backbone import SUBSETS, Backbone, shortcut
from poseglot.models.encoders.temporal import KERNEL, MULTI, SINGLE, temporal_modules
from poseglot.skeletons.graph import spatial_subsets
from poseglot.skeletons.layout import Layout

REFRESH = 8
"""Frames after which a causal encoder's topology is made anew: making it costs as much as collecting along it for several frames."""


class CTRGCN(Backbone):
    """Clips -> joint features.

    Args:
        layout: of the clips.
        people: how many people a clip holds at most.
        channels: coordinates per joint.
        base_channels: of the first four blocks; see `Backbone`.
        temporal: modules, multi-scale or single-scale.
        kernel: frames that a single-scale module sees. The papers do not say; ST-GCN's 9.
        causal: whether a frame's features depend on it and those before it alone: the temporal modules' windows end with the frame, and
            a topology is refined from the mean of the frames up to the last one whose number `refresh` divides.
        refresh: of a causal encoder: after how many frames (of the block's own rate) the topology is made anew.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        num_persons: int = 1,
        channels: int = 3,
        base_channels: int = 64,
        temporal: str = MULTI,
        kernel: int = KERNEL,
        causal: bool = False,
        refresh: int = REFRESH,
    ) -> None:
        if type(refresh) is not int or refresh < 1:
            raise PoseglotError(f"a topology is refreshed every so many frames, at least 1, not {refresh!r}.")
        super().__init__(
            layout,
            num_persons=num_persons,
            channels=channels,
            base_channels=base_channels,
            graph=partial(GraphUnit, subsets=torch.from_numpy(spatial_subsets(layout)), refresh=refresh if causal else None),
            temporal=temporal_modules(temporal, kernel, causal=causal),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, M, T, V, C) -> joint features (N, M, T', V, F), by our own kernels where there are such (`ctr_gcn_rows`)."""
        if ctr_gcn_channels_last.unsupported_reason(self, x) is not None:
            return super().forward(x)
        if self.training:
            return ctr_gcn_channels_last.train_channels_last(self, x)
        return ctr_gcn_channels_last.ChannelsLastEncoder(self, x.dtype)(x)


def ctr_gcn_single(
    layout: Layout,
    *,
    num_persons: int = 1,
    channels: int = 3,
    base_channels: int = 64,
    kernel: int = KERNEL,
    causal: bool = False,
    refresh: int = REFRESH,
) -> CTRGCN:
    """CTR-GCN with single-scale temporal modules, as in GAP's ablation study."""
    return CTRGCN(
        layout,
        num_persons=num_persons,
        channels=channels,
        base_channels=base_channels,
        temporal=SINGLE,
        kernel=kernel,
        causal=causal,
        refresh=refresh,
    )


# Channels that are coordinates, perhaps with a score: of so few, an eighth would be too little to relate joints by.
_COORDINATES = (2, 3, 4, 9)


class GraphUnit(backbone.GraphUnit):
    """CTR-GC over the three subsets, BatchNorm, residual, ReLU: (B, C_in, T, V) -> (B, C_out, T, V).

    For subset s:  topology_s[b, c, u, v] = alpha * project_s(tanh(theta_s[b, :, u] - phi_s[b, :, v]))[c] + adjacency_s[u, v]
                   y[b, c, t, u]         += sum_v topology_s[b, c, u, v] * value_s(x)[b, c, t, v]

    With `refresh`, each group of so many frames has a topology of its own, from the mean of all frames up to the group's first.
    """

    def __init__(self, in_channels: int, out_channels: int, subsets: Tensor, refresh: int | None = None) -> None:
        super().__init__()
        self.refresh = refresh
        reduced = 8 if in_channels in _COORDINATES else max(in_channels // 8, 1)
        self.out_channels, self.reduced = out_channels, reduced
        self.adjacency = nn.Parameter(subsets.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        self.theta = _SubsetLinear(in_channels, reduced)
        self.phi = _SubsetLinear(in_channels, reduced)
        self.project = _SubsetLinear(reduced, out_channels)
        self.value = _SubsetLinear(in_channels, out_channels)
        self.norm = nn.BatchNorm2d(out_channels)
        nn.init.constant_(self.norm.weight, 1e-6)
        self.residual = shortcut(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        if self.refresh is None:
            y = self._collect(x, x.mean(dim=2))
        else:
            y = self._collect(*in_groups(x, self.refresh)).unflatten(0, (len(x), -1)).transpose(1, 2).flatten(2, 3)
            y = y[:, :, : x.shape[2]]  # what had filled up the last group is cut off
        return F.relu(self.norm(y) + self.residual(x))

    def _collect(self, x: Tensor, mean: Tensor) -> Tensor:
        """(B, C_in, T, V) along the topologies refined from means (B, C_in, V) -> (B, C_out, T, V)."""
        b, _, t, v = x.shape
        value = F.conv2d(x, self.value.weight.flatten(0, 1)[..., None, None], self.value.bias.flatten())
        value = value.view(b, SUBSETS, self.out_channels, t, v)
        if on_gpu.unsupported_reason(value) is None:
            weight, bias = self.alpha * self.project.weight, self.alpha * self.project.bias
            return on_gpu.collect(self.relation(mean).to(value.dtype), weight, bias, self.adjacency, value)
        topology = self.topology(mean)
        y = value[:, 0] @ topology[:, 0].mT
        for subset in range(1, SUBSETS):
            y = y + value[:, subset] @ topology[:, subset].mT
        return y

    def relation(self, mean: Tensor) -> Tensor:
        """(B, C_in, V), the mean over time -> (B, subsets, R, V * V)."""
        theta, phi = self.theta(mean[:, None]), self.phi(mean[:, None])
        return torch.tanh(theta[..., :, None] - phi[..., None, :]).flatten(-2)

    def topology(self, mean: Tensor) -> Tensor:
        """(B, C_in, V), the mean over time -> (B, subsets, C_out, V, V)."""
        b, _, v = mean.shape
        refined = self.project(self.relation(mean)).view(b, SUBSETS, self.out_channels, v, v)
        topology: Tensor = refined * self.alpha + self.adjacency[:, None]
        return topology

    def mean_topology(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=2) if self.refresh is None else in_groups(x, self.refresh)[1]
        return self.topology(mean).sum(dim=1).mean(dim=(0, 1))


def in_groups(x: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Clips cut into groups of frames, each with the mean of everything up to its first frame.

    (B, C, T, V) -> (B * groups, C, size, V), the last group of a clip filled up with zeros, and (B * groups, C, V).
    """
    frames = x.shape[2]
    first = torch.arange(0, frames, size, device=x.device)
    means = x.cumsum(dim=2)[:, :, first] / (first + 1)[:, None].to(x.dtype)
    groups = F.pad(x, (0, 0, 0, -frames % size)).unflatten(2, (-1, size))
    return groups.transpose(1, 2).flatten(0, 1), means.transpose(1, 2).flatten(0, 1)


class _SubsetLinear(nn.Module):
    """A 1x1 convolution for each subset: (B, subsets or 1, C_in, X) -> (B, subsets, C_out, X)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(SUBSETS, out_channels, in_channels) * math.sqrt(2 / out_channels))
        self.bias = nn.Parameter(torch.zeros(SUBSETS, out_channels))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.weight @ x + self.bias[..., None]
        return y
