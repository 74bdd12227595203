"""The packaged pipelines: recorded inputs, the plain reference, and what must not matter."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from poseglot.skeletons.batch import ClipBatch
from poseglot.skeletons.layout import load_layout
from poseglot.transforms import MODALITIES, Pipeline, Randomness, apply_pipeline, list_pipelines, load_pipeline
from tests.transforms import plain
from tests.transforms.clips import INDEX, LAYOUT, MIXED, PIPELINES, batch_of, mixed_clips, randomness, some_clip

KINDS = [(3, False), (3, True), (2, False), (2, True)]
KIND_IDS = ["3d", "3d-scores", "2d", "2d-scores"]


def test_these_are_all() -> None:
    assert list_pipelines() == tuple(sorted(PIPELINES))


# --- recorded values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", MODALITIES)
def test_nw_ucla_equals_the_recorded_inputs(shared: Path, modality: str) -> None:
    recorded_as = "motion" if modality == "joint_motion" else modality
    with (
        np.load(shared / "golden" / "nwucla_test_views.npz") as golden,
        zipfile.ZipFile(shared / "data" / "nw-ucla" / "all_sqe.zip") as archive,
    ):
        names = [key.split("/")[1] for key in golden.files if key.startswith("label/")]
        assert len(names) == 8
        for name in names:
            clip = np.array(json.loads(archive.read(f"all_sqe/{name}.json"))["skeletons"], dtype=np.float32)
            made = apply_pipeline(clip, "nw-ucla", modality)
            assert made.dtype == np.float32 and made.shape == (1, 52, 20, 3)
            expected = golden[f"{recorded_as}/{name}"]
            np.testing.assert_allclose(made.transpose(3, 1, 2, 0), expected, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize(("pipeline", "prepared"), [("ntu", "translated"), ("metric", "denoised")])
def test_ntu_equals_the_recorded_inputs(shared: Path, pipeline: str, prepared: str, modality: str) -> None:
    """`metric` of clips that nobody has centred is what the field makes of them by centring them first."""
    recorded_as = "motion" if modality == "joint_motion" else modality
    with np.load(shared / "golden" / "ntu_chain.npz") as golden:
        names = golden["final/names"].tolist()
        assert len(names) == 10
        for name in names:
            rows = golden[f"{prepared}/{name}"]
            clip = rows.reshape(len(rows), -1, 25, 3).transpose(1, 0, 2, 3)
            made = apply_pipeline(clip, pipeline, modality, layout="ntu25")
            assert made.dtype == np.float32 and made.shape == (len(clip), 64, 25, 3)
            expected = golden[f"test_view/{recorded_as}/{name}"].transpose(3, 1, 2, 0)
            np.testing.assert_allclose(made, expected[: len(clip)], rtol=1e-5, atol=2e-6, err_msg=name)
            assert (expected[len(clip) :] == 0).all()


# --- the plain reference ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize(("dims", "has_scores"), KINDS, ids=KIND_IDS)
@pytest.mark.parametrize("name", PIPELINES)
def test_a_mixed_batch_equals_the_plain_reference(name: str, dims: int, has_scores: bool, training: bool) -> None:
    clips, pipeline = mixed_clips(dims, has_scores), load_pipeline(name)
    batch, drawn = batch_of(clips, has_scores=has_scores), randomness(INDEX, batch=3) if training else None
    keys = [plain.Key(5, 2, index, 3) if training else None for index in INDEX]
    expected = [
        plain.plain_joints(clip, name, LAYOUT, has_scores=has_scores, key=key) for clip, key in zip(clips, keys, strict=True)
    ]
    for modality in MODALITIES:
        made = pipeline(batch, modality=modality, randomness=drawn).numpy()
        assert made.shape[:2] == (9, 2) and made.shape[3:] == (20, dims + has_scores) and made.dtype == np.float32
        assert name.startswith("live") or made.shape[2] == pipeline.frames
        for one, clip, joints in zip(made, clips, expected, strict=True):
            wanted = plain.plain_modality(joints, modality, LAYOUT, has_scores=has_scores)
            np.testing.assert_allclose(one[: len(clip)], wanted, rtol=1e-4, atol=2e-5)
            assert (one[len(clip) :] == 0).all(), "absent people are zero"
            if not training:
                alone = apply_pipeline(clip, name, modality, LAYOUT, has_scores)
                np.testing.assert_allclose(alone, wanted, rtol=1e-4, atol=2e-5)
        assert (made[8] == 0).all(), "a clip of nobody"
    assert all(joints.any() for joints in expected[1:8])


@pytest.mark.parametrize("name", PIPELINES)
def test_another_layout_decides_joints_centre_and_bones(name: str) -> None:
    ntu = load_layout("ntu25")
    clip = np.random.default_rng(5).normal(size=(1, 52, 25, 3)).astype(np.float32)
    made = apply_pipeline(clip, name, "bone", ntu)
    np.testing.assert_allclose(made, plain.plain_input(clip, name, ntu, "bone"), rtol=1e-4, atol=1e-5)


# --- what must not matter --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_scores", [False, True], ids=["plain", "scores"])
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("name", PIPELINES)
def test_neither_padding_nor_the_rest_of_the_batch_matters(name: str, training: bool, has_scores: bool) -> None:
    clips, pipeline = mixed_clips(has_scores=has_scores), load_pipeline(name)

    def made(which: list[int], padding: float) -> torch.Tensor:
        batch = batch_of([clips[place] for place in which], has_scores=has_scores, padding=padding)
        drawn = randomness([INDEX[place] for place in which]) if training else None
        return pipeline(batch, modality="bone_motion", randomness=drawn)

    together = made(list(range(9)), np.nan)
    assert torch.equal(together, made(list(range(9)), 1e9))
    for place, clip in enumerate(clips):
        torch.testing.assert_close(together[place, : len(clip)], made([place], 0)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", PIPELINES)
def test_clips_are_not_changed(name: str) -> None:
    for has_scores in (False, True):
        batch = batch_of(mixed_clips(has_scores=has_scores), has_scores=has_scores, padding=3)
        before = batch.joints.clone()
        load_pipeline(name)(batch, modality="bone", randomness=randomness(INDEX))
        load_pipeline(name)(batch, modality="bone")
        assert torch.equal(batch.joints, before)


@pytest.mark.parametrize("name", PIPELINES)
def test_seed_epoch_and_index_change_the_training_input(name: str) -> None:
    pipeline, batch = load_pipeline(name), batch_of([some_clip(1, 200)] * 2)

    def made(seed: int, epoch: int) -> torch.Tensor:
        # `live` gives every batch a length of its own, which the seed and the epoch decide.
        return pipeline(batch, randomness=randomness([0, 1], seed, epoch))[:, :, :8]

    one = made(0, 0)
    assert torch.equal(one, made(0, 0))
    for other in (made(0, 1), made(1, 0), one.flip(0)):
        assert (one - other).abs().amax(dim=(1, 2, 3, 4)).min() > 0.01


@pytest.mark.parametrize("name", PIPELINES)
def test_people_keep_their_distances(name: str) -> None:
    """Everybody is moved and turned together; `nw-ucla` scales each axis by itself."""
    clip = some_clip(2, 50, whole=True)  # of fewer than 64 frames nothing is cropped
    made = apply_pipeline(clip, name, "joint", LAYOUT)
    if name in ("nw-ucla", "nw-ucla-scaled", "nw-ucla-early", "live", "live-early"):
        still = clip[:, plain.evenly(50)]
    else:
        start = int(0.05 * 50 / 2)
        still = plain.resized(clip[:, start : 50 - start].astype(np.float64), plain.LENGTHS.get(name, 64))
    for axis in range(3):
        across = made[0, ..., axis] - made[1, ..., axis]
        before = still[0, ..., axis] - still[1, ..., axis]
        factor = across / before
        if name.startswith("live"):  # a unit of its own in every frame
            factor = factor / factor[:, :1]
        large = np.abs(before) > 0.1
        np.testing.assert_allclose(factor[large], np.median(factor[large]), rtol=1e-3)


@pytest.mark.parametrize("name", ["ntu", "metric", "image"])
def test_training_turns_people_and_keeps_their_shape(name: str) -> None:
    clip = some_clip(2, 50, whole=True)
    turned = load_pipeline(name)(batch_of([clip]), randomness=randomness([3]))[0].numpy()
    still = plain.resized(clip.astype(np.float64), 64)

    def distances(joints: np.ndarray) -> np.ndarray:
        everybody = np.concatenate(list(joints), axis=1)
        return np.linalg.norm(everybody[:, :, None] - everybody[:, None], axis=-1)

    factor = 2 / np.ptp(clip, axis=(0, 1, 2)).max() if name == "image" else 1
    np.testing.assert_allclose(distances(turned), factor * distances(still), atol=1e-5)
    assert np.abs(turned - apply_pipeline(clip, name, "joint", LAYOUT)).max() > 0.05


@pytest.mark.parametrize("has_scores", [False, True], ids=["plain", "scores"])
@pytest.mark.parametrize("name", PIPELINES)
def test_one_frame_is_finite(name: str, has_scores: bool) -> None:
    clip = some_clip(1, 1, has_scores=has_scores)
    for modality in MODALITIES:
        made = apply_pipeline(clip, name, modality, LAYOUT, has_scores)
        assert np.isfinite(made).all()
        assert (made[..., :3] == 0).all() == modality.endswith("motion")


@pytest.mark.parametrize("name", PIPELINES)
def test_clips_without_extent_or_people_are_finite(name: str) -> None:
    for modality in MODALITIES:
        assert (apply_pipeline(np.zeros((2, 30, 20, 3)), name, modality, LAYOUT) == 0).all()
        one_point = apply_pipeline(np.full((1, 5, 20, 3), 7.0), name, modality, LAYOUT)
        assert (one_point == (7 if (name, modality) == ("ntu", "joint") else 0)).all()


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("name", PIPELINES)
def test_full_scores_change_no_coordinate_and_stay_as_they_are(name: str, training: bool) -> None:
    clip = some_clip(2, 90, whole=True)
    scored = np.concatenate([clip, np.ones_like(clip[..., :1])], axis=-1)
    drawn = randomness([4]) if training else None
    with_scores = load_pipeline(name)(batch_of([scored], has_scores=True), randomness=drawn)
    torch.testing.assert_close(with_scores[..., :3], load_pipeline(name)(batch_of([clip]), randomness=drawn))
    assert (with_scores[..., 3] == 1).all()


@pytest.mark.parametrize("name", PIPELINES)
def test_a_batch_may_be_divided(name: str) -> None:
    """Among processes: what a batch shares follows from the whole batch's first sample."""
    clips, pipeline = [some_clip(1, 30, seed=seed) for seed in range(4)], load_pipeline(name)
    for first in range(20):
        drawn = [randomness([first + place for place in which], batch=first) for which in ([0, 1], [2, 3], [0, 1, 2, 3])]
        parts = [pipeline(batch_of(clips[2 * half : 2 * half + 2]), randomness=drawn[half]) for half in (0, 1)]
        torch.testing.assert_close(torch.cat(parts), pipeline(batch_of(clips), randomness=drawn[2]))


