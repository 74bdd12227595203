"""`poseglot webcam`: running recognition of a camera or a video."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poseglot.app.commands.register import RECOGNIZER_HELP, AddCommand, add_pose, notes

if TYPE_CHECKING:
    from poseglot.inference.video.webcam import Event

_CAMERA_FPS = 15.0  # of a video saved from a camera, whose frames come as fast as they are recognised
_DESCRIPTION = """Watch a camera or a video file: skeletons with colored parts, and the actions of the last seconds.

    poseglot webcam RUN --camera 0
    poseglot webcam RUN --video video.mp4 --save recognised.mp4
    poseglot webcam RUN --camera 0 --text

It shows a window, which q or Esc closes. --save writes a video instead, --text prints lines. Ctrl-C ends it."""


def add(command: AddCommand) -> None:
    webcam = command("webcam", run, "recognise a camera or a video while it runs")
    webcam.formatter_class = argparse.RawDescriptionHelpFormatter
    webcam.description = _DESCRIPTION
    webcam.add_argument("run", type=Path, help=RECOGNIZER_HELP)
    source = webcam.add_mutually_exclusive_group(required=True)
    source.add_argument("--camera", type=int, metavar="N", help="a camera, counted from 0")
    source.add_argument("--video", type=Path, help="a video file")
    webcam.add_argument("--save", type=Path, help="write a video: .mp4, .webm or .avi")
    webcam.add_argument("--text", action="store_true", help="print a line for each result")
    webcam.add_argument("--window", type=float, default=2.0, metavar="S", help="seconds that are recognised at once (2.0)")
    webcam.add_argument("--stride", type=float, default=0.25, metavar="S", help="seconds from result to result (0.25)")
    webcam.add_argument("--top", type=int, default=3, help="the number of actions (3)")
    webcam.add_argument(
        "--threshold", type=float, default=0.0, metavar="P", help='say "unknown" where the best action is less probable'
    )
    webcam.add_argument("--device", help="cpu, cuda, ... (default: a GPU if there is one)")
    add_pose(webcam)


def run(parsed: argparse.Namespace) -> None:
    from poseglot.inference import Predictor
    from poseglot.inference.video.estimator import load_estimator
    from poseglot.inference.video.frames import Camera, Sink, VideoFile, VideoWriter, Window, check_video_name, resample_fps
    from poseglot.inference.video.webcam import WindowRecognizer, watch

    if parsed.save is not None:
        check_video_name(parsed.save)
    predictor = Predictor(parsed.run, device=parsed.device, threshold=parsed.threshold)
    estimator = load_estimator(parsed.pose, num_dims=predictor.num_dims, models=parsed.pose_models, device=parsed.device)
    recognizer = WindowRecognizer(predictor, estimator, window=parsed.window, stride=parsed.stride, top=parsed.top)
    if parsed.video is not None:
        video = VideoFile(parsed.video)
        fps, frames = video.fps, resample_fps(video, video.fps)
    else:
        fps, frames = _CAMERA_FPS, iter(Camera(parsed.camera))
    with notes(), contextlib.ExitStack() as stack:
        sinks: list[Sink] = []
        if parsed.save is not None:
            sinks.append(stack.enter_context(VideoWriter(parsed.save, fps)))
        elif not parsed.text:
            sinks.append(stack.enter_context(contextlib.closing(Window(f"poseglot: {parsed.run}"))))
        count = watch(frames, estimator, recognizer, sinks=sinks, on_events=_print if parsed.text else None)
    if parsed.save is not None:
        print(f"written: {parsed.save}, {count} frames")


def _print(events: Sequence[Event]) -> None:
    print(f"{events[0].time:8.2f}  {'  |  '.join(map(str, events))}", flush=True)
