"""ONNX files: torch's answers in ONNX Runtime, for any number of clips, people and frames; and files that are refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

import poseglot
from poseglot.errors import DeviceError, FileError, MissingPackageError, PoseglotError, SettingError
from poseglot.files import sha256_of
from poseglot.inference import Predictor, export
from poseglot.inference.export import ExportedRecognizer, export_onnx
from poseglot.models.encoders import ENCODERS
from poseglot.models.recognizer import Recognizer, RecognizerSpec, load_recognizer, new_recognizer, save_recognizer
from poseglot.skeletons.clip import Clip
from poseglot.testing import random_clips, scramble

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def exported(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recognizer of the run, exported."""
    path = tmp_path_factory.mktemp("exported") / "recognizer.onnx"
    file = run_folder / "recognizer.safetensors"
    difference = export_onnx(load_recognizer(file), path, made_from=sha256_of(file), temperature=2.0)
    assert 0 < difference < 1e-4
    return path


def test_the_file_alone_gives_the_predictions_of_the_run(exported: Path, run_folder: Path, clips: Sequence[Clip]) -> None:
    theirs, ours = Predictor(exported), Predictor(run_folder, device="cpu")
    assert (theirs.temperature, theirs.engine, ours.temperature, ours.engine) == (2.0, "onnx", None, "torch")
    theirs.temperature = None
    assert (theirs.spec.classes, theirs.layout) == (ours.spec.classes, ours.layout)
    for mine, other in zip(ours.predict(clips), theirs.predict(clips, batch_size=3), strict=True):
        assert [score.action for score in mine.scores] == [score.action for score in other.scores]
        np.testing.assert_allclose(
            [a.probability for a in mine.scores], [a.probability for a in other.scores], rtol=1e-3, atol=1e-6
        )


