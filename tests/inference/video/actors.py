"""Tiny videos in which people are squares, and an estimator that finds the squares: everything but the pose model is real."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poseglot.inference.video.frames import Image
from poseglot.inference.video.person import Person
from poseglot.skeletons.clip import Joints
from poseglot.skeletons.layout import load_layout

WIDTH, HEIGHT, FPS = 160, 120, 12.5
# Left and upper edge of a square at a time in frames; None while it is not there. The first is red, the second green.
Actor = Callable[[int], tuple[float, float] | None]
SIDE = 24


def picture(actors: Sequence[Actor], frame: int) -> Image:
    image: Image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    for color, actor in enumerate(actors):
        if (at := actor(frame)) is not None:
            left, top = map(round, at)
            image[top : top + SIDE, left : left + SIDE, color] = 255
    return image


def write_video(path: Path, images: Sequence[Image], *, fps: float = FPS) -> Path:
    import cv2

    codec = {".mp4": "mp4v", ".avi": "MJPG"}[path.suffix]
    size = (images[0].shape[1], images[0].shape[0])
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), fps, size)  # type: ignore[attr-defined]
    assert writer.isOpened()
    for image in images:
        writer.write(np.ascontiguousarray(image[..., ::-1]))
    writer.release()
    return path


def film(path: Path, actors: Sequence[Actor], frames: int, *, fps: float = FPS) -> Path:
    return write_video(path, [picture(actors, frame) for frame in range(frames)], fps=fps)


def walker(frame: int) -> tuple[float, float]:
    """To the right, bobbing."""
    return 4 + 3.0 * frame, 60 + 10 * np.sin(frame / 2)


def stander(frame: int) -> tuple[float, float]:
    return 120, 10


def shape(layout: str) -> Joints:
    """(V, 2) in [0, 1]: where the joints are in a square."""
    return np.random.default_rng(len(layout)).uniform(size=(len(load_layout(layout)), 2)).astype(np.float32)


class Squares:
    """Who is in a picture: a square a person, red first - or last, every other time. Frames seen are counted."""

    def __init__(self, layout: str = "coco17", *, has_world: bool = False, **_: Any) -> None:
        self.name, self.layout, self.has_world = "squares", load_layout(layout), has_world
        self.seen = self.restarts = 0
        self._shape = shape(layout)

    def restart(self) -> None:
        self.restarts += 1

    def __call__(self, image: Image) -> list[Person]:
        self.seen += 1
        people = []
        for color in (0, 1):
            rows, columns = np.nonzero((image[..., color] > 128) & (image[..., 1 - color] < 128))
            if len(rows) < SIDE * SIDE / 4:
                continue
            corner = np.array([columns.min(), rows.min()], dtype=np.float32)
            pixels = (corner + self._shape * SIDE).astype(np.float32)
            sure = np.linspace(0.5, 1, len(self._shape), dtype=np.float32)
            people.append(Person(pixels, sure, self._world() if self.has_world else None))
        return people[:: -1 if self.seen % 2 else 1]

    def _world(self) -> Joints:
        flat = -(self._shape - self._shape.mean(axis=0)) * 1.8
        return np.concatenate([flat, np.zeros((len(flat), 1))], axis=1).astype(np.float32)
