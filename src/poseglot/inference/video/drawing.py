"""Skeletons and text on a picture; body parts have the colors of the report and the web page."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from poseglot.colors import PART_COLORS
from poseglot.data.readers.poses import Poses
from poseglot.errors import SettingError
from poseglot.inference.video.frames import CODECS, Image, VideoFile, VideoWriter, opencv, resample_fps, write_picture
from poseglot.skeletons.clip import MIN_SCORE, Joints
from poseglot.skeletons.layout import Layout

PICTURES = (".png", ".jpg")
_LETTER = 22  # the height of OpenCV's letters at scale 1, in pixels
_INK = (20, 20, 20)


def draw_poses(image: Image, pixels: Joints, confidence: Joints, layout: Layout) -> Image:
    """Return a copy of a picture with the people drawn in; joints of low confidence and their bones are left out.

    Args:
        image: (H, W, 3).
        pixels: (M, V, 2), zero where a person is absent.
        confidence: (M, V).
        layout: The layout of the joints.
    """
    cv2 = opencv()
    picture = image.copy()
    colors = [_rgb(PART_COLORS[part]) for joint in layout.joints for part in layout.parts if joint in layout.parts[part]]
    width = max(2, round(min(image.shape[:2]) / 240))
    for joints, scores in zip(pixels, confidence, strict=True):
        shown = scores >= MIN_SCORE
        points = np.clip(joints, -(2**14), 2**14).round().astype(int).tolist()
        for child, parent in layout.bone_pairs:
            if shown[child] and shown[parent]:
                cv2.line(picture, points[parent], points[child], (255, 255, 255), width + 2, cv2.LINE_AA)
                cv2.line(picture, points[parent], points[child], colors[child], width, cv2.LINE_AA)
        for joint in np.flatnonzero(shown):
            cv2.circle(picture, points[joint], width + 1, (255, 255, 255), -1, cv2.LINE_AA)
            cv2.circle(picture, points[joint], width, colors[joint], -1, cv2.LINE_AA)
    return picture


def write_lines(picture: Image, lines: Sequence[str], box: tuple[float, float, float, float] | None = None) -> None:
    """Write lines of text into a picture: in the corner, or above a box, or beside it if there is no room."""
    cv2 = opencv()
    scale = max(0.5, min(picture.shape[:2]) / 900)
    line_height = round(_LETTER * scale * 1.5)
    pad = line_height // 4
    shown = [_to_ascii(line) for line in lines]
    width = 2 * pad + max(cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0] for line in shown)
    height = 2 * pad + line_height * len(shown)
    left, top = float(pad), float(pad)
    if box is not None:
        left, top = box[0], box[1] - height - 2 * pad
        if top < 0:
            left, top = box[2] + 2 * pad, box[1]
    x, y = (
        round(min(max(at, 0), max(0, limit - size)))
        for at, size, limit in ((left, width, picture.shape[1]), (top, height, picture.shape[0]))
    )
    ground = picture[y : y + height, x : x + width]
    ground[:] = (0.25 * ground + 0.75 * 255).astype(np.uint8)
    for number, line in enumerate(shown, start=1):
        foot = (x + pad, y + pad + number * line_height - line_height // 3)
        cv2.putText(picture, line, foot, cv2.FONT_HERSHEY_SIMPLEX, scale, _INK, max(1, round(1.6 * scale)), cv2.LINE_AA)


def name_parts(picture: Image) -> None:
    """Write the names of the parts in their colors along the lower edge of a picture."""
    cv2 = opencv()
    scale = max(0.45, min(picture.shape[:2]) / 1200)
    height = round(_LETTER * scale * 1.5)
    ground = picture[-height - height // 2 :]
    ground[:] = (0.25 * ground + 0.75 * 255).astype(np.uint8)
    left, foot = height // 2, picture.shape[0] - height // 2
    for part, color in PART_COLORS.items():
        cv2.circle(picture, (left + height // 4, foot - height // 4), height // 4, _rgb(color), -1, cv2.LINE_AA)
        left += round(0.8 * height)
        cv2.putText(picture, part, (left, foot), cv2.FONT_HERSHEY_SIMPLEX, scale, _INK, max(1, round(1.6 * scale)), cv2.LINE_AA)
        left += cv2.getTextSize(part, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0] + height


def draw_video(video: str | PathLike[str], poses: Poses, out: str | PathLike[str], *, at: float | None = None) -> None:
    """Draw poses on their video and write a video (`CODECS`) or one picture (.png, .jpg).

    Args:
        video: The video.
        poses: Its poses.
        out: The file to write.
        at: The time of the picture, in seconds; by default that of the highest total confidence.

    Raises:
        SettingError: The file has another ending.
        FileError: The video cannot be read, or the file cannot be written.
    """
    out = Path(out)
    check_drawing_name(out)
    frames = enumerate(resample_fps(VideoFile(video), poses.fps))
    last = poses.pixels.shape[1] - 1
    if out.suffix.lower() in CODECS:
        with VideoWriter(out, poses.fps) as writer:
            for number, frame in frames:
                writer.show(_drawn(frame.image, poses, min(number, last)), frame.time)
        return
    wanted = int(poses.confidence.sum(axis=(0, 2)).argmax()) if at is None else min(max(0, round(at * poses.fps)), last)
    image = next(frame.image for number, frame in frames if number == wanted)
    write_picture(_drawn(image, poses, wanted), out)


def check_drawing_name(out: str | PathLike[str]) -> None:
    """Check that `draw_video` can write under this name.

    Raises:
        SettingError: It has another ending.
    """
    ending = Path(out).suffix.lower()
    if ending not in (*CODECS, *PICTURES):
        raise SettingError(
            f"{out}: accepted are videos ({', '.join(CODECS)}) and pictures ({', '.join(PICTURES)}), not {ending}."
        )


def _drawn(image: Image, poses: Poses, frame: int) -> Image:
    picture = draw_poses(image, poses.pixels[:, frame], poses.confidence[:, frame], poses.layout)
    name_parts(picture)
    return picture


def _rgb(color: str) -> tuple[int, int, int]:
    red, green, blue = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return red, green, blue


def _to_ascii(text: str) -> str:
    """Return text in OpenCV's letters, which are ASCII: accents are dropped, other letters become question marks."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return plain.encode("ascii", "replace").decode()
