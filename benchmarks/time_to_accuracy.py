"""How many clips, and how many minutes, a training takes to an accuracy: the curve of one recipe or several, over seeds.

    python benchmarks/time_to_accuracy.py --config nw-ucla/fast --seeds 0 1 2 --runs runs/fast
    python benchmarks/time_to_accuracy.py runs/fast/seed0 runs/fast/seed1 runs/fast/seed2 runs/slow/seed0

Runs that differ in nothing but the seed are one curve: the mean over seeds, at the epochs that all of them validated. Everything is read
from the runs' logs. Clips are counted as the network sees them, repetitions included. Minutes are those of the training process on its
clock, validation and checkpoints included; of runs that this script trains, start-up and end are measured, too, and added to the table.

The epoch at which a curve first reaches the target is read off the test curve, so it says how fast a recipe is and is no result. The result
is the last epoch, beside it in the table. Marks show how many clips published schedules show the network (docs/nw-ucla.md).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from measuring import ENVIRONMENT, machine, table, write_results

from poseglot.report.plots import INK, LINE, PAPER, save_figure
from poseglot.training.recipe import differing
from poseglot.training.run import Run, open_run

# Clips shown in a whole training on NW-UCLA.
SCHEDULES = {
    "cpu-hour": 39_680,
    "CTR-GCN": 331_500,
    "GAP": 556_160,
    "Hyperformer": 765_000,
    "SkateFormer": 5_100_000,
}
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
PROCESS_FILE = "process.json"


@dataclass(frozen=True)
class Point:
    """A validated epoch: clips seen, minutes, and correct clips out of a total. Of several seeds, the means."""

    epoch: int
    clips: float
    minutes: float
    correct: float
    total: int

    @property
    def percent(self) -> float:
        return 100 * self.correct / self.total


@dataclass(frozen=True)
class Curve:
    """The runs of a recipe that differ in nothing but the seed.

    Attributes:
        name: the folder that they are in, or the only one.
        runs: the runs, each with its points.
        mean: the means over runs, at the epochs that all of them validated.
        complete: whether the log tells the time of validation; otherwise the minutes are those of training alone.
    """

    name: str
    runs: tuple[tuple[Run, tuple[Point, ...]], ...]
    mean: tuple[Point, ...]
    complete: bool

    def first(self, target: float) -> Point | None:
        """The first point of the mean at or above a percentage."""
        return next((point for point in self.mean if point.percent >= target), None)

    @property
    def last(self) -> list[Point]:
        """The last point of each run."""
        return [points[-1] for _, points in self.runs]


def points_of(log: Sequence[dict[str, Any]]) -> tuple[Point, ...]:
    """The validated epochs of a log."""
    found, clips, seconds = [], 0, 0.0
    for entry in log:
        clips, seconds = clips + entry["train"]["total"], seconds + entry["seconds"]
        if "test" in entry:
            minutes = entry.get("elapsed", seconds) / 60
            found.append(Point(entry["epoch"], clips, minutes, entry["test"]["correct"], entry["test"]["total"]))
    return tuple(found)


def curves_of(runs: Sequence[Run]) -> list[Curve]:
    """The runs as curves, in the order given."""
    groups: list[list[Run]] = []
    for run in runs:
        alike = (group for group in groups if not differing(replace(group[0].recipe, seed=run.recipe.seed), run.recipe))
        group = next(alike, None)
        if group is None:
            groups.append([run])
        else:
            group.append(run)
    curves = []
    for group in groups:
        seeds = [run.recipe.seed for run in group]
        if len(set(seeds)) < len(seeds):
            sys.exit(f"two runs of one recipe have the same seed: {', '.join(str(run.folder) for run in group)}")
        points = [points_of(run.log) for run in group]
        if not all(points):
            sys.exit(f"{group[0].folder}: a run without a validated epoch in its log")
        epochs = sorted(set.intersection(*({point.epoch for point in each} for each in points)))
        mean = []
        for epoch in epochs:
            own = [point for each in points for point in each if point.epoch == epoch]
            if len({point.total for point in own}) > 1:
                sys.exit(f"the runs of {group[0].folder} were validated on different clips")
            average = {name: statistics.mean(getattr(point, name) for point in own) for name in ("clips", "minutes", "correct")}
            mean.append(Point(epoch, **average, total=own[0].total))
        complete = all("elapsed" in entry for run in group for entry in run.log)
        name = group[0].folder if len(group) == 1 else group[0].folder.parent
        curves.append(Curve(str(name), tuple(zip(group, points, strict=True)), tuple(mean), complete))
    return curves


def rows_of(curves: Sequence[Curve], target: float) -> list[dict[str, Any]]:
    """The table: when each curve's mean first reached the target, and the last epoch."""
    rows = []
    for curve in curves:
        first, last = curve.first(target), curve.last
        percents = [point.percent for point in last]
        spread = f" ± {statistics.stdev(percents):.2f}" if len(percents) > 1 else ""
        own = ", ".join(f"{point.correct:.0f}/{point.total}" for point in last)
        row = {"curve": curve.name, "seeds": ", ".join(str(run.recipe.seed) for run, _ in curve.runs)}
        row |= dict(
            zip(
                (f"first epoch at {target:g} %", "clips seen", "minutes"),
                (str(first.epoch), f"{first.clips:,.0f}", f"{first.minutes:.1f}") if first else ("not reached", "-", "-"),
                strict=True,
            )
        )
        whole = [process_minutes(run) for run, _ in curve.runs]
        rows.append(
            row
            | {
                "last epoch": str(last[0].epoch),
                "accuracy of the last epoch": f"{statistics.mean(percents):.2f}{spread} % ({own})",
                "clips in all": f"{statistics.mean(point.clips for point in last):,.0f}",
                "minutes in all": f"{statistics.mean(point.minutes for point in last):.1f}",
                "minutes of the whole process": f"{statistics.mean(whole):.1f}" if None not in whole else "not measured",
            }
        )
    return rows


