"""A recognizer of the common body takes clips of any layout, in 2D and 3D, in files and arrays; trained on = predicted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from poseglot.data.join import Part, join_stores
from poseglot.data.store import PackedStore
from poseglot.errors import InputError, SettingError
from poseglot.inference.predictor import Predictor
from poseglot.inference.streaming import StreamingRecognizer
from poseglot.models.recognizer import RecognizerSpec, new_recognizer, save_recognizer
from poseglot.skeletons.clip import Clip, Joints
from poseglot.skeletons.common_body import COMMON_BODY
from poseglot.skeletons.layout import load_layout
from poseglot.skeletons.mapping import map_layout
from tests.skeletons.test_common_body import kinect_clip

KINECT, COCO = load_layout("kinect20"), load_layout("coco17")


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    spec = RecognizerSpec(COMMON_BODY, ("a", "b", "c"), encoder_kwargs={"base_channels": 8}, pipeline="body")
    folder = tmp_path_factory.mktemp("body")
    recognizer = new_recognizer(spec, seed=0).eval()
    with torch.no_grad():  # no probability is rounded to 0 or 1
        recognizer.classifier.weight.div_(recognizer(torch.rand(4, 1, 48, 15, 3) * 5)["logits"].std())
    save_recognizer(recognizer, folder / "recognizer.safetensors")
    return Predictor(folder, engine="torch")


def pixels() -> Joints:
    """The Kinect clip as a picture: x to the right, y down, with a score."""
    flat = kinect_clip(30)[..., :2] * np.float32([-200, -200]) + 400
    return np.concatenate([flat, np.full((1, 30, 20, 1), 0.8, dtype=np.float32)], axis=-1).astype(np.float32)


def probabilities(predictor: Predictor, clip: object, layout: str | None = None) -> np.ndarray:
    return predictor.predict_proba([clip], layout=layout)[0]  # type: ignore[list-item]


def test_layout_unit_and_axes_make_no_difference(predictor: Predictor) -> None:
    clip = kinect_clip(30)
    expected = probabilities(predictor, clip, "kinect20")
    for other in (1000 * clip, clip * np.float32([-1, -1, 1])):
        np.testing.assert_allclose(probabilities(predictor, other, "kinect20"), expected, atol=1e-5)
    ntu = map_layout(KINECT, load_layout("ntu25")).apply(clip)
    np.testing.assert_allclose(probabilities(predictor, ntu, "ntu25"), expected, atol=1e-5)


def test_pictures_with_scores_are_taken(predictor: Predictor) -> None:
    scored, plain = pixels(), pixels()[..., :2]
    expected = probabilities(predictor, Clip(plain, "plain"), "kinect20")
    np.testing.assert_allclose(
        probabilities(predictor, Clip(scored, "scored", has_scores=True), "kinect20"), expected, atol=1e-5
    )
    assert np.abs(expected - probabilities(predictor, kinect_clip(30), "kinect20")).max() > 1e-4


def test_files_say_their_layout_or_are_asked_for_it(predictor: Predictor, tmp_path: Path) -> None:
    coco = map_layout(KINECT, load_layout("body25")).apply(pixels(), has_scores=True)
    frames = tmp_path / "video"
    frames.mkdir()
    for number, joints in enumerate(coco[0]):
        people = [{"pose_keypoints_2d": joints.ravel().tolist()}]
        (frames / f"v_{number:012d}_keypoints.json").write_text(json.dumps({"people": people}))
    expected = probabilities(predictor, Clip(coco, "array", has_scores=True), "body25")
    np.testing.assert_allclose(probabilities(predictor, frames), expected, atol=1e-5)
    np.save(tmp_path / "clip.npy", kinect_clip(30))
    expected = probabilities(predictor, kinect_clip(30), "kinect20")
    np.testing.assert_allclose(probabilities(predictor, tmp_path / "clip.npy"), expected, atol=1e-5)  # the only one of 20
    np.save(tmp_path / "many.npy", kinect_clip(30)[:, :, [*range(17)]])
    with pytest.raises(InputError, match="layout"):
        predictor.predict(tmp_path / "many.npy")


def test_missing_joints_are_said(predictor: Predictor) -> None:
    upper = KINECT.select([joint for joint in KINECT.joints if not joint.endswith(("knee", "ankle", "foot"))], name="upper")
    clip = kinect_clip(30)[:, :, [KINECT.index[joint] for joint in upper.joints]]
    (prediction,) = predictor.predict(clip, layout=upper)
    assert prediction.mapping is not None and "4 missing (left_knee" in prediction.mapping.report()


def test_predicted_as_trained(small_store: PackedStore, predictor: Predictor, tmp_path: Path) -> None:
    twin = PackedStore(replace(small_store.info, name="twin"), small_store.clips, small_store.joints)
    joined = join_stores([Part(small_store), Part(twin)], tmp_path / "joined")
    original, stored = small_store[3], joined[3]
    assert stored.name.endswith(f"/{original.name}")
    loaded = predictor._loader.load(original, layout=KINECT)
    np.testing.assert_allclose(loaded.clip.joints, stored.joints, atol=1e-5)
    np.testing.assert_allclose(probabilities(predictor, original, "kinect20"), probabilities(predictor, stored), atol=1e-5)


def test_streams_are_windows(predictor: Predictor) -> None:
    assert StreamingRecognizer(predictor.path).method == "window"
    with pytest.raises(SettingError):
        StreamingRecognizer(predictor.path, method="frame")


def test_it_has_no_dimensions_of_its_own(predictor: Predictor) -> None:
    assert predictor.num_dims is None and torch.is_tensor(next(iter(predictor.inputs(kinect_clip(9), layout="kinect20")))[1])


def test_of_several_people_the_one_who_moves_is_taken(predictor: Predictor) -> None:
    still = 0.5 * np.repeat(kinect_clip(30)[:, :1], 30, axis=1) * np.float32([-1, 1, -1])
    with pytest.warns(UserWarning, match="2 people"):
        made = probabilities(predictor, np.concatenate([still, kinect_clip(30)]), "kinect20")
    np.testing.assert_allclose(made, probabilities(predictor, kinect_clip(30), "kinect20"), atol=1e-6)


def test_an_array_of_a_known_number_of_joints_needs_no_layout(predictor: Predictor) -> None:
    clip = kinect_clip(30)
    np.testing.assert_array_equal(probabilities(predictor, clip), probabilities(predictor, clip, "kinect20"))
    with pytest.raises(InputError, match="ntu25"):
        predictor.predict(clip[:, :, [*range(20), *range(5)]])


@pytest.mark.parametrize("num_dims", [2, 3])
def test_joints_of_another_layout_are_noticed(predictor: Predictor, num_dims: int, tmp_path: Path) -> None:
    """Rows of 60 numbers are also two people of body15 in pictures."""
    clip = kinect_clip(31)
    rows = clip[0, :, :, :num_dims].reshape(31, -1)
    np.savetxt(tmp_path / "rows.txt", rows)
    assert "order" not in predictor.predict(tmp_path / "rows.txt", layout="kinect20")[0].warnings
    assert "order" in predictor.predict(clip[:, :, ::-1, :num_dims], layout="kinect20")[0].warnings
    if num_dims == 3:
        assert "order" in predictor.predict(tmp_path / "rows.txt", layout="body15")[0].warnings


def test_rows_of_unknown_joints_are_asked_for_their_layout(predictor: Predictor, tmp_path: Path) -> None:
    np.savetxt(tmp_path / "rows.txt", kinect_clip(30)[0].reshape(30, -1))
    with pytest.raises(InputError, match="--layout"):
        predictor.predict(tmp_path / "rows.txt")
