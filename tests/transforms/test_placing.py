"""Where people stand: centre, boxes, running means."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from poseglot.transforms import Centre, FitBox, MinMax, PipelineError, RunningPlace, Transform, apply_pipeline
from tests.transforms.clips import LAYOUT, batch_of, some_clip
from tests.transforms.plain import Clip, place_live, seen_joints

CENTRE = LAYOUT.centre_index


def metric(clip: Clip, *, has_scores: bool = False) -> Clip:
    return apply_pipeline(clip, "metric", "joint", LAYOUT, has_scores)


def as_it_is(clip: Clip, origin: object, *, has_scores: bool = True) -> Clip:
    """What `metric` makes of a clip by a given origin: `ntu` moves nobody."""
    other = clip.copy()
    other[..., :3] -= np.asarray(origin, dtype=np.float32)
    other[~seen_joints(clip, has_scores), :3] = 0
    return apply_pipeline(other, "ntu", "joint", LAYOUT, has_scores)


# --- the centre ------------------------------------------------------------------------------------------------------------


def test_a_person_who_comes_later_is_centred_on_where_they_come() -> None:
    clip = some_clip(2, 64, whole=True)
    clip[0, :20] = 0
    made = metric(clip)
    assert (made[0, :19] == 0).all(), "missing joints are zero"
    np.testing.assert_allclose(made, as_it_is(clip, clip[0, 20, CENTRE], has_scores=False), atol=1e-6)


def test_an_absent_first_person_leaves_the_origin_to_the_second() -> None:
    clip = some_clip(2, 64, whole=True)
    clip[0] = 0
    made = metric(clip)
    np.testing.assert_allclose(made[1], metric(clip[1:])[0], atol=0)
    assert np.abs(made[1, 0, CENTRE]).max() < 0.5


def test_a_guess_does_not_become_the_origin() -> None:
    """In the first frame the centre joint has a score of 0, so the second frame's is taken."""
    clip = some_clip(1, 64, has_scores=True, whole=True)
    clip[0, :2, CENTRE, 3] = (0, 0.9)
    clip[0, 0, CENTRE, :3] = 100
    np.testing.assert_allclose(metric(clip, has_scores=True), as_it_is(clip, clip[0, 1, CENTRE, :3]), atol=1e-6)


def test_the_mean_of_what_is_seen_stands_in_for_a_centre_that_never_is() -> None:
    clip = some_clip(2, 64, has_scores=True, whole=True)
    clip[:, :, CENTRE] = (100, 100, 100, 0)
    clip[0, 0, 5:, 3] = 0
    clip[0, :, 12, 3] = 0
    seen = clip[0, 0, [v for v in range(5) if v != CENTRE], :3]
    made = metric(clip, has_scores=True)
    np.testing.assert_allclose(made, as_it_is(clip, seen.mean(axis=0)), atol=1e-5)
    assert np.abs(made[..., :3]).max() < 5


@pytest.mark.parametrize("pipeline", ["metric", "image"])
def test_where_the_score_is_zero_coordinates_do_not_matter(pipeline: str) -> None:
    clip = some_clip(2, 90, 10, has_scores=True)
    missing = clip[..., 3] == 0
    assert 0.05 < missing[:, :80].mean() < 0.5
    made = apply_pipeline(clip, pipeline, "joint", LAYOUT, True)
    for coordinates in (0, 1e6, -3):
        other = clip.copy()
        other[missing, :3] = coordinates
        np.testing.assert_array_equal(apply_pipeline(other, pipeline, "joint", LAYOUT, True), made)
    clip[..., 3] = 0
    assert (apply_pipeline(clip, pipeline, "joint", LAYOUT, True) == 0).all()


def test_missing_joints_stay_or_move_along() -> None:
    clip = some_clip(1, 5, whole=True)
    clip[0, 3, 7] = 0
    origin = clip[0, 0, CENTRE]
    assert (Centre()(batch_of([clip]), None).joints[0, 0, 3, 7] == 0).all()
    np.testing.assert_array_equal(Centre(missing="moved")(batch_of([clip]), None).joints[0, 0, 3, 7], -origin)


# --- boxes -----------------------------------------------------------------------------------------------------------------


