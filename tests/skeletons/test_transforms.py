"""Views: recorded ones, and training views against a slow plain reference, one sample at a time."""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from poseglot.errors import PoseglotError
from poseglot.random import uniform
from poseglot.skeletons.layout import load_layout
from poseglot.skeletons.streams import MODALITIES
from poseglot.skeletons.transforms import (
    PIPELINES,
    Augmentation,
    apply_pipeline,
    drawn_without_replacement,
    evenly_spaced,
    load_pipeline,
    make_input,
)

pytestmark = pytest.mark.base

LAYOUT = load_layout("kinect20")
RULES = PIPELINES["nw-ucla"]
Array = npt.NDArray[np.float64]

# What the reference draws its numbers for.
ROTATION, SCALE, FRAMES = 0, 1, 2


def some_clip(people: int, frames: int, seed: int = 0, channels: int = 3) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng([people, frames, seed])
    return (rng.normal(size=(people, frames, 20, channels)) * [3, 1, 0.5][:channels] + 2).astype(np.float32)


def numbers_for(augmentation: Augmentation, index: int, purpose: int, count: int) -> list[float]:
    drawn: list[float] = uniform(augmentation.seed, augmentation.epoch, torch.tensor([index]), purpose, count)[0].tolist()
    return drawn


# --- the plain reference ---------------------------------------------------------------------------------------------------


def plain_rotation(degrees_x: int, degrees_y: int) -> Array:
    """What row vectors are multiplied by: Ry Rx."""
    x, y = math.radians(degrees_x), math.radians(degrees_y)
    about_x = [[1, 0, 0], [0, math.cos(x), math.sin(x)], [0, -math.sin(x), math.cos(x)]]
    about_y = [[math.cos(y), 0, -math.sin(y)], [0, 1, 0], [math.sin(y), 0, math.cos(y)]]
    return np.array(about_y) @ np.array(about_x)


def plain_draw(length: int, draws: list[float], copies: int) -> list[int]:
    """Floyd's algorithm: a subset of range(length * copies), as frames."""
    population, count = length * copies, len(draws)
    chosen: set[int] = set()
    for draw, last in zip(draws, range(population - count, population), strict=True):
        number = math.floor(draw * (last + 1))
        chosen.add(last if number in chosen else number)
    assert len(chosen) == count
    return sorted(number % length for number in chosen)


def plain_box(joints: Array) -> Array:
    result = np.zeros_like(joints)
    for axis in range(joints.shape[-1]):
        values = [float(value) for value in joints[..., axis].ravel()]
        low, high = min(values), max(values)
        if high > low:
            for place in np.ndindex(joints.shape[:-1]):
                result[place][axis] = (joints[place][axis] - low) / (high - low) * 2 - 1
    return result


def plain_stream(joints: Array, modality: str) -> Array:
    if modality.startswith("bone"):
        parents = [LAYOUT.index[LAYOUT.bones.get(name, name)] for name in LAYOUT.joints]
        joints = np.stack([joints[:, :, place] - joints[:, :, parent] for place, parent in enumerate(parents)], axis=2)
    if modality.endswith("motion"):
        joints = np.concatenate([np.diff(joints, axis=1), np.zeros_like(joints[:, :1])], axis=1)
    return joints


def plain_view(clip: npt.NDArray[np.float32], modality: str, augmentation: Augmentation | None = None, index: int = 0) -> Array:
    """(M, T, 20, C) -> (M, 52, 20, C), everything one step after the other in float64."""
    joints = clip.astype(np.float64)
    joints = joints - joints[0, 0, 1]
    if augmentation is None:
        chosen = [int(frame) for frame in np.linspace(0, clip.shape[1] - 1, 52)]
    else:
        # randint(-60, 60), both ends included
        degrees = [math.floor(draw * 121) - 60 for draw in numbers_for(augmentation, index, ROTATION, 2)]
        assert all(-60 <= angle <= 60 for angle in degrees)
        joints = np.stack([[frame @ plain_rotation(*degrees) for frame in person] for person in joints])
        chosen = plain_draw(clip.shape[1], numbers_for(augmentation, index, FRAMES, 52), 100)
    joints = plain_box(joints)
    if augmentation is not None and augmentation.effective_scale:
        joints = joints * [0.5 + draw for draw in numbers_for(augmentation, index, SCALE, 3)]
    return plain_stream(joints[:, chosen], modality)


