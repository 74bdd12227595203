"""`poseglot predict`: clips in, actions out. Loads no text encoder and nothing of training."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from poseglot.app.commands.register import AddCommand
from poseglot.errors import PoseglotError


def add(command: AddCommand) -> None:
    predict = command("predict", run, "recognise clips")
    predict.add_argument("run", type=Path, help="a run's folder, a recognizer's .safetensors file, or an .onnx file")
    predict.add_argument("clips", type=Path, nargs="+", help="files of any format we read, or folders of them")
    predict.add_argument(
        "--layout",
        help="which joints the clips have, if not the recognizer's: a packaged layout's name or a path ending in .yaml",
    )
    predict.add_argument(
        "--unknown-below", type=float, default=0.0, metavar="P", help='answer "unknown" where the best action is less probable'
    )
    predict.add_argument("--top", type=int, default=5, help="how many answers (5)")
    predict.add_argument("--device", help="cpu, cuda, ...; by default a GPU if there is one")
    predict.add_argument(
        "--engine",
        choices=["auto", "torch", "onnx"],
        default="auto",
        help="by default ONNX Runtime where it is faster and ready",
    )
    predict.add_argument("--json", action="store_true", help="print JSON")


def run(parsed: argparse.Namespace) -> None:
    from poseglot.inference import Predictor

    files = _files(parsed.clips)
    predictor = Predictor(parsed.run, device=parsed.device, engine=parsed.engine, unknown_below=parsed.unknown_below)
    predictions = predictor.predict(files, top=parsed.top, layout=parsed.layout)
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
            print(f"  unknown: no action reaches {predictor.unknown_below:.1%}")
        for answer in prediction.answers:
            print(f"  {answer.probability:6.1%}  {answer.action}")


def _files(given: list[Path]) -> list[Path]:
    """Folders replaced by the clips in them; other files there are named on standard error.

    Raises:
        PoseglotError: a folder holds no clip.
    """
    from poseglot.skeletons.formats import FORMATS, clip_files

    files: list[Path] = []
    for path in given:
        if not path.is_dir():
            files.append(path)
            continue
        found, others = clip_files(path)
        if not found:
            raise PoseglotError(f"{path} holds no file that ends as a clip does. Accepted are {FORMATS}.")
        if others:
            names = ", ".join(str(other.relative_to(path)) for other in others[:5])
            print(f"not clips: {len(others)} files of {path}: {names}{', ...' if len(others) > 5 else ''}", file=sys.stderr)
        files += found
    return files
