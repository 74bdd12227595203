"""Preparing NTU RGB+D from raw files: whole, in several processes, interrupted, and with everything that can be wrong."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.data import prepare as module
from poseglot.data.prepare import prepare
from poseglot.data.quality.issues import ClipIssue
from poseglot.data.readers.ntu import read_clip
from poseglot.data.readers.ntu.names import known_incomplete
from poseglot.data.store import StoreWriter, open_store
from poseglot.data.synthetic.raw_ntu import broken_files, raw_clip, raw_names
from poseglot.errors import PoseglotError

FILES = ("clips.npy", "joints.npy", "preparation.json", "store.json")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 30 small raw files, none known to be incomplete."""
    folder = tmp_path_factory.mktemp("raw")
    for name in [name for name in raw_names(60, seed=1, benchmark="ntu60") if name not in known_incomplete()][:30]:
        (folder / f"{name}.skeleton").write_bytes(raw_clip(name, seed=1, faults=(), frames=30).text)
    return folder


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 4)


def zipped(folder: Path, out: Path, files: list[Path] | None = None) -> Path:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files if files is not None else sorted(folder.iterdir()):
            archive.write(path, f"nturgb+d_skeletons/{path.name}")
    return out


def content(store: Path) -> dict[str, bytes]:
    assert sorted(path.name for path in store.iterdir()) == sorted(FILES)
    return {name: (store / name).read_bytes() for name in FILES}


def test_the_store_holds_every_file_after_the_chain(raw: Path, tmp_path: Path) -> None:
    made = prepare("ntu60", source=zipped(raw, tmp_path / "raw.zip"), out=tmp_path / "store")
    assert made.issues == () and made.skipped == {} and made.incomplete is not None and made.split == "cross-subject"
    store = made.store
    assert store.info.name == "ntu60" and store.info.pipeline == "ntu" and store.info.layout == "ntu25"
    names = sorted(path.stem for path in raw.iterdir())
    assert store.clips["name"].tolist() == names
    for place, name in enumerate(names):
        clip, alone = store[place], read_clip(raw / f"{name}.skeleton")
        np.testing.assert_array_equal(clip.joints, alone.joints)
        assert (clip.name, clip.label, clip.subject, clip.camera, clip.setup) == (
            name,
            int(name[17:20]) - 1,
            int(name[9:12]),
            int(name[5:8]),
            int(name[1:4]),
        )
    train = {name for name in names if int(name[9:12]) in store.info.splits["cross-subject"]["train"]["subject"]}
    assert set(store.clips["name"][store.subset_mask("cross-subject", "train")]) == train
    assert made.counts == {"train": len(train), "test": 30 - len(train)}
    assert store.max_persons in (1, 2)


