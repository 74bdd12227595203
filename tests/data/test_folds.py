"""Splits that are several folds: every clip is tested once, nobody is on both sides, people keep their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poseglot.data.folds import family, fold_splits
from poseglot.data.prepare import CustomDataset, prepare
from poseglot.data.store import PackedStore, open_store
from poseglot.errors import InputError, NotFoundError, PoseglotError, SettingError


def make(tmp_path: Path, people: list[str], *, custom: dict[str, object] | None = None) -> PackedStore:
    """Pack two clips of two classes of each of some people, whose names are in those of the files."""
    numbers = np.random.default_rng(0)
    for label in ("a01", "a02"):
        for person in people:
            for trial in (1, 2):
                joints = numbers.normal(size=(9, 17, 3)).astype(np.float32)
                np.save(tmp_path / f"{label}_{person}_{trial}.npy", joints)
    given: dict[str, object] = {"layout": "coco17", "names": "{label}_{subject}_{trial}", **(custom or {})}
    store = prepare("npy", source=tmp_path, out=tmp_path / "store", custom=CustomDataset("mine", **given)).store  # type: ignore[arg-type]
    assert open_store(tmp_path / "store").info == store.info
    return store


def people_of(store: PackedStore, split: str, subset: str) -> set[str]:
    numbers = store.clips["subject"][store.subset_mask(split, subset)]
    return {store.info.people.get(str(number), str(number)) for number in numbers}


@pytest.mark.parametrize("people", [["ann", "bob", "cid"], ["1", "2", "7"], ["s01s02", "s02s01", "s03s04"]])
def test_everybody_is_left_out_once(tmp_path: Path, people: list[str]) -> None:
    store = make(tmp_path, people, custom={"split": "leave-one-out"})
    splits = family(store.info.splits, "leave-one-out")
    assert splits == [f"leave-one-out/{name}" for name in people]
    tested = np.zeros(len(store), dtype=int)
    for split, person in zip(splits, people, strict=True):
        assert people_of(store, split, "test") == {person}
        assert people_of(store, split, "train") == set(people) - {person}
        tested += store.subset_mask(split, "test")
    assert (tested == 1).all()


def test_folds_as_a_file_gives_them(tmp_path: Path) -> None:
    (tmp_path / "folds.txt").write_text("# two folds\nann, bob\ncid\n")
    store = make(tmp_path, ["ann", "bob", "cid"], custom={"split": str(tmp_path / "folds.txt")})
    assert list(store.info.splits) == ["folds/1", "folds/2"]
    assert people_of(store, "folds/1", "test") == {"ann", "bob"} == people_of(store, "folds/2", "train")
    (tmp_path / "clips.txt").write_text("a01_ann_1 a02_cid_2\na01_bob_1\n")
    splits = fold_splits(str(tmp_path / "clips.txt"), store.clips, store.info.people)
    assert splits["folds/1"]["test"] == {"name": ["a01_ann_1", "a02_cid_2"]} and len(splits["folds/2"]["train"]["name"]) == 11


def test_without_a_test_set_all_are_trained_on(tmp_path: Path) -> None:
    store = make(tmp_path, ["ann", "bob"], custom={"split": "none"})
    assert store.subset_mask("none", "train").all() and not store.subset_mask("none", "test").any()


def test_a_person_is_tested_by_name(tmp_path: Path) -> None:
    store = make(tmp_path, ["ann", "bob", "cid"], custom={"test_subjects": ("bob",)})
    assert people_of(store, "by-subject", "test") == {"bob"}
    with pytest.raises(SettingError, match="ann, bob, cid"):
        prepare(
            "npy",
            source=tmp_path,
            out=tmp_path / "other",
            custom=CustomDataset("x", layout="coco17", names="{label}_{subject}_{trial}", test_subjects=("eve",)),
        )


def test_labels_are_renamed_and_joined(tmp_path: Path) -> None:
    store = make(tmp_path, ["ann", "bob"], custom={"classes": ("a01: sit down", "a02: stand up", "a03: sit down")})
    assert store.classes == ("sit down", "stand up")
    first = store.clips["label"][[str(name).startswith("a01") for name in store.clips["name"]]]
    assert (first == 0).all() and len(first) == 4


@pytest.mark.parametrize(
    ("text", "error"),
    [("ann\neve\n", InputError), ("ann bob\n", InputError), ("ann bob cid\nann\n", InputError), (None, PoseglotError)],
    ids=["nobody of that name", "one fold", "everybody", "no file"],
)
def test_folds_that_cannot_be_are_refused(tmp_path: Path, text: str | None, error: type[PoseglotError]) -> None:
    if text is not None:
        (tmp_path / "folds.txt").write_text(text)
    with pytest.raises(error):
        make(tmp_path, ["ann", "bob", "cid"], custom={"split": str(tmp_path / "folds.txt")})
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("way", ["people", "clips", "leave-one-out"])
def test_clips_of_nobody_known_are_not_dropped(tmp_path: Path, way: str) -> None:
    """Folds of people refuse them, for they may be of those who are tested; folds of clips train on them."""
    store = make(tmp_path, ["ann", "bob", "cid"])
    clips = store.clips.copy()
    clips["subject"][:3] = 0
    folds = tmp_path / "folds.txt"
    folds.write_text({"people": "ann\nbob cid\n", "clips": "a01_bob_2\na02_cid_1\n", "leave-one-out": ""}[way])
    if way == "clips":
        splits = fold_splits(str(folds), clips, store.info.people)
        assert all(len(rule["train"]["name"]) + len(rule["test"]["name"]) == len(clips) for rule in splits.values())
        return
    with pytest.raises(SettingError, match=r"3 have none"):
        fold_splits(str(folds) if way == "people" else way, clips, store.info.people)


def test_a_family_that_is_not_there_is_refused() -> None:
    with pytest.raises(NotFoundError):
        family(["by-subject"], "leave-one-out")
    assert family(["folds/1", "folds/2", "by-subject"], "folds/2") == ["folds/1", "folds/2"]
