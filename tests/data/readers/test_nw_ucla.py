"""NW-UCLA's reader: the real zip, the same files unpacked, and every way a source can be wrong."""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.data.quality.issues import ClipError, ClipIssue
from poseglot.data.readers.nw_ucla import parse_clip, read_source
from poseglot.errors import FileError
from poseglot.skeletons.clip import Clip

NAME = "a08_s03_e01_v02"  # action 8 has label 7 in the file


@pytest.fixture(scope="module")
def real_zip(shared: Path) -> Path:
    return shared / "data" / "nw-ucla" / "all_sqe.zip"


@pytest.fixture(scope="module")
def real_clips(real_zip: Path) -> list[Clip]:
    clips = list(read_source(real_zip))
    assert all(isinstance(clip, Clip) for clip in clips)
    return clips  # type: ignore[return-value]


def content(**changed: object) -> dict[str, Any]:
    joints = np.random.default_rng(0).normal(size=(6, 20, 3)).round(4).tolist()
    return {"file_name": NAME, "skeletons": joints, "label": 7} | changed


def zipped(path: Path, members: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


# --- the real data ---------------------------------------------------------------------------------------------------------


def test_real_set_has_the_known_counts(real_clips: list[Clip]) -> None:
    assert len(real_clips) == len({clip.name for clip in real_clips}) == 1484
    cameras = Counter(clip.camera for clip in real_clips)
    assert cameras[1] + cameras[2] == 1020 and cameras[3] == 464 and set(cameras) == {1, 2, 3}
    lengths = [clip.joints.shape[1] for clip in real_clips]
    assert (min(lengths), max(lengths), np.median(lengths)) == (1, 201, 31)
    assert [clip.name for clip in real_clips] == sorted(clip.name for clip in real_clips)


def test_real_clips_are_as_their_names_say(real_clips: list[Clip]) -> None:
    labels = {1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 8: 6, 9: 7, 11: 8, 12: 9}
    for clip in real_clips:
        action, subject, camera = int(clip.name[1:3]), int(clip.name[5:7]), int(clip.name[13:15])
        assert (clip.label, clip.subject, clip.camera) == (labels[action], subject, camera), clip.name
        assert clip.joints.dtype == np.float32 and clip.joints.shape[0] == 1 and clip.joints.shape[2:] == (20, 3)
    assert {clip.label for clip in real_clips} == set(range(10))


def test_real_joints_are_the_numbers_in_the_file(real_clips: list[Clip], real_zip: Path) -> None:
    with zipfile.ZipFile(real_zip) as archive:
        for clip in real_clips[::200]:
            table = json.loads(archive.read(f"all_sqe/{clip.name}.json"))
            np.testing.assert_array_equal(clip.joints[0], np.array(table["skeletons"]).astype(np.float32))


def test_recorded_labels_are_those_of_the_reader(real_clips: list[Clip], shared: Path) -> None:
    with np.load(shared / "golden" / "nwucla_scores.npz") as golden:
        recorded = dict(zip(golden["names"].tolist(), golden["label"].tolist(), strict=True))
    assert {clip.name: clip.label for clip in real_clips if clip.camera == 3} == recorded


def test_folder_and_zip_give_the_same_clips(real_clips: list[Clip], real_zip: Path, tmp_path: Path) -> None:
    some = real_clips[::150]
    with zipfile.ZipFile(real_zip) as archive:
        for clip in some:
            archive.extract(f"all_sqe/{clip.name}.json", tmp_path)
    (tmp_path / "all_sqe" / "notes.json").write_text("not a clip, not read")
    (tmp_path / "readme.txt").write_text("neither")
    for folder in (tmp_path, tmp_path / "all_sqe"):
        for read, clip in zip(read_source(folder), some, strict=True):
            assert isinstance(read, Clip)
            assert (read.name, read.label, read.subject, read.camera) == (clip.name, clip.label, clip.subject, clip.camera)
            np.testing.assert_array_equal(read.joints, clip.joints)


# --- a source that is wrong ------------------------------------------------------------------------------------------------


def test_zip_is_read_whatever_its_folders_and_what_else_is_in_it(tmp_path: Path) -> None:
    members = {"__MACOSX/x/._a01_s01_e00_v01.json": b"\x00", "x/": "", "x/notes.json": "{}"}
    (clip,) = read_source(zipped(tmp_path / "a.zip", {**members, f"x/y/{NAME}.json": json.dumps(content())}))
    assert isinstance(clip, Clip) and (clip.name, clip.label, clip.subject, clip.camera) == (NAME, 6, 3, 2)


def test_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nowhere\.zip"):
        list(read_source(tmp_path / "nowhere.zip"))


@pytest.mark.parametrize("garbage", [b"", b"hello, I am no zip", b"PK\x03\x04 but nothing else"], ids=repr)
def test_file_that_is_no_zip_is_refused(garbage: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(garbage)
    with pytest.raises(FileError, match=r"a\.zip"):
        list(read_source(path))


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.999])
def test_zip_cut_short_is_refused(kept: float, real_zip: Path, tmp_path: Path) -> None:
    whole = real_zip.read_bytes()
    path = tmp_path / "a.zip"
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(FileError, match=r"a\.zip"):
        list(read_source(path))


