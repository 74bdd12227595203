"""From what Kinect tracked to one or two actors: the field's preparation of NTU RGB+D, step by step.

The steps are those of SGN (Zhang et al., CVPR 2020), which took the denoising from HCN (Li et al., IJCAI 2018), and which CTR-GCN and
GAP are trained on:

    tracks     frames without a body are dropped, the gaps of each body closed
    denoise    short and flat bodies are noise
    actors     up to two people, each put together from bodies that are there at different times
    centre     the middle of the first actor's spine, where it is first seen, becomes the origin
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from poseglot.data.readers.ntu.text import JOINTS, Recording
from poseglot.skeletons.clip import Joints

# A body seen in no more frames than this is noise.
SHORTEST = 11
# A frame is flat when a body is wider than this share of its height; a body with so large a share of flat frames is noise.
FLATNESS, FLAT_SHARE = 0.8, 0.69754
SPINE_MIDDLE = 1


@dataclass(frozen=True, eq=False)
class Track:
    """A body in time.

    Attributes:
        id: as the file has it.
        start: the frame in which it begins, frames without a body not counted.
        joints: (n, 25, 3), one frame after the other.
        motion: how much it moves: the variances of x, y and z over all its frames and joints, added; of a lone body nobody
            asks for it, and it is 0.
    """

    id: str
    start: int
    joints: Joints
    motion: float

    @property
    def end(self) -> int:
        """One past the last frame."""
        return self.start + len(self.joints)


def tracks(recording: Recording) -> list[Track]:
    """The bodies of a recording, in the order in which they appear, with their gaps closed."""
    occupied = np.zeros(recording.frames, dtype=bool)
    for body in recording.bodies:
        occupied[body.frames] = True
    frame_of = np.cumsum(occupied) - 1
    alone = len(recording.bodies) == 1
    return [
        Track(body.id, int(frame_of[body.frames[0]]), body.joints, 0.0 if alone else _motion(body.joints))
        for body in recording.bodies
    ]


def denoise(found: Sequence[Track]) -> list[Track]:
    """The bodies that are not noise, at least one; a lone body is never judged.

    A body with flat frames that is kept counts with the motion of its other frames, where that is smaller.
    """
    left = list(found)
    for track in found:
        if len(left) > 1 and len(track.joints) <= SHORTEST:
            left.remove(track)
    for track in list(left):
        if len(left) == 1:
            break
        flat = flat_frames(track.joints)
        if flat.mean() >= FLAT_SHARE:
            left.remove(track)
        else:
            left[left.index(track)] = replace(track, motion=min(track.motion, _motion(track.joints[~flat])))
    return left


def flat_frames(joints: Joints) -> npt.NDArray[np.bool_]:
    """(n, 25, 3) -> (n,) in which frames the body is too wide for its height to be a person."""
    span = joints.max(axis=1) - joints.min(axis=1)
    flat: npt.NDArray[np.bool_] = span[:, 0] > FLATNESS * span[:, 1]
    return flat


def actors(found: Sequence[Track]) -> Joints:
    """(M, T, 25, 3): one actor if there is one body, else two, of which the second may be absent (zeros) throughout.

    The body that moves most begins the first actor. Each further one, by motion, joins the first actor if it is there at other times, else
    the second, else it is left out. Of two actors, frames in which nobody is left are dropped.

    As in the field's arrays, two bodies of one actor may share one frame (the later in the order has it), and whatever the second
    actor begins with, the time before counts as taken: of two bodies that could follow each other there, the one that
    moves less is lost if it came first.
    """
    ordered = sorted(found, key=lambda track: -track.motion)
    if len(ordered) == 1:
        return ordered[0].joints[None]
    joints = np.zeros((2, max(track.end for track in ordered), JOINTS, 3), dtype=np.float32)
    first, last = [ordered[0].start, 0], [ordered[0].start, 0]  # frames that each actor has so far
    for track in ordered:
        for actor in range(2):
            if min(last[actor], track.end - 1) - max(first[actor], track.start) <= 0:
                joints[actor, track.start : track.end] = track.joints
                first[actor] = min(first[actor], track.start)
                last[actor] = max(last[actor], track.end - 1)
                break
    seen = np.asarray(joints.any(axis=(0, 2, 3)))
    return joints[:, seen] if seen.any() else joints


def centre(joints: Joints) -> Joints:
    """(M, T, 25, 3) moved so that the first actor's spine begins at the origin; where an actor is absent it stays zero."""
    there = np.asarray(joints.any(axis=(2, 3)))
    first = int(there[0].argmax())
    return np.where(there[:, :, None, None], joints - joints[0, first, SPINE_MIDDLE], np.float32(0))


def preprocess(recording: Recording) -> Joints:
    """(M, T, 25, 3) float32, M = 1 or 2: all steps."""
    return centre(actors(denoise(tracks(recording))))


def _motion(joints: Joints) -> float:
    return float(joints.var(axis=(0, 1), dtype=np.float64).sum())
