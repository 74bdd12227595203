"""ONNX export of recognizers, and inference with the exported files in ONNX Runtime.

The fused form is exported: input `clips` (N, M, T, V, C), output `logits` (N, classes), with a free number of clips, people and frames. A
*raw* file has the preparation inside: input `joints`, as a sensor gives them, outputs `logits` and `probabilities`. The metadata key
`poseglot` holds the spec (classes, layout, pipeline, ...), so that the file alone is enough to predict. A file is written only if it
reproduces torch's answers.
"""

from __future__ import annotations

import importlib
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from poseglot.errors import DeviceError, FileError, MissingPackageError, PoseglotError, SettingError
from poseglot.files import write_atomically
from poseglot.inference.raw import RawInput, RawRecognizer, checked_clips, expected_logits, pad_clips
from poseglot.models.fuse import FusedRecognizer, fuse
from poseglot.models.recognizer import Recognizer, described, spec_of
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import Layout, load_layout

Int8 = Literal["none", "dynamic", "static"]
OPSET = 18
EXPORTED_FILE = "recognizer.onnx"  # the default name, beside the recognizer
RAW_FILE = "recognizer-raw.onnx"  # likewise of a raw file
# The largest accepted difference from torch's logits, relative to the largest logit, and from its probabilities: float32 in another order
# of summation.
MAX_DIFFERENCE = 1e-4
_FRAMES = 52  # of the traced example; any number would do


def export_onnx(
    recognizer: Recognizer,
    path: str | PathLike[str],
    *,
    opset: int = OPSET,
    int8: Int8 = "none",
    calibration: Sequence[npt.NDArray[np.float32]] = (),
    made_from: str = "",
    temperature: float | None = None,
) -> float:
    """Write a recognizer as an ONNX file, if ONNX Runtime reproduces torch's logits with it.

    Args:
        recognizer: The recognizer, in single precision.
        path: The file to write.
        opset: The ONNX opset version.
        int8: `dynamic` quantizes the weights and finds the scales of activations at run time; `static` takes them from `calibration`. The
            comparison with torch precedes quantization, whose effect on accuracy must be measured.
        calibration: Batches of evaluation inputs (N, M, T, V, C) of the training set.
        made_from: The SHA-256 of the recognizer's file; tells whether an export beside it is up to date.
        temperature: The temperature of the run, if it was calibrated. It is stored; the logits are not divided by it.

    Returns:
        The largest difference from torch's logits, relative to the largest logit, before quantization.

    Raises:
        MissingPackageError: onnx, onnxscript or onnxruntime is not installed.
        SettingError: `static` without calibration.
        PoseglotError: The exporter failed, or the logits differ.
    """
    if int8 == "static" and not len(calibration):
        raise SettingError("static int8 needs clips for calibration, and none were given; name a store, or take dynamic.")
    fused = fuse(recognizer.float().cpu())
    with tempfile.TemporaryDirectory(prefix="poseglot-export-") as folder:
        made = Path(folder) / "recognizer.onnx"
        _write(fused, made, opset)
        difference = _compare(fused, made)
        if int8 != "none":
            made = _quantize(made, int8, calibration)
        _finish(made, path, fused, {"int8": int8, "made_from": made_from, "temperature": temperature})
    return difference


def export_raw_onnx(
    recognizer: Recognizer,
    path: str | PathLike[str],
    *,
    layout: str | Layout | None = None,
    num_dims: int | None = None,
    has_scores: bool | None = None,
    opset: int = OPSET,
    made_from: str = "",
    temperature: float | None = None,
    clips: Sequence[Clip] = (),
) -> float:
    """Write a recognizer with its preparation as an ONNX file: input `joints` (N, M, T, V, C), outputs `logits` and `probabilities`.

    Joints are as `Predictor.predict` takes them in an array: not centred, scaled or sampled. Frames and people who are absent are zero.

    Args:
        recognizer: The recognizer, in single precision.
        path: The file to write.
        layout, num_dims, has_scores: Of the joints; see `RawRecognizer`.
        opset: The ONNX opset version.
        made_from: The SHA-256 of the recognizer's file.
        temperature: The temperature of the run, by which the logits are divided for the probabilities.
        clips: Clips of that layout to compare, besides the random ones.

    Returns:
        The largest difference from the probabilities that torch gives for clips prepared as `Predictor` prepares them.

    Raises:
        MissingPackageError: onnx, onnxscript or onnxruntime is not installed.
        InputError, SettingError: As `RawRecognizer`.
        PoseglotError: The exporter failed, or the probabilities differ.
    """
    fused = fuse(recognizer.float().cpu())
    module = RawRecognizer(fused, layout=layout, num_dims=num_dims, has_scores=has_scores, temperature=temperature).eval()
    with tempfile.TemporaryDirectory(prefix="poseglot-export-") as folder:
        made = Path(folder) / "recognizer.onnx"
        _write(module, made, opset)
        difference = _compare_raw(module, made, [*checked_clips(module.input, fused.spec.num_persons), *clips])
        table = {"int8": "none", "made_from": made_from, "temperature": temperature, "raw": module.input.table()}
        _finish(made, path, fused, table)
    return difference


