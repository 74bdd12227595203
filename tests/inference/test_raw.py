"""Exported files with their preparation inside: raw joints in, the probabilities of `Predictor.predict_proba` out."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import poseglot
from poseglot.errors import FileError, InputError, NotFoundError, PoseglotError, SettingError
from poseglot.files import sha256_of
from poseglot.inference import Predictor, export
from poseglot.inference.export import ExportedRecognizer, export_raw_onnx
from poseglot.inference.raw import RawInput, RawRecognizer, checked_clips, expected_logits, pad_clips
from poseglot.inference.windows import sliding_windows, window_probabilities
from poseglot.models.recognizer import Recognizer, RecognizerSpec, load_recognizer, new_recognizer, save_recognizer
from poseglot.skeletons.clip import Clip, Joints
from poseglot.skeletons.layout import load_layout

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


class Plain(nn.Module):
    """Stands for a fused recognizer: a weighted sum of every number of its input, so that any difference shows."""

    def __init__(self, spec: RecognizerSpec) -> None:
        super().__init__()
        self.spec, self.layout = spec, load_layout(spec.layout)
        torch.manual_seed(0)
        frames = poseglot.transforms.load_pipeline(spec.pipeline).frames
        self.weight = nn.Parameter(torch.randn(spec.num_persons * frames * len(self.layout) * spec.channels, 4) / 20)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight


def raw_of(pipeline: Any, own: str, people: int, modality: str = "joint", channels: int = 3, **options: Any) -> Any:
    """A recognizer of clips of the layout `own` that takes joints as the options say."""
    has_scores = options.pop("scores", False)
    spec = RecognizerSpec(
        own,
        tuple("abcd"),
        num_persons=people,
        channels=channels,
        pipeline=pipeline,
        modality=modality,
        has_scores=has_scores,
    )
    plain: Any = Plain(spec)
    return RawRecognizer(plain, temperature=2.0, **options).eval()


CASES = [
    ("nw-ucla", "kinect20", 1, "bone", 3, {}),
    ("nw-ucla", "kinect20", 2, "joint", 3, {}),
    ("nw-ucla-scaled", "kinect20", 1, "joint", 3, {"layout": "ntu25"}),
    ("nw-ucla-early", "kinect20", 1, "joint", 3, {}),
    ("ntu", "ntu25", 2, "joint_motion", 3, {}),
    ("metric", "ntu25", 2, "bone_motion", 4, {"scores": True}),
    ("metric", "coco17", 2, "joint", 3, {"scores": True, "layout": "mediapipe33"}),
    ("image", "coco17", 2, "joint", 2, {}),
    ("live", "kinect20", 2, "joint", 4, {"scores": True}),
    ("live-early", "kinect20", 2, "joint", 4, {"scores": True}),
    ("body", "body15", 1, "joint", 3, {}),
    ("body", "body15", 2, "bone", 3, {"layout": "coco17", "num_dims": 2, "has_scores": True}),
]


@pytest.mark.parametrize(("pipeline", "layout", "people", "modality", "channels", "options"), CASES)
def test_prepared_as_everywhere(
    pipeline: str, layout: str, people: int, modality: str, channels: int, options: dict[str, Any]
) -> None:
    raw = raw_of(pipeline, layout, people, modality, channels, **options)
    clips = list(checked_clips(raw.input, people))
    wanted = torch.stack([expected_logits(raw.fused, raw.input, clip) for clip in clips])
    assert float(wanted.std(dim=0).min()) > 1e-3
    for rows in ([raw(torch.from_numpy(clip.joints)[None])[0][0] for clip in clips], raw(batch_of(clips))[0]):
        torch.testing.assert_close(torch.stack(list(rows)), wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.parametrize("case", [CASES[1], CASES[8]], ids=["two people", "the common body"])
def test_more_people_than_it_knows_have_no_answer(case: tuple[Any, ...]) -> None:
    *known, options = case
    raw = raw_of(*known, **options)
    count = raw.fused.spec.num_persons
    joints = torch.randn(
        2, count + 1, 30, len(raw.input.layout), raw.input.channels, generator=torch.Generator().manual_seed(0)
    )
    joints[1, 0] = 0  # the second clip has no more than it takes
    logits, probabilities = raw(joints)
    assert logits[0].isnan().all() and probabilities[0].isnan().all() and probabilities[1].isfinite().all()


def batch_of(clips: Sequence[Clip]) -> Tensor:
    return torch.from_numpy(pad_clips([clip.joints for clip in clips]))


def case_name(case: tuple[Any, ...]) -> str:
    return str(case[0])


@pytest.mark.parametrize(
    "case", [CASES[4], *(pytest.param(CASES[i], marks=pytest.mark.slow) for i in (1, 7, 9))], ids=case_name
)
def test_one_graph_for_all_lengths(case: tuple[Any, ...], tmp_path: Path) -> None:
    *known, options = case
    raw = raw_of(*known, **options)
    export._write(raw, tmp_path / "r.onnx", export.OPSET)
    clips = list(checked_clips(raw.input, raw.fused.spec.num_persons))
    assert {clip.joints.shape[1] for clip in clips} >= {1, 3, 80, 301}
    assert export._compare_raw(raw, tmp_path / "r.onnx", clips) < 1e-5
    nobody = onnxruntime.InferenceSession(str(tmp_path / "r.onnx")).run(None, {"joints": 0 * clips[0].joints[None]})
    assert all(np.isnan(rows).all() for rows in nobody)


def test_a_file_that_answers_otherwise_is_not_written(
    exported: Path, recognizer: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_write", lambda module, path, opset: path.write_bytes(exported.read_bytes()))
    with pytest.raises(PoseglotError, match="nothing was written"):
        export_raw_onnx(recognizer, tmp_path / "r.onnx", temperature=3.0)
    broken = copy.deepcopy(recognizer)
    broken.classifier.bias.data.fill_(torch.nan)  # NaN is no small difference
    with pytest.raises(PoseglotError, match="nothing was written"):
        export_raw_onnx(broken, tmp_path / "r.onnx", temperature=2.0)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_inside_is_refused_by_name() -> None:
    counts_empty = {"name": "mine", "transforms": ["centre", {"resize": {"frames": 16}}]}
    with pytest.raises(SettingError, match="drop-empty-frames"):
        raw_of(counts_empty, "kinect20", 1)
    with pytest.raises(SettingError):
        raw_of("nw-ucla", "kinect20", 1, num_dims=2)
    with pytest.raises(SettingError):
        raw_of("body", "body15", 1, has_scores=True)
    with pytest.raises(NotFoundError):
        raw_of("nw-ucla", "kinect20", 1, layout="nolayout")


@pytest.fixture(scope="module")
def exported(run_folder: Path, clips: Sequence[Clip], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recognizer of the run, exported with its preparation, and compared on synthetic clips, too."""
    path = tmp_path_factory.mktemp("exported") / "raw.onnx"
    file = run_folder / "recognizer.safetensors"
    assert 0 <= export_raw_onnx(load_recognizer(file), path, made_from=sha256_of(file), temperature=2.0, clips=clips) < 1e-4
    return path


