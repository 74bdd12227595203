"""Zips: what they claim is checked before anything is unpacked."""

from __future__ import annotations

import shutil
import struct
import zipfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from poseglot.errors import FileError
from poseglot.zips import load_arrays, open_zip, unpack

pytestmark = pytest.mark.base


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"a" * 100_000)
        archive.writestr("b.txt", b"b")
    return path


def test_what_is_packed_is_unpacked(packed: Path, tmp_path: Path) -> None:
    unpack(packed, tmp_path / "all")
    assert (tmp_path / "all" / "a.txt").read_bytes() == b"a" * 100_000
    unpack(packed, tmp_path / "one", ["b.txt"])
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["b.txt"]


@pytest.mark.parametrize("claim", [10**9, 2**32 - 2])
def test_a_member_that_claims_more_than_it_can_hold_is_refused(packed: Path, claim: int) -> None:
    content = bytearray(packed.read_bytes())
    place = content.rindex(b"PK\x01\x02")  # of b.txt, in the directory at the end
    content[place + 24 : place + 28] = struct.pack("<I", claim)
    packed.write_bytes(content)
    with pytest.raises(FileError, match=r"b\.txt"), open_zip(packed):
        pass


def test_what_finds_no_room_is_not_unpacked(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 99_999))
    with pytest.raises(FileError):
        unpack(packed, tmp_path / "all")
    assert list((tmp_path / "all").iterdir()) == []


def test_damaged_and_missing_zips(packed: Path, tmp_path: Path) -> None:
    whole = packed.read_bytes()
    for content in (b"", b"PK", whole[:-5], whole[:50] + whole[60:]):
        packed.write_bytes(content)
        with pytest.raises(FileError):
            unpack(packed, tmp_path / "all")
    with pytest.raises(FileError):
        unpack(tmp_path / "none.zip", tmp_path / "all")


def test_arrays(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.arange(3), b=np.array(["x"]), c=np.array([{}], dtype=object))
    found = load_arrays(path, ["a"], ["b", "d"])
    assert list(found) == ["a", "b"] and found["a"].tolist() == [0, 1, 2]
    for names in (["d"], ["c"]):
        with pytest.raises(FileError):
            load_arrays(path, names)