@pytest.mark.parametrize("where", ["the local header", "the data"])
def test_zip_with_a_damaged_member_is_refused(where: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {f"x/a08_s0{number}_e00_v01.json": json.dumps(content()) for number in (1, 2, 3)})
    with zipfile.ZipFile(path) as archive:
        second = archive.infolist()[1]
    damaged = bytearray(path.read_bytes())
    start = second.header_offset + (0 if where == "the local header" else 30 + len(second.filename) + second.compress_size // 2)
    for place in range(start, start + 4):
        damaged[place] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(FileError, match=r"a\.zip"):
        list(read_source(path))


def test_source_without_clips_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "empty", zipped(tmp_path / "a.zip", {"notes.json": "{}", "a1_s1_e0_v1.json": "{}"})):
        with pytest.raises(FileError, match=r"a01_s01_e00_v01\.json"):
            list(read_source(source))


@pytest.mark.parametrize("label", [8, 0, 11, None, "7", True, 7.0])
def test_label_that_does_not_fit_the_name_is_refused(label: object, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.json").write_text(json.dumps(content(label=label)))
    (fault,) = read_source(tmp_path)
    assert isinstance(fault, ClipIssue) and (fault.name, fault.kind) == (NAME, "malformed")
    assert re.search(rf"{NAME}\.json: label .* does not fit action 8 in its name", fault.message)


def test_action_that_the_set_does_not_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a07_s01_e00_v01.json").write_text(json.dumps(content()))
    (fault,) = read_source(tmp_path)
    assert isinstance(fault, ClipIssue) and "does not fit action 7" in fault.message


def test_wrong_number_of_joints_names_the_file(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.json").write_text(json.dumps(content(skeletons=np.zeros((4, 25, 3)).tolist())))
    (tmp_path / "a09_s01_e00_v01.json").write_text(json.dumps(content())[:-30])
    fault, cut = read_source(tmp_path)
    assert isinstance(fault, ClipIssue) and (fault.name, fault.kind) == (NAME, "joint count")
    assert f"{NAME}.json: 25 joints in a frame, but the layout has 20" in fault.message
    assert isinstance(cut, ClipIssue) and (cut.name, cut.kind) == ("a09_s01_e00_v01", "cut short")


# --- one file --------------------------------------------------------------------------------------------------------------


def test_one_file_may_have_any_name_layout_and_no_label() -> None:
    table = content(skeletons=np.ones((3, 25, 3)).tolist())
    del table["label"], table["file_name"]
    clip = parse_clip(json.dumps(table).encode(), origin="here/mine.json", joint_count=25)
    assert (clip.name, clip.label, clip.joints.shape) == ("mine", -1, (1, 3, 25, 3))
    named = parse_clip(json.dumps(content()).encode(), origin="here/mine.json")
    assert (named.name, named.label) == (NAME, 6)


@pytest.mark.parametrize("kept", [0, 1, 40, -1])
def test_json_cut_short_is_refused(kept: int) -> None:
    text = json.dumps(content()).encode()
    with pytest.raises(ClipError, match=r"one\.json"):
        parse_clip(text[:kept], origin="one.json")


@pytest.mark.parametrize("text", [b"[]", b"3", b"null", b'"skeletons"', b"{}", b'{"joints": []}'])
def test_json_without_skeletons_is_refused(text: bytes) -> None:
    with pytest.raises(ClipError, match=r"one\.json"):
        parse_clip(text, origin="one.json")


def test_bytes_that_are_no_text_and_endless_nesting_are_refused() -> None:
    for text in (b"\x80\x81\x82", b"[" * 200_000):
        with pytest.raises(ClipError, match=r"one\.json"):
            parse_clip(text, origin="one.json")


@pytest.mark.parametrize(
    ("skeletons", "message"),
    [
        ([], r"\(0,\)"),
        ([[], []], r"\(2, 0\)"),
        (None, ""),
        ([[[0.0, 1.0, 2.0]] * 20, [[0.0, 1.0, 2.0]] * 19], ""),
        ([[[0.0, 1.0, 2.0]] * 19 + [[0.0, 1.0]]], ""),
        ([[[0.0, 1.0]] * 20 + [[float("nan"), 1.0]]], "0"),
        ([[[0.0, float("inf")]] * 20], "0"),
        ({"0": [[0.0, 1.0, 2.0]]}, ""),
    ],
    ids=["no frames", "empty frames", "null", "joints differ", "coordinates differ", "NaN", "infinity", "a dict"],
)
def test_bad_joints_name_the_file_and_the_place(skeletons: object, message: str) -> None:
    with pytest.raises(ClipError, match=rf"{message}"):
        parse_clip(json.dumps(content(skeletons=skeletons)).encode(), origin="one.json")


def test_a_zip_without_a_folder_in_it_is_read(real_zip: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(real_zip) as archive, zipfile.ZipFile(tmp_path / "flat.zip", "w") as flat:
        for name in archive.namelist()[:3]:
            flat.writestr(Path(name).name, archive.read(name))
    assert [clip.name for clip in read_source(tmp_path / "flat.zip")] == [
        "a01_s01_e00_v01",
        "a01_s01_e00_v02",
        "a01_s01_e00_v03",
    ]
