"""Every packaged pipeline as slow plain code: one clip, one frame and one joint after the other, in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from poseglot.random import uniform
from poseglot.skeletons.layout import Layout

Array = npt.NDArray[np.float64]
Clip = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

# What the reference draws its numbers for.
ROTATION, SCALE, FRAMES, CROP, LENGTH, JOINT_DROP, AXIS_DROP, PREFIX = 0, 1, 2, 3, 4, 6, 7, 8
# Frames of a pipeline's input; the smallest share and number of frames of its training crops.
LENGTHS = {"nw-ucla": 52, "live": 52, "body": 48}
CROPS = {"body": (0.6, 32)}


@dataclass(frozen=True)
class Key:
    """What one sample's random numbers are made of."""

    seed: int
    epoch: int
    index: int
    batch: int = 0

    def numbers(self, purpose: int, count: int) -> list[float]:
        drawn: list[float] = uniform(self.seed, self.epoch, torch.tensor([self.index]), purpose, count)[0].tolist()
        return drawn

    def shared(self, purpose: int) -> float:
        return float(uniform(self.seed, self.epoch, torch.tensor([self.batch]), purpose, 1))


def plain_input(
    clip: Clip, pipeline: str, layout: Layout, modality: str = "joint", *, has_scores: bool = False, key: Key | None = None
) -> Array:
    """(M, T, V, C) -> (M, frames, V, C), for evaluation or, with a key, for training."""
    joints = plain_joints(clip, pipeline, layout, has_scores=has_scores, key=key)
    return plain_modality(joints, modality, layout, has_scores=has_scores)


def plain_joints(clip: Clip, pipeline: str, layout: Layout, *, has_scores: bool = False, key: Key | None = None) -> Array:
    seen = seen_joints(clip, has_scores)
    kept = [frame for frame in range(clip.shape[1]) if seen[:, frame].any()]
    family = pipeline.removesuffix("-scaled").removesuffix("-early")
    if not kept:
        length = plain_length(key, pipeline) if key and family == "live" else LENGTHS.get(family, 64)
        return np.zeros((len(clip), length, *clip.shape[2:]))
    if pipeline == "nw-ucla-early" and key:
        early, share = key.numbers(PREFIX, 2)
        kept = kept[: math.ceil((0.25 + 0.75 * share) * len(kept))] if early < 0.5 else kept
    joints, seen = clip[:, kept].astype(np.float64), seen[:, kept]
    dims = clip.shape[-1] - has_scores
    place = {"nw-ucla": place_nw_ucla, "ntu": place_ntu, "metric": place_metric, "image": place_image, "live": place_live}
    place["body"] = place_metric
    if pipeline == "live-early":
        place["live"] = partial(place_live, origin_is="first")
    joints[..., :dims] = place[family](joints[..., :dims], seen, layout, has_scores, key)
    if pipeline == "nw-ucla-scaled" and key:
        joints[..., :dims] *= [0.5 + draw for draw in key.numbers(SCALE, dims)]
    if family == "nw-ucla":
        joints[~seen.any(axis=2)] = 0
        return joints[:, evenly(len(kept)) if key is None else plain_draw(len(kept), key.numbers(FRAMES, 52), 100)]
    if family == "live":
        return joints[:, evenly(len(kept)) if key is None else live_frames(len(kept), key, pipeline)]
    joints = resized(cropped(joints, key, *CROPS.get(family, (0.5, 64))), LENGTHS.get(family, 64))
    if key is not None and family == "body":
        return plain_body(joints, dims, key)
    if key is not None:
        x, y, z = (-0.3 + 0.6 * draw for draw in key.numbers(ROTATION, 3))
        matrix = about_z(z)[:dims, :dims]
        if dims == 3 and family != "image":
            matrix = matrix @ about_y(y) @ about_x(x)
        for where in np.ndindex(joints.shape[:3]):
            joints[where][:dims] = matrix @ joints[where][:dims]
    return joints


