"""Recognizers as ONNX files, for ONNX Runtime and whatever else reads them; and such files as recognizers.

The frozen form is exported: clips (N, M, T, V, C) named `clips` in, logits (N, classes) named `logits` out; the number of clips, people and
frames is free. The file's metadata holds, under `poseglot`, what the recognizer says of itself (classes, layout, how clips are to be
prepared), so that the file alone is enough to predict. Nothing is kept that was not compared with torch before.
"""

from __future__ import annotations

import importlib
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from poseglot.errors import PoseglotError
from poseglot.files import write_atomically
from poseglot.models.fuse import FusedRecognizer, fuse
from poseglot.models.recognizer import Recognizer, described, spec_of
from poseglot.skeletons.layout import load_layout

Int8 = Literal["none", "dynamic", "static"]
OPSET = 18
# How far logits may be from torch's, as a share of the largest: single precision, added up in another order.
BOUND = 1e-4
_FRAMES = 52  # of the example that is traced; any number would do


def export_onnx(
    recognizer: Recognizer,
    path: Path,
    *,
    opset: int = OPSET,
    int8: Int8 = "none",
    calibration: Sequence[npt.NDArray[np.float32]] = (),
    made_from: str = "",
    temperature: float | None = None,
) -> float:
    """Write a recognizer as an ONNX file, if ONNX Runtime gives torch's answers with it.

    Args:
        recognizer: in single precision.
        path: of the file.
        opset: ONNX's version of its operations.
        int8: `dynamic` has weights of eight bits and finds the scale of what flows as it runs; `static` has it from the calibration.
            The comparison with torch is made before the weights are rounded; what rounding does to the accuracy must be measured.
        calibration: batches (N, M, T, V, C) of views, of the training set.
        made_from: the SHA-256 of the recognizer's own file, by which a run's folder knows that the file beside it says the same.
        temperature: by which logits are divided to make probabilities, if that is known; the logits are written as they are.

    Returns:
        The largest difference from torch's logits, as a share of the largest logit, before rounding.

    Raises:
        PoseglotError: a package is missing, the exporter failed, the answers differ, or there is nothing to calibrate by.
    """
    onnx = _package("onnx")
    _package("onnxscript")
    if int8 == "static" and not len(calibration):
        raise PoseglotError("static int8 needs clips to calibrate by; none were given. Name a store, or take dynamic.")
    frozen = fuse(recognizer.float().cpu())
    with tempfile.TemporaryDirectory(prefix="poseglot-export-") as folder:
        made = Path(folder) / "recognizer.onnx"
        _write(frozen, made, opset)
        difference = _compare(frozen, made)
        if int8 != "none":
            made = _rounded(made, int8, calibration)
        model = onnx.load(made)
        _forget(model)
        said = {"int8": int8, "made_from": made_from, "temperature": temperature}
        table = json.dumps({**described(frozen.spec, frozen.layout), **said})
        onnx.helper.set_model_props(model, {"poseglot": table})
        write_atomically(path, model.SerializeToString())
    return difference


def _forget(model: Any) -> None:
    """Leave out the exporter's notes: they hold lines of source and paths of this machine."""
    graph = model.graph
    for each in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        each.ClearField("doc_string")
        each.ClearField("metadata_props")


class ExportedRecognizer:
    """An exported recognizer in ONNX Runtime: clips (N, M, T, V, C) -> logits (N, classes), tensors on the CPU.

    Args:
        path: of the .onnx file.
        device: None or `cpu`, or `cuda` if ONNX Runtime was installed with it.

    Attributes:
        spec, layout: of the recognizer.
        int8, made_from, temperature: as they were given to `export_onnx`.

    Raises:
        PoseglotError: no ONNX Runtime here, or not our file.
    """

    def __init__(self, path: Path, *, device: str | None = None) -> None:
        if not path.exists():
            raise PoseglotError(f"{path} does not exist; `poseglot export` writes such files.")
        runtime = _package("onnxruntime")
        provider = {None: "CPUExecutionProvider", "cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}.get(device)
        if provider not in runtime.get_available_providers():
            raise PoseglotError(f"ONNX Runtime cannot run on device {device!r} here. Try cpu.")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=[provider])
            table = json.loads(self._session.get_modelmeta().custom_metadata_map.get("poseglot", "{}"))
        except Exception as error:  # ONNX Runtime's errors have no common class
            raise PoseglotError(f"ONNX Runtime cannot read {path}: {str(error).splitlines()[0]}") from error
        self.int8 = str(table.pop("int8", "none"))
        self.made_from = str(table.pop("made_from", ""))
        temperature = table.pop("temperature", None)
        self.temperature = None if temperature is None else float(temperature)
        self.spec = spec_of(table, path)
        self.layout = load_layout(self.spec.layout)

    def __call__(self, x: Tensor) -> Tensor:
        (logits,) = self._session.run(["logits"], {"clips": x.float().numpy()})
        return torch.from_numpy(logits)