# --- recorded values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", MODALITIES)
def test_evaluation_views_equal_the_recorded_ones(shared: Path, modality: str) -> None:
    recorded_as = "motion" if modality == "joint_motion" else modality
    with (
        np.load(shared / "golden" / "nwucla_test_views.npz") as golden,
        zipfile.ZipFile(shared / "data" / "nw-ucla" / "all_sqe.zip") as archive,
    ):
        names = [key.split("/")[1] for key in golden.files if key.startswith("label/")]
        assert len(names) == 8
        for name in names:
            clip = np.array(json.loads(archive.read(f"all_sqe/{name}.json"))["skeletons"], dtype=np.float32)
            view = apply_pipeline(clip, pipeline="nw-ucla", modality=modality)
            assert view.dtype == np.float32 and view.shape == (1, 52, 20, 3)
            expected = golden[f"{recorded_as}/{name}"]
            np.testing.assert_allclose(view.transpose(3, 1, 2, 0), expected, rtol=1e-4, atol=1e-4, err_msg=name)


# --- evaluation views ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [52, 64, 7])
def test_evenly_spaced_is_numpys_truncated_linspace_for_every_length(count: int) -> None:
    lengths = range(1, 401)
    expected = [np.linspace(0, length - 1, count).astype(np.int64) for length in lengths]
    np.testing.assert_array_equal(evenly_spaced(torch.tensor(list(lengths)), count).numpy(), np.stack(expected))


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize(("people", "frames", "channels"), [(1, 31, 3), (2, 60, 3), (3, 52, 2)])
def test_evaluation_view_equals_the_plain_reference(modality: str, people: int, frames: int, channels: int) -> None:
    clip = some_clip(people, frames, channels=channels)
    view = apply_pipeline(clip, pipeline="nw-ucla", modality=modality)
    assert view.shape == (people, 52, 20, channels)
    np.testing.assert_allclose(view, plain_view(clip, modality), atol=1e-5)


def test_two_people_are_normalised_together() -> None:
    clip = some_clip(2, 40)
    clip[1] += [100, 0, 0]
    view = apply_pipeline(clip, pipeline="nw-ucla")
    assert view.shape == (2, 52, 20, 3)
    # As if the second person's joints were more joints of the first one.
    centred = clip.astype(np.float64) - clip[0, 0, 1]
    together = plain_box(np.concatenate(list(centred), axis=1)[None])[0][np.linspace(0, 39, 52).astype(int)]
    np.testing.assert_allclose(np.concatenate(list(view), axis=1), together, atol=1e-5)
    assert view[0, ..., 0].max() < view[1, ..., 0].min(), "the distance between the people is kept"


def test_view_does_not_change_the_clip() -> None:
    clip = some_clip(1, 30)
    before = clip.copy()
    apply_pipeline(clip, pipeline="nw-ucla", modality="bone_motion")
    np.testing.assert_array_equal(clip, before)


@pytest.mark.parametrize("modality", MODALITIES)
def test_clip_of_one_frame_is_finite(modality: str) -> None:
    clip = some_clip(1, 1)
    view = apply_pipeline(clip, pipeline="nw-ucla", modality=modality)
    assert view.shape == (1, 52, 20, 3) and np.isfinite(view).all()
    np.testing.assert_allclose(view, plain_view(clip, modality), atol=1e-5)
    assert (view == 0).all() == modality.endswith("motion")


def test_axis_without_extent_becomes_zero() -> None:
    clip = some_clip(1, 30)
    clip[..., 2] = 3.25
    view = apply_pipeline(clip, pipeline="nw-ucla")
    assert (view[..., 2] == 0).all()
    for axis in (0, 1):
        assert view[..., axis].min() < -0.5 and view[..., axis].max() > 0.5
    assert (apply_pipeline(np.full((4, 20, 3), 7.0), pipeline="nw-ucla") == 0).all()


def test_unknown_protocol_stream_joints_and_bad_numbers_are_refused() -> None:
    clip = some_clip(1, 10)
    with pytest.raises(PoseglotError, match=r"'nwucla'.*nw-ucla"):
        apply_pipeline(clip, pipeline="nwucla")
    with pytest.raises(PoseglotError, match=r"'ntu60'.*nw-ucla, ntu, metric, image"):
        load_pipeline("ntu60")
    with pytest.raises(PoseglotError, match=r"'bones'.*bone_motion"):
        apply_pipeline(clip, pipeline="nw-ucla", modality="bones")
    with pytest.raises(PoseglotError, match=r"25 joints.*layout has 20"):
        apply_pipeline(np.zeros((10, 25, 3)), pipeline="nw-ucla")
    clip[0, 4, 3, 1] = np.nan
    with pytest.raises(PoseglotError, match="frame 4, joint 3"):
        apply_pipeline(clip, pipeline="nw-ucla")


