"""`poseglot zero-shot`: runs that learned some classes name clips of the others, by their words."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from poseglot.app.commands.register import AddCommand, check_run_folder, missing_package
from poseglot.errors import PoseglotError

if TYPE_CHECKING:
    from poseglot.app.commands.zero_shot_text import Shown
    from poseglot.data.store import Indices
    from poseglot.evaluation.metrics import Labels, Scores
    from poseglot.training.zero_shot import ZeroShotRecognizer


def add(command: AddCommand) -> None:
    zero_shot = command("zero-shot", run, "classes that a run never saw, recognised by their words; of several runs the mean")
    zero_shot.add_argument("runs", type=Path, nargs="+", help="trained with data.unseen_classes")
    bias = zero_shot.add_mutually_exclusive_group()
    bias.add_argument(
        "--bias", type=float, default=0.0, help="taken from the cosines of seen classes, where all are compared (0)"
    )
    bias.add_argument(
        "--bias-from",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="find it on these runs, one for each: they never saw the unseen classes (data.excluded_classes) and are looked at on training clips",
    )
    zero_shot.add_argument("--out", type=Path, help="a folder for table.md and table.json")
    zero_shot.add_argument("--device", help="cpu, cuda, ...; by default a GPU if there is one")


def run(parsed: argparse.Namespace) -> None:
    try:
        from poseglot.app.commands.zero_shot_text import page, paragraph, summary
    except ImportError as error:
        raise PoseglotError(missing_package("reading words", error)) from error
    from poseglot.files import write_atomically
    from poseglot.training.run import Run

    others: list[Path | None] = list(parsed.bias_from or [None] * len(parsed.runs))
    if len(others) != len(parsed.runs):
        raise PoseglotError(f"--bias-from has {len(others)} runs for {len(parsed.runs)}; give one for each, in their order.")
    shown: list[Shown] = []
    for folder, other in zip(parsed.runs, others, strict=True):
        check_run_folder(folder, "zero-shot")
        found = _judged(folder, parsed.bias, other, parsed.device)
        write_atomically(Run(folder).zero_shot, json.dumps(asdict(found.without_recipe()), indent=1, default=str) + "\n")
        print(paragraph(found), flush=True)
        shown.append(found)
    if len(shown) > 1:
        print(summary(shown))
    if parsed.out is not None:
        command = " ".join(["poseglot", "zero-shot", *map(str, parsed.runs)])
        if parsed.bias_from:
            command += " ".join([" --bias-from", *map(str, parsed.bias_from)])
        elif parsed.bias:
            command += f" --bias {parsed.bias}"
        write_atomically(parsed.out / "table.md", page(shown, command))
        rows = [asdict(found.without_recipe()) for found in shown]
        write_atomically(parsed.out / "table.json", json.dumps(rows, indent=1, default=str) + "\n")
        print(f"written: {parsed.out / 'table.md'}, {parsed.out / 'table.json'}")


def _judged(folder: Path, bias: float, bias_from: Path | None, device: str | None) -> Shown:
    """One run, by its descriptions and by class names alone."""
    from poseglot.app.commands.zero_shot_text import Shown
    from poseglot.evaluation.zero_shot import best_bias, evaluate

    looked = _Looked(folder, device)
    if bias_from is not None:
        other = _Looked(bias_from, device)
        _refuse_looking_ahead(looked, other)
    judged, biased = {}, {}
    for words in ("descriptions", "labels"):
        found = partial(
            evaluate,
            looked.scores(words),
            looked.labels,
            classes=looked.classes,
            unseen=looked.unseen,
            levels=looked.zero_shot.levels,
        )
        judged[words] = found()
        if bias_from is not None:
            bias = best_bias(other.scores(words), other.labels, classes=other.classes, unseen=other.unseen)
        if bias or bias_from is not None:
            biased[words] = found(bias=bias)
    where = "given" if bias_from is None else f"found on {bias_from}"
    data = looked.zero_shot.recipe.data
    return Shown(
        run=str(folder),
        dataset=looked.store.info.name,
        split=data.split,
        subset=looked.subset,
        modality=data.modality,
        seen=looked.seen,
        unseen=looked.unseen,
        judged=judged,
        biased=biased,
        bias_is=where,
        recipe=looked.zero_shot.recipe,
    )


class _Looked:
    """A run on the clips that its recipe looks at, those of unseen classes included."""

    def __init__(self, folder: Path, device: str | None) -> None:
        import numpy as np
        import torch

        from poseglot.data.dataset import ClipDataset
        from poseglot.data.store import open_store
        from poseglot.skeletons.protocols import load_pipeline
        from poseglot.training.run import Run
        from poseglot.training.subsets import class_mapping, class_split, eval_indices, names_hash, subset_name, subsets
        from poseglot.training.zero_shot import ZeroShotRecognizer

        self.folder = folder
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.zero_shot: ZeroShotRecognizer = ZeroShotRecognizer(Run(folder), device=chosen)
        data = self.zero_shot.recipe.data
        self.store = open_store(Path(data.store))
        found = class_split(data, self.store)
        self.seen, self.unseen, self.subset = found.seen, found.unseen, subset_name(data)
        if self.zero_shot.classes != self.seen:
            raise PoseglotError(
                f"{folder} learned {', '.join(self.zero_shot.classes)}, but its recipe says {', '.join(self.seen)}; this is not its recipe."
            )
        if len(self.unseen) < 2:
            raise PoseglotError(
                f"{folder} has {len(self.unseen)} unseen classes to tell apart; train with data.unseen_classes and at least two of them, for "
                "example --data.unseen_classes 55-5 on NTU RGB+D 60, or --data.unseen_classes '[drop trash, carry]'."
            )
        self.classes = (*self.seen, *self.unseen)
        self.learned: Indices = subsets(data, self.store)[0]
        self.indices: Indices = eval_indices(data, self.store, self.classes)
        _refuse_leaks(self)
        if Run(folder).learned_from() not in (None, names_hash(self.store, self.learned)):
            print(f"warning: {folder} learned from other clips than its recipe names in {data.store} now", file=sys.stderr)
        spec = self.zero_shot.spec
        views = ClipDataset(
            self.store,
            self.indices,
            transform=partial(load_pipeline(spec.pipeline), modality=spec.modality),
            class_mapping=class_mapping(self.classes, self.store),
        )
        self.labels: Labels = views.labels.numpy()
        batches = [self.zero_shot.features(view) for view in views.eval_inputs(64, chosen)]
        self._features = np.concatenate(batches, axis=1)

    def scores(self, words: str) -> Scores:
        """(levels, clips, classes): cosines with `descriptions`, or with `labels` alone."""
        from poseglot.evaluation.zero_shot import cosines

        read = self.zero_shot.described if words == "descriptions" else self.zero_shot.by_label
        return cosines(self._features, read(self.classes))


def _refuse_leaks(looked: _Looked) -> None:
    """See that no clip of an unseen class was learned from, whatever it is called.

    Raises:
        PoseglotError: one was.
    """
    import numpy as np

    store = looked.store
    new = looked.indices[np.isin(store.clips["label"][looked.indices], [store.info.classes.index(c) for c in looked.unseen])]
    if not len(new):
        raise PoseglotError(f"{looked.folder} looks at no clip of the unseen classes {', '.join(looked.unseen)}.")
    twins = np.isin(store.content_hashes(new), store.content_hashes(looked.learned))
    if twins.any():
        raise PoseglotError(
            f"{twins.sum()} clips of unseen classes, {store.clips['name'][new][twins][0]} first, are also clips that {looked.folder} "
            "learned from, under other names and classes; no number of it would be zero-shot."
        )


def _refuse_looking_ahead(looked: _Looked, other: _Looked) -> None:
    """See that what a bias is found on has nothing of what is reported.

    Raises:
        PoseglotError: it has.
    """
    import numpy as np

    if met := set(other.classes) & set(looked.unseen):
        raise PoseglotError(
            f"{other.folder} knows {', '.join(sorted(met))}, unseen by {looked.folder}; a bias would be chosen by the answer. Train it "
            "with data.excluded_classes as this one's data.unseen_classes, and other classes unseen."
        )
    if np.isin(other.store.clips["name"][other.indices], looked.store.clips["name"][looked.indices]).any():
        raise PoseglotError(
            f"{other.folder} is looked at on clips that {looked.folder} is reported on; choose on the training set (data.folds, or "
            "another split of it)."
        )