def process_minutes(run: Run) -> float | None:
    """How long the process took that trained a run, if this script started it."""
    path = run.folder / PROCESS_FILE
    return float(json.loads(path.read_text())["seconds"]) / 60 if path.exists() else None


def plot(curves: Sequence[Curve], target: float, path: Path) -> None:
    figure = Figure(figsize=(11, 4.2), facecolor=PAPER, layout="constrained")
    by_clips, by_minutes = figure.subplots(1, 2, sharey=True)
    for curve, color in zip(curves, [*COLORS] * len(curves), strict=False):
        for axis, field in ((by_clips, "clips"), (by_minutes, "minutes")):
            for _, points in curve.runs:
                axis.plot(
                    [getattr(p, field) for p in points], [p.percent for p in points], color=color, linewidth=0.6, alpha=0.5
                )
            mean, percents = [getattr(point, field) for point in curve.mean], [point.percent for point in curve.mean]
            label = f"{curve.name} ({len(curve.runs)} seed{'s' * (len(curve.runs) > 1)})"
            axis.plot(mean, percents, color=color, linewidth=1.8, marker=".", label=label)
    by_clips.set_xscale("log")
    by_clips.set_xlim(right=6 * max(SCHEDULES.values()))  # the last name has room
    for number, (name, clips) in enumerate(SCHEDULES.items()):
        by_clips.axvline(clips, color=INK, linewidth=0.7, linestyle=":")
        height = 0.02 + 0.07 * (number % 3)
        by_clips.text(clips, height, f" {name}", transform=by_clips.get_xaxis_transform(), fontsize=7, color=INK)
    for axis, label in ((by_clips, "clips seen (whole published schedules dotted)"), (by_minutes, "minutes of the process")):
        axis.axhline(target, color=INK, linewidth=0.7, linestyle="--")
        axis.set_xlabel(label)
        axis.grid(color=LINE, linewidth=0.5)
        axis.spines[["top", "right"]].set_visible(False)
    by_clips.set_ylabel("test accuracy (%)")
    by_minutes.legend(frameon=False, fontsize=8, loc="lower right")
    save_figure(figure, path)


def train(config: str, seeds: Sequence[int], runs: Path, settings: Sequence[str]) -> list[Path]:
    """Train a recipe with each seed that has no run yet, one after the other, and keep how long each process took."""
    folders = []
    for seed in seeds:
        folder = runs / f"seed{seed}"
        folders.append(folder)
        if (folder / PROCESS_FILE).exists():
            continue
        command = [sys.executable, "-m", "poseglot", "train", "--config", config, "--out", str(folder), "--seed", str(seed)]
        started = time.perf_counter()
        done = subprocess.run([*command, *settings], env=ENVIRONMENT)
        if done.returncode:
            sys.exit(f"the training of seed {seed} ended with {done.returncode}")
        (folder / PROCESS_FILE).write_text(json.dumps({"seconds": time.perf_counter() - started}) + "\n")
    return folders


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("finished", nargs="*", type=Path, help="folders of finished runs")
    parser.add_argument("--config", help="train this recipe, with --seeds and --set")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs/time-to-accuracy"), help="the folder for the trainings")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="settings of the recipe")
    parser.add_argument("--target", type=float, default=94.0, help="the accuracy in percent (94)")
    parser.add_argument("--out", type=Path, default=Path("results/time-to-accuracy"))
    parsed = parser.parse_args()
    folders = list(parsed.finished)
    if parsed.config:
        settings = [word for each in parsed.set for word in (f"--{each.partition('=')[0]}", each.partition("=")[2])]
        folders += train(parsed.config, parsed.seeds, parsed.runs, settings)
    if not folders:
        parser.error("give folders of finished runs, or --config RECIPE to train")
    curves = curves_of([open_run(folder, device="cpu") for folder in folders])
    rows = rows_of(curves, parsed.target)
    lines = [f"# Clips and minutes to {parsed.target:g} %", "", table(rows)]
    if not all(curve.complete for curve in curves):
        lines.append("Minutes of logs without `elapsed` are those of training alone, without validation.\n")
    lines += [
        "The first epoch at the target is that of the mean over seeds, read off the test curve: it says how fast a recipe is and is no",
        "result. The result is the last epoch. Minutes are those of the training process up to the end of an epoch, validation included,",
        "start-up not; the whole process has both ends.",
        "",
        "![The curves](curve.png)",
        "",
        table([{"whole schedule on NW-UCLA": name, "clips shown": clips} for name, clips in SCHEDULES.items()]),
        table([{"machine": name, "value": str(value)} for name, value in machine().items()]),
    ]
    data = {
        "target": parsed.target,
        "rows": rows,
        "curves": [
            {
                "name": curve.name,
                "runs": {str(run.folder): points for run, points in curve.runs},
                "mean": curve.mean,
            }
            for curve in curves
        ],
        "schedules": SCHEDULES,
        "machine": machine(),
    }
    write_results(parsed.out, "table", "\n".join(lines), data)
    plot(curves, parsed.target, parsed.out / "curve.png")


if __name__ == "__main__":
    main()
