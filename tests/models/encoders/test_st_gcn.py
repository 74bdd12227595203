"""ST-GCN against its equations: the normalized partition from the bones, the graph convolution subset by subset."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from poseglot.models.encoders.st_gcn import STGCN, MaskedGraph, normalized_subsets
from poseglot.skeletons.layout import load_layout
from poseglot.testing import random_clips, scramble
from tests.models.encoders.helpers import assert_same_outputs_and_gradients


@pytest.mark.parametrize("name", ["kinect20", "ntu25"])
def test_subsets_are_divided_by_the_roots_of_both_degrees(name: str) -> None:
    layout = load_layout(name)
    children = {joint: sum(parent == joint for parent in layout.bones.values()) for joint in layout.joints}
    wanted = np.zeros((3, len(layout), len(layout)))
    for joint, place in layout.index.items():
        wanted[0, place, place] = 1 / 1.001
        if joint in layout.bones:  # an end of this edge is the child, with this parent only; the other has all its children
            parent = layout.index[layout.bones[joint]]
            weight = 1 / math.sqrt(1.001 * (children[layout.bones[joint]] + 0.001))
            wanted[1, parent, place] = wanted[2, place, parent] = weight
    found = normalized_subsets(layout)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    # Of the undirected graph without its direction, this is the paper's L^-1/2 A L^-1/2: no edge is stronger than a joint with itself.
    assert found.max() < 1


def plain_graph(unit: MaskedGraph, x: Tensor) -> Tensor:
    """Inputs of the convolution are ordered (channel, subset)."""
    y = unit.conv.bias.view(-1, 1, 1)
    for s in range(3):
        masked = unit.adjacency[s] * unit.importance[s]
        y = y + torch.einsum("uv,bcvt->bcut", masked, torch.einsum("oi,bivt->bovt", unit.conv.weight[:, s::3, 0, 0], x))
    return F.relu(unit.norm(y))


@pytest.mark.parametrize(("in_channels", "out_channels"), [(3, 16), (16, 16), (16, 32)])
def test_graph_unit_equals_its_equation(in_channels: int, out_channels: int) -> None:
    unit = MaskedGraph(in_channels, out_channels, torch.from_numpy(normalized_subsets(load_layout("kinect20"))))
    assert_same_outputs_and_gradients(unit, plain_graph, torch.randn(3, in_channels, 20, 7))


def test_topologies_are_the_graph_weighed_by_what_was_learned() -> None:
    layout = load_layout("kinect20")
    graph = torch.from_numpy(normalized_subsets(layout))
    encoder, x = STGCN(layout, base_channels=8), random_clips(2, 1, 5, "kinect20")
    for topology in encoder.topologies(x):
        torch.testing.assert_close(topology, graph.sum(dim=0))
    scramble(encoder)
    for block, topology in zip(encoder.blocks, encoder.topologies(x), strict=True):
        torch.testing.assert_close(topology, (graph * block.graph.importance.detach()).sum(dim=0))


def test_the_graph_is_no_part_of_the_state() -> None:
    assert not [name for name in STGCN(load_layout("kinect20"), base_channels=8).state_dict() if "adjacency" in name]
