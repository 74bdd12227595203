"""Tables of joints in long form: held against arrays written out row by row, and every way a row can be wrong."""

from __future__ import annotations

import csv
import gzip
import random
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.data.readers import open_source, read_clip
from poseglot.errors import FileError, PoseglotError
from poseglot.skeletons.layout import load_layout
from tests.data.readers.opened import Read, read_set

pytestmark = pytest.mark.base

LAYOUT = load_layout("coco17")
Array = np.ndarray[Any, np.dtype[np.float32]]


def make_clips(count: int = 5, axes: int = 3, has_scores: bool = False, frames: int = 6) -> dict[str, Array]:
    """Clips of one to three people."""
    rng = np.random.default_rng(6)
    return {
        f"clip {number}": rng.normal(size=(1 + number % 3, frames + number, 17, axes + has_scores)).astype(np.float32)
        for number in range(count)
    }


def rows_of(name: str, joints: Array, **fields: object) -> list[list[object]]:
    """A row for each joint: clip, frame, person, joint, channels, and what is the same for the whole clip."""
    return [
        [name, frame, f"p{person}", LAYOUT.joints[joint], *joints[person, frame, joint].tolist(), *fields.values()]
        for frame in range(joints.shape[1])
        for person in range(joints.shape[0])
        for joint in range(joints.shape[2])
    ]


def header(axes: int = 3, has_scores: bool = False, *fields: str) -> list[object]:
    return ["clip", "frame", "person", "joint", *"xyz"[:axes], *(["score"] if has_scores else []), *fields]


def written(path: Path, rows: Sequence[Sequence[object]], **form: Any) -> Path:
    with (gzip.open if path.suffix == ".gz" else open)(path, "wt", newline="", encoding="utf-8") as file:
        csv.writer(file, **form).writerows(rows)
    return path


def read(source: Path | Sequence[Path], **options: object) -> Read:
    return read_set("csv", source, **{"layout": LAYOUT, **options})


def two_clips(bad: Sequence[Sequence[object]], *fields: str) -> list[Sequence[object]]:
    """A table whose second clip, "bad", has the given rows (from line 104 on); the first and the last clip are good."""
    good = make_clips(1, axes=2)["clip 0"]
    extra = {field: {"label": "wave", "subject": 1}[field] for field in fields}
    return [header(2, False, *fields), *rows_of("first", good, **extra), *bad, *rows_of("last", good, **extra)]


# --- what is read ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("axes", "has_scores", "pipeline"), [(2, False, "image"), (2, True, "image"), (3, False, "metric"), (3, True, "metric")]
)
@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_clips_are_the_arrays_that_were_written(
    axes: int, has_scores: bool, pipeline: str, ending: str, tmp_path: Path
) -> None:
    clips = make_clips(axes=axes, has_scores=has_scores)
    rows = [
        row
        for number, (name, joints) in enumerate(clips.items())
        for row in rows_of(name, joints, label=f"action {number % 2}")
    ]
    found = read(written(tmp_path / f"set{ending}", [header(axes, has_scores, "label"), *rows]))
    assert not found.issues and found.source.has_scores == has_scores and found.source.benchmark.pipeline == pipeline
    assert found.labels() == {name: f"action {number % 2}" for number, name in enumerate(clips)}
    for clip in found.clips:
        np.testing.assert_array_equal(clip.joints, clips[clip.name])


def test_order_of_rows_and_columns_does_not_matter(tmp_path: Path) -> None:
    joints = make_clips(3)["clip 2"]
    rows = rows_of("a", joints, label="x", subject=4)
    shuffled = random.Random(0).sample(rows[1:], len(rows) - 1)
    columns = [6, 3, 7, 0, 5, 1, 8, 4, 2]
    table = [[row[column] for column in columns] for row in [header(3, False, "label", "subject"), rows[0], *shuffled]]
    (clip,) = read(written(tmp_path / "set.csv", table)).clips
    # People are numbered in the order of their first rows; frames and joints have an order of their own.
    people = list(dict.fromkeys(row[2] for row in [rows[0], *shuffled]))
    np.testing.assert_array_equal(clip.joints, joints[[int(str(person)[1:]) for person in people]])
    assert clip.subject == 4