def test_another_layout_decides_joints_centre_and_bones() -> None:
    ntu = load_layout("ntu25")
    clip = np.random.default_rng(5).normal(size=(1, 52, 25, 3)).astype(np.float32)
    view = apply_pipeline(clip, pipeline="nw-ucla", modality="bone", layout=ntu)
    box = plain_box(clip.astype(np.float64))
    for name, place in ntu.index.items():
        expected = box[:, :, place] - box[:, :, ntu.index[ntu.bones.get(name, name)]]
        np.testing.assert_allclose(view[:, :, place], expected, atol=1e-5)


# --- training views --------------------------------------------------------------------------------------------------------

# People, frames and index of a batch of all kinds.
MIXED = [(1, 31, 0), (2, 75, 1019), (1, 1, 5), (2, 52, 6), (1, 201, 2040), (2, 2, 3)]


def padded(clips: list[npt.NDArray[np.float32]], garbage: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    people, frames = max(clip.shape[0] for clip in clips), max(clip.shape[1] for clip in clips)
    joints = np.full((len(clips), people, frames, *clips[0].shape[2:]), garbage, dtype=np.float32)
    for place, clip in enumerate(clips):
        joints[place, : clip.shape[0], : clip.shape[1]] = clip
    lengths, counts = [clip.shape[1] for clip in clips], [clip.shape[0] for clip in clips]
    return torch.from_numpy(joints), torch.tensor(lengths), torch.tensor(counts)


def mixed_view(modality: str, augmentation: Augmentation | None, garbage: float = 1e9) -> torch.Tensor:
    joints, frames, people = padded([some_clip(count, length, seed) for count, length, seed in MIXED], garbage)
    index = torch.tensor([place for _, _, place in MIXED])
    return make_input(
        joints, frames, people, pipeline=RULES, modality=modality, layout=LAYOUT, index=index, augmentation=augmentation
    )


@pytest.mark.parametrize("effective_scale", [False, True])
@pytest.mark.parametrize("modality", MODALITIES)
def test_training_views_of_a_mixed_batch_equal_the_plain_reference(modality: str, effective_scale: bool) -> None:
    augmentation = Augmentation(seed=11, epoch=3, effective_scale=effective_scale)
    views = mixed_view(modality, augmentation)
    assert views.shape == (6, 2, 52, 20, 3) and views.dtype == torch.float32
    for view, (people, frames, index) in zip(views.numpy(), MIXED, strict=True):
        expected = plain_view(some_clip(people, frames, index), modality, augmentation, index)
        np.testing.assert_allclose(view[:people], expected, atol=1e-5)
        assert (view[people:] == 0).all(), "absent people are zero"


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("augmentation", [None, Augmentation(0, 0, effective_scale=True)])
def test_what_lies_behind_a_clip_is_ignored(modality: str, augmentation: Augmentation | None) -> None:
    views = mixed_view(modality, augmentation)
    np.testing.assert_array_equal(views.numpy(), mixed_view(modality, augmentation, garbage=-123.0).numpy())
    if augmentation is None:
        for view, (people, frames, index) in zip(views.numpy(), MIXED, strict=True):
            alone = apply_pipeline(some_clip(people, frames, index), pipeline="nw-ucla", modality=modality)
            np.testing.assert_allclose(view[:people], alone, atol=1e-6)
            assert (view[people:] == 0).all()


def test_a_samples_view_does_not_depend_on_its_batch() -> None:
    augmentation = Augmentation(seed=1, epoch=2)
    together = mixed_view("joint", augmentation)
    for place, (people, frames, index) in enumerate(MIXED):
        joints, length, count = padded([some_clip(people, frames, index)], 0)
        alone = make_input(
            joints,
            length,
            count,
            pipeline=RULES,
            modality="joint",
            layout=LAYOUT,
            index=torch.tensor([index]),
            augmentation=augmentation,
        )
        np.testing.assert_allclose(together[place, :people].numpy(), alone[0].numpy(), atol=1e-6)


def test_seed_epoch_and_index_change_the_view() -> None:
    joints, frames, people = padded([some_clip(1, 40)] * 2, 0)

    def views(seed: int, epoch: int) -> torch.Tensor:
        augmentation = Augmentation(seed, epoch)
        index = torch.tensor([0, 1])
        return make_input(
            joints, frames, people, pipeline=RULES, modality="joint", layout=LAYOUT, index=index, augmentation=augmentation
        )

    one = views(0, 0)
    assert torch.equal(one, views(0, 0))
    for other in (views(0, 1), views(1, 0), one.flip(0)):
        assert (one - other).abs().amax(dim=(1, 2, 3, 4)).min() > 0.01


def test_random_scale_counts_only_where_it_is_effective() -> None:
    plain, scaled = mixed_view("joint", Augmentation(4, 9)), mixed_view("joint", Augmentation(4, 9, effective_scale=True))
    # Without it every axis fills [-1, 1] or, of few frames, lies within.
    assert plain.abs().max() <= 1 + 1e-6
    for place, (_, _, index) in enumerate(MIXED):
        factors = [0.5 + draw for draw in numbers_for(Augmentation(4, 9), index, SCALE, 3)]
        assert all(0.5 <= factor < 1.5 for factor in factors)
        np.testing.assert_allclose(scaled[place].numpy(), plain[place].numpy() * factors, atol=1e-5)
        assert (scaled[place] - plain[place]).abs().max() > 0.01


def test_angles_are_whole_degrees_that_cover_the_range() -> None:
    degrees = torch.rad2deg(RULES.angles(Augmentation(0, 0), torch.arange(3000))).numpy()
    whole = np.round(degrees)
    np.testing.assert_allclose(degrees, whole, atol=1e-9)
    for axis in (0, 1):
        assert set(whole[:, axis]) == set(range(-60, 61))
        assert abs(whole[:, axis].mean()) < 4  # the standard error is 0.64
    assert abs(np.corrcoef(whole.T)[0, 1]) < 0.1


# --- drawing frames --------------------------------------------------------------------------------------------------------


def drawn(lengths: list[int], *, copies: int = 100, epoch: int = 0) -> npt.NDArray[np.int64]:
    frames = torch.tensor(lengths)
    chosen = drawn_without_replacement(frames, 52, copies, Augmentation(seed=8, epoch=epoch), torch.arange(len(lengths)))
    result: npt.NDArray[np.int64] = chosen.numpy()
    return result


@pytest.mark.parametrize(("copies", "shortest"), [(100, 1), (52, 1), (7, 8), (2, 26), (1, 52)])
def test_frames_are_sorted_within_range_and_never_more_than_the_copies(copies: int, shortest: int) -> None:
    lengths = [length for length in (1, 2, 8, 26, 31, 51, 52, 53, 201, 400) if length >= shortest] * 20
    for length, chosen in zip(lengths, drawn(lengths, copies=copies), strict=True):
        assert len(chosen) == 52 and (np.diff(chosen) >= 0).all()
        assert chosen.min() >= 0 and chosen.max() < length
        assert np.bincount(chosen).max() <= copies
    assert (drawn([1]) == 0).all()


def test_as_many_frames_as_there_are_are_all_drawn() -> None:
    assert (drawn([52] * 5, copies=1) == np.arange(52)).all()
    assert (drawn([26] * 5, copies=2) == np.repeat(np.arange(26), 2)).all()


@pytest.mark.parametrize("length", [5, 52, 130])
def test_every_frame_is_drawn_about_equally_often(length: int) -> None:
    chosen = drawn([length] * 1500)
    counts = np.bincount(chosen.ravel(), minlength=length)
    expected = 1500 * 52 / length
    # Five standard deviations of a binomial count.
    assert np.abs(counts - expected).max() < 5 * math.sqrt(expected)


def test_drawn_frames_of_a_sample_do_not_depend_on_its_batch() -> None:
    together = drawn([31, 7, 200])
    for index, length in enumerate([31, 7, 200]):
        alone = drawn_without_replacement(torch.tensor([length]), 52, 100, Augmentation(8, 0), torch.tensor([index]))
        np.testing.assert_array_equal(alone[0].numpy(), together[index])
        assert together[index].tolist() == plain_draw(length, numbers_for(Augmentation(8, 0), index, FRAMES, 52), 100)
    assert (together != drawn([31, 7, 200], epoch=1)).any()
