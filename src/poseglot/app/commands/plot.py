"""`poseglot plot`: plots of an evaluated run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from poseglot.app.commands.reading_options import add_reading_options, reading
from poseglot.app.commands.register import AddCommand, check_run_folder, missing_package, print_mappings
from poseglot.errors import MissingPackageError


def add(command: AddCommand) -> None:
    plot = command("plot", run, "plots of an evaluated run: curve, confusion matrix, a recognised clip")
    plot.add_argument("run", type=Path)
    plot.add_argument("--clip", type=Path, help="a clip to recognise and draw")
    plot.add_argument("--layout", help="the layout of the clip, if not the recognizer's: a packaged name or a .yaml file")
    add_reading_options(plot)


def run(parsed: argparse.Namespace) -> None:
    try:
        from poseglot.report.plots import plot_run, plot_skeleton
    except ImportError as error:
        raise MissingPackageError(missing_package("drawing", error)) from error
    from poseglot.inference import Predictor
    from poseglot.training.run import Run

    check_run_folder(parsed.run, "plot")
    opened = Run(parsed.run)
    made = plot_run(opened.scores, opened.log, parsed.run / "pictures")
    if parsed.clip is not None:
        predictor = Predictor(parsed.run, reading=reading(parsed))
        loaded = predictor.read(parsed.clip, layout=parsed.layout)
        print_mappings([loaded])
        for sentence in loaded.warnings.values():
            print(f"note: {parsed.clip}: {sentence}.", file=sys.stderr)
        clip = loaded.clip
        best = predictor.predict([clip])[0].scores[0]
        made.append(parsed.run / "pictures" / "skeleton.png")
        title = f"{parsed.clip.stem}: recognised as {best.action} ({best.probability:.1%})"
        plot_skeleton(clip, predictor.layout, made[-1], title=title)
    print("\n".join(map(str, made)))