def with_gaps(clip: Clip) -> Joints:
    joints = clip.joints.copy()
    joints[:, 2:4] = joints[:, -3:] = 0
    return joints


def test_the_file_gives_the_probabilities_of_the_run(exported: Path, run_folder: Path, clips: Sequence[Clip]) -> None:
    ours, theirs = Predictor(run_folder, device="cpu"), Predictor(exported)
    ours.temperature = 2.0
    assert theirs.temperature == 2.0 and theirs.layout == ours.layout
    given = [*(clip.joints for clip in clips), *map(with_gaps, clips), clips[0].joints[:, :1]]
    wanted = ours.predict_proba(given)
    np.testing.assert_allclose(theirs.predict_proba(given, batch_size=4), wanted, atol=1e-4)
    session = onnxruntime.InferenceSession(str(exported))
    for joints, row in zip(given, wanted, strict=True):
        np.testing.assert_allclose(session.run(["probabilities"], {"joints": joints[None]})[0][0], row, atol=1e-4)
    each = theirs.predict_each(given)
    assert [one.action for one in each] == [one.action for one in ours.predict(given)]  # type: ignore[union-attr]
    windows = sliding_windows(60, 20, 7)
    recording = np.concatenate([clip.joints for clip in clips], axis=1)[:, :60]
    rows = (window_probabilities(one, recording, windows) for one in (ours, theirs))
    np.testing.assert_allclose(*rows, atol=1e-4)


