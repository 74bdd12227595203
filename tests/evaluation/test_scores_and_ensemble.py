"""Scores on disk and their fusion: real scores of a published model, and files that are damaged or dangerous."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.errors import FileError, InputError, PoseglotError, SettingError
from poseglot.evaluation.ensemble import GAP_WEIGHTS, fixed_weights, fuse, make_ensemble
from poseglot.evaluation.metrics import top_k
from poseglot.evaluation.scores import SavedScores, difference_of, load_scores, save_scores

MODALITIES = ("joint", "bone", "joint_motion", "bone_motion")


@pytest.fixture(scope="module")
def published(shared: Path) -> dict[str, Any]:
    with np.load(shared / "golden" / "nwucla_scores.npz") as arrays:
        return dict(arrays)


@pytest.fixture
def scores() -> SavedScores:
    generator = np.random.default_rng(0)
    return SavedScores(
        names=("a01_s01_e00_v03", "näme with spaces", "x"),
        labels=np.array([2, 0, 1]),
        logits=generator.normal(size=(3, 4)).astype(np.float32),
        classes=("nod head", "winken", "c", "d"),
        modality="bone",
        dataset="demo",
        split="cross-person",
    )


@pytest.mark.parametrize(("modality", "correct"), list(zip(MODALITIES, (438, 432, 431, 415), strict=True)))
def test_single_modalities_of_the_published_model(published: dict[str, Any], modality: str, correct: int) -> None:
    count = top_k(published[modality], published["label"], 1)
    assert (count.correct, count.total) == (correct, 464)


@pytest.mark.parametrize(
    ("weights", "correct"), [((0.6, 0.6, 0.4, 0.4), 449), ((0.8, 0.8, 0.2, 0.2), 445), ((1, 1, 1, 1), 446)]
)
def test_fused_modalities_of_the_published_model(published: dict[str, Any], weights: tuple[float, ...], correct: int) -> None:
    fused = fuse([published[modality] for modality in MODALITIES], weights)
    assert top_k(fused, published["label"], 1).correct == correct


def test_fixed_weights_are_the_authors() -> None:
    assert dict(GAP_WEIGHTS) == {"joint": 0.8, "bone": 0.8, "joint_motion": 0.2, "bone_motion": 0.2}


def test_fusing_is_a_weighted_sum_in_the_given_order() -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 3, 4))
    fused = fuse([first, second], [0.25, 3])
    for clip in range(3):
        for label in range(4):
            assert fused[clip, label] == pytest.approx(0.25 * first[clip, label] + 3 * second[clip, label], rel=1e-12)


def test_weights_are_fixed_by_stream() -> None:
    assert fixed_weights(["bone_motion", "joint", "joint"]) == [0.2, 0.8, 0.8]
    with pytest.raises(SettingError, match="velocity"):
        fixed_weights(["joint", "velocity"])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "1 weights for 2 runs; give one for each, in their order"),
        ([1.0, 2.0, 3.0], "3 weights for 2 runs"),
        ([0.0, 0.0], "all zero"),
        ([1.0, float("nan")], "1.0, nan are not all finite"),
        ([float("inf"), 1.0], "not all finite"),
    ],
)
def test_weights_that_do_not_fit(scores: SavedScores, weights: list[float], message: str) -> None:
    members = {"a": scores, "b": scores}
    with pytest.raises(SettingError, match=message):
        make_ensemble(members, weights)
    assert make_ensemble(members, [0.0, -0.5]).weights == (0.0, -0.5)


def test_an_ensemble_is_of_at_least_two(scores: SavedScores) -> None:
    with pytest.raises(InputError):
        make_ensemble({"a": scores})


def test_members_are_on_the_same_clips(scores: SavedScores) -> None:
    other = replace(scores, modality="joint", logits=-scores.logits)
    fused = make_ensemble({"a": scores, "b": other}, [2, 1])
    assert fused.accuracy == top_k(scores.logits, scores.labels, 1)
    assert make_ensemble({"a": scores, "b": other}).weights == (0.8, 0.8)
    other = replace(scores, names=("x", "y", "z"), split="cross-view")
    with pytest.raises(InputError, match=r"demo/cross-view, test and demo/cross-person, test"):
        make_ensemble({"a": scores, "b": scores, "c": other})


def test_a_difference_is_said_in_words(scores: SavedScores) -> None:
    assert difference_of(scores, replace(scores, modality="joint", logits=scores.logits + 1, split="other")) == ""
    for other, said in (
        (replace(scores, classes=("nod head", "x", "c", "d")), "the classes differ: number 2 is winken and x"),
        (
            replace(scores, classes=scores.classes[:3], logits=scores.logits[:, :3], labels=np.minimum(scores.labels, 2)),
            "the classes differ: there are 4 and 3",
        ),
        (replace(scores, names=scores.names[::-1]), "the clips are the same, but in another order"),
        (
            replace(scores, names=scores.names[:2], logits=scores.logits[:2], labels=scores.labels[:2]),
            "the clips differ: there are 3 and 2",
        ),
        (replace(scores, names=(*scores.names[:2], "y")), "the clips differ: number 3 is x and y"),
        (
            replace(scores, labels=np.array([2, 3, 3])),
            "the labels of 2 clips differ; the first is näme with spaces: nod head and d",
        ),
    ):
        assert difference_of(scores, other) == said


def test_saved_scores_come_back(scores: SavedScores, tmp_path: Path) -> None:
    path = tmp_path / "run" / "scores.npz"
    save_scores(scores, path)
    loaded = load_scores(path)
    for field in ("names", "classes", "modality", "dataset", "split", "subset"):
        assert getattr(loaded, field) == getattr(scores, field)
    assert np.array_equal(loaded.labels, scores.labels)
    assert np.array_equal(loaded.logits, scores.logits)
    assert loaded.logits.dtype == np.float32
    save_scores(replace(scores, modality="joint", subset="fold 2/5"), path)
    assert (load_scores(path).modality, load_scores(path).subset) == ("joint", "fold 2/5")
    assert [file.name for file in path.parent.iterdir()] == ["scores.npz"]


def test_a_refusing_disk_leaves_the_old_scores(scores: SavedScores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "scores.npz"
    save_scores(scores, path)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(PoseglotError, match="No space left"):
        save_scores(replace(scores, modality="joint"), path)
    assert load_scores(path).modality == "bone"
    assert [file.name for file in tmp_path.iterdir()] == ["scores.npz"]


def test_missing_scores_say_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="absent"):
        load_scores(tmp_path / "absent.npz")


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[: len(whole) // 2],
        lambda whole: b"",
        lambda whole: b"no archive at all",
        lambda whole: whole[:60] + bytes(40) + whole[100:],
    ],
    ids=["cut short", "empty", "text", "overwritten"],
)
def test_damaged_scores_are_refused(scores: SavedScores, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "scores.npz"
    save_scores(scores, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(FileError, match="scores"):
        load_scores(path)


def test_another_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    np.savez(path, joints=np.zeros(3))
    with pytest.raises(FileError, match="scores"):
        load_scores(path)


class _Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.target),)


def test_pickled_objects_are_refused_unopened(scores: SavedScores, tmp_path: Path) -> None:
    path, target = tmp_path / "scores.npz", tmp_path / "sprung"
    about = np.array([scores.modality, scores.dataset, scores.split])
    np.savez(
        path,
        names=np.array([_Trap(target)], dtype=object),
        labels=scores.labels,
        logits=scores.logits,
        classes=np.array(scores.classes),
        about=about,
    )
    with pytest.raises(FileError, match="scores"):
        load_scores(path)
    assert not target.exists()
    # The trap is a real one: numpy's own reader with pickles allowed springs it.
    with np.load(path, allow_pickle=True) as arrays:
        arrays["names"]
    assert target.exists()


@pytest.mark.parametrize("damage", ["nan", "column", "label", "row"])
def test_scores_that_contradict_themselves_are_refused(scores: SavedScores, damage: str, tmp_path: Path) -> None:
    logits, labels = scores.logits.copy(), scores.labels.copy()
    if damage == "nan":
        logits[1, 1] = np.nan
    elif damage == "column":
        logits = logits[:, :-1]
    elif damage == "row":
        logits = logits[:-1]
    else:
        labels[0] = 4
    with pytest.raises(InputError):
        replace(scores, logits=logits, labels=labels)
    save_scores(scores, tmp_path / "scores.npz")
    with np.load(tmp_path / "scores.npz") as arrays:
        np.savez(tmp_path / "damaged.npz", **{**arrays, "logits": logits, "labels": labels})
    with pytest.raises(FileError):
        load_scores(tmp_path / "damaged.npz")
