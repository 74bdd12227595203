"""`poseglot ensemble`: several evaluated runs fused, with fixed weights or with weights found on folds of the training set."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from poseglot.app.commands.register import AddCommand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poseglot.evaluation.scores import SavedScores


def add(command: AddCommand) -> None:
    ensemble = command("ensemble", run, "fuse the scores of several evaluated runs")
    ensemble.add_argument("runs", type=Path, nargs="+")
    weights = ensemble.add_mutually_exclusive_group()
    weights.add_argument("--weights", type=float, nargs="+", help="one per run, after the runs; by default fixed by stream")
    weights.add_argument(
        "--search",
        type=Path,
        nargs="+",
        metavar="FOLD_RUN",
        help="find the weights on these evaluated runs of every stream and fold (--data.folds 5 --data.fold 1, ...), never on the "
        "test set; several seeds of a fold are more samples",
    )


def run(parsed: argparse.Namespace) -> None:
    from poseglot.evaluation.ensemble import check_members, check_number, check_weights, fixed_weights, fuse
    from poseglot.evaluation.metrics import Accuracy, top_k
    from poseglot.evaluation.scores import TEST, load_scores
    from poseglot.training.run import Run

    check_number(len(parsed.runs))
    loaded = [load_scores(Run(folder).scores) for folder in parsed.runs]
    check_members(list(map(str, parsed.runs)), loaded)
    looked_at = "" if loaded[0].subset == TEST else f" on {loaded[0].subset} of the training set"

    def fused(weights: Sequence[float]) -> Accuracy:
        return top_k(fuse([scores.logits for scores in loaded], weights), loaded[0].labels, 1)

    if parsed.weights is not None:
        check_weights(parsed.weights, len(loaded))
        _print_members(parsed.runs, loaded, parsed.weights)
        print(f"  fused{looked_at} (given by --weights)  {fused(parsed.weights)}")
        return
    fixed = fixed_weights([scores.modality for scores in loaded])
    if parsed.search is None:
        _print_members(parsed.runs, loaded, fixed)
    else:
        found, where = _search(loaded, parsed.search, fixed)
        _print_members(parsed.runs, loaded, found)
        print(f"  weights {where}")
        print(f"  fused{looked_at} (found by --search)  {fused(found)}")
    print(f"  fused{looked_at} (fixed: those of GAP's authors for each stream)  {fused(fixed)}")


def _print_members(folders: Sequence[Path], loaded: Sequence[SavedScores], weights: Sequence[float]) -> None:
    from poseglot.evaluation.metrics import top_k

    for folder, scores, weight in zip(folders, loaded, weights, strict=True):
        print(f"  {scores.modality:13} weight {weight:<4} {top_k(scores.logits, scores.labels, 1)}  {folder}")


def _search(loaded: Sequence[SavedScores], folders: Sequence[Path], fixed: Sequence[float]) -> tuple[list[float], str]:
    """The weights found, and a sentence on where."""
    from poseglot.evaluation.ensemble import fuse
    from poseglot.evaluation.metrics import top_k
    from poseglot.evaluation.scores import load_scores
    from poseglot.evaluation.weight_search import find_weights, held_out
    from poseglot.training.run import Run

    held = held_out(loaded, list(map(str, folders)), [load_scores(Run(folder).scores) for folder in folders])
    found, there = find_weights(held)
    seeds = f", by {held.runs} runs each" if held.runs > 1 else ""
    with_fixed = top_k(fuse(held.logits, fixed), held.labels, 1)
    return found, (
        f"found on {held.clips} held-out training clips{seeds} ({there} fused there, {with_fixed} with the fixed weights there); "
        "the test set was not looked at for it"
    )
