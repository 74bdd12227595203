"""Graph matrices against a plain construction from the bones."""

from __future__ import annotations

import numpy as np
import pytest

from poseglot.skeletons.graph import parent_matrix, spatial_subsets
from poseglot.skeletons.layout import load_layout

BOTH = pytest.mark.parametrize("name", ["kinect20", "ntu25"])


@BOTH
def test_parent_matrix_puts_each_parent_in_its_childs_row(name: str) -> None:
    layout = load_layout(name)
    joints = np.random.default_rng(0).normal(size=(len(layout), 3)).astype(np.float32)
    moved = parent_matrix(layout) @ joints
    for joint, index in layout.index.items():
        expected = joints[layout.index[layout.bones[joint]]] if joint in layout.bones else np.zeros(3)
        np.testing.assert_allclose(moved[index], expected, atol=1e-6)


@BOTH
def test_subsets_equal_a_plain_construction(name: str) -> None:
    layout = load_layout(name)
    count = len(layout)
    children: dict[int, list[int]] = {joint: [] for joint in range(count)}
    for child, parent in layout.bones.items():
        children[layout.index[parent]].append(layout.index[child])
    expected = np.zeros((3, count, count))
    for joint in range(count):
        expected[0, joint, joint] = 1
        # Inward: a joint's column has its one parent. Outward: its children, in equal shares.
        for child in children[joint]:
            expected[1, joint, child] = 1
            expected[2, child, joint] = 1 / len(children[joint])
    subsets = spatial_subsets(layout)
    assert subsets.dtype == np.float32 and subsets.shape == (3, count, count)
    np.testing.assert_allclose(subsets, expected, atol=1e-7)


@BOTH
def test_columns_sum_to_one_except_the_root_inward_and_the_leaves_outward(name: str) -> None:
    layout = load_layout(name)
    leaves = [layout.index[joint] for joint in layout.joints if joint not in layout.bones.values()]
    root = [layout.index[joint] for joint in layout.joints if joint not in layout.bones]
    assert len(root) == 1 and len(leaves) == 5
    for subset, empty in zip(spatial_subsets(layout), ([], root, leaves), strict=True):
        expected = np.ones(len(layout))
        expected[empty] = 0
        np.testing.assert_allclose(subset.sum(axis=0), expected, atol=1e-6)


def test_root_of_kinect20_spreads_to_its_four_children() -> None:
    layout = load_layout("kinect20")
    neck = layout.index["shoulder_centre"]
    outward = spatial_subsets(layout)[2][:, neck]
    children = ("spine", "head", "left_shoulder", "right_shoulder")
    assert {joint: float(outward[layout.index[joint]]) for joint in children} == dict.fromkeys(children, 0.25)
    assert np.count_nonzero(outward) == 4