def test_the_file_says_what_it_takes(exported: Path) -> None:
    model = onnx.load(exported)
    onnx.checker.check_model(model, full_check=True)
    assert [each.name for each in model.graph.input] == ["joints"]
    assert [each.name for each in model.graph.output] == ["logits", "probabilities"]
    assert not {"Loop", "If", "Scan"} & {node.op_type for node in model.graph.node}
    assert b"site-packages" not in exported.read_bytes() and b".py" not in exported.read_bytes()
    raw = ExportedRecognizer(exported).raw
    assert raw == RawInput(load_layout("kinect20"), 3, False)


def test_nothing_that_is_prepared_reaches_it(exported: Path, run_folder: Path, tmp_path: Path) -> None:
    """A raw file would take prepared clips for joints and answer wrongly."""
    predictor: Any = Predictor(exported)
    with pytest.raises(SettingError, match="--raw"):
        next(predictor.logits_of(None))
    with pytest.raises(SettingError, match="--raw"):
        predictor.predict(np.ones((5, 20, 3), np.float32), classifier=object())
    save_recognizer(load_recognizer(run_folder / "recognizer.safetensors"), tmp_path / "recognizer.safetensors")
    (tmp_path / "recognizer.onnx").write_bytes(exported.read_bytes())
    assert poseglot.load(tmp_path, device="cpu").engine == "torch"
    with pytest.raises(FileError, match="--raw"):
        poseglot.load(tmp_path, engine="onnx")


@pytest.mark.slow
def test_openvino_runs_it(exported: Path) -> None:
    openvino = pytest.importorskip("openvino")
    session = onnxruntime.InferenceSession(str(exported))
    model = openvino.Core().compile_model(str(exported), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for clip in checked_clips(RawInput(load_layout("kinect20"), 3, False), 1):
        given = {"joints": clip.joints[None]}
        np.testing.assert_allclose(model(given)["probabilities"], session.run(["probabilities"], given)[0], atol=1e-4)


@pytest.mark.slow
def test_of_another_layout(tmp_path: Path) -> None:
    """A recognizer for any layout, exported for a camera's poses in pixels with scores, is one of such poses."""
    spec = RecognizerSpec("body15", ("a", "b", "c"), encoder_kwargs={"base_channels": 8}, pipeline="body")
    recognizer = new_recognizer(spec, seed=0).eval()
    save_recognizer(recognizer, tmp_path / "recognizer.safetensors")
    export_raw_onnx(recognizer, tmp_path / "r.onnx", layout="coco17", num_dims=2, has_scores=True)
    ours, theirs = Predictor(tmp_path, device="cpu"), Predictor(tmp_path / "r.onnx")
    assert theirs.layout.name == "coco17" and theirs.reads_scores and theirs.num_dims == 2
    clips = list(checked_clips(RawInput(load_layout("coco17"), 2, True), 1))
    wanted = ours.predict_proba(clips, layout="coco17")
    np.testing.assert_allclose(theirs.predict_proba(clips), wanted, atol=1e-4)
    with pytest.raises(InputError):
        theirs.predict(replace(clips[0], joints=clips[0].joints[..., :2], has_scores=False))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nw-ucla", "everyday"])
def test_real_clips(name: str, real_store: Path, tmp_path: Path) -> None:
    from poseglot.app.cli import main
    from poseglot.data.store import open_store

    store = open_store(real_store)
    clips = [store[number] for number in range(0, len(store), 150)]
    assert main(["export", name, "--raw", "--layout", "kinect20", "--out", str(tmp_path / "r.onnx")]) == 0
    wanted = poseglot.load(name, device="cpu").predict_proba(clips)
    np.testing.assert_allclose(poseglot.load(tmp_path / "r.onnx").predict_proba(clips), wanted, atol=1e-4)
