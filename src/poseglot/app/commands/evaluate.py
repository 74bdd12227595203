"""`poseglot evaluate`: what a run says of its test side."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from poseglot.app.commands.register import AddCommand
from poseglot.errors import PoseglotError

if TYPE_CHECKING:
    from poseglot.evaluation.scores import SavedScores


def add(command: AddCommand) -> None:
    evaluate = command("evaluate", run, "top-1 and top-5 of a run on its test side, and per class; writes scores")
    evaluate.add_argument("run", type=Path)
    evaluate.add_argument("--store", type=Path, help="another store of the same classes")
    evaluate.add_argument("--split", help="another split")


def run(parsed: argparse.Namespace) -> None:
    from poseglot.evaluation.metrics import per_class, top_k
    from poseglot.evaluation.scores import save_scores
    from poseglot.training.run import Run

    if not parsed.run.is_dir():
        what = "is not a run's folder" if parsed.run.exists() else "does not exist"
        raise PoseglotError(f"{parsed.run} {what}; `poseglot evaluate` takes the folder that a training wrote (its --out).")
    scores = scores_of_run(parsed.run, parsed.store, parsed.split)
    save_scores(scores, Run(parsed.run).scores)
    counts = {f"top-{k}": top_k(scores.logits, scores.labels, k) for k in (1, 5) if k < len(scores.classes)}
    print(f"{parsed.run} on {scores.dataset}, split {scores.split}, stream {scores.stream}")
    for name, count in counts.items():
        print(f"  {name}  {count}")
    width = max(map(len, scores.classes))
    for label, count in zip(scores.classes, per_class(scores.logits, scores.labels), strict=True):
        print(f"    {label:{width}}  {count}")
    print(f"scores: {Run(parsed.run).scores}")


def scores_of_run(run: Path, store_path: Path | None, split: str | None) -> SavedScores:
    """Run a recognizer over its test side (or over another store of the same classes)."""
    from poseglot.evaluation.scores import SavedScores
    from poseglot.inference import Predictor
    from poseglot.skeletons.store import open_store
    from poseglot.skeletons.transforms import protocol_named
    from poseglot.skeletons.views import Views

    predictor = Predictor(run)
    if store_path is None or split is None:
        from poseglot.training.recipe_file import read_recipe

        if not (run / "recipe.yaml").exists():
            raise PoseglotError(f"{run} has no recipe.yaml that names its data; say --store and --split.")
        recipe = read_recipe(run / "recipe.yaml")
        store_path, split = store_path or Path(recipe.data.store), split or recipe.data.split
    store, spec = open_store(store_path), predictor.recognizer.spec
    if store.info.classes != spec.classes or store.info.layout != spec.layout:
        raise PoseglotError(
            f"{run} was trained on another data set than {store_path} ({store.info.name}): it knows {len(spec.classes)} classes "
            f"({spec.classes[0]}, ...) in layout {spec.layout}, the store has {len(store.info.classes)} "
            f"({store.info.classes[0]}, ...) in {store.info.layout}."
        )
    views = Views(store, store.side(split, "test"), protocol_named(spec.protocol), spec.stream, predictor.layout)
    logits = np.concatenate(list(predictor.logits_of(views)))
    return SavedScores(tuple(views.names), views.labels.numpy(), logits, spec.classes, spec.stream, store.info.name, split)
