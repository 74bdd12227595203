"""x, y, confidence of a pose estimator is never taken for x, y, z in silence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poseglot.data.readers import read_any, read_as_trained, read_clip
from poseglot.data.readers.reading import Reading
from poseglot.errors import InputError
from poseglot.inference import Predictor
from poseglot.skeletons.layout import load_layout

COCO = load_layout("coco17")


@pytest.fixture
def fractions(tmp_path: Path) -> Path:
    """A clip in fractions of the picture; the left wrist is not seen."""
    generator = np.random.default_rng(0)
    joints = generator.uniform(0.2, 0.8, (1, 30, 17, 3)).astype(np.float32)
    joints[..., COCO.index["left_wrist"], 2] = 0
    np.save(tmp_path / "clip.npy", joints)
    return tmp_path / "clip.npy"


def test_it_is_refused_until_it_is_said(fractions: Path) -> None:
    for read in (
        lambda **said: read_clip(fractions, "coco17", **said),
        lambda **said: read_any(fractions, Reading(given=said), COCO)[0],
        lambda **said: read_as_trained(fractions, Reading(given=said), load_layout("kinect20"), layout=COCO, has_scores=False)[
            0
        ],
    ):
        with pytest.raises(InputError):
            read()
        assert read(columns=(1, 2, 3)).joints.shape[3] == 3
        assert read(columns=(1, 2)).joints.shape[3] == 2
        read(has_scores=True)


def test_said_scores_are_scores(fractions: Path) -> None:
    clip, layout = read_any(fractions, Reading(given={"has_scores": True}), COCO)
    assert clip.has_scores and layout == COCO
    taken, _ = read_as_trained(fractions, Reading(given={"has_scores": True}), COCO, has_scores=False)
    assert not taken.has_scores and taken.joints.shape[3] == 2
    assert not taken.joints[:, :, COCO.index["left_wrist"]].any()  # unseen
    np.testing.assert_array_equal(taken.joints[:, :, 0], np.load(fractions)[:, :, 0, :2])


@pytest.mark.parametrize(("low", "high"), [(-0.4, 0.4), (0.0, 3.0)])
def test_depths_are_read(tmp_path: Path, low: float, high: float) -> None:
    joints = np.random.default_rng(0).uniform(low, high, (1, 30, 17, 3)).astype(np.float32)
    np.save(tmp_path / "clip.npy", joints)
    assert read_clip(tmp_path / "clip.npy", "coco17").joints.shape[3] == 3


def test_layouts_of_depth_cameras_are_not_asked(tmp_path: Path) -> None:
    np.save(tmp_path / "clip.npy", np.random.default_rng(0).uniform(0, 1, (1, 30, 20, 3)).astype(np.float32))
    assert read_clip(tmp_path / "clip.npy", "kinect20").joints.shape[3] == 3


def test_everyday_does_not_take_a_confidence_for_a_depth(fractions: Path) -> None:
    with pytest.raises(InputError):
        Predictor("everyday", device="cpu").predict(fractions, layout="coco17")
    joints = np.load(fractions)
    joints[..., 2] = 0.5  # equal ones weigh nothing otherwise
    np.save(fractions, joints)
    scored = Predictor("everyday", device="cpu", reading={"has_scores": True}).predict_proba(fractions, layout="coco17")
    flat = Predictor("everyday", device="cpu").predict_proba(joints[..., :2], layout="coco17")
    np.testing.assert_allclose(scored, flat, atol=1e-5)


def test_a_header_that_names_the_axes_has_said_it(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).uniform(0.1, 0.9, (30, 51))
    columns = ",".join(f"{joint}_{axis}" for joint in COCO.joints for axis in "xyz")
    np.savetxt(tmp_path / "clip.csv", rows, delimiter=",", header=columns, comments="")
    assert read_clip(tmp_path / "clip.csv", "coco17").joints.shape[3] == 3
    np.savetxt(tmp_path / "bare.csv", rows, delimiter=",")
    with pytest.raises(InputError):
        read_clip(tmp_path / "bare.csv", "coco17")


@pytest.mark.parametrize("name", ["mediapipe33", "h36m17", "a copy"])
def test_every_layout_of_pictures_is_asked(tmp_path: Path, name: str) -> None:
    layout = replace(COCO, name=name) if name == "a copy" else load_layout(name)
    joints = np.random.default_rng(0).uniform(0.1, 1.1, (1, 30, len(layout), 3)).astype(np.float32)  # RTMPose's go beyond 1
    np.save(tmp_path / "clip.npy", joints)
    with pytest.raises(InputError):
        read_any(tmp_path / "clip.npy", Reading(), layout)


def test_arrays_of_which_nothing_is_said_are_warned_of(fractions: Path) -> None:
    predictor, joints = Predictor("everyday", device="cpu"), np.load(fractions)
    assert "scores" in predictor.predict(joints, layout="coco17")[0].warnings
    joints[..., 2] -= 0.5
    assert "scores" not in predictor.predict(joints, layout="coco17")[0].warnings
