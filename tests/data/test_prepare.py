"""`prepare`: the whole NW-UCLA, parts of it, and the demo set."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest

from poseglot.data import synthetic
from poseglot.data.prepare import CustomDataset, prepare
from poseglot.data.store import open_store
from poseglot.errors import FileError, NotFoundError, PoseglotError


@pytest.fixture(scope="module")
def real_zip(shared: Path) -> Path:
    return shared / "data" / "nw-ucla" / "all_sqe.zip"


class Counting:
    """A bar that remembers what it was told."""

    count = 0.0

    def reset(self, total: float | None = None) -> None: ...

    def update(self, n: float | None = 1) -> None:
        self.count += n or 0


def test_real_set_is_complete(real_zip: Path, tmp_path: Path) -> None:
    out, bar = tmp_path / "deep" / "nw-ucla", Counting()
    made = prepare("nw-ucla", source=real_zip, out=out, bar=bar)
    assert made.counts == {"train": 1020, "test": 464} and made.incomplete is None and made.seconds > 0
    assert made.issues == () and made.skipped == {} and bar.count == 1484
    store = open_store(out)
    assert store.clips["name"].tolist() == sorted(store.clips["name"]) and len(store) == 1484
    assert store.info.name == "nw-ucla" and store.info.layout == "kinect20" and store.info.pipeline == "nw-ucla"
    assert len(store.info.classes) == 10 and store.info.classes[9] == "carry"
    assert store.info.source == {"file": "all_sqe.zip", "sha256": hashlib.sha256(real_zip.read_bytes()).hexdigest()}
    assert set(store.clips["camera"][store.subset("cross-view", "test")]) == {3}
    assert set(store.clips["camera"][store.subset("cross-view", "train")]) == {1, 2}
    assert store.joints.shape == (int(store.clips["frames"].sum()), 20, 3)
    assert len(store.joints) > 1484 * 30


def test_part_of_the_set_says_that_it_is_incomplete(real_zip: Path, tmp_path: Path) -> None:
    source = tmp_path / "part"
    with zipfile.ZipFile(real_zip) as archive:
        names = [name for name in archive.namelist() if "_s01_e00_" in name]
        archive.extractall(source, names)
    views = [name[-6:-5] for name in names]
    made = prepare("nw-ucla", source=source, out=tmp_path / "out")
    assert made.counts == {"train": views.count("1") + views.count("2"), "test": views.count("3")}
    assert 0 < made.counts["test"] < made.counts["train"] < 100
    assert made.incomplete is not None
    assert made.incomplete == "the complete set has 1,020 train and 464 test clips (cross-view)"
    assert made.store.info.source == {"file": "part"}


def test_demo_set_needs_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_once = synthetic.make_clips(persons=9, cameras=1, repeats=1)
    monkeypatch.setattr(synthetic, "make_clips", lambda: made_once)
    made = prepare("demo", source=None, out=tmp_path / "demo")
    assert made.counts == {"train": 96, "test": 12}
    assert made.incomplete is not None and "576" in made.incomplete
    assert made.store.clips["name"].tolist() == [clip.name for clip in made_once]
    np.testing.assert_array_equal(made.store[50].joints, made_once[50].joints)
    assert made.store.info.classes == synthetic.ACTIONS


def test_whole_demo_set_is_complete(tmp_path: Path) -> None:
    made = prepare("demo", source=None, out=tmp_path / "demo")
    assert made.counts == {"train": 576, "test": 288} and made.incomplete is None
    assert len(open_store(tmp_path / "demo")) == 864


def test_bad_requests_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    with pytest.raises(NotFoundError, match="'ntu'"):
        prepare("ntu", source=None, out=out)
    with pytest.raises(PoseglotError):
        prepare("nw-ucla", source=None, out=out)
    with pytest.raises(PoseglotError, match=r"nowhere\.zip"):
        prepare("nw-ucla", source=tmp_path / "nowhere.zip", out=out)
    with pytest.raises(PoseglotError, match="2"):
        prepare("nw-ucla", source=[tmp_path / "empty"] * 2, out=out)
    with pytest.raises(PoseglotError):
        prepare("nw-ucla", source=tmp_path / "empty", out=out, custom=CustomDataset("mine"))
    with pytest.raises(PoseglotError):
        prepare("nw-ucla", source=tmp_path / "empty", out=out)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_taken_folder_is_kept_unless_overwritten(real_zip: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "part", tmp_path / "out"
    with zipfile.ZipFile(real_zip) as archive:
        archive.extractall(source, [f"all_sqe/a01_s01_e00_v0{view}.json" for view in (1, 2, 3)])
    out.mkdir()
    (out / "precious.txt").write_text("mine")
    with pytest.raises(PoseglotError):
        prepare("nw-ucla", source=source, out=out)
    assert [path.name for path in out.iterdir()] == ["precious.txt"]
    with pytest.raises(FileError):
        prepare("nw-ucla", source=source, out=out, overwrite=True)
    assert (out / "precious.txt").read_text() == "mine"
    store = tmp_path / "store"
    prepare("nw-ucla", source=source, out=store)
    (store / "leftover").touch()
    assert prepare("nw-ucla", source=source, out=store, overwrite=True).counts == {"train": 2, "test": 1}
    assert not (store / "leftover").exists()


def test_a_source_is_never_replaced_by_what_is_made_of_it(real_zip: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with zipfile.ZipFile(real_zip) as archive:
        archive.extractall(tmp_path / "part", [f"all_sqe/a01_s01_e00_v0{view}.json" for view in (1, 2, 3)])
    prepare("nw-ucla", source=tmp_path / "part", out=store)
    inside = store / "raw" / "all_sqe.zip"
    inside.parent.mkdir()
    inside.write_bytes(real_zip.read_bytes())
    for source in (inside, inside.parent, store):
        with pytest.raises(FileError):
            prepare("nw-ucla", source=source, out=store, overwrite=True)
    assert inside.exists()


def test_a_set_without_a_test_side_is_packed_and_said_to_be_incomplete(real_zip: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(real_zip) as archive:
        for name in archive.namelist()[:2]:  # views 1 and 2
            (tmp_path / Path(name).name).write_bytes(archive.read(name))
    made = prepare("nw-ucla", source=tmp_path, out=tmp_path / "store")
    assert made.counts == {"train": 2, "test": 0}
    assert made.incomplete is not None


def test_a_broken_clip_does_not_stop_the_others(real_zip: Path, tmp_path: Path) -> None:
    source = tmp_path / "part"
    with zipfile.ZipFile(real_zip) as archive:
        archive.extractall(source, [f"all_sqe/a01_s01_e0{take}_v0{view}.json" for take in (0, 1) for view in (1, 2, 3)])
    broken = source / "all_sqe" / "a01_s01_e01_v03.json"
    broken.write_bytes(broken.read_bytes()[:-100])
    made = prepare("nw-ucla", source=source, out=tmp_path / "store")
    assert made.counts == {"train": 4, "test": 1}
    assert [(fault.name, fault.kind) for fault in made.issues] == [("a01_s01_e01_v03", "cut short")]
