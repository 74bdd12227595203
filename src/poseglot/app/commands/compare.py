"""`poseglot compare`: test whether the difference between evaluated runs is significant; every difference is B minus A."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from poseglot.app.commands.register import AddCommand, missing_package
from poseglot.errors import MissingPackageError, SettingError
from poseglot.safe_text import json_text

if TYPE_CHECKING:
    from poseglot.evaluation.comparison import Comparison, Difference, Side


def add(command: AddCommand) -> None:
    compare = command("compare", run, "test whether the difference between runs, or recipes with several seeds, is significant")
    compare.add_argument("runs", type=Path, nargs="+", help="two evaluated runs, A and B; with --baseline the runs of B")
    compare.add_argument(
        "--baseline",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="the runs of A; runs of both sides with the same seeds are paired",
    )
    compare.add_argument(
        "--min-difference", type=float, default=4.0, help="name the classes that differ by more than so many points (4)"
    )
    compare.add_argument("--picture", type=Path, metavar="FILE.png", help="draw these classes, as figure 6 of the paper does")
    compare.add_argument("--json", action="store_true", help="print JSON")


def run(parsed: argparse.Namespace) -> None:
    from poseglot.training.compare import compare_runs

    if parsed.baseline is None and len(parsed.runs) != 2:
        raise SettingError(
            f"compare takes two runs, A and B, not {len(parsed.runs)}; for several a side: compare B-RUNS --baseline A-RUNS."
        )
    if not (math.isfinite(parsed.min_difference) and parsed.min_difference >= 0):
        raise SettingError(f"--min-difference must be 0 or more, not {parsed.min_difference:g}.")
    if parsed.picture is not None and parsed.picture.suffix != ".png":
        raise SettingError(f"--picture writes a PNG file: {parsed.picture} must end in .png.")
    folders_a, folders_b = (parsed.baseline, parsed.runs) if parsed.baseline else (parsed.runs[:1], parsed.runs[1:])
    comparison = compare_runs(folders_a, folders_b, min_difference=parsed.min_difference)
    if parsed.picture is not None:
        _plot(comparison, parsed.picture)
    if parsed.json:
        print(json_text(comparison.table(), indent=1))
        return
    _print(comparison)
    if parsed.picture is not None:
        print(f"picture: {parsed.picture}")


def _print(comparison: Comparison) -> None:
    from poseglot.evaluation.metrics import mean_and_deviation

    scores, difference = comparison.scores, comparison.difference
    print(f"{scores.dataset}, split {scores.split}, {scores.subset_text}: {len(scores.names)} clips; top-1")
    for letter, side in (("A", comparison.a), ("B", comparison.b)):
        for name, accuracy in zip(side.names, side.accuracies, strict=True):
            print(f"  {letter}  {accuracy}  {name}")
        if len(side.names) > 1:
            mean, deviation = mean_and_deviation(side.accuracies)
            print(f"  {letter}  mean {mean:.2f} % ± {deviation:.2f} (standard deviation of {len(side.names)} runs)")
    print(f"B minus A  {difference.points:+.2f} points, 95 % interval {difference.low:+.2f} to {difference.high:+.2f}")
    print(f"  {_resampled(difference)}")
    if difference.pairings > 1:
        print(f"  B ahead in {difference.wins} of {difference.pairings} pairings of runs")
    for one, other, test in comparison.tests:
        print(f"McNemar    {test}" + (f"  ({one}, {other})" if len(comparison.tests) > 1 else ""))
    differing = f"{len(comparison.beyond)} of {len(comparison.classes)}"
    print(f"classes beyond ±{comparison.min_difference:g} points: {differing} (A -> B; not tested one by one)")
    width = max((len(each.name) for each in comparison.beyond), default=0)
    for each in comparison.beyond:
        print(f"  {each.name:{width}}  {each.points:+6.1f}  {each.a} -> {each.b}")
    print(f"verdict: {difference.verdict}")


def _resampled(difference: Difference) -> str:
    """Say what the bootstrap resampled, and so what its interval covers."""
    if difference.runs_a == difference.runs_b == 1:
        drawn = "the clips, not the seeds (one run a side)"
    elif difference.paired_runs:
        drawn = f"the clips and {difference.runs_a} pairs of runs of the same seed"
    else:
        several = [f"{runs} of {name}" for name, runs in (("A", difference.runs_a), ("B", difference.runs_b)) if runs > 1]
        drawn = f"the clips and the runs ({' and '.join(several)}; not paired: their seeds differ or are not known)"
    few = "; few seeds: the interval is too narrow" if 1 < min(difference.runs_a, difference.runs_b) < 5 else ""
    return f"bootstrap over {drawn}; clips of one person are treated as independent{few}"


def _plot(comparison: Comparison, path: Path) -> None:
    try:
        from poseglot.report.comparison_plot import plot_differences
    except ImportError as error:
        raise MissingPackageError(missing_package("drawing", error)) from error
    difference = comparison.difference
    title = (
        f"{comparison.scores.dataset}, {comparison.scores.split}: {difference.points:+.2f} points "
        f"({difference.low:+.2f} to {difference.high:+.2f}), {difference.verdict.split(',')[0]}\n"
        f"A: {_side_name(comparison.a)}    B: {_side_name(comparison.b)}"
    )
    plot_differences(comparison.beyond, path, title=title, min_difference=comparison.min_difference)


def _side_name(side: Side) -> str:
    more = f" and {len(side.names) - 1} more" if len(side.names) > 1 else ""
    return f"{Path(side.names[0]).name}{more}"