def _finish(made: Path, path: str | PathLike[str], fused: FusedRecognizer, table: dict[str, Any]) -> None:
    """Write the made file to its place, with metadata and without the exporter's notes."""
    onnx = _package("onnx")
    model = onnx.load(made)
    _strip_notes(model)
    onnx.helper.set_model_props(model, {"poseglot": json.dumps({**described(fused.spec, fused.layout), **table})})
    write_atomically(Path(path), model.SerializeToString())


def _strip_notes(model: Any) -> None:
    """Remove the exporter's notes, which hold source lines and local paths."""
    graph = model.graph
    for each in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        each.ClearField("doc_string")
        each.ClearField("metadata_props")


class ExportedRecognizer:
    """An exported recognizer in ONNX Runtime: inputs (N, M, T, V, C) -> logits (N, classes), tensors on the CPU.

    The inputs of a raw file are joints, not prepared.

    Args:
        path: The .onnx file.
        device: None or `cpu`, or `cuda` if ONNX Runtime supports it here.

    Attributes:
        spec, layout: The recognizer's.
        int8, made_from, temperature: As given to `export_onnx`.
        raw: What the joints of a raw file are; None of a file that takes prepared clips.

    Raises:
        MissingPackageError: onnxruntime is not installed.
        DeviceError: ONNX Runtime cannot run on the device.
        FileError: The file is missing, or `poseglot export` did not write it.
    """

    def __init__(self, path: str | PathLike[str], *, device: str | None = None) -> None:
        path = Path(path)
        if not path.exists():
            raise FileError(f"{path} does not exist; `poseglot export` writes such files.")
        runtime = _package("onnxruntime")
        provider = {None: "CPUExecutionProvider", "cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}.get(device)
        if provider not in runtime.get_available_providers():
            raise DeviceError(f"ONNX Runtime cannot run on device {device!r} here. Try cpu.")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=[provider])
            table = json.loads(self._session.get_modelmeta().custom_metadata_map.get("poseglot", "{}"))
        except Exception as error:  # ONNX Runtime's errors share no base class
            raise FileError(f"ONNX Runtime cannot read {path}: {str(error).splitlines()[0]}") from error
        self.int8 = str(table.pop("int8", "none"))
        self.made_from = str(table.pop("made_from", ""))
        temperature = table.pop("temperature", None)
        self.temperature = None if temperature is None else float(temperature)
        raw = table.pop("raw", None)
        self.spec = spec_of(table, path)
        self.layout = load_layout(self.spec.layout)
        try:
            self.raw = None if raw is None else RawInput.of(raw)
        except (TypeError, ValueError, KeyError, PoseglotError) as error:
            raise FileError(f"{path} does not say what its joints are ({error}). Export it again.") from error

    def __call__(self, x: Tensor) -> Tensor:
        (logits,) = self._session.run(["logits"], {"clips" if self.raw is None else "joints": x.float().numpy()})
        return torch.from_numpy(logits)


