"""`poseglot evaluate`: what a run says of its test set."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from poseglot.app.commands.register import AddCommand, check_run_folder
from poseglot.errors import PoseglotError

if TYPE_CHECKING:
    from poseglot.evaluation.scores import SavedScores
    from poseglot.inference import Predictor
    from poseglot.training.recipe import DataRecipe


def add(command: AddCommand) -> None:
    evaluate = command("evaluate", run, "top-1 and top-5 of a run on its test set, and per class; writes scores")
    evaluate.add_argument("run", type=Path)
    evaluate.add_argument("--store", type=Path, help="another store of the same classes")
    evaluate.add_argument("--split", help="another split")
    evaluate.add_argument(
        "--threshold",
        type=float,
        metavar="P",
        help="say how many clips are answered, and how well, if the others are unknown",
    )


def run(parsed: argparse.Namespace) -> None:
    from poseglot.evaluation.metrics import per_class, top_k
    from poseglot.evaluation.scores import TEST, save_scores
    from poseglot.inference import Predictor
    from poseglot.training.run import Run

    check_run_folder(parsed.run, "evaluate")
    if parsed.threshold is not None and not 0 <= parsed.threshold <= 1:
        raise PoseglotError(f"--threshold is a probability from 0 to 1, not {parsed.threshold}.")
    predictor = Predictor(parsed.run)
    scores, repeated = scores_and_repeated(predictor, parsed.run, parsed.store, parsed.split)
    save_scores(scores, Run(parsed.run).scores)
    counts = {f"top-{k}": top_k(scores.logits, scores.labels, k) for k in (1, 5) if k < len(scores.classes)}
    looked_at = "" if scores.subset == TEST else f", {scores.subset} of the training set"
    print(f"{parsed.run} on {scores.dataset}, split {scores.split}{looked_at}, stream {scores.modality}")
    for name, count in counts.items():
        print(f"  {name}  {count}")
    if repeated.any():
        rest = top_k(scores.logits[~repeated], scores.labels[~repeated], 1)
        print(f"  top-1  {rest} without {repeated.sum()} clips that the training set holds too, under other names")
    print_calibration(scores, predictor.temperature)
    if parsed.threshold is not None:
        print_unknown(scores, predictor.temperature or 1.0, parsed.threshold)
    width = max(map(len, scores.classes))
    for label, count in zip(scores.classes, per_class(scores.logits, scores.labels), strict=True):
        print(f"    {label:{width}}  {count}")
    print(f"scores: {Run(parsed.run).scores}")


def print_calibration(scores: SavedScores, temperature: float | None) -> None:
    """What the probabilities are worth, and what they were before the temperature."""
    from poseglot.evaluation.calibration import BINS, reliability

    before = reliability(scores.logits, scores.labels)
    of = f"of {len(scores.labels)} clips (ECE: {BINS} bins of equal width)"
    if temperature is None:
        print(f"  ECE {before.ece:.2%}, NLL {before.nll:.4f} {of}; not calibrated")
        return
    after = reliability(scores.logits, scores.labels, temperature)
    print(
        f"  ECE {before.ece:.2%} -> {after.ece:.2%}, NLL {before.nll:.4f} -> {after.nll:.4f} {of}; temperature {temperature:.4f}"
    )


THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def print_unknown(scores: SavedScores, temperature: float, below: float) -> None:
    """For a threshold, and for some others: how many clips are answered, and how many of those rightly."""
    from poseglot.evaluation.calibration import confidences, coverage
    from poseglot.evaluation.metrics import correct

    confidence, right = confidences(scores.logits, temperature), correct(scores.logits, scores.labels)
    print("  unknown below   answered                 right of these")
    for threshold in sorted({*THRESHOLDS, below}):
        some, answered_right = coverage(confidence, right, threshold)
        mark = "  <- --threshold" if threshold == below else ""
        print(f"      {threshold:<12g}{some!s:<25}{answered_right}{mark}")


def scores_and_repeated(
    predictor: Predictor, run: Path, store_path: Path | None, split: str | None
) -> tuple[SavedScores, npt.NDArray[np.bool_]]:
    """Run the recognizer of a run over the clips that its recipe looks at, or over the test set of another store or split.

    Returns:
        The scores, and which of their clips are equal to clips that were learned from.
    """
    from poseglot.data.dataset import ClipDataset
    from poseglot.data.store import open_store
    from poseglot.evaluation.scores import SavedScores
    from poseglot.skeletons.layout import load_layout
    from poseglot.skeletons.protocols import load_pipeline
    from poseglot.training.run import Run
    from poseglot.training.subsets import class_mapping, class_split, names_hash, subset_name, subsets

    data = data_of(run, store_path, split)
    store, spec = open_store(Path(data.store)), predictor.spec
    if class_split(data, store).seen != spec.classes or store.info.layout != spec.layout:
        raise PoseglotError(
            f"{run} was trained on another data set than {data.store} ({store.info.name}): it knows {len(spec.classes)} classes "
            f"({spec.classes[0]}, ...) in layout {predictor.layout.name}, the store has {len(store.info.classes)} "
            f"({store.info.classes[0]}, ...) in {load_layout(store.info.layout).name}."
        )
    learned, places = subsets(data, store)
    if store_path is None and split is None and Run(run).learned_from() not in (None, names_hash(store, learned)):
        print(
            f"warning: {run} learned from other clips than are on the training set of {data.store} now (was it prepared anew?), so that "
            "clips may be counted here that it has learned from",
            file=sys.stderr,
        )
    numbers = class_mapping(spec.classes, store)
    views = ClipDataset(
        store, places, transform=partial(load_pipeline(spec.pipeline), modality=spec.modality), class_mapping=numbers
    )
    logits = np.concatenate(list(predictor.logits_of(views)))
    scores = SavedScores(
        names=tuple(views.names),
        labels=views.labels.numpy(),
        logits=logits,
        classes=spec.classes,
        modality=spec.modality,
        dataset=store.info.name,
        split=data.split,
        subset=subset_name(data),
    )
    return scores, np.isin(store.content_hashes(places), store.content_hashes(learned))


def data_of(run: Path, store: Path | None, split: str | None) -> DataRecipe:
    """What to look at: as the run's recipe has it, unless told otherwise; always the classes that it learned."""
    from poseglot.training.recipe import DataRecipe
    from poseglot.training.recipe_io import read_recipe
    from poseglot.training.run import Run

    if not Run(run).recipe.exists():
        if store is not None and split is not None:
            return DataRecipe(str(store), split)
        raise PoseglotError(f"{run} has no recipe.yaml that names its data; say --store and --split.")
    data = read_recipe(Run(run).recipe).data
    if store is None and split is None:
        return data
    return DataRecipe(
        str(store or data.store),
        split or data.split,
        unseen_classes=data.unseen_classes,
        excluded_classes=data.excluded_classes,
    )
