"""`poseglot calibrate`: the temperature of a run, fitted on clips that runs of folds held out."""

from __future__ import annotations

import argparse
from pathlib import Path

from poseglot.app.commands.register import AddCommand, check_run_folder, notes


def add(command: AddCommand) -> None:
    calibrate = command("calibrate", run, "calibrate a run's probabilities with runs that held out folds")
    calibrate.add_argument("run", type=Path, help="the run to calibrate, trained on the whole training set")
    calibrate.add_argument(
        "folds", type=Path, nargs="+", help="runs of the same recipe with --data.folds N --data.fold 1, 2, ..."
    )


def run(parsed: argparse.Namespace) -> None:
    from poseglot.evaluation.metrics import Accuracy
    from poseglot.training.calibrate import calibrate

    for folder in (parsed.run, *parsed.folds):
        check_run_folder(folder, "calibrate")
    with notes():
        found = calibrate(parsed.run, parsed.folds)
    path = found.write(parsed.run)
    (ece_before, ece_after), (nll_before, nll_after) = found.ece, found.nll
    low, high = found.interval
    of = "" if found.unit == "clips" else f" of {found.groups} {found.unit}"
    print(f"temperature {found.temperature:.4f}: {found.how}, {found.clips} clips{of}")
    if found.unsupported_reason:
        print(f"  the fitted one is not used: {found.unsupported_reason}")
    else:
        print(f"  95 % interval over {found.unit} {low:.3f} to {high:.3f}")
    print(
        f"  ECE {ece_before:.2%} -> {ece_after:.2%} ({found.bins} bins of equal width), NLL {nll_before:.4f} -> {nll_after:.4f}, "
        f"Brier {found.brier[0]:.4f} -> {found.brier[1]:.4f}"
    )
    lowest = ", ".join(f"{float(coverage):.0%}: {value:.3f}" for coverage, value in found.set_thresholds.items())
    print(f"  lowest probability of a class in a set with coverage {lowest} (`poseglot predict --coverage 0.9`)")
    held = ", ".join(f"{float(coverage):.0%}: {Accuracy(*clips)}" for coverage, clips in found.set_coverage.items())
    print(f"  such sets hold the action, each threshold being that of the other {found.unit}: {held}")
    print(f"{path}: `poseglot predict` and `poseglot evaluate` use it from now on")
