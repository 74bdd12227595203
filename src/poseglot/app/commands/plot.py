"""`poseglot plot`: pictures of an evaluated run."""

from __future__ import annotations

import argparse
from pathlib import Path

from poseglot.app.commands.register import AddCommand, missing_package
from poseglot.errors import PoseglotError


def add(command: AddCommand) -> None:
    draw = command("plot", run, "pictures of an evaluated run: curve, confusion matrix, a recognised clip")
    draw.add_argument("run", type=Path)
    draw.add_argument("--clip", type=Path, help="a clip to recognise and draw")


def run(parsed: argparse.Namespace) -> None:
    try:
        from poseglot.report.pictures import draw_confusion, draw_curve, draw_skeleton
    except ImportError as error:
        raise PoseglotError(missing_package("drawing", error)) from error
    from poseglot.data.readers import read_clip
    from poseglot.evaluation.metrics import confusion, top_k
    from poseglot.evaluation.scores import load_scores
    from poseglot.inference import Predictor
    from poseglot.training.run import Run

    out = parsed.run / "pictures"
    scores = load_scores(Run(parsed.run).scores)
    made = []
    if log := Run(parsed.run).read_log():  # imported weights have none
        draw_curve(log, out / "curve.png", title=f"Training, {scores.dataset}, {scores.modality} stream")
        made.append("curve.png")
    count = top_k(scores.logits, scores.labels, 1)
    matrix = confusion(scores.logits, scores.labels)
    draw_confusion(matrix, scores.classes, out / "confusion.png", title=f"{scores.dataset}, {scores.split}: {count}")
    made.append("confusion.png")
    if parsed.clip is not None:
        predictor = Predictor(parsed.run)
        clip = read_clip(parsed.clip, layout=predictor.layout, has_scores=predictor.spec.has_scores)
        best = predictor.predict([clip])[0].scores[0]
        title = f"{parsed.clip.stem}: recognised as {best.action} ({best.probability:.1%})"
        draw_skeleton(clip, predictor.layout, out / "skeleton.png", title=title)
        made.append("skeleton.png")
    print("\n".join(str(out / name) for name in made))