def plain_body(joints: Array, dims: int, key: Key) -> Array:
    """Turn, flatten, scale, and leave joints out."""
    if dims == 3:
        joints[..., :3] = joints[..., :3] @ row_rotation(*(math.floor(draw * 91) - 45 for draw in key.numbers(ROTATION, 2)))
        if key.numbers(AXIS_DROP, 2)[0] < 0.4:
            joints[..., 2] = 0
    joints[..., :dims] *= [0.8 + 0.45 * draw for draw in key.numbers(SCALE, dims)]
    for joint, draw in enumerate(key.numbers(JOINT_DROP, joints.shape[2])):
        if draw < 0.05:
            joints[:, :, joint] = 0
    return joints


def seen_joints(clip: npt.NDArray[np.floating], has_scores: bool) -> Mask:
    return clip[..., -1] > 0 if has_scores else np.array([[[bool(j.any()) for j in f] for f in person] for person in clip])


# --- placing ---------------------------------------------------------------------------------------------------------------


def origin_of(joints: Array, seen: Mask, layout: Layout, has_scores: bool) -> Array:
    """Who is first seen, by the centre joint where there are scores; else the mean of what is seen."""
    centre = layout.index[layout.centre]
    for person in range(len(joints)):
        for frame in range(joints.shape[1]):
            if seen[person, frame, centre] if has_scores else seen[person, frame].any():
                return joints[person, frame, centre].copy()
    for person in range(len(joints)):
        for frame in range(joints.shape[1]):
            if seen[person, frame].any():
                return np.asarray(joints[person, frame][seen[person, frame]].mean(axis=0))
    raise AssertionError("nobody is seen")


def place_nw_ucla(joints: Array, seen: Mask, layout: Layout, has_scores: bool, key: Key | None) -> Array:
    joints = joints - origin_of(joints, seen, layout, has_scores)
    if key is not None and joints.shape[-1] == 3:
        # randint(-60, 60), both ends included
        degrees = [math.floor(draw * 121) - 60 for draw in key.numbers(ROTATION, 2)]
        assert all(-60 <= angle <= 60 for angle in degrees)
        joints = joints @ row_rotation(*degrees)
    return unit_box(joints, seen if has_scores else seen.any(axis=2))


def place_ntu(joints: Array, seen: Mask, layout: Layout, has_scores: bool, key: Key | None) -> Array:
    return joints


def place_metric(joints: Array, seen: Mask, layout: Layout, has_scores: bool, key: Key | None) -> Array:
    result, origin = np.zeros_like(joints), origin_of(joints, seen, layout, has_scores)
    for where in np.ndindex(seen.shape):
        if seen[where]:
            result[where] = joints[where] - origin
    return result


def place_image(joints: Array, seen: Mask, layout: Layout, has_scores: bool, key: Key | None) -> Array:
    result = np.zeros_like(joints)
    low, high = joints[seen].min(axis=0), joints[seen].max(axis=0)
    half = (high - low).max() / 2
    for where in np.ndindex(seen.shape):
        if seen[where] and half > 0:
            result[where] = (joints[where] - (low + high) / 2) / half
    return result


def place_live(
    joints: Array,
    seen: Mask,
    layout: Layout,
    has_scores: bool,
    key: Key | None,
    *,
    memory: int = 64,
    origin_is: str = "running",
) -> Array:
    """One frame, one person, one bone after the other; then turned as `nw-ucla` is."""
    placed = np.zeros_like(joints)
    count, sure, origin, unit = 0, False, np.zeros(joints.shape[-1]), 0.0
    for t in range(joints.shape[1]):
        by_centre, otherwise = [], []
        for person, there in zip(joints[:, t], seen[:, t], strict=True):
            pairs = [(v, u) for v, u in enumerate(layout.parents) if u != v and there[u] and there[v]]
            if not pairs:
                continue
            size = float(np.mean([np.linalg.norm(person[v] - person[u]) for v, u in pairs]))
            otherwise.append((person[there].mean(axis=0), size))
            if there[layout.centre_index] or not has_scores:
                by_centre.append((person[layout.centre_index], size))
        if by_centre and not sure:
            count, sure = 0, True
        if found := by_centre or ([] if sure else otherwise):
            count += 1
            share = 1 / min(count, memory)
            if origin_is == "running" or count == 1:
                origin = (1 - share) * origin + share * np.mean([where for where, _ in found], axis=0)
            unit = (1 - share) * unit + share * float(np.mean([size for _, size in found]))
        for m, v in np.ndindex(*seen[:, t].shape):
            if seen[m, t, v] and unit > 0:
                placed[m, t, v] = (joints[m, t, v] - origin) / unit
    if key is not None and joints.shape[-1] == 3:
        placed = placed @ row_rotation(*(math.floor(draw * 121) - 60 for draw in key.numbers(ROTATION, 2)))
    return placed


