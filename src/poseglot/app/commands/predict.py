"""`poseglot predict`: clips in, actions out. Loads no text encoder and nothing of training - unless classes are added by their words."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from poseglot.app.commands import predict_batch
from poseglot.app.commands.register import AddCommand, add_pose, check_run_folder, missing_package, notes, pose_for
from poseglot.errors import PoseglotError

if TYPE_CHECKING:
    from poseglot.inference.predictor import Prediction
    from poseglot.inference.video.estimator import PoseEstimator


def add(command: AddCommand) -> None:
    predict = command("predict", run, "recognise clips and videos")
    predict.add_argument("run", type=Path, help="a run's folder, a recognizer's .safetensors file, or an .onnx file")
    predict.add_argument(
        "clips",
        type=Path,
        nargs="+",
        help="files of any format we read, videos, or folders of them; of an archive also stores, and @FILE, a list of paths",
    )
    add_pose(predict)
    predict.add_argument(
        "--layout",
        help="which joints the clips have, if not the recognizer's: a packaged layout's name or a path ending in .yaml",
    )
    predict.add_argument(
        "--threshold", type=float, default=0.0, metavar="P", help='answer "unknown" where the best action is less probable'
    )
    predict.add_argument("--top", type=int, default=5, help="how many answers (5)")
    predict.add_argument("--device", help="cpu, cuda, ...; by default a GPU if there is one")
    predict.add_argument(
        "--engine",
        choices=["auto", "torch", "onnx", *predict_batch.ENGINES],
        default="auto",
        help="by default ONNX Runtime where it is faster and ready; local and ray take an archive, also a store, into --out",
    )
    predict.add_argument("--json", action="store_true", help="print JSON")
    predict.add_argument(
        "--add-class",
        action="append",
        default=[],
        metavar="ACTION",
        help="a class that was not learned, by its name; may be given again",
    )
    predict.add_argument(
        "--add-class-descriptions",
        type=Path,
        metavar="FILE.yaml",
        help="classes that were not learned, described as in docs/text.md",
    )
    predict.add_argument(
        "--add-class-bias",
        type=float,
        default=0.0,
        metavar="B",
        help="added to the cosines of added classes (0); see docs/zero-shot.md",
    )
    predict_batch.add(predict)


def run(parsed: argparse.Namespace) -> None:
    if parsed.engine in predict_batch.ENGINES:
        predict_batch.run(parsed, _files)
        return
    predict_batch.check_none(parsed)
    files = _files(parsed.clips)
    with notes():
        if parsed.add_class or parsed.add_class_descriptions:
            predictions = _by_words(parsed, files)
        else:
            from poseglot.inference import Predictor

            predictor = Predictor(parsed.run, device=parsed.device, engine=parsed.engine, threshold=parsed.threshold)
            pose = _pose(parsed, files, num_dims=predictor.num_dims)
            predictions = predictor.predict(files, top=parsed.top, layout=parsed.layout, pose=pose)
    for said in dict.fromkeys(prediction.mapping.report() for prediction in predictions if prediction.mapping is not None):
        print(f"mapped: {said}", file=sys.stderr)
    if parsed.json:
        rows = [
            {
                "file": str(path),
                "action": prediction.action,
                "unknown": prediction.unknown,
                "answers": [{"action": a.action, "probability": a.probability} for a in prediction.answers],
            }
            for path, prediction in zip(files, predictions, strict=True)
        ]
        print(json.dumps(rows, indent=1))
        return
    for path, prediction in zip(files, predictions, strict=True):
        print(path)
        if prediction.unknown:
            print(f"  unknown: no action reaches {parsed.threshold:.1%}")
        for answer in prediction.answers:
            print(f"  {answer.probability:6.1%}  {answer.action}")


def _files(given: list[Path]) -> list[Path]:
    """Folders replaced by the clips in them; other files there are named on standard error.

    Raises:
        PoseglotError: a folder holds no clip.
    """
    from poseglot.data.readers import VIDEOS, clip_files, endings

    files: list[Path] = []
    for path in given:
        if not path.is_dir():
            files.append(path)
            continue
        found, others = clip_files(path)
        if not found:
            raise PoseglotError(
                f"{path} holds no file that ends as a clip or a video does. Accepted are {', '.join(endings() + VIDEOS)}."
            )
        if others:
            names = ", ".join(str(other.relative_to(path)) for other in others[:5])
            print(f"not clips: {len(others)} files of {path}: {names}{', ...' if len(others) > 5 else ''}", file=sys.stderr)
        files += found
    return files


def _pose(parsed: argparse.Namespace, files: list[Path], *, num_dims: int) -> str | PoseEstimator:
    """As `pose_for`; but where none can be loaded, videos that lie in folders beside clips are left out of `files`, and it is said."""
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


def _by_words(parsed: argparse.Namespace, files: list[Path]) -> list[Prediction]:
    """All classes, learned and added, by the cosines of their words: they are on one scale, which logits and cosines are not."""
    try:
        from poseglot.descriptions import load_descriptions
        from poseglot.training.run import Run
        from poseglot.training.zero_shot import ZeroShotRecognizer
    except ImportError as error:
        raise PoseglotError(missing_package("reading words", error)) from error
    import numpy as np

    from poseglot.evaluation.zero_shot import cosines, fused
    from poseglot.inference import Predictor
    from poseglot.inference.predictor import Prediction, best_answers

    check_run_folder(parsed.run, "predict --add-class")
    if parsed.top < 1:
        raise PoseglotError(f"at least one answer must be asked for, not {parsed.top}.")
    predictor = Predictor(parsed.run, device=parsed.device, engine="torch")
    zero_shot = ZeroShotRecognizer(Run(parsed.run), device=predictor.device)
    described = (
        list(load_descriptions(str(parsed.add_class_descriptions)).classes.values()) if parsed.add_class_descriptions else []
    )
    classes = [*zero_shot.classes, *(each.label for each in described), *parsed.add_class]
    if twice := sorted({label for label in classes if classes.count(label) > 1}):
        raise PoseglotError(
            f"{', '.join(map(repr, twice))} would be there twice: the run knows {', '.join(zero_shot.classes)}. Add classes that it does "
            "not know, each once."
        )
    words = [zero_shot.described(zero_shot.classes)]
    words += [zero_shot.of_descriptions(described)] if described else []
    words += [zero_shot.by_label(parsed.add_class)] if parsed.add_class else []
    of_all = np.concatenate(words, axis=1)
    predictions = []
    for some, views in predictor.views(files, layout=parsed.layout, pose=_pose(parsed, files, num_dims=predictor.num_dims)):
        scores = fused(cosines(zero_shot.features(views), of_all))
        scores[:, len(zero_shot.classes) :] += parsed.add_class_bias
        for (name, mapping), row in zip(some, scores, strict=True):
            answers = best_answers(zero_shot.scale * row, classes, parsed.top)
            unknown = answers[0].probability < parsed.threshold
            predictions.append(Prediction(name, answers, unknown=unknown, mapping=mapping))
    return predictions
