"""The field's preprocessing of NTU RGB+D: from the bodies that Kinect tracked to one or two actors.

The steps are those of SGN (Zhang et al., CVPR 2020), with the denoising of HCN (Li et al., IJCAI 2018). CTR-GCN and GAP are trained on
their result:

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
MAX_NOISE_FRAMES = 11
# A frame is flat when a body is wider than this share of its height; a body with so large a share of flat frames is noise.
FLATNESS, FLAT_SHARE = 0.8, 0.69754
SPINE_MIDDLE = 1


@dataclass(frozen=True, eq=False)
class Track:
    """A body in time.

    Attributes:
        id: As the file has it.
        start: The frame in which it begins, not counting frames without a body.
        joints: (n, 25, 3), one frame after the other.
        motion: The sum of the variances of x, y and z over all its frames and joints; 0 for a lone body, which needs none.
    """

    id: str
    start: int
    joints: Joints
    motion: float

    @property
    def end(self) -> int:
        """The frame after the last."""
        return self.start + len(self.joints)


def tracks(recording: Recording) -> list[Track]:
    """Return the bodies of a recording in the order in which they appear, with their gaps closed."""
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
    """Return the bodies that are not noise, at least one. A lone body is always kept.

    A kept body with flat frames counts with the motion of its other frames, if that is smaller.
    """
    left = list(found)
    for track in found:
        if len(left) > 1 and len(track.joints) <= MAX_NOISE_FRAMES:
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
    """Return (n,) in which frames of a body (n, 25, 3) it is too wide for its height to be a person."""
    span = joints.max(axis=1) - joints.min(axis=1)
    flat: npt.NDArray[np.bool_] = span[:, 0] > FLATNESS * span[:, 1]
    return flat


def actors(found: Sequence[Track]) -> Joints:
    """Return (M, T, 25, 3): one actor for one body, else two, of which the second may be absent (zeros) throughout.

    The body that moves most begins the first actor. Each further body, by motion, joins the first actor if it is there at other times, else
    the second, else it is left out. With two actors, frames without anybody are dropped.

    As in the field's arrays, two bodies of one actor may share one frame (the later in the order has it). The time before the second
    actor's first body counts as taken: a body that moves less and came before it is lost.
    """
    ordered = sorted(found, key=lambda track: -track.motion)
    if len(ordered) == 1:
        return ordered[0].joints[None]
    joints = np.zeros((2, max(track.end for track in ordered), JOINTS, 3), dtype=np.float32)
    first, last = [ordered[0].start, 0], [ordered[0].start, 0]  # the frames of each actor so far
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
    """Return (M, T, 25, 3) moved so that the first actor's spine begins at the origin. An absent actor stays zero."""
    there = np.asarray(joints.any(axis=(2, 3)))
    first = int(there[0].argmax())
    return np.where(there[:, :, None, None], joints - joints[0, first, SPINE_MIDDLE], np.float32(0))


def preprocess(recording: Recording) -> Joints:
    """Return (M, T, 25, 3) float32, M = 1 or 2, after all steps."""
    return centre(actors(denoise(tracks(recording))))


def _motion(joints: Joints) -> float:
    return float(joints.var(axis=(0, 1), dtype=np.float64).sum())
