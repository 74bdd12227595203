"""The pose estimators, by name. To add one, write a `person.PoseEstimator` and a line in `ESTIMATORS`."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path

from poseglot.errors import InputError, MissingPackageError, NotFoundError
from poseglot.inference.video.person import PoseEstimator

AUTO = "auto"


@dataclass(frozen=True)
class EstimatorInfo:
    """An estimator that can be loaded: its package, whether it gives 3D joints, a description, and its loader."""

    package: str
    has_world: bool
    description: str
    load: Callable[[Path | None, str | None], PoseEstimator]


def load_estimator(
    name: str = AUTO,
    *,
    num_dims: int | None = None,
    models: str | PathLike[str] | None = None,
    device: str | None = None,
) -> PoseEstimator:
    """Load a pose estimator.

    Args:
        name: One of `ESTIMATORS`, or `auto`: of those that are installed, mediapipe for 3D and rtmpose for 2D.
        num_dims: The number of coordinates that are needed, 2 or 3; None accepts both.
        models: The folder of rtmpose's weights; by default rtmlib's own.
        device: cpu or cuda, for rtmpose.

    Raises:
        NotFoundError: There is no such estimator.
        MissingPackageError: Its package is not installed.
        InputError: It gives 2D joints, and 3D is needed.
        FileError: Its weights are missing and cannot be downloaded.
    """
    if name == AUTO:
        name = _installed(num_dims)
    if name not in ESTIMATORS:
        raise NotFoundError(name, (AUTO, *ESTIMATORS), kind="pose estimator")
    info = ESTIMATORS[name]
    if num_dims == 3 and not info.has_world:
        raise InputError(needs_3d(name))
    if not importlib.util.find_spec(info.package):
        raise MissingPackageError(
            f"{name} needs the package {info.package!r}, which is not installed. {_INSTALL[info.package]}"
        )
    return info.load(None if models is None else Path(models), device)


def needs_3d(name: str) -> str:
    """Return the message for a 2D estimator where 3D joints are needed."""
    return (
        f"{name} gives 2D joints in pixels, but the recognizer was trained on 3D joints. Use --pose mediapipe, which gives 3D joints "
        "in metres (docs/video.md says how good they are), or train on 2D: `poseglot extract-poses` makes clips of videos, `poseglot "
        "init` a project of clips."
    )


def _installed(num_dims: int | None) -> str:
    order = ("mediapipe",) if num_dims == 3 else ("rtmpose", "mediapipe")
    for name in order:
        if importlib.util.find_spec(ESTIMATORS[name].package):
            return name
    if num_dims == 3 and importlib.util.find_spec("rtmlib"):
        raise InputError(f"{needs_3d('rtmpose')} {_INSTALL['mediapipe']}")
    remedies = " ".join(_INSTALL[ESTIMATORS[name].package] for name in order)
    raise MissingPackageError(
        f"videos need a pose estimator, and none {'for 3D joints ' if num_dims == 3 else ''}is installed. {remedies}"
    )


def _rtmpose(models: Path | None, device: str | None, *, variant: str) -> PoseEstimator:
    from poseglot.inference.video.rtmpose import RtmPose

    return RtmPose(variant, folder=models, device=device)


def _blazepose(models: Path | None, device: str | None) -> PoseEstimator:
    from poseglot.inference.video.blazepose import BlazePose

    return BlazePose()


ESTIMATORS: Mapping[str, EstimatorInfo] = {
    "rtmpose": EstimatorInfo("rtmlib", False, "17 joints (coco17), many people, 2D", partial(_rtmpose, variant="rtmpose")),
    "rtmpose-light": EstimatorInfo("rtmlib", False, "the same, smaller and faster", partial(_rtmpose, variant="rtmpose-light")),
    "rtmpose-halpe26": EstimatorInfo("rtmlib", False, "26 joints, with feet", partial(_rtmpose, variant="rtmpose-halpe26")),
    "mediapipe": EstimatorInfo("mediapipe", True, "33 joints (mediapipe33), one person, 2D and 3D", _blazepose),
}
_INSTALL = {
    "rtmlib": "pip install 'poseglot[video]'.",
    "mediapipe": "mediapipe needs numpy below 2 and Python below 3.13: use a separate environment, and pip install 'poseglot[video-3d]'.",
}
