"""`poseglot stream`: frames in, the running result out, one line each. Loads neither text encoders nor training."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poseglot.app.commands.reading_options import add_reading_options, reading
from poseglot.app.commands.register import AddCommand
from poseglot.errors import InputError, PoseglotError, SettingError
from poseglot.safe_text import json_text, parse_json

if TYPE_CHECKING:
    from poseglot.skeletons.layout import Layout

STDIN = "-"


def add(command: AddCommand) -> None:
    stream = command("stream", run, "recognise frame by frame")
    stream.add_argument("run", type=Path, help="as for `poseglot predict`")
    stream.add_argument(
        "source",
        help="a file of any format we read; or - for frames on standard input, one line of JSON each: joints [[x, y, z], ...], a list of "
        "those for several people, or [] for nobody; an empty line resets the stream",
    )
    stream.add_argument(
        "--json", action="store_true", help="print a line of JSON for each frame: its number and the best actions"
    )
    stream.add_argument("--top", type=int, default=3, help="the number of actions (3)")
    stream.add_argument("--every", type=int, default=1, help="print every so many frames (1)")
    stream.add_argument("--layout", help="the layout of the frames, if not the recognizer's: a packaged name or a .yaml file")
    stream.add_argument(
        "--method",
        choices=("auto", "frame", "window"),
        default="auto",
        help="frame: each frame once; window: the frames so far anew, as a clip; auto: frame if the recognizer was made for streams",
    )
    stream.add_argument("--renew", type=int, default=4, metavar="FRAMES", help="compute a result every so many frames (4)")
    stream.add_argument("--memory", type=int, metavar="FRAMES", help="about how many frames back results remember (all)")
    add_reading_options(stream)
    stream.add_argument("--device", help="cpu (the default), cuda, ...")


def run(parsed: argparse.Namespace) -> None:
    from poseglot.inference import StreamingRecognizer

    if parsed.every < 1 or parsed.top < 1:
        raise SettingError(f"--every and --top are at least 1, not {parsed.every} and {parsed.top}.")
    if parsed.source == STDIN and reading(parsed):
        raise SettingError("options of reading are for files; frames on standard input are taken as they are. Leave them out.")
    frames, layout = (_stdin(), parsed.layout) if parsed.source == STDIN else _file(parsed)
    recognizer = StreamingRecognizer(
        parsed.run, method=parsed.method, device=parsed.device, layout=layout, memory=parsed.memory, every=parsed.renew
    )
    for difference in recognizer.differences:
        print(f"note: {difference}", file=sys.stderr)
    width = max(map(len, recognizer.classes))
    for line, frame in enumerate(frames, start=1):
        if frame is None:
            recognizer.reset()
            continue
        try:
            recognizer.step(frame)
        except PoseglotError as error:
            if parsed.source == STDIN:
                error.args = (f"line {line}: {error}",)
            raise
        number = recognizer.state.frames - 1
        if number % parsed.every:
            continue
        best = recognizer.best(parsed.top)
        if parsed.json:
            scores = [{"action": score.action, "probability": round(score.probability, 6)} for score in best]
            print(json_text({"frame": number, "scores": scores}), flush=True)
        else:
            columns = "  ".join(f"{score.action:{width}} {score.probability:6.1%}" for score in best)
            print(f"{number:6}  {columns}", flush=True)


def _stdin() -> Iterator[Any]:
    """Yield the frames of standard input; None for an empty line."""
    for number, line in enumerate(sys.stdin, start=1):
        try:
            frame = parse_json(line) if line.strip() else None
        except ValueError as error:
            raise InputError(f"line {number} of the input is not JSON ({error}); a frame is [[x, y, z], ...].") from error
        if frame is None and line.strip():  # null is no reset
            raise InputError(f"line {number} of the input is null; a frame is [[x, y, z], ...], or [] for nobody.")
        yield frame


def _file(parsed: argparse.Namespace) -> tuple[Iterator[Any], Layout | None]:
    """Return the frames (M, V, C) of a clip, and their layout if it is not the recognizer's."""
    from poseglot.inference import Predictor

    return Predictor(parsed.run, device=parsed.device or "cpu", reading=reading(parsed)).frames(
        Path(parsed.source), layout=parsed.layout
    )
