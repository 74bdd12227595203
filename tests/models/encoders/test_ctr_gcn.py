"""CTR-GCN against its equations written the obvious way. (What it shares with the other encoders: `test_contract`.)"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from poseglot.models.encoders.ctr_gc import RefinedGraph
from poseglot.models.encoders.ctr_gcn import CTRGCN
from poseglot.skeletons.graph import spatial_subsets
from poseglot.skeletons.layout import load_layout
from poseglot.testing import random_clips, scramble
from tests.models.encoders.helpers import assert_same_outputs_and_gradients

KINECT = load_layout("kinect20")


def conv(unit: RefinedGraph, name: str, s: int, over: Tensor) -> Tensor:
    """The 1x1 convolution of one subset."""
    weights = getattr(unit, name)
    return torch.einsum("oi,bi...->bo...", weights.weight[s], over) + weights.bias[s].view(-1, *[1] * (over.ndim - 2))


def plain_topology(unit: RefinedGraph, s: int, x: Tensor) -> Tensor:
    """(B, C_out, V, V) of one subset; convolutions at full length before the mean over time."""
    theta, phi = conv(unit, "theta", s, x).mean(dim=3), conv(unit, "phi", s, x).mean(dim=3)
    relation = torch.tanh(theta[:, :, :, None] - phi[:, :, None, :])
    return conv(unit, "project", s, relation) * unit.alpha + unit.adjacency[s]


def plain_graph(unit: RefinedGraph, x: Tensor) -> Tensor:
    """Subset by subset, sums over v written out."""
    y = sum(torch.einsum("bcuv,bcvt->bcut", plain_topology(unit, s, x), conv(unit, "value", s, x)) for s in range(3))
    return F.relu(unit.norm(y) + unit.residual(x))


@pytest.mark.parametrize(("in_channels", "out_channels"), [(3, 16), (16, 16), (16, 32)])
def test_graph_unit_equals_its_equation(in_channels: int, out_channels: int) -> None:
    unit = RefinedGraph(in_channels, out_channels, torch.from_numpy(spatial_subsets(KINECT)))
    assert_same_outputs_and_gradients(unit, plain_graph, torch.randn(3, in_channels, 20, 7))


def test_topologies_start_as_the_adjacency() -> None:
    encoder = CTRGCN(KINECT, base_channels=8)
    wanted = torch.from_numpy(spatial_subsets(KINECT)).sum(dim=0)
    found = encoder.topologies(random_clips(3, 1, 12, "kinect20"))
    assert len(found) == 10
    for topology in found:  # alpha is 0
        torch.testing.assert_close(topology, wanted)


def test_topologies_are_means_over_clips_people_and_channels() -> None:
    encoder = scramble(CTRGCN(KINECT, num_persons=2, base_channels=8).double()).eval()
    assert isinstance(encoder, CTRGCN)
    x = random_clips(3, 2, 12, "kinect20").double()
    unit = encoder.blocks[0].graph
    assert isinstance(unit, RefinedGraph)
    entered = encoder.enter(x)
    wanted = torch.stack([plain_topology(unit, s, entered) for s in range(3)])  # (subsets, B, C, V, V)
    torch.testing.assert_close(encoder.topologies(x)[0], wanted.sum(dim=0).mean(dim=(0, 1)))
