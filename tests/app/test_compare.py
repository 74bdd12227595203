"""`poseglot compare` on scores made by hand: what it prints, as text, JSON and picture, and what it refuses."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from poseglot.evaluation.comparison import ClassDifference
from poseglot.evaluation.metrics import Accuracy
from poseglot.evaluation.scores import SavedScores, load_scores, save_scores
from poseglot.report.comparison_plot import GAIN, LOSS, plot_differences
from poseglot.training.recipe import DataRecipe, Recipe
from poseglot.training.recipe_io import recipe_yaml

Command = Callable[..., Any]
CLASSES = ("sit", "stand", "wave", "bow", "never seen")
EACH = 50  # clips of each class but the last


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a run that has so many of each class's first clips right."""

    def make(name: str, *correct: int, seed: int | None = None, subset: str = "test") -> Path:
        labels = np.repeat(np.arange(4), EACH)
        right = np.concatenate([np.arange(EACH) < number for number in correct])
        logits = np.eye(5)[np.where(right, labels, (labels + 1) % 4)].astype(np.float32)
        names = tuple(f"clip{place}" for place in range(len(labels)))
        save_scores(
            SavedScores(names, labels, logits, CLASSES, "joint", "demo", "cross-person", subset), tmp_path / name / "scores.npz"
        )
        if seed is not None:
            (tmp_path / name / "recipe.yaml").write_text(recipe_yaml(Recipe(DataRecipe("store", "cross-person"), seed=seed)))
        return tmp_path / name

    return make


def test_a_pair(poseglot: Command, write: Callable[..., Path]) -> None:
    a, b = write("a", 10, 20, 30, 40), write("b", 26, 22, 33, 37)
    said = poseglot("compare", a, b)
    assert (said.status, said.error) == (0, "")
    lines = said.out.splitlines()
    assert lines[0] == "demo, split cross-person, test set: 200 clips; top-1"
    assert lines[1:3] == [f"  A  100/200 = 50.00 %  {a}", f"  B  118/200 = 59.00 %  {b}"]
    assert lines[3].startswith("B minus A  +9.00 points, 95 % interval +")
    assert "the clips, not the seeds (one run a side)" in lines[4]
    # 16 + 2 + 3 clips only B has right, 3 only A: the binomial test of 3 of 24.
    p = 2 * sum(math.comb(24, only) for only in range(4)) / 2**24
    assert lines[5] == f"McNemar    3 clips only A has right, 21 only B; p = {p:.2g}"
    assert lines[6] == "classes beyond ±4 points: 3 of 5 (A -> B; not tested one by one)"
    assert lines[7:10] == [
        "  sit    +32.0  10/50 = 20.00 % -> 26/50 = 52.00 %",
        "  wave    +6.0  30/50 = 60.00 % -> 33/50 = 66.00 %",
        "  bow     -6.0  40/50 = 80.00 % -> 37/50 = 74.00 %",
    ]
    assert lines[10].startswith("verdict: B is better on these clips, as far as these runs go")
    assert "verdict: A is better on these clips" in poseglot("compare", b, a).out
    assert "classes beyond ±6 points: 1 of 5" in poseglot("compare", a, b, "--min-difference", "6").out


def test_noise_is_called_noise(poseglot: Command, write: Callable[..., Path]) -> None:
    out = poseglot("compare", write("a", 10, 20, 30, 40), write("b", 16, 18, 26, 43)).out
    assert "B minus A  +1.50 points, 95 % interval -" in out
    assert out.endswith("verdict: no difference seen\n")
    same = poseglot("compare", write("c", 10, 20, 30, 40), write("d", 10, 20, 30, 40)).out
    assert "B minus A  +0.00 points, 95 % interval +0.00 to +0.00" in same
    assert "0 clips only A has right, 0 only B; p = 1\n" in same
    assert "classes beyond ±4 points: 0 of 5" in same
    assert same.endswith("verdict: no difference seen\n")


def test_several_seeds_are_paired_by_their_recipes(poseglot: Command, write: Callable[..., Path]) -> None:
    a = [write(f"a-{seed}", 10 + seed, 20, 30, 40, seed=seed) for seed in (0, 1, 2)]
    b = [write(f"b-{seed}", 30 + seed, 20, 30, 40, seed=seed) for seed in (0, 1, 2)]
    said = poseglot("compare", *reversed(b), "--baseline", *a)
    assert said.status == 0, said.error
    lines = said.out.splitlines()
    assert lines[1:5] == [
        f"  A  100/200 = 50.00 %  {a[0]}",
        f"  A  101/200 = 50.50 %  {a[1]}",
        f"  A  102/200 = 51.00 %  {a[2]}",
        "  A  mean 50.50 % ± 0.50 (standard deviation of 3 runs)",
    ]
    assert lines[5] == f"  B  120/200 = 60.00 %  {b[0]}"
    assert lines[9].startswith("B minus A  +10.00 points")
    assert "3 pairs of runs of the same seed" in lines[10]
    assert "few seeds" in lines[10]
    assert lines[11] == "  B ahead in 3 of 3 pairings of runs"
    tests = [line for line in lines if line.startswith("McNemar")]
    assert [line.split("  (")[1] for line in tests] == [f"{one}, {other})" for one, other in zip(a, b, strict=True)]
    assert all("0 clips only A has right, 20 only B" in line for line in tests)
    assert "  sit   +40.0  33/150 = 22.00 % -> 93/150 = 62.00 %" in lines
    assert lines[-1] == "verdict: B is better"


