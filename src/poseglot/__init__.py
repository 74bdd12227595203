"""Poseglot: skeleton-based action recognition that learns from language (GAP, ICCV 2023, and beyond).

A skeleton clip goes in, an action comes out. While training, descriptions of every action guide the features of each body
part; at test time only the skeleton encoder runs. Importing this package loads nothing heavy: take what you need from
its rooms (`poseglot.skeletons`, `poseglot.descriptions`, `poseglot.models`, `poseglot.training`, `poseglot.inference`, ...).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from poseglot.inference import Predictor

__version__ = "0.1.0"


def load(path: str | Path, **options: Any) -> Predictor:
    """A trained recognizer, ready for clips: `poseglot.load("runs/first").predict("clips/")`.

    Args:
        path: a run's folder, a recognizer's .safetensors file, or an .onnx file.
        options: `device`, `engine`, `unknown_below`: see `poseglot.inference.Predictor`.

    Raises:
        PoseglotError: no recognizer there, or it is damaged.
    """
    from poseglot.inference import Predictor

    return Predictor(path, **options)
