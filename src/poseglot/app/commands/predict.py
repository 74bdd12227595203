"""`poseglot predict`: clips in, actions out. Loads no text encoder and nothing of training."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from poseglot.app.commands.register import AddCommand


def add(command: AddCommand) -> None:
    predict = command("predict", run, "recognise clips")
    predict.add_argument("run", type=Path, help="a run's folder, or a recognizer's .safetensors file")
    predict.add_argument("clips", type=Path, nargs="+", help="files of any format we read")
    predict.add_argument("--top", type=int, default=5, help="how many answers (5)")
    predict.add_argument("--device", help="cpu, cuda, ...; by default a GPU if there is one")
    predict.add_argument("--json", action="store_true", help="print JSON")


def run(parsed: argparse.Namespace) -> None:
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
