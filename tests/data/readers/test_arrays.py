"""Folders of arrays: MATLAB's and text files give what the same arrays give as .npy; a set's files tell together what their axes are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poseglot.data.readers import read_clip
from poseglot.errors import InputError
from poseglot.skeletons.layout import load_layout
from tests.data.readers.opened import read_set

pytestmark = pytest.mark.base

LAYOUT = load_layout("kinect20")
RNG = np.random.default_rng(3)
LENGTHS = (20, 31, 20, 44)
CLIPS = {
    f"a{1 + number // 2}_s{1 + number % 2}_t1": RNG.normal(size=(length, 20, 3)).astype(np.float32)
    for number, length in enumerate(LENGTHS)
}


def save_mat(path: Path, array: np.ndarray, **others: object) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    scipy_io.savemat(path, {"d_skel": array, **others})


@pytest.mark.parametrize("kind", ["npy", "mat", "txt"])
def test_all_kinds_of_arrays_give_the_same_clips(kind: str, tmp_path: Path) -> None:
    for name, joints in CLIPS.items():
        if kind == "npy":
            np.save(tmp_path / f"{name}.npy", joints.transpose(1, 2, 0))
        elif kind == "mat":  # a length of 20 leaves open which axis is the joints; the others tell
            save_mat(tmp_path / f"{name}.mat", joints.transpose(1, 2, 0).astype(np.float64), note="taken in spring", rate=30.0)
        else:
            np.savetxt(tmp_path / f"{name}.txt", joints.reshape(len(joints), -1), fmt="%.9g")
    found = read_set(kind, tmp_path, layout=LAYOUT, names="a{label}_s{subject}_t*", classes=["jump", "wave"], test_subjects=[2])
    assert not found.issues and [clip.subject for clip in found.clips] == [1, 2, 1, 2]
    assert list(found.labels().values()) == ["jump", "jump", "wave", "wave"]  # labels 1 and 2 of two classes count from 1
    for clip, joints in zip(found.clips, CLIPS.values(), strict=True):
        np.testing.assert_array_equal(clip.joints, joints[None])
    assert found.source.described["labels"] == "a{label}_s{subject}_t*"


def test_one_file_is_read_as_the_set_is(tmp_path: Path) -> None:
    name, joints = "a1_s2_t1", CLIPS["a1_s2_t1"]
    save_mat(tmp_path / f"{name}.mat", joints.transpose(1, 2, 0))
    np.savetxt(tmp_path / f"{name}.txt", joints.reshape(-1, 3), fmt="%.9g")
    for ending in (".mat", ".txt"):
        clip = read_clip(tmp_path / f"{name}{ending}", layout=LAYOUT)
        assert clip.name == name
        np.testing.assert_array_equal(clip.joints, joints[None])


def test_a_name_that_does_not_fit_is_a_fault_and_the_others_are_read(tmp_path: Path) -> None:
    for name in ("wave_anna", "jump_anna", "wave_bob", "readme"):
        np.save(tmp_path / f"{name}.npy", CLIPS["a1_s1_t1"])
    found = read_set("npy", tmp_path, layout=LAYOUT, names="{label}_{subject}")
    assert list(found.issues) == ["readme"] and "does not fit the pattern" in found.issues["readme"].message
    assert {clip.name: clip.subject for clip in found.clips} == {"wave_anna": 1, "jump_anna": 1, "wave_bob": 2}
    assert list(found.source.benchmark.splits) == ["by-subject"]


def test_which_variable_is_asked_where_several_may_be(tmp_path: Path) -> None:
    joints = CLIPS["a1_s1_t1"].transpose(1, 2, 0)
    for name in ("wave_1", "jump_2"):
        save_mat(tmp_path / f"{name}.mat", joints, raw=joints + 1)
    with pytest.raises(InputError, match=r"\(20, 3, 20\)"):
        read_set("mat", tmp_path, layout=LAYOUT, names="{label}_{subject}", dim_order="v,c,t")
    found = read_set("mat", tmp_path, layout=LAYOUT, names="{label}_{subject}", dim_order="v,c,t", variable="raw")
    np.testing.assert_allclose(found.clips[0].joints[0], CLIPS["a1_s1_t1"] + 1, rtol=1e-6)
    with pytest.raises(InputError, match="'d_skell'"):
        read_set("mat", tmp_path, layout=LAYOUT, names="{label}_{subject}", variable="d_skell")


def test_damaged_matlab_files_are_faults(tmp_path: Path) -> None:
    save_mat(tmp_path / "wave_1.mat", CLIPS["a1_s2_t1"].transpose(1, 2, 0))
    whole = (tmp_path / "wave_1.mat").read_bytes()
    for number, broken in enumerate((b"", whole[:300], whole[:128] + whole[:128], b"nothing of MATLAB's" * 20), start=2):
        (tmp_path / f"jump_{number}.mat").write_bytes(broken)
    found = read_set("mat", tmp_path, layout=LAYOUT, names="{label}_{subject}")
    assert [clip.name for clip in found.clips] == ["wave_1"] and len(found.issues) == 4


def test_utd_mhad_as_it_comes(shared: Path, tmp_path: Path) -> None:
    from poseglot.data.prepare import CustomDataset, prepare

    own = CustomDataset("utd", layout="kinect20", names="a{label}_s{subject}_t*", test_subjects=(2, 4, 6, 8))
    made = prepare("mat", source=shared / "data" / "utd-mhad" / "Skeleton.zip", out=tmp_path / "store", custom=own)
    assert len(made.store) == 861 and made.counts == {"train": 431, "test": 430} and not made.issues
    scipy_io = pytest.importorskip("scipy.io")
    import zipfile

    with zipfile.ZipFile(shared / "data" / "utd-mhad" / "Skeleton.zip") as archive:
        member = next(name for name in archive.namelist() if name.endswith("a7_s3_t2_skeleton.mat"))
        theirs = scipy_io.loadmat(archive.open(member))["d_skel"]
    (place,) = np.flatnonzero(np.char.endswith(made.store.clips["name"].astype(str), "a7_s3_t2_skeleton"))
    clip = made.store[int(place)]
    np.testing.assert_array_equal(clip.joints[0], theirs.transpose(2, 0, 1).astype(np.float32))
    assert clip.subject == 3 and made.store.info.classes[clip.label] == "class 7"
