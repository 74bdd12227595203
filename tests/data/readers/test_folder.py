"""Folders of .npy files: classes from sub-folders or a table, splits from what is known, faults file by file."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from poseglot.errors import FileError, InputError, PoseglotError, SettingError
from poseglot.skeletons.layout import load_layout
from tests.data.readers.opened import Read, read_set

LAYOUT = load_layout("coco17")
RNG = np.random.default_rng(2)


def make_joints(
    frames: int = 4, people: int | None = None, channels: int = 3
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    shape = (frames, 17, channels) if people is None else (people, frames, 17, channels)
    return RNG.normal(size=shape)


def saved(folder: Path, *names: str, channels: int = 3) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, make_joints(2 + number, channels=channels))


def read(folder: Path, **options: object) -> Read:
    return read_set("npy", folder, **{"layout": LAYOUT, **options})


# --- by folders ------------------------------------------------------------------------------------------------------------


def test_folders_are_classes(tmp_path: Path) -> None:
    saved(tmp_path, "wave/2.npy", "wave/1.npy", "sit down/deep/1.npy", "Jump/x.npy")
    (tmp_path / "Jump" / "x.npy").rename(tmp_path / "Jump" / "x.NPY")
    np.save(tmp_path / "wave" / "pair.npy", pair := make_joints(people=2))
    (tmp_path / "wave" / "notes.txt").write_text("not a clip")
    (tmp_path / "wave" / "._1.npy").write_text("what macOS leaves in archives")
    found = read(tmp_path)
    assert found.classes == ("Jump", "deep", "wave") and not found.issues
    assert [clip.name for clip in found.clips] == ["Jump/x", "sit down/deep/1", "wave/1", "wave/2", "wave/pair"]
    assert found.labels()["wave/2"] == "wave" and found.labels()["sit down/deep/1"] == "deep"
    np.testing.assert_array_equal(found.clips[-1].joints, pair.astype(np.float32))
    np.testing.assert_array_equal(found.clips[2].joints, np.load(tmp_path / "wave" / "1.npy")[None].astype(np.float32))
    assert found.source.benchmark.pipeline == "metric" and list(found.source.benchmark.splits) == ["by-clip"]
    assert sum(found.source.benchmark.expected.values()) == 5


@pytest.mark.parametrize(
    ("channels", "has_scores", "pipeline"), [(2, False, "image"), (3, True, "image"), (3, False, "metric"), (4, True, "metric")]
)
def test_channels_and_scores_decide_how_clips_are_fed(channels: int, has_scores: bool, pipeline: str, tmp_path: Path) -> None:
    saved(tmp_path, "a/1.npy", "b/1.npy", channels=channels)
    found = read(tmp_path, has_scores=has_scores)
    assert found.source.benchmark.pipeline == pipeline and found.source.has_scores == has_scores
    assert found.clips[0].joints.shape == (1, 2, 17, channels)


def test_train_and_test_above_the_classes_are_the_split(tmp_path: Path) -> None:
    saved(tmp_path, "train/wave/1.npy", "train/sit/1.npy", "test/wave/1.npy", "val/sit/1.npy")
    found = read(tmp_path)
    assert found.classes == ("sit", "wave")
    rule = found.source.benchmark.splits["as-given"]
    assert list(rule["train"]["name"]) == ["train/sit/1", "train/wave/1"] and list(rule["test"]["name"]) == ["test/wave/1"]


def test_given_classes_say_order_and_names(tmp_path: Path) -> None:
    saved(tmp_path, "wave/1.npy", "sit/1.npy")
    assert read(tmp_path, classes=["wave", "stand", "sit"]).labels() == {"sit/1": "sit", "wave/1": "wave"}
    with pytest.raises(SettingError, match="2"):
        read(tmp_path, classes=["wave", "stand"])
    with pytest.raises(SettingError):
        read(tmp_path, classes=["wave", "sit", "wave"])


def test_numbered_folders_are_class_numbers(tmp_path: Path) -> None:
    saved(tmp_path, "0/1.npy", "2/1.npy", "10/1.npy")
    assert read(tmp_path).classes == tuple(f"class {number}" for number in range(11))
    assert read(tmp_path).labels()["2/1"] == "class 2"
    names = [f"action {number}" for number in range(11)]
    assert read(tmp_path, classes=names).labels()["10/1"] == "action 10"
    saved(tmp_path, "20261123/1.npy")
    with pytest.raises(SettingError, match="20261123"):
        read(tmp_path)


# --- by a table ------------------------------------------------------------------------------------------------------------


def test_table_says_everything(tmp_path: Path) -> None:
    saved(tmp_path, *(f"{number}.npy" for number in range(8)), "deep/8.npy", "left out.npy")
    people = [1, 1, 2, 2, 3, 3, 4, 4]
    rows = [f"{number}.npy,{'wave' if number % 2 else 'sit'},{person},2,7" for number, person in enumerate(people)]
    (tmp_path / "clips.csv").write_text("file,label,subject,camera,setup\n" + "\n".join(rows) + "\ndeep/8,sit,5,,\n")
    found = read(tmp_path)
    assert [clip.name for clip in found.clips] == [*"01234567", "deep/8"] and found.classes == ("sit", "wave")
    assert [clip.subject for clip in found.clips] == [*people, 5]
    assert {(clip.camera, clip.setup) for clip in found.clips} == {(2, 7), (0, 0)}
    assert list(found.source.benchmark.splits) == ["by-subject"]
    asked = read(tmp_path, test_subjects=[2, 5]).source.benchmark
    assert asked.splits["by-subject"] == {"train": {"subject": [1, 3, 4]}, "test": {"subject": [2, 5]}}
    assert asked.expected == {"train": 6, "test": 3}


def test_table_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    """With a byte-order mark, semicolons, capitals, CRLF, quotes, a column too many, and an empty line at the end."""
    saved(tmp_path, "a.npy", "b.npy")
    (tmp_path / "clips.csv").write_bytes(
        '\ufeffFile;Label;Comment;Split\r\n"a.npy";0;"x;y";train\r\nb.npy; 1;;test\r\n\r\n'.encode()
    )
    found = read(tmp_path)
    assert found.labels() == {"a": "class 0", "b": "class 1"} and list(found.source.benchmark.splits) == ["as-given"]


@pytest.mark.parametrize(
    ("row", "kind", "message"),
    [
        ("gone.npy,wave,1,train", "unreadable", r"gone\.npy"),
        ("b.npy,,1,train", "malformed", "line 3"),
        ("b.npy,wave,-1,train", "malformed", "line 3"),
        ("b.npy,wave,0,train", "malformed", "'0'"),
        ("b.npy,wave,99999999999,train", "malformed", "'99999999999'"),
        ("b.npy,wave,1,testing", "malformed", "'testing'"),
        ("b.npy,wave,1", "malformed", "3"),
        ("a.npy,wave,1,train", "duplicate", "line 3"),
    ],
)
def test_a_bad_row_is_a_fault(row: str, kind: str, message: str, tmp_path: Path) -> None:
    saved(tmp_path, "a.npy", "b.npy", "c.npy", "d.npy")
    (tmp_path / "clips.csv").write_text(
        f"file,label,subject,split\na.npy,wave,1,train\n{row}\nc.npy,sit,1,train\nd.npy,sit,2,test\n"
    )
    found = read(tmp_path)
    assert {"c", "d"} <= {clip.name for clip in found.clips} and len(found.clips) + len(found.issues) == 4 - (
        kind == "duplicate"
    )
    (fault,) = found.issues.values()
    assert fault.kind == kind
    with pytest.raises(PoseglotError, match=message):
        raise PoseglotError(fault.message)


@pytest.mark.parametrize(
    ("table", "match"),
    [
        ("", r"clips\.csv"),
        ("name,label\na,b\n", r"clips\.csv"),
        ("file,class\na,b\n", r"clips\.csv"),
        ("file,label,label\na,b,c\n", ""),
        ("file,label\n", ""),
        ("file,label\na.npy,\n", r"a\.npy"),
    ],
)
def test_a_table_of_another_form_is_refused(table: str, match: str, tmp_path: Path) -> None:
    saved(tmp_path, "a.npy")
    (tmp_path / "clips.csv").write_text(table)
    with pytest.raises(FileError, match=match):
        read(tmp_path)


def test_a_table_that_is_no_text_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, "a.npy")
    (tmp_path / "clips.csv").write_bytes(b"file,label\n\xff\xfe,x\n")
    with pytest.raises(FileError, match=r"clips\.csv"):
        read(tmp_path)


# --- files and folders that are wrong --------------------------------------------------------------------------------------


def test_bad_files_are_faults_and_the_others_are_read(tmp_path: Path) -> None:
    saved(tmp_path, "a/cut.npy", *(f"b/{number}.npy" for number in range(5)))
    cut = tmp_path / "a" / "cut.npy"
    cut.write_bytes(cut.read_bytes()[:-9])
    (tmp_path / "a" / "empty.npy").write_bytes(b"")
    nan = make_joints()
    nan[2, 5, 1] = np.nan
    bad = {
        "a/nan": nan,
        "a/large": make_joints() * 1e300,
        "a/objects": np.array([None, 1], dtype=object),
        "a/joints": np.zeros((4, 18, 3)),
        "a/frames": np.zeros((0, 17, 3)),
        "a/flat": make_joints(channels=2),
        "a/scored": make_joints(channels=4),
        "a/axes": np.zeros((17, 3)),
        "a/text": np.full((4, 17, 3), "x"),
    }
    for name, joints in bad.items():
        np.save(tmp_path / name, joints, allow_pickle=True)
    np.save(tmp_path / "lost.npy", make_joints())
    found = read(tmp_path)
    assert [clip.name for clip in found.clips] == [f"b/{number}" for number in range(5)] and found.classes == ("a", "b")
    assert {name: fault.kind for name, fault in found.issues.items()} == {
        "a/cut": "unreadable",
        "a/empty": "unreadable",
        "a/nan": "not finite",
        "a/large": "not finite",
        "a/objects": "unreadable",
        "a/joints": "joint count",
        "a/frames": "empty",
        "a/flat": "malformed",
        "a/scored": "malformed",
        "a/axes": "malformed",
        "a/text": "malformed",
        "lost": "malformed",
    }
    for name, fault in found.issues.items():
        assert f"{name}.npy" in fault.origin and f"{name}.npy" in fault.message, fault


def test_folders_that_hold_no_set_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        read(tmp_path / "nowhere")
    with pytest.raises(FileError):
        read(tmp_path)
    saved(tmp_path, "lost.npy")
    with pytest.raises(FileError, match=r"lost\.npy"):
        read(tmp_path)
    (tmp_path / "lost.npy").unlink()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.npy").write_text("no array")
    with pytest.raises(InputError, match="1"):
        read(tmp_path)


def test_memory_holds_one_clip_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for number in range(30):
        np.save(tmp_path / "a" / f"{number}.npy", np.ones((2000, 17, 3), dtype=np.float32))  # 408 kB
    tracemalloc.start()
    try:
        for entry in read_set_lazily(tmp_path):
            del entry
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3e6


def read_set_lazily(folder: Path) -> object:
    from poseglot.data.readers import open_source

    source = open_source("npy", [folder], layout=LAYOUT, name="mine", classes=None, test_subjects=None, has_scores=False)
    return source.clips


def test_files_that_the_table_does_not_name_are_left_out_by_name(tmp_path: Path) -> None:
    saved(tmp_path, "1.npy", "more/2.npy", "3.npy")
    (tmp_path / "clips.csv").write_text("file,label\n1.npy,a\n")
    found = read(tmp_path)
    assert [clip.name for clip in found.clips] == ["1"]
    assert found.source.skipped == {"not in clips.csv": ["3.npy", "more/2.npy"]}
    (tmp_path / "clips.csv").write_text("file,label\n1.npy,a\nmore/2,b\n3,a\n")
    assert read(tmp_path).source.skipped == {}
