"""Other layouts and the common body in torch operations, for whole batches: what exported files compute (`inference.raw`).

`skeletons.mapping` and `skeletons.common_body` define both, for one clip in numpy, and say why each step is as it is. Tests hold the two
forms equal. Here nothing depends on values by a branch, and no loop runs over frames, so that ONNX has one graph for clips of any length.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from poseglot.skeletons.clip import MIN_SCORE
from poseglot.skeletons.layout import Layout
from poseglot.skeletons.mapping import LayoutMapping
from poseglot.skeletons.orientation import STAND_INS, UPRIGHT_SHARE, VIEWS


def map_joints(joints: Tensor, mapping: LayoutMapping, *, has_scores: bool) -> Tensor:
    """Map clips (N, M, T, V of the source, C) to (N, M, T, V of the target, C) as `LayoutMapping.apply`."""
    source = mapping.source
    seen = _seen(joints, has_scores)
    if not has_scores:
        # The joint at which a clip was centred is zero in all its frames, and was seen.
        never = ~seen.flatten(1, 2).any(dim=1)[:, None, None]
        seen = seen | (never & (seen.sum(dim=-1, keepdim=True) == len(source) - 1))
    indices = [[source.index[name] for name in joint.weights] for joint in mapping.joints]
    weights = torch.zeros(len(indices), len(source), dtype=torch.float64)
    for row, joint, members in zip(weights, mapping.joints, indices, strict=True):
        for member, weight in zip(members, joint.weights.values(), strict=True):
            row[member] = weight
    means = torch.tensor([[len(members) > 1] for members in indices])  # copied joints are copied as they are
    hidden = (means & (weights > 0)).double() @ (~seen).double()[..., None] > 0
    mapped = torch.where(hidden, 0, weights @ joints.double()).to(joints.dtype)
    if not has_scores:
        return mapped
    longest = max(map(len, indices))
    filled = torch.tensor([(members or [0]) + (members or [0])[:1] * (longest - max(1, len(members))) for members in indices])
    lowest = joints[..., -1].index_select(-1, filled.flatten()).unflatten(-1, filled.shape).amin(dim=-1)
    lowest = lowest * torch.tensor([bool(members) for members in indices])
    return torch.cat([mapped[..., :-1], torch.where(hidden[..., 0], 0, lowest)[..., None]], dim=-1)


def common_body(joints: Tensor, mapping: LayoutMapping, *, has_scores: bool) -> Tensor:
    """Turn clips (N, M, T, V, C) of the source layout into common bodies (N, M, T, 15, 3) as `to_common_body`."""
    target = mapping.target
    mapped = map_joints(joints, mapping, has_scores=has_scores)
    seen = _seen(mapped, has_scores)
    positions = mapped[..., :-1] if has_scores else mapped
    positions = F.pad(positions, (0, 3 - positions.shape[-1])).double()
    if not has_scores:
        centres = [
            bool(joint.weights) and (set(joint.weights) == {mapping.source.centre} or joint.joint == target.centre)
            for joint in mapping.joints
        ]
        seen = seen | (torch.tensor(centres) & seen.any(dim=-1, keepdim=True) & ~seen.any(dim=2, keepdim=True))
    flat = ~(positions[..., 2] != 0).flatten(1).any(dim=1)  # pictures
    turned = _filled(positions, seen) @ _axes(positions, seen, flat, target)[:, None, None]
    there = seen.any(dim=2, keepdim=True) & seen.any(dim=-1, keepdim=True)
    turned = torch.where(
        (~flat & _shows_back(turned, there, target))[:, None, None, None, None], _BACK.to(turned) * turned, turned
    )
    unit = _mean_bone(turned, there, target)
    middle = _mean(turned, there[..., None], (1, 2, 3))
    centred = there[..., target.centre_index].flatten(1).any(dim=1)
    origin = torch.where(centred[:, None], 0, middle)
    moved = (turned - origin[:, None, None, None]) / torch.where(unit > 0, unit, 1)[:, None, None, None, None]
    return torch.where(there[..., None], moved, 0).float()


_BACK = torch.tensor([-1.0, 1.0, -1.0])


def _seen(joints: Tensor, has_scores: bool) -> Tensor:
    return joints[..., -1] >= MIN_SCORE if has_scores else (joints != 0).any(dim=-1)


def _mean(values: Tensor, counts: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Return the mean over some dimensions of what counts; 0 of nothing."""
    total = (values * counts).sum(dim=dims)
    return total / counts.expand_as(values).sum(dim=dims).clamp(min=1)


def _filled(positions: Tensor, seen: Tensor) -> Tensor:
    """Return positions (N, M, T, V, 3) with joints that were out of sight for a while interpolated over time."""
    present = seen.any(dim=-1, keepdim=True)
    always = (seen | ~present).all(dim=2, keepdim=True) & seen
    middle = _mean(positions, always[..., None], (3,))[:, :, :, None]
    before, after, weight = _neighbours(seen)
    ways = positions - middle
    earlier, later = (ways.gather(2, frame[..., None].expand(-1, -1, -1, -1, 3)) for frame in (before, after))
    between = earlier + (later - earlier) * weight[..., None]
    return torch.where(seen[..., None], ways, between) + middle


