"""What clips are like, and what of another clip is unlike them: units, direction of up, depth, order of joints, scores."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poseglot.data.quality.checks import check_bone_lengths, check_heads, check_joint_order, coordinate_summary
from poseglot.data.store import PackedStore
from poseglot.skeletons.coordinates import CoordinateSummary, compare, measure_clip, summary_of
from poseglot.skeletons.layout import load_layout

KINECT20 = load_layout("kinect20")


@pytest.fixture(scope="module")
def summary(small_store: PackedStore) -> CoordinateSummary:
    found = coordinate_summary(small_store, np.arange(len(small_store)))
    assert found is not None
    return found


def kinds(joints: np.ndarray, summary: CoordinateSummary, *, has_scores: bool = False, unit_matters: bool = True) -> set[str]:  # type: ignore[type-arg]
    measured = measure_clip(joints.astype(np.float32), KINECT20, has_scores=has_scores)
    return set(compare(measured, summary, unit_matters=unit_matters))


def test_the_measures_of_synthetic_clips(summary: CoordinateSummary) -> None:
    """People of 1.5 to 2.2 m, upright along y, in space."""
    assert summary.num_dims == 3 and summary.up == ("+y",) and summary.scores is None
    assert 1.2 < summary.size[0] < summary.size[1] < 2.6
    assert summary.depth is not None and summary.depth > 0.05
    assert summary.bones is not None and 1 <= summary.bones < 1.45
    assert summary_of(json.loads(json.dumps(summary.table()))) == summary


def test_no_training_clip_is_unlike_the_training_clips(small_store: PackedStore, summary: CoordinateSummary) -> None:
    assert not any(kinds(clip.joints, summary) for clip in small_store)


@given(index=st.integers(0, 119), power=st.floats(0.6, 4), down=st.booleans())
@settings(max_examples=60, deadline=None)
def test_other_units_are_noticed(
    index: int, power: float, down: bool, small_store: PackedStore, summary: CoordinateSummary
) -> None:
    joints = small_store[index].joints * 10 ** (-power if down else power)
    assert kinds(joints, summary) == {"units"}
    assert kinds(joints, summary, unit_matters=False) == set()


@pytest.mark.parametrize(("factor", "scale"), [(1000, "0.001"), (100, "0.01"), (0.001, "1000"), (39.37, "0.0254")])
def test_the_factor_that_mends_is_said(factor: float, scale: str, small_store: PackedStore, summary: CoordinateSummary) -> None:
    measured = measure_clip(small_store[0].joints * np.float32(factor), KINECT20, has_scores=False)
    assert f"--scale {scale})" in compare(measured, summary)["units"]


@given(st.integers(0, 119), st.sampled_from([(0, 2, 1), (1, 0, 2)]))
@settings(max_examples=30, deadline=None)
def test_another_axis_that_points_up_is_noticed(index: int, axes: tuple[int, ...]) -> None:
    from poseglot.data import synthetic

    clip = next(iter(synthetic.make_clips(persons=1, cameras=1, repeats=1)))
    trained = CoordinateSummary(3, (1, 3), 0.1, ("+y",))
    assert kinds(clip.joints[..., list(axes)], trained) == {"up"}
    assert kinds(clip.joints * [1, -1, 1], trained) == {"head"}
    assert kinds(clip.joints * [1, -1, 1], CoordinateSummary(3, (1, 3), 0.1, ("+y", "-y"))) == set()
    assert kinds(clip.joints, trained) == set()


def test_pictures_in_place_of_bodies_are_noticed(small_store: PackedStore, summary: CoordinateSummary) -> None:
    """Pixels whose score is taken for z, and poses without depth."""
    joints = small_store[0].joints.copy()
    joints[..., 2] = 0.9
    assert kinds(joints, summary) == {"depth"}
    pixels = np.concatenate([joints[..., :2] * [200, -200] + 300, joints[..., 2:]], axis=-1)
    assert kinds(pixels, summary) == {"depth", "units", "head"}


@given(st.permutations(range(20)))
@settings(max_examples=40, deadline=None)
def test_joints_in_another_order_are_noticed(order: list[int]) -> None:
    from poseglot.data import synthetic

    moved = sum(place != joint for place, joint in enumerate(order))
    if moved < 12:  # two exchanged fingers are nothing
        return
    clip = next(iter(synthetic.make_clips(persons=1, cameras=1, repeats=1)))
    trained = CoordinateSummary(3, (1, 3), 0.1, (), bones=1.25)
    assert "order" in kinds(clip.joints[:, :, order], trained)
    assert "order" not in kinds(clip.joints, trained)


def test_scores_that_are_none_are_noticed(small_store: PackedStore) -> None:
    scored = np.concatenate([small_store[0].joints[..., :2], small_store[0].joints[..., :1] * 0 + 0.8], axis=-1)
    trained = CoordinateSummary(2, (1, 3), None, ("+y",), scores=(0.0, 1.0))
    assert kinds(scored, trained, has_scores=True) == set()
    scored[..., 2] = small_store[0].joints[..., 2] * 3
    assert kinds(scored, trained, has_scores=True) >= {"scores"}


def test_a_clip_that_cannot_be_measured_is_like_all_others(summary: CoordinateSummary) -> None:
    assert kinds(np.zeros((1, 3, 20, 3)), summary) == set()


@pytest.mark.parametrize("kind", ["right", "reversed", "shifted", "head and foot"])
def test_a_set_of_impossible_bodies_is_said(kind: str, small_store: PackedStore) -> None:
    orders = {"right": list(range(20)), "reversed": list(range(19, -1, -1)), "shifted": [*range(1, 20), 0]}
    exchanged = list(range(20))
    head, foot = KINECT20.index["head"], KINECT20.index["left_foot"]
    exchanged[head], exchanged[foot] = foot, head
    order = orders.get(kind, exchanged)
    store = PackedStore(small_store.info, small_store.clips, np.asarray(small_store.joints)[:, order])
    assert len(check_joint_order(store)) == (kind != "right")


def test_real_bodies_are_possible(real_store: object, shared: object) -> None:
    """NW-UCLA as it is; and in the order of UTD-MHAD's joints, which is another than that of its layout."""
    from poseglot.data.store import open_store

    store = open_store(str(real_store))
    assert check_joint_order(store) == []
    # head, shoulder centre, spine, hip centre, ... as UTD-MHAD has them
    order = [3, 2, 1, 0, *range(4, 20)]
    permuted = PackedStore(store.info, store.clips, np.asarray(store.joints)[:, order])
    (said,) = check_joint_order(permuted)
    assert "--joints" in said


