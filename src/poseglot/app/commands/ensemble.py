"""`poseglot ensemble`: fuse several evaluated runs, with fixed weights or with weights found on folds of the training set."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from poseglot.app.commands.register import AddCommand

if TYPE_CHECKING:
    from poseglot.evaluation.ensemble import Ensemble
    from poseglot.evaluation.weight_search import FoundWeights


def add(command: AddCommand) -> None:
    ensemble = command("ensemble", run, "fuse the scores of several evaluated runs")
    ensemble.add_argument("runs", type=Path, nargs="+")
    weights = ensemble.add_mutually_exclusive_group()
    weights.add_argument("--weights", type=float, nargs="+", help="one per run, after the runs; by default fixed by modality")
    weights.add_argument(
        "--search",
        type=Path,
        nargs="+",
        metavar="FOLD_RUN",
        help="find the weights on these evaluated runs of every modality and fold (--data.folds 5 --data.fold 1, ...), never on the "
        "test set; several seeds of a fold are more samples",
    )


def run(parsed: argparse.Namespace) -> None:
    from poseglot.evaluation.ensemble import make_ensemble
    from poseglot.evaluation.scores import TEST
    from poseglot.evaluation.weight_search import search_weights
    from poseglot.training.compare import scores_of
    from poseglot.training.run import Run

    ensemble = make_ensemble(scores_of(parsed.runs), parsed.weights)
    subset = next(iter(ensemble.members.values())).subset
    fused = "fused" if subset == TEST else f"fused on {subset} of the training set"
    if parsed.weights is not None:
        _print_members(ensemble)
        print(f"  {fused} (given by --weights)  {ensemble.accuracy}")
        return
    if parsed.search is None:
        _print_members(ensemble)
    else:
        found = search_weights(ensemble, [(str(folder), Run(folder).scores) for folder in parsed.search])
        best = make_ensemble(ensemble.members, found.weights)
        _print_members(best)
        print(f"  weights {_source(found)}")
        print(f"  {fused} (found by --search)  {best.accuracy}")
    print(f"  {fused} (fixed: those of GAP's authors for each modality)  {ensemble.accuracy}")


def _print_members(ensemble: Ensemble) -> None:
    from poseglot.evaluation.metrics import top_k

    for (folder, scores), weight in zip(ensemble.members.items(), ensemble.weights, strict=True):
        print(f"  {scores.modality:13} weight {weight:<4} {top_k(scores.logits, scores.labels, 1)}  {folder}")


def _source(found: FoundWeights) -> str:
    seeds = f", by {found.runs} runs each" if found.runs > 1 else ""
    return (
        f"found on {found.clips} held-out training clips{seeds} ({found.accuracy} fused there, {found.fixed_accuracy} with the fixed "
        "weights there); the test set was not used"
    )
