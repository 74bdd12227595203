"""Recordings in zips and folders: which are found, what is left out and why, and zips that are broken in every way."""

from __future__ import annotations

import bz2
import os
import pickle
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poseglot.data.quality.issues import KINDS, ClipIssue
from poseglot.data.readers.ntu import parse_clip, read_clip
from poseglot.data.readers.ntu.archive import INCOMPLETE, MAX_SIZE, OTHER_CLASSES, Index, index_sources, read_members
from poseglot.data.synthetic.raw_ntu import raw_names, write_raw_set
from poseglot.errors import FileError, PoseglotError
from poseglot.skeletons.clip import Clip
from tests.data.readers.ntu.helpers import NAME, joints_of, real_files, text_of

OTHER, THIRD = "S001C002P003R001A012", "S018C001P041R002A106"
KNOWN_INCOMPLETE = "S001C002P005R002A008"
TEXT = text_of([{"1": joints_of(0), "2": joints_of(1)}, {"1": joints_of(2)}])
Change = Callable[[zipfile.ZipInfo], object]


def zipped(
    path: Path, members: dict[str, bytes] | Sequence[str], *, method: int = zipfile.ZIP_DEFLATED, change: Change | None = None
) -> Path:
    """A zip of these members (or recordings named so); `change` falsifies what its list says of the first."""
    members = members if isinstance(members, dict) else {f"{name}.skeleton": TEXT for name in members}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
        if change is not None:
            change(archive.infolist()[0])
            archive.comment = b"changed"  # so that the list is written anew
    return path


def folder(path: Path, names: Sequence[str]) -> Path:
    path.mkdir(parents=True)
    for name in names:
        (path / f"{name}.skeleton").write_bytes(TEXT)
    return path


def names(index: Index) -> list[str]:
    return [member.name for member in index.members]


class Pipe:
    """A file that can only be written on and on."""

    def __init__(self, file: BinaryIO) -> None:
        self.write, self.flush = file.write, file.flush


def only(found: Sequence[Clip | ClipIssue]) -> Clip | ClipIssue:
    (one,) = found
    return one


def assert_clip(found: Clip | ClipIssue, name: str = NAME) -> None:
    assert isinstance(found, Clip), found
    wanted = parse_clip(TEXT, name=name, origin="f")
    assert (found.name, found.label, found.subject, found.camera, found.setup) == (
        name,
        wanted.label,
        wanted.subject,
        wanted.camera,
        wanted.setup,
    )
    np.testing.assert_array_equal(found.joints, wanted.joints)


def assert_refused(source: Path, match: str) -> None:
    """One member, which is listed and then not read, with a reason."""
    index = index_sources([source], classes=60)
    assert names(index) == [NAME] and not index.issues
    fault = only(read_members(index.members))
    assert isinstance(fault, ClipIssue) and fault.kind == "unreadable" and fault.name == NAME
    assert fault.origin == f"{source}:{NAME}.skeleton" and match in fault.message


# --- what is found ---------------------------------------------------------------------------------------------------------