@pytest.mark.parametrize("name", PIPELINES)
def test_the_dtype_stays(name: str) -> None:
    batch = batch_of([some_clip(1, 40, whole=True)])
    double = ClipBatch(batch.joints.double(), batch.frames, batch.num_persons, LAYOUT)
    for drawn in (None, randomness([2])):
        made = load_pipeline(name)(double, randomness=drawn)
        assert made.dtype == torch.float64
        torch.testing.assert_close(made.float(), load_pipeline(name)(batch, randomness=drawn), rtol=1e-4, atol=1e-5)


def test_the_random_scale_has_an_effect_where_it_comes_after_the_box() -> None:
    batch = batch_of(mixed_clips())
    drawn = randomness(INDEX)
    still, scaled = (load_pipeline(name)(batch, randomness=drawn) for name in ("nw-ucla", "nw-ucla-scaled"))
    assert still.abs().max() <= 1 + 1e-6
    for place, index in enumerate(INDEX):
        factors = torch.tensor([0.5 + draw for draw in plain.Key(5, 2, index).numbers(plain.SCALE, 3)])
        torch.testing.assert_close(scaled[place], still[place] * factors.float(), rtol=1e-5, atol=1e-6)
    for name in ("nw-ucla", "nw-ucla-scaled"):
        assert torch.equal(load_pipeline(name)(batch), load_pipeline("nw-ucla")(batch))