def test_a_missing_joint_is_zero_and_so_is_its_score(tmp_path: Path) -> None:
    joints = make_clips(2, axes=2, has_scores=True)["clip 1"]
    rows = rows_of("a", joints, label="x")
    rng = random.Random(3)
    kept = [row for row in rows if row[:3] == ["a", 0, "p0"] or rng.random() < 0.6]
    (clip,) = read(written(tmp_path / "set.csv", [header(2, True, "label"), *kept])).clips
    expected = np.zeros_like(joints)
    for _, frame, person, joint, *numbers, _ in kept:
        expected[int(str(person)[1:]), frame, LAYOUT.index[str(joint)]] = numbers  # type: ignore[call-overload]
    np.testing.assert_array_equal(clip.joints, expected)
    assert 0.3 < np.mean(clip.joints[..., 2] == 0) < 0.5


def test_frames_may_be_any_numbers_and_joints_may_be_numbers(tmp_path: Path) -> None:
    joints = make_clips(1)["clip 0"][:, :4]
    numbers = [-40, 7, 1000, 10**12]
    rows = [
        [name, numbers[frame], person, LAYOUT.index[joint], *rest]
        for name, frame, person, joint, *rest in rows_of("a", joints, label=0)
    ]  # type: ignore[index,call-overload]
    (clip,) = read(written(tmp_path / "set.csv", [header(3, False, "label"), *reversed(rows)])).clips
    np.testing.assert_array_equal(clip.joints, joints)


def test_one_person_needs_no_column(tmp_path: Path) -> None:
    joints = make_clips(1)["clip 0"]
    table = [row[:2] + row[3:] for row in [header(3, False, "label"), *rows_of("a", joints, label="x")]]
    (clip,) = read(written(tmp_path / "set.csv", table)).clips
    np.testing.assert_array_equal(clip.joints, joints)


def test_a_table_of_a_spreadsheet_or_a_data_frame_is_read(tmp_path: Path) -> None:
    """Semicolons, a byte-order mark, capitals, spaces; a column of row numbers without a name, others that mean nothing, empty lines."""
    joints = make_clips(1)["clip 0"]
    table = [["", *header(3, False, "label"), "", "Comment"]]
    table += [[number, *row, "", "a;b"] for number, row in enumerate(rows_of("a", joints, label="sit down"))]
    path = written(tmp_path / "set.csv", table, delimiter=";")
    first, rest = path.read_text().split("\n", 1)
    path.write_text("\ufeff" + first.upper().replace(";", "; ") + "\r\n\r\n" + rest.replace(";", "; ") + "\r\n", newline="")
    found = read(path)
    np.testing.assert_array_equal(found.clips[0].joints, joints)
    assert found.classes == ("sit down",)


def test_labels_may_have_a_table_of_their_own(tmp_path: Path) -> None:
    clips = make_clips(8)
    (tmp_path / "b").mkdir()
    one, two = (
        written(tmp_path / "b" / f"{part}.csv", [header(), *(row for name in names for row in rows_of(name, clips[name]))])
        for part, names in (("one", list(clips)[:5]), ("two", list(clips)[5:]))
    )
    labels = [
        ["clip", "label", "subject", "camera"],
        *([name, "ab"[number % 2], number + 1, 3] for number, name in enumerate(clips)),
    ]
    written(tmp_path / "b" / "labels.csv", labels)
    elsewhere = written(tmp_path / "labels.csv", labels)
    for sources in ([tmp_path / "b"], [one, two], [one, elsewhere, two]):
        found = read(sources)
        assert not found.issues and [clip.name for clip in found.clips] == list(clips)
        assert found.labels() == {name: "ab"[number % 2] for number, name in enumerate(clips)}
        assert [clip.subject for clip in found.clips] == list(range(1, 9)) and found.clips[0].camera == 3
        assert list(found.source.benchmark.splits) == ["by-subject"]
        np.testing.assert_array_equal(found.clips[-1].joints, clips["clip 7"])


