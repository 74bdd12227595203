"""From stored clips to what an encoder sees: views of whole batches, on the device.

A protocol says how a benchmark is fed. `nw-ucla` is the field's pipeline for NW-UCLA (Shift-GCN, CTR-GCN, InfoGCN, GAP):
subtract the centre joint of frame 0; in training rotate by whole degrees about x and y; scale every axis of the clip to
[-1, 1]; take 52 frames (training: drawn without replacement from 100 copies of the frames, sorted; test: evenly spaced);
then the stream. All people of a clip are moved together, and absent people stay zero.

No per-sample Python here: a batch is transformed by a few tensor operations, and every random number comes from
(seed, epoch, sample index), see `poseglot.skeletons.random`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy.typing as npt
import torch
from torch import Tensor

from poseglot.errors import PoseglotError
from poseglot.skeletons.clip import Joints, check_joints
from poseglot.skeletons.layout import Layout, load_layout
from poseglot.skeletons.random import Purpose, uniform
from poseglot.skeletons.streams import to_stream


@dataclass(frozen=True)
class Protocol:
    """How the clips of a benchmark are fed.

    Attributes:
        layout: the layout of the clips it was made for.
        frames: length of a view.
        rotation: largest angle about x and about y, in whole degrees (training only).
        copies: of every frame that the training view draws from, without replacement.
        scale: range of a random scale (training only) that has an effect only where `Augmentation.effective_scale` says so.
    """

    name: str
    layout: str
    frames: int
    rotation: int
    copies: int
    scale: tuple[float, float]


PROTOCOLS = {
    "nw-ucla": Protocol("nw-ucla", layout="kinect20", frames=52, rotation=60, copies=100, scale=(0.5, 1.5)),
}


@dataclass(frozen=True)
class Augmentation:
    """What training randomness is made of.

    Attributes:
        seed, epoch: with the sample's index, the key of every random number.
        effective_scale: apply the protocol's random scale after the normalisation. In the field's pipeline it comes before,
            where the min-max cancels it; so without this switch it is left out, which gives the same numbers.
    """

    seed: int
    epoch: int
    effective_scale: bool = False


def protocol_named(name: str) -> Protocol:
    """A feeding protocol by name.

    Raises:
        PoseglotError: no such protocol.
    """
    if name not in PROTOCOLS:
        raise PoseglotError(f"unknown protocol {name!r}; there are {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]


def test_view(joints: npt.ArrayLike, *, protocol: str, stream: str = "joint", layout: Layout | None = None) -> Joints:
    """The evaluation view of one clip.

    Args:
        joints: (M, T, V, C) float32.
        protocol: `nw-ucla`.
        stream: `joint`, `bone`, `joint_motion` or `bone_motion`.
        layout: of the joints; by default the protocol's own.

    Returns:
        (M, frames, V, C) float32, with the frames of the protocol (52).

    Raises:
        PoseglotError: the clip, the protocol or the stream is not acceptable.
    """
    rules = protocol_named(protocol)
    layout = layout or load_layout(rules.layout)
    array = torch.from_numpy(check_joints(joints, joint_count=len(layout)))
    view = make_view(
        array[None],
        torch.tensor([array.shape[1]]),
        torch.tensor([array.shape[0]]),
        protocol=rules,
        stream=stream,
        layout=layout,
    )
    result: Joints = view[0].numpy()
    return result


# pytest would take the name of this public function for a test.
test_view.__test__ = False  # type: ignore[attr-defined]


def make_view(
    joints: Tensor,
    frames: Tensor,
    people: Tensor,
    *,
    protocol: Protocol,
    stream: str,
    layout: Layout,
    index: Tensor | None = None,
    augmentation: Augmentation | None = None,
) -> Tensor:
    """The views of a batch.

    Args:
        joints: (N, M, T, V, C), padded; what lies behind a clip's last frame or person is ignored.
        frames: (N,) int64, each clip's length, 1..T.
        people: (N,) int64, how many people each clip has, 1..M.
        protocol, stream, layout: as in `test_view`.
        index: (N,) int64, each sample's place; needed for augmentation.
        augmentation: None gives the evaluation view.

    Returns:
        (N, M, protocol.frames, V, C), of the dtype of `joints`; absent people are zero.
    """
    device = joints.device
    frame_valid = torch.arange(joints.shape[2], device=device) < frames[:, None]
    person_valid = torch.arange(joints.shape[1], device=device) < people[:, None]
    valid = (person_valid[:, :, None] & frame_valid[:, None, :])[..., None, None]

    joints = joints - joints[:, :1, :1, layout.centre_index : layout.centre_index + 1]
    if augmentation is not None:
        assert index is not None, "augmentation needs each sample's index"
        joints = _rotate(joints, _angles(protocol, augmentation, index))
    joints = _to_unit_box(joints, valid)
    if augmentation is not None and augmentation.effective_scale:
        assert index is not None
        low, high = protocol.scale
        factor = low + (high - low) * uniform(augmentation.seed, augmentation.epoch, index, Purpose.SCALE, joints.shape[-1])
        joints = joints * factor.to(joints.dtype)[:, None, None, None, :]
    if augmentation is None:
        chosen = evenly_spaced(frames, protocol.frames)
    else:
        assert index is not None
        chosen = drawn_without_replacement(frames, protocol.frames, protocol.copies, augmentation, index)
    joints = joints.gather(2, chosen[:, None, :, None, None].expand(-1, joints.shape[1], -1, *joints.shape[3:]))
    joints = torch.where(person_valid[:, :, None, None, None], joints, 0)
    return to_stream(joints, stream, layout)


def evenly_spaced(frames: Tensor, count: int) -> Tensor:
    """(N,) lengths -> (N, count) frame numbers: linspace(0, T - 1, count), truncated, with numpy's arithmetic.

    numpy computes i * ((T - 1) / (count - 1)) in float64 and sets the last one to T - 1; truncation makes the order of
    operations matter.
    """
    step = (frames - 1).to(torch.float64) / (count - 1)
    chosen = (torch.arange(count, device=frames.device) * step[:, None]).to(torch.int64)
    chosen[:, -1] = frames - 1
    return chosen


def drawn_without_replacement(frames: Tensor, count: int, copies: int, augmentation: Augmentation, index: Tensor) -> Tensor:
    """(N,) lengths -> (N, count) ascending frame numbers, drawn without replacement from `copies` copies of range(T).

    Floyd's algorithm (Bentley and Floyd, CACM 1987) for all samples at once: `count` short steps, whatever T is.
    """
    population = frames * copies
    draws = uniform(augmentation.seed, augmentation.epoch, index, Purpose.FRAMES, count)
    chosen = torch.full((len(frames), count), -1, dtype=torch.int64, device=frames.device)
    for place in range(count):
        last = population - count + place
        draw = (draws[:, place] * (last + 1)).to(torch.int64)
        taken = (chosen == draw[:, None]).any(dim=1)
        chosen[:, place] = torch.where(taken, last, draw)
    return chosen.remainder(frames[:, None]).sort(dim=1).values


def _angles(protocol: Protocol, augmentation: Augmentation, index: Tensor) -> Tensor:
    """(N, 2) angles about x and y in radians, whole degrees, uniform on [-rotation, rotation]."""
    draws = uniform(augmentation.seed, augmentation.epoch, index, Purpose.ROTATION, 2)
    return torch.deg2rad(torch.floor(draws * (2 * protocol.rotation + 1)) - protocol.rotation)


def _rotate(joints: Tensor, angles: Tensor) -> Tensor:
    """Row vectors times Ry Rx, one pair of angles per clip. 2D joints (C = 2) are left as they are."""
    if joints.shape[-1] != 3:
        return joints
    (cx, cy), (sx, sy) = torch.cos(angles).unbind(1), torch.sin(angles).unbind(1)
    zero, one = torch.zeros_like(cx), torch.ones_like(cx)
    about_x = torch.stack([one, zero, zero, zero, cx, sx, zero, -sx, cx], dim=1).view(-1, 3, 3)
    about_y = torch.stack([cy, zero, -sy, zero, one, zero, sy, zero, cy], dim=1).view(-1, 3, 3)
    matrix = (about_y @ about_x).to(joints.dtype)
    return (joints.flatten(1, 3) @ matrix).view_as(joints)


def _to_unit_box(joints: Tensor, valid: Tensor) -> Tensor:
    """Each axis of each clip to [-1, 1] over everything valid; an axis without extent becomes 0."""
    infinity = torch.full((), torch.inf, dtype=joints.dtype, device=joints.device)
    low = torch.where(valid, joints, infinity).amin(dim=(1, 2, 3), keepdim=True)
    high = torch.where(valid, joints, -infinity).amax(dim=(1, 2, 3), keepdim=True)
    extent = high - low
    flat = extent == 0
    return torch.where(flat, 0, 2 * (joints - low) / torch.where(flat, 1, extent) - 1)


__all__ = [
    "PROTOCOLS",
    "Augmentation",
    "Protocol",
    "drawn_without_replacement",
    "evenly_spaced",
    "make_view",
    "protocol_named",
    "test_view",
]
