"""Windows: every frame covered, each recognised as the clip that it is, frames weighted by their distance from the middle."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from poseglot.data.tracking import most_moving
from poseglot.errors import InputError, PoseglotError, SettingError
from poseglot.inference import Predictor
from poseglot.inference.change_points import Piece
from poseglot.inference.segmentation import SegmentConfig, apply_threshold, segment_recording
from poseglot.inference.windows import (
    all_windows,
    frame_probabilities,
    sliding_windows,
    window_probabilities,
)
from poseglot.models.recognizer import Recognizer, save_recognizer
from poseglot.skeletons.clip import Clip
from poseglot.transforms import apply_pipeline

evaluation_input = partial(apply_pipeline, modality="joint")

pytestmark = pytest.mark.base


@pytest.fixture(scope="module")
def one(run_folder: Path) -> Predictor:
    return Predictor(run_folder, device="cpu")


@pytest.fixture(scope="module")
def two(build: Callable[..., Recognizer], tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """Of up to two people."""
    folder = tmp_path_factory.mktemp("two")
    save_recognizer(build(people=2), folder / "recognizer.safetensors")
    return Predictor(folder, device="cpu")


def test_windows_by_hand() -> None:
    assert sliding_windows(10, 4, 3).tolist() == [[0, 4], [3, 7], [6, 10]]
    assert sliding_windows(11, 4, 3).tolist() == [[0, 4], [3, 7], [6, 10], [7, 11]]
    assert sliding_windows(3, 4, 3).tolist() == [[0, 3]]
    assert all_windows(5, [2, 9, 5], 2).tolist() == [[0, 2], [0, 5], [2, 4], [3, 5]]
    for wrong in ((10, 3, 4), (10, 0, 1), (10, 4, 0), (0, 4, 3)):
        with pytest.raises(SettingError):
            sliding_windows(*wrong)


def test_a_frames_probabilities_by_hand() -> None:
    """Frame 3 of windows 0-4 and 2-6: 1.5 frames from the one's middle (half 2: weight 1 - 1.5/2.5), 0.5 from the other's."""
    rows = np.array([[1.0, 0.0], [0.0, 1.0]])
    frames = frame_probabilities(np.array([[0, 4], [2, 6]]), rows, 6)
    np.testing.assert_allclose(frames[[0, 1, 4, 5]], [[1, 0], [1, 0], [0, 1], [0, 1]])
    near, far = 1 - 0.5 / 2.5, 1 - 1.5 / 2.5
    np.testing.assert_allclose(frames[3], [far / (near + far), near / (near + far)])
    np.testing.assert_allclose(frames[2], frames[3][::-1])


def test_a_window_is_recognised_as_the_clip_that_it_is(one: Predictor, clips: Sequence[Clip]) -> None:
    joints = np.concatenate([clip.joints for clip in clips[:2]], axis=1)
    windows = all_windows(joints.shape[1], [7, 20, 33], 7)
    found = window_probabilities(one, joints, windows, batch_size=5)
    views = np.stack([evaluation_input(joints[:, start:end], pipeline="nw-ucla") for start, end in windows])
    expected = torch.from_numpy(one.logits(torch.from_numpy(views))).double().softmax(dim=1).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert np.ptp(found, axis=0).max() > 0.01, "windows that all look alike would prove nothing"


def test_who_moves_most_comes_first_and_absent_people_last() -> None:
    rng = np.random.default_rng(0)
    people = rng.normal(size=(4, 9, 5, 3)).astype(np.float32) * np.array([1, 3, 0, 2], np.float32)[:, None, None, None]
    np.testing.assert_array_equal(most_moving(people, 2), people[[1, 3]])
    np.testing.assert_array_equal(most_moving(people, 4), people)
    people[1, 4:] = 0  # gone halfway: that is no motion
    people[1, :4] = people[1, :1]
    people[1, :4] *= 0.01
    np.testing.assert_array_equal(most_moving(people, 2), people[[3, 0]])


@pytest.mark.parametrize("frames", [1, 5, 13, 60, 61, 100])
@pytest.mark.parametrize(("stride", "least", "longest"), [(0.2, 0.4, 1.0), (0.2, 0.1, 0.2), (0.1, 0.5, 1.1)])
def test_candidates_can_always_be_laid_end_to_end(frames: int, stride: float, least: float, longest: float) -> None:
    cutting = SegmentConfig(method="whole", stride=stride, min_duration=least, windows=(longest,))
    windows = cutting.candidates(frames, 30)
    assert len(np.unique(windows, axis=0)) == len(windows)
    assert (windows[:, 1] - windows[:, 0]).min() >= min(round(least * 30), frames)
    pieces = cutting.pieces(windows, np.full((len(windows), 2), [0.6, 0.4]), frames, 30)
    assert pieces == [Piece(0, frames, 0, pytest.approx(0.6))]
    with pytest.raises(SettingError):
        SegmentConfig(min_duration=0.8, windows=(1.0,)).candidates(frames, 30)


# --- whole recordings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["whole", "frames"])
def test_each_person_has_segments_that_fill_their_track(one: Predictor, clips: Sequence[Clip], way: str) -> None:
    first, second = clips[0].joints[0], clips[3].joints[0]
    frames = min(len(first), len(second))
    joints = np.zeros((2, frames + 10, 20, 3), np.float32)
    joints[0, :frames], joints[1, 10:] = first[:frames], second[:frames] + np.array([5, 0, 0])
    joints[:, 12] = joints[::-1, 12]  # they change places
    cutting = SegmentConfig(method=way, windows=(0.8,), stride=0.2, min_duration=0.2, penalty=0.1)  # type: ignore[arg-type]
    segments = segment_recording(one, joints, fps=30, config=cutting)
    for person, start in ((1, 0), (2, 10)):
        own = [segment for segment in segments if segment.person == person]
        assert own[0].start == pytest.approx(start / 30) and own[-1].end == pytest.approx((start + frames) / 30)
        assert all(a.end == b.start and a.action != b.action for a, b in itertools.pairwise(own))
    alone = segment_recording(one, first[:frames], fps=30, config=cutting)
    for ours, theirs in zip((s for s in segments if s.person == 1), alone, strict=True):
        assert (ours.start, ours.end, ours.action) == (theirs.start, theirs.end, theirs.action)
        assert ours.score == pytest.approx(theirs.score, rel=1e-4)


def test_together_nobody_is_named_and_pauses_without_people_are_left_out(two: Predictor, clips: Sequence[Clip]) -> None:
    frames = 40
    joints = np.zeros((2, 100, 20, 3), np.float32)
    poses = [np.resize(clips[place].joints[0], (frames, 20, 3)) for place in (0, 3)]
    joints[0, :frames], joints[1, :frames], joints[0, 60:] = poses[0], poses[1] + np.array([5, 0, 0]), poses[0]
    cutting = SegmentConfig(windows=(0.8,), min_duration=0.2, gap=0.1)
    segments = segment_recording(two, joints, fps=20, config=cutting)
    assert {segment.person for segment in segments} == {0}
    assert (segments[0].start, segments[-1].end) == (0, 5)
    assert not any(segment.start < 3 and segment.end > 2 for segment in segments)
    assert {s.person for s in segment_recording(two, joints, fps=20, config=cutting, people="each")} == {1, 2, 3}


def test_below_a_score_pieces_are_unknown(one: Predictor, clips: Sequence[Clip]) -> None:
    pieces = [Piece(0, 3, 1, 0.3), Piece(3, 6, 2, 0.2), Piece(6, 9, 1, 0.8)]
    assert apply_threshold(pieces, 0.5) == [Piece(0, 6, -1, pytest.approx(0.25)), Piece(6, 9, 1, 0.8)]
    assert apply_threshold(pieces, 0.0) == pieces
    (segment,) = segment_recording(one, clips[0].joints, fps=30, config=SegmentConfig(threshold=1.0))
    assert segment.action == "unknown"


def test_recordings_that_cannot_be_cut_are_refused(one: Predictor, clips: Sequence[Clip]) -> None:
    joints = clips[0].joints
    with pytest.raises(PoseglotError, match="20"):
        segment_recording(one, joints[:, :, :7], fps=30)
    with pytest.raises(InputError):
        segment_recording(one, joints[..., :2], fps=30)
    with pytest.raises(InputError):
        segment_recording(one, np.zeros_like(joints), fps=30)
    with pytest.raises(SettingError):
        segment_recording(one, joints, fps=0)
    with pytest.raises(SettingError):
        segment_recording(one, joints, fps=30, people="together")