def test_a_run_on_a_cpu_without_kernels_takes_the_exported_file_beside_it(
    exported: Path, run_folder: Path, clips: Sequence[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSEGLOT_KERNELS", "off")
    shutil.copytree(run_folder, tmp_path / "run")
    run = tmp_path / "run"
    with pytest.raises(FileError, match=r"recognizer\.onnx"):
        poseglot.load(run, engine="onnx")
    shutil.copy(exported, run / "recognizer.onnx")
    by_torch, by_onnx = poseglot.load(run, device="cpu", engine="torch"), poseglot.load(run, device="cpu")
    assert (by_torch.engine, by_onnx.engine, poseglot.load(run, engine="onnx").engine) == ("torch", "onnx", "onnx")
    assert by_onnx.temperature is None, "the run's calibration counts, and it has none"
    for mine, other in zip(by_torch.predict(clips), by_onnx.predict(clips), strict=True):
        assert mine.action == other.action
        assert mine.scores[0].probability == pytest.approx(other.scores[0].probability, rel=1e-3)
    with pytest.raises(PoseglotError, match='engine="torch"'):
        by_onnx.features(clips)
    with pytest.raises(PoseglotError, match="torch cannot run"):
        poseglot.load(run / "recognizer.onnx", engine="torch")


def test_an_exported_file_of_another_recognizer_is_not_taken(
    exported: Path, build: Callable[..., Recognizer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_recognizer(build(seed=1), tmp_path / "recognizer.safetensors")
    shutil.copy(exported, tmp_path / "recognizer.onnx")
    monkeypatch.setenv("POSEGLOT_KERNELS", "off")
    assert poseglot.load(tmp_path, device="cpu").engine == "torch"
    with pytest.raises(FileError):
        poseglot.load(tmp_path, engine="onnx")


@pytest.mark.parametrize(("count", "frames"), [(1, 52), (7, 33), (2, 1)])
def test_clips_and_frames_are_free_in_number(exported: Path, recognizer: Recognizer, count: int, frames: int) -> None:
    x = random_clips(count, 1, frames, "kinect20")
    with torch.no_grad():
        wanted = recognizer(x)["logits"]
    torch.testing.assert_close(ExportedRecognizer(exported)(x), wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))


def test_the_file_is_well_formed_and_holds_no_heads(exported: Path, recognizer: Recognizer) -> None:
    model = onnx.load(exported)
    onnx.checker.check_model(model, full_check=True)
    assert [given.name for given in model.graph.input] == ["clips"]
    assert [given.name for given in model.graph.output] == ["logits"]
    operations = [node.op_type for node in model.graph.node]
    assert not {"Loop", "If"} & set(operations)
    assert operations.count("BatchNormalization") <= 1, "all but that of the input are folded"
    assert b"site-packages" not in exported.read_bytes() and b".py" not in exported.read_bytes()  # the exporter's notes
    numbers = sum(np.prod(tensor.dims) for tensor in model.graph.initializer)
    assert numbers < sum(p.numel() for p in recognizer.drop_heads().parameters())


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_with_two_people(encoder: str, tmp_path: Path) -> None:
    spec = RecognizerSpec(
        layout="ntu25", classes=("a", "b"), num_persons=2, encoder=encoder, encoder_kwargs={"base_channels": 8}, pipeline="ntu"
    )
    recognizer = new_recognizer(spec, seed=0).eval()
    scramble(recognizer)
    export_onnx(recognizer, tmp_path / "r.onnx")
    made = ExportedRecognizer(tmp_path / "r.onnx")
    for people in (1, 2):
        x = random_clips(3, people, 21, "ntu25")
        with torch.no_grad():
            wanted = recognizer(x)["logits"]
        torch.testing.assert_close(made(x), wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))


def bytes_of_weights(path: Path) -> int:
    return sum(onnx.numpy_helper.to_array(tensor).nbytes for tensor in onnx.load(path).graph.initializer)


@pytest.mark.parametrize("int8", ["dynamic", pytest.param("static", marks=pytest.mark.slow)])
def test_eight_bits_are_smaller_and_near(
    exported: Path,
    recognizer: Recognizer,
    clips: Sequence[Clip],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    int8: export.Int8,
) -> None:
    monkeypatch.setattr(export, "_write", lambda frozen, path, opset: path.write_bytes(exported.read_bytes()))
    x = random_clips(8, 1, 52, "kinect20").clamp(-1, 1)
    export_onnx(recognizer.drop_heads(), tmp_path / "r.onnx", int8=int8, calibration=[x.numpy()])
    rounded = ExportedRecognizer(tmp_path / "r.onnx")
    assert rounded.int8 == int8
    # Of a network as narrow as this one, the nodes of static int8 take more than its weights save.
    assert bytes_of_weights(tmp_path / "r.onnx") < bytes_of_weights(exported)
    with torch.no_grad():
        wanted = recognizer(x)["logits"]
    got = rounded(x)
    assert not torch.equal(got, wanted)
    assert float((got - wanted).abs().mean() / wanted.std()) < 0.5


def test_a_file_that_differs_from_torch_is_not_kept(
    exported: Path, build: Callable[..., Recognizer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_write", lambda frozen, path, opset: path.write_bytes(exported.read_bytes()))
    with pytest.raises(PoseglotError, match="logits differ"):
        export_onnx(build(seed=1), tmp_path / "r.onnx")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_read_is_refused(tmp_path: Path, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileError):
        Predictor(tmp_path / "none.onnx")
    (tmp_path / "short.onnx").write_bytes(exported.read_bytes()[:500])
    with pytest.raises(FileError):
        Predictor(tmp_path / "short.onnx")
    model = onnx.load(exported)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(PoseglotError, match="not a Poseglot recognizer"):
        Predictor(tmp_path / "foreign.onnx")
    with pytest.raises(DeviceError, match="'tpu'"):
        Predictor(exported, device="tpu")
    with pytest.raises(SettingError):
        export_onnx(load_recognizer_of(exported), tmp_path / "r.onnx", int8="static")
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingPackageError):
        Predictor(exported)


def load_recognizer_of(exported: Path) -> Recognizer:
    """One of the same kind, with other weights."""
    return new_recognizer(ExportedRecognizer(exported).spec, seed=0)
