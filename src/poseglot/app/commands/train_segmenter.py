"""`poseglot train-segmenter`: make the segmenter of a run, which `poseglot segment` then uses for long recordings."""

from __future__ import annotations

import argparse
from pathlib import Path

from poseglot.app.commands.reading_options import add_reading_options, reading
from poseglot.app.commands.register import AddCommand, check_run_folder, notes
from poseglot.errors import SettingError


def add(command: AddCommand) -> None:
    train = command("train-segmenter", run, "train a run to find where actions begin and end in long recordings")
    train.add_argument("run", type=Path, help="the run; its training clips are joined to recordings")
    train.add_argument(
        "--recordings", type=Path, metavar="FOLDER",
        help="also learn from annotated recordings: files of any format we read, each with NAME.eaf, .vtt, .segments.csv or .segments.json",
    )  # fmt: skip
    # The defaults are those of `SegmenterConfig` and `JoinConfig`, which are imported late because they load torch; a test compares.
    train.add_argument("--fps", type=float, default=30.0, help="frames per second of the training clips (30.0)")
    train.add_argument(
        "--recordings-fps", type=float, metavar="FPS",
        help="frames per second of those of --recordings that do not state them, unlike videos (default: --fps)",
    )  # fmt: skip
    train.add_argument("--joined", type=int, metavar="N", help="the number of recordings that are joined (150)")
    train.add_argument("--updates", type=int, metavar="N", help="the number of updates of the network (600)")
    train.add_argument(
        "--pauses", type=float, metavar="P", help="the share of clips that a pause without an action follows (0.1)"
    )
    train.add_argument("--seed", type=int, help="draws recordings, weights and dropout (0)")
    train.add_argument("--layout", help="the layout of --recordings, if not the recognizer's: a packaged name or a .yaml file")
    add_reading_options(train)
    train.add_argument("--device", help="cpu, cuda, ... (default: a GPU if there is one)")


def run(parsed: argparse.Namespace) -> None:
    from poseglot.app.own_recordings import read_annotated
    from poseglot.inference import Predictor
    from poseglot.training.recordings import JoinConfig
    from poseglot.training.run import open_run
    from poseglot.training.segmenter import SegmenterConfig, train_segmenter

    check_run_folder(parsed.run, "train-segmenter")
    if parsed.recordings_fps is not None and parsed.recordings is None:
        raise SettingError("--recordings-fps is of the recordings of --recordings, which are missing.")
    if parsed.recordings is None and (reading(parsed) or parsed.layout):
        raise SettingError("--layout and options of reading are for --recordings, which is missing.")
    named = {"recordings": parsed.joined, "updates": parsed.updates, "seed": parsed.seed}
    given = {name: value for name, value in named.items() if value is not None}
    join = JoinConfig() if parsed.pauses is None else JoinConfig(pauses=parsed.pauses)
    opened = open_run(parsed.run, device=parsed.device)
    with notes():
        predictor = (
            None
            if parsed.recordings is None
            else Predictor(parsed.run, device=parsed.device, engine="torch", reading=reading(parsed))
        )
        fps = parsed.fps if parsed.recordings_fps is None else parsed.recordings_fps
        own = [] if predictor is None else read_annotated(parsed.recordings, predictor, fps=fps, layout=parsed.layout)
        segmenter = train_segmenter(
            opened, fps=parsed.fps, recordings=own, config=SegmenterConfig(join=join, **given), progress=True
        )
    if own:
        print(f"learned from {len(own)} people in annotated recordings, too")
    spec = segmenter.spec
    print(f"windows of {', '.join(f'{length:.2f}' for length in spec.windows)} s, a step of {spec.step:.3f} s")
    print(f"{opened.files.segmenter}: `poseglot segment {parsed.run}` uses it from now on")