def _neighbours(seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the frames in which a joint is seen last before and first after each frame, and the weight of the latter.

    Args:
        seen: (N, M, T, V). Before the first such frame and after the last one it is taken twice; a joint that is never seen has frame 0.
    """
    frames = seen.shape[2]
    time = torch.arange(frames)[:, None].expand(seen.shape)
    number = seen.to(torch.int64).cumsum(dim=2)  # of each frame among those in which the joint is seen, from 1
    # Every frame is written where its number says; the others go behind the end.
    listed = time.new_zeros(seen.shape[0], seen.shape[1], frames + 1, seen.shape[3])
    listed = listed.scatter(2, torch.where(seen, number - 1, frames), time)
    last = (number[:, :, -1:] - 1).clamp(min=0)
    before, after = (listed.gather(2, place.clamp(min=0).minimum(last)) for place in (number - 1, number))
    weight = (time - before).double() / (after - before).clamp(min=1)
    return before, after, weight.clamp(min=0, max=1)


def _axes(positions: Tensor, seen: Tensor, flat: Tensor, layout: Layout) -> Tensor:
    """Return the matrices (N, 3, 3) to picture coordinates, as `picture_matrix`; of pictures the third axis is zero."""
    body, valid = _feet_to_head(positions.flatten(1, 2), seen.flatten(1, 2), layout)
    y = torch.where(_mean(body[..., 1], valid, (1,)) > 0, 1.0, -1.0).to(positions)
    picture = torch.stack([torch.ones_like(y), y, torch.zeros_like(y)], dim=1)[..., None] * torch.eye(3, dtype=y.dtype)
    length = body.norm(dim=-1)
    valid = valid & (length > 0)
    directions = body / torch.where(valid, length, 1)[..., None]
    ways = list(VIEWS)
    along = torch.stack([sign * directions[..., axis] for axis, sign in ways], dim=-1)  # (N, R, 6)
    upright = _quantile(along, valid, 1 - UPRIGHT_SHARE)
    matrices = torch.zeros(len(ways), 3, 3, dtype=positions.dtype)
    for matrix, way in zip(matrices, ways, strict=True):
        for column, (axis, sign) in enumerate(VIEWS[way]):
            matrix[axis, column] = sign
    best = torch.where(valid.any(dim=1) & ~(upright[:, 0] > 0.5), upright.argmax(dim=1), 0)
    return torch.where(flat[:, None, None], picture, matrices.index_select(0, best))


def _feet_to_head(positions: Tensor, seen: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
    """Return the vectors (N, R, 3) from feet to head and which there are (N, R), or those of the first parts of which there are any."""
    vectors, known = [], []
    for ends in (("foot", "head"), *STAND_INS):
        middles, counts = [], []
        for part in ends:
            indices = torch.tensor([layout.index[joint] for joint in layout.parts[part]])
            of_part = seen.index_select(-1, indices)
            middles.append(_mean(positions.index_select(-2, indices), of_part[..., None], (2,)))
            counts.append(of_part.any(dim=-1))
        vectors.append(middles[1] - middles[0])
        known.append(counts[0] & counts[1])
    there = torch.stack(known, dim=1)  # (N, pairs, R)
    chosen = there.any(dim=2).to(torch.int8).argmax(dim=1)
    is_chosen = (torch.arange(len(known)) == chosen[:, None])[..., None]
    return (torch.stack(vectors, dim=1) * is_chosen[..., None]).sum(dim=1), (there & is_chosen).any(dim=1)


def _quantile(values: Tensor, valid: Tensor, share: float) -> Tensor:
    """Return a quantile (N, K) of values (N, R, K) where they are valid (N, R), linear between two; anything where none is."""
    ordered = torch.where(valid[..., None], values, torch.inf).sort(dim=1).values
    place = share * (valid.sum(dim=1) - 1).clamp(min=0).double()
    low = place.floor()
    weight = (place - low)[:, None]
    first, second = (
        ordered.gather(1, at.to(torch.int64)[:, None, None].expand(-1, 1, values.shape[2])).squeeze(1)
        for at in (low, place.ceil())
    )
    return first + torch.where(weight > 0, second - first, 0) * weight


def _shows_back(positions: Tensor, there: Tensor, layout: Layout) -> Tensor:
    """Tell of each clip (N,) whether left is mostly to the left of right."""
    sides = [[layout.index[f"{side}_{joint}"] for joint in ("shoulder", "hip")] for side in ("left", "right")]
    left, right = map(torch.tensor, sides)
    both = there.index_select(-1, left) & there.index_select(-1, right)
    x = positions[..., 0]
    return ((x.index_select(-1, left) - x.index_select(-1, right)) * both).flatten(1).sum(dim=1) < 0


def _mean_bone(positions: Tensor, there: Tensor, layout: Layout) -> Tensor:
    """Return the mean length (N,) of the bones whose ends are known; 0 if there is none."""
    children, parents = torch.tensor(layout.bone_pairs).unbind(1)
    whole = there.index_select(-1, children) & there.index_select(-1, parents)
    lengths = (positions.index_select(-2, children) - positions.index_select(-2, parents)).norm(dim=-1)
    return _mean(lengths, whole, (1, 2, 3))
