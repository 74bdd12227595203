"""CTR-GCN: Channel-wise Topology Refinement Graph Convolution (Chen et al., ICCV 2021), the encoder of GAP's main results.

The ten blocks of `backbone` with the graph convolution of `ctr_gc`. GAP's comparison with other methods has multi-scale temporal modules,
its ablation study single-scale ones. On a CPU the multi-scale network runs in the kernels of `ctr_gcn_channels_last`, where they can be
used, to the same effect.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from poseglot.errors import SettingError
from poseglot.models.encoders.backbone import Backbone
from poseglot.models.encoders.ctr_gc import RefinedGraph
from poseglot.models.encoders.ctr_gcn_channels_last import ChannelsLast, unsupported_reason
from poseglot.models.encoders.registry import register_encoder
from poseglot.models.encoders.temporal import MULTI, SINGLE, temporal_modules
from poseglot.skeletons.graph import spatial_subsets
from poseglot.skeletons.layout import Layout

TOPOLOGY_INTERVAL = 8
"""Frames between two refinements of a causal encoder's topology: one costs as much as aggregating several frames."""


@register_encoder("ctr-gcn")
class CTRGCN(Backbone):
    """CTR-GCN: clips -> joint features.

    Args:
        layout: of the clips.
        num_persons: how many people a clip holds at most.
        channels: numbers per joint.
        base_channels: of the first four blocks; see `Backbone`.
        temporal: modules, multi-scale or single-scale.
        kernel: frames that a single-scale module sees; 9 if not given. The papers do not say; it is ST-GCN's.
        causal: whether the features of a frame depend on it and earlier frames only: the temporal modules' windows end with the frame,
            and a topology is refined from the mean of the frames up to the last one whose number `topology_interval` divides.
        topology_interval: frames (at the block's own rate) between two refinements of a causal encoder's topology.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        num_persons: int = 1,
        channels: int = 3,
        base_channels: int = 64,
        temporal: str = MULTI,
        kernel: int | None = None,
        causal: bool = False,
        topology_interval: int = TOPOLOGY_INTERVAL,
    ) -> None:
        if type(topology_interval) is not int or topology_interval < 1:
            raise SettingError(f"topology_interval must be a number of frames, at least 1, not {topology_interval!r}.")
        adjacency, interval = torch.from_numpy(spatial_subsets(layout)), topology_interval if causal else None
        super().__init__(
            layout,
            num_persons=num_persons,
            channels=channels,
            base_channels=base_channels,
            graph=partial(RefinedGraph, adjacency=adjacency, topology_interval=interval),
            temporal=temporal_modules(temporal, kernel, causal=causal),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map clips (N, M, T, V, C) to joint features (N, M, T', V, F)."""
        if unsupported_reason(self, x) is not None:
            return super().forward(x)
        return ChannelsLast(self)(x)

    def prepare(self) -> ChannelsLast | None:
        """Return the encoder laid out for the CPU kernels once and for all, for evaluation; None where they cannot be used."""
        self.eval()
        with torch.no_grad():
            return ChannelsLast(self) if unsupported_reason(self, self.input_norm.weight.detach()) is None else None


@register_encoder("ctr-gcn-single")
def ctr_gcn_single(
    layout: Layout,
    *,
    num_persons: int = 1,
    channels: int = 3,
    base_channels: int = 64,
    kernel: int | None = None,
    causal: bool = False,
    topology_interval: int = TOPOLOGY_INTERVAL,
) -> CTRGCN:
    """Build CTR-GCN with single-scale temporal modules, as in GAP's ablation study."""
    return CTRGCN(
        layout,
        num_persons=num_persons,
        channels=channels,
        base_channels=base_channels,
        temporal=SINGLE,
        kernel=kernel,
        causal=causal,
        topology_interval=topology_interval,
    )
