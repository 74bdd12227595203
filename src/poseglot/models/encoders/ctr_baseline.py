"""CTR-baseline: CTR-GCN without its refinement (the baseline of Chen et al., ICCV 2021), in GAP's table 1d.

The blocks of CTR-GCN, but each of the three subsets has one plain V x V topology for all channels and clips, learned from a copy of its
adjacency: y = sum_s adjacency_s x W_s.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseglot.models.encoders import backbone
from poseglot.models.encoders.backbone import SUBSETS, Backbone, collect, init_conv, shortcut
from poseglot.models.encoders.temporal import KERNEL, SINGLE, temporal_modules
from poseglot.skeletons.graph import spatial_subsets
from poseglot.skeletons.layout import Layout


class CTRBaseline(Backbone):
    """Clips -> joint features.

    Args:
        layout: of the clips.
        people: how many people a clip holds at most.
        channels: coordinates per joint.
        base_channels: of the first four blocks; see `Backbone`.
        temporal: modules, single-scale or multi-scale.
        kernel: frames that a single-scale module sees.
        causal: whether a frame's features depend on it and those before it alone (see `temporal`).
    """

    def __init__(
        self,
        layout: Layout,
        *,
        num_persons: int = 1,
        channels: int = 3,
        base_channels: int = 64,
        temporal: str = SINGLE,
        kernel: int = KERNEL,
        causal: bool = False,
    ) -> None:
        super().__init__(
            layout,
            num_persons=num_persons,
            channels=channels,
            base_channels=base_channels,
            graph=partial(GraphUnit, subsets=torch.from_numpy(spatial_subsets(layout))),
            temporal=temporal_modules(temporal, kernel, causal=causal),
        )


class GraphUnit(backbone.GraphUnit):
    """Graph convolution with learned topologies, BatchNorm, residual, ReLU: (B, C_in, T, V) -> (B, C_out, T, V)."""

    def __init__(self, in_channels: int, out_channels: int, subsets: Tensor) -> None:
        super().__init__()
        self.adjacency = nn.Parameter(subsets.clone())
        self.conv = nn.Conv2d(SUBSETS * in_channels, out_channels, 1)
        init_conv(self.conv)
        self.norm = nn.BatchNorm2d(out_channels)
        # As in CTR-GCN: at first the residual is all there is.
        nn.init.constant_(self.norm.weight, 1e-6)
        self.residual = shortcut(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(collect(x, self.adjacency))) + self.residual(x))

    def mean_topology(self, x: Tensor) -> Tensor:
        return self.adjacency.sum(dim=0)
