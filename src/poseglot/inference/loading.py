"""Find and load a recognizer: the file of a run, the device it runs on, and its ONNX export if that is to be used."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal

import torch

from poseglot.errors import DeviceError, FileError, NotFoundError, SettingError
from poseglot.files import sha256_of
from poseglot.inference.export import EXPORTED_FILE, ExportedRecognizer
from poseglot.models.pretrained import RECOGNIZER_FILE, recognizer_file
from poseglot.models.recognizer import Recognizer, load_recognizer

Engine = Literal["auto", "torch", "onnx"]
ENGINES: tuple[Engine, ...] = ("auto", "torch", "onnx")


def load_on_device(path: str | Path, device: str | None) -> Recognizer:
    """Load the recognizer of a run folder, a file or a name onto a device, by default a GPU if there is one.

    Raises:
        FileError: There is no recognizer, or it is damaged.
        NotFoundError: There is no packaged recognizer of this name.
        DeviceError: The device is not available.
    """
    recognizer = load_recognizer(recognizer_file(path))
    try:
        return recognizer.to(torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))
    except (RuntimeError, AssertionError) as error:  # torch: unknown kind of device, or none available
        reason = str(error).splitlines()[0].split("Expected one of")[0].rstrip(". ")
        raise DeviceError(f"cannot run on device {device!r}: {reason}. Try cpu.") from error


def check_engine(engine: str, path: Path) -> None:
    """Refuse an unknown engine, and torch for an ONNX file.

    Raises:
        SettingError: The engine is unknown or cannot run the file.
    """
    if engine not in ENGINES:
        raise NotFoundError(engine, ENGINES, kind="engine")
    if engine == "torch" and path.suffix == ".onnx":
        raise SettingError(f"torch cannot run {path}; give the run's folder, or its {RECOGNIZER_FILE}.")


def find_export(path: Path, device: str | None, engine: str) -> ExportedRecognizer | None:
    """Return the exported recognizer to run, or None if torch is to run.

    With `auto`, an export beside the recognizer is taken only on a CPU, if ONNX Runtime is installed and the file is neither quantized
    nor stale nor raw. A GPU is served better by torch.

    Raises:
        FileError: `onnx` was asked for, and there is no export, it was made from another recognizer, or it is raw.
    """
    if path.suffix == ".onnx":
        return ExportedRecognizer(path, device=device)
    file = recognizer_file(path)
    beside = file.with_name(EXPORTED_FILE)
    required = engine == "onnx"
    if required and not beside.exists():
        raise FileError(f"there is no {beside}; `poseglot export {path}` writes it.")
    if not required:
        on_cpu = device == "cpu" or (device is None and not torch.cuda.is_available())
        if not (on_cpu and beside.exists() and importlib.util.find_spec("onnxruntime")):
            return None
    exported = ExportedRecognizer(beside, device=device)
    if exported.raw is not None:
        if required:
            raise FileError(f"{beside} takes raw joints; give its own path, or export again without --raw.")
        return None
    if exported.made_from == sha256_of(file) and (required or exported.int8 == "none"):
        return exported
    if required:
        raise FileError(f"{beside} was made from another recognizer than {file} is now; delete it and export again.")
    return None
