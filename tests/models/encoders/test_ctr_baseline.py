"""CTR-baseline's graph convolution against its equation, subset by subset. (Recorded outputs of the public one: `test_convert`.)"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from poseglot.models.encoders.ctr_baseline import CTRBaseline, LearnedGraph
from poseglot.skeletons.layout import load_layout
from poseglot.testing import random_clips, scramble
from tests.models.encoders.helpers import assert_same_outputs_and_gradients

NTU = load_layout("ntu25")


def normalized(unit: LearnedGraph, s: int) -> Tensor:
    """Each column divided by its norm over rows + 1e-4."""
    matrix = unit.adjacency[s]
    return torch.stack([column / (column.square().sum().sqrt() + 1e-4) for column in matrix.unbind(dim=1)], dim=1)


def plain_graph(unit: LearnedGraph, x: Tensor) -> Tensor:
    """Three convolutions of x @ A, added, with a bias each."""
    y = torch.zeros(())
    for s in range(3):
        mixed = torch.einsum("bcvt,vu->bcut", x, normalized(unit, s))
        y = y + torch.einsum("oi,bivt->bovt", unit.conv.weight[s], mixed) + unit.conv.bias[s][:, None, None]
    return F.relu(unit.norm(y) + unit.residual(x))


@pytest.mark.parametrize(("in_channels", "out_channels"), [(3, 16), (16, 16), (16, 32)])
def test_graph_unit_equals_its_equation(in_channels: int, out_channels: int) -> None:
    unit = LearnedGraph(in_channels, out_channels, joints=25)
    assert_same_outputs_and_gradients(unit, plain_graph, torch.randn(3, in_channels, 25, 7))


def test_start() -> None:
    """Identities, convolutions by fan-out times 3, BatchNorm weights of 1e-6, a 5x1 temporal convolution."""
    torch.manual_seed(0)
    encoder = CTRBaseline(NTU)
    for block in encoder.blocks:
        assert torch.equal(block.graph.adjacency.detach(), torch.eye(25).expand(3, -1, -1))
        assert torch.all(block.graph.norm.weight == 1e-6)
        out_channels, *_, frames = block.temporal.conv.weight.shape
        assert frames == 5
        assert block.graph.conv.weight.std().item() == pytest.approx(math.sqrt(2 / (3 * out_channels)), rel=0.1)
    scramble(encoder)
    wanted = [sum(normalized(block.graph, s) for s in range(3)).T.detach() for block in encoder.blocks]
    assert not torch.equal(wanted[0], wanted[1])
    for topology, matrix in zip(encoder.topologies(random_clips(2, 1, 5, "ntu25")), wanted, strict=True):
        torch.testing.assert_close(topology, matrix)
