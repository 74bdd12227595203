"""The protocols ntu, metric and image: recorded views, the plain reference, and what must not matter."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from poseglot.errors import PoseglotError
from poseglot.skeletons.layout import load_layout
from poseglot.skeletons.protocols import PIPELINES
from poseglot.skeletons.protocols.ntu import NTU, frames_seen, resized
from poseglot.skeletons.protocols.protocol import RawClips
from poseglot.skeletons.streams import MODALITIES
from poseglot.skeletons.transforms import Augmentation, apply_pipeline, make_input
from tests.skeletons.protocols import plain

LAYOUT = load_layout("kinect20")
FAMILY = ("ntu", "metric", "image")
TRAINING = Augmentation(seed=5, epoch=2)
Clip = npt.NDArray[np.float32]

# People, frames, frames of zeros at the end, and index of a batch of all kinds.
MIXED = [
    (1, 1, 0, 0),
    (2, 2, 0, 7),
    (1, 63, 0, 1019),
    (2, 64, 0, 3),
    (1, 65, 0, 4),
    (2, 300, 0, 40_090),
    (1, 300, 170, 6),
    (2, 90, 26, 5),
    (1, 40, 40, 8),
]
# Coordinates, and whether there is a score.
KINDS = [(3, False), (3, True), (2, False), (2, True)]


def some_clip(people: int, frames: int, behind: int = 0, axes: int = 3, has_scores: bool = False) -> Clip:
    """Joints about a point that is not the origin, some of them missing, with `behind` empty frames at the end."""
    rng = np.random.default_rng([people, frames, behind, axes])
    joints = (rng.normal(size=(people, frames, 20, axes)) * [0.3, 0.5, 0.2][:axes] + 0.4).astype(np.float32)
    missing = rng.uniform(size=(people, frames, 20)) < 0.1
    missing[:, :, LAYOUT.centre_index] &= has_scores  # or the first frame would not say where the centre is
    missing[:, 7:9] = True  # nobody for two frames
    missing[:, frames - behind :] = True
    if has_scores:  # what is missing may have any coordinates
        score = np.where(missing, 0, rng.uniform(0.2, 1, size=missing.shape))
        return np.concatenate([joints, score[..., None]], axis=-1).astype(np.float32)
    joints[missing] = 0
    return joints


def batch(clips: list[Clip], garbage: float = np.nan) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    people, frames = max(clip.shape[0] for clip in clips), max(clip.shape[1] for clip in clips)
    joints = np.full((len(clips), people, frames, *clips[0].shape[2:]), garbage, dtype=np.float32)
    for place, clip in enumerate(clips):
        joints[place, : clip.shape[0], : clip.shape[1]] = clip
    lengths, counts = [clip.shape[1] for clip in clips], [clip.shape[0] for clip in clips]
    return torch.from_numpy(joints), torch.tensor(lengths), torch.tensor(counts)


def views_of(
    clips: list[Clip],
    pipeline: str,
    modality: str = "joint",
    *,
    index: list[int] | None = None,
    augmentation: Augmentation | None = None,
    has_scores: bool = False,
    garbage: float = np.nan,
) -> npt.NDArray[np.float32]:
    made: npt.NDArray[np.float32] = make_input(
        *batch(clips, garbage),
        pipeline=PIPELINES[pipeline],
        modality=modality,
        layout=LAYOUT,
        index=torch.tensor(index if index is not None else range(len(clips))),
        augmentation=augmentation,
        has_scores=has_scores,
    ).numpy()
    return made


# --- recorded values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize(("pipeline", "prepared"), [("ntu", "translated"), ("metric", "denoised")])
def test_evaluation_views_equal_the_recorded_ones(shared: Path, pipeline: str, prepared: str, modality: str) -> None:
    """`metric` of clips that nobody has centred is what the field makes of them by centring them first."""
    recorded_as = "motion" if modality == "joint_motion" else modality
    with np.load(shared / "golden" / "ntu_chain.npz") as golden:
        names = golden["final/names"].tolist()
        assert len(names) == 10
        for name in names:
            rows = golden[f"{prepared}/{name}"]
            clip = rows.reshape(len(rows), -1, 25, 3).transpose(1, 0, 2, 3)
            view = apply_pipeline(clip, pipeline=pipeline, modality=modality, layout="ntu25")
            assert view.dtype == np.float32 and view.shape == (len(clip), 64, 25, 3)
            expected = golden[f"test_view/{recorded_as}/{name}"].transpose(3, 1, 2, 0)
            np.testing.assert_allclose(view, expected[: len(clip)], rtol=1e-5, atol=2e-6, err_msg=name)
            assert (expected[len(clip) :] == 0).all()


# --- the plain reference ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("augmentation", [None, TRAINING], ids=["evaluation", "training"])
@pytest.mark.parametrize(("axes", "has_scores"), KINDS)
@pytest.mark.parametrize("pipeline", FAMILY)
def test_views_of_a_mixed_batch_equal_the_plain_reference(
    pipeline: str, axes: int, has_scores: bool, augmentation: Augmentation | None
) -> None:
    clips = [some_clip(people, frames, behind, axes, has_scores) for people, frames, behind, _ in MIXED]
    index = [place for *_, place in MIXED]
    expected = [
        plain.plain_joints(clip, pipeline, LAYOUT, has_scores=has_scores, augmentation=augmentation, index=place)
        for clip, place in zip(clips, index, strict=True)
    ]
    for modality in MODALITIES:
        views = views_of(clips, pipeline, modality, index=index, augmentation=augmentation, has_scores=has_scores)
        assert views.shape == (9, 2, 64, 20, axes + has_scores) and views.dtype == np.float32
        for view, clip, joints in zip(views, clips, expected, strict=True):
            wanted = plain.plain_stream(joints, modality, LAYOUT, has_scores=has_scores)
            np.testing.assert_allclose(view[: len(clip)], wanted, rtol=1e-5, atol=3e-6)
            assert (view[len(clip) :] == 0).all(), "absent people are zero"
            if augmentation is None:
                alone = apply_pipeline(clip, pipeline=pipeline, modality=modality, layout=LAYOUT, has_scores=has_scores)
                np.testing.assert_allclose(alone, wanted, rtol=1e-5, atol=3e-6)
        assert (views[8] == 0).all(), "a clip of zeros"
    assert all(joints.any() for joints in expected[1:8])


def test_resizing_is_torchs_own_for_every_length() -> None:
    rng = np.random.default_rng(1)
    for frames in range(1, 321):
        clip = rng.normal(size=(1, frames, 1, 3))
        before, after, weight = (found[0].numpy() for found in resized(torch.tensor([frames]), 64, torch.float32))
        assert before.min() >= 0 and after.max() < frames
        made = clip[:, before] * (1 - weight)[:, None, None] + clip[:, after] * weight[:, None, None]
        np.testing.assert_allclose(made, plain.resized(clip), atol=2e-6)


def test_the_evaluation_view_leaves_out_what_the_field_leaves_out() -> None:
    valid = range(401)
    start, length = NTU("ntu", "ntu25", 64).crop(torch.tensor(list(valid)), None, None)
    assert start.tolist() == [int(0.05 * frames / 2) for frames in valid]
    assert length.tolist() == [frames - 2 * int(0.05 * frames / 2) for frames in valid]
    assert (start[39], start[40], start[300]) == (0, 1, 7)


@pytest.mark.parametrize("value", [1e-30, -1e-30])
def test_a_frame_with_any_number_in_it_counts(value: float) -> None:
    clip = np.zeros((2, 100, 20, 3), dtype=np.float32)
    for frame in range(0, 100, 2):  # every second frame holds a single number
        clip[frame % 4 // 2, frame, frame % 20, frame % 3] = value
    joints, frames, people = batch([clip])
    seen = frames_seen(RawClips(joints, frames, people, LAYOUT))
    assert seen[0].sum(dim=1).tolist() == [25, 25]
    assert seen[0].any(dim=0).tolist() == [True, False] * 50


# --- what must not matter --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_scores", [False, True])
@pytest.mark.parametrize("augmentation", [None, TRAINING], ids=["evaluation", "training"])
@pytest.mark.parametrize("pipeline", FAMILY)
def test_neither_the_padding_nor_the_rest_of_the_batch_matters(
    pipeline: str, augmentation: Augmentation | None, has_scores: bool
) -> None:
    clips = [some_clip(people, frames, behind, has_scores=has_scores) for people, frames, behind, _ in MIXED]
    together = views_of(clips, pipeline, "bone_motion", augmentation=augmentation, has_scores=has_scores)
    other = views_of(clips, pipeline, "bone_motion", augmentation=augmentation, has_scores=has_scores, garbage=1e9)
    np.testing.assert_array_equal(together, other)
    for place, clip in enumerate(clips):
        alone = views_of([clip], pipeline, "bone_motion", index=[place], augmentation=augmentation, has_scores=has_scores)
        np.testing.assert_allclose(together[place, : len(clip)], alone[0], atol=1e-6)


def test_the_clips_are_not_changed() -> None:
    for pipeline in FAMILY:
        for has_scores in (False, True):
            clip = some_clip(2, 80, has_scores=has_scores)
            before = clip.copy()
            apply_pipeline(clip, pipeline=pipeline, modality="bone", layout=LAYOUT, has_scores=has_scores)
            np.testing.assert_array_equal(clip, before)


def test_seed_epoch_and_index_change_the_view() -> None:
    clips = [some_clip(1, 200)] * 2
    one = views_of(clips, "ntu", augmentation=Augmentation(0, 0))
    np.testing.assert_array_equal(one, views_of(clips, "ntu", augmentation=Augmentation(0, 0)))
    for other in (
        views_of(clips, "ntu", augmentation=Augmentation(0, 1)),
        views_of(clips, "ntu", augmentation=Augmentation(1, 0)),
        one[::-1],
    ):
        assert np.abs(one - other).max(axis=(1, 2, 3, 4)).min() > 0.01


@pytest.mark.parametrize("pipeline", FAMILY)
def test_people_keep_their_distances(pipeline: str) -> None:
    """Everybody is moved and turned together, and `image` makes everything larger by the same factor."""
    clip = some_clip(2, 50)  # of fewer than 64 frames nothing is cropped
    clip[clip == 0] = 0.4  # nobody is missing
    turned = views_of([clip], pipeline, augmentation=TRAINING)[0]
    still = plain.resized(clip)

    def distances(joints: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        everybody = np.concatenate(list(joints), axis=1)
        return np.linalg.norm(everybody[:, :, None] - everybody[:, None], axis=-1)

    factor = 2 / np.ptp(clip, axis=(0, 1, 2)).max() if pipeline == "image" else 1
    np.testing.assert_allclose(distances(turned), factor * distances(still), atol=1e-5)
    assert np.abs(turned - views_of([clip], pipeline)[0]).max() > 0.05


def test_an_image_may_be_anywhere_and_of_any_size() -> None:
    clip = some_clip(2, 90, axes=2)
    view = apply_pipeline(clip, pipeline="image", layout=LAYOUT)
    assert 0.9 < np.abs(view).max() <= 1
    wide = np.where(clip == 0, 0, clip * 640 + [300, -20]).astype(np.float32)
    np.testing.assert_allclose(apply_pipeline(wide, pipeline="image", layout=LAYOUT), view, atol=1e-5)


def test_metric_forgets_where_the_camera_stood_and_nothing_else() -> None:
    clip = some_clip(2, 90)
    moved = np.where(clip == 0, 0, clip + np.array([1, -2, 3])).astype(np.float32)
    view = apply_pipeline(clip, pipeline="metric", layout=LAYOUT)
    np.testing.assert_allclose(apply_pipeline(moved, pipeline="metric", layout=LAYOUT), view, atol=1e-5)
    assert (
        np.abs(apply_pipeline(moved, pipeline="ntu", layout=LAYOUT) - apply_pipeline(clip, pipeline="ntu", layout=LAYOUT)).max()
        > 1
    )
    # What is centred already is left where it is.
    centred = np.where(clip == 0, 0, clip - clip[0, 0, LAYOUT.centre_index]).astype(np.float32)
    np.testing.assert_array_equal(
        apply_pipeline(centred, pipeline="metric", layout=LAYOUT), apply_pipeline(centred, pipeline="ntu", layout=LAYOUT)
    )


def test_a_person_who_comes_later_is_centred_on_where_they_come() -> None:
    clip = some_clip(2, 64)
    clip[0, :20] = 0
    view = apply_pipeline(clip, pipeline="metric", layout=LAYOUT)
    assert (view[0, :20] == 0).all(), "missing joints are zero"
    start = int(0.05 * 62 / 2)  # of 62 frames that hold anybody
    assert start == 1
    assert np.abs(view[0, :, LAYOUT.centre_index]).max() > 0
    other = clip.copy()
    other[:, 20:] -= clip[0, 20, LAYOUT.centre_index] * (clip[:, 20:] != 0)
    other[1, :20] -= clip[0, 20, LAYOUT.centre_index] * (clip[1, :20] != 0)
    np.testing.assert_allclose(apply_pipeline(other, pipeline="ntu", layout=LAYOUT), view, atol=1e-6)


@pytest.mark.parametrize("pipeline", FAMILY)
def test_clips_without_extent_or_joints_are_finite(pipeline: str) -> None:
    for modality in MODALITIES:
        assert (apply_pipeline(np.zeros((2, 30, 20, 3)), pipeline=pipeline, modality=modality, layout=LAYOUT) == 0).all()
        one_point = apply_pipeline(np.full((1, 5, 20, 3), 7.0), pipeline=pipeline, modality=modality, layout=LAYOUT)
        assert (one_point == (7 if (pipeline, modality) == ("ntu", "joint") else 0)).all()


# --- scores ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pipeline", ["metric", "image"])
def test_where_the_score_is_zero_coordinates_do_not_matter(pipeline: str) -> None:
    clip = some_clip(2, 90, 10, has_scores=True)
    missing = clip[..., 3] == 0
    assert 0.05 < missing[:, :80].mean() < 0.5
    view = apply_pipeline(clip, pipeline=pipeline, layout=LAYOUT, has_scores=True)
    for coordinates in (0, 1e6, -3):
        other = clip.copy()
        other[missing, :3] = coordinates
        np.testing.assert_array_equal(apply_pipeline(other, pipeline=pipeline, layout=LAYOUT, has_scores=True), view)
    clip[..., 3] = 0
    assert (apply_pipeline(clip, pipeline=pipeline, layout=LAYOUT, has_scores=True) == 0).all()


@pytest.mark.parametrize("pipeline", FAMILY)
def test_full_scores_change_no_coordinate_and_stay_as_they_are(pipeline: str) -> None:
    clip = np.where(some_clip(2, 90) == 0, 0.25, some_clip(2, 90)).astype(np.float32)
    has_scores = np.concatenate([clip, np.ones_like(clip[..., :1])], axis=-1)
    for augmentation in (None, TRAINING):
        view = views_of([has_scores], pipeline, augmentation=augmentation, has_scores=True)
        np.testing.assert_allclose(view[..., :3], views_of([clip], pipeline, augmentation=augmentation), atol=1e-6)
        assert (view[..., 3] == 1).all()


def test_a_guess_never_becomes_the_origin() -> None:
    """In the first frame the centre joint has a score of 0, so the second frame's is taken."""
    clip = some_clip(1, 64, has_scores=True)
    clip[0, :2, LAYOUT.centre_index, 3] = (0, 0.9)
    clip[0, 0, LAYOUT.centre_index, :3] = 100
    view = apply_pipeline(clip, pipeline="metric", layout=LAYOUT, has_scores=True)
    other = clip.copy()
    other[..., :3] -= clip[0, 1, LAYOUT.centre_index, :3]
    other[clip[..., 3] == 0, :3] = 0
    np.testing.assert_allclose(view, apply_pipeline(other, pipeline="ntu", layout=LAYOUT, has_scores=True), atol=1e-6)


