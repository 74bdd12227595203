"""What every pose estimator gives, and which there are.

A pose estimator sees one frame and says who is in it: for each person the joints of a packaged layout, in the picture, with a
confidence, and of some estimators in the world. Another one is a class with these members, and a line in `ESTIMATORS`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from poseglot.errors import PoseglotError
from poseglot.inference.video.frames import Image
from poseglot.skeletons.clip import Joints
from poseglot.skeletons.layout import Layout

AUTO = "auto"


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody in a frame.

    Attributes:
        pixels: (V, 2) float32, x to the right, y down.
        confidence: (V,) float32 from 0 to 1.
        world: (V, 3) float32, metres about the middle of the hips, as a depth camera has its axes (x to the left of the picture, y up, z
            away from the camera); None of estimators that see in 2D only.
    """

    pixels: Joints
    confidence: npt.NDArray[np.float32]
    world: Joints | None = None

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of all joints, in pixels."""
        return box_around(self.pixels)


def box_around(pixels: Joints) -> tuple[float, float, float, float]:
    """(V, 2) pixels -> left, top, right, bottom."""
    (left, top), (right, bottom) = pixels.min(axis=0).tolist(), pixels.max(axis=0).tolist()
    return left, top, right, bottom


class PoseEstimator(Protocol):
    """Who is in a frame.

    Attributes:
        name: in `ESTIMATORS`.
        layout: of the joints.
        has_world: whether people have `world`.
    """

    name: str
    layout: Layout
    has_world: bool

    def __call__(self, image: Image) -> list[Person]:
        """The people in a picture, in any order."""
        ...

    def restart(self) -> None:
        """Another video begins: what was seen before does not count."""
        ...


@dataclass(frozen=True)
class KnownEstimator:
    """An estimator that can be loaded: its package, whether it sees in 3D, and what it is in a line."""

    package: str
    has_world: bool
    described: str
    load: Callable[[Path | None, str | None], PoseEstimator]


def load_estimator(
    name: str = AUTO, *, num_dims: int | None = None, models: Path | None = None, device: str | None = None
) -> PoseEstimator:
    """A pose estimator, ready for frames.

    Args:
        name: one of `ESTIMATORS`, or `auto`: of those whose package is installed mediapipe for 3D, rtmpose for 2D.
        axes: how many coordinates of a joint are wanted, 2 or 3; None does not mind.
        models: the folder of the weights, for rtmpose; by default rtmlib's own.
        device: cpu or cuda, for rtmpose.

    Raises:
        PoseglotError: no such estimator, its package is not installed, its weights are not there and cannot be fetched, or it sees in 2D
            and 3D is wanted.
    """
    if name == AUTO:
        name = _installed(num_dims)
    if name not in ESTIMATORS:
        raise PoseglotError(f"there is no pose estimator {name!r}; accepted are {AUTO}, {', '.join(ESTIMATORS)}.")
    known = ESTIMATORS[name]
    if num_dims == 3 and not known.has_world:
        raise PoseglotError(only_flat(name))
    if not importlib.util.find_spec(known.package):
        raise PoseglotError(
            f"{name} needs the package {known.package!r}, which is not installed. {_how_to_install(known.package)}"
        )
    return known.load(models, device)


def only_flat(name: str) -> str:
    """What to say where joints in 3D are wanted of an estimator that sees in 2D."""
    return (
        f"{name} sees joints in 2D, in pixels, but the recognizer was trained on joints in 3D, and the missing coordinate cannot be made "
        "up. Take --pose mediapipe, which gives 3D joints in metres (docs/video.md says what they are worth), or train on 2D: `poseglot "
        "pose` makes clips of your videos, `poseglot init` a project of the clips."
    )


def _installed(num_dims: int | None) -> str:
    order = ("mediapipe",) if num_dims == 3 else ("rtmpose", "mediapipe")
    for name in order:
        if importlib.util.find_spec(ESTIMATORS[name].package):
            return name
    if num_dims == 3 and importlib.util.find_spec("rtmlib"):
        raise PoseglotError(f"{only_flat('rtmpose')} {_how_to_install('mediapipe')}")
    packages = " ".join(_how_to_install(ESTIMATORS[name].package) for name in order)
    raise PoseglotError(
        f"videos need a pose estimator, and none {'of 3D joints ' if num_dims == 3 else ''}is installed. {packages}"
    )


def _how_to_install(package: str) -> str:
    if package == "mediapipe":
        return "mediapipe wants numpy below 2 and Python below 3.13, so an environment of its own, and there: pip install 'poseglot[video-3d]'."
    return "Install it: pip install 'poseglot[video]'."


def _rtm(models: Path | None, device: str | None, *, variant: str) -> PoseEstimator:
    from poseglot.inference.video.rtmpose import RtmPose

    return RtmPose(variant, folder=models, device=device)


def _blaze(models: Path | None, device: str | None) -> PoseEstimator:
    from poseglot.inference.video.blazepose import BlazePose

    return BlazePose()


ESTIMATORS: Mapping[str, KnownEstimator] = {
    "rtmpose": KnownEstimator("rtmlib", False, "17 joints (coco17), many people, 2D", partial(_rtm, variant="rtmpose")),
    "rtmpose-light": KnownEstimator("rtmlib", False, "the same, smaller and faster", partial(_rtm, variant="rtmpose-light")),
    "rtmpose-halpe26": KnownEstimator("rtmlib", False, "26 joints, with feet", partial(_rtm, variant="rtmpose-halpe26")),
    "mediapipe": KnownEstimator("mediapipe", True, "33 joints (mediapipe33), one person, 2D and 3D", _blaze),
}


def stacked(people: Sequence[Person], layout: Layout, has_world: bool) -> Joints:
    """People of a frame as one array (D, V, 3 or 6): pixels, world if there is one, confidence. `taken_apart` is the way back."""
    rows = [
        np.concatenate([*([p.pixels] if p.world is None else [p.pixels, p.world]), p.confidence[:, None]], axis=-1)
        for p in people
    ]
    empty = np.zeros((0, len(layout), 6 if has_world else 3), dtype=np.float32)
    return np.stack(rows).astype(np.float32) if rows else empty


def taken_apart(rows: Joints) -> tuple[Joints, Joints | None, npt.NDArray[np.float32]]:
    """(..., V, 3 or 6) -> pixels (..., V, 2), world (..., V, 3) if there is one, confidence (..., V)."""
    return rows[..., :2], rows[..., 2:5] if rows.shape[-1] == 6 else None, rows[..., -1]
