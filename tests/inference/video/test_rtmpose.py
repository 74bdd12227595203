"""The road through rtmlib and ONNX Runtime, with tiny models of the real ones' inputs and outputs in place of the weights; and what is said
where weights are missing or wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.errors import FileError, PoseglotError
from poseglot.files import sha256_of
from poseglot.inference.video import rtmpose
from poseglot.inference.video.rtmpose import VARIANTS, RtmPose, Variant, Weights, find_weights, weights_folder

WEIGHTS = Weights("tiny", "0" * 64, (64, 64))


def test_missing_weights_say_where_to_get_them_and_where_to_put_them(tmp_path: Path) -> None:
    weights = VARIANTS["rtmpose"].detector
    with pytest.raises(FileError) as raised:
        find_weights(weights, tmp_path)
    message = str(raised.value)
    assert f"{tmp_path / 'yolox_m_8xb8-300e_humanart-c2c7a14a.onnx'}" in message
    assert (
        "https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/onnx_sdk/yolox_m_8xb8-300e_humanart-c2c7a14a.zip"
        in message
    )
    assert "end2end.onnx" in message and weights.sha256 in message and "--pose mediapipe" in message


def test_a_failed_download_says_the_same_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(rtmpose, "_download", lambda weights: "the download failed: no route to host")
    with pytest.raises(FileError, match=rf"{tmp_path}/hub/checkpoints/tiny\.onnx .*no route"):
        find_weights(WEIGHTS)


def test_other_weights_than_they_should_be_are_not_run(tmp_path: Path) -> None:
    (tmp_path / "tiny.onnx").write_bytes(b"something else")
    with pytest.raises(FileError, match=rf"its SHA-256 is {sha256_of(tmp_path / 'tiny.onnx')}, not 0000.*tiny\.zip again"):
        find_weights(WEIGHTS, tmp_path)


def test_the_folder_is_rtmlibs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights_folder() == tmp_path / "rtmlib" / "hub" / "checkpoints"
    file = pytest.importorskip("rtmlib.tools.file")
    assert Path(file._get_rtmhub_dir()) / "checkpoints" == weights_folder()


def test_every_variant_is_whole_and_on_the_page() -> None:
    page = (Path(__file__).parents[3] / "docs" / "video.md").read_text()
    for variant in VARIANTS.values():
        for weights in (variant.detector, variant.pose):
            assert len(weights.sha256) == 64 and f"`{weights.sha256}`" in page and f"`{weights.name}`" in page


def test_rtmlib_knows_the_same_files() -> None:
    rtmlib = pytest.importorskip("rtmlib")
    for solution, mode, name in (
        (rtmlib.Body, "balanced", "rtmpose"),
        (rtmlib.Body, "lightweight", "rtmpose-light"),
        (rtmlib.BodyWithFeet, "balanced", "rtmpose-halpe26"),
    ):
        known, ours = solution.MODE[mode], VARIANTS[name]
        for kind, weights in (("det", ours.detector), ("pose", ours.pose)):
            assert known[kind] == f"{rtmpose.URL}{weights.name}.zip" and known[f"{kind}_input_size"] == weights.size


def save(
    path: Path, nodes: list[Any], constants: dict[str, Any], inputs: tuple[int, ...], outputs: dict[str, tuple[Any, ...]]
) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, inputs)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    onnx.save(model, path)


def save_detector(path: Path, size: int, boxes: list[tuple[float, ...]]) -> None:
    """As mmdeploy writes YOLOX: boxes and scores (1, N, 5), past suppression - all of them if the picture's mean in the third channel, red
    in OpenCV's order, is above 20, else with scores of zero."""
    from onnx import helper

    nodes = [
        helper.make_node("Slice", ["input", "from", "to", "axis"], ["red"]),
        helper.make_node("ReduceMean", ["red"], ["mean"], keepdims=0),
        helper.make_node("Greater", ["mean", "twenty"], ["bright"]),
        helper.make_node("Where", ["bright", "boxes", "nobody"], ["dets"]),
    ]
    rows = np.array([[*box, 0.9] for box in boxes], dtype=np.float32)[None]
    constants = {
        "from": np.array([2]),
        "to": np.array([3]),
        "axis": np.array([1]),
        "twenty": np.array(20, dtype=np.float32),
        "boxes": rows,
        "nobody": rows * np.array([1, 1, 1, 1, 0], dtype=np.float32),
    }
    save(path, nodes, constants, (1, 3, size, size), {"dets": (1, len(boxes), 5)})


