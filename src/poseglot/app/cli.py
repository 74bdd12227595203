"""The command line. Each command is one function; it talks, the rooms below it work.

Heavy rooms (training, pictures) are imported inside the commands that need them: `poseglot predict` loads no text encoder.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from poseglot import __version__
from poseglot.app.memory import keep_freed_memory
from poseglot.errors import PoseglotError

if TYPE_CHECKING:
    from poseglot.evaluation.scores import SavedScores
    from poseglot.skeletons.clip import Clip

SCORES = "scores.npz"
_TRAIN_USAGE = """usage: poseglot train --config RECIPE.yaml [--out RUN] [--resume] [SETTING ...]
                      [--accelerator auto] [--devices 1] [--nodes 1]

Trains a recipe into the folder RUN; the recognizer of its last epoch is the result.

  --out RUN        folder of the run (runs/RECIPE-STREAM-seedN, named after the recipe, unless given)
  --resume         go on from the run's last checkpoint; give the same settings, or --config RUN/recipe.yaml
  --accelerator    auto, cpu, cuda or mps
  --devices        how many processes, or auto; the batch is shared among them
  --nodes          how many machines; start the same command on each through torchrun or SLURM

Every setting of the recipe can be given here, for example --data.stream bone --seed 3:

"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status (0 well, 1 the user's matter, 2 wrong usage, 130 stopped by Ctrl-C)."""
    parser = _parser()
    given = list(sys.argv[1:] if arguments is None else arguments)
    parsed, rest = parser.parse_known_args(given)
    if rest and parsed.command is not _train:
        parser.error(f"unknown arguments: {' '.join(rest)} (see `poseglot --help`)")
    parsed.rest = rest
    keep_freed_memory()
    try:
        parsed.command(parsed)
    except PoseglotError as error:
        print(f"poseglot: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "poseglot: stopped. A training goes on from its last checkpoint with the same command and --resume.",
            file=sys.stderr,
        )
        return 130
    return 0


def _prepare(parsed: argparse.Namespace) -> None:
    from tqdm import tqdm

    from poseglot.skeletons.prepare import prepare

    def progress(clips: Iterable[Clip]) -> Iterable[Clip]:
        return tqdm(clips, unit=" clips", desc=f"packing {parsed.name}", disable=not sys.stderr.isatty())

    made = prepare(parsed.name, source=parsed.source, out=parsed.out, overwrite=parsed.overwrite, progress=progress)
    store = made.store
    print(
        f"{parsed.out}: {len(store):,} clips ({', '.join(f'{count:,} {side}' for side, count in made.counts.items())}), "
        f"{len(store.joints):,} frames, {len(store.info.classes)} classes, layout {store.info.layout}, {made.seconds:.1f} s"
    )
    if made.incomplete:
        print(f"note: {made.incomplete}")


def _train(parsed: argparse.Namespace) -> None:
    try:
        from poseglot.training.distributed import rank
        from poseglot.training.engine import Machine, train
        from poseglot.training.recipe_file import parse_recipe, recipe_help
    except ImportError as error:
        raise PoseglotError(_missing("training", error)) from error

    if parsed.help:
        print(_TRAIN_USAGE + recipe_help())
        return
    if parsed.config is None:
        given = f", not {' '.join(parsed.rest)}" if parsed.rest else ""
        raise PoseglotError(
            f"training needs a recipe: --config recipes/nw-ucla/paper.yaml{given} (see `poseglot train --help`)."
        )
    recipe = parse_recipe(["--config", str(parsed.config), *parsed.rest])
    out = (
        parsed.out or Path("runs") / f"{parsed.config.parent.name}-{parsed.config.stem}-{recipe.data.stream}-seed{recipe.seed}"
    )
    machine = Machine(parsed.accelerator, parsed.devices, parsed.nodes)
    result = train(recipe, out, resume=parsed.resume, machine=machine)
    if rank() != 0:
        return
    print(f"{out}: last epoch {result.last}")
    best, epoch = result.best_on_test
    print(
        f"  (best on the test set: {best}/{result.last.total} after epoch {epoch}; no result, for it is chosen by looking at the answers)"
    )


def _evaluate(parsed: argparse.Namespace) -> None:
    from poseglot.evaluation.metrics import per_class, top_k
    from poseglot.evaluation.scores import save_scores

    if not parsed.run.is_dir():
        what = "is not a run's folder" if parsed.run.exists() else "does not exist"
        raise PoseglotError(f"{parsed.run} {what}; `poseglot evaluate` takes the folder that a training wrote (its --out).")
    scores = _scores_of_run(parsed.run, parsed.store, parsed.split)
    save_scores(scores, parsed.run / SCORES)
    counts = {f"top-{k}": top_k(scores.logits, scores.labels, k) for k in (1, 5) if k < len(scores.classes)}
    print(f"{parsed.run} on {scores.dataset}, split {scores.split}, stream {scores.stream}")
    for name, count in counts.items():
        print(f"  {name}  {count}")
    width = max(map(len, scores.classes))
    for label, count in zip(scores.classes, per_class(scores.logits, scores.labels), strict=True):
        print(f"    {label:{width}}  {count}")
    print(f"scores: {parsed.run / SCORES}")


