"""ST-GCN's arrays with their label pickle."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from poseglot.data.prepare import prepare
from poseglot.data.readers import guess_format
from poseglot.errors import FileError
from tests.data.readers.opened import read_set

LENGTHS = (5, 9, 3)


def write(folder: Path, channels: int = 3, joints: int = 25) -> dict[str, np.ndarray]:
    """Write two subsets of three clips of up to ten frames; return name -> (M, T, V, C)."""
    folder.mkdir()
    rng, wanted = np.random.default_rng(0), {}
    for subset in ("train", "val"):
        data = np.zeros((3, channels, 10, joints, 2), np.float32)
        names = [f"S001C00{1 + clip}P001R001A00{1 + clip}{'' if subset == 'train' else 'x'}" for clip in range(3)]
        for clip, length in enumerate(LENGTHS):
            people = 2 if clip == 1 else 1
            data[clip, :, :length, :, :people] = rng.normal(size=(channels, length, joints, people))
            wanted[names[clip]] = data[clip, :, :length, :, :people].transpose(3, 1, 2, 0)
        np.save(folder / f"{subset}_data_joint.npy", data)
        (folder / f"{subset}_label.pkl").write_bytes(pickle.dumps((names, [0, 1, 2])))
    return wanted


@pytest.mark.parametrize(("joints", "layout"), [(25, "ntu25"), (18, "openpose18")])
def test_arrays_are_read_with_their_labels(joints: int, layout: str, tmp_path: Path) -> None:
    wanted = write(tmp_path / "set", joints=joints)
    read = read_set("st-gcn", tmp_path / "set")
    assert not read.issues and read.source.layout.name == layout and read.source.has_scores == (joints == 18)
    assert [clip.label for clip in read.clips] == [0, 1, 2] * 2 and read.source.benchmark.expected == {"train": 3, "test": 3}
    for clip in read.clips:
        np.testing.assert_array_equal(clip.joints, wanted[clip.name])
    assert read.clips[0].camera == 1 and guess_format([tmp_path / "set"]) == "st-gcn"


def test_a_store_is_made_of_them(tmp_path: Path) -> None:
    write(tmp_path / "set")
    made = prepare("st-gcn", source=tmp_path / "set", out=tmp_path / "store")
    assert made.counts == {"train": 3, "test": 3} and made.split == "as-given"


@pytest.mark.parametrize("fault", ["no pickle", "no array", "labels", "axes"])
def test_what_does_not_fit_is_refused(fault: str, tmp_path: Path) -> None:
    write(tmp_path / "set")
    if fault == "no pickle":
        (tmp_path / "set" / "val_label.pkl").unlink()
    elif fault == "no array":
        (tmp_path / "set" / "train_data_joint.npy").unlink()
    elif fault == "labels":
        (tmp_path / "set" / "val_label.pkl").write_bytes(pickle.dumps((["a"], [0])))
    else:
        np.save(tmp_path / "set" / "val_data_joint.npy", np.zeros((3, 10, 75)))
    with pytest.raises(FileError):
        read_set("st-gcn", tmp_path / "set")
