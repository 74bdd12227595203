"""`StreamingRecognizer`: from saved runs and raw frames to what the recognizer says of the whole clip."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from poseglot.data.store import open_store
from poseglot.errors import FileError, InputError, NotFoundError, PoseglotError, SettingError
from poseglot.inference import Predictor, StreamingRecognizer
from poseglot.models.pretrained import recognizer_file
from poseglot.models.recognizer import Recognizer, load_recognizer, new_recognizer, save_recognizer
from poseglot.skeletons.batch import ClipBatch
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.coordinates import measure_clip, summarize
from poseglot.skeletons.layout import load_layout
from poseglot.testing import scramble
from poseglot.transforms import load_pipeline, to_modality
from poseglot.transforms.transform import FrameChoice
from tests.inference.conftest import SPEC

LAYOUT = load_layout("kinect20")


@pytest.fixture(scope="session")
def save(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A run whose recognizer was made for streams, unless something else is asked for."""

    def run(**spec: Any) -> Path:
        given = {"pipeline": "live", "encoder_kwargs": {"base_channels": 8, "causal": True}, **spec}
        recognizer = new_recognizer(replace(SPEC, **given), seed=0)
        scramble(recognizer)
        folder = tmp_path_factory.mktemp("run")
        save_recognizer(recognizer, folder / "recognizer.safetensors")
        return folder

    return run


@pytest.fixture(scope="session")
def live(save: Callable[..., Path]) -> Path:
    return save()