def test_sides_and_people_make_the_split(tmp_path: Path) -> None:
    clips = make_clips(6)
    rows = [
        row
        for number, (name, joints) in enumerate(clips.items())
        for row in rows_of(name, joints, label=0, subject=1 + number % 3)
    ]
    path = written(tmp_path / "set.csv", [header(3, False, "label", "subject"), *rows])
    assert list(read(path).source.benchmark.splits) == ["by-subject"]
    assert read(path, test_subjects=[2]).source.benchmark.expected == {"train": 4, "test": 2}
    sided = [[*row, "test" if str(row[0]) == "clip 3" else "train"] for row in rows]
    found = read(written(path, [header(3, False, "label", "subject", "split"), *sided])).source.benchmark
    assert found.expected == {"train": 5, "test": 1} and list(found.splits["as-given"]["test"]["name"]) == ["clip 3"]


def test_memory_holds_one_clip_at_a_time(tmp_path: Path) -> None:
    joints = np.round(make_clips(1, frames=100)["clip 0"], 4)
    path = tmp_path / "set.csv"
    for number in range(12):
        rows = rows_of(f"clip {number}", joints, label="x")
        with path.open("a", newline="") as file:
            csv.writer(file).writerows([header(3, False, "label"), *rows] if number == 0 else rows)
    peaks = {}
    for clips in (2, 12):
        shorter = tmp_path / f"{clips}.csv"
        shorter.write_text("\n".join(path.read_text().splitlines()[: 1 + 1700 * clips]))
        tracemalloc.start()
        try:
            source = open_source(
                "csv", [shorter], layout=LAYOUT, name="mine", classes=None, test_subjects=None, has_scores=False
            )
            assert sum(1 for _ in source.clips) == clips
            _, peaks[clips] = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peaks[12] < 1.5 * peaks[2]


# --- rows that are wrong ---------------------------------------------------------------------------------------------------


def bad_row(row: str) -> list[Sequence[object]]:
    """A clip of 17 good rows, in lines 104 to 120, and one more in line 121."""
    joints = make_clips(1, axes=2, frames=1)["clip 0"]
    return [*rows_of("bad", joints, label="wave", subject=1), row.split(",")]


@pytest.mark.parametrize(
    ("row", "kind", "message"),
    [
        ("bad,1,p0,nose,1,2,wave", "malformed", "line 121"),
        ("bad", "malformed", "line 121"),
        ("bad,1,p0,nose,1,2,wave,1,9", "malformed", "line 121"),
        (
            "bad,1,p0,tail,1,2,wave,1",
            "joint count",
            "line 121",
        ),
        ("bad,1,p0,17,1,2,wave,1", "joint count", "line 121"),
        ("bad,1,p0,-1,1,2,wave,1", "joint count", "line 121"),
        ("bad,1,p0,nose,one,2,wave,1", "malformed", "line 121"),
        ("bad,1,p0,nose,1,,wave,1", "malformed", "line 121"),
        ("bad,1,p0,nose,nan,2,wave,1", "not finite", "line 121"),
        ("bad,1,p0,nose,1,-inf,wave,1", "not finite", "line 121"),
        ("bad,1,p0,nose,1,1e99,wave,1", "not finite", "line 121"),
        ("bad,1.5,p0,nose,1,2,wave,1", "malformed", "line 121"),
        ("bad,99999999999999999999,p0,nose,1,2,wave,1", "malformed", "line 121"),
        ("bad,0,p0,nose,1,2,wave,1", "duplicate", "line 121"),
        ("bad,0,p0,0,1,2,wave,1", "duplicate", "line 121"),
        ("bad,1,p0,nose,1,2,sit,1", "malformed", "line 121"),
        ("bad,1,p0,nose,1,2,wave,2", "malformed", "line 121"),
        (
            "first,9,p0,nose,1,2,wave,1",
            "duplicate",
            "line 121",
        ),
    ],
)
def test_a_bad_row_is_a_fault_of_its_clip_with_the_line(row: str, kind: str, message: str, tmp_path: Path) -> None:
    found = read(written(tmp_path / "set.csv", two_clips(bad_row(row), "label", "subject")))
    wrong = row.split(",")[0]
    assert [clip.name for clip in found.clips] == [name for name in ("first", "bad", "last") if name != wrong]
    assert found.issues[wrong].kind == kind
    with pytest.raises(PoseglotError, match=message):
        raise PoseglotError(found.issues[wrong].message)