@pytest.mark.parametrize("seeds", [(3, 4), (0, 0), (0, None), (0,), (0, 1, 2)])
def test_other_seeds_are_not_paired(poseglot: Command, write: Callable[..., Path], seeds: tuple[int | None, ...]) -> None:
    a = [write(f"a-{seed}", 10, 20, 30, 40, seed=seed) for seed in (0, 1)]
    b = [write(f"b-{place}", 10, 20, 30, 40, seed=seed) for place, seed in enumerate(seeds)]
    said = poseglot("compare", *b, "--baseline", *a)
    assert said.status == 0, said.error
    assert "not paired: their seeds differ or are not known" in said.out
    assert "McNemar" not in said.out
    assert f"B ahead in 0 of {2 * len(seeds)} pairings" in said.out
    assert said.out.endswith("verdict: no difference seen\n")


def test_unknown_seeds_are_not_the_same(poseglot: Command, write: Callable[..., Path]) -> None:
    a, b = ([write(f"{subset}-{seed}", 10, 20, 30, 40, seed=seed) for seed in (0, None)] for subset in "ab")
    assert "not paired: their seeds differ or are not known" in poseglot("compare", *b, "--baseline", *a).out


def test_a_single_run_against_several_speaks_for_itself_only(poseglot: Command, write: Callable[..., Path]) -> None:
    a = [write(f"a-{seed}", 10, 20, 30, 40, seed=seed) for seed in (0, 1)]
    out = poseglot("compare", write("b", 40, 40, 40, 40, seed=0), "--baseline", *a).out
    assert "the clips and the runs (2 of A; not paired" in out
    assert "a single run says nothing about other seeds" in out


def test_json_says_everything(poseglot: Command, write: Callable[..., Path]) -> None:
    a, b = write("a", 10, 20, 30, 40), write("b", 26, 22, 33, 37)
    said = poseglot("compare", a, b, "--json", "--min-difference", "5")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    told = json.loads(said.out, parse_constant=refuse)
    assert {key: told[key] for key in ("dataset", "split", "subset", "clips")} == {
        "dataset": "demo",
        "split": "cross-person",
        "subset": "test",
        "clips": 200,
    }
    assert told["a"] == {"runs": [{"run": str(a), "correct": 100, "total": 200}], "mean": 50.0, "deviation": None}
    assert told["b"]["runs"][0]["correct"] == 118
    difference = told["difference"]
    assert difference["points"] == pytest.approx(9)
    assert 0 < difference["low"] < 9 < difference["high"]
    assert (difference["runs_a"], difference["runs_b"], difference["resamples"]) == (1, 1, 10_000)
    ((test),) = told["mcnemar"]
    assert (test["a"], test["b"], test["only_a"], test["only_b"]) == (str(a), str(b), 3, 21)
    assert [each["name"] for each in told["classes"]] == list(CLASSES)
    assert told["classes"][0] == {
        "name": "sit",
        "a": {"correct": 10, "total": 50},
        "b": {"correct": 26, "total": 50},
        "points": 32.0,
    }
    assert told["classes"][4]["points"] is None
    assert told["beyond"] == {"points": 5.0, "classes": ["sit", "wave", "bow"]}
    assert told["verdict"].startswith("B is better")
    # What the text says, too.
    low, high = (f"{difference[key]:+.2f}" for key in ("low", "high"))
    assert f"95 % interval {low} to {high}\n" in poseglot("compare", a, b).out


def test_runs_of_a_fold_are_called_that(poseglot: Command, write: Callable[..., Path]) -> None:
    runs = [write(name, 10, 20, 30, 40, subset="fold 2/5") for name in ("a", "b")]
    assert "split cross-person, fold 2/5 of the training set: 200 clips" in poseglot("compare", *runs).out


