"""`poseglot stream`: frames in, the answer so far out, one line for each. Loads no text encoder and nothing of training."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from poseglot.app.commands.register import AddCommand
from poseglot.errors import PoseglotError

STDIN = "-"


def add(command: AddCommand) -> None:
    stream = command("stream", run, "recognise frame by frame, while it happens")
    stream.add_argument("run", type=Path, help="a run's folder, or a recognizer's .safetensors file")
    stream.add_argument(
        "source",
        help="a file of any format we read; or -, for frames that another program writes, a line of JSON each: joints [[x, y, z], ...], or "
        "of several people a list of those, or of nobody []; an empty line forgets everything so far",
    )
    stream.add_argument(
        "--json", action="store_true", help="a line of JSON for each frame: frame, and the top actions with their probabilities"
    )
    stream.add_argument("--top", type=int, default=3, help="how many answers each (3)")
    stream.add_argument("--every", type=int, default=1, help="say something every so many frames (1)")
    stream.add_argument(
        "--layout", help="which joints the frames have, if not the recognizer's: a packaged layout, or a .yaml file"
    )
    stream.add_argument(
        "--memory", type=int, metavar="FRAMES", help="about how many frames back answers remember (everything since the start)"
    )
    stream.add_argument("--device", help="cpu (the default), cuda, ...")


def run(parsed: argparse.Namespace) -> None:
    from poseglot.inference import StreamingRecognizer

    if parsed.every < 1 or parsed.top < 1:
        raise PoseglotError(f"--every and --top are at least 1, not {parsed.every} and {parsed.top}.")
    recognizer = StreamingRecognizer(parsed.run, device=parsed.device, layout=parsed.layout, memory=parsed.memory)
    for difference in recognizer.differences:
        print(f"note: {difference}", file=sys.stderr)
    if parsed.source == STDIN:
        frames: Iterator[Any] = _lines()
    else:
        frames = _file(Path(parsed.source), recognizer, parsed.layout)
    width = max(map(len, recognizer.classes))
    for number, frame in enumerate(frames):
        if frame is None:
            recognizer.reset()
            continue
        try:
            recognizer.step(frame)
        except PoseglotError as error:
            raise PoseglotError(f"line {number + 1}: {error}" if parsed.source == STDIN else str(error)) from error
        at = recognizer.state.frames - 1
        if at % parsed.every:
            continue
        best = recognizer.best(parsed.top)
        if parsed.json:
            answers = [{"action": answer.action, "probability": round(answer.probability, 6)} for answer in best]
            print(json.dumps({"frame": at, "answers": answers}), flush=True)
        else:
            print(f"{at:6}  " + "  ".join(f"{answer.action:{width}} {answer.probability:6.1%}" for answer in best), flush=True)


def _lines() -> Iterator[Any]:
    """The frames of standard input; None for an empty line."""
    for number, line in enumerate(sys.stdin, start=1):
        try:
            frame = json.loads(line) if line.strip() else None
        except ValueError as error:
            raise PoseglotError(f"line {number} of the input is not JSON ({error}); a frame is [[x, y, z], ...].") from error
        if frame is None and line.strip():  # nobody seen is no reason to forget everything
            raise PoseglotError(f"line {number} of the input is null; a frame is [[x, y, z], ...], of nobody [].")
        yield frame


def _file(path: Path, recognizer: Any, layout: str | None) -> Iterator[Any]:
    """The frames of a clip, (M, V, C) each."""
    from poseglot.data.readers import read_clip
    from poseglot.skeletons.layout import load_layout

    clip = read_clip(path, layout=load_layout(layout) if layout else recognizer.layout, has_scores=recognizer.spec.has_scores)
    return iter(clip.joints.swapaxes(0, 1))
