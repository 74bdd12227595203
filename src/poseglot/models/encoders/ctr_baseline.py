"""CTR-baseline: the public baseline of CTR-GCN (Chen et al., ICCV 2021), in GAP's table 1d. 2,108,322 parameters at NTU-120.

Each block has three V x V matrices A_s for all channels and clips. They start as identities and are learned; in every forward pass each
column is divided by its L2 norm. With 1x1 convolutions W_s:

    y = sum_s W_s(x A_s / (|A_s| + 1e-4)),   then BatchNorm, residual, ReLU, a 5x1 convolution over time, BatchNorm, residual, ReLU
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseglot.models.encoders.backbone import SUBSETS, Backbone, SharedGraph, SubsetConv, shortcut
from poseglot.models.encoders.folding import conv_of
from poseglot.models.encoders.registry import register_encoder
from poseglot.models.encoders.temporal import SINGLE, temporal_modules
from poseglot.skeletons.layout import Layout

EPSILON = 1e-4


@register_encoder("ctr-baseline")
class CTRBaseline(Backbone):
    """CTR-baseline: clips -> joint features.

    Args:
        layout: of the clips.
        num_persons: how many people a clip holds at most.
        channels: numbers per joint.
        base_channels: of the first four blocks; see `Backbone`.
        temporal: modules, single-scale or multi-scale.
        kernel: frames that a single-scale module sees; 5 if not given.
        causal: whether the features of a frame depend on it and earlier frames only (see `temporal`).
    """

    def __init__(
        self,
        layout: Layout,
        *,
        num_persons: int = 1,
        channels: int = 3,
        base_channels: int = 64,
        temporal: str = SINGLE,
        kernel: int | None = None,
        causal: bool = False,
    ) -> None:
        super().__init__(
            layout,
            num_persons=num_persons,
            channels=channels,
            base_channels=base_channels,
            graph=lambda in_channels, out_channels: LearnedGraph(in_channels, out_channels, joints=len(layout)),
            temporal=temporal_modules(temporal, kernel, causal=causal, default=5),
        )


class LearnedGraph(SharedGraph):
    """Graph convolution with learned topologies, BatchNorm, residual, ReLU: (B, C_in, V, T) -> (B, C_out, V, T)."""

    def __init__(self, in_channels: int, out_channels: int, *, joints: int) -> None:
        super().__init__()
        self.adjacency = nn.Parameter(torch.eye(joints).repeat(SUBSETS, 1, 1))
        # Three branches that are added: a third of the variance each.
        self.conv = SummedConv(in_channels, out_channels, std=math.sqrt(2 / (SUBSETS * out_channels)))
        self.norm = nn.BatchNorm2d(out_channels)
        # At first the residual is all there is, as in CTR-GCN.
        nn.init.constant_(self.norm.weight, 1e-6)
        self.residual = shortcut(in_channels, out_channels)

    def topology(self) -> Tensor:
        """Return (3, V, V): the matrices, normalized by column and transposed."""
        columns: Tensor = torch.linalg.vector_norm(self.adjacency, dim=1, keepdim=True)
        return (self.adjacency / (columns + EPSILON)).mT

    def fold_(self) -> None:
        if isinstance(self.conv, SummedConv):
            self.conv = conv_of(*self.conv.summed())
            super().fold_()


class SummedConv(SubsetConv):
    """A 1x1 convolution for each subset, and their sum: (B, C_in * 3, V, T) -> (B, C_out, V, T), inputs ordered (channel, subset)."""

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.summed()
        return F.conv2d(x, weight[..., None, None], bias)

    def summed(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias of the one convolution that does the same: (C_out, C_in * 3), (C_out,)."""
        return self.weight.permute(1, 2, 0).flatten(1), self.bias.sum(dim=0)
