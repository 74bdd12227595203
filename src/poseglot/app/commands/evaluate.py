"""`poseglot evaluate`: the accuracy of a run on its test set."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from poseglot.app.commands.register import AddCommand, check_run_folder, notes
from poseglot.errors import SettingError
from poseglot.files import folder_lock

if TYPE_CHECKING:
    from poseglot.training.evaluate import Evaluation
    from poseglot.training.run import Run

_THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def add(command: AddCommand) -> None:
    evaluate = command("evaluate", run, "top-1 and top-5 of a run on its test set, and per class; writes scores")
    evaluate.add_argument(
        "run", type=Path, help="the run's folder, or the name of a packaged recognizer, whose scores are not kept"
    )
    evaluate.add_argument("--store", type=Path, help="another store, also of another data set")
    evaluate.add_argument(
        "--class-map", type=Path, metavar="FILE", help="classes of that store: lines 'label: class', or 'label: -' to leave out"
    )
    evaluate.add_argument("--split", help="another split")
    evaluate.add_argument(
        "--threshold",
        type=float,
        metavar="P",
        help='say how many clips are answered, and how well, if those less probable are answered "unknown"',
    )


def run(parsed: argparse.Namespace) -> None:
    from poseglot.data.adapt import read_class_map
    from poseglot.models.pretrained import find_recognizer
    from poseglot.training.evaluate import evaluate
    from poseglot.training.run import open_run

    folder = find_recognizer(parsed.run)
    check_run_folder(folder, "evaluate")
    is_own = folder == parsed.run  # what the package or the Hub brought is left as it is
    if parsed.threshold is not None and not 0 <= parsed.threshold <= 1:
        raise SettingError(f"--threshold is a probability from 0 to 1, not {parsed.threshold}.")
    opened = open_run(folder)
    class_map = None if parsed.class_map is None else read_class_map(parsed.class_map)
    with notes(), folder_lock(opened.folder) if is_own else contextlib.nullcontext():
        evaluation = evaluate(opened, parsed.store, parsed.split, class_map=class_map)
        scores = evaluation.scores
        other = "" if evaluation.store is None else scores.dataset
        if opened.has_recipe and scores.split != opened.recipe.data.split:
            other = "-".join(filter(None, (other, scores.split)))
        # scores.npz is of the recipe's own clips; ensembles, comparisons and reports read it.
        saved = opened.files.scores.with_name(f"scores-{other.replace('/', '-')}.npz") if other else opened.files.scores
        if is_own:
            evaluation.save(saved)
    print(f"{parsed.run} on {scores.dataset}, split {scores.split}, {scores.subset_text}, modality {scores.modality}")
    for k in (1, 5):
        if k < len(scores.classes):
            print(f"  top-{k}  {evaluation.top_k(k)}")
    for name, accuracy in evaluation.per_set.items():
        print(f"  top-1  {accuracy} of {name}, among all classes")
    if (found := evaluation.in_training) is None:
        print("  not checked: whether some of these clips were trained on")
    elif found.any():
        print(
            f"  top-1  {evaluation.top1_without_training_clips} without {found.sum()}/{len(found)} clips that were trained on"
        )
    if opened.best_epoch is not None and parsed.store is None and parsed.split is None:
        epoch, best = opened.best_epoch
        print(f"  not a result: {best} at epoch {epoch}, the best of the log, which choosing on these clips would have claimed")
    print(f"  {_calibration_line(evaluation)}")
    for coverage, lowest in evaluation.set_thresholds.items():
        held, size, empty = evaluation.sets(lowest)
        print(f"  sets of {coverage:.0%} coverage hold the action of {held}, {size:.2f} actions in the mean, {empty} empty")
    if parsed.store is None and parsed.split is None and opened.recipe.data.unseen_classes:
        print(f"  {_novelty_line(opened)}")
    if parsed.threshold is not None:
        _print_coverage(evaluation, parsed.threshold)
    width = max(map(len, scores.classes))
    for label, accuracy in evaluation.per_class.items():
        if accuracy.total or evaluation.store is None:
            print(f"    {label:{width}}  {accuracy}")
    if is_own:
        print(f"scores: {saved}")


def _calibration_line(evaluation: Evaluation) -> str:
    """Return the calibration errors without and with the run's temperature."""
    before, after = evaluation.reliability, evaluation.calibrated
    perfect = f"of perfect probabilities {(after or before).perfect_ece:.2%}, {len(before.bins)} bins of equal width"
    clips = f"on {len(evaluation.scores.labels)} clips (ECE: {perfect})"
    if after is None:
        return f"ECE {before.ece:.2%}, NLL {before.nll:.4f}, Brier {before.brier:.4f} {clips}; not calibrated"
    return (
        f"ECE {before.ece:.2%} -> {after.ece:.2%}, NLL {before.nll:.4f} -> {after.nll:.4f}, Brier {before.brier:.4f} -> "
        f"{after.brier:.4f} {clips}; temperature {evaluation.temperature:.4f}"
    )


def _novelty_line(opened: Run) -> str:
    """Return how well clips of classes that were left out are told from the others."""
    from poseglot.training.novelty import detect_novelty

    found = detect_novelty(opened)
    aurocs = ", ".join(f"{name} {value:.1%}" for name, value in found.aurocs.items())
    return f"unknown actions: AUROC by {aurocs} ({found.known} clips of its actions, {found.novel} of others)"


def _print_coverage(evaluation: Evaluation, threshold: float) -> None:
    """Print how many clips are answered, and how many of these are correct, for some thresholds."""
    print("  threshold       answered                 correct of these")
    for each in sorted({*_THRESHOLDS, threshold}):
        answered, right = evaluation.coverage(each)
        mark = "  <- --threshold" if each == threshold else ""
        print(f"      {each:<12g}{answered!s:<25}{right}{mark}")
