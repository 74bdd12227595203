"""CTR-GC: Channel-wise Topology Refinement Graph Convolution (Chen et al., ICCV 2021, section 3.3), over three subsets.

For subset s:  topology_s[b, c, u, v] = alpha * project_s(tanh(theta_s[b, :, u] - phi_s[b, :, v]))[c] + adjacency_s[u, v]
               y[b, c, u, t]         += sum_v topology_s[b, c, u, v] * value_s(x)[b, c, v, t]

Written from the paper's equations. What differs from the obvious way is algebra only:

  - theta and phi are 1x1 convolutions followed by a mean over time. Both are linear, so the mean comes first and the convolutions see one
    frame instead of T.
  - The three subsets share their input, so their 1x1 convolutions are one convolution with three times the outputs; the sum over subsets
    and joints is one matrix product (see `backbone`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseglot.kernels import topology as topology_kernels
from poseglot.models.encoders.backbone import SUBSETS, GraphUnit, Shortcut, SubsetConv, shortcut
from poseglot.models.encoders.folding import ScaleShift, conv_of, scale_and_shift, scale_conv_

# Channels that are coordinates, perhaps with a score: an eighth of so few would be too little to relate joints by.
_COORDINATES = (2, 3, 4, 9)


class RefinedGraph(GraphUnit):
    """CTR-GC, BatchNorm, residual, ReLU: (B, C_in, V, T) -> (B, C_out, V, T).

    Args:
        adjacency: (3, V, V), where the learned adjacency starts.
        topology_interval: if given, each group of so many frames has a topology of its own, refined from the mean of all frames up to
            the group's first.
    """

    def __init__(self, in_channels: int, out_channels: int, adjacency: Tensor, topology_interval: int | None = None) -> None:
        super().__init__()
        self.topology_interval = topology_interval
        reduced = 8 if in_channels in _COORDINATES else max(in_channels // 8, 1)
        self.out_channels, self.reduced = out_channels, reduced
        self.adjacency = nn.Parameter(adjacency.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        self.theta = _conv(in_channels, reduced)
        self.phi = _conv(in_channels, reduced)
        self.project = _conv(reduced, out_channels)
        self.value: nn.Module = StackedConv(in_channels, out_channels, std=math.sqrt(2 / out_channels))
        self.norm: nn.Module = nn.BatchNorm2d(out_channels)
        # At first the residual is all there is.
        nn.init.constant_(self.norm.get_parameter("weight"), 1e-6)
        self.residual = shortcut(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        if self.topology_interval is None:
            y = self._refine_and_aggregate(x, x.mean(dim=3))
        else:
            y = self._refine_and_aggregate(*in_groups(x, self.topology_interval)).unflatten(0, (len(x), -1))
            y = y.permute(0, 2, 3, 1, 4).flatten(3)[..., : x.shape[3]]  # without what had filled up the last group
        return self.finish(y, x)

    def finish(self, y: Tensor, x: Tensor) -> Tensor:
        """Apply BatchNorm, the residual of the unit's input x, and ReLU."""
        return F.relu(self.norm(y) + self.residual(x))

    def _refine_and_aggregate(self, x: Tensor, mean: Tensor) -> Tensor:
        value = self.values(x)
        if topology_kernels.unsupported_reason(value) is not None:
            return self.aggregate(value, self.topology(mean))
        weight, bias = self.alpha * self.project.weight, self.alpha * self.project.bias
        relation = self._relation(mean).unflatten(1, (SUBSETS, -1)).to(value.dtype)
        return topology_kernels.aggregate(relation, weight, bias, self.adjacency, value)

    def values(self, x: Tensor) -> Tensor:
        """Return the value convolutions: (B, C_in, V, T) -> (B, C, 3, V, T)."""
        value: Tensor = self.value(x).unflatten(1, (self.out_channels, SUBSETS))
        return value

    def topology(self, mean: Tensor) -> Tensor:
        """Return the refined topologies: (B, C_in, V), a mean over time -> (B, C, V, 3 V)."""
        weight, bias = self.alpha * self.project.weight, self.alpha * self.project.bias
        refined = F.conv2d(self._relation(mean), weight.flatten(0, 1)[..., None, None], bias.flatten(), groups=SUBSETS)
        by_row = refined.unflatten(1, (SUBSETS, -1)).permute(0, 2, 3, 1, 4)  # (B, C, V, 3, V)
        topology: Tensor = by_row + self.adjacency.transpose(0, 1)
        return topology.flatten(3)

    def aggregate(self, value: Tensor, topology: Tensor) -> Tensor:
        """Aggregate values (B, C, 3, V, T) along topologies (B, C, V, 3 V) -> (B, C, V, T)."""
        return topology @ value.flatten(2, 3)

    def _relation(self, mean: Tensor) -> Tensor:
        """Relate all pairs of joints: (B, C_in, V) -> (B, 3 * R, V, V)."""
        theta, phi = (part.weight.flatten(0, 1) @ mean + part.bias.flatten()[:, None] for part in (self.theta, self.phi))
        return (theta[..., :, None] - phi[..., None, :]).tanh_()

    def mean_topology(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=3) if self.topology_interval is None else in_groups(x, self.topology_interval)[1]
        by_subset: Tensor = self.topology(mean).unflatten(3, (SUBSETS, -1))
        return by_subset.sum(dim=3).mean(dim=(0, 1))

    def fold_(self) -> None:
        scale, shift = scale_and_shift(self.norm)
        assert isinstance(self.value, StackedConv)
        weight, bias = self.value.stacked()
        self.value = scale_conv_(conv_of(weight, bias), scale.repeat_interleave(SUBSETS))
        # The shift cannot pass through the topologies: it goes to the residual.
        if isinstance(self.residual, Shortcut):
            self.residual.fold_()
            scale_conv_(self.residual[0], shift=shift)  # type: ignore[arg-type]
            self.norm = nn.Identity()
        else:
            self.norm = ScaleShift(None, shift, like=weight)


class StackedConv(SubsetConv):
    """A 1x1 convolution for each subset, side by side: (B, C_in, V, T) -> (B, C * 3, V, T), outputs ordered (channel, subset)."""

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.stacked()
        return F.conv2d(x, weight[..., None, None], bias)

    def stacked(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias of the one convolution that does the same: (C * 3, C_in), (C * 3,)."""
        return self.weight.transpose(0, 1).flatten(0, 1), self.bias.T.flatten()


def in_groups(x: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Cut clips into groups of frames, each with the mean of everything up to its first frame.

    Returns:
        (B * groups, C, V, size), the last group of a clip filled up with zeros, and (B * groups, C, V), for clips (B, C, V, T).
    """
    frames = x.shape[3]
    first = torch.arange(0, frames, size, device=x.device)
    means = x.cumsum(dim=3)[..., first] / (first + 1).to(x.dtype)
    groups = F.pad(x, (0, -frames % size)).unflatten(3, (-1, size))
    return groups.permute(0, 3, 1, 2, 4).flatten(0, 1), means.permute(0, 3, 1, 2).flatten(0, 1)


def _conv(in_channels: int, out_channels: int) -> SubsetConv:
    return SubsetConv(in_channels, out_channels, std=math.sqrt(2 / out_channels))
