"""Which frames are taken: spread, drawn, cropped, resized."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch

from poseglot.transforms import (
    Crop,
    DropEmptyFrames,
    PipelineError,
    Randomness,
    RandomPrefix,
    Resize,
    SampleFrames,
    SampleLengths,
    Transform,
)
from poseglot.transforms.pipeline import load_pipeline
from poseglot.transforms.sampling import drawn_without_replacement, evenly_spaced, resize_weights
from tests.transforms import plain
from tests.transforms.clips import batch_of, randomness, some_clip


@pytest.mark.parametrize("count", [52, 64, 7])
def test_evenly_spaced_is_numpys_truncated_linspace_for_every_length(count: int) -> None:
    lengths = range(1, 401)
    expected = [np.linspace(0, length - 1, count).astype(np.int64) for length in lengths]
    np.testing.assert_array_equal(evenly_spaced(torch.tensor(list(lengths)), count).numpy(), np.stack(expected))


def test_resizing_is_torchs_own_for_every_length() -> None:
    rng = np.random.default_rng(1)
    for frames in range(1, 321):
        clip = rng.normal(size=(1, frames, 1, 3))
        before, after, weight = (found[0].numpy() for found in resize_weights(torch.tensor([frames]), 64, torch.float32))
        assert before.min() >= 0 and after.max() < frames
        made = clip[:, before] * (1 - weight)[:, None, None] + clip[:, after] * weight[:, None, None]
        np.testing.assert_allclose(made, plain.resized(clip, 64), atol=2e-6)


# --- drawing ---------------------------------------------------------------------------------------------------------------


def drawn(lengths: list[int], *, copies: int = 100, epoch: int = 0) -> npt.NDArray[np.int64]:
    key = Randomness(8, epoch, torch.arange(len(lengths)))
    result: npt.NDArray[np.int64] = drawn_without_replacement(torch.tensor(lengths), 52, copies, key).numpy()
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
    counts = np.bincount(drawn([length] * 1500).ravel(), minlength=length)
    expected = 1500 * 52 / length
    # Five standard deviations of a binomial count.
    assert np.abs(counts - expected).max() < 5 * math.sqrt(expected)


def test_drawn_frames_of_a_sample_do_not_depend_on_its_batch() -> None:
    together = drawn([31, 7, 200])
    for index, length in enumerate([31, 7, 200]):
        alone = drawn_without_replacement(torch.tensor([length]), 52, 100, Randomness(8, 0, torch.tensor([index])))
        np.testing.assert_array_equal(alone[0].numpy(), together[index])
        wanted = plain.plain_draw(length, plain.Key(8, 0, index).numbers(plain.FRAMES, 52), 100)
        assert together[index].tolist() == wanted
    assert (together != drawn([31, 7, 200], epoch=1)).any()


# --- crops -----------------------------------------------------------------------------------------------------------------


def test_evaluation_leaves_out_what_the_field_leaves_out() -> None:
    valid = range(401)
    start, length = Crop().window(torch.tensor(list(valid)), None)
    assert start.tolist() == [int(0.05 * frames / 2) for frames in valid]
    assert length.tolist() == [frames - 2 * int(0.05 * frames / 2) for frames in valid]
    assert (start[39], start[40], start[300]) == (0, 1, 7)


def drawn_crops(frames: int, samples: int = 6000) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    start, length = Crop().window(torch.full((samples,), frames), Randomness(3, 1, torch.arange(samples)))
    return start.numpy(), length.numpy()


@pytest.mark.parametrize("frames", [0, 1, 2, 63, 64])
def test_few_frames_are_all_taken(frames: int) -> None:
    start, length = drawn_crops(frames, 100)
    assert (start == 0).all() and (length == frames).all()


@pytest.mark.parametrize("frames", [65, 100, 128, 200, 300])
def test_crops_reach_both_ends_of_their_ranges(frames: int) -> None:
    start, length = drawn_crops(frames)
    shortest = max(frames // 2, 64)
    assert length.min() == shortest and length.max() == frames - 1
    assert start.min() == 0 and (start + length).max() == frames
    assert set(length) == set(range(shortest, frames)), "every length is drawn"
    # Every place is as probable as any other: the mean is the middle, here in units of its standard error.
    room = frames - length
    middle, spread = room / 2, np.sqrt(((room + 1) ** 2 - 1) / 12)
    assert abs((start - middle).sum() / np.sqrt((spread**2).sum())) < 4
    if frames >= 128:  # otherwise the floor of 64 frames shows
        assert abs(length.mean() - (0.75 * frames - 0.5)) < 5 * frames / math.sqrt(48 * len(length))


def test_a_crop_keeps_a_stretch_of_the_frames_that_count() -> None:
    clip = some_clip(1, 100)  # two frames of it are empty
    cropped = Crop(margin=0.2)(DropEmptyFrames()(batch_of([clip]), None), None)
    assert cropped.frames.tolist() == [98 - 2 * 9]
    counted = np.flatnonzero(cropped.frame_mask()[0].numpy()).tolist()
    assert counted == [frame for frame in range(100) if frame not in (7, 8)][9:89]


# --- clips that end early -------------------------------------------------------------------------------------------------


def test_some_clips_end_early_by_their_own_frames() -> None:
    clips = [some_clip(1, 100, seed=seed) for seed in range(2)] * 500  # two frames of each are empty
    batch = DropEmptyFrames()(batch_of(clips), None)
    early = RandomPrefix(min_share=0.3, probability=0.4)(batch, randomness(list(range(len(clips)))))
    whole = early.frames == batch.frames
    assert 0.54 < whole.double().mean() < 0.66
    assert early.frames.min() == math.ceil(0.3 * 98) and early.frames[~whole].max() > 0.95 * 98
    assert abs(early.frames[~whole].double().mean() / 98 - 0.65) < 0.03, "drawn evenly"
    before, after = batch.frame_mask(), early.frame_mask()
    for place in range(0, len(clips), 97):  # the first of the frames that count, and no other
        counted = torch.nonzero(before[place]).flatten()[: early.frames[place]]
        assert torch.equal(torch.nonzero(after[place]).flatten(), counted)


def test_no_clip_ends_early_in_evaluation() -> None:
    batch = batch_of([some_clip(1, 40)])
    assert RandomPrefix()(batch, None) is batch


def test_clips_without_frames_stay_so_and_clips_of_one_keep_it() -> None:
    batch = DropEmptyFrames()(batch_of([some_clip(1, 1), 0 * some_clip(1, 1)]), None)
    assert RandomPrefix(probability=1)(batch, randomness([0, 1])).frames.tolist() == [1, 0]


# --- many lengths ----------------------------------------------------------------------------------------------------------


def test_every_length_is_some_batchs() -> None:
    clips = [some_clip(1, 30, seed=seed) for seed in range(2)]
    lengths = [
        SampleLengths()(batch_of(clips), randomness([batch, batch + 1], batch=batch)).joints.shape[2] for batch in range(40)
    ]
    assert set(lengths) == {12, 16, 20, 24, 32, 40, 48, 64}
    assert SampleLengths()(batch_of(clips), None).joints.shape[2] == 52


def test_a_crop_is_about_as_long_as_its_batch() -> None:
    """0.75 to 1.5 times as long; not less than 0.6 of the clip, and never more than it has."""
    index = torch.arange(500)
    for length in (300, 80, 30):
        for batch in range(8):
            chosen = SampleLengths().drawn(torch.full((500,), length), Randomness(1, 2, index, batch))
            count, first, last = chosen.shape[1], chosen[:, 0], chosen[:, -1]
            assert (chosen.diff(dim=1) >= 0).all() and first.min() >= 0 and last.max() < length
            least = min(length, max(0.6 * length, 0.75 * count))
            most = min(length, max(0.6 * length + 1, 1.5 * count))
            spans = (last - first + 1).double()
            assert spans.max() <= most and spans.mean() > 0.8 * least  # few draws do not reach both ends
            if most < length:
                assert first.min() < 0.05 * length and last.max() > 0.95 * length, "anywhere in the clip"


# --- refusals --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: Crop(min_share=0),
        lambda: RandomPrefix(min_share=0),
        lambda: RandomPrefix(probability=1.1),
        lambda: Crop(margin=1),
        lambda: Crop(min_frames=0),
        lambda: Resize(frames=0),
        lambda: SampleFrames(frames=1),
        lambda: SampleFrames(frames=52, copies=51),
        lambda: SampleLengths(lengths=()),
        lambda: SampleLengths(lengths=(1, 52)),
        lambda: SampleLengths(speeds=(1.5, 0.75)),
        lambda: SampleLengths(min_share=1.5),
        lambda: SampleLengths(copies=63),
        lambda: SampleLengths(start="last"),  # type: ignore[arg-type]
    ],
    ids=range(14),
)
def test_settings_that_cannot_be_are_refused(make: Callable[[], Transform]) -> None:
    with pytest.raises(PipelineError):
        make()


@pytest.mark.parametrize("name", ["resize", "sample-frames", "sample-lengths"])
@pytest.mark.parametrize("frames", [0, 10**6, 10**18])
def test_frames_that_no_memory_holds_are_refused(name: str, frames: int) -> None:
    with pytest.raises(PipelineError):
        load_pipeline(
            {
                "name": "mine",
                "transforms": [{name: {"frames": frames, "copies": 10**19} if name != "resize" else {"frames": frames}}],
            }
        )