@pytest.mark.parametrize(("label", "subject", "message"), [("", 1, "line 104"), ("wave", "1.5", "'1.5'")])
def test_a_clip_without_what_it_needs_is_a_fault(label: str, subject: object, message: str, tmp_path: Path) -> None:
    rows = rows_of("bad", make_clips(1, axes=2)["clip 0"], label=label, subject=subject)
    found = read(written(tmp_path / "set.csv", two_clips(rows, "label", "subject")))
    assert [clip.name for clip in found.clips] == ["first", "last"] and found.issues["bad"].kind == "malformed"
    with pytest.raises(PoseglotError, match=message):
        raise PoseglotError(found.issues["bad"].message)


def test_a_clip_without_a_name_is_a_fault(tmp_path: Path) -> None:
    rows = rows_of("", make_clips(1, axes=2)["clip 0"], label="wave")
    assert read(written(tmp_path / "set.csv", two_clips(rows, "label"))).issues[""].kind == "malformed"


def test_people_numbered_by_mistake_are_a_fault_and_take_no_memory(tmp_path: Path) -> None:
    rows = [["bad", number, number, "nose", 1, 2, "wave"] for number in range(20_000)]
    tracemalloc.start()
    try:
        found = read(written(tmp_path / "set.csv", two_clips(rows, "label")))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.issues["bad"].kind == "body count" and "20,000 people x 20,000 frames" in found.issues["bad"].message
    assert peak < 40e6


def test_table_of_labels_and_files_are_held_against_each_other(tmp_path: Path) -> None:
    good = make_clips(1, axes=2)["clip 0"]
    path = written(tmp_path / "set.csv", [header(2), *rows_of("a", good), *rows_of("b", good), *rows_of("c", good)])
    (tmp_path / "labels.csv").write_text("clip,label\na,x\nc,\nd,x\nb2,x\n")
    found = read(path)
    assert [clip.name for clip in found.clips] == ["a"]
    assert {name: fault.kind for name, fault in found.issues.items()} == {
        "b": "malformed",  # not in the table
        "c": "malformed",  # without a label there
        "d": "empty",  # no rows
        "b2": "empty",
    }


