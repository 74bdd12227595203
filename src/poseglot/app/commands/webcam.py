"""`poseglot webcam`: a camera, or a video, with the running answer."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poseglot.app.commands.register import AddCommand, add_pose, notes

if TYPE_CHECKING:
    from poseglot.inference.video.webcam import Event

_DESCRIPTION = """Watch a camera, or a video file: skeletons with their parts in color, and what the recognizer says of the last seconds.

    poseglot webcam RUN --camera 0
    poseglot webcam RUN --video video.mp4 --save answered.mp4
    poseglot webcam RUN --camera 0 --text

It shows a window, which q or Esc closes. Instead, --save writes a video, and --text prints lines. Ctrl-C ends it."""


def add(command: AddCommand) -> None:
    watch = command("webcam", run, "watch a camera or a video, with the running answer")
    watch.formatter_class = argparse.RawDescriptionHelpFormatter
    watch.description = _DESCRIPTION
    watch.add_argument("run", type=Path, help="a run's folder, a recognizer's .safetensors file, or an .onnx file")
    source = watch.add_mutually_exclusive_group(required=True)
    source.add_argument("--camera", type=int, metavar="N", help="a camera, counted from 0")
    source.add_argument("--video", type=Path, help="a video file")
    watch.add_argument("--save", type=Path, help="write a video: .mp4, .webm or .avi")
    watch.add_argument("--text", action="store_true", help="print a line for every new answer")
    watch.add_argument("--window", type=float, default=2.0, metavar="S", help="how many seconds are recognised (2.0)")
    watch.add_argument("--stride", type=float, default=0.25, metavar="S", help="from answer to answer, in seconds (0.25)")
    watch.add_argument("--top", type=int, default=3, help="how many answers (3)")
    watch.add_argument(
        "--threshold", type=float, default=0.0, metavar="P", help='say "unknown" where the best action is less probable'
    )
    watch.add_argument("--device", help="cpu, cuda, ...; by default a GPU if there is one")
    add_pose(watch)


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
    fps = 15.0  # of what is written of a camera, whose frames come as fast as they are seen
    if parsed.video is not None:
        video = VideoFile(parsed.video)
        fps = video.fps
        frames = resample_fps(video, fps)
    else:
        frames = iter(Camera(parsed.camera))
    with notes(), contextlib.ExitStack() as stack:
        sinks: list[Sink] = []
        if parsed.save is not None:
            sinks.append(stack.enter_context(VideoWriter(parsed.save, fps)))
        elif not parsed.text:
            sinks.append(stack.enter_context(contextlib.closing(Window(f"poseglot: {parsed.run}"))))
        count = watch(frames, estimator, recognizer, sinks=sinks, tell=_print if parsed.text else None)
    if parsed.save is not None:
        print(f"written: {parsed.save}, {count} frames")


def _print(said: Sequence[Event]) -> None:
    print(f"{said[0].time:8.2f}  {'  |  '.join(map(str, said))}", flush=True)
