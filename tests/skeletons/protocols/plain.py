"""The protocols ntu, metric and image as slow plain code: one sample at a time, one step after the other."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from poseglot.random import uniform
from poseglot.skeletons.layout import Layout
from poseglot.skeletons.transforms import Augmentation

Array = npt.NDArray[np.float64]

# What the reference draws its numbers for.
ROTATION, CROP = 0, 3


def numbers_for(augmentation: Augmentation, index: int, purpose: int, count: int) -> list[float]:
    drawn: list[float] = uniform(augmentation.seed, augmentation.epoch, torch.tensor([index]), purpose, count)[0].tolist()
    return drawn


def plain_joints(
    clip: npt.NDArray[np.float32],
    pipeline: str,
    layout: Layout,
    *,
    has_scores: bool = False,
    augmentation: Augmentation | None = None,
    index: int = 0,
) -> Array:
    """(M, T, V, C) -> (M, 64, V, C)."""
    axes = clip.shape[-1] - has_scores
    seen = clip[..., -1] != 0 if has_scores else np.array([[[joint.any() for joint in f] for f in person] for person in clip])
    joints = clip.astype(np.float64)
    if pipeline == "metric":
        joints[..., :axes] = centred(joints[..., :axes], seen, layout.index[layout.centre], has_scores)
    if pipeline == "image":
        joints[..., :axes] = boxed(joints[..., :axes], seen)
    valid = sum(bool(seen[:, frame].any()) for frame in range(clip.shape[1]))
    if valid == 0:
        return np.zeros((len(clip), 64, *clip.shape[2:]))
    joints = joints[:, :valid]
    if augmentation is None:
        left_out = int(0.05 * valid / 2)
        joints = joints[:, left_out : valid - left_out]
    else:
        share, place = numbers_for(augmentation, index, CROP, 2)
        length = min(max(math.floor(valid * (0.5 + 0.5 * share)), 64), valid)
        start = math.floor(place * (valid - length + 1))
        joints = joints[:, start : start + length]
    joints = resized(joints)
    if augmentation is not None:
        x, y, z = (-0.3 + 0.6 * draw for draw in numbers_for(augmentation, index, ROTATION, 3))
        matrix = rotation_about_z(z)[:axes, :axes]
        if axes == 3 and pipeline != "image":
            matrix = matrix @ rotation_about_y(y) @ rotation_about_x(x)
        for place in np.ndindex(joints.shape[:3]):
            joints[place][:axes] = matrix @ joints[place][:axes]
    return joints


def centred(joints: Array, seen: npt.NDArray[np.bool_], centre: int, has_scores: bool) -> Array:
    """Minus the first person's centre joint in the first frame that shows that person (with scores: that joint)."""
    result = np.zeros_like(joints)
    shown = [frame for frame in range(joints.shape[1]) if (seen[0, frame, centre] if has_scores else seen[0, frame].any())]
    origin = joints[0, shown[0], centre] if shown else 0
    for place in np.ndindex(seen.shape):
        if seen[place]:
            result[place] = joints[place] - origin
    return result


def boxed(joints: Array, seen: npt.NDArray[np.bool_]) -> Array:
    result = np.zeros_like(joints)
    if seen.any():
        low, high = joints[seen].min(axis=0), joints[seen].max(axis=0)
        half = (high - low).max() / 2
        for place in np.ndindex(seen.shape):
            if seen[place] and half > 0:
                result[place] = (joints[place] - (low + high) / 2) / half
    return result


def resized(joints: Array) -> Array:
    """torch's own linear resizing to 64 frames, in the precision of a view."""
    people, frames, *rest = joints.shape
    rows = torch.from_numpy(joints).float().reshape(people, frames, -1).transpose(1, 2)
    made = F.interpolate(rows, size=64, mode="linear", align_corners=False)
    return made.transpose(1, 2).reshape(people, 64, *rest).double().numpy()


def rotation_about_x(angle: float) -> Array:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def rotation_about_y(angle: float) -> Array:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def rotation_about_z(angle: float) -> Array:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def plain_stream(joints: Array, modality: str, layout: Layout, *, has_scores: bool = False) -> Array:
    """(M, T, V, C) joints -> another stream; a score becomes the mean of the two that are compared."""
    if modality.startswith("bone"):
        parents = joints[:, :, [layout.index[layout.bones.get(name, name)] for name in layout.joints]]
        joints = difference(joints, parents, has_scores)
    if modality.endswith("motion"):
        joints = np.concatenate([difference(joints[:, 1:], joints[:, :-1], has_scores), np.zeros_like(joints[:, :1])], axis=1)
    return joints


def difference(to: Array, start: Array, has_scores: bool) -> Array:
    result = to - start
    if has_scores:
        result[..., -1] = (to[..., -1] + start[..., -1]) / 2
    return result
