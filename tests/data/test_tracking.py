"""Tracks: people who change places, go away, come back, and leap."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from poseglot.data.quality.issues import ClipError
from poseglot.data.tracking import assign, detections, people_of_frames, stack_tracks, track_people
from poseglot.skeletons.clip import Joints

pytestmark = pytest.mark.base


def walker(seed: int, frames: int = 30, at: float = 0.0) -> Joints:
    """(T, 6, 3): a body of about a metre that moves some centimetres a frame."""
    rng = np.random.default_rng(seed)
    body = rng.uniform(-0.5, 0.5, (6, 3)) + np.array([at, 0, 3])
    steps = rng.uniform(-0.02, 0.04, (frames, 1, 3)).cumsum(axis=0)
    joints: Joints = (body + steps).astype(np.float32)
    return joints


def test_assignment_is_the_cheapest_of_all() -> None:
    rng = np.random.default_rng(0)
    for turn in range(150):
        rows, columns = rng.integers(1, 6, 2).tolist()
        # Small whole numbers have ties.
        cost = rng.random((rows, columns)) if turn % 2 else rng.integers(0, 3, (rows, columns)).astype(float)
        pairs = assign(cost)
        assert len(pairs) == min(rows, columns) == len({row for row, _ in pairs}) == len({column for _, column in pairs})
        small = cost if rows <= columns else cost.T
        ways = itertools.permutations(range(max(rows, columns)), min(rows, columns))
        cheapest = min(sum(small[row, column] for row, column in enumerate(way)) for way in ways)
        assert sum(cost[pair] for pair in pairs) == pytest.approx(cheapest)
    assert assign(np.zeros((0, 3))) == assign(np.zeros((3, 0))) == []


def test_people_who_change_places_keep_their_tracks() -> None:
    people = [walker(seed, at=at) for seed, at in ((0, 0.0), (1, 0.9), (2, 1.8))]
    rng = np.random.default_rng(3)
    found = [np.stack([people[who][frame] for who in rng.permutation(3)]) for frame in range(30)]
    tracks = track_people(found, max_gap=0)
    assert [(track.start, track.end) for track in tracks] == [(0, 30)] * 3
    first = [int(np.argmin([np.abs(person[0] - track.joints[0]).sum() for person in people])) for track in tracks]
    assert sorted(first) == [0, 1, 2]
    for who, track in zip(first, tracks, strict=True):
        np.testing.assert_array_equal(track.joints, people[who])


def test_short_gaps_are_filled_in_a_straight_line_and_long_ones_end_a_track() -> None:
    person = walker(0)
    nobody = person[:0]
    found = [nobody if frame in (5, 6, 7, 20, 21, 22, 23) else person[frame][None] for frame in range(30)]
    tracks = track_people(found, max_gap=3)
    assert [(track.start, track.end) for track in tracks] == [(0, 20), (24, 30)]
    line = np.linspace(person[4], person[8], 5)
    np.testing.assert_allclose(tracks[0].joints[4:9], line, atol=1e-6)
    np.testing.assert_array_equal(tracks[0].joints[9:20], person[9:20])
    assert [track.start for track in track_people(found, max_gap=3, min_length=7)] == [0]


def test_who_is_far_away_is_somebody_else() -> None:
    one, other = walker(0, 10), walker(0, 10, at=5)
    found = [(one if frame < 6 else other)[frame][None] for frame in range(10)]
    assert [(track.start, track.end) for track in track_people(found, max_gap=2)] == [(0, 6), (6, 10)]
    assert len(track_people(found, max_gap=2, max_distance=1e9)) == 1


def test_missing_joints_count_neither_for_distance_nor_in_a_filled_gap() -> None:
    person = walker(0, 6)
    person[2, 1] = 0
    found = [person[frame][None] for frame in (0, 1, 2)] + [person[:0]] + [person[frame][None] for frame in (4, 5)]
    (track,) = track_people(found, max_gap=1)
    np.testing.assert_array_equal(track.joints[3, 1], 0)
    assert track.joints[3, 0].any()
    has_scores = np.concatenate([person, np.ones((6, 6, 1), np.float32)], axis=-1)
    has_scores[2:, 3] = [99, 99, 99, 0]  # a guess of no confidence
    assert len(track_people([pose[None] for pose in has_scores], max_gap=0, has_scores=True)) == 1


def test_tracks_go_back_into_one_array() -> None:
    joints = np.stack([walker(0), walker(1, at=3)])
    joints[1, :4] = joints[0, 25:] = 0
    tracks = track_people(detections(joints), max_gap=0)
    np.testing.assert_array_equal(stack_tracks(tracks, 30), joints)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_poses_that_are_not_finite_are_refused_and_far_ones_are_not_matched(value: float) -> None:
    pose = np.ones((4, 3))
    bad = np.full((4, 3), value)
    with pytest.raises(ClipError, match="frame 2"):
        people_of_frames([[(None, pose)], [(None, bad)]], joint_count=4, channels=3, has_scores=False, origin="a")
    far = np.full((4, 3), 3e38)
    joints = people_of_frames(
        [[(None, pose)], [(None, -far)], [(None, far)]], joint_count=4, channels=3, has_scores=False, origin="a"
    )
    assert joints.shape[1:] == (3, 4, 3)
