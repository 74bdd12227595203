"""The proportions of a body: those of people, in space and in pictures; other ones where joints are in another order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from poseglot.data.store import open_store
from poseglot.data.synthetic import make_clips
from poseglot.skeletons.layout import Layout, load_layout
from poseglot.skeletons.mapping import map_layout
from poseglot.skeletons.proportions import MAX_MISFIT, proportion_misfit

KINECT20 = load_layout("kinect20")


def misfit(joints: npt.NDArray[np.floating], layout: Layout = KINECT20) -> float:
    position = joints.reshape(-1, *joints.shape[2:])
    return proportion_misfit(position, layout, seen=position.any(axis=-1))[0]


def a_body() -> npt.NDArray[np.float32]:
    return next(iter(make_clips(persons=1, cameras=1, repeats=1))).joints


@pytest.mark.parametrize(
    "name", ["kinect20", "ntu25", "coco17", "h36m17", "openpose18", "body25", "mediapipe33", "smpl24", "body15"]
)
@pytest.mark.parametrize("num_dims", [2, 3])
def test_a_body_is_one_in_every_layout(name: str, num_dims: int) -> None:
    layout = load_layout(name)
    joints = map_layout(KINECT20, layout, allow_missing=True).apply(a_body())
    assert misfit(joints[..., :num_dims], layout) < MAX_MISFIT


@pytest.mark.parametrize(
    ("name", "taken_for"), [("h36m17", "coco17"), ("coco17", "h36m17"), ("ntu25", "body25"), ("body25", "body25b")]
)
def test_layouts_of_as_many_joints_are_told_apart(name: str, taken_for: str) -> None:
    joints = map_layout(KINECT20, load_layout(name), allow_missing=True).apply(a_body())
    assert misfit(joints, load_layout(taken_for)) > MAX_MISFIT


@pytest.mark.parametrize("scale", [1e-3, 1, 1e3])
def test_units_and_place_do_not_matter(scale: float) -> None:
    body = a_body()
    assert misfit(body * np.float32(scale) + np.float32(scale)) == pytest.approx(misfit(body), rel=1e-3)


def test_the_bones_that_are_off_are_said() -> None:
    body = a_body()
    hand, elbow = (KINECT20.index[joint] for joint in ("left_wrist", "left_elbow"))
    body[..., hand, :] = body[..., elbow, :] + 5 * (body[..., hand, :] - body[..., elbow, :])
    position = body.reshape(-1, 20, 3)
    found, ((child, parent, factor), _) = proportion_misfit(position, KINECT20, seen=position.any(axis=-1))
    assert found > MAX_MISFIT and (child, parent) == ("left_wrist", "left_elbow")
    assert factor == pytest.approx(5, rel=0.3)


def test_what_is_no_body_is_not_measured() -> None:
    fingers = tuple(f"finger{number}" for number in range(20))
    hand = Layout(
        "hand", fingers, dict.fromkeys(fingers[1:], fingers[0]), {}, fingers[0], {**KINECT20.parts, **_all_hand(fingers)}
    )
    assert np.isnan(misfit(a_body(), hand))
    assert np.isnan(misfit(np.zeros((1, 3, 20, 3)))) and np.isnan(misfit(np.ones((1, 3, 20, 3))))
    legs = a_body()
    legs[:, :, :12] = 0
    assert np.isnan(misfit(legs))


def _all_hand(joints: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {part: joints if part == "hand" else () for part in KINECT20.parts}


def test_real_people_have_a_bodys_proportions_and_permuted_ones_have_not(real_store: Path) -> None:
    """Of clips of NW-UCLA, in space and in pictures from any side."""
    store, rng = open_store(real_store), np.random.default_rng(0)
    right, wrong = list[bool](), list[bool]()
    for index in rng.choice(len(store), 100, replace=False).tolist():
        joints, angle = store[index].joints[:, ::4], rng.uniform(0, 2 * np.pi)
        picture = np.stack([np.cos(angle) * joints[..., 0] + np.sin(angle) * joints[..., 2], joints[..., 1]], axis=-1)
        for one in (joints, picture):
            right.append(misfit(one) < MAX_MISFIT)
            wrong.append(misfit(one[:, :, rng.permutation(20)]) > MAX_MISFIT)
    assert np.mean(right) >= 0.99 and np.mean(wrong) >= 0.95