def unit_box(joints: Array, present: Mask) -> Array:
    """By the joints (M, T, V), or all joints of the people (M, T), that are present."""
    result = np.zeros_like(joints)
    for axis in range(joints.shape[-1]):
        values = [float(value) for value in joints[present][..., axis].ravel()]
        low, high = min(values), max(values)
        if high > low:
            result[..., axis] = (joints[..., axis] - low) / (high - low) * 2 - 1
    return result


def row_rotation(degrees_x: int, degrees_y: int) -> Array:
    """What row vectors are multiplied by: Ry Rx."""
    x, y = math.radians(degrees_x), math.radians(degrees_y)
    turn_x = [[1, 0, 0], [0, math.cos(x), math.sin(x)], [0, -math.sin(x), math.cos(x)]]
    turn_y = [[math.cos(y), 0, -math.sin(y)], [0, 1, 0], [math.sin(y), 0, math.cos(y)]]
    return np.array(turn_y) @ np.array(turn_x)


def about_x(angle: float) -> Array:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def about_y(angle: float) -> Array:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def about_z(angle: float) -> Array:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


# --- frames ----------------------------------------------------------------------------------------------------------------


def evenly(length: int, count: int = 52) -> list[int]:
    return [int(frame) for frame in np.linspace(0, length - 1, count)]


def plain_draw(length: int, draws: list[float], copies: int) -> list[int]:
    """Floyd's algorithm: a subset of range(length * copies), as frames."""
    population, count = length * copies, len(draws)
    chosen: set[int] = set()
    for draw, last in zip(draws, range(population - count, population), strict=True):
        number = math.floor(draw * (last + 1))
        chosen.add(last if number in chosen else number)
    assert len(chosen) == count
    return sorted(number % length for number in chosen)


def plain_length(key: Key, pipeline: str) -> int:
    lengths = (12, 16, 20, 24, 32, 40, 48, 64) if pipeline == "live" else (8, 12, 16, 20, 24, 32, 40, 48, 64)
    return lengths[math.floor(key.shared(LENGTH) * len(lengths))]


def live_frames(length: int, key: Key, pipeline: str) -> list[int]:
    count = plain_length(key, pipeline)
    speed, start = key.numbers(CROP, 2)
    least = 0.6 if pipeline == "live" else 0.05
    crop = min(max(math.floor(count * (0.75 + 0.75 * speed)), math.ceil(np.float32(least * length))), length)
    first = math.floor(start * (length - crop + 1)) if pipeline == "live" else 0
    return [first + frame for frame in plain_draw(crop, key.numbers(FRAMES, count), 100)]


def cropped(joints: Array, key: Key | None, min_share: float = 0.5, min_frames: int = 64) -> Array:
    frames = joints.shape[1]
    if key is None:
        left_out = int(0.05 * frames / 2)
        return joints[:, left_out : frames - left_out]
    share, place = key.numbers(CROP, 2)
    length = min(max(math.floor(frames * (min_share + (1 - min_share) * share)), min_frames), frames)
    start = math.floor(place * (frames - length + 1))
    return joints[:, start : start + length]


def resized(joints: Array, length: int) -> Array:
    """torch's own linear resizing, in the precision of an input."""
    people, frames, *rest = joints.shape
    rows = torch.from_numpy(joints).float().reshape(people, frames, -1).transpose(1, 2)
    made = F.interpolate(rows, size=length, mode="linear", align_corners=False)
    return made.transpose(1, 2).reshape(people, length, *rest).double().numpy()


# --- modality --------------------------------------------------------------------------------------------------------------


def plain_modality(joints: Array, modality: str, layout: Layout, *, has_scores: bool = False) -> Array:
    """(M, T, V, C) joints -> another modality; a score becomes the mean of the two that are compared."""
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