def save_pose(path: Path, size: tuple[int, int], places: Any) -> None:
    """As mmdeploy writes RTMPose: for each joint how likely it is at every half pixel of x, and of y; here the same wherever one looks."""
    from onnx import helper

    width, height = size
    x, y = (np.zeros((1, len(places), 2 * side), dtype=np.float32) for side in size)
    for joint, (column, row) in enumerate(places):
        x[0, joint, round(2 * column)] = y[0, joint, round(2 * row)] = 0.5 + joint / 40
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["x", "nothing"], ["simcc_x"]),
        helper.make_node("Add", ["y", "nothing"], ["simcc_y"]),
    ]
    save(path, nodes, {"x": x, "y": y, "zero": np.array(0, dtype=np.float32)}, (1, 3, height, width),
         {"simcc_x": x.shape, "simcc_y": y.shape})  # fmt: skip


@pytest.mark.parametrize("layout", ["coco17", "halpe26"])
def test_pictures_go_through_rtmlib_to_joints(layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rtmlib")
    joints = {"coco17": 17, "halpe26": 26}[layout]
    places = np.random.default_rng(1).integers(5, 43, size=(joints, 2)) * [1, 4 / 3]
    boxes = [(8.0, 8.0, 26.0, 32.0), (30.0, 8.0, 48.0, 32.0)]  # of the picture at half its size
    save_detector(tmp_path / "find.onnx", 64, boxes)
    save_pose(tmp_path / "pose.onnx", (48, 64), places)
    hashes = [sha256_of(tmp_path / f"{name}.onnx") for name in ("find", "pose")]
    variant = Variant(Weights("find", hashes[0], (64, 64)), Weights("pose", hashes[1], (48, 64)), layout)
    monkeypatch.setitem(VARIANTS, "tiny", variant)  # type: ignore[arg-type]
    estimator = RtmPose("tiny", folder=tmp_path)
    assert (estimator.name, estimator.layout.name, estimator.has_world) == ("tiny", layout, False)
    bright = np.zeros((128, 128, 3), dtype=np.uint8)
    bright[..., 0] = 100
    people = estimator(bright)
    assert len(people) == 2
    for person, box in zip(people, boxes, strict=True):
        corners = 2 * np.array(box)
        centre, size = (corners[:2] + corners[2:]) / 2, corners[2:] - corners[:2]
        shown = 1.25 * size  # RTMPose looks at a quarter more than the box, whose sides here are as those of its input, 3 to 4
        expected = centre - shown / 2 + places / [48, 64] * shown
        np.testing.assert_allclose(person.pixels, expected, atol=0.6)
        np.testing.assert_allclose(person.confidence, np.clip(0.5 + np.arange(joints) / 40, 0, 1), atol=1e-6)
        assert person.world is None
    assert estimator(bright[..., ::-1]) == []  # blue: nobody, and not somebody as large as the picture
    assert estimator(np.zeros_like(bright)) == []


def test_a_model_that_cannot_be_run_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rtmlib")
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    weights = Weights("broken", sha256_of(tmp_path / "broken.onnx"), (64, 64))
    monkeypatch.setitem(VARIANTS, "tiny", Variant(weights, weights, "coco17"))  # type: ignore[arg-type]
    with pytest.raises(PoseglotError, match="cannot be run"):
        RtmPose("tiny", folder=tmp_path)


def test_rtmlib_without_network_is_turned_into_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = pytest.importorskip("rtmlib.tools.file")

    def refused(*_: object, **__: object) -> None:
        raise OSError("[Errno 101] Network is unreachable")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(file, "urlopen", refused)
    with pytest.raises(PoseglotError, match=r"\[Errno 101\]"):
        RtmPose("rtmpose")
