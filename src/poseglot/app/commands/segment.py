"""`poseglot segment`: a long recording in, segments out. Loads neither text encoders nor training."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from poseglot.app.commands.reading_options import add_reading_options, reading
from poseglot.app.commands.register import RECOGNIZER_HELP, AddCommand, add_pose, notes, pose_for
from poseglot.errors import InputError


def add(command: AddCommand) -> None:
    segment = command("segment", run, "find who does what, and when, in a long recording")
    segment.add_argument("run", type=Path, help=RECOGNIZER_HELP)
    segment.add_argument("recording", type=Path, help="a file of any format we read, or a video")
    segment.add_argument("--fps", type=float, help="frames per second (default: the file's, as of videos; else 30)")
    add_pose(segment)
    segment.add_argument("--layout", help="the layout of the joints, if not the recognizer's: a packaged name or a .yaml file")
    segment.add_argument("--out", type=Path, help="also write a file: .csv, .json, .vtt or .eaf (ELAN)")
    segment.add_argument("--people", choices=["each", "together"], help="recognise everybody alone, or all together")
    segment.add_argument(
        "--truth",
        type=Path,
        help="a file of the true segments (.csv, .json, .vtt, .eaf): print F1, edit score and frame accuracy",
    )
    segment.add_argument("--device", help="cpu, cuda, ... (default: a GPU if there is one)")
    # The defaults are those of `SegmentConfig`, which is imported late because it loads torch; a test compares the help.
    segment.add_argument(
        "--method",
        choices=["auto", "dense", "whole", "frames"],
        help="how a piece is valued (auto): dense if `poseglot train-segmenter` was run, else whole; see docs/long-recordings.md",
    )
    segment.add_argument(
        "--window", type=float, nargs="+", dest="windows", metavar="S",
        help="lengths of windows in seconds (2.0); with --method whole the longest counts",
    )  # fmt: skip
    segment.add_argument("--stride", type=float, metavar="S", help="seconds from window to window (0.2)")
    segment.add_argument("--penalty", type=float, metavar="S", help="the cost of a piece; more gives fewer pieces (0.05)")
    segment.add_argument("--min-duration", type=float, metavar="S", help="the shortest piece, in seconds (0.6)")
    segment.add_argument("--gap", type=float, metavar="S", help="the longest absence of the same person, in seconds (0.5)")
    add_reading_options(segment)
    segment.add_argument("--threshold", type=float, metavar="P", help="pieces of a lower score are unknown (0.0)")


def run(parsed: argparse.Namespace) -> None:
    from poseglot.data.segments import check_segments_name, read_segments, write_segments
    from poseglot.inference import Predictor
    from poseglot.inference.dense import find_segmenter, has_segmenter
    from poseglot.inference.loading import Engine
    from poseglot.inference.segment_scores import joints_hash, score_segments
    from poseglot.inference.segmentation import SegmentConfig, segment_recording

    if parsed.out is not None:
        check_segments_name(parsed.out)
    truth = read_segments(parsed.truth) if parsed.truth else None
    given: dict[str, Any] = {field.name: getattr(parsed, field.name) for field in fields(SegmentConfig)}
    if parsed.windows is not None:
        given["windows"] = tuple(parsed.windows)
    config = SegmentConfig(**{name: value for name, value in given.items() if value is not None})
    dense = config.method == "dense" or (config.method == "auto" and has_segmenter(parsed.run))
    if dense and (parsed.windows is not None or parsed.stride is not None):
        print("note: a segmenter has windows of its own: --window and --stride are not used.", file=sys.stderr)
    # ONNX Runtime computes logits only, and a segmenter needs features.
    engine: Engine = "torch" if dense and parsed.run.suffix != ".onnx" else "auto"
    predictor = Predictor(parsed.run, device=parsed.device, engine=engine, reading=reading(parsed))
    with notes():
        recording = predictor.read(
            parsed.recording,
            layout=parsed.layout,
            pose=pose_for(parsed, [parsed.recording], num_dims=predictor.num_dims),
        )
    for sentence in recording.warnings.values():
        print(f"note: {parsed.recording}: {sentence}.", file=sys.stderr)
    if recording.mapping is not None:
        print(f"mapped: {recording.mapping.report()}", file=sys.stderr)
    fps, clip = (recording.fps or 30.0) if parsed.fps is None else parsed.fps, recording.clip
    if clip.has_scores != predictor.spec.has_scores:
        raise InputError(
            f"{parsed.recording} has {'a' if clip.has_scores else 'no'} confidence in each joint; the recognizer was trained "
            f"{'with' if predictor.spec.has_scores else 'without'} it."
        )
    segments = segment_recording(predictor, clip.joints, fps=fps, config=config, people=parsed.people, progress=True)
    width = max([len("action"), *(len(s.action) for s in segments)])
    print(f"{'start':>9} {'end':>9}  {'action':{width}}  score  person")
    for s in segments:
        print(f"{s.start:9.2f} {s.end:9.2f}  {s.action:{width}}  {s.score:5.1%}  {s.person or 'all'}")
    if not segments:
        print("note: no action was found.", file=sys.stderr)
    if parsed.out is not None:
        write_segments(segments, parsed.out)
        print(f"written: {parsed.out}")
    if truth is not None:
        length = clip.joints.shape[1] / fps
        if truth and max(segment.end for segment in truth) > length + 1:
            print(
                f"note: {parsed.truth} ends behind the recording of {length:.1f} s; its times are in seconds.", file=sys.stderr
            )
        segmenter = find_segmenter(predictor, config.method)
        if segmenter is not None and joints_hash(clip.joints) in segmenter.spec.recordings:
            print(
                f"note: the segmenter has learned from {parsed.recording}; its scores say little of other recordings.",
                file=sys.stderr,
            )
        with notes():
            print(score_segments(segments, truth, fps=fps, classes=predictor.classes))
