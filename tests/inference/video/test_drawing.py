"""Drawings: every joint and bone in the color of its part, what is not seen left out, text that can be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poseglot.colors import PART_COLORS
from poseglot.errors import SettingError
from poseglot.inference.video import drawing
from poseglot.inference.video.drawing import draw_poses, draw_video, name_parts, write_lines
from poseglot.inference.video.extract import poses_of_video
from poseglot.inference.video.frames import VideoFile
from poseglot.skeletons.layout import load_layout
from tests.inference.video.actors import Squares, film, walker

cv2 = pytest.importorskip("cv2")


def rgb(color: str) -> list[int]:
    return list(bytes.fromhex(color[1:]))


@pytest.mark.parametrize("name", ["coco17", "mediapipe33", "halpe26"])
def test_joints_and_bones_have_the_colours_of_their_parts(name: str) -> None:
    layout = load_layout(name)
    ground = np.full((480, 640, 3), 128, dtype=np.uint8)
    angles = np.linspace(0, 2 * np.pi, len(layout), endpoint=False)
    pixels = np.stack([320 + np.cos(angles) * 300, 240 + np.sin(angles) * 220], axis=-1)[None].astype(np.float32)
    sure = np.ones((1, len(layout)), dtype=np.float32)
    sure[0, 3] = 0.2
    picture = draw_poses(ground, pixels, sure, layout)
    assert (ground == 128).all()
    for place, joint in enumerate(layout.joints):
        column, row = pixels[0, place].round().astype(int)
        (part,) = (part for part, joints in layout.parts.items() if joint in joints)
        assert picture[row, column].tolist() == (rgb(PART_COLORS[part]) if place != 3 else [128, 128, 128]), joint
    nobody = draw_poses(ground, pixels[:0], sure[:0], layout)
    np.testing.assert_array_equal(nobody, ground)
    np.testing.assert_array_equal(draw_poses(ground, pixels, np.zeros_like(sure), layout), ground)
    draw_poses(ground, pixels * 1e9, sure, layout)  # far outside: nothing breaks


@pytest.mark.parametrize(
    "box", [None, (100, 200, 150, 300), (-50, -40, 60, 100), (600, 5, 700, 900), (0, 0, 639, 479), (1e6, 1e6, 1e6, 1e6)]
)
def test_text_stays_within_the_picture(box: tuple[float, float, float, float] | None) -> None:
    picture = np.full((480, 640, 3), 60, dtype=np.uint8)
    write_lines(picture, ["99% wave one hand", "1% squat"], box)
    rows, columns = np.nonzero((picture != 60).any(axis=2))
    light = (picture.min(axis=2) > 180).sum()
    assert rows.min() >= 0 and rows.max() < 480 and light > 1000 and (picture.max(axis=2) < 50).any()
    if box == (100, 200, 150, 300):
        assert rows.max() < 200 and columns.min() >= 100  # above it
    if box == (-50, -40, 60, 100):
        assert columns.min() >= 60  # beside it
    tiny = np.zeros((20, 30, 3), dtype=np.uint8)
    write_lines(tiny, ["longer than the picture is wide"], box)
    name_parts(tiny)


def test_letters_that_opencv_lacks_are_replaced() -> None:
    assert drawing._to_ascii("Hände öffnen, 挥手") == "Hande offnen, ??"


def test_a_video_and_a_picture_are_drawn(tmp_path: Path) -> None:
    path = film(tmp_path / "walk.mp4", [walker], 20)
    poses = poses_of_video(path, Squares())
    draw_video(path, poses, tmp_path / "drawn.avi")
    frames = list(VideoFile(tmp_path / "drawn.avi"))
    assert len(frames) == 20
    for number in (0, 10, 19):
        column, row = poses.pixels[0, number, 16].round().astype(int)  # the right ankle, drawn last
        foot = np.abs(frames[number].image[row - 1 : row + 2, column - 1 : column + 2].astype(int) - rgb(PART_COLORS["foot"]))
        assert foot.max(axis=2).min() < 80  # as far as so small a video has colors
    for at, number in ((0.8, 10), (99.0, 19), (None, None)):
        draw_video(path, poses, tmp_path / "one.png", at=at)
        image = cv2.imread(str(tmp_path / "one.png"))[..., ::-1]
        if number is not None:
            column, row = poses.pixels[0, number, 16].round().astype(int)  # the right ankle, drawn last
            assert image[row, column].tolist() == rgb(PART_COLORS["foot"])
    with pytest.raises(SettingError):
        draw_video(path, poses, tmp_path / "a.gif")
