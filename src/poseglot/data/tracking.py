"""Tracking: people found in each frame, in any order and with gaps, become tracks.

Frame by frame, people are assigned to the living tracks so that the sum of the distances between poses is smallest (scipy's exact
assignment). A person further than `reach` from every track begins a new one. A track without a person for more than `gap` frames
ends; shorter gaps are filled in a straight line. The distance of two poses is the mean distance of the joints that both have, in body
sizes, so that `reach` holds for metres and for pixels.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from poseglot.skeletons.clip import Joints

_LOGGER = logging.getLogger("poseglot.data")
REACH = 0.5
# The longest gap, in frames, after which a person without an id is still taken for the same.
GAP = 15
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Track:
    """A person from frame `start` on: joints (T, V, C), without gaps."""

    start: int
    joints: Joints

    @property
    def end(self) -> int:
        """The frame after the last."""
        return self.start + len(self.joints)


@dataclass
class _Open:
    """A track that may continue: the frames in which it was seen, and the poses."""

    frames: list[int] = field(default_factory=list)
    poses: list[Joints] = field(default_factory=list)


def detections(joints: Joints) -> list[Joints]:
    """Return the people (D, V, C) in each frame of joints (M, T, V, C), which are zero where nobody is."""
    return [joints[(joints[:, frame] != 0).any(axis=(1, 2)), frame] for frame in range(joints.shape[1])]


def track_people(
    found: Sequence[Joints],
    *,
    gap: int,
    least: int = 1,
    reach: float = REACH,
    has_scores: bool = False,
    num_dims: int | None = None,
    fill: bool = True,
) -> list[Track]:
    """Return the tracks of a recording, in the order in which they begin.

    Args:
        found: The people (D, V, C) of each frame, in any order.
        gap: The longest gap within a track, in frames.
        least: Shorter tracks are left out (ghosts).
        reach: How far a pose may be from the last one of its track, in body sizes (the diagonal of that one's bounding box).
        has_scores: Whether the last channel is the confidence in each joint. A joint of confidence 0, or at zero, is missing.
        num_dims: How many channels, from the first on, are coordinates; by default all but the score. The others are carried along.
        fill: Whether gaps are filled in a straight line. Otherwise they stay zero.
    """
    opened: list[_Open] = []
    alive: list[_Open] = []
    for frame, people in enumerate(found):
        alive = [track for track in alive if frame - track.frames[-1] <= gap + 1]
        cost = (
            np.array([[_distance(track.poses[-1], pose, has_scores, num_dims) for pose in people] for track in alive]) / reach
        )
        given = assign(np.minimum(cost.reshape(len(alive), len(people)), 1))
        free = set(range(len(people)))
        for row, other in given:
            if cost[row, other] < 1:
                alive[row].frames.append(frame)
                alive[row].poses.append(people[other])
                free.discard(other)
        for other in sorted(free):
            opened.append(_Open([frame], [people[other]]))
            alive.append(opened[-1])
    tracks = [Track(track.frames[0], _filled(track) if fill else _with_gaps(track)) for track in opened]
    return [track for track in tracks if len(track.joints) >= least]


def tracks_of(joints: Joints) -> list[Track]:
    """Return each stretch of frames in which a row of joints (M, T, V, C) holds somebody, as a track."""
    there = np.pad((joints != 0).any(axis=(2, 3)).astype(np.int8), [(0, 0), (1, 1)])
    edges = [(row, *pair) for row, flags in enumerate(there) for pair in np.flatnonzero(np.diff(flags)).reshape(-1, 2).tolist()]
    return [Track(start, joints[row, start:end]) for row, start, end in sorted(edges, key=lambda edge: edge[1])]


def together(tracks: Sequence[Track], frames: int) -> Joints:
    """Stack tracks into one array (M, T, V, C), zero where somebody is absent."""
    first = tracks[0].joints
    result = np.zeros((len(tracks), frames, *first.shape[1:]), dtype=np.float32)
    for row, track in zip(result, tracks, strict=True):
        row[track.start : track.end] = track.joints
    return result


def assign(cost: Matrix) -> list[tuple[int, int]]:
    """Return pairs (row, column), as many as the shorter side has, with the smallest sum of costs."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(cost)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def _distance(one: Joints, other: Joints, has_scores: bool, num_dims: int | None = None) -> float:
    """Return the mean distance of the joints that both poses have, in body sizes of the first; infinite if they share none."""
    num_dims = num_dims or one.shape[-1] - has_scores
    tell = -1 if has_scores else slice(None)
    ours, theirs = ((pose[:, tell] != 0).reshape(len(pose), -1).any(axis=1) for pose in (one, other))
    both = ours & theirs
    if not both.any():
        return np.inf
    size = np.linalg.norm(np.ptp(one[ours, :num_dims], axis=0))
    apart = np.linalg.norm(one[both, :num_dims] - other[both, :num_dims], axis=1).mean()
    return float(apart / size) if size > 0 else np.inf


def _filled(track: _Open) -> Joints:
    """Return joints (T, V, C) with straight lines across gaps. A joint missing on one side of a gap stays missing."""
    frames, poses = np.array(track.frames), np.stack(track.poses)
    wanted = np.arange(frames[0], frames[-1] + 1)
    after = np.searchsorted(frames, wanted)
    before = np.where(frames[after] == wanted, after, after - 1)
    between = np.maximum(frames[after] - frames[before], 1)
    weight = ((wanted - frames[before]) / between)[:, None, None]
    filled = (1 - weight) * poses[before] + weight * poses[after]
    there = (poses != 0).any(axis=-1, keepdims=True)
    result: Joints = np.where(there[before] & there[after], filled, 0).astype(np.float32)
    return result


def _with_gaps(track: _Open) -> Joints:
    """Return joints (T, V, C), zero in gaps."""
    frames = np.array(track.frames)
    result = np.zeros((frames[-1] - frames[0] + 1, *track.poses[0].shape), dtype=np.float32)
    result[frames - frames[0]] = np.stack(track.poses)
    return result


def people_of_frames(
    frames: Sequence[Sequence[tuple[Hashable | None, Joints]]],
    *,
    joint_count: int,
    channels: int,
    has_scores: bool,
    origin: str,
) -> Joints:
    """Make joints (M, T, V, C) of people found frame by frame.

    Args:
        frames: The people of each frame, as (identity or None, joints (V, C)). Without identities people are tracked.
        joint_count: V.
        channels: C.
        has_scores: Whether the last channel is the confidence in each joint.
        origin: What messages call the recording.

    Returns:
        One row for each person, zero where somebody is absent; one empty row if nobody was found.
    """
    dims = channels - has_scores
    there = [[(identity, pose) for identity, pose in people if pose[:, :dims].any()] for people in frames]
    identities = {identity: None for people in there for identity, _ in people}
    unique = all(len({identity for identity, _ in people}) == len(people) for people in there)
    if None not in identities and unique:
        rows = {identity: row for row, identity in enumerate(identities)}
        joints = np.zeros((max(1, len(rows)), len(frames), joint_count, channels), dtype=np.float32)
        for frame, people in enumerate(there):
            for identity, pose in people:
                joints[rows[identity], frame] = pose
    else:
        poses = [np.stack([pose for _, pose in people]) if people else np.zeros((0, joint_count, channels)) for people in there]
        tracks = track_people([pose.astype(np.float32) for pose in poses], gap=GAP, has_scores=has_scores, fill=False)
        joints = together(tracks, len(frames)) if tracks else np.zeros((1, len(frames), joint_count, channels), np.float32)
    return join_absent(joints, has_scores=has_scores, origin=origin)


def join_absent(joints: Joints, *, has_scores: bool = False, origin: str = "the clip") -> Joints:
    """Join people who are never in one frame: trackers give a person a new identity after losing them.

    Args:
        joints: (M, T, V, C), zero where somebody is absent.
        has_scores: Whether the last channel is the confidence in each joint.
        origin: What messages call the clip.

    Returns:
        (M', T, V, C), M' <= M, people in the order in which they appear. Among several people who could be continued, the nearest pose is.
    """
    dims = joints.shape[-1] - has_scores
    there: npt.NDArray[np.bool_] = np.any(joints[..., :dims], axis=(2, 3))  # (M, T)
    present = np.flatnonzero(there.any(axis=1))
    if len(joints) == 1 or len(present) == 0:
        return joints[:1] if len(present) == 0 else joints
    rows: list[Joints] = []
    for person in sorted(present, key=lambda row: int(there[row].argmax())):
        free = [row for row in rows if not (np.any(row[..., :dims], axis=(1, 2)) & there[person]).any()]
        if free:
            nearest = min(free, key=lambda row: _leap(row, joints[person], dims, has_scores))
            nearest[there[person]] = joints[person, there[person]]
        else:
            rows.append(np.where(there[person][:, None, None], joints[person], np.float32(0)))
    if len(rows) < len(present):
        _LOGGER.info("%s: %d identities that never meet were joined to %d", origin, len(present), len(rows))
    return np.stack(rows).astype(np.float32)


def _leap(row: Joints, other: Joints, dims: int, has_scores: bool) -> float:
    """Return the distance between the last pose of a row and the first of another, in body sizes."""
    last = row[np.flatnonzero(row[..., :dims].any(axis=(1, 2)))[-1]]
    first = other[np.flatnonzero(other[..., :dims].any(axis=(1, 2)))[0]]
    return _distance(last, first, has_scores)
