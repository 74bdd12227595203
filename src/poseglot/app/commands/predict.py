"""`poseglot predict`: clips in, actions out. Loads neither text encoders nor training, unless classes are added by their texts."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from poseglot.app.commands import predict_batch
from poseglot.app.commands.reading_options import add_reading_options, reading
from poseglot.app.commands.register import RECOGNIZER_HELP, AddCommand, add_pose, notes, pose_for, print_mappings
from poseglot.errors import InputError, PoseglotError, SettingError

if TYPE_CHECKING:
    from poseglot.inference.prediction import Prediction
    from poseglot.inference.predictor import Classifier, Predictor
    from poseglot.inference.video.person import PoseEstimator


def add(command: AddCommand) -> None:
    predict = command("predict", run, "recognise clips and videos")
    predict.add_argument("run", type=Path, help=RECOGNIZER_HELP)
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
    predict.add_argument(
        "--coverage", type=float, help="print the actions that hold the true one with this probability, as 0.9"
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
        "--actions", metavar="A,B,...", help="recognise among these actions alone, trained or known by their texts"
    )
    predict.add_argument(
        "--add-class", action="append", default=[], metavar="ACTION", help="add an untrained class by its name; repeatable"
    )
    predict.add_argument(
        "--add-class-descriptions", type=Path, metavar="FILE.yaml", help="add untrained classes by descriptions (docs/text.md)"
    )
    predict.add_argument(
        "--examples", type=Path, metavar="FOLDER", help="add classes by clips: a folder of clips for each class"
    )
    predict.add_argument("--add-class-bias", type=float, metavar="B", help="is added to the cosines of added classes")
    add_reading_options(predict)
    predict_batch.add(predict)


def run(parsed: argparse.Namespace) -> None:
    if parsed.engine in predict_batch.ENGINES:
        predict_batch.run(parsed)
        return
    predict_batch.refuse_batch_options(parsed)
    with notes():
        from poseglot.app.formatting.predict import errors_text, predictions_json, predictions_text
        from poseglot.inference.inputs import expand_folders
        from poseglot.inference.prediction import warning_lines

        files = expand_folders(parsed.clips)
        found = _predict(parsed, files)
    predictions = [each for each in found if not isinstance(each, PoseglotError)]
    print_mappings(predictions)
    for line in warning_lines(predictions):
        print(f"note: {line}", file=sys.stderr)
    shown = predictions_json(files, found) if parsed.json else predictions_text(files, found, threshold=parsed.threshold)
    if shown:
        print(shown, flush=True)
    if refusal := errors_text(found):
        raise InputError(refusal)


def _predict(parsed: argparse.Namespace, files: list[Path]) -> list[Prediction | PoseglotError]:
    """Recognise clips file by file: one that cannot be has its error in its place."""
    from poseglot.inference import Predictor

    adds = parsed.add_class or parsed.add_class_descriptions or parsed.examples
    if adds and parsed.actions is not None:
        raise SettingError("--actions is the whole list; leave out --add-class, --add-class-descriptions and --examples.")
    own = {name: getattr(parsed, name) for name in ("device", "threshold", "coverage")}
    predictor = Predictor(parsed.run, engine="torch" if adds else parsed.engine, reading=reading(parsed), **own)
    classifier = _classifier(parsed, predictor) if adds or parsed.actions is not None else None
    pose = _pose(parsed, files, num_dims=predictor.num_dims)
    return predictor.predict_each(files, top=parsed.top, layout=parsed.layout, pose=pose, classifier=classifier)


def _classifier(parsed: argparse.Namespace, predictor: Predictor) -> Classifier:
    """Return the classifier of the actions that were asked for, or of the trained and the added classes."""
    from poseglot.app.action_lists import classifier_among
    from poseglot.app.added_classes import added_classifier

    if parsed.actions is not None:
        return classifier_among(predictor, parsed.actions)
    return added_classifier(
        predictor,
        labels=parsed.add_class,
        descriptions=parsed.add_class_descriptions,
        bias=parsed.add_class_bias,
        examples=parsed.examples,
        layout=parsed.layout,
    )


def _pose(parsed: argparse.Namespace, files: list[Path], *, num_dims: int | None) -> str | PoseEstimator:
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
