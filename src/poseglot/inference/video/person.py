"""The result of a pose estimator, and the interface of estimators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from poseglot.inference.video.frames import Image
from poseglot.skeletons.clip import Joints
from poseglot.skeletons.layout import Layout

Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Person:
    """A person in a frame.

    Attributes:
        pixels: (V, 2) float32, x right, y down.
        confidence: (V,) float32 from 0 to 1.
        world: (V, 3) float32, metres from the middle of the hips in a depth camera's axes (x to the left of the picture, y up, z away from
            the camera); None for 2D estimators.
    """

    pixels: Joints
    confidence: npt.NDArray[np.float32]
    world: Joints | None = None

    @property
    def box(self) -> Box:
        """Left, top, right and bottom of all joints, in pixels."""
        return box_around(self.pixels)


class PoseEstimator(Protocol):
    """Finds the people in a picture.

    Attributes:
        name: The name in `estimator.ESTIMATORS`.
        layout: The layout of the joints.
        has_world: Whether people have `world`.
    """

    name: str
    layout: Layout
    has_world: bool

    def __call__(self, image: Image) -> list[Person]:
        """Return the people in a picture, in any order."""
        ...

    def restart(self) -> None:
        """Forget earlier frames: another video begins."""
        ...


def box_around(pixels: Joints) -> Box:
    """Return left, top, right and bottom of pixels (V, 2)."""
    (left, top), (right, bottom) = pixels.min(axis=0).tolist(), pixels.max(axis=0).tolist()
    return left, top, right, bottom


def stack_people(people: Sequence[Person], layout: Layout, has_world: bool) -> Joints:
    """Return the people of a frame as one array (D, V, 3 or 6): pixels, world if there is one, confidence."""
    rows = [
        np.concatenate([*([p.pixels] if p.world is None else [p.pixels, p.world]), p.confidence[:, None]], axis=-1)
        for p in people
    ]
    empty = np.zeros((0, len(layout), 6 if has_world else 3), dtype=np.float32)
    return np.stack(rows).astype(np.float32) if rows else empty


def split_channels(rows: Joints) -> tuple[Joints, Joints | None, npt.NDArray[np.float32]]:
    """Return pixels (..., V, 2), world (..., V, 3) or None, and confidence (..., V) of stacked people: undo `stack_people`."""
    return rows[..., :2], rows[..., 2:5] if rows.shape[-1] == 6 else None, rows[..., -1]
