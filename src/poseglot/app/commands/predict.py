"""`poseglot predict`: clips in, actions out. Loads no text encoder and nothing of training - unless classes are added by their words."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from poseglot.app.commands.register import AddCommand, check_run_folder, missing_package
from poseglot.errors import PoseglotError

if TYPE_CHECKING:
    from poseglot.inference.predictor import Prediction


def add(command: AddCommand) -> None:
    predict = command("predict", run, "recognise clips")
    predict.add_argument("run", type=Path, help="a run's folder, or a recognizer's .safetensors file")
    predict.add_argument("clips", type=Path, nargs="+", help="files of any format we read")
    predict.add_argument("--top", type=int, default=5, help="how many answers (5)")
    predict.add_argument("--device", help="cpu, cuda, ...; by default a GPU if there is one")
    predict.add_argument("--json", action="store_true", help="print JSON")
    predict.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="ACTION",
        help="a class that was not learned, by its name; may be given again",
    )
    predict.add_argument(
        "--also-words", type=Path, metavar="FILE.yaml", help="classes that were not learned, described as in docs/words.md"
    )
    predict.add_argument(
        "--also-bias",
        type=float,
        default=0.0,
        metavar="B",
        help="added to the cosines of added classes (0); see docs/zero-shot.md",
    )


def run(parsed: argparse.Namespace) -> None:
    if parsed.also or parsed.also_words:
        predictions = _by_words(parsed)
    else:
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


def _by_words(parsed: argparse.Namespace) -> list[Prediction]:
    """All classes, learned and added, by the cosines of their words: they are on one scale, which logits and cosines are not."""
    try:
        from poseglot.descriptions import load_descriptions
        from poseglot.training.by_words import ByWords
        from poseglot.training.run import Run
    except ImportError as error:
        raise PoseglotError(missing_package("reading words", error)) from error
    import numpy as np

    from poseglot.evaluation.zero_shot import cosines, fused
    from poseglot.inference import Predictor
    from poseglot.inference.predictor import Prediction, best_answers

    check_run_folder(parsed.run, "predict --also")
    if parsed.top < 1:
        raise PoseglotError(f"at least one answer must be asked for, not {parsed.top}.")
    predictor = Predictor(parsed.run, device=parsed.device)
    by_words = ByWords(Run(parsed.run), device=predictor.device)
    described = list(load_descriptions(str(parsed.also_words)).classes.values()) if parsed.also_words else []
    classes = [*by_words.classes, *(each.label for each in described), *parsed.also]
    if twice := sorted({label for label in classes if classes.count(label) > 1}):
        raise PoseglotError(
            f"{', '.join(map(repr, twice))} would be there twice: the run knows {', '.join(by_words.classes)}. Add classes that it does "
            "not know, each once."
        )
    words = [by_words.described(by_words.classes)]
    words += [by_words.of_descriptions(described)] if described else []
    words += [by_words.by_label(parsed.also)] if parsed.also else []
    of_all = np.concatenate(words, axis=1)
    predictions = []
    for names, views in predictor.views(parsed.clips):
        scores = fused(cosines(by_words.features(views), of_all))
        scores[:, len(by_words.classes) :] += parsed.also_bias
        for name, row in zip(names, scores, strict=True):
            predictions.append(Prediction(name, best_answers(by_words.scale * row, classes, parsed.top)))
    return predictions