def _write(module: FusedRecognizer | RawRecognizer, path: Path, opset: int) -> None:
    _package("onnx")
    _package("onnxscript")
    if isinstance(module, RawRecognizer):
        spec, layout, channels = module.fused.spec, module.input.layout, module.input.channels
        names = (["joints"], ["logits", "probabilities"])
    else:
        spec, layout, channels = module.spec, module.layout, module.spec.channels
        names = (["clips"], ["logits"])
    example = torch.zeros(2, spec.num_persons, _FRAMES, len(layout), channels)
    free: dict[int, Any] = {0: torch.export.Dim("count"), 2: torch.export.Dim("frames")}
    if spec.num_persons > 1:
        free[1] = torch.export.Dim("people", max=spec.num_persons)
    try:
        with _quiet():
            program = torch.onnx.export(
                module, (example,), dynamo=True, dynamic_shapes=(free,), input_names=names[0], output_names=names[1],
                opset_version=opset, verbose=False,
            )  # fmt: skip
        assert program is not None
        program.save(str(path))
    except Exception as error:  # the exporter's errors share no base class and have many lines
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise PoseglotError(f"torch could not export this recognizer (opset {opset}): {lines[0]}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which warns about packages that are not needed here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _compare(fused: FusedRecognizer, path: Path) -> float:
    """Return the largest difference from torch over batches of several shapes, relative to the largest logit.

    Raises:
        PoseglotError: It is above `MAX_DIFFERENCE`.
    """
    session = _package("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    errors = []
    persons = fused.spec.num_persons
    for shape in [(1, 1, _FRAMES), (1, persons, 64), (3, persons, 31), (2, 1, 1)]:
        x = torch.randn(*shape, len(fused.layout), fused.spec.channels, generator=generator)
        with torch.no_grad():
            expected = fused(x)
        logits = torch.from_numpy(session.run(["logits"], {"clips": x.numpy()})[0])
        errors.append((logits - expected).abs().max() / expected.abs().max().clamp_min(1e-30))
    worst = float(torch.stack(errors).max())  # NaN if any is
    if not worst <= MAX_DIFFERENCE:
        raise PoseglotError(
            f"nothing was written: the exported logits differ from torch's by {worst:.1e} of the largest; accepted is {MAX_DIFFERENCE:.0e}."
        )
    return worst


def _compare_raw(module: RawRecognizer, path: Path, clips: Sequence[Clip]) -> float:
    """Return the largest difference from the probabilities of clips that are prepared as everywhere else, one by one and as a batch.

    Raises:
        PoseglotError: It is above `MAX_DIFFERENCE`.
    """
    session = _package("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    probabilities, errors = [], []
    for clip in clips:
        logits = expected_logits(module.fused, module.input, clip)
        probabilities.append((logits / module.temperature).softmax(dim=0))
        scores, made = session.run(["logits", "probabilities"], {"joints": clip.joints[None]})
        errors.append((torch.from_numpy(scores)[0] - logits).abs().max() / logits.abs().max().clamp_min(1e-30))
        errors.append((torch.from_numpy(made)[0] - probabilities[-1]).abs().max())
    made = session.run(["probabilities"], {"joints": pad_clips([clip.joints for clip in clips])})[0]
    errors.append((torch.from_numpy(made) - torch.stack(probabilities)).abs().max())
    worst = float(torch.stack(errors).max())
    if not worst <= MAX_DIFFERENCE:
        raise PoseglotError(
            f"nothing was written: the exported probabilities differ from torch's by {worst:.1e}; accepted is {MAX_DIFFERENCE:.0e}."
        )
    return worst


def _quantize(path: Path, int8: Int8, calibration: Sequence[npt.NDArray[np.float32]]) -> Path:
    """Write the quantized file beside the given one and return its path."""
    quantization = _package("onnxruntime.quantization")
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        prepared, quantized = path.with_name("prepared.onnx"), path.with_name("quantized.onnx")
        importlib.import_module("onnxruntime.quantization.shape_inference").quant_pre_process(
            str(path), str(prepared), skip_symbolic_shape=True
        )
        if int8 == "dynamic":
            # Unsigned: ONNX Runtime has no CPU convolutions with signed dynamic weights.
            quantization.quantize_dynamic(
                str(prepared), str(quantized), op_types_to_quantize=["Conv", "Gemm"], weight_type=quantization.QuantType.QUInt8
            )
        else:
            quantization.quantize_static(
                str(prepared), str(quantized), _Calibration(calibration), quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=["Conv"], per_channel=True, activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                reduce_range=True,  # 7-bit weights: two 8-bit products overflow on CPUs that accumulate in 16 bits
            )  # fmt: skip
    finally:
        logger.setLevel(level)
    return quantized


class _Calibration:
    """Calibration batches in the form that ONNX Runtime reads."""

    def __init__(self, batches: Sequence[npt.NDArray[np.float32]]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"clips": batch}


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingPackageError(
            f"ONNX files need the package {error.name!r}, which is not installed: pip install 'poseglot[export]'."
        ) from error