def test_axes_without_extent_become_zero() -> None:
    clip = some_clip(1, 30, whole=True)
    clip[..., 2] = 3.25
    made = MinMax()(batch_of([clip]), None).joints
    assert (made[..., 2] == 0).all() and (made[..., :2].amax(dim=(0, 1, 2, 3)) == 1).all()
    flat = FitBox()(batch_of([clip]), None).joints
    assert (flat[..., 2] == 0).all() and flat.abs().max() == 1


def test_every_axis_by_itself_or_all_alike() -> None:
    clip = some_clip(2, 30, whole=True) * np.float32([1, 10, 100])
    box, fitted = (transform(batch_of([clip]), None).joints[0].flatten(0, 2) for transform in (MinMax(), FitBox()))
    torch.testing.assert_close(box.amin(dim=0), -torch.ones(3))
    torch.testing.assert_close(box.amax(dim=0), torch.ones(3))
    torch.testing.assert_close(fitted.amax(dim=0), torch.from_numpy(np.ptp(clip, axis=(0, 1, 2)) / np.ptp(clip[..., 2])))
    torch.testing.assert_close(fitted.amin(dim=0), -fitted.amax(dim=0))


@pytest.mark.parametrize("score", [0, -0.5])
@pytest.mark.parametrize("transform", [MinMax(), FitBox(), Centre(missing="moved"), RunningPlace()], ids=lambda each: each.name)
def test_joints_of_no_score_decide_nothing(transform: Transform, score: float) -> None:
    """Wherever they lie, and also if their score is negative, the others are placed alike."""
    clip = some_clip(1, 30, has_scores=True, whole=True)
    clip[0, ::2, 5, 3] = score
    far = clip.copy()
    far[0, ::2, 5, :3] = 1000
    seen = torch.from_numpy(clip[..., 3] > 0)
    placed, moved = (transform(batch_of([each], has_scores=True), None).joints[0][seen] for each in (clip, far))
    torch.testing.assert_close(placed, moved)


# --- running means ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_scores", [False, True], ids=["plain", "scores"])
@pytest.mark.parametrize(("people", "dims", "memory"), [(1, 3, 64), (2, 3, 6), (1, 2, 6)])
def test_people_are_placed_by_what_has_been_seen(people: int, dims: int, memory: int, has_scores: bool) -> None:
    clip = some_clip(people, 40, dims=dims, has_scores=has_scores)
    placed = RunningPlace(memory)(batch_of([clip], has_scores=has_scores), None).position[0]
    position, seen = clip[..., :dims].astype(np.float64), seen_joints(clip, has_scores)
    wanted = place_live(position, seen, LAYOUT, has_scores, None, memory=memory)
    np.testing.assert_allclose(placed.numpy(), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("has_scores", [False, True], ids=["plain", "scores"])
def test_the_origin_may_stay_where_people_were_first_seen(has_scores: bool) -> None:
    clip = some_clip(2, 40, has_scores=has_scores)
    placed = RunningPlace(6, "first")(batch_of([clip], has_scores=has_scores), None).position[0]
    seen = seen_joints(clip, has_scores)
    wanted = place_live(clip[..., :3].astype(np.float64), seen, LAYOUT, has_scores, None, memory=6, origin_is="first")
    np.testing.assert_allclose(placed.numpy(), wanted, rtol=1e-4, atol=1e-4)
    walked = some_clip(1, 40, whole=True)
    walked[..., 0] += np.arange(40)[:, None]
    follows, stays = (RunningPlace(6, origin)(batch_of([walked]), None).position[0] for origin in ("running", "first"))
    assert stays[0, -1, CENTRE, 0] > 2 * follows[0, -1, CENTRE, 0] > 0


@pytest.mark.parametrize("from_frame", [4, 40])
def test_others_stand_in_until_a_centre_is_seen(from_frame: int) -> None:
    clip = some_clip(1, 40, has_scores=True, whole=True)
    clip[0, :from_frame, CENTRE] = (100, 100, 100, 0)
    placed = RunningPlace(8)(batch_of([clip], has_scores=True), None).position[0].numpy()
    wanted = place_live(clip[..., :3].astype(np.float64), clip[..., 3] != 0, LAYOUT, True, None, memory=8)
    np.testing.assert_allclose(placed, wanted, rtol=1e-4, atol=1e-4)
    assert np.abs(placed[:, :from_frame]).max() > 0, "they are fed, not zero"
    if from_frame < 40:
        np.testing.assert_allclose(placed[0, from_frame, CENTRE], 0, atol=1e-6)


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(PipelineError):
        RunningPlace(memory=0)
