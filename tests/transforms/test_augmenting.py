"""Random changes of training clips: their ranges, and that evaluation knows none of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from poseglot.transforms import (
    AxisDrop,
    JointDrop,
    Mirror,
    PipelineError,
    Randomness,
    RandomRotate,
    RandomScale,
    Transform,
)
from poseglot.transforms.augmenting import rotation_matrix
from tests.transforms import plain
from tests.transforms.clips import INDEX, LAYOUT, batch_of, mixed_clips, randomness, some_clip

EVERY = (RandomRotate(radians=0.3), RandomRotate("yx", degrees=60), RandomScale(), Mirror(), JointDrop(), AxisDrop())
IDS = ["radians", "degrees", "scale", "mirror", "joint-drop", "axis-drop"]
MANY = 3000


def many(dims: int = 3, has_scores: bool = False) -> tuple[torch.Tensor, Callable[[Transform], torch.Tensor]]:
    """The joints of one clip of a frame, and what becomes of it as many samples."""
    clip = some_clip(1, 1, dims=dims, has_scores=has_scores, whole=True)
    batch = batch_of([clip] * MANY, has_scores=has_scores)
    return batch.joints[0], lambda transform: transform(batch, Randomness(3, 1, torch.arange(MANY))).joints


@pytest.mark.parametrize("transform", EVERY, ids=IDS)
def test_evaluation_knows_none_of_them(transform: Transform) -> None:
    batch = batch_of(mixed_clips(), padding=0)
    assert torch.equal(transform(batch, None).joints, batch.joints)
    assert not torch.equal(transform(batch, randomness(INDEX)).joints, batch.joints)
    frame, state = transform.step(batch_of([some_clip(1, 1)]), None)
    assert frame is not None and state is None and torch.equal(frame.joints, batch_of([some_clip(1, 1)]).joints)


@pytest.mark.parametrize("transform", EVERY, ids=IDS)
@pytest.mark.parametrize("dims", [2, 3])
def test_scores_of_joints_that_stay_are_left(transform: Transform, dims: int) -> None:
    batch = batch_of([some_clip(2, 9, dims=dims, has_scores=True, whole=True)] * 3, has_scores=True)
    made = transform(batch, randomness([1, 2, 3])).joints
    before, after = batch.joints[..., dims], made[..., dims]
    if isinstance(transform, (Mirror, JointDrop)):
        assert (torch.isin(after, before) | (after == 0)).all()
    else:
        assert torch.equal(before, after)


# --- turning ---------------------------------------------------------------------------------------------------------------


def test_matrices_turn_about_the_axes_in_their_order() -> None:
    angles = torch.tensor([[0.3, -0.7, 1.1]], dtype=torch.float64)
    x, y, z = (
        turn(angle) for turn, angle in zip((plain.about_x, plain.about_y, plain.about_z), angles[0].tolist(), strict=True)
    )
    for axes, wanted in {"x": x, "xyz": z @ y @ x, "yx": x @ y, "zxy": y @ x @ z}.items():
        np.testing.assert_allclose(rotation_matrix(angles, axes)[0].numpy(), wanted, atol=1e-15)


def test_degrees_are_whole_and_cover_the_range() -> None:
    degrees = torch.rad2deg(RandomRotate("yx", degrees=60).angles(Randomness(0, 0, torch.arange(MANY)))).numpy()
    whole = np.round(degrees)
    np.testing.assert_allclose(degrees, whole, atol=1e-9)
    for axis in range(3):
        assert set(whole[:, axis]) == set(range(-60, 61))
        assert abs(whole[:, axis].mean()) < 4  # the standard error is 0.64
    assert abs(np.corrcoef(whole.T)[0, 1]) < 0.1


def test_radians_reach_both_ends_and_are_independent() -> None:
    angles = RandomRotate(radians=0.3).angles(Randomness(3, 1, torch.arange(6000))).numpy()
    assert angles.shape == (6000, 3) and (np.abs(angles) <= 0.3).all()
    assert (angles.min(axis=0) < -0.299).all() and (angles.max(axis=0) > 0.299).all()
    assert (np.abs(angles.mean(axis=0)) < 0.01).all()  # the standard error is 0.0022
    correlations = np.corrcoef(angles.T)
    assert (np.abs(correlations[~np.isclose(correlations, 1)]) < 0.06).all()


def test_flat_joints_turn_in_their_plane_or_not_at_all() -> None:
    clip, make = many(dims=2)
    turned, angles = make(RandomRotate(radians=0.3)), RandomRotate(radians=0.3).angles(Randomness(3, 1, torch.arange(MANY)))
    wanted = clip[0, 0].double() @ torch.from_numpy(plain.about_z(float(angles[5, 2]))[:2, :2]).T
    torch.testing.assert_close(turned[5, 0, 0].double(), wanted, rtol=0, atol=1e-6)
    assert torch.equal(make(RandomRotate("yx", degrees=60))[5], clip)


# --- the others ------------------------------------------------------------------------------------------------------------


def test_scales_are_per_axis_and_cover_the_range() -> None:
    clip, make = many()
    factors = (make(RandomScale(0.5, 1.5)) / clip)[:, 0, 0]
    torch.testing.assert_close(factors, factors[:, :1].expand_as(factors))
    assert factors.min() < 0.505 and factors.max() > 1.495 and (factors.mean(dim=(0, 1)) - 1).abs().max() < 0.03
    assert (factors[:, 0, 0] - factors[:, 0, 1]).abs().mean() > 0.1


def test_a_mirrored_clip_is_the_other_side() -> None:
    clip, make = many(has_scores=True)
    made = make(Mirror(0.3))
    mirrored = (made != clip).flatten(1).any(dim=1)
    assert abs(mirrored.double().mean() - 0.3) < 0.04
    for name, index in LAYOUT.index.items():
        pairs = {**LAYOUT.mirror, **{right: left for left, right in LAYOUT.mirror.items()}}
        other = clip[0, 0, LAYOUT.index[pairs.get(name, name)]]
        wanted = torch.stack([-other[0], other[1], other[2], other[3]])
        assert torch.equal(made[mirrored][:, 0, 0, index], wanted.expand(int(mirrored.sum()), 4))
    assert torch.equal(make(Mirror(1.0))[0], Mirror(1.0)(batch_of([clip.numpy()], has_scores=True), randomness([0])).joints[0])


def test_mirroring_twice_is_nothing() -> None:
    batch = batch_of([some_clip(2, 30)])
    twice = Mirror(1.0)(Mirror(1.0)(batch, randomness([0])), randomness([0]))
    assert torch.equal(twice.joints, batch.joints)


def test_dropped_joints_are_missing_in_all_frames_of_all_people() -> None:
    clip = some_clip(2, 9, has_scores=True, whole=True)
    made = JointDrop(0.25)(batch_of([clip] * MANY, has_scores=True), Randomness(1, 1, torch.arange(MANY))).joints
    dropped = (made == 0).all(dim=-1)
    assert torch.equal(dropped, dropped[:, :1, :1].expand_as(dropped))
    assert abs(dropped.double().mean() - 0.25) < 0.02
    torch.testing.assert_close(made[~dropped], torch.from_numpy(clip).expand_as(made)[~dropped])


@pytest.mark.parametrize("dims", [2, 3])
def test_one_axis_is_flattened(dims: int) -> None:
    _, make = many(dims=dims)
    flat = (make(AxisDrop(0.6)) == 0).all(dim=3)[:, 0, 0]
    assert flat.sum(dim=1).max() == 1 and abs(flat.any(dim=1).double().mean() - 0.6) < 0.04
    assert (flat.double().mean(dim=0) - 0.6 / dims).abs().max() < 0.04
    depth = (make(AxisDrop(0.6, "z")) == 0).all(dim=3)[:, 0, 0]
    assert not depth[:, :2].any() and (dims == 2 or abs(depth[:, 2].double().mean() - 0.6) < 0.04)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomRotate(),
        lambda: RandomRotate(radians=1.0, degrees=3),
        lambda: RandomRotate("xx", radians=1.0),
        lambda: RandomRotate("", radians=1.0),
        lambda: RandomRotate("xw", radians=1.0),
        lambda: RandomRotate(radians=-1.0),
        lambda: RandomScale(0, 1),
        lambda: RandomScale(2, 1),
        lambda: Mirror(1.5),
        lambda: JointDrop(1.0),
        lambda: AxisDrop(-0.1),
        lambda: AxisDrop(0.5, "w"),
    ],
    ids=range(12),
)
def test_settings_that_cannot_be_are_refused(make: Callable[[], Transform]) -> None:
    with pytest.raises(PipelineError):
        make()