def test_a_clip_of_a_file(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.skeleton").write_bytes(TEXT)
    clip = read_clip(tmp_path / f"{NAME}.skeleton")
    assert_clip(clip)
    assert (clip.label, clip.subject, clip.camera, clip.setup, clip.has_scores) == (10, 3, 2, 1, False)


def test_a_clip_of_a_file_with_another_name_has_no_label(tmp_path: Path) -> None:
    (tmp_path / "mine.skeleton").write_bytes(TEXT)
    clip = read_clip(str(tmp_path / "mine.skeleton"))
    assert (clip.name, clip.label, clip.subject, clip.camera, clip.setup) == ("mine", -1, 0, 0, 0)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.skeleton", tmp_path):
        with pytest.raises(FileError):
            read_clip(path)


def test_members_of_zips_are_the_files_themselves(shared: Path, tmp_path: Path) -> None:
    files = real_files(shared)[:6]
    source = zipped(tmp_path / "a.zip", {f"nturgb+d_skeletons/{path.name}": path.read_bytes() for path in files})
    index = index_sources([source], classes=60)
    assert names(index) == sorted(path.stem for path in files) and not index.issues and not index.skipped
    by_name = {path.stem: path for path in files}
    for found in read_members(index.members):
        assert isinstance(found, Clip)
        wanted = read_clip(by_name[found.name])
        np.testing.assert_array_equal(found.joints, wanted.joints)
        assert (found.label, found.subject, found.camera, found.setup) == (
            wanted.label,
            wanted.subject,
            wanted.camera,
            wanted.setup,
        )


@pytest.mark.parametrize("form", ["raw.zip", "raw"])
def test_a_synthetic_set_is_found_whole(form: str, tmp_path: Path) -> None:
    written = write_raw_set(tmp_path / form, files=8, seed=3, benchmark="ntu60", faults=())
    index = index_sources([tmp_path / form], classes=60)
    assert sorted(names(index) + index.skipped.get(INCOMPLETE, [])) == written == raw_names(8, seed=3, benchmark="ntu60")
    assert all(isinstance(found, Clip) for found in read_members(index.members))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_stored_and_deflated_members(method: int, tmp_path: Path) -> None:
    source = zipped(tmp_path / "a.zip", [NAME, OTHER], method=method)
    first, second = read_members(index_sources([source], classes=60).members)
    assert_clip(first)
    assert_clip(second, OTHER)


def test_a_zip_in_the_form_for_large_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    source = zipped(tmp_path / "a.zip", [OTHER, NAME])
    monkeypatch.undo()
    assert b"PK\x06\x06" in source.read_bytes()  # the list's end in that form
    first, second = read_members(index_sources([source], classes=60).members)
    assert_clip(first)
    assert_clip(second, OTHER)


def test_a_zip_written_to_a_pipe_and_one_behind_a_program(tmp_path: Path) -> None:
    with (
        (tmp_path / "a.zip").open("wb") as file,
        zipfile.ZipFile(cast(BinaryIO, Pipe(file)), "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        archive.writestr(f"{NAME}.skeleton", TEXT)  # its sizes stand behind it
    assert_clip(only(read_members(index_sources([tmp_path / "a.zip"], classes=60).members)))
    (tmp_path / "b.zip").write_bytes(b"#!/bin/sh\nexit\n" + zipped(tmp_path / "c.zip", [NAME]).read_bytes())
    assert_clip(only(read_members(index_sources([tmp_path / "b.zip"], classes=60).members)))


def test_folders_within_folders_and_what_else_lies_there(tmp_path: Path) -> None:
    folder(tmp_path / "a" / "b" / "c", [NAME])
    folder(tmp_path / "a" / "d", [OTHER])
    (tmp_path / "a" / f"._{NAME}.skeleton").write_bytes(b"\x00")
    (tmp_path / "a" / "readme.txt").write_text("hello")
    (tmp_path / "a" / f"{NAME}.skeleton.part").write_bytes(b"")
    index = index_sources([tmp_path / "a"], classes=60)
    assert names(index) == [NAME, OTHER] and not index.issues and not index.skipped
    first, second = read_members(index.members)
    assert_clip(first)
    assert_clip(second, OTHER)


def test_a_zip_with_folders_and_the_traces_of_a_mac(tmp_path: Path) -> None:
    members = {
        "a/": b"",
        "a/b c/": b"",
        f"a/b c/{NAME}.skeleton": TEXT,
        f"__MACOSX/a/b c/._{NAME}.skeleton": b"\x00\x05\x16\x07",
        "__MACOSX/._a": b"",
        "a/.DS_Store": b"",
        "a/readme.txt": b"hello",
        f"{OTHER}.skeleton.bak": TEXT,
        f"{OTHER}.txt": TEXT,
    }
    index = index_sources([zipped(tmp_path / "a.zip", members)], classes=60)
    assert names(index) == [NAME] and not index.issues and not index.skipped
    assert_clip(only(read_members(index.members)))


def test_zips_and_folders_at_once_in_the_order_of_names(tmp_path: Path) -> None:
    zips = [zipped(tmp_path / "z.zip", [OTHER]), zipped(tmp_path / "a.zip", [THIRD])]
    sources = [*zips, folder(tmp_path / "m", [NAME])]
    index = index_sources(sources, classes=120)
    assert names(index) == [NAME, OTHER, THIRD] and not index.issues
    for found, name in zip(read_members(index.members), names(index), strict=True):
        assert_clip(found, name)
    assert [only(read_members([member])).name for member in reversed(index.members)] == [THIRD, OTHER, NAME]


def test_members_go_to_other_processes(tmp_path: Path) -> None:
    index = index_sources([zipped(tmp_path / "a.zip", [NAME])], classes=60)
    assert pickle.loads(pickle.dumps(index.members)) == index.members


# --- what is left out ------------------------------------------------------------------------------------------------------


def test_known_incomplete_recordings_and_other_classes_are_skipped(tmp_path: Path) -> None:
    source = zipped(tmp_path / "a.zip", [THIRD, NAME, KNOWN_INCOMPLETE, "S001C001P001R001A061", "S001C001P001R001A060"])
    index = index_sources([source], classes=60)
    assert names(index) == ["S001C001P001R001A060", NAME] and not index.issues
    assert index.skipped == {INCOMPLETE: [KNOWN_INCOMPLETE], OTHER_CLASSES: ["S001C001P001R001A061", THIRD]}
    assert names(index_sources([source], classes=120)) == ["S001C001P001R001A060", "S001C001P001R001A061", NAME, THIRD]


def test_other_names_are_faults(tmp_path: Path) -> None:
    strange = ["notes", "S001C001P001R001A000", "S001C001P001R001A001 (1)", "s001c001p001r001a001", "S1C1P1R1A1"]
    index = index_sources([zipped(tmp_path / "a.zip", [NAME, *strange])], classes=60)
    assert names(index) == [NAME]
    assert {fault.name: fault.kind for fault in index.issues} == dict.fromkeys(strange, "malformed")
    assert all("is not named like a recording" in fault.message and "a.zip:" in fault.message for fault in index.issues)


def test_recordings_that_are_there_twice_are_taken_once(tmp_path: Path) -> None:
    sources = [
        zipped(tmp_path / "b.zip", [NAME, OTHER]),
        zipped(tmp_path / "a.zip", [NAME]),
        folder(tmp_path / "c", [NAME, THIRD]),
    ]
    index = index_sources(sources, classes=120)
    assert names(index) == [NAME, OTHER, THIRD]
    assert [(fault.name, fault.kind) for fault in index.issues] == [(NAME, "duplicate")] * 2
    taken = index.members[0].origin
    assert all(f"{taken} is taken" in fault.message and fault.origin != taken for fault in index.issues)
    # The first source's is taken.
    assert taken.startswith(str(tmp_path / "b.zip"))
    other_way = index_sources(sources[::-1], classes=120)
    assert names(other_way) == names(index) and other_way.members[0].source.startswith(str(tmp_path / "c"))
    assert other_way.fingerprint != index.fingerprint


def test_recordings_that_are_skipped_are_listed_once(tmp_path: Path) -> None:
    sources = [zipped(tmp_path / f"{name}.zip", [NAME, KNOWN_INCOMPLETE, THIRD]) for name in "ab"]
    index = index_sources(sources, classes=60)
    assert index.skipped == {INCOMPLETE: [KNOWN_INCOMPLETE], OTHER_CLASSES: [THIRD]}


def test_the_same_source_twice_is_the_source(tmp_path: Path) -> None:
    source = zipped(tmp_path / "a.zip", [NAME, OTHER])
    assert names(index_sources([source, source], classes=60)) == [NAME, OTHER]


def test_a_member_named_like_a_folder_is_no_recording_that_stops_others(tmp_path: Path) -> None:
    folder(tmp_path / "a", [NAME])
    (tmp_path / "a" / f"{OTHER}.skeleton").mkdir()
    source = zipped(tmp_path / "a.zip", {f"{NAME}.skeleton": TEXT, f"{OTHER}.skeleton/": b""})
    for one in (tmp_path / "a", source):
        found = read_members(index_sources([one], classes=60).members)
        assert_clip(found[0])
        assert all(isinstance(other, ClipIssue) for other in found[1:])


# --- sources that are wrong ------------------------------------------------------------------------------------------------


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nowhere\.zip"):
        index_sources([zipped(tmp_path / "a.zip", [NAME]), tmp_path / "nowhere.zip"], classes=60)


@pytest.mark.parametrize(
    "content", [b"", b"hello, I am no zip", b"PK\x03\x04 but nothing else", b"PK\x05\x06" + bytes(17)], ids=repr
)
def test_what_is_no_zip_is_a_fault_and_the_others_are_read(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(content)
    index = index_sources([tmp_path / "b.zip", zipped(tmp_path / "a.zip", [NAME])], classes=60)
    assert names(index) == [NAME]
    (fault,) = index.issues
    assert fault.kind == "unreadable" and fault.name == "b.zip" and "not a whole zip" in fault.message
    with pytest.raises(FileError, match=r"b\.zip"):
        index_sources([tmp_path / "b.zip"], classes=60)


def test_sources_without_recordings(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "empty", zipped(tmp_path / "empty.zip", {}), zipped(tmp_path / "notes.zip", {"notes.txt": b""})):
        with pytest.raises(FileError):
            index_sources([source], classes=60)
        index = index_sources([source, zipped(tmp_path / "a.zip", [NAME])], classes=60)
        assert names(index) == [NAME] and [fault.kind for fault in index.issues] == ["empty"]


def test_nothing_left_says_what_was_left_out(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"a\.zip"):
        index_sources([zipped(tmp_path / "a.zip", [KNOWN_INCOMPLETE, THIRD, "S001C001P001R001A120"])], classes=60)


def test_a_single_file_is_not_called_a_broken_zip(tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}.skeleton"
    path.write_bytes(TEXT)
    try:
        index = index_sources([path], classes=60)
    except PoseglotError as error:
        assert "fetch it again" not in str(error)  # noqa: PT017
    else:
        assert names(index) == [NAME]


def test_a_dead_link_does_not_hide_the_rest_of_its_folder(tmp_path: Path) -> None:
    folder(tmp_path / "a", [NAME])
    (tmp_path / "a" / f"{OTHER}.skeleton").symlink_to(tmp_path / "gone.skeleton")
    index = index_sources([tmp_path / "a"], classes=60)
    assert_clip(read_members(index.members)[0])


# --- zips that are broken --------------------------------------------------------------------------------------------------


def test_a_damaged_member_is_a_fault_and_the_others_are_read(tmp_path: Path) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        source = zipped(tmp_path / "a.zip", [NAME, OTHER], method=method)
        with zipfile.ZipFile(source) as archive:
            info = archive.getinfo(f"{NAME}.skeleton")
        content = bytearray(source.read_bytes())
        content[info.header_offset + 30 + len(info.filename) + info.compress_size // 2] ^= 0x10
        source.write_bytes(content)
        first, second = read_members(index_sources([source], classes=60).members)
        assert isinstance(first, ClipIssue) and first.kind == "unreadable" and "fetch it again" in first.message
        assert_clip(second, OTHER)


def test_a_checksum_that_differs(tmp_path: Path) -> None:
    def change(info: zipfile.ZipInfo) -> None:
        info.CRC ^= 1

    assert_refused(zipped(tmp_path / "a.zip", [NAME], change=change), "checksum differs")


def test_an_encrypted_member(tmp_path: Path) -> None:
    def change(info: zipfile.ZipInfo) -> None:
        info.flag_bits |= 1

    assert_refused(zipped(tmp_path / "a.zip", [NAME], change=change), "is encrypted")


def test_members_packed_in_other_ways(tmp_path: Path) -> None:
    assert bz2  # the module this method needs is part of Python here
    assert_refused(zipped(tmp_path / "a.zip", [NAME], method=zipfile.ZIP_BZIP2), "is packed by method 12")
    assert_refused(zipped(tmp_path / "b.zip", [NAME], method=zipfile.ZIP_LZMA), "is packed by method 14")


@pytest.mark.parametrize("size", [len(TEXT) - 1, len(TEXT) + 1, 0, 2 * len(TEXT)])
def test_another_size_than_the_list_says(size: int, tmp_path: Path) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        source = zipped(tmp_path / "a.zip", [NAME], method=method, change=lambda info: setattr(info, "file_size", size))
        assert_refused(source, "is damaged")


@pytest.mark.parametrize("size", [MAX_SIZE + 1, 100 * 2**30, 2**62])
def test_a_member_that_claims_too_much_is_refused_unread(size: int, tmp_path: Path) -> None:
    source = zipped(tmp_path / "a.zip", [NAME], change=lambda info: setattr(info, "file_size", size))
    index = index_sources([source], classes=60)
    source.unlink()
    fault = only(read_members(index.members))
    assert isinstance(fault, ClipIssue) and fault.kind == "unreadable" and f"{size:,} bytes" in fault.message


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with (tmp_path / "a" / f"{NAME}.skeleton").open("wb") as file:
        file.truncate(MAX_SIZE + 1)  # takes no room on the disk
    fault = only(read_members(index_sources([tmp_path / "a"], classes=60).members))
    assert isinstance(fault, ClipIssue) and fault.kind == "unreadable" and f"{MAX_SIZE + 1:,} bytes" in fault.message


def test_a_member_that_unpacks_to_more_than_it_claims(tmp_path: Path) -> None:
    bomb = zipped(tmp_path / "a.zip", {f"{NAME}.skeleton": bytes(2**24)}, change=lambda info: setattr(info, "file_size", 1000))
    members = index_sources([bomb], classes=60).members
    tracemalloc.start()
    fault = only(read_members(members))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(fault, ClipIssue) and fault.kind == "unreadable" and "is damaged" in fault.message
    assert most < 2**20


@pytest.mark.parametrize("packed", [0, 1, 2**32 - 2, 100 * 2**30, 2**50, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_member_that_claims_to_take_much_room(packed: int, tmp_path: Path) -> None:
    """It may be read if all else is right, or refused; it must not take that much memory, nor stop the others."""
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        source = zipped(
            tmp_path / "a.zip", [NAME, OTHER], method=method, change=lambda info: setattr(info, "compress_size", packed)
        )
        first, second = read_members(index_sources([source], classes=60).members)
        if isinstance(first, ClipIssue):
            assert first.kind == "unreadable"
        else:
            assert_clip(first)
        assert_clip(second, OTHER)


@pytest.mark.parametrize("offset", [1, 10**6, 2**32, 2**62, 2**63, 2**64 - 1])
def test_a_member_that_is_not_where_the_list_says(offset: int, tmp_path: Path) -> None:
    source = zipped(tmp_path / "a.zip", [NAME, OTHER], change=lambda info: setattr(info, "header_offset", offset))
    index = index_sources([source], classes=60)
    if names(index) == [NAME, OTHER]:  # the list of a zip may be refused as a whole for it
        first, second = read_members(index.members)
        assert isinstance(first, ClipIssue) and first.kind == "unreadable"
        assert_clip(second, OTHER)


def test_a_zip_of_a_later_form_is_a_fault(tmp_path: Path) -> None:
    """zipfile calls that NotImplementedError."""
    source = zipped(tmp_path / "a.zip", [NAME], change=lambda info: setattr(info, "extract_version", 99))
    index = index_sources([source, zipped(tmp_path / "b.zip", [OTHER])], classes=60)
    assert OTHER in names(index)
    assert all(fault.kind == "unreadable" for fault in index.issues)


def test_a_zip_that_is_cut_anywhere(tmp_path: Path) -> None:
    whole = zipped(tmp_path / "a.zip", [NAME, OTHER]).read_bytes()
    path = tmp_path / "b.zip"
    for kept in [*range(60), *range(60, len(whole) - 250, 97), *range(len(whole) - 250, len(whole))]:
        path.write_bytes(whole[:kept])
        with pytest.raises(FileError, match=r"b\.zip"):
            index_sources([path], classes=60)


def test_sources_that_vanish_after_they_were_listed(tmp_path: Path) -> None:
    index = index_sources([zipped(tmp_path / "a.zip", [NAME]), folder(tmp_path / "b", [OTHER])], classes=60)
    (tmp_path / "a.zip").write_bytes(b"")
    shutil.rmtree(tmp_path / "b")
    for found in read_members(index.members):
        assert isinstance(found, ClipIssue) and found.kind == "unreadable"


def test_what_is_wrong_with_a_text_keeps_its_kind_and_says_where(tmp_path: Path) -> None:
    texts = {NAME: TEXT[:-100], OTHER: b"", THIRD: TEXT.replace(b"\n25\n", b"\n24\n")}
    source = zipped(tmp_path / "a.zip", {f"x/{name}.skeleton": text for name, text in texts.items()})
    found = read_members(index_sources([source], classes=120).members)
    kinds = [(one.name, one.kind) for one in found if isinstance(one, ClipIssue)]
    assert kinds == [(NAME, "cut short"), (OTHER, "empty"), (THIRD, "joint count")]
    for one in found:
        assert (
            isinstance(one, ClipIssue)
            and one.origin == f"{source}:x/{one.name}.skeleton"
            and one.message.startswith(one.origin)
        )


BROKEN_ZIP_SEEDS = {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED}


@pytest.mark.parametrize("method", BROKEN_ZIP_SEEDS)
def test_zips_with_random_bytes_changed(method: str, tmp_path: Path) -> None:
    """Listed and read, or refused with a reason; and what is read is what was packed."""
    whole = zipped(tmp_path / "a.zip", [NAME, OTHER], method=BROKEN_ZIP_SEEDS[method]).read_bytes()
    list_start = whole.index(b"PK\x01\x02")
    path = tmp_path / "b.zip"

    place = st.integers(0, len(whole) - 1) | st.integers(list_start, len(whole) - 1) | st.integers(0, 60)

    @settings(derandomize=True, deadline=None, max_examples=150)
    @given(st.lists(st.tuples(place, st.integers(0, 255)), min_size=1, max_size=4))
    def check(changes: list[tuple[int, int]]) -> None:
        content = bytearray(whole)
        for at, byte in changes:
            content[at] = byte
        path.write_bytes(content)
        try:
            index = index_sources([path], classes=999)
        except PoseglotError:
            return
        for found in read_members(index.members):
            if isinstance(found, ClipIssue):
                assert found.kind in KINDS
            else:
                assert_clip(found, found.name)

    check()


# --- the fingerprint -------------------------------------------------------------------------------------------------------


def fingerprint(*sources: Path) -> str:
    return index_sources(sources, classes=60).fingerprint


def test_the_fingerprint_stays_while_the_files_do(tmp_path: Path) -> None:
    sources = [zipped(tmp_path / "a.zip", [NAME]), folder(tmp_path / "b", [OTHER])]
    first = fingerprint(*sources)
    assert first and first == fingerprint(*sources) == fingerprint(*sources[::-1])
    os.utime(sources[0], (1, 1))  # what counts in a zip is its list
    assert fingerprint(*sources) == first
    (tmp_path / "b" / "readme.txt").write_text("no recording")
    assert fingerprint(*sources) == first


def test_the_fingerprint_changes_with_the_files(tmp_path: Path) -> None:
    def of(**members: bytes) -> str:
        return fingerprint(zipped(tmp_path / "a.zip", {f"{name}.skeleton": text for name, text in members.items()}))

    changed = TEXT.replace(b"276.1", b"276.2", 1)
    assert len(changed) == len(TEXT)
    different = [
        of(**{NAME: TEXT}),
        of(**{NAME: changed}),  # of the same size
        of(**{NAME: TEXT + b"\n"}),
        of(**{OTHER: TEXT}),
        of(**{NAME: TEXT, OTHER: TEXT}),
    ]
    assert len(set(different)) == len(different)


def test_the_fingerprint_of_a_folder_changes_with_a_file(tmp_path: Path) -> None:
    source = folder(tmp_path / "a", [NAME, OTHER])
    first = fingerprint(source)
    path = source / f"{NAME}.skeleton"
    path.write_bytes(TEXT + b"\n")
    second = fingerprint(source)
    os.utime(path, (1, 1))  # of the same size, changed at another time
    third = fingerprint(source)
    path.unlink()
    assert len({first, second, third, fingerprint(source)}) == 4