def whole(run: Path, joints: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """(classes,) of a clip placed as a whole, every frame of it seen by the recognizer at once."""
    recognizer: Recognizer = load_recognizer(run / "recognizer.safetensors")
    clip = torch.from_numpy(joints)[None]
    batch = ClipBatch(clip, torch.tensor([clip.shape[2]]), torch.tensor([clip.shape[1]]), recognizer.layout)
    for transform in load_pipeline("live").transforms:
        if not isinstance(transform, FrameChoice):
            batch = transform(batch, None)
    inputs = to_modality(batch.joints, recognizer.spec.modality, recognizer.layout)
    with torch.no_grad():
        probabilities: npt.NDArray[np.float64] = recognizer(inputs)["logits"][0].double().softmax(dim=0).numpy()
    return probabilities


@pytest.mark.parametrize("modality", ["joint", "bone_motion"])
@pytest.mark.parametrize("people", [1, 2])
def test_after_each_frame_it_says_what_it_would_say_of_the_clip(
    save: Callable[..., Path], real_store: Path, modality: str, people: int
) -> None:
    """Real clips; of two people the second does what another clip shows."""
    store = open_store(real_store)
    joints = [store[place].joints[:, :16] for place in (3, 700)][:people]
    clip = np.concatenate(joints, axis=0)
    run = save(num_persons=people, modality=modality)
    recognizer = StreamingRecognizer(run)
    assert recognizer.differences == ()
    said = [recognizer.step(frame) for frame in clip.swapaxes(0, 1)]
    for number, probabilities in enumerate(said):
        known = number - number % 4  # the encoder has two strides
        assert number - known <= recognizer.latency
        np.testing.assert_allclose(probabilities, whole(run, clip[:, : known + 1]), rtol=2e-3, atol=1e-4)
    np.testing.assert_allclose(recognizer.flush(), whole(run, clip), rtol=2e-3, atol=1e-4)
    assert np.ptp(said, axis=0).max() > 0.01, "the answer changes as frames come"


def test_answers_are_calibrated_probabilities_of_the_run(live: Path, save: Callable[..., Path], clips: Sequence[Clip]) -> None:
    from poseglot.evaluation.temperature import CALIBRATION_FILE
    from poseglot.files import sha256_of

    run = save()
    file = run / "recognizer.safetensors"
    (run / CALIBRATION_FILE).write_text(
        json.dumps({"format": "poseglot-calibration/1", "temperature": 3.0, "recognizer": sha256_of(file)})
    )
    cold, warm = StreamingRecognizer(live), StreamingRecognizer(run)
    for frame in clips[0].joints[0, :9]:
        plain, calibrated = cold.step(frame), warm.step(frame)
    assert plain.sum() == pytest.approx(1)
    expected = plain ** (1 / 3)
    np.testing.assert_allclose(calibrated, expected / expected.sum(), rtol=1e-4)
    best = cold.best(3)
    assert [score.probability for score in best] == sorted(plain, reverse=True)[:3]
    assert best[0].action == cold.classes[int(plain.argmax())]


def test_frames_unlike_those_of_training_are_noticed(live: Path, clips: Sequence[Clip], tmp_path: Path) -> None:
    loaded = load_recognizer(recognizer_file(live))
    summary = summarize([measure_clip(clip.joints, loaded.layout, has_scores=False) for clip in clips])
    assert summary is not None
    loaded.spec = replace(loaded.spec, coordinates=summary.table())
    save_recognizer(loaded, tmp_path / "recognizer.safetensors")
    alike, upside_down = StreamingRecognizer(tmp_path), StreamingRecognizer(tmp_path)
    frames = np.concatenate([clip.joints[0] for clip in clips])[:40]
    for frame in frames:
        alike.step(frame)
        upside_down.step([])  # frames of nobody are not compared
        upside_down.step(frame * (1, -1, 1))
    assert not alike.warnings and list(upside_down.warnings) == ["head"]


def test_a_state_can_be_kept_and_put_back(live: Path, clips: Sequence[Clip]) -> None:
    recognizer = StreamingRecognizer(live)
    frames = clips[0].joints[0]
    for frame in frames[:10]:
        recognizer.step(frame)
    kept = recognizer.state
    first = [recognizer.step(frame) for frame in frames[10:20]]
    for frame in clips[3].joints[0, :7]:
        recognizer.step(frame)
    recognizer.state = kept
    np.testing.assert_array_equal([recognizer.step(frame) for frame in frames[10:20]], first)
    recognizer.reset()
    again = [recognizer.step(frame) for frame in frames[:20]]
    np.testing.assert_array_equal(again[10:], first)


def test_a_frame_that_is_refused_is_as_if_it_had_not_come(live: Path, clips: Sequence[Clip]) -> None:
    recognizer = StreamingRecognizer(live)
    frame = clips[0].joints[0, 0]
    recognizer.step(frame)
    kept = recognizer.state
    broken = frame.copy()
    broken[3, 1] = np.nan
    for wrong, said in (
        (broken, "frame 1: 1 coordinates are not finite"),
        (frame[:19], "19 joints in a frame, but the layout has 20"),
        (frame[:, :2], "2 numbers per joint came"),
        (np.stack([frame, frame]), "2 people"),
        (frame[0], r"\(3,\)"),
        ([["x"]], "frame 1"),
        ([[1.0, 2.0, 3.0], [1.0, 2.0]], "frame 1"),
    ):
        with pytest.raises(PoseglotError, match=said):
            recognizer.step(wrong)
        assert recognizer.state is kept


@pytest.mark.parametrize("people", [1, 2])
def test_by_windows_it_says_what_a_predictor_says_of_the_frames_so_far(
    save: Callable[..., Path], real_store: Path, people: int
) -> None:
    """Of two people the second comes later."""
    store = open_store(real_store)
    clip = np.concatenate([store[place].joints[:, :14] for place in (3, 700)][:people], axis=0)
    clip[1:, :5] = 0
    run = save(pipeline="nw-ucla", num_persons=people, encoder_kwargs={"base_channels": 8})
    recognizer, predictor = StreamingRecognizer(run, every=3), Predictor(run, device="cpu")
    assert recognizer.method == "window" and recognizer.differences == () and recognizer.latency == 2
    for number, frame in enumerate(clip.swapaxes(0, 1)):
        frame = frame[:1] if not frame[1:].any() else frame  # absent people are left out
        said, known = recognizer.step(frame), number - number % 3
        np.testing.assert_array_equal(said, predictor.predict_proba(clip[:, : known + 1])[0])
        np.testing.assert_array_equal(recognizer.flush(), predictor.predict_proba(clip[:, : number + 1])[0])
    state = recognizer.state
    recognizer.step(clip[:, 0])
    recognizer.state = state
    np.testing.assert_array_equal(recognizer.flush(), predictor.predict_proba(clip)[0])
    short = StreamingRecognizer(run, every=1, memory=6)
    for frame in clip.swapaxes(0, 1):
        said = short.step(frame)
    np.testing.assert_array_equal(said, predictor.predict_proba(clip[:, -6:])[0])
    assert len(short.differences) == 1


def test_a_recognizer_for_any_layout_takes_streams(real_store: Path) -> None:
    store = open_store(real_store)
    clip = store[3].joints
    stream, predictor = StreamingRecognizer("everyday", every=50), Predictor("everyday", device="cpu")
    stream.step([])  # nobody yet
    stream.reset()
    for frame in clip[0]:
        stream.step(frame)
    np.testing.assert_array_equal(stream.flush(), predictor.predict_proba(clip, layout="kinect20")[0])
    with pytest.raises(InputError):
        stream.step(clip[0, 0, :15])
    flat = StreamingRecognizer("everyday", layout="kinect20", every=50)
    for number in range(9):
        flat.step([] if number < 2 else clip[0, number, :, :2])
    np.testing.assert_array_equal(
        flat.flush(),
        predictor.predict_proba(np.pad(clip[:, 2:9, :, :2], ((0, 0), (2, 0), (0, 0), (0, 0))), layout="kinect20")[0],
    )


def test_a_frame_with_nobody_in_it_may_be_empty(live: Path, clips: Sequence[Clip]) -> None:
    empty, zero = StreamingRecognizer(live), StreamingRecognizer(live)
    for frame in clips[0].joints[0, :5]:
        np.testing.assert_array_equal(empty.step(frame), zero.step(frame))
        np.testing.assert_array_equal(empty.step([]), zero.step(np.zeros_like(frame)))


def test_a_stream_that_ends_before_its_first_frame_says_nothing(save: Callable[..., Path]) -> None:
    recognizer = StreamingRecognizer(save(encoder_kwargs={"base_channels": 8}))
    np.testing.assert_array_equal(recognizer.flush(), recognizer.state.probabilities)


def test_other_joints_are_mapped_by_name(live: Path, clips: Sequence[Clip]) -> None:
    order = np.roll(np.arange(20), 7)
    table = LAYOUT.table()
    shuffled = load_layout({**table, "name": "shuffled", "joints": [LAYOUT.joints[place] for place in order]})
    usual, mapped = StreamingRecognizer(live), StreamingRecognizer(live, layout=shuffled)
    for frame in clips[0].joints[0, :6]:
        np.testing.assert_allclose(mapped.step(frame[order]), usual.step(frame), rtol=1e-5)


def test_what_is_not_as_in_a_whole_clip_is_said(save: Callable[..., Path], clips: Sequence[Clip]) -> None:
    run = save(pipeline="nw-ucla", encoder_kwargs={"base_channels": 8})
    usual = StreamingRecognizer(run, method="frame", every=3, memory=90)
    time, placed, topologies, forgotten = usual.differences
    assert "nw-ucla" in time
    assert "bounding box" in placed and "mean of the frames so far" in topologies and "90" in forgotten
    assert usual.latency == 2
    said = np.array([usual.step(frame) for frame in clips[0].joints[0, :8]])
    changed = (np.diff(said, axis=0) != 0).any(axis=1)
    assert changed.tolist() == [False, False, True, False, False, True, False], "an answer every three frames"


def test_what_cannot_be_run_frame_by_frame(live: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError):
        StreamingRecognizer(tmp_path / "recognizer.onnx", method="frame")
    with pytest.raises(SettingError):
        StreamingRecognizer("everyday", method="frame")
    with pytest.raises(NotFoundError):
        StreamingRecognizer(live, method="frames")  # type: ignore[arg-type]
    with pytest.raises(FileError):
        StreamingRecognizer(tmp_path)
    with pytest.raises(SettingError):
        StreamingRecognizer(live, every=0)
