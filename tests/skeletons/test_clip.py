"""Validation of joints: what is accepted, and that errors name what is wrong and where."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from poseglot.errors import InputError
from poseglot.skeletons.clip import Clip, check_joints, seen_joints

pytestmark = pytest.mark.base

Array = npt.NDArray[np.float64]


def numbers(*shape: int) -> Array:
    return np.random.default_rng(7).normal(size=shape)


@pytest.mark.parametrize("shape", [(1, 9, 20, 3), (2, 9, 20, 3), (2, 9, 20, 2), (1, 1, 20, 3), (1, 1, 1, 2)])
def test_people_frames_joints_channels_are_kept(shape: tuple[int, ...]) -> None:
    given = numbers(*shape)
    checked = check_joints(given)
    assert checked.dtype == np.float32 and checked.shape == shape
    np.testing.assert_array_equal(checked, given.astype(np.float32))


def test_without_a_people_axis_it_is_one_person() -> None:
    given = numbers(5, 20, 3)
    checked = check_joints(given)
    assert checked.shape == (1, 5, 20, 3)
    np.testing.assert_array_equal(checked[0], given.astype(np.float32))


def test_lists_and_integers_and_views_are_accepted() -> None:
    assert check_joints([[[1, 2, 3], [4, 5, 6]]]).tolist() == [[[[1, 2, 3], [4, 5, 6]]]]
    transposed = numbers(3, 20, 5).T
    checked = check_joints(transposed)
    assert checked.flags.c_contiguous
    np.testing.assert_array_equal(checked[0], transposed.astype(np.float32))


def test_right_joint_count_is_accepted_and_a_wrong_one_named() -> None:
    assert check_joints(numbers(2, 3, 20, 3), joint_count=20).shape == (2, 3, 20, 3)
    with pytest.raises(InputError, match=r"25.*20"):
        check_joints(numbers(2, 3, 25, 3), joint_count=20)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
def test_first_number_that_is_not_finite_is_placed(bad: float) -> None:
    given = numbers(2, 6, 20, 3)
    given[1, 4, 17, 2] = bad
    given[1, 5, 0, :2] = bad
    message = r"a\.json.* 3 .*person 1, frame 4, joint 17"
    with np.errstate(over="ignore"), pytest.raises(InputError, match=message):
        check_joints(given, origin="a.json")


@pytest.mark.parametrize(
    ("shape", "named"),
    [
        ((0, 20, 3), "frames"),
        ((1, 0, 20, 3), "frames"),
        ((0, 4, 20, 3), "people"),
        ((20, 3), r"shape \(20, 3\)"),
        ((0,), r"shape \(0,\)"),
        ((), r"shape \(\)"),
        ((1, 1, 4, 20, 3), r"shape \(1, 1, 4, 20, 3\)"),
        ((4, 20, 4), "4"),
        ((4, 20, 1), "1"),
        ((4, 20, 0), "0"),
    ],
)
def test_wrong_shapes_are_named(shape: tuple[int, ...], named: str) -> None:
    with pytest.raises(InputError, match=rf"my clip: .*{named}"):
        check_joints(np.zeros(shape), origin="my clip")


@pytest.mark.parametrize(
    "bad",
    [
        [[[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]], [[0.0, 1.0, 2.0]]],
        [[[0.0, 1.0, 2.0], [0.0, 1.0]]],
        [[["left", "hand", "up"]]],
        "joints",
        {"skeletons": []},
    ],
    ids=["joints differ", "coordinates differ", "words", "a word", "a dict"],
)
def test_what_is_not_a_regular_array_of_numbers_is_refused(bad: Any) -> None:
    with pytest.raises(InputError, match="my clip"):
        check_joints(bad, origin="my clip")


@pytest.mark.parametrize(
    "bad", [[[["1", "2", "3"]]], [[[10**400, 0, 0]]], np.zeros((2, 3, 3), complex), np.zeros((2, 3, 3), "M8[s]")]
)
def test_what_only_looks_like_numbers_is_refused(bad: Any) -> None:
    with pytest.raises(InputError):
        check_joints(bad)


def test_no_joints_at_all_are_named() -> None:
    with pytest.raises(InputError, match="joints"):
        check_joints(np.zeros((1, 4, 0, 3), dtype=np.float32))


def test_a_joint_of_low_score_is_not_seen() -> None:
    frames = np.ones((2, 3, 3), dtype=np.float32)
    frames[:, :, 2] = [[0.9, 0.0, 0.29], [0.31, 0.9, 0.9]]
    joints, seen = seen_joints(frames, has_scores=True)
    assert seen.T.tolist() == [[True, False, False], [True, True, True]]
    assert joints.shape == (2, 3, 2)
    frames[0, 0, 1] = np.nan
    joints, seen = seen_joints(frames, has_scores=True)
    assert not seen[0, 0]
    assert np.isfinite(joints).all()


def test_a_clip_prints_its_name_and_shape_not_its_numbers() -> None:
    assert repr(Clip(np.zeros((1, 9, 20, 3), np.float32), "a01", label=4)) == "Clip('a01', joints=(1, 9, 20, 3), label=4)"
