"""`poseglot compare`: is B better than A, or is it noise? Evaluated runs on the same clips; every difference is B minus A."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from poseglot.app.commands.register import AddCommand, missing_package
from poseglot.errors import PoseglotError

if TYPE_CHECKING:
    from poseglot.evaluation.comparison import ClassDifference, Difference, McNemar
    from poseglot.evaluation.metrics import Accuracy, Hits
    from poseglot.evaluation.scores import SavedScores


def add(command: AddCommand) -> None:
    compare = command("compare", run, "is one run (or recipe, with several seeds) better than another, or is it noise?")
    compare.add_argument("runs", type=Path, nargs="+", help="two evaluated runs, A and B; with --baseline the runs of A")
    compare.add_argument(
        "--baseline",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="the runs of B; runs of both sides with the same seeds are paired",
    )
    compare.add_argument(
        "--min-difference", type=float, default=4.0, help="name the classes that differ by more than so many points (4)"
    )
    compare.add_argument("--picture", type=Path, metavar="FILE.png", help="draw these classes, as figure 6 of the paper does")
    compare.add_argument("--json", action="store_true", help="print JSON")


@dataclass(frozen=True, eq=False)
class _Side:
    """A or B: its runs, what they got right (runs, N), and as counts."""

    folders: Sequence[Path]
    correct: Hits
    counts: Sequence[Accuracy]


@dataclass(frozen=True, eq=False)
class _Comparison:
    """Everything that is printed. Attributes: tests: McNemar's of each pair (run of A, run of B); points: what `beyond` is beyond."""

    scores: SavedScores
    a: _Side
    b: _Side
    difference: Difference
    tests: Sequence[tuple[Path, Path, McNemar]]
    classes: Sequence[ClassDifference]
    beyond: Sequence[ClassDifference]
    points: float
    verdict: str


def run(parsed: argparse.Namespace) -> None:
    if parsed.baseline is None and len(parsed.runs) != 2:
        raise PoseglotError(
            f"compare takes two runs, A and B, not {len(parsed.runs)}; for several a side: compare A-RUNS --baseline B-RUNS."
        )
    if not (math.isfinite(parsed.min_difference) and parsed.min_difference >= 0):
        raise PoseglotError(f"--min-difference must be 0 or more, not {parsed.min_difference:g}.")
    if parsed.picture is not None and parsed.picture.suffix != ".png":
        raise PoseglotError(f"--picture writes a PNG file: {parsed.picture} must end in .png.")
    folders_a, folders_b = (parsed.runs, parsed.baseline) if parsed.baseline else (parsed.runs[:1], parsed.runs[1:])
    comparison = _compare(folders_a, folders_b, parsed.min_difference)
    if parsed.picture is not None:
        _draw(comparison, parsed.picture)
    if parsed.json:
        print(json.dumps(_as_json(comparison), indent=1, allow_nan=False))
        return
    _print(comparison)
    if parsed.picture is not None:
        print(f"picture: {parsed.picture}")


def _compare(folders_a: Sequence[Path], folders_b: Sequence[Path], points: float) -> _Comparison:
    from poseglot.evaluation import comparison as numbers
    from poseglot.evaluation.scores import load_scores, what_differs
    from poseglot.training.run import Run

    for folders in (folders_a, folders_b):
        if repeated := [folder for place, folder in enumerate(folders) if folder in folders[:place]]:
            raise PoseglotError(f"{repeated[0]} is given twice for one side; a run counts once.")
    for folder in (*folders_a, *folders_b):
        if not folder.is_dir():
            raise PoseglotError(f"there is no run {folder}; compare takes folders that a training wrote (its --out).")
    if same := {folder.resolve() for folder in folders_a} & {folder.resolve() for folder in folders_b}:
        raise PoseglotError(f"{min(same)} is on both sides; a run does not differ from itself.")
    folders_b, paired = _paired_by_seed(folders_a, folders_b)
    folders = [*folders_a, *folders_b]
    loaded = [load_scores(Run(folder).scores) for folder in folders]
    for folder, scores in zip(folders, loaded, strict=True):
        if said := what_differs(loaded[0], scores):
            raise PoseglotError(
                f"{folders[0]} and {folder} cannot be compared: {said}. Evaluate all runs on the same clips "
                "(`poseglot evaluate RUN --store STORE --split SPLIT`)."
            )
    if not loaded[0].names:
        raise PoseglotError(f"{folders[0]} was evaluated on no clips; there is nothing to compare.")
    a, b = _side(folders_a, loaded[: len(folders_a)]), _side(folders_b, loaded[len(folders_a) :])
    difference = numbers.paired_difference(a.correct, b.correct, paired_runs=paired)
    pairs = zip(a.folders, b.folders, a.correct, b.correct, strict=True) if paired else ()
    classes = numbers.class_differences(a.correct, b.correct, loaded[0].labels, loaded[0].classes)
    return _Comparison(
        scores=loaded[0],
        a=a,
        b=b,
        difference=difference,
        tests=[(one, other, numbers.mcnemar(of_a, of_b)) for one, other, of_a, of_b in pairs],
        classes=classes,
        beyond=numbers.beyond(classes, points),
        points=points,
        verdict=numbers.verdict(difference),
    )


def _paired_by_seed(folders_a: Sequence[Path], folders_b: Sequence[Path]) -> tuple[Sequence[Path], bool]:
    """The runs of B in the order of the seeds of A, and whether the runs correspond: one a side, or the same seeds on both."""
    if len(folders_a) == len(folders_b) == 1:
        return folders_b, True
    seeds_a, seeds_b = ([_seed(folder) for folder in folders] for folders in (folders_a, folders_b))
    distinct = len(set(seeds_a)) == len(seeds_a) == len(seeds_b)
    if None in seeds_a or not distinct or set(seeds_a) != set(seeds_b):
        return folders_b, False
    return [folders_b[seeds_b.index(seed)] for seed in seeds_a], True


