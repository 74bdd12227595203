"""Doubts: a forgotten or mistaken `scored`, millimetres for metres; and none about sets that are as they should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from poseglot.data.benchmarks import Benchmark
from poseglot.data.quality.checks import check_set, check_subsets
from poseglot.data.store import PackedStore, write_store
from poseglot.data.synthetic import make_clips
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout

Array = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def metres() -> list[Array]:
    """Clips of people in metres, in front of a camera."""
    return [clip.joints for clip in make_clips(persons=2, cameras=1, repeats=1)]


def stored(path: Path, clips: list[Array], *, pipeline: str, has_scores: bool = False) -> PackedStore:
    splits = {"all": {"train": {"label": [0]}, "test": {"label": [0]}}}
    return write_store(
        path,
        [Clip(joints, name=str(number), label=0, has_scores=has_scores) for number, joints in enumerate(clips)],
        benchmark=Benchmark("own", "kinect20", pipeline, ("class 0",), splits, {}),
        layout=load_layout("kinect20"),
        source={"synthetic": "here"},
        has_scores=has_scores,
    )


def pixels(clips: list[Array]) -> list[Array]:
    """x and y as in a picture of 640 x 480, and a confidence."""
    rng = np.random.default_rng(0)
    score = [rng.uniform(0.2, 1, (*joints.shape[:-1], 1)).astype(np.float32) for joints in clips]
    return [
        np.concatenate([320 + 200 * joints[..., :2], own], axis=-1, dtype=np.float32)
        for joints, own in zip(clips, score, strict=True)
    ]


def test_nothing_is_doubted_of_metres_and_of_scored_pixels(metres: list[Array], tmp_path: Path) -> None:
    assert check_set(stored(tmp_path / "a", metres, pipeline="metric")) == []
    assert check_set(stored(tmp_path / "b", pixels(metres), pipeline="image", has_scores=True)) == []
    assert check_set(stored(tmp_path / "c", [joints[..., :2] for joints in pixels(metres)], pipeline="image")) == []


@pytest.mark.parametrize(("factor", "unit"), [(1000, "millimetres"), (100, "centimetres"), (0.01, "hundreds of metres")])
def test_other_units_than_metres(metres: list[Array], tmp_path: Path, factor: float, unit: str) -> None:
    (said,) = check_set(stored(tmp_path / "a", [factor * joints for joints in metres], pipeline="metric"))
    assert "from corner to corner" in said and "convert millimetres or centimetres" in said, unit
    # Where metres are not asked for, nothing is said.
    assert check_set(stored(tmp_path / "b", [factor * joints for joints in metres], pipeline="nw-ucla")) == []


def test_a_forgotten_score(metres: list[Array], tmp_path: Path) -> None:
    said = check_set(stored(tmp_path / "a", pixels(metres), pipeline="metric"))
    assert len(said) == 2 and "prepare again with --scored" in said[0] and "units" in said[1]


def test_a_coordinate_taken_for_a_score(metres: list[Array], tmp_path: Path) -> None:
    (said,) = check_set(stored(tmp_path / "a", metres, pipeline="image", has_scores=True))
    assert "a confidence lies between 0 and 1" in said and "without --scored" in said


def sided(path: Path, train: dict[int, int], test: dict[int, int], *, subjects: tuple[int, int] = (1, 2)) -> list[str]:
    """Notes about sides with so many clips of each class."""
    rng = np.random.default_rng(0)
    clips = [
        Clip(rng.normal(size=(1, 2, 20, 3)).astype(np.float32), name=f"{subset} {label} {number}", label=label, subject=subject)
        for subset, counts, subject in (("train", train, subjects[0]), ("test", test, subjects[1]))
        for label, count in counts.items()
        for number in range(count)
    ]
    names = {subset: {"name": [clip.name for clip in clips if clip.name.startswith(subset)]} for subset in ("train", "test")}
    store = write_store(
        path,
        clips,
        benchmark=Benchmark("own", "kinect20", "metric", ("jog", "walk", "sit"), {"all": names}, {}),
        layout=load_layout("kinect20"),
        source={"synthetic": "here"},
    )
    return check_subsets(store, store.subset("all", "train"), store.subset("all", "test"))


def test_nothing_is_doubted_of_sides_that_are_large_and_even(tmp_path: Path) -> None:
    assert sided(tmp_path / "a", {0: 30, 1: 20, 2: 10}, {0: 40, 1: 40, 2: 40}) == []


def test_classes_with_too_little_are_named(tmp_path: Path) -> None:
    notes = sided(tmp_path / "a", {0: 40, 1: 4}, {0: 100, 2: 7})
    assert [note.split(": ")[0].split(";")[0] for note in notes] == [
        "1 class (sit) has no clip to learn from",
        "1 class (walk) has fewer than 5 clips to learn from",
        "1 class (walk) has no test clip",
        "the classes have from 4 to 40 clips to learn from",
    ]
    assert "the 7 test clips of it can only be answered wrong" in notes[0] and "loss.balanced: true" in notes[3]
    assert sided(tmp_path / "b", {0: 40}, {0: 100})[:2] == [
        "2 classes (walk, sit) have no clip at all.",
        "there is one class to learn; a recognizer needs at least two.",
    ]


def test_small_test_sides_and_people_on_both_sides_are_mentioned(tmp_path: Path) -> None:
    few, both = sided(tmp_path / "a", {0: 30, 1: 30, 2: 30}, {0: 8, 1: 8, 2: 9}, subjects=(4, 4))
    assert (
        few.startswith("25 test clips tell an accuracy of 90 % to within 12 points") and "--data.folds" in few
    )  # 1.96 sqrt(.09 / 25)
    assert both.startswith("1 of 1 people are on both sides")
