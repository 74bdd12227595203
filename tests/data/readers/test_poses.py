"""Files of poses: what was written is read again, 2D or 3D, with or without confidence; what was damaged or made up is refused."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.data.prepare import CustomDataset, prepare
from poseglot.data.quality.issues import ClipError
from poseglot.data.readers import clip_files, layout_of, read_clip
from poseglot.data.readers.poses import Poses, read_poses, write_poses
from poseglot.errors import FileError, InputError, PoseglotError
from poseglot.skeletons.layout import load_layout


def poses(seed: int = 0, *, world: bool = True, layout: str = "mediapipe33", frames: int = 9) -> Poses:
    rng = np.random.default_rng(seed)
    table = load_layout(layout)

    def some(*shape: int) -> Any:
        return rng.uniform(0.1, 1, size=(2, frames, len(table), *shape)).astype(np.float32)

    return Poses(table, some(2) * 300, some(), 29.97, (640, 480), some(3) if world else None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_poses(poses(), tmp_path / "a.npz")
    return tmp_path / "a.npz"


@pytest.mark.parametrize("world", [True, False])
def test_what_was_written_is_read_again(tmp_path: Path, world: bool) -> None:
    written = poses(world=world)
    write_poses(written, tmp_path / "new" / "a.npz")
    read = read_poses(tmp_path / "new" / "a.npz")
    assert (read.layout, read.fps, read.size) == (written.layout, written.fps, written.size)
    np.testing.assert_array_equal(read.pixels, written.pixels)
    np.testing.assert_array_equal(read.confidence, written.confidence)
    assert (read.world is None) == (not world)
    if written.world is not None and read.world is not None:
        np.testing.assert_array_equal(read.world, written.world)


def test_a_clip_is_3d_or_2d_with_or_without_confidence(path: Path) -> None:
    made = poses()
    assert layout_of(path) == made.layout
    for num_dims, has_scores, expected in ((None, False, made.world), (3, False, made.world), (2, False, made.pixels)):
        clip = read_clip(path, num_dims=num_dims, has_scores=has_scores)
        np.testing.assert_array_equal(clip.joints, expected)
        assert clip.name == "a" and not clip.has_scores
    scored_clip = read_clip(path, num_dims=2, has_scores=True)
    assert scored_clip.has_scores and scored_clip.joints.shape[-1] == 3
    np.testing.assert_array_equal(scored_clip.joints[..., 2], made.confidence)
    write_poses(replace(made, world=None), path)
    np.testing.assert_array_equal(read_clip(path).joints, made.pixels)
    with pytest.raises(InputError):
        read_clip(path, num_dims=3)
    with pytest.raises(ClipError, match="33"):
        read_clip(path, joint_count=20)


def rewritten(path: Path, **changed: Any) -> Path:
    with np.load(path) as loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    arrays |= changed
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"fps": None}, ""),
        ({"fps": np.float64(0)}, "0"),
        ({"fps": np.zeros(3)}, ""),
        ({"layout": np.array("coco17")}, "33"),
        ({"layout": np.array("../evil.yaml")}, ""),
        ({"layout": np.array("nosuch")}, "'nosuch'"),
        ({"pixels": np.zeros((2, 9, 33, 3))}, ""),
        ({"confidence": np.zeros((2, 9, 32))}, ""),
        ({"confidence": np.full((2, 9, 33), np.nan)}, ""),
        ({"world": np.zeros((1, 9, 33, 3))}, ""),
        ({"pixels": np.full((2, 9, 33, 2), np.inf)}, ""),
        ({"pixels": np.zeros((0, 9, 33, 2)), "confidence": np.zeros((0, 9, 33)), "world": None}, ""),
        ({"size": np.array([1, 2, 3])}, ""),
        ({"confidence": np.array([{}], dtype=object)}, ""),
    ],
)
def test_what_does_not_fit_is_refused(path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ClipError, match=said):
        read_poses(rewritten(path, **changed))


def test_damaged_packed_and_other_files_are_refused(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ClipError):
        read_poses(path)
    with pytest.raises(ClipError, match=r"none\.npz"):
        read_poses(tmp_path / "none.npz")
    np.savez(path, x_train=np.zeros(3), y_train=np.zeros(3))
    with pytest.raises(ClipError, match="`poseglot prepare npz`"):
        read_poses(path)
    write_poses(poses(), path)
    with np.load(path) as loaded:
        np.savez_compressed(tmp_path / "packed.npz", **{name: loaded[name] for name in loaded.files})
    with pytest.raises(ClipError, match=r"packed\.npz"):
        read_poses(tmp_path / "packed.npz")
    with zipfile.ZipFile(path) as archive:  # a byte of an array is another one
        place = archive.getinfo("pixels.npy").header_offset + 400
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(ClipError):
        read_poses(path)
    with pytest.raises(FileError):
        write_poses(poses(), tmp_path / "a.npy")


@pytest.mark.parametrize("has_scores", [False, True])
def test_a_folder_of_them_is_a_data_set(tmp_path: Path, has_scores: bool) -> None:
    for number in range(8):
        made = replace(poses(number, frames=5 + number), world=None) if number != 7 else poses(7, layout="coco17", world=False)
        write_poses(made, tmp_path / "clips" / ("wave" if number % 2 else "sit") / f"p{number // 2 + 1}_{number}.npz")
    own = CustomDataset("mine", has_scores=has_scores, names="{label}/p{subject}_*")
    made_store = prepare("poses", source=tmp_path / "clips", out=tmp_path / "store", custom=own)
    store = made_store.store
    assert store.info.classes == ("sit", "wave") and store.info.has_scores == has_scores and len(store) == 7
    (issue,) = made_store.issues
    assert issue.kind == "joint count" and "p4_7.npz" in issue.message and "coco17" in issue.message
    clip = store[0]
    wanted = read_poses(tmp_path / "clips" / "sit" / "p1_0.npz")
    np.testing.assert_array_equal(clip.joints, wanted.joints(has_scores=has_scores))
    (tmp_path / "empty").mkdir()
    with pytest.raises(PoseglotError):
        prepare("poses", source=tmp_path / "empty", out=tmp_path / "other", custom=own)


def test_videos_and_poses_of_a_folder_count_as_clips(path: Path) -> None:
    for name in ("b.mp4", "c.MOV", "notes.txt"):
        (path.parent / name).touch()
    found, others = clip_files(path.parent)
    assert [file.name for file in found] == ["a.npz", "b.mp4", "c.MOV"] and [file.name for file in others] == ["notes.txt"]
