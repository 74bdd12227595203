"""Tracking: people found in each frame, in any order and with gaps, become tracks.

In each frame the people are assigned to the open tracks so that the sum of the pose distances is smallest (exact, by scipy). A
pair further apart than `max_distance` is not matched: the person begins a track. A track without a match for more than `max_gap` frames
has ended; shorter gaps are interpolated linearly. The distance of two poses is the mean distance of the joints that both have, in body
sizes, so that it holds for metres and pixels.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from poseglot.data.quality.issues import ClipError
from poseglot.skeletons.clip import Clip, Joints

_LOGGER = logging.getLogger("poseglot.data")
MAX_DISTANCE = 0.5
_UNLIMITED = 1e9  # one person need not be told from others, however far a pose is from the last
# The longest gap, in frames, after which a person without an identity is still taken for the same.
MAX_GAP = 15
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
class _OpenTrack:
    """A track that may continue: the frames in which it was seen, and the poses."""

    frames: list[int] = field(default_factory=list)
    poses: list[Joints] = field(default_factory=list)


def detections(joints: Joints) -> list[Joints]:
    """Return the people (D, V, C) of each frame of joints (M, T, V, C), which are zero where a person is absent."""
    return [joints[(joints[:, frame] != 0).any(axis=(1, 2)), frame] for frame in range(joints.shape[1])]


def track_people(
    found: Sequence[Joints],
    *,
    max_gap: int,
    min_length: int = 1,
    max_distance: float = MAX_DISTANCE,
    has_scores: bool = False,
    num_dims: int | None = None,
    fill: bool = True,
) -> list[Track]:
    """Return the tracks of a recording, in the order in which they begin.

    Args:
        found: The people (D, V, C) of each frame, in any order.
        max_gap: The longest gap within a track, in frames.
        min_length: Shorter tracks are dropped.
        max_distance: The largest distance from the last pose of a track, in body sizes (the diagonal of that pose's bounding box).
        has_scores: Whether the last channel is the confidence in each joint. A joint of confidence 0, or at zero, is missing.
        num_dims: The number of leading channels that are coordinates; by default all but the score. The others are carried along.
        fill: Whether gaps are interpolated. Otherwise they stay zero.
    """
    tracks: list[_OpenTrack] = []
    open_tracks: list[_OpenTrack] = []
    for frame, people in enumerate(found):
        open_tracks = [track for track in open_tracks if frame - track.frames[-1] <= max_gap + 1]
        rows = [[_distance(track.poses[-1], pose, has_scores, num_dims) for pose in people] for track in open_tracks]
        cost = np.array(rows).reshape(len(open_tracks), len(people)) / max_distance
        unmatched = set(range(len(people)))
        # Where distances overflow, people are far apart.
        for row, column in assign(np.nan_to_num(np.minimum(cost, 1), nan=1.0)):
            if cost[row, column] < 1:
                open_tracks[row].frames.append(frame)
                open_tracks[row].poses.append(people[column])
                unmatched.discard(column)
        begun = [_OpenTrack([frame], [people[column]]) for column in sorted(unmatched)]
        tracks += begun
        open_tracks += begun
    filled = [Track(track.frames[0], _interpolate(track) if fill else _with_gaps(track)) for track in tracks]
    return [track for track in filled if len(track.joints) >= min_length]


def person_tracks(
    joints: Joints, *, fps: float, gap: float = 0.5, min_duration: float = 0.6, has_scores: bool = False
) -> list[Track]:
    """Return the people of a recording, in the order in which they appear.

    Args:
        joints: (M, T, V, C), zero where a person is absent. People may change places along M.
        fps: Frames per second.
        gap: The longest absence after which somebody is still the same person, in seconds.
        min_duration: Shorter tracks are dropped, in seconds.
        has_scores: Whether the last channel is the confidence in each joint.
    """
    return track_people(
        detections(joints),
        max_gap=round(gap * fps),
        min_length=max(1, round(min_duration * fps)),
        has_scores=has_scores,
        max_distance=_UNLIMITED if len(joints) == 1 else MAX_DISTANCE,
    )


def presence_tracks(joints: Joints) -> list[Track]:
    """Return each stretch of frames in which a row of joints (M, T, V, C) is not zero, as a track."""
    present = np.pad((joints != 0).any(axis=(2, 3)).astype(np.int8), [(0, 0), (1, 1)])
    edges = [
        (row, *pair) for row, flags in enumerate(present) for pair in np.flatnonzero(np.diff(flags)).reshape(-1, 2).tolist()
    ]
    return [Track(start, joints[row, start:end]) for row, start, end in sorted(edges, key=lambda edge: edge[1])]


def stack_tracks(tracks: Sequence[Track], frames: int) -> Joints:
    """Return tracks as one array (M, T, V, C), zero where a person is absent."""
    result = np.zeros((len(tracks), frames, *tracks[0].joints.shape[1:]), dtype=np.float32)
    for row, track in zip(result, tracks, strict=True):
        row[track.start : track.end] = track.joints
    return result


def most_moving(joints: Joints, count: int) -> Joints:
    """Return at most `count` of the people in (M, T, V, C): those who move most, in falling order of motion.

    Motion is NTU RGB+D's measure: the variance of every coordinate over the frames and joints of a present person, added up.
    """
    if len(joints) <= count:
        return joints
    motion = [_motion(person) for person in joints]
    return joints[np.argsort(np.negative(motion), kind="stable")[:count]]


def window_clips(joints: Joints, windows: npt.NDArray[np.int64], num_persons: int) -> tuple[Joints, npt.NDArray[np.int64]]:
    """Return windows of joints (M, T, V, C) as clips (W, M, T', V, C), and their lengths (W,).

    Clips shorter than the longest are padded with their last frame, which pipelines ignore. Of more people than `num_persons`, those who
    move most within the window are taken.

    Args:
        joints: The recording.
        windows: (W, 2), the first frame of each and the one after its last.
        num_persons: The number of people to take.
    """
    lengths = windows[:, 1] - windows[:, 0]
    frames = np.minimum(windows[:, :1] + np.arange(lengths.max()), windows[:, 1:] - 1)
    return np.stack([most_moving(joints[:, row], num_persons) for row in frames]), lengths


def select_people(clip: Clip, count: int) -> tuple[Clip, int]:
    """Return a video's most moving people, in the frames in which any of them is present, and how many people were found."""
    tracks = presence_tracks(clip.joints)
    joints = most_moving(stack_tracks(tracks, clip.joints.shape[1]), count)
    return replace(clip, joints=joints[:, (joints != 0).any(axis=(0, 2, 3))]), len(tracks)


def assign(cost: Matrix) -> list[tuple[int, int]]:
    """Return pairs (row, column), as many as the shorter side has, of the smallest sum of costs."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(cost)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def _distance(one: Joints, other: Joints, has_scores: bool, num_dims: int | None = None) -> float:
    """Return the mean distance of the joints that both poses have, in body sizes of the first; infinite if they share none."""
    num_dims = num_dims or one.shape[-1] - has_scores
    channels = slice(-1, None) if has_scores else slice(None)
    present, other_present = ((pose[:, channels] != 0).any(axis=1) for pose in (one, other))
    both = present & other_present
    if not both.any():
        return np.inf
    size = np.linalg.norm(np.ptp(one[present, :num_dims], axis=0))
    distance = np.linalg.norm(one[both, :num_dims] - other[both, :num_dims], axis=1).mean()
    return float(distance / size) if size > 0 else np.inf


def _motion(person: Joints) -> float:
    present = person[(person != 0).any(axis=(1, 2))]
    return float(present[..., :3].var(axis=(0, 1)).sum()) if len(present) else -1.0


def _interpolate(track: _OpenTrack) -> Joints:
    """Return (T, V, C) with gaps interpolated linearly; a joint that is missing on one side of a gap stays missing."""
    frames, poses = np.array(track.frames), np.stack(track.poses)
    wanted = np.arange(frames[0], frames[-1] + 1)
    after = np.searchsorted(frames, wanted)
    before = np.where(frames[after] == wanted, after, after - 1)
    between = np.maximum(frames[after] - frames[before], 1)
    weight = ((wanted - frames[before]) / between)[:, None, None]
    filled = (1 - weight) * poses[before] + weight * poses[after]
    present = (poses != 0).any(axis=-1, keepdims=True)
    result: Joints = np.where(present[before] & present[after], filled, 0).astype(np.float32)
    return result


def _with_gaps(track: _OpenTrack) -> Joints:
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
    for number, people in enumerate(frames, start=1):
        with np.errstate(over="ignore", invalid="ignore"):
            if not all(np.isfinite(pose.astype(np.float32)).all() for _, pose in people):
                message = f"{origin}, frame {number}: a coordinate is not finite. Write zeros for a joint that was not seen."
                raise ClipError("not finite", message)
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
        tracks = track_people([pose.astype(np.float32) for pose in poses], max_gap=MAX_GAP, has_scores=has_scores, fill=False)
        joints = stack_tracks(tracks, len(frames)) if tracks else np.zeros((1, len(frames), joint_count, channels), np.float32)
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
