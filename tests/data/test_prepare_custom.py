"""Preparation of custom data: what fits by accident, who is absent, columns and units, and real sets as they come."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from poseglot.data.prepare import CustomDataset, prepare
from poseglot.data.readers import guess_format
from poseglot.errors import InputError, SettingError

RNG = np.random.default_rng(0)


def save(path: Path, joints: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, joints.astype(np.float32))


def clips(folder: Path, count: int, shape: tuple[int, ...], start: int = 0) -> None:
    for number in range(start, start + count):
        save(folder / ("walk" if number % 2 else "sit") / f"{number}.npy", RNG.normal(size=shape))


def test_most_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """Two of twelve files have 17 joints; a project of two clips would be an accident."""
    clips(tmp_path / "set", 2, (5, 17, 3))
    clips(tmp_path / "set", 10, (5, 20, 3), start=2)
    with pytest.raises(InputError, match="10 of 12"):
        prepare("npy", source=tmp_path / "set", out=tmp_path / "store", custom=CustomDataset("mine", layout="coco17"))
    assert not (tmp_path / "store").exists()
    made = prepare("npy", source=tmp_path / "set", out=tmp_path / "store", custom=CustomDataset("mine", layout="kinect20"))
    assert len(made.store) == 10 and len(made.issues) == 2


def test_an_order_of_dimensions_that_fits_two_files_is_refused(tmp_path: Path) -> None:
    clips(tmp_path / "set", 10, (7, 20, 3))
    clips(tmp_path / "set", 2, (60, 9), start=10)
    with pytest.raises(InputError, match="10 of 12"):
        prepare(
            "npy",
            source=tmp_path / "set",
            out=tmp_path / "store",
            custom=CustomDataset("mine", layout="kinect20", dim_order="vc,t"),
        )


def test_a_clip_of_nobody_is_an_issue_and_absent_people_do_not_count(tmp_path: Path) -> None:
    clips(tmp_path / "set", 4, (5, 20, 3))
    two = RNG.normal(size=(2, 5, 20, 3))
    two[0] = 0
    save(tmp_path / "set" / "sit" / "first-absent.npy", two)
    save(tmp_path / "set" / "walk" / "nobody.npy", np.zeros((5, 20, 3)))
    made = prepare("npy", source=tmp_path / "set", out=tmp_path / "store", custom=CustomDataset("mine", layout="kinect20"))
    assert [(issue.name, issue.kind) for issue in made.issues] == [("walk/nobody", "empty")]
    index = made.store.clips["name"].tolist().index("sit/first-absent")
    np.testing.assert_array_equal(made.store[index].joints, two[1:].astype(np.float32))
    assert any("zero throughout" in note for note in made.notes)


def test_columns_and_scale(tmp_path: Path) -> None:
    """Rows `x y z confidence` in millimetres, read without the confidence, in metres; the store remembers how it was read."""
    joints = [RNG.normal(size=(5 + 3 * number, 20, 3)).round(3) * 1000 for number in range(6)]
    for number, clip in enumerate(joints):
        rows = np.concatenate([clip.reshape(-1, 3), RNG.integers(0, 2, size=(20 * len(clip), 1))], axis=1)
        path = tmp_path / "set" / f"a{1 + number % 2}_s{1 + number // 2}.txt"
        path.parent.mkdir(exist_ok=True)
        np.savetxt(path, rows, fmt="%.3f")
    custom = CustomDataset("mine", layout="kinect20", names="a{label}_s{subject}", columns=(1, 2, 3), scale=0.001)
    made = prepare("txt", source=tmp_path / "set", out=tmp_path / "store", custom=custom)
    assert not made.store.info.has_scores and len(made.store) == 6
    for index, name in enumerate(made.store.clips["name"].tolist()):
        number = int(name[1]) - 1 + 2 * (int(name[-1]) - 1)
        np.testing.assert_allclose(made.store[index].joints[0], joints[number] / 1000, rtol=1e-5)
    reading = made.store.info.source["reading"]
    assert reading == {"columns": [1, 2, 3], "scale": 0.001, "dim_order": "tv,c"}
    assert any("label 1, subject 1" in note for note in made.notes)


def test_an_ambiguous_name_pattern_is_refused(tmp_path: Path) -> None:
    for action in ("talking_on_the_phone", "clapping"):
        for person in (1, 2):
            save(tmp_path / "set" / f"a{action}_10_p{person}.npy", RNG.normal(size=(5, 20, 3)))
    custom = CustomDataset("mine", layout="kinect20", names="a{label}_*_p{subject}")
    with pytest.raises(SettingError, match="talking_on_the_phone"):
        prepare("npy", source=tmp_path / "set", out=tmp_path / "store", custom=custom)


def test_wide_tables_in_class_folders_need_no_format(tmp_path: Path) -> None:
    for number in range(4):
        path = tmp_path / "set" / ("walk" if number % 2 else "sit") / f"{number}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(path, RNG.normal(size=(9, 60)), delimiter=";")
    assert guess_format([tmp_path / "set"]) == "txt"
    made = prepare("txt", source=tmp_path / "set", out=tmp_path / "store", custom=CustomDataset("mine", layout="kinect20"))
    assert len(made.store) == 4 and made.store[0].joints.shape == (1, 9, 20, 3)


MSR_JOINTS = ("right_shoulder", "left_shoulder", "shoulder_centre", "spine", "right_hip", "left_hip", "hip_centre", "right_elbow",
              "left_elbow", "right_wrist", "left_wrist", "right_hand", "left_hand", "right_knee", "left_knee", "right_ankle",
              "left_ankle", "right_foot", "left_foot", "head")  # fmt: skip


@pytest.mark.parametrize("scored", [False, True])
def test_msr_action3d(scored: bool, shared: Path, tmp_path: Path) -> None:
    """With its confidence, the centre joint is mostly unseen, and that is said; `columns` reads the coordinates alone."""
    source = shared / "data" / "msr-action3d" / "msr-action3d.zip"
    custom = CustomDataset(
        "msr",
        layout="kinect20",
        joints=MSR_JOINTS,
        names="a{label}_s{subject}_e*",
        test_subjects=(2, 4, 6, 8, 10),
        has_scores=scored,
        columns=None if scored else (1, 2, 3),
    )
    assert guess_format([source]) == "txt"
    made = prepare("txt", source=source, out=tmp_path / "store", custom=custom)
    with zipfile.ZipFile(source) as archive:
        files = [name for name in archive.namelist() if name.endswith(".txt")]
    assert len(made.store) + len(made.issues) == len(files) and len(made.store) > 550
    assert any("--columns 1-3" in note for note in made.notes) == scored
    clip = made.store[0]
    with zipfile.ZipFile(source) as archive:
        rows = np.loadtxt(archive.open(next(name for name in files if clip.name in name)))
    np.testing.assert_allclose(clip.joints[0, ..., :3], rows.reshape(-1, 20, 4)[..., :3], rtol=1e-5)


def test_bandai(shared: Path, tmp_path: Path) -> None:
    """Motion capture with six channels at every joint, from a zip to a store."""
    source = shared / "data" / "bandai" / "bandai-2-subset.zip"
    table = {
        "name": "bandai",
        "joints": ["Hips", "Head", "Hand_L", "Hand_R", "LowerArm_L", "LowerLeg_L", "Foot_L", "Foot_R"],
        "bones": dict.fromkeys(["Head", "Hand_L", "Hand_R", "LowerArm_L", "LowerLeg_L", "Foot_L", "Foot_R"], "Hips"),
        "centre": "Hips",
        "parts": {"head": ["Head"], "hand": ["Hand_L", "Hand_R"], "arm": ["LowerArm_L"], "hip": ["Hips"], "leg": ["LowerLeg_L"],
                  "foot": ["Foot_L", "Foot_R"]},
    }  # fmt: skip
    (tmp_path / "bandai.yaml").write_text(str(table))
    with zipfile.ZipFile(source) as archive:
        names = [name for name in archive.namelist() if name.endswith(".bvh")]
        archive.extractall(tmp_path / "set", names[::40])
    custom = CustomDataset("bandai", layout=str(tmp_path / "bandai.yaml"), names="dataset-2_{label}_*_*", scale=0.01)
    assert guess_format([source]) == "bvh"
    made = prepare("bvh", source=tmp_path / "set", out=tmp_path / "store", custom=custom)
    assert not made.issues and len(made.store) == len(names[::40])
    height = np.concatenate([made.store[index].joints[0, :, 1, 1] for index in range(len(made.store))])
    assert 1 < np.median(height) < 2  # metres
