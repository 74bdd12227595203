"""One clip from a file of any format, by its ending."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers import ntu, read_clip
from poseglot.data.readers.formats import ReadOptions
from poseglot.errors import FileError, PoseglotError, SettingError
from poseglot.skeletons.layout import load_layout

JOINTS = np.random.default_rng(3).normal(size=(2, 7, 20, 3)).astype(np.float32)


def test_npy_is_the_joints_of_a_clip(tmp_path: Path) -> None:
    path = tmp_path / "two people.npy"
    np.save(path, JOINTS.astype(np.float64))
    clip = read_clip(path, joint_count=20)
    assert (clip.name, clip.label) == ("two people", -1)
    np.testing.assert_array_equal(clip.joints, JOINTS)
    np.save(path, JOINTS[0])
    assert read_clip(path).joints.shape == (1, 7, 20, 3)


def test_json_is_a_clip_of_nw_ucla(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"file_name": "take 5", "skeletons": JOINTS[1].tolist(), "label": 4}))
    clip = read_clip(path, joint_count=20)
    assert (clip.name, clip.label) == ("take 5", 3)
    np.testing.assert_array_equal(clip.joints, JOINTS[1:])


@pytest.mark.parametrize("ending", [".npy", ".json"])
def test_wrong_number_of_joints_names_the_file(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"mine{ending}"
    if ending == ".npy":
        np.save(path, JOINTS)
    else:
        path.write_text(json.dumps({"skeletons": JOINTS[0].tolist()}))
    with pytest.raises(ClipError, match=rf"{ending}"):
        read_clip(path, joint_count=25)


class Trap:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.write_text, (self.path, "caught"))


def test_pickled_objects_are_refused_and_not_executed(tmp_path: Path) -> None:
    caught = tmp_path / "caught"
    np.save(tmp_path / "trap.npy", np.array([Trap(caught)], dtype=object), allow_pickle=True)
    with pytest.raises(FileError, match=r"trap\.npy"):
        read_clip(tmp_path / "trap.npy")
    assert not caught.exists()
    # The trap works where pickles are allowed.
    np.load(tmp_path / "trap.npy", allow_pickle=True)
    assert caught.exists()


@pytest.mark.parametrize("kept", [0, 4, 60, 200, -1])
def test_npy_cut_short_is_refused(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "cut.npy"
    np.save(path, JOINTS)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(FileError, match=r"cut\.npy"):
        read_clip(path)


def test_npy_that_is_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.npy"
    path.write_text("x,y,z\n1,2,3\n")
    with pytest.raises(FileError, match=r"text\.npy"):
        read_clip(path)
    with (tmp_path / "many.npy").open("wb") as file:
        np.savez(file, joints=JOINTS)
    with pytest.raises(FileError, match=r"many\.npy"):
        read_clip(tmp_path / "many.npy")


@pytest.mark.parametrize("shape", [(0, 20, 3), (20, 3), (7, 20, 4)])
def test_npy_of_a_wrong_shape_names_the_file(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "odd.npy", np.zeros(shape))
    with pytest.raises(ClipError, match=r"odd\.npy"):
        read_clip(tmp_path / "odd.npy")


@pytest.mark.parametrize("name", ["clip.xyz", "clip", "clip.mp4", "clip.gz"])
def test_unknown_ending_names_the_known_ones(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(FileError, match=rf"{name}"):
        read_clip(tmp_path / name)


def test_npy_with_scores_is_read_where_they_are_known_of(tmp_path: Path) -> None:
    joints = np.random.default_rng(0).uniform(size=(1, 5, 17, 3)).astype(np.float32)
    np.save(tmp_path / "poses.npy", joints)
    assert not read_clip(tmp_path / "poses.npy").has_scores
    clip = read_clip(tmp_path / "poses.npy", layout=load_layout("coco17"), has_scores=True)
    np.testing.assert_array_equal(clip.joints, joints)
    assert clip.has_scores
    with pytest.raises(ClipError, match="17"):
        read_clip(tmp_path / "poses.npy", layout=load_layout("kinect20"))


def test_skeleton_is_a_recording_of_ntu(shared: Path) -> None:
    path = sorted((shared / "data" / "ntu" / "raw").glob("*.skeleton"))[0]
    clip = read_clip(path, joint_count=25)
    expected = ntu.read_clip(path)
    assert (clip.name, clip.label, clip.subject, clip.camera) == (path.stem, expected.label, expected.subject, expected.camera)
    assert clip.label == int(path.stem[-3:]) - 1
    np.testing.assert_array_equal(clip.joints, expected.joints)
    with pytest.raises(PoseglotError, match="25"):
        read_clip(path, joint_count=20)


@pytest.mark.parametrize("name", ["gone.json", "gone.npy", "gone.skeleton", "gone.csv", "gone.csv.gz", "gone.bvh"])
def test_missing_file_and_folder_are_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=rf"{name}"):
        read_clip(tmp_path / name)
    (tmp_path / name).mkdir()
    with pytest.raises(FileError, match=rf"{name}"):
        read_clip(tmp_path / name)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_destroys_coordinates_is_refused(scale: float) -> None:
    with pytest.raises(SettingError):
        ReadOptions(scale=scale)


@pytest.mark.parametrize(
    "arguments",
    [{"dim_order": 3}, {"layout": 5}, {"layout": ["kinect20"]}, {"num_dims": 5}, {"num_dims": 2.0}, {"skip": -1}, {"skip": "1"},
     {"columns": 3}, {"columns": ""}, {"columns": [0, 1]}, {"columns": "a"}, {"scale": None}, {"scale": "1"}, {"joint_count": -3},
     {"format": "xlsx"}, {"variable": 1}],
    ids=repr,
)  # fmt: skip
def test_arguments_of_another_kind_are_refused(arguments: dict[str, Any], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 20, 3)))
    with pytest.raises(PoseglotError):
        read_clip(tmp_path / "a.npy", **arguments)


def test_columns_may_be_text(tmp_path: Path) -> None:
    joints = np.random.default_rng(0).normal(size=(3, 20, 4)).astype(np.float32)
    np.save(tmp_path / "a.npy", joints)
    for columns in ("1-3", "1,2,3", (1, 2, 3), [1, 2, 3]):
        read = read_clip(tmp_path / "a.npy", "kinect20", columns=columns)
        np.testing.assert_array_equal(read.joints[0], joints[..., :3])