def _ensemble(parsed: argparse.Namespace) -> None:
    from poseglot.evaluation.ensemble import GAP_WEIGHTS, fuse
    from poseglot.evaluation.metrics import top_k
    from poseglot.evaluation.scores import load_scores

    if len(parsed.runs) < 2:
        raise PoseglotError("an ensemble needs at least two evaluated runs.")
    loaded = [load_scores(run / SCORES) for run in parsed.runs]
    first = loaded[0]
    for run, scores in zip(parsed.runs, loaded, strict=True):
        if scores.names != first.names or scores.classes != first.classes or not np.array_equal(scores.labels, first.labels):
            raise PoseglotError(
                f"{run} and {parsed.runs[0]} were not evaluated on the same clips ({scores.dataset}/{scores.split} and "
                f"{first.dataset}/{first.split}); only runs on one test side can be fused."
            )
    if parsed.weights is not None and len(parsed.weights) != len(loaded):
        raise PoseglotError(f"{len(parsed.weights)} weights for {len(loaded)} runs; give one for each, in their order.")
    if parsed.weights is not None and not any(parsed.weights):
        raise PoseglotError("the weights are all zero; at least one run must count.")
    weights = parsed.weights or [GAP_WEIGHTS[scores.stream] for scores in loaded]
    origin = "given by --weights" if parsed.weights else "fixed: those of GAP's authors for each stream"
    for run, scores, weight in zip(parsed.runs, loaded, weights, strict=True):
        print(f"  {scores.stream:13} weight {weight:<4} {top_k(scores.logits, scores.labels, 1)}  {run}")
    fused = fuse([scores.logits for scores in loaded], weights)
    print(f"  fused ({origin})  {top_k(fused, first.labels, 1)}")


def _predict(parsed: argparse.Namespace) -> None:
    from poseglot.inference import Predictor

    predictions = Predictor(parsed.run, device=parsed.device).predict(parsed.clips, top=parsed.top)
    if parsed.json:
        rows = [
            {"file": str(path), "answers": [{"action": a.action, "probability": a.probability} for a in prediction.answers]}
            for path, prediction in zip(parsed.clips, predictions, strict=True)
        ]
        print(json.dumps(rows, indent=1))
        return
    for path, prediction in zip(parsed.clips, predictions, strict=True):
        print(path)
        for answer in prediction.answers:
            print(f"  {answer.probability:6.1%}  {answer.action}")


def _draw(parsed: argparse.Namespace) -> None:
    try:
        from poseglot.report.pictures import draw_confusion, draw_curve, draw_skeleton
    except ImportError as error:
        raise PoseglotError(_missing("drawing", error)) from error
    from poseglot.evaluation.metrics import confusion, top_k
    from poseglot.evaluation.scores import load_scores
    from poseglot.inference import Predictor
    from poseglot.skeletons.formats import read_clip
    from poseglot.training.run import Run

    out = parsed.run / "pictures"
    scores = load_scores(parsed.run / SCORES)
    made = []
    if log := Run(parsed.run).read_log():  # imported weights have none
        draw_curve(log, out / "curve.png", title=f"Training, {scores.dataset}, {scores.stream} stream")
        made.append("curve.png")
    count = top_k(scores.logits, scores.labels, 1)
    matrix = confusion(scores.logits, scores.labels)
    draw_confusion(matrix, scores.classes, out / "confusion.png", title=f"{scores.dataset}, {scores.split}: {count}")
    made.append("confusion.png")
    if parsed.clip is not None:
        predictor = Predictor(parsed.run)
        clip = read_clip(parsed.clip, joint_count=len(predictor.layout))
        best = predictor.predict([clip])[0].answers[0]
        title = f"{parsed.clip.stem}: recognised as {best.action} ({best.probability:.1%})"
        draw_skeleton(clip, predictor.layout, out / "skeleton.png", title=title)
        made.append("skeleton.png")
    print("\n".join(str(out / name) for name in made))


def _export_clip(parsed: argparse.Namespace) -> None:
    from poseglot.files import write_atomically
    from poseglot.skeletons.store import open_store

    store = open_store(parsed.store)
    places = np.flatnonzero(store.clips["name"] == parsed.clip)
    if not len(places):
        raise PoseglotError(f"{parsed.store} has no clip named {parsed.clip!r}; the first is {store.clips['name'][0]}.")
    clip = store.clip(int(places[0]))
    if parsed.out.suffix != ".npy":
        raise PoseglotError(f"--out must end in .npy, not {parsed.out.name}.")
    buffer = io.BytesIO()
    np.save(buffer, clip.joints, allow_pickle=False)
    write_atomically(parsed.out, buffer.getvalue())
    true = store.info.classes[clip.label] if clip.label >= 0 else "unknown"
    print(f"{parsed.out}: {clip.name}, {clip.joints.shape[1]} frames, true action: {true}")


