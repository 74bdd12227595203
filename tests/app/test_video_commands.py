"""The commands that take videos, with real files and an estimator that sees squares."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poseglot.data.readers.poses import read_poses, write_poses
from poseglot.data.segments import read_segments
from poseglot.data.store import open_store
from poseglot.inference import Predictor
from poseglot.inference.video import estimator as estimators
from poseglot.inference.video.frames import VideoFile
from poseglot.models.recognizer import Recognizer, RecognizerSpec, save_recognizer
from tests.inference.video.actors import Squares, film, stander, walker

pytest.importorskip("cv2")
Command = Callable[..., Any]
CLASSES = ("wave one hand", "squat", "bow")


@pytest.fixture(autouse=True)
def squares(monkeypatch: pytest.MonkeyPatch) -> None:
    """`flat` and `deep` stand where real estimators do; json is a package that is there."""
    for name, layout, has_world in (("flat", "coco17", False), ("deep", "mediapipe33", True)):
        made = Squares(layout, has_world=has_world)
        made.name = name
        known = estimators.EstimatorInfo("json", has_world, "", lambda models, device, made=made: made)  # type: ignore[misc]
        monkeypatch.setitem(estimators.ESTIMATORS, name, known)  # type: ignore[arg-type]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Path]:
    def make(
        layout: str = "coco17", channels: int = 3, *, has_scores: bool = True, pipeline: str = "image", people: int = 1
    ) -> Path:
        torch.manual_seed(0)
        spec = RecognizerSpec(
            layout,
            CLASSES,
            num_persons=people,
            channels=channels,
            encoder_kwargs={"base_channels": 8},
            pipeline=pipeline,
            has_scores=has_scores,
        )
        folder = tmp_path / f"run-{layout}-{channels}-{people}"
        save_recognizer(Recognizer(spec), folder / "recognizer.safetensors")
        return folder

    return make


@pytest.fixture
def video(tmp_path: Path) -> Path:
    (tmp_path / "films").mkdir()
    return film(tmp_path / "films" / "one.mp4", [walker, stander], 25)


def test_a_video_is_recognised_as_its_poses_are(
    poseglot: Command, run: Callable[..., Path], video: Path, tmp_path: Path
) -> None:
    said = poseglot(
        "extract-poses", video, "--pose", "flat", "--out", tmp_path / "films" / "two.npz", "--draw", tmp_path / "drawn.mp4"
    )
    assert said.status == 0, said.error
    assert said.out.splitlines()[0] == f"{video}: 25 frames, 12.5 a second, somebody in 25, 2 tracks; coco17, 2D"
    assert len(list(VideoFile(tmp_path / "drawn.mp4"))) == 25
    (tmp_path / "films" / "notes.txt").touch()
    said = poseglot("predict", run(), tmp_path / "films", "--pose", "flat", "--json")
    assert said.status == 0, said.error
    first, second = json.loads(said.out)
    assert (first["file"], second["file"]) == (str(video), str(tmp_path / "films" / "two.npz"))
    assert first["scores"] == second["scores"] and {a["action"] for a in first["scores"]} == set(CLASSES)
    assert said.error.count("2 people, or one who was out of sight; recognised: the one who moves most") == 2
    assert "1 files of" in said.error
    # It is the walker, who is recognised as an array of his joints is.
    poses = read_poses(tmp_path / "films" / "two.npz")
    moving = int(np.ptp(poses.pixels[:, :, 0, 0], axis=1).argmax())
    (alone,) = Predictor(run()).predict(poses.joints(has_scores=True)[moving])
    assert [a["probability"] for a in first["scores"]] == pytest.approx([a.probability for a in alone.scores], rel=1e-4)
    (both,) = Predictor(run(people=2)).predict([tmp_path / "films" / "two.npz"])
    (wanted,) = Predictor(run(people=2)).predict([poses.joints(has_scores=True)])
    assert both.scores[0].probability == pytest.approx(wanted.scores[0].probability, rel=1e-3)


def test_videos_beside_clips_are_left_out_where_nothing_can_find_people(
    poseglot: Command, run: Callable[..., Path], video: Path
) -> None:
    """In a folder; a video that is named, or a folder of nothing else, is an error."""
    deep = run("kinect20", 3, has_scores=False, pipeline="metric")
    np.save(video.with_name("clip.npy"), np.random.default_rng(0).normal(size=(1, 9, 20, 3)))
    said = poseglot("predict", deep, video.parent, "--pose", "flat")
    assert said.status == 0 and said.out.splitlines()[0] == str(video.with_name("clip.npy"))
    assert f"left out: 1 videos. {video}: flat gives 2D joints" in said.error
    for given in ([video.parent, video], [video]):
        assert poseglot("predict", deep, *given, "--pose", "flat").status == 1
    video.with_name("clip.npy").unlink()
    assert poseglot("predict", deep, video.parent, "--pose", "flat").status == 1


def test_joints_of_another_layout_and_in_3d_are_mapped(poseglot: Command, run: Callable[..., Path], video: Path) -> None:
    deep = run("kinect20", 3, has_scores=False, pipeline="metric")
    said = poseglot("predict", deep, video, "--pose", "deep")
    assert said.status == 0, said.error
    assert "mapped: mediapipe33 as kinect20: 12 of 20 joints copied" in said.error and len(said.out.splitlines()) == 4
    assert "mapped: mediapipe33 as coco17: 17 of 17" in poseglot("predict", run(), video, "--pose", "deep").error  # 2D, too


def test_2d_joints_for_a_3d_recognizer_are_refused_before_a_frame_is_seen(
    poseglot: Command, run: Callable[..., Path], video: Path, tmp_path: Path
) -> None:
    deep = run("kinect20", 3, has_scores=False, pipeline="metric")
    for command in ("predict", "segment"):
        said = poseglot(command, deep, video, "--pose", "flat")
        assert said.status == 1 and "flat gives 2D joints" in said.error
    said = poseglot("webcam", deep, "--video", video, "--pose", "flat", "--text")
    assert said.status == 1 and "--pose mediapipe" in said.error and "poseglot init" in said.error
    poseglot("extract-poses", video, "--pose", "flat", "--out", tmp_path / "flat.npz")
    said = poseglot("predict", deep, tmp_path / "flat.npz")
    assert said.status == 1 and "these poses are 2D (layout coco17, pixels), and 3D joints are asked for" in said.error


def test_segments_of_a_video_go_by_its_frame_rate(
    poseglot: Command, run: Callable[..., Path], video: Path, tmp_path: Path
) -> None:
    options = ["--pose", "flat", "--min-duration", 0.4, "--window", 1]
    said = poseglot("segment", run(), video, *options, "--out", tmp_path / "s.csv")
    assert said.status == 0, said.error
    segments = read_segments(tmp_path / "s.csv")
    assert {segment.person for segment in segments} == {1, 2} and max(segment.end for segment in segments) == 2.0  # 25 at 12.5
    poseglot("extract-poses", video, "--pose", "flat", "--out", tmp_path / "p.npz")
    again = poseglot("segment", run(), tmp_path / "p.npz", *options, "--out", tmp_path / "t.csv")
    assert again.status == 0 and (tmp_path / "s.csv").read_text() == (tmp_path / "t.csv").read_text()
    poseglot("segment", run(), tmp_path / "p.npz", *options, "--fps", 25, "--out", tmp_path / "u.csv")
    assert max(segment.end for segment in read_segments(tmp_path / "u.csv")) == 1.0


def test_watching_prints_and_saves(poseglot: Command, run: Callable[..., Path], video: Path, tmp_path: Path) -> None:
    out = tmp_path / "watched.webm"
    said = poseglot("webcam", run(), "--video", video, "--pose", "flat", "--text", "--save", out, "--stride", 0.4)
    assert said.status == 0, said.error
    *lines, last = said.out.splitlines()
    assert last == f"written: {out}, 25 frames" and len(list(VideoFile(out))) == 25
    pattern = r" +\d+\.\d\d  (?:(?:wave one hand|squat|bow) \d+%(?:  \|  )?){2}"
    assert len(lines) == 4 and all(re.fullmatch(pattern, line) for line in lines), lines


def test_watching_without_a_display_or_a_camera_says_so(
    poseglot: Command, run: Callable[..., Path], video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cv2

    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    said = poseglot("webcam", run(), "--video", video, "--pose", "flat")
    assert said.status == 1 and "no window can be shown" in said.error

    class Closed:
        def isOpened(self) -> bool:  # noqa: N802
            return False

    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: Closed())
    said = poseglot("webcam", run(), "--camera", 7, "--pose", "flat", "--text")
    assert said.status == 1 and "camera 7 cannot be opened" in said.error


def test_what_cannot_be_written_is_said_before_anything_is_looked_at(
    poseglot: Command, run: Callable[..., Path], video: Path
) -> None:
    for arguments, reason in (
        (("extract-poses", video), "--out"),
        (("extract-poses", video, "--out", "a.npy"), ".npz"),
        (("extract-poses", video, "--draw", "a.gif"), "not .gif"),
        (("webcam", run(), "--video", video, "--save", "a.gif"), "written as .mp4, .webm, .avi"),
        (("extract-poses", video, "--out", "a.npz", "--pose", "openpose"), "pose estimator 'openpose'"),
        (("predict", run(), video, "--pose", "rtmpose-tiny"), "pose estimator 'rtmpose-tiny'"),
    ):
        said = poseglot(*arguments)
        assert said.status == 1 and reason in said.error


def test_a_project_of_poses(poseglot: Command, video: Path, tmp_path: Path) -> None:
    for number in range(6):
        path = tmp_path / "clips" / ("wave" if number % 2 else "sit") / f"{number}.npz"
        assert poseglot("extract-poses", video, "--pose", "deep", "--2d", "--out", path).status == 0
        poses = read_poses(path)
        write_poses(replace(poses, pixels=poses.pixels + number), path)  # no two the same
    said = poseglot("init", tmp_path / "gestures", "--source", tmp_path / "clips", "--scored")
    assert said.status == 0, said.error
    store = open_store(tmp_path / "gestures" / "data")
    assert (len(store), store.info.has_scores, store.joints.shape[1:]) == (6, True, (33, 3))
