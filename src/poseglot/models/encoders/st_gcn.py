"""ST-GCN: Spatial Temporal Graph Convolutional Networks (Yan et al., AAAI 2018), in GAP's table 1d.

Equation 10 with the spatial configuration partition and learned edge importance M:

    y = sum_s (L_s^-1/2 A_s L_s^-1/2 * M_s) x W_s,   then BatchNorm, ReLU, a 9x1 convolution over time, BatchNorm, residual, ReLU

A_s are the root itself, its centripetal and its centrifugal neighbours: on a tree self, inward and outward. Differences from the paper:

  - L holds degrees. A_s has a direction, so a joint has one degree as a row and another as a column. The row's stands on the left, the
    column's on the right; in an undirected graph the two are one, and this is the paper's formula. Taking the row's for both would leave
    joints whose row is empty with the degree alpha, and their edges 30 times as strong as all others.
  - Ten blocks instead of nine, as all encoders here (see `backbone`).
  - No dropout (the paper: 0.5 after each block). Every random number of a training step follows from seed, epoch and sample, so that a
    resumed run equals one that never stopped; torch's dropout draws from a generator whose state is not among those.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from poseglot.models.encoders.backbone import SUBSETS, Backbone, SharedGraph
from poseglot.models.encoders.registry import register_encoder
from poseglot.models.encoders.temporal import SINGLE, init_conv, temporal_modules
from poseglot.skeletons.graph import Matrix, spatial_subsets
from poseglot.skeletons.layout import Layout

ALPHA = 0.001
"""Added to every degree, so that empty rows and columns can be divided by theirs."""


@register_encoder("st-gcn")
class STGCN(Backbone):
    """ST-GCN: clips -> joint features.

    Args:
        layout: of the clips.
        num_persons: how many people a clip holds at most.
        channels: numbers per joint.
        base_channels: of the first four blocks; see `Backbone`.
        kernel: frames that a temporal convolution sees; 9 if not given.
        causal: whether the last of them is the frame itself; else it is the middle one.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        num_persons: int = 1,
        channels: int = 3,
        base_channels: int = 64,
        kernel: int | None = None,
        causal: bool = False,
    ) -> None:
        super().__init__(
            layout,
            num_persons=num_persons,
            channels=channels,
            base_channels=base_channels,
            graph=partial(MaskedGraph, adjacency=torch.from_numpy(normalized_subsets(layout))),
            temporal=temporal_modules(SINGLE, kernel, causal=causal),
        )


class MaskedGraph(SharedGraph):
    """Graph convolution with fixed topologies times learned masks, BatchNorm, ReLU: (B, C_in, V, T) -> (B, C_out, V, T)."""

    def __init__(self, in_channels: int, out_channels: int, adjacency: Tensor) -> None:
        super().__init__()
        # A constant of the layout, not of the state.
        self.register_buffer("adjacency", adjacency.clone(), persistent=False)
        self.adjacency: Tensor
        self.importance = nn.Parameter(torch.ones_like(adjacency))
        conv = nn.Conv2d(SUBSETS * in_channels, out_channels, 1)
        init_conv(conv)
        self.conv, self.norm = conv, nn.BatchNorm2d(out_channels)

    def topology(self) -> Tensor:
        return self.adjacency * self.importance


def normalized_subsets(layout: Layout) -> Matrix:
    """Return (3, V, V): self, inward and outward adjacency, each entry divided by the roots of its row's and its column's degree."""
    edges = (spatial_subsets(layout) > 0).astype(np.float32)
    rows, columns = edges.sum(axis=2, keepdims=True) + ALPHA, edges.sum(axis=1, keepdims=True) + ALPHA
    result: Matrix = (edges / np.sqrt(rows * columns)).astype(np.float32)
    return result
