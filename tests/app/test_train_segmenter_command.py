"""`poseglot train-segmenter`, what it writes, and that `poseglot segment` uses it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.data.segments import read_segments
from poseglot.data.store import PackedStore
from poseglot.errors import FileError, SettingError
from poseglot.files import sha256_of
from poseglot.inference import Predictor
from poseglot.inference.dense import find_segmenter, segment_densely
from poseglot.models.segmenter import load_segmenter, save_segmenter
from poseglot.training.recordings import JoinConfig, Recording
from poseglot.training.run import open_run
from poseglot.training.segmenter import RecordingEncoder, SegmenterConfig, train_segmenter

Poseglot = Callable[..., Any]
MakeRun = Callable[..., Path]
FEW = SegmenterConfig(recordings=3, join=JoinConfig(clips=4), updates=2)


def test_a_run_gets_a_segmenter(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    segmenter = train_segmenter(folder, fps=15, config=FEW)
    run = open_run(folder)
    loaded = load_segmenter(run.files.segmenter, run.files.recognizer)
    assert loaded.spec == segmenter.spec
    assert loaded.spec.classes == run.classes and loaded.spec.recognizer == sha256_of(run.files.recognizer)
    median = float(np.median(run.store.clips["frames"][run.train.indices])) / 15
    assert loaded.spec.windows == pytest.approx([share * median for share in FEW.windows], abs=1e-3)
    assert loaded.spec.step == pytest.approx(min(loaded.spec.windows) / FEW.steps_per_window)
    for wrong in (0.0, float("nan")):
        with pytest.raises(SettingError):
            train_segmenter(folder, fps=wrong)


def test_segment_uses_it(poseglot: Poseglot, make_run: MakeRun, small_store: PackedStore, tmp_path: Path) -> None:
    run, recording = make_run(tmp_path / "run"), tmp_path / "long.npy"
    np.save(recording, np.concatenate([small_store[place].joints for place in (0, 16, 32)], axis=1))
    before = poseglot("segment", run, recording)
    assert before.status == 0 and before.out == poseglot("segment", run, recording, "--method", "whole").out
    refused = poseglot("segment", run, recording, "--method", "dense")
    assert refused.status == 1 and "poseglot train-segmenter" in refused.error
    made = poseglot("train-segmenter", run, "--joined", 3, "--updates", 2, "--pauses", 0)
    assert made.status == 0, made.error
    assert re.search(r"^windows of [\d.]+, [\d.]+ s, a step of [\d.]+ s$", made.out, re.M)
    after = poseglot("segment", run, recording)
    assert after.status == 0 and after.out == poseglot("segment", run, recording, "--method", "dense").out
    assert poseglot("segment", run, recording, "--method", "whole").out == before.out
    ignored = poseglot("segment", run, recording, "--window", 0.1)
    assert ignored.out == after.out and "not used" in ignored.error
    (run / "segmenter.safetensors").write_bytes(b"cut short")
    assert poseglot("segment", run, recording).status == 1
    assert poseglot("segment", run, recording, "--method", "whole").status == 0


def test_training_and_segmenting_see_the_same(make_run: MakeRun, small_store: PackedStore, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    segmenter, predictor = train_segmenter(folder, config=FEW), Predictor(folder, device="cpu")
    encoder = RecordingEncoder(open_run(folder, device="cpu"), segmenter.spec.windows, segmenter.spec.step, 30.0)
    joints = np.concatenate([small_store[place].joints for place in (0, 16, 32)], axis=1)
    recording = Recording(joints, np.arange(joints.shape[1]))
    example, turned, again, other = (encoder(recording, seed=0, number=number) for number in (0, 1, 1, 2))
    np.testing.assert_array_equal(turned.features, again.features)
    for one in (example, other):
        assert not np.allclose(one.features, turned.features, rtol=0.05)
    answers = segment_densely(predictor, segmenter, joints, fps=30)
    np.testing.assert_array_equal(answers.probabilities, segmenter.probabilities(example.features)[0])
    middle = (np.arange(len(answers.boundary)) + 0.5) * segmenter.spec.step * 30
    assert np.abs(example.labels - middle).max() <= 1, "the label of a step is that of the frame at its middle"
    assert answers.pieces(penalty=0.05, min_duration=0.6)[-1].end <= joints.shape[1]


def test_of_more_people_both_take_those_who_move_most(make_run: MakeRun, small_store: PackedStore, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    segmenter, predictor = train_segmenter(folder, config=FEW), Predictor(folder, device="cpu")
    encoder = RecordingEncoder(open_run(folder, device="cpu"), segmenter.spec.windows, segmenter.spec.step, 30.0)
    moving = np.concatenate([small_store[place].joints for place in (0, 16, 32)], axis=1)
    joints = np.concatenate([np.repeat(moving[:, :1], moving.shape[1], axis=1), moving])
    example = encoder(Recording(joints, np.arange(joints.shape[1])), seed=0, number=0)
    answers = segment_densely(predictor, segmenter, joints, fps=30)
    np.testing.assert_array_equal(answers.probabilities, segmenter.probabilities(example.features)[0])


def test_the_help_says_the_defaults(poseglot: Poseglot) -> None:
    text = " ".join(poseglot("train-segmenter", "--help").out.split())
    config = SegmenterConfig()
    defaults = {"joined": config.recordings, "updates": config.updates, "pauses": config.join.pauses, "seed": config.seed}
    for name, default in defaults.items():
        assert re.search(rf"--{name} [^-]*?\({re.escape(str(default))}\)", text), name


def test_a_recording_without_actions_has_no_segments(
    poseglot: Poseglot, make_run: MakeRun, small_store: PackedStore, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run")
    segmenter = train_segmenter(run, config=FEW)
    segmenter.heads[-1].bias.data[-1] = 1000.0  # type: ignore[union-attr, index, operator]
    save_segmenter(segmenter, open_run(run).files.segmenter)
    np.save(tmp_path / "long.npy", small_store[0].joints)
    said = poseglot("segment", run, tmp_path / "long.npy", "--out", tmp_path / "none.csv")
    assert said.status == 0 and "no action was found" in said.error, said.error
    assert read_segments(tmp_path / "none.csv") == []


def test_a_segmenter_of_other_classes_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    segmenter = train_segmenter(run, config=FEW)
    segmenter.spec = replace(segmenter.spec, classes=segmenter.spec.classes[::-1])
    save_segmenter(segmenter, open_run(run).files.segmenter)
    with pytest.raises(FileError):
        find_segmenter(Predictor(run, engine="torch"), "auto")


def test_segment_takes_a_layout_and_refuses_what_makes_no_sense(
    poseglot: Poseglot, make_run: MakeRun, small_store: PackedStore, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run")
    np.save(tmp_path / "long.npy", small_store[0].joints)
    own = poseglot("segment", run, tmp_path / "long.npy")
    assert own.status == 0 and poseglot("segment", run, tmp_path / "long.npy", "--layout", "kinect20").out == own.out
    other = np.random.default_rng(0).normal(size=(40, 25, 3)).astype(np.float32)
    np.save(tmp_path / "other.npy", other)
    mapped = poseglot("segment", run, tmp_path / "other.npy", "--layout", "ntu25")
    assert mapped.status == 0 and "mapped: ntu25" in mapped.error, mapped.error
    for wrong in (["--fps", 0], ["--threshold", 2]):
        assert poseglot("segment", run, tmp_path / "long.npy", *wrong).status == 1
    (tmp_path / "frames.csv").write_text("start,end,action\n0,900,clap hands\n")
    late = poseglot("segment", run, tmp_path / "long.npy", "--truth", tmp_path / "frames.csv")
    assert "ends behind the recording" in late.error