def _import_weights(parsed: argparse.Namespace) -> None:
    from poseglot.models.official import hop_transform, read_official_file, recognizer_from_official
    from poseglot.models.recognizer import RECOGNIZER_FILE, save_recognizer
    from poseglot.skeletons.benchmarks import load_benchmark
    from poseglot.skeletons.layout import load_layout

    classes = load_benchmark(parsed.benchmark).classes if parsed.benchmark else None
    transform = hop_transform(load_layout(parsed.layout), parsed.stream) if parsed.gap else None
    recognizer = recognizer_from_official(
        read_official_file(parsed.file),
        layout=parsed.layout,
        people=parsed.people,
        input_transform=transform,
        classes=classes,
        # GAP's network makes its bones itself, from joints.
        stream=parsed.stream.replace("bone", "joint") if parsed.gap else parsed.stream,
    )
    path = parsed.out / RECOGNIZER_FILE
    if path.exists():
        raise PoseglotError(f"{path} exists; choose another --out.")
    save_recognizer(recognizer, path)
    levels = ", ".join(recognizer.spec.levels or {}) or "none"
    print(f"{path}: {len(recognizer.spec.classes)} classes, layout {parsed.layout}, alignment levels: {levels}")


def _missing(what: str, error: ImportError) -> str:
    name = (error.name or "").replace("_", "-")
    return (
        f"{what} needs the package {name!r}, which is not installed. In the source folder of Poseglot: pip install '.[train]'"
    )


def _scores_of_run(run: Path, store_path: Path | None, split: str | None) -> SavedScores:
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="poseglot", description="Skeleton-based action recognition that learns from language."
    )
    parser.add_argument("--version", action="version", version=f"poseglot {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, function: Callable[[argparse.Namespace], None], help: str, *, own_help: bool = True
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help, add_help=own_help)
        added.set_defaults(command=function)
        return added

    prepare = command("prepare", _prepare, "check and pack a data set")
    prepare.add_argument("name", help="nw-ucla, or demo (the built-in synthetic set)")
    prepare.add_argument("--source", type=Path, help="the zip that people download, or the folder in it")
    prepare.add_argument("--out", type=Path, required=True, help="folder for the packed store")
    prepare.add_argument("--overwrite", action="store_true", help="replace an existing store")

    train = command("train", _train, "train a recipe", own_help=False)
    train.add_argument("--config", type=Path)
    train.add_argument("--out", type=Path)
    train.add_argument("--resume", action="store_true")
    train.add_argument("--accelerator", default="auto")
    train.add_argument("--devices", default="1")
    train.add_argument("--nodes", type=int, default=1)
    train.add_argument("-h", "--help", action="store_true")

    evaluate = command("evaluate", _evaluate, "top-1 and top-5 of a run on its test side, and per class; writes scores")
    evaluate.add_argument("run", type=Path)
    evaluate.add_argument("--store", type=Path, help="another store of the same classes")
    evaluate.add_argument("--split", help="another split")

    ensemble = command("ensemble", _ensemble, "fuse the scores of several evaluated runs")
    ensemble.add_argument("runs", type=Path, nargs="+")
    ensemble.add_argument("--weights", type=float, nargs="+", help="one per run, after the runs; by default fixed by stream")

    predict = command("predict", _predict, "recognise clips")
    predict.add_argument("run", type=Path, help="a run's folder, or a recognizer's .safetensors file")
    predict.add_argument("clips", type=Path, nargs="+", help="files of any format we read")
    predict.add_argument("--top", type=int, default=5, help="how many answers (5)")
    predict.add_argument("--device", help="cpu, cuda, ...; by default a GPU if there is one")
    predict.add_argument("--json", action="store_true", help="print JSON")

    draw = command("draw", _draw, "pictures of an evaluated run: curve, confusion matrix, a recognised clip")
    draw.add_argument("run", type=Path)
    draw.add_argument("--clip", type=Path, help="a clip to recognise and draw")

    export = command("export-clip", _export_clip, "write one clip of a store to a .npy file")
    export.add_argument("store", type=Path)
    export.add_argument("clip", help="its name")
    export.add_argument("--out", type=Path, required=True)

    weights = command("import-weights", _import_weights, "take over the weights of a public CTR-GCN or GAP checkpoint, safely")
    weights.add_argument("file", type=Path, help="a .pt file with a state_dict (never unpickled freely), or .npz")
    weights.add_argument("--out", type=Path, required=True, help="folder for the recognizer")
    weights.add_argument("--layout", default="kinect20")
    weights.add_argument("--people", type=int, default=1)
    weights.add_argument("--benchmark", help="whose class names to use, for example nw-ucla")
    streams = ("joint", "bone", "joint_motion", "bone_motion")
    weights.add_argument("--stream", default="joint", choices=streams, help="that the weights were trained on")
    weights.add_argument("--gap", action="store_true", help="a GAP checkpoint: it wants the authors' input transform")
    return parser


if __name__ == "__main__":
    sys.exit(main())
