"""Writing files and folders: whole or not at all, on a disk that really refuses."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from poseglot.errors import FileError, NotFoundError, PoseglotError
from poseglot.files import (
    as_path,
    folder_lock,
    folder_written_atomically,
    load_array,
    packaged_yaml,
    sha256_of,
    try_lock,
    write_atomically,
)

pytestmark = pytest.mark.base

BIG = 300_000  # bytes, more than the limit below

# Runs a write on a "disk" where no file may pass 100,000 bytes, as an ordinary user, and prints the error.
SCRIPT = """
import os, resource, signal, sys
from pathlib import Path
from poseglot.errors import FileError
from poseglot.files import folder_written_atomically, write_atomically

what, path = sys.argv[1], Path(sys.argv[2])
if what.startswith("full"):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
elif os.geteuid() == 0:
    os.seteuid(65534)  # to root nothing is read-only
try:
    if what.endswith("file"):
        write_atomically(path, b"x" * 300_000)
    else:
        with folder_written_atomically(path, overwrite=path.exists()) as folder:
            (folder / "small").write_bytes(b"x")
            (folder / "big").write_bytes(b"x" * 300_000)
except FileError as error:
    print(error)
else:
    print("written")
"""


def run(what: str, path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, what, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder that everybody can enter and nobody (but root) can write to."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    # What is tested may not change it.
    assert os.umask(before) == request.param


# --- files -----------------------------------------------------------------------------------------------------------------


def test_bytes_and_text_are_written_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deeper" / "a.bin"
    write_atomically(path, b"\x00\r\n\xff")
    assert path.read_bytes() == b"\x00\r\n\xff"
    write_atomically(path, "Grüße\n")
    assert path.read_bytes() == "Grüße\n".encode()
    write_atomically(path, "")
    assert path.read_bytes() == b""
    assert names(path.parent) == ["a.bin"]


def test_file_is_as_readable_as_the_umask_allows(tmp_path: Path, umask: int) -> None:
    write_atomically(tmp_path / "a", "x")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask


def test_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    said = run("full file", path)
    assert f"{path}: File too large" in said
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_full_disk_leaves_no_new_file(tmp_path: Path) -> None:
    assert "File too large" in run("full file", tmp_path / "a")
    assert names(tmp_path) == []


def test_read_only_folder_is_named(read_only: Path) -> None:
    said = run("read-only file", read_only / "a")
    assert f"{read_only / 'a'}: Permission denied" in said
    assert names(read_only) == []


def test_file_where_a_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError, match="file/a"):
        write_atomically(tmp_path / "file" / "a", "y")
    with (
        pytest.raises(FileError, match="file/a"),
        folder_written_atomically(tmp_path / "file" / "a"),
    ):
        raise AssertionError("nothing to fill")
    assert (tmp_path / "file").read_text() == "x" and names(tmp_path) == ["file"]


def test_folder_where_the_file_should_go_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "kept").write_text("x")
    with pytest.raises(FileError):
        write_atomically(tmp_path / "a", "y")
    assert names(tmp_path) == ["a"] and names(tmp_path / "a") == ["kept"]


# --- folders ---------------------------------------------------------------------------------------------------------------


def test_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "store"
    with folder_written_atomically(path) as folder:
        assert folder != path and folder.parent == path.parent
        (folder / "a").write_text("x")
        (folder / "sub").mkdir()
        assert not path.exists()
    assert names(path) == ["a", "sub"] and (path / "a").read_text() == "x"
    assert names(path.parent) == ["store"]


def test_folder_is_as_readable_as_the_umask_allows(tmp_path: Path, umask: int) -> None:
    with folder_written_atomically(tmp_path / "a"):
        pass
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o777 & ~umask


def test_existing_folder_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(FileError, match="--overwrite"), folder_written_atomically(tmp_path / "a"):
        raise AssertionError("nothing to fill")
    assert names(tmp_path) == ["a"]


def test_overwriting_replaces_the_whole_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_text("x")
    with folder_written_atomically(tmp_path / "a", overwrite=True) as folder:
        (folder / "new").write_text("y")
        assert names(tmp_path / "a") == ["old"]
    assert names(tmp_path) == ["a"] and names(tmp_path / "a") == ["new"]


@pytest.mark.parametrize("error", [ValueError, PoseglotError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("overwrite", [False, True])
def test_block_that_fails_leaves_everything_as_it_was(tmp_path: Path, error: type[BaseException], overwrite: bool) -> None:
    if overwrite:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "old").write_text("x")

    def fill() -> None:
        with folder_written_atomically(tmp_path / "a", overwrite=overwrite) as folder:
            (folder / "new").write_text("y")
            raise error("stop")

    with pytest.raises(error, match="stop"):
        fill()
    assert names(tmp_path) == (["a"] if overwrite else [])
    assert not overwrite or names(tmp_path / "a") == ["old"]


def test_full_disk_leaves_no_folder(tmp_path: Path) -> None:
    said = run("full folder", tmp_path / "a")
    assert f"{tmp_path / 'a'}: File too large" in said
    assert names(tmp_path) == []


def test_full_disk_keeps_the_old_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_text("x")
    assert "File too large" in run("full folder", tmp_path / "a")
    assert names(tmp_path) == ["a"] and names(tmp_path / "a") == ["old"]


def test_folder_in_a_read_only_folder_is_named(read_only: Path) -> None:
    said = run("read-only folder", read_only / "a")
    assert f"{read_only / 'a'}: Permission denied" in said
    assert names(read_only) == []


# --- hashes ----------------------------------------------------------------------------------------------------------------


def test_hash_is_that_of_the_content(tmp_path: Path) -> None:
    content = bytes(range(256)) * (BIG // 256)
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_an_overwrite_that_fails_at_the_last_step_puts_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, replace, calls = tmp_path / "data", os.replace, 0
    path.mkdir()
    (path / "old").write_text("old")

    def second_fails(source: Path, target: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError(5, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", second_fails)
    monkeypatch.setattr("poseglot.files._exchange", lambda one, other: False)  # as where the system cannot
    with pytest.raises(FileError, match="Input/output error"), folder_written_atomically(path, overwrite=True) as folder:
        (folder / "new").write_text("new")
    assert names(tmp_path) == ["data"]
    assert names(path) == ["old"]


def test_an_interrupt_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", "text")
    assert names(tmp_path) == []


# --- reading ---------------------------------------------------------------------------------------------------------------


def test_arrays_are_mapped_and_other_files_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
    array = load_array(str(tmp_path / "a.npy"))
    assert isinstance(array, np.memmap) and array.tolist() == [[0, 1, 2], [3, 4, 5]]
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "short.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-1])
    (tmp_path / "text.npy").write_text("a")
    for name in ("objects.npy", "short.npy", "text.npy", "nowhere.npy"):
        with pytest.raises(FileError, match=name):
            load_array(tmp_path / name)


def test_an_unknown_packaged_name_suggests_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="'kinect20'") as refusal:
        packaged_yaml("poseglot.skeletons", "layouts", "kinect2", kind="layout")
    assert refusal.value.suggestion == "kinect20"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges two names")
def test_overwriting_leaves_a_folder_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data"
    path.mkdir()
    (path / "old").write_text("old")

    def moved(source: Path, target: Path) -> None:
        raise AssertionError(f"{source} was moved")

    monkeypatch.setattr(os, "replace", moved)
    with folder_written_atomically(path, overwrite=True) as folder:
        (folder / "new").write_text("new")
    assert [entry.name for entry in path.iterdir()] == ["new"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["data"]


@pytest.mark.skipif(os.name != "posix", reason="no such locks")
def test_what_killed_writers_left_is_cleared_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    orphan, fresh, busy, other = (
        tmp_path / f".{name}.tmp" for name in ("a.12345678", "a.abcdefgh", "a.busybusy", "a.b.12345678")
    )
    for path in (orphan, fresh, busy, other):
        path.write_bytes(b"half")
    for path in (orphan, busy, other):
        os.utime(path, (0, 0))
    with busy.open("rb") as file:
        assert try_lock(file)
        write_atomically(tmp_path / "a", b"whole")
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "a", fresh, busy, other])
    (tmp_path / ".store.12345678.tmp").mkdir()
    (tmp_path / ".store.12345678.tmp" / "joints.npy").write_bytes(b"half")
    with folder_written_atomically(tmp_path / "store"):
        pass
    assert not (tmp_path / ".store.12345678.tmp").exists()


@pytest.mark.skipif(os.name != "posix", reason="no such locks")
def test_one_writer_a_folder(tmp_path: Path) -> None:
    with folder_written_atomically(tmp_path / "a"), pytest.raises(FileError):  # noqa: SIM117
        with folder_written_atomically(tmp_path / "a"):
            pass
    with folder_lock(tmp_path / "a"), pytest.raises(FileError), folder_lock(tmp_path / "a"):
        pass
    with folder_lock(tmp_path / "a"):
        pass
    assert list((tmp_path / "a").iterdir()) == []


def test_halves_of_characters_are_written_escaped(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", "clip \udcff")
    assert (tmp_path / "a").read_text() == "clip \\udcff"


@pytest.mark.parametrize(
    "given", ["", None, 5, b"x", "x" * 5000, "a\0b"], ids=["empty", "none", "number", "bytes", "long", "null"]
)
def test_what_is_no_path_is_refused(given: object) -> None:
    with pytest.raises(FileError):
        as_path(given)


def test_paths_need_not_exist(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "file" / "below"):
        assert as_path(path) == as_path(str(path)) == path
