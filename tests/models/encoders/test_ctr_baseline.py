"""CTR-baseline's graph convolution against its equation, subset by subset: 1x1 convolution first, then along the graph."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from poseglot.models.encoders.ctr_baseline import CTRBaseline, GraphUnit
from poseglot.skeletons.graph import spatial_subsets
from poseglot.skeletons.layout import load_layout
from tests.models.encoders.helpers import assert_equal_in_outputs_and_gradients, clips, scrambled

NTU = load_layout("ntu25")


def plain_graph_unit(unit: GraphUnit, x: Tensor) -> Tensor:
    in_channels = x.shape[1]
    y = unit.conv.bias.view(-1, 1, 1)
    for s in range(3):
        weight = unit.conv.weight[:, s * in_channels : (s + 1) * in_channels, 0, 0]
        y = y + torch.einsum("uv,bctv->bctu", unit.adjacency[s], torch.einsum("oi,bitv->botv", weight, x))
    return F.relu(unit.norm(y) + unit.residual(x))


@pytest.mark.parametrize(("in_channels", "out_channels"), [(3, 16), (16, 16), (16, 32)])
def test_graph_unit_equals_its_equation(in_channels: int, out_channels: int) -> None:
    unit = GraphUnit(in_channels, out_channels, torch.from_numpy(spatial_subsets(NTU)))
    assert_equal_in_outputs_and_gradients(unit, plain_graph_unit, torch.randn(3, in_channels, 7, 25))


def test_each_block_learns_adjacencies_of_its_own_that_start_as_the_subsets() -> None:
    encoder = CTRBaseline(NTU, width=8)
    for block in encoder.blocks:
        torch.testing.assert_close(block.graph.adjacency.detach(), torch.from_numpy(spatial_subsets(NTU)))
    scrambled(encoder)
    wanted = [block.graph.adjacency.detach().sum(dim=0) for block in encoder.blocks]
    assert not torch.equal(wanted[0], wanted[1])
    for topology, adjacency in zip(encoder.topologies(clips(2, 1, 5, "ntu25")), wanted, strict=True):
        torch.testing.assert_close(topology, adjacency)