def test_an_image_may_be_anywhere_and_of_any_size() -> None:
    clip = some_clip(2, 90, dims=2)
    made = apply_pipeline(clip, "image", "joint", LAYOUT)
    assert 0.9 < np.abs(made).max() <= 1
    wide = np.where(clip == 0, 0, clip * 640 + [300, -20]).astype(np.float32)
    np.testing.assert_allclose(apply_pipeline(wide, "image", "joint", LAYOUT), made, atol=1e-5)


def test_metric_forgets_where_the_camera_stood_and_nothing_else() -> None:
    clip = some_clip(2, 90)
    moved = np.where(clip == 0, 0, clip + np.array([1, -2, 3])).astype(np.float32)
    made = apply_pipeline(clip, "metric", "joint", LAYOUT)
    np.testing.assert_allclose(apply_pipeline(moved, "metric", "joint", LAYOUT), made, atol=1e-5)
    ntu = [apply_pipeline(one, "ntu", "joint", LAYOUT) for one in (moved, clip)]
    assert np.abs(ntu[0] - ntu[1]).max() > 1
    # What is centred already is left where it is.
    centred = np.where(clip == 0, 0, clip - clip[0, 0, LAYOUT.centre_index]).astype(np.float32)
    assert np.array_equal(*(apply_pipeline(centred, name, "joint", LAYOUT) for name in ("metric", "ntu")))


def test_no_sample_is_looked_at_by_itself() -> None:
    """A batch of a hundred clips takes as many tensor operations as one of two."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counting(TorchDispatchMode):
        calls = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            Counting.calls += 1
            return function(*args, **(kwargs or {}))

    def calls(pipeline: Pipeline, clips: int) -> int:
        batch, drawn = batch_of([some_clip(1, 40)] * clips), Randomness(0, 0, torch.arange(clips))
        Counting.calls = 0
        with Counting():
            pipeline(batch, modality="bone_motion", randomness=drawn)
        return Counting.calls

    for name in PIPELINES:
        assert calls(load_pipeline(name), 100) == calls(load_pipeline(name), 2)


def test_mixed_holds_every_kind() -> None:
    assert {people for people, *_ in MIXED} == {1, 2} and any(behind == frames for _, frames, behind, _ in MIXED)