# --- files that are wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", r"set\.csv"),
        (b"\n\n", r"set\.csv"),
        (b"clip,frame,joint,x\n", "'y'"),
        (b"frame,joint,x,y,label\n", "'clip'"),
        (b"clip,frame,joint,x,y,x\n", ""),
        (b"clip,frame,joint,x,y,label\n", r"set\.csv"),
        (b"clip,frame,joint,x,y\na,0,nose,1,2\n", r"labels\.csv"),
        (b"clip,frame,joint,x,y,label\n\xff,0,nose,1,2,a\n", ""),
        (b"clip,frame,joint,x,y,label\n" + b"a" * 200_000, ""),
    ],
    ids=["empty", "blank", "no y", "no clip", "x twice", "no rows", "no label", "no UTF-8", "huge field"],
)
def test_a_table_of_another_form_is_refused(content: bytes, match: str, tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_bytes(content)
    with pytest.raises(PoseglotError, match=match):
        read(tmp_path / "set.csv")


def test_files_that_are_not_there_or_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"gone\.csv"):
        read(tmp_path / "gone.csv")
    with pytest.raises(FileError):
        read(tmp_path)
    good = make_clips(1)["clip 0"]
    flat = written(tmp_path / "flat.csv", [header(2, False, "label"), *rows_of("a", good[..., :2], label=0)])
    deep = written(tmp_path / "deep.csv", [header(3, False, "label"), *rows_of("b", good, label=0)])
    with pytest.raises(FileError, match=r"deep\.csv"):
        read([flat, deep])


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_gzip_file_cut_short_is_refused(kept: float, tmp_path: Path) -> None:
    path = written(tmp_path / "set.csv.gz", [header(3, False, "label"), *rows_of("a", make_clips(1)["clip 0"], label=0)])
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(FileError, match=r"set\.csv"):
        read(path)
    path.write_bytes(b"clip,frame,joint,x,y\n")
    with pytest.raises(FileError, match=r"set\.csv"):
        read(path)


# --- a single clip ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".CSV"])
def test_a_file_of_one_clip_is_read(ending: str, tmp_path: Path) -> None:
    joints = make_clips(2, has_scores=True)["clip 1"]
    named = written(tmp_path / f"named{ending}", [header(3, True), *rows_of("take 5", joints)])
    clip = read_clip(named, layout=LAYOUT)
    assert (clip.name, clip.label, clip.has_scores) == ("take 5", -1, True)
    np.testing.assert_array_equal(clip.joints, joints)
    numbered = [
        [row[1], row[2], LAYOUT.index.get(str(row[3]), "joint"), *row[4:]] for row in [header(3, True), *rows_of("", joints)]
    ]
    clip = read_clip(written(tmp_path / f"mine{ending}", numbered), joint_count=17)
    assert clip.name == "mine"
    np.testing.assert_array_equal(clip.joints, joints)
    np.testing.assert_array_equal(read_clip(tmp_path / f"mine{ending}").joints, joints)


def test_what_is_not_one_clip_is_refused(tmp_path: Path) -> None:
    joints = make_clips(1)["clip 0"]
    path = written(tmp_path / "two.csv", [header(), *rows_of("a", joints), *rows_of("b", joints)])
    with pytest.raises(FileError, match=r"two\.csv"):
        read_clip(path, layout=LAYOUT)
    path = written(tmp_path / "one.csv", [header(), *rows_of("a", joints)])
    with pytest.raises(PoseglotError, match="line 2"):
        read_clip(path, joint_count=17)
    path.write_text("frame,joint,x,y\n0,999999999,1,2\n")
    with pytest.raises(PoseglotError, match="'999999999'"):
        read_clip(path)
    path.write_text("frame,joint,x,y\n")
    with pytest.raises(PoseglotError):
        read_clip(path)


def test_columns_that_are_not_used_are_named(tmp_path: Path) -> None:
    joints = make_clips(1)
    rows = [row for name, clip in joints.items() for row in rows_of(name, clip, label="a", confidence="0.5", Zone="x")]
    read_note = read(written(tmp_path / "a.csv", [header(3, False, "label", "confidence", "Zone"), *rows])).source.notes
    assert read_note == ("columns that are not used: confidence, zone (the confidence in a joint is called score)",)
    plain = [row for name, clip in joints.items() for row in rows_of(name, clip, label="a")]
    assert read(written(tmp_path / "b.csv", [header(3, False, "label"), *plain])).source.notes == ()


@pytest.mark.parametrize("column", ["frame", "x"])
def test_underscores_make_no_number(column: str, tmp_path: Path) -> None:
    """Python takes `3_0` for 30."""
    rows = [header(2), *rows_of("a", make_clips(1, axes=2)["clip 0"])]
    rows[5][rows[0].index(column)] = "3_0"
    with pytest.raises(PoseglotError, match="line 6"):
        read_clip(written(tmp_path / "a.csv", rows), LAYOUT)