def test_what_is_refused(poseglot: Command, write: Callable[..., Path], tmp_path: Path) -> None:
    a, b = write("a", 10, 20, 30, 40), write("b", 26, 22, 33, 37)
    whole = load_scores(b / "scores.npz")

    def refused(*arguments: object) -> str:
        said = poseglot("compare", *arguments)
        assert (said.status, said.out) == (1, "")
        assert said.error.startswith("poseglot: ")
        return str(said.error)

    assert "two runs, A and B, not 1;" in refused(a)
    assert "two runs, A and B, not 3;" in refused(a, b, a)
    assert f"{b} is given twice for one side" in refused(b, b, "--baseline", a)
    assert f"{tmp_path / 'absent'} does not exist" in refused(a, tmp_path / "absent")
    (tmp_path / "unfinished").mkdir()
    assert "poseglot evaluate" in refused(a, tmp_path / "unfinished")
    assert "is on both sides" in refused(a, a)
    assert "must be 0 or more, not -1" in refused(a, b, "--min-difference=-1")
    assert "must be 0 or more, not nan" in refused(a, b, "--min-difference", "nan")
    assert "picture.jpg must end in .png" in refused(a, b, "--picture", tmp_path / "picture.jpg")
    for other, said in (
        (replace(whole, names=("x", *whole.names[1:])), "the clips differ: number 1 is clip0 and x"),
        (replace(whole, labels=(whole.labels + 1) % 4), "the labels of 200 clips differ"),
        (replace(whole, classes=("lie", *CLASSES[1:])), "the classes differ: number 1 is sit and lie"),
    ):
        save_scores(other, b / "scores.npz")
        message = refused(a, b)
        assert f"{a} and {b} cannot be compared: {said}" in message
        assert "poseglot evaluate RUN --store STORE --split SPLIT" in message
    nothing = replace(whole, names=(), labels=whole.labels[:0], logits=whole.logits[:0])
    save_scores(nothing, b / "scores.npz")
    save_scores(nothing, a / "scores.npz")
    assert "evaluated on no clips" in refused(a, b)


# The picture


def pixels_of(path: Path, color: str) -> int:
    """How many pixels of a whole PNG file have (nearly) this color."""
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert content.endswith(b"IEND\xaeB`\x82")
    width, height = struct.unpack(">II", content[16:24])
    assert 300 <= width <= 2000
    assert 200 <= height <= 6000
    return int((np.abs(matplotlib.image.imread(path)[..., :3] - np.array(to_rgb(color))).max(axis=-1) < 0.02).sum())


def test_the_picture_of_a_comparison(poseglot: Command, write: Callable[..., Path], tmp_path: Path) -> None:
    a, b = write("a", 10, 20, 30, 40), write("b", 26, 22, 33, 37)
    path = tmp_path / "new" / "figure.png"
    said = poseglot("compare", a, b, "--picture", path)
    assert said.status == 0, said.error
    assert said.out.endswith(f"picture: {path}\n")
    # 38 points gained and 6 lost; the legend has a little of each.
    assert pixels_of(path, GAIN) > 3 * pixels_of(path, LOSS) > 0
    json.loads(poseglot("compare", a, b, "--picture", path, "--json").out)


def test_bars_are_as_long_as_the_differences(tmp_path: Path) -> None:
    def gain(name: str, points: int) -> ClassDifference:
        return ClassDifference(name, Accuracy(100, 200), Accuracy(100 + 2 * points, 200))

    shares = []
    for loss in (10, 20, 40):
        plot_differences([gain("up", 40), gain("down", -loss)], tmp_path / "p.png", title="t", min_difference=4)
        legend = 400
        shares.append((pixels_of(tmp_path / "p.png", LOSS) - legend) / (pixels_of(tmp_path / "p.png", GAIN) - legend))
    assert shares == pytest.approx([0.25, 0.5, 1], abs=0.05)


def test_nothing_beyond_is_said_in_the_picture_and_names_are_no_formulas(tmp_path: Path) -> None:
    plot_differences([], tmp_path / "none.png", title="t", min_difference=4)
    assert pixels_of(tmp_path / "none.png", GAIN) == pixels_of(tmp_path / "none.png", LOSS) == 0
    assert pixels_of(tmp_path / "none.png", "#222222") > 100
    odd = [ClassDifference("$x_{ $", Accuracy(0, 9), Accuracy(9, 9))]
    plot_differences(odd, tmp_path / "odd.png", title="$x_{ $", min_difference=4)
    assert pixels_of(tmp_path / "odd.png", GAIN) > 100


def test_many_classes_fit(tmp_path: Path) -> None:
    many = [ClassDifference(f"class {place}", Accuracy(50, 100), Accuracy(80 - place, 100)) for place in range(60)]
    plot_differences(many, tmp_path / "many.png", title="t", min_difference=0)
    assert pixels_of(tmp_path / "many.png", LOSS) > 1000