def test_two_processes_a_folder_and_two_zips_give_the_same_store(raw: Path, tmp_path: Path) -> None:
    files = sorted(raw.iterdir())
    first, second = zipped(raw, tmp_path / "a.zip", files[::2]), zipped(raw, tmp_path / "b.zip", files[1::2])
    prepare("ntu60", source=raw, out=tmp_path / "folder")
    prepare("ntu60", source=[first, second], out=tmp_path / "one")
    prepare("ntu60", source=[first, second], out=tmp_path / "two", workers=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    for name in ("clips.npy", "joints.npy", "preparation.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "folder" / name).read_bytes()


def test_half_precision_takes_half_the_space_and_is_read_as_float32(raw: Path, tmp_path: Path) -> None:
    whole = prepare("ntu60", source=raw, out=tmp_path / "whole").store
    half = prepare("ntu60", source=raw, out=tmp_path / "half", dtype="float16").store
    assert half.joints.dtype == np.float16 and half.joints.shape == whole.joints.shape
    assert half[3].joints.dtype == np.float32
    np.testing.assert_array_equal(half[3].joints, whole[3].joints.astype(np.float16).astype(np.float32))


class StopsAfter:
    """A bar that fails when it is told of one chunk too many."""

    def __init__(self, error: BaseException, chunks: int) -> None:
        self.error, self.left, self.started_with = error, chunks, -1.0

    def reset(self, total: float | None = None) -> None: ...

    def update(self, n: float | None = 1) -> None:
        if self.started_with < 0:
            self.started_with = float(n or 0)
        elif self.left == 0:
            raise self.error
        else:
            self.left -= 1


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_preparation_goes_on_and_gives_the_unbroken_store(raw: Path, tmp_path: Path, workers: int) -> None:
    prepare("ntu60", source=raw, out=tmp_path / "unbroken")
    out, partial = tmp_path / "store", tmp_path / ".store.partial"
    done = 0
    for chunks in (2, 0, 3):
        bar = StopsAfter(KeyboardInterrupt(), chunks)
        with pytest.raises(KeyboardInterrupt):
            prepare("ntu60", source=raw, out=out, workers=workers, bar=bar)
        assert not out.exists() and partial.is_dir()
        assert bar.started_with == done
        done += 4 * (chunks + 1)
        with pytest.raises(PoseglotError, match="is not a packed store"):
            open_store(partial)
    made = prepare("ntu60", source=raw, out=out, workers=workers)
    assert len(made.store) == 30 and not partial.exists()
    assert made.notes == (f"continued an unfinished preparation of {min(done, 30)} clips",)
    assert content(out) == content(tmp_path / "unbroken")


def test_after_kill_9_it_goes_on_too(raw: Path, tmp_path: Path) -> None:
    prepare("ntu60", source=raw, out=tmp_path / "unbroken")
    program = (
        "import sys, time; from pathlib import Path; from poseglot.data import ingest, prepare\n"
        "prepare._CHUNK = 4\n"
        "class Slow(prepare.NoBar):\n"
        "    def update(self, n=1): time.sleep(0.15)\n"
        "prepare.prepare('ntu60', source=Path(sys.argv[1]), out=Path(sys.argv[2]), bar=Slow())\n"
    )
    out, journal = tmp_path / "store", tmp_path / ".store.partial" / "journal.jsonl"
    process = subprocess.Popen([sys.executable, "-c", program, str(raw), str(out)])
    for _ in range(600):
        if journal.exists() and journal.read_text().count("\n") >= 3:
            break
        time.sleep(0.05)
    with pytest.raises(PoseglotError, match="another process is writing"):
        prepare("ntu60", source=raw, out=out)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    # As if it had been killed while it wrote: half a line in the journal, frames of which the journal does not know.
    with journal.open("a") as file:
        file.write('{"channels":3,"names":["half')
    (journal.parent / ".clips.npy.abcdefgh.tmp").write_bytes(b"half")
    with (journal.parent / "joints.npy").open("ab") as file:
        file.write(b"frames that nobody has noted")
    bar = StopsAfter(KeyboardInterrupt(), 99)
    prepare("ntu60", source=raw, out=out, bar=bar)
    assert bar.started_with >= 12
    assert content(out) == content(tmp_path / "unbroken")


def test_other_files_begin_anew(raw: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "raw", tmp_path / "store"
    shutil.copytree(raw, source)
    with pytest.raises(KeyboardInterrupt):
        prepare("ntu60", source=source, out=out, bar=StopsAfter(KeyboardInterrupt(), 3))
    first = min(source.iterdir())
    first.write_bytes(raw_clip(first.stem, seed=2, faults=(), frames=31).text)
    bar = StopsAfter(KeyboardInterrupt(), 99)
    made = prepare("ntu60", source=source, out=out, bar=bar)
    assert bar.started_with == 0
    assert made.notes == ("an unfinished preparation of other files or with other settings was discarded",)
    assert made.store[0].joints.shape[1] == 31


def test_no_space_left_keeps_what_is_done(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare("ntu60", source=raw, out=tmp_path / "unbroken")
    add = StoreWriter.add

    def full(writer: StoreWriter, clip: Any) -> None:
        if len(writer) == 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        add(writer, clip)

    with monkeypatch.context() as patch:
        patch.setattr(StoreWriter, "add", full)
        with pytest.raises(PoseglotError, match=r"could not write .*store: No space left.*partial: free some space") as caught:
            prepare("ntu60", source=raw, out=tmp_path / "store")
    assert str(caught.value).endswith("and run the command again.")
    assert not (tmp_path / "store").exists()
    prepare("ntu60", source=raw, out=tmp_path / "store")
    assert content(tmp_path / "store") == content(tmp_path / "unbroken")


def test_a_killed_worker_is_said_and_its_work_done_later(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "read_members", _dies)
    with pytest.raises(PoseglotError, match="was killed"):
        prepare("ntu60", source=raw, out=tmp_path / "store", workers=2)
    monkeypatch.undo()
    assert len(prepare("ntu60", source=raw, out=tmp_path / "store", workers=2).store) == 30


def _dies(members: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def bad_input(raw: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """Writes files that are wrong, each named after a good one; yields (name, kind of fault)."""
    kinds = {
        "cut in a number": "cut short",
        "cut in a line": "cut short",
        "cut in a frame": "cut short",
        "NaN": "not finite",
        "24 joints": "joint count",
        "empty": "empty",
    }
    texts = broken_files(seed=0)
    for number, (fault, kind) in enumerate(kinds.items(), 1):
        name = f"S001C001P001R001A{number:03d}"
        matching = [key for key in texts if key.lower().startswith(fault.lower())]
        assert matching, f"{fault!r} is none of {sorted(texts)}"
        (folder / f"{name}.skeleton").write_bytes(texts[matching[0]])
        yield name, kind


def test_whatever_is_wrong_is_listed_and_the_rest_goes_on(raw: Path, tmp_path: Path) -> None:
    source = tmp_path / "bad"
    source.mkdir()
    expected = dict(bad_input(raw, source))
    incomplete = min(known_incomplete())
    other = "S018C001P050R001A061"
    good = sorted(raw.iterdir())[:5]
    for path in good:
        shutil.copy(path, source)
    for name in (incomplete, other, "._S001C001P001R001A020", "holiday"):
        shutil.copy(good[0], source / f"{name}.skeleton")
    again = zipped(source, tmp_path / "again.zip", good[:2])
    hollow = zipped(source, tmp_path / "hollow.zip", [])
    (tmp_path / "cut.zip").write_bytes(again.read_bytes()[:-60])
    sources = [source, again, hollow, tmp_path / "cut.zip"]
    made = prepare("ntu60", source=sources, out=tmp_path / "store")
    assert made.store.clips["name"].tolist() == [path.stem for path in good]
    found = {(fault.name, fault.kind) for fault in made.issues}
    assert found == {
        *expected.items(),
        ("holiday", "malformed"),
        (good[0].stem, "duplicate"),
        (good[1].stem, "duplicate"),
        ("hollow.zip", "empty"),
        ("cut.zip", "unreadable"),
    }
    assert all(fault.message and "\n" not in fault.message for fault in made.issues)
    assert made.skipped == {"known to be incomplete": [incomplete], "of other classes": [other]}
    report = json.loads((tmp_path / "store" / "preparation.json").read_text())
    assert report["stored"] == 5 and report["skipped"] == made.skipped
    assert [ClipIssue(**fault) for fault in report["issues"]] == list(made.issues)


def test_nothing_to_store_is_refused_and_leaves_nothing(raw: Path, tmp_path: Path) -> None:
    hollow = zipped(raw, tmp_path / "hollow.zip", [])
    with pytest.raises(PoseglotError, match=r"there is no recording of 60 classes in .*hollow\.zip.*\n.*holds no \.skeleton"):
        prepare("ntu60", source=hollow, out=tmp_path / "store")
    bad = tmp_path / "bad"
    bad.mkdir()
    dict(bad_input(raw, bad))
    with pytest.raises(PoseglotError, match=r"none of the 6 clips could be read:\n"):
        prepare("ntu60", source=bad, out=tmp_path / "store")
    with pytest.raises(PoseglotError, match=r"nowhere\.zip does not exist"):
        prepare("ntu60", source=tmp_path / "nowhere.zip", out=tmp_path / "store")
    assert not (tmp_path / "store").exists()