def test_an_origin_that_is_never_seen_moves_nobody() -> None:
    clip = some_clip(2, 64, has_scores=True)
    clip[0, :, LAYOUT.centre_index] = (100, 100, 100, 0)
    kept = clip.copy()
    kept[clip[..., 3] == 0, :3] = 0
    view = apply_pipeline(clip, pipeline="metric", layout=LAYOUT, has_scores=True)
    np.testing.assert_array_equal(view, apply_pipeline(kept, pipeline="ntu", layout=LAYOUT, has_scores=True))


# --- what is drawn ---------------------------------------------------------------------------------------------------------


def drawn_crops(valid: int, samples: int = 6000) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    pipeline = PIPELINES["ntu"]
    assert isinstance(pipeline, NTU)
    start, length = pipeline.crop(torch.full((samples,), valid), torch.arange(samples), Augmentation(3, 1))
    return start.numpy(), length.numpy()


@pytest.mark.parametrize("valid", [0, 1, 2, 63, 64])
def test_few_frames_are_all_taken(valid: int) -> None:
    start, length = drawn_crops(valid, 100)
    assert (start == 0).all() and (length == valid).all()


@pytest.mark.parametrize("valid", [65, 100, 128, 200, 300])
def test_crops_reach_both_ends_of_their_ranges(valid: int) -> None:
    start, length = drawn_crops(valid)
    shortest = max(valid // 2, 64)
    assert length.min() == shortest and length.max() == valid - 1
    assert start.min() == 0 and (start + length).max() == valid
    assert set(length) == set(range(shortest, valid)), "every length is drawn"
    # Every place is as probable as any other: the mean is the middle, here in units of its standard error.
    room = valid - length
    middle, spread = room / 2, np.sqrt(((room + 1) ** 2 - 1) / 12)
    assert abs((start - middle).sum() / np.sqrt((spread**2).sum())) < 4
    if valid >= 128:  # otherwise the floor of 64 frames shows
        assert abs(length.mean() - (0.75 * valid - 0.5)) < 5 * valid / math.sqrt(48 * len(length))


def test_angles_reach_both_ends_and_are_independent() -> None:
    pipeline = PIPELINES["ntu"]
    assert isinstance(pipeline, NTU)
    angles = pipeline.angles(Augmentation(3, 1), torch.arange(6000)).numpy()
    assert angles.shape == (6000, 3)
    assert (np.abs(angles) <= 0.3).all()
    assert (angles.min(axis=0) < -0.299).all() and (angles.max(axis=0) > 0.299).all()
    assert (np.abs(angles.mean(axis=0)) < 0.01).all()  # the standard error is 0.0022
    start, length = drawn_crops(300)
    correlations = np.corrcoef([*angles.T, start, length])[:3]
    assert (np.abs(correlations[~np.isclose(correlations, 1)]) < 0.06).all()


# --- refusals --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pipeline", ["metric", "image"])
def test_own_clips_need_a_layout(pipeline: str) -> None:
    with pytest.raises(PoseglotError, match=rf"protocol {pipeline} is for clips of any layout and must be told which: layout="):
        apply_pipeline(some_clip(1, 5), pipeline=pipeline)


def test_a_layout_may_be_given_by_name_or_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text((Path(__file__).parents[3] / "src/poseglot/skeletons/layouts/kinect20.yaml").read_text())
    views = [apply_pipeline(some_clip(1, 5), pipeline="image", layout=layout) for layout in (LAYOUT, "kinect20", str(path))]
    np.testing.assert_array_equal(views[0], views[1])
    np.testing.assert_array_equal(views[0], views[2])
    with pytest.raises(PoseglotError, match="20 joints in a frame, but the layout has 25"):
        apply_pipeline(some_clip(1, 5), pipeline="ntu")


@pytest.mark.parametrize("pipeline", FAMILY)
def test_a_scale_that_is_not_there_is_not_applied_in_silence(pipeline: str) -> None:
    with pytest.raises(PoseglotError, match=rf"{pipeline} has none.*data\.effective_scale false"):
        views_of([some_clip(1, 5)], pipeline, augmentation=Augmentation(0, 0, effective_scale=True))


def test_a_score_needs_coordinates_beside_it() -> None:
    with pytest.raises(PoseglotError, match=r"2 numbers per joint.*and a score"):
        apply_pipeline(some_clip(1, 5, axes=2), pipeline="image", layout=LAYOUT, has_scores=True)
    joints, frames, people = batch([some_clip(1, 5, axes=2)])
    with pytest.raises(PoseglotError, match=r"2 numbers per joint came.*and a score"):
        make_input(joints, frames, people, pipeline=PIPELINES["ntu"], modality="joint", layout=LAYOUT, has_scores=True)