def _seed(folder: Path) -> int | None:
    """The seed of a run; None of one without a recipe (imported weights)."""
    from poseglot.training.recipe_io import read_recipe
    from poseglot.training.run import Run

    return read_recipe(Run(folder).recipe).seed if Run(folder).recipe.exists() else None


def _side(folders: Sequence[Path], loaded: Sequence[SavedScores]) -> _Side:
    from poseglot.evaluation.metrics import correct, top_k

    return _Side(
        folders=folders,
        correct=np.stack([correct(scores.logits, scores.labels) for scores in loaded]),
        counts=[top_k(scores.logits, scores.labels, 1) for scores in loaded],
    )


def _print(comparison: _Comparison) -> None:
    from poseglot.evaluation.comparison import mean_and_deviation

    scores, difference = comparison.scores, comparison.difference
    print(f"{scores.dataset}, split {scores.split}, {_looked_at(scores)}: {len(scores.names)} clips; top-1")
    for name, subset in (("A", comparison.a), ("B", comparison.b)):
        for folder, count in zip(subset.folders, subset.counts, strict=True):
            print(f"  {name}  {count}  {folder}")
        if len(subset.counts) > 1:
            mean, deviation = mean_and_deviation(subset.counts)
            print(f"  {name}  mean {mean:.2f} % +- {deviation:.2f} (standard deviation of {len(subset.counts)} runs)")
    print(f"B minus A  {difference.points:+.2f} points, 95 % interval {difference.low:+.2f} to {difference.high:+.2f}")
    print(f"  {_what_the_interval_covers(difference)}")
    if difference.pairings > 1:
        print(f"  B ahead in {difference.wins} of {difference.pairings} pairings of runs")
    for one, other, test in comparison.tests:
        print(f"McNemar    {test}" + (f"  ({one}, {other})" if len(comparison.tests) > 1 else ""))
    differing = f"{len(comparison.beyond)} of {len(comparison.classes)}"
    print(f"classes beyond +-{comparison.points:g} points: {differing} (A -> B; not tested one by one)")
    width = max((len(each.name) for each in comparison.beyond), default=0)
    for each in comparison.beyond:
        print(f"  {each.name:{width}}  {each.points:+6.1f}  {each.a} -> {each.b}")
    print(f"verdict: {comparison.verdict}")


def _what_the_interval_covers(difference: Difference) -> str:
    if difference.runs_a == difference.runs_b == 1:
        drawn = "the clips, not the seeds (one run a side)"
    elif difference.paired_runs:
        drawn = f"the clips and {difference.runs_a} pairs of runs of the same seed"
    else:
        several = [f"{runs} of {name}" for name, runs in (("A", difference.runs_a), ("B", difference.runs_b)) if runs > 1]
        drawn = f"the clips and the runs ({' and '.join(several)}; not paired: their seeds differ or are not known)"
    few = "; few seeds: rather too narrow" if 1 < min(difference.runs_a, difference.runs_b) < 5 else ""
    return f"bootstrap over {drawn}; clips of one person are taken for independent{few}"


def _looked_at(scores: SavedScores) -> str:
    from poseglot.evaluation.scores import TEST

    return "test set" if scores.subset == TEST else f"{scores.subset} of the training set"


def _as_json(comparison: _Comparison) -> dict[str, Any]:
    from poseglot.evaluation.comparison import mean_and_deviation

    def subset(subset: _Side) -> dict[str, Any]:
        mean, deviation = mean_and_deviation(subset.counts)
        runs = [{"run": str(folder), **asdict(count)} for folder, count in zip(subset.folders, subset.counts, strict=True)]
        return {"runs": runs, "mean": mean, "deviation": _or_null(deviation)}

    def of_class(each: ClassDifference) -> dict[str, Any]:
        return {**asdict(each), "points": _or_null(each.points)}

    scores = comparison.scores
    return {
        "dataset": scores.dataset,
        "split": scores.split,
        "side": scores.subset,
        "clips": len(scores.names),
        "a": subset(comparison.a),
        "b": subset(comparison.b),
        "difference": asdict(comparison.difference),
        "mcnemar": [{"a": str(one), "b": str(other), **asdict(test)} for one, other, test in comparison.tests],
        "classes": [of_class(each) for each in comparison.classes],
        "beyond": {"points": comparison.points, "classes": [each.name for each in comparison.beyond]},
        "verdict": comparison.verdict,
    }


def _or_null(value: float) -> float | None:
    """JSON has no "not a number"."""
    return None if math.isnan(value) else value


def _draw(comparison: _Comparison, path: Path) -> None:
    try:
        from poseglot.report.compare_picture import draw_differences
    except ImportError as error:
        raise PoseglotError(missing_package("drawing", error)) from error
    difference = comparison.difference
    title = (
        f"{comparison.scores.dataset}, {comparison.scores.split}: {difference.points:+.2f} points "
        f"({difference.low:+.2f} to {difference.high:+.2f}), {comparison.verdict.split(',')[0]}\n"
        f"A: {_called(comparison.a)}    B: {_called(comparison.b)}"
    )
    draw_differences(comparison.beyond, path, title=title, points=comparison.points)


def _called(subset: _Side) -> str:
    more = f" and {len(subset.folders) - 1} more" if len(subset.folders) > 1 else ""
    return f"{subset.folders[0].name}{more}"
