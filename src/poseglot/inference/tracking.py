"""Who is who: people found in each frame, in any order and with gaps, become tracks.

Frame by frame, the people found are given to the tracks that are still alive, so that the distances between poses are smallest in sum; the
assignment is exact (scipy's). A pair further apart than `reach` is none: such a person begins a track. A track that
nobody was given to for more than `gap` frames has ended; shorter gaps are filled in a straight line. The distance of two poses is the
mean distance of the joints that both have; `reach` is measured in body sizes, so that it holds for metres and for pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from poseglot.skeletons.clip import Joints

REACH = 0.5
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Track:
    """A person from frame `start` on: joints (T, V, C), without gaps."""

    start: int
    joints: Joints

    @property
    def end(self) -> int:
        """The frame behind the last."""
        return self.start + len(self.joints)


@dataclass
class _Open:
    """A track that may go on: the frames in which it was seen, and the poses."""

    frames: list[int] = field(default_factory=list)
    poses: list[Joints] = field(default_factory=list)


def detections(joints: Joints) -> list[Joints]:
    """(M, T, V, C), zero where nobody is -> of each frame, the people in it (D, V, C)."""
    return [joints[(joints[:, frame] != 0).any(axis=(1, 2)), frame] for frame in range(joints.shape[1])]


def track_people(
    found: Sequence[Joints],
    *,
    gap: int,
    least: int = 1,
    reach: float = REACH,
    has_scores: bool = False,
    num_dims: int | None = None,
) -> list[Track]:
    """The tracks of a recording, in the order in which they begin.

    Args:
        found: of each frame, the people in it, (D, V, C), in any order.
        gap: the longest gap that is filled, in frames.
        least: shorter tracks are left out (ghosts).
        reach: how far a pose may be from the last one of its track, in body sizes (the diagonal of that one's bounding box).
        scored: whether the last channel is the confidence in each joint; a joint of confidence 0, or at zero, is missing.
        axes: how many channels, from the first on, say where a joint is; by default all but the score. The others are carried along.
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
        for place, other in given:
            if cost[place, other] < 1:
                alive[place].frames.append(frame)
                alive[place].poses.append(people[other])
                free.discard(other)
        for other in sorted(free):
            opened.append(_Open([frame], [people[other]]))
            alive.append(opened[-1])
    tracks = [Track(track.frames[0], _filled(track)) for track in opened]
    return [track for track in tracks if len(track.joints) >= least]


def tracks_of(joints: Joints) -> list[Track]:
    """(M, T, V, C), zero where somebody is not there -> each stretch for which a place along M is taken, as a track."""
    there = np.pad((joints != 0).any(axis=(2, 3)).astype(np.int8), [(0, 0), (1, 1)])
    edges = [(row, *pair) for row, flags in enumerate(there) for pair in np.flatnonzero(np.diff(flags)).reshape(-1, 2).tolist()]
    return [Track(start, joints[row, start:end]) for row, start, end in sorted(edges, key=lambda edge: edge[1])]


def together(tracks: Sequence[Track], frames: int) -> Joints:
    """Tracks as one array (M, T, V, C), zero where somebody is not there."""
    first = tracks[0].joints
    result = np.zeros((len(tracks), frames, *first.shape[1:]), dtype=np.float32)
    for row, track in zip(result, tracks, strict=True):
        row[track.start : track.end] = track.joints
    return result


def assign(cost: Matrix) -> list[tuple[int, int]]:
    """Return pairs (row, column), as many as the shorter side has, of the smallest sum of costs."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(cost)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def _distance(one: Joints, other: Joints, has_scores: bool, num_dims: int | None = None) -> float:
    """The mean distance of the joints that both poses have, in body sizes of the first; infinite if they share none."""
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
    """(T, V, C): straight lines between the poses around a gap; a joint that one of them lacks stays missing."""
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
