"""`poseglot ensemble`: several evaluated runs fused."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from poseglot.app.commands.register import AddCommand
from poseglot.errors import PoseglotError


def add(command: AddCommand) -> None:
    ensemble = command("ensemble", run, "fuse the scores of several evaluated runs")
    ensemble.add_argument("runs", type=Path, nargs="+")
    ensemble.add_argument("--weights", type=float, nargs="+", help="one per run, after the runs; by default fixed by stream")


def run(parsed: argparse.Namespace) -> None:
    from poseglot.evaluation.ensemble import GAP_WEIGHTS, fuse
    from poseglot.evaluation.metrics import top_k
    from poseglot.evaluation.scores import load_scores
    from poseglot.training.run import Run

    if len(parsed.runs) < 2:
        raise PoseglotError("an ensemble needs at least two evaluated runs.")
    loaded = [load_scores(Run(folder).scores) for folder in parsed.runs]
    first = loaded[0]
    for folder, scores in zip(parsed.runs, loaded, strict=True):
        if scores.names != first.names or scores.classes != first.classes or not np.array_equal(scores.labels, first.labels):
            raise PoseglotError(
                f"{folder} and {parsed.runs[0]} were not evaluated on the same clips ({scores.dataset}/{scores.split} and "
                f"{first.dataset}/{first.split}); only runs on one test side can be fused."
            )
    if parsed.weights is not None and len(parsed.weights) != len(loaded):
        raise PoseglotError(f"{len(parsed.weights)} weights for {len(loaded)} runs; give one for each, in their order.")
    if parsed.weights is not None and not any(parsed.weights):
        raise PoseglotError("the weights are all zero; at least one run must count.")
    weights = parsed.weights or [GAP_WEIGHTS[scores.stream] for scores in loaded]
    origin = "given by --weights" if parsed.weights else "fixed: those of GAP's authors for each stream"
    for folder, scores, weight in zip(parsed.runs, loaded, weights, strict=True):
        print(f"  {scores.stream:13} weight {weight:<4} {top_k(scores.logits, scores.labels, 1)}  {folder}")
    fused = fuse([scores.logits for scores in loaded], weights)
    print(f"  fused ({origin})  {top_k(fused, first.labels, 1)}")