def _write(frozen: FusedRecognizer, path: Path, opset: int) -> None:
    spec = frozen.spec
    example = torch.zeros(2, spec.num_persons, _FRAMES, len(frozen.layout), spec.channels)
    free: dict[int, Any] = {0: torch.export.Dim("count"), 2: torch.export.Dim("frames")}
    if spec.num_persons > 1:
        free[1] = torch.export.Dim("people", max=spec.num_persons)
    try:
        with _quiet():
            program = torch.onnx.export(
                frozen, (example,), dynamo=True, dynamic_shapes=(free,), input_names=["clips"], output_names=["logits"],
                opset_version=opset, verbose=False,
            )  # fmt: skip
        assert program is not None
        program.save(str(path))
    except Exception as error:  # the exporter's errors have no common class, and say much
        said = str(error).strip().splitlines() or ["nothing was said"]
        raise PoseglotError(f"torch could not export this recognizer (opset {opset}): {said[0]}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter speaks of packages that it does not need here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _compare(frozen: FusedRecognizer, path: Path) -> float:
    """The largest difference from torch over batches of all kinds, as a share of the largest logit.

    Raises:
        PoseglotError: it is larger than it should be.
    """
    session = _package("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for count, people, frames in [
        (1, 1, _FRAMES),
        (1, frozen.spec.num_persons, 64),
        (3, frozen.spec.num_persons, 31),
        (2, 1, 1),
    ]:
        x = torch.randn(count, people, frames, len(frozen.layout), frozen.spec.channels, generator=generator)
        with torch.no_grad():
            wanted = frozen(x)
        got = torch.from_numpy(session.run(["logits"], {"clips": x.numpy()})[0])
        worst = max(worst, float((got - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30)))
    if not worst <= BOUND:
        raise PoseglotError(
            f"the exported file was not kept: its logits differ from torch's by {worst:.1e} of the largest, and {BOUND:.0e} is accepted."
        )
    return worst


def _rounded(path: Path, int8: Int8, calibration: Sequence[npt.NDArray[np.float32]]) -> Path:
    """The file with weights of eight bits, beside it."""
    quantization = _package("onnxruntime.quantization")
    quiet = logging.getLogger()
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        prepared, rounded = path.with_name("prepared.onnx"), path.with_name("rounded.onnx")
        importlib.import_module("onnxruntime.quantization.shape_inference").quant_pre_process(
            str(path), str(prepared), skip_symbolic_shape=True
        )
        if int8 == "dynamic":
            # Unsigned: convolutions with signed dynamic weights are missing in ONNX Runtime for CPUs.
            quantization.quantize_dynamic(
                str(prepared), str(rounded), op_types_to_quantize=["Conv", "Gemm"], weight_type=quantization.QuantType.QUInt8
            )
        else:
            quantization.quantize_static(
                str(prepared), str(rounded), _Calibration(calibration), quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=["Conv"], per_channel=True, activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                reduce_range=True,  # seven bits of a weight: two products of eight overflow where a CPU adds them up in sixteen
            )  # fmt: skip
    finally:
        quiet.setLevel(level)
    return rounded


class _Calibration:
    """Batches as ONNX Runtime asks for them."""

    def __init__(self, batches: Sequence[npt.NDArray[np.float32]]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"clips": batch}


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise PoseglotError(
            f"ONNX files need the package {error.name!r}, which is not installed. Install it: pip install 'poseglot[export]'"
        ) from error
