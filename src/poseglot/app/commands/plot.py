"""`poseglot plot`: plots of an evaluated run."""

from __future__ import annotations

import argparse
from pathlib import Path

from poseglot.app.commands.register import AddCommand, check_run_folder, missing_package
from poseglot.errors import MissingPackageError


def add(command: AddCommand) -> None:
    plot = command("plot", run, "plots of an evaluated run: curve, confusion matrix, a recognised clip")
    plot.add_argument("run", type=Path)
    plot.add_argument("--clip", type=Path, help="a clip to recognise and draw")


def run(parsed: argparse.Namespace) -> None:
    try:
        from poseglot.report.plots import plot_run, plot_skeleton
    except ImportError as error:
        raise MissingPackageError(missing_package("drawing", error)) from error
    from poseglot.data.readers import read_clip
    from poseglot.inference import Predictor
    from poseglot.training.run import Run

    check_run_folder(parsed.run, "plot")
    opened = Run(parsed.run)
    made = plot_run(opened.scores, opened.log, parsed.run / "pictures")
    if parsed.clip is not None:
        predictor = Predictor(parsed.run)
        clip = read_clip(parsed.clip, layout=predictor.layout, has_scores=predictor.spec.has_scores)
        best = predictor.predict([clip])[0].scores[0]
        made.append(parsed.run / "pictures" / "skeleton.png")
        title = f"{parsed.clip.stem}: recognised as {best.action} ({best.probability:.1%})"
        plot_skeleton(clip, predictor.layout, made[-1], title=title)
    print("\n".join(map(str, made)))
