"""Poseglot: skeleton-based action recognition that learns from language (GAP, ICCV 2023, and beyond).

A skeleton clip goes in, an action comes out. In training, descriptions of every action guide the features of each body part. At test
time only the skeleton encoder runs. Importing this package loads nothing heavy; each name below loads its module when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from poseglot.data.dataset import ClipDataset
    from poseglot.data.store import PackedStore, open_store
    from poseglot.inference import Predictor
    from poseglot.models.encoders.registry import create_encoder, list_encoders
    from poseglot.models.pretrained import list_recognizers
    from poseglot.models.recognizer import Recognizer
    from poseglot.training.engine import train
    from poseglot.training.evaluate import Evaluation, evaluate
    from poseglot.training.run import Run, open_run

__version__ = "0.1.0"
__all__ = [
    "ClipDataset",
    "Evaluation",
    "PackedStore",
    "Recognizer",
    "Run",
    "create_encoder",
    "evaluate",
    "list_encoders",
    "list_recognizers",
    "load",
    "open_run",
    "open_store",
    "train",
]

# name -> module
_LAZY = {
    "ClipDataset": "poseglot.data.dataset",
    "Evaluation": "poseglot.training.evaluate",
    "PackedStore": "poseglot.data.store",
    "Recognizer": "poseglot.models.recognizer",
    "Run": "poseglot.training.run",
    "create_encoder": "poseglot.models.encoders",
    "evaluate": "poseglot.training.evaluate",
    "list_encoders": "poseglot.models.encoders",
    "list_recognizers": "poseglot.models.pretrained",
    "open_run": "poseglot.training.run",
    "open_store": "poseglot.data.store",
    "train": "poseglot.training.engine",
}
_ROOMS = (
    "data", "descriptions", "evaluation", "inference", "losses", "models", "report", "skeletons", "studies", "training", "transforms",
)  # fmt: skip


def load(
    path: str | Path,
    *,
    device: str | None = None,
    engine: Literal["auto", "torch", "onnx"] = "auto",
    threshold: float = 0.0,
    reading: Mapping[str, Any] | None = None,
) -> Predictor:
    """Load a trained recognizer, ready for clips: `poseglot.load("nw-ucla").predict("clips/")`.

    Args:
        path: The name of a packaged recognizer (`poseglot.list_recognizers`), a run's folder, a recognizer's .safetensors file, an .onnx
            file, or `hf-hub:ORGANISATION/NAME`, a repository of the Hugging Face Hub.
        device: cpu, cuda, ...; by default a GPU if there is one.
        engine: `torch`, `onnx` (ONNX Runtime), or `auto`; see `poseglot.inference.Predictor`.
        threshold: A clip whose best action is less probable is `unknown`.
        reading: How files are read where it differs from training, such as {"scale": 0.001}; see `poseglot.inference.Predictor`.

    Raises:
        FileError: There is no recognizer, or it is damaged.
        NotFoundError: There is no packaged recognizer of this name.
        SettingError: The engine or the threshold is not acceptable.
        DeviceError: There is no such device.
    """
    from poseglot.inference import Predictor

    return Predictor(path, device=device, engine=engine, threshold=threshold, reading=reading)


def __getattr__(name: str) -> Any:
    """Import a public name, or a room such as `poseglot.transforms`, when it is first used."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})
