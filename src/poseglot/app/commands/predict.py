"""`poseglot predict`: clips in, actions out. Loads neither text encoders nor training, unless classes are added by their texts."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from poseglot.app.commands import predict_batch
from poseglot.app.commands.reading_options import add_reading_options, reading
from poseglot.app.commands.register import AddCommand, add_pose, missing_package, notes, pose_for, print_mappings
from poseglot.errors import MissingPackageError, PoseglotError
from poseglot.safe_text import json_text

if TYPE_CHECKING:
    from poseglot.inference.loading import Engine
    from poseglot.inference.predictor import Prediction, Predictor
    from poseglot.inference.video.person import PoseEstimator


def add(command: AddCommand) -> None:
    predict = command("predict", run, "recognise clips and videos")
    predict.add_argument("run", type=Path, help="a run's folder, a recognizer's .safetensors file, or an .onnx file")
    predict.add_argument(
        "clips",
        type=Path,
        nargs="+",
        help="files of any format we read, videos, or folders; for a batch also stores, and @FILE, a list of paths",
    )
    add_pose(predict)
    predict.add_argument("--layout", help="the layout of the clips, if not the recognizer's: a packaged name or a .yaml file")
    predict.add_argument(
        "--threshold", type=float, default=0.0, metavar="P", help='answer "unknown" where the best action is less probable'
    )
    predict.add_argument("--top", type=int, default=5, help="the number of actions per clip (5)")
    predict.add_argument("--device", help="cpu, cuda, ... (default: a GPU if there is one)")
    predict.add_argument(
        "--engine",
        choices=["auto", "torch", "onnx", *predict_batch.ENGINES],
        default="auto",
        help="auto: ONNX Runtime if it is faster and available, else torch; local and ray: a batch, into --out",
    )
    predict.add_argument("--json", action="store_true", help="print JSON")
    predict.add_argument(
        "--add-class", action="append", default=[], metavar="ACTION", help="add an untrained class by its name; repeatable"
    )
    predict.add_argument(
        "--add-class-descriptions", type=Path, metavar="FILE.yaml", help="add untrained classes by descriptions (docs/text.md)"
    )
    predict.add_argument(
        "--add-class-bias",
        type=float,
        default=0.0,
        metavar="B",
        help="add B to the cosines of added classes (docs/zero-shot.md)",
    )
    add_reading_options(predict)
    predict_batch.add(predict)


def run(parsed: argparse.Namespace) -> None:
    if parsed.engine in predict_batch.ENGINES:
        predict_batch.run(parsed)
        return
    predict_batch.refuse_batch_options(parsed)
    with notes():
        from poseglot.inference.inputs import expand_folders

        files = expand_folders(parsed.clips)
        predictions = (_zero_shot if parsed.add_class or parsed.add_class_descriptions else _predict)(parsed, files)
    print_mappings(predictions)
    if parsed.json:
        rows = [{"file": str(path), **found.table()} for path, found in zip(files, predictions, strict=True)]
        print(json_text(rows, indent=1))
        return
    for path, found in zip(files, predictions, strict=True):
        print(path)
        if found.unknown:
            print(f"  unknown: no action reaches {parsed.threshold:.1%}")
        for score in found.scores:
            print(f"  {score.probability:6.1%}  {score.action}")


def _load(parsed: argparse.Namespace, engine: Engine) -> Predictor:
    from poseglot.inference import Predictor

    return Predictor(parsed.run, device=parsed.device, engine=engine, threshold=parsed.threshold, reading=reading(parsed))


def _predict(parsed: argparse.Namespace, files: list[Path]) -> list[Prediction]:
    predictor = _load(parsed, parsed.engine)
    pose = _pose(parsed, files, num_dims=predictor.num_dims)
    return predictor.predict(files, top=parsed.top, layout=parsed.layout, pose=pose)


def _zero_shot(parsed: argparse.Namespace, files: list[Path]) -> list[Prediction]:
    """Recognise clips among the trained and the added classes, all by the cosines with their texts, which are on one scale."""
    try:
        from poseglot.descriptions import load_descriptions
        from poseglot.training.run import open_run
        from poseglot.training.zero_shot import ZeroShotRecognizer
    except ImportError as error:
        raise MissingPackageError(missing_package("encoding texts", error)) from error
    predictor = _load(parsed, "torch")
    described = parsed.add_class_descriptions and load_descriptions(str(parsed.add_class_descriptions)).classes.values()
    classifier = ZeroShotRecognizer(open_run(parsed.run, device=predictor.device)).classifier(
        descriptions=list(described or ()), labels=parsed.add_class, bias=parsed.add_class_bias
    )
    pose = _pose(parsed, files, num_dims=predictor.num_dims)
    return predictor.predict(files, top=parsed.top, layout=parsed.layout, pose=pose, classifier=classifier)


def _pose(parsed: argparse.Namespace, files: list[Path], *, num_dims: int) -> str | PoseEstimator:
    """Return the pose estimator as `pose_for`; if none can be loaded, drop videos that only a folder named from `files`."""
    from poseglot.data.readers import is_video

    try:
        return pose_for(parsed, files, num_dims=num_dims)
    except PoseglotError as error:
        kept = [path for path in files if not is_video(path)]
        if not kept or any(is_video(path) for path in parsed.clips):
            raise
        print(f"left out: {len(files) - len(kept)} videos. {error}", file=sys.stderr)
        files[:] = kept
        return str(parsed.pose)
