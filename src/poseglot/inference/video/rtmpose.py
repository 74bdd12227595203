"""RTMPose (Jiang et al., 2023) behind a YOLOX person detector, by the package rtmlib and ONNX Runtime.

The weights are OpenMMLab's, trained on seven public sets ("body7"), Apache-2.0. rtmlib downloads them. A file is run only if its SHA-256 is
the one below. OpenMMLab publishes no hashes; several independent GitHub projects pin these, all the same (docs/video.md).
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poseglot.errors import FileError
from poseglot.files import sha256_of
from poseglot.inference.video.frames import Image
from poseglot.inference.video.person import Person
from poseglot.skeletons.layout import load_layout

URL = "https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/onnx_sdk/"
# rtmlib's fallback.
MIRROR = "https://huggingface.co/Tau-J/RTMPose/resolve/main/rtmposev1/onnx_sdk/"


@dataclass(frozen=True)
class Weights:
    """A model: file name without ending, SHA-256 of the ONNX file in the zip, input width and height."""

    name: str
    sha256: str
    size: tuple[int, int]


@dataclass(frozen=True)
class Variant:
    """A detector, a pose model and the layout of its joints."""

    detector: Weights
    pose: Weights
    layout: str


_YOLOX_M = Weights(
    "yolox_m_8xb8-300e_humanart-c2c7a14a", "3dea6513388889f0fff4b77bf7a26013600321b9eb9ceb0e9a400a82572f5f23", (640, 640)
)
VARIANTS: Mapping[str, Variant] = {
    "rtmpose": Variant(
        _YOLOX_M,
        Weights(
            "rtmpose-m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504",
            "5c0a4bf67953e6d2ac43ce15e77dc9d5d354ae18430a47d2c5963a7bc5683e3c",
            (192, 256),
        ),
        "coco17",
    ),
    "rtmpose-light": Variant(
        Weights(
            "yolox_tiny_8xb8-300e_humanart-6f3252f9",
            "ceb11c07298f95c50d7c5abeb906d03340c85f23aa79e3e66966e7fb6c307250",
            (416, 416),
        ),
        Weights(
            "rtmpose-s_simcc-body7_pt-body7_420e-256x192-acd4a1ef_20230504",
            "9aeb635b83f86aea45cf45d85798f7eba1a162de8e0d721c44e54fe5eebaf47d",
            (192, 256),
        ),
        "coco17",
    ),
    "rtmpose-halpe26": Variant(
        _YOLOX_M,
        Weights(
            "rtmpose-m_simcc-body7_pt-body7-halpe26_700e-256x192-4d3e73dd_20230605",
            "26f3a19e61304a600dfb82d1001d41d24343b89fc70a33ffc84657e0b0bf2ecf",
            (192, 256),
        ),
        "halpe26",
    ),
}


class RtmPose:
    """RTMPose: a person detector, and a pose model for each box.

    Args:
        variant: One of `VARIANTS`.
        folder: The folder of the weights; by default rtmlib's own (`weights_folder`), into which it downloads them.
        device: cpu or cuda.

    Raises:
        FileError: The weights are missing and cannot be downloaded, are not the expected ones, or cannot be run.
    """

    has_world = False

    def __init__(self, variant: str, *, folder: Path | None = None, device: str | None = None) -> None:
        from rtmlib import YOLOX, RTMPose

        chosen = VARIANTS[variant]
        self.name, self.layout = variant, load_layout(chosen.layout)
        kind = device if device and device.startswith("cuda") else "cpu"
        detector, pose = (find_weights(weights, folder) for weights in (chosen.detector, chosen.pose))
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # rtmlib prints what it loads
                self._detect: Any = YOLOX(
                    str(detector), model_input_size=chosen.detector.size, backend="onnxruntime", device=kind
                )
                self._pose: Any = RTMPose(str(pose), model_input_size=chosen.pose.size, backend="onnxruntime", device=kind)
        except Exception as error:  # ONNX Runtime's and rtmlib's errors share no base class
            raise FileError(f"the weights in {detector.parent} cannot be run: {error}") from error

    def restart(self) -> None:
        """Do nothing: every frame is estimated by itself."""

    def __call__(self, image: Image) -> list[Person]:
        picture = np.ascontiguousarray(image[..., ::-1])  # rtmlib expects BGR
        boxes = self._detect(picture)
        if not len(boxes):  # without boxes rtmlib would estimate the whole picture as one person
            return []
        pixels, scores = self._pose(picture, bboxes=boxes)
        return [
            Person(joints.astype(np.float32), np.clip(confidence, 0, 1).astype(np.float32))
            for joints, confidence in zip(np.asarray(pixels), np.asarray(scores), strict=True)
        ]


def weights_folder() -> Path:
    """Return the folder of rtmlib's downloads."""
    cache = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "rtmlib")
    return Path(cache).expanduser() / "hub" / "checkpoints"


def find_weights(weights: Weights, folder: Path | None = None) -> Path:
    """Return the checked file of a model; rtmlib downloads it if it is missing from rtmlib's own folder.

    Raises:
        FileError: The file is missing and cannot be downloaded, or is not the expected one.
    """
    path = (folder or weights_folder()) / f"{weights.name}.onnx"
    if not path.is_file():
        reason = "nothing is downloaded into a given folder" if folder else _download(weights)
        if not path.is_file():
            raise FileError(
                f"the weights {path} are missing ({reason}). On a machine with network download {URL}{weights.name}.zip (or "
                f"{MIRROR}{weights.name}.zip), unpack it, and save its end2end.onnx under that name. Its SHA-256 must be {weights.sha256}. "
                "`--pose mediapipe` needs no download."
            )
    found = sha256_of(path)
    if found != weights.sha256:
        raise FileError(
            f"{path} is not the expected file: its SHA-256 is {found}, not {weights.sha256}. It is truncated or was changed; delete it and "
            f"download {URL}{weights.name}.zip again."
        )
    return path


def _download(weights: Weights) -> str:
    """Let rtmlib download the weights, and return why the file is missing if it still is."""
    from rtmlib.tools.file import download_checkpoint

    try:
        download_checkpoint(f"{URL}{weights.name}.zip")
    except Exception as error:  # urllib's, zipfile's, the disk's
        return f"the download failed: {error}"
    return "rtmlib downloaded something else"