def changed(store: PackedStore, joints: object) -> PackedStore:
    return PackedStore(store.info, store.clips, np.asarray(joints, dtype=np.float32))


@pytest.mark.parametrize(
    ("turn", "count"),
    [([0, 1, 2], 0), ([0, -1, 2], 0), ([0, -2, 1], 0), ([0, 2, -1], 1), ([1, 0, -2], 0)],
    ids=["y up", "y down", "z up", "z down", "lying"],
)
def test_heads_below_feet_in_a_set_are_said(turn: list[int], count: int, small_store: PackedStore) -> None:
    """Axes as sensors have them, and people who lie, are no reason; the axis that no sensor has is."""
    joints = np.asarray(small_store.joints)[..., np.abs(turn)] * np.where(np.array(turn) < 0, -1, 1)
    assert len(check_heads(changed(small_store, joints))) == count


def test_heads_below_feet_in_pictures_are_said(small_store: PackedStore) -> None:
    x, y = 200 * np.asarray(small_store.joints)[..., :2].transpose(2, 0, 1)
    for down, count in ((True, 0), (False, 1)):
        pixels = np.stack([x + 1000, 1000 + (-y if down else y)], axis=-1)
        assert len(check_heads(changed(small_store, pixels))) == count
        assert check_heads(changed(small_store, pixels - 1000)) == []  # not pixels as a camera gives them


def test_a_few_who_stand_on_their_hands_are_people(small_store: PackedStore) -> None:
    """Half of the clips upside down are another matter."""
    for share, count in ((0.05, 0), (0.5, 1)):
        joints = np.array(small_store.joints)
        for clip in small_store.clips[: round(share * len(small_store))]:
            joints[clip["offset"] : clip["offset"] + clip["frames"] * clip["num_persons"], :, 1] *= -1
        assert len(check_heads(changed(small_store, joints))) == count


def test_bones_that_change_their_length_are_said(small_store: PackedStore) -> None:
    """Noise of a sensor is none of it; joints that are drawn anew in every frame are, and pictures are not measured."""
    rng, joints = np.random.default_rng(0), np.asarray(small_store.joints)
    for noise, count in ((0.0, 0), (0.02, 0), (0.3, 1)):
        noisy = joints + noise * rng.normal(size=joints.shape)
        assert len(check_bone_lengths(changed(small_store, noisy))) == count
        assert check_bone_lengths(changed(small_store, noisy[..., :2])) == []


def test_heads_and_bones_of_real_people_are_right(real_store: object) -> None:
    from poseglot.data.store import open_store

    store = open_store(str(real_store))
    assert check_heads(store) == check_bone_lengths(store) == []
