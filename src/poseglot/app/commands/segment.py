"""`poseglot segment`: a long recording in, segments out. Loads no text encoder and nothing of training."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poseglot.app.commands.register import AddCommand, add_pose, notes, pose_for
from poseglot.errors import PoseglotError

if TYPE_CHECKING:
    from poseglot.inference.segments import Segment


def add(command: AddCommand) -> None:
    segment = command("segment", run, "find what is done when, and by whom, in a long recording")
    segment.add_argument("run", type=Path, help="a run's folder, a recognizer's .safetensors file, or an exported .onnx file")
    segment.add_argument("recording", type=Path, help="a file of any format we read, or a video")
    segment.add_argument("--fps", type=float, help="frames in a second (the file's own if it says so, as videos do; else 30)")
    add_pose(segment)
    segment.add_argument("--out", type=Path, help="also write a file: .csv, .json, .vtt or .eaf (ELAN)")
    segment.add_argument("--people", choices=["each", "together"], help="recognise everybody alone, or all together")
    segment.add_argument(
        "--truth", type=Path, help="a .csv or .json of the true segments: says F1, edit score and frame accuracy"
    )
    segment.add_argument("--device", help="cpu, cuda, ...; by default a GPU if there is one")
    # What is not said here is as `Cutting` has it, which is imported late because it loads torch; a test compares the numbers.
    segment.add_argument("--way", choices=["whole", "frames"], help="what a piece is worth (whole); docs/long-recordings.md")
    segment.add_argument(
        "--window", type=float, nargs="+", dest="windows", metavar="S",
        help="lengths of windows in seconds (2.0); of the way whole the longest counts",
    )  # fmt: skip
    segment.add_argument("--stride", type=float, metavar="S", help="from window to window, in seconds (0.2)")
    segment.add_argument("--penalty", type=float, metavar="S", help="of a piece; more gives fewer (0.05)")
    segment.add_argument("--min-duration", type=float, metavar="S", help="the shortest piece, in seconds (0.6)")
    segment.add_argument("--gap", type=float, metavar="S", help="for how long somebody may be unseen, in seconds (0.5)")
    segment.add_argument("--threshold", type=float, metavar="P", help="pieces of a lower score are unknown (0.0)")


def run(parsed: argparse.Namespace) -> None:
    from poseglot.inference import Predictor
    from poseglot.inference.segmentation import SegmentConfig, segment_recording
    from poseglot.inference.segments import WRITERS, read_segments, write_segments

    if parsed.out is not None and parsed.out.suffix.lower() not in WRITERS:
        raise PoseglotError(f"--out names a file to write that ends in {', '.join(WRITERS)}; {parsed.out} does not.")
    truth = read_segments(parsed.truth) if parsed.truth else None
    said: dict[str, Any] = {field.name: getattr(parsed, field.name) for field in fields(SegmentConfig)}
    if parsed.windows is not None:
        said["windows"] = tuple(parsed.windows)
    cutting = SegmentConfig(**{name: value for name, value in said.items() if value is not None})
    predictor = Predictor(parsed.run, device=parsed.device)
    with notes():
        pose = pose_for(parsed, [parsed.recording], num_dims=predictor.num_dims)
        clip, mapping, own_fps = predictor.recording(parsed.recording, pose=pose)
    if mapping is not None:
        print(f"mapped: {mapping.report()}", file=sys.stderr)
    fps = parsed.fps or own_fps or 30.0
    if clip.has_scores != predictor.spec.has_scores:
        raise PoseglotError(
            f"{parsed.recording} has {'a' if clip.has_scores else 'no'} confidence in each joint; the recognizer was trained "
            f"{'with' if predictor.spec.has_scores else 'without'} it."
        )
    segments = segment_recording(predictor, clip.joints, fps=fps, cutting=cutting, people=parsed.people, progress=True)
    width = max(len("action"), *(len(s.action) for s in segments))
    print(f"{'start':>9} {'end':>9}  {'action':{width}}  score  person")
    for s in segments:
        print(f"{s.start:9.2f} {s.end:9.2f}  {s.action:{width}}  {s.score:5.1%}  {s.person or 'all'}")
    if parsed.out is not None:
        write_segments(segments, parsed.out)
        print(f"written: {parsed.out}")
    if truth is not None:
        print(_compared(segments, truth, fps))


def _compared(found: Sequence[Segment], truth: Sequence[Segment], fps: float) -> str:
    """The measures, added up over people, whose numbers must be those of the truth."""
    import numpy as np

    from poseglot.evaluation.metrics import Accuracy
    from poseglot.evaluation.segments import BACKGROUND, Matches, Span, edit_score, frame_accuracy, matches
    from poseglot.inference.segments import UNKNOWN

    numbers = {action: number for number, action in enumerate(sorted({s.action for s in (*found, *truth)} - {UNKNOWN}))}
    frames = round(max(s.end for s in (*found, *truth)) * fps)
    people = sorted({s.person for s in (*found, *truth)})
    counted, edits, right = {k: Matches() for k in (10, 25, 50)}, [], Accuracy(0, 0)
    for person in people:
        subsets = []
        for segments in (found, truth):
            spans = [Span(s.start, s.end, numbers[s.action]) for s in segments if s.person == person and s.action in numbers]
            labels = np.full(frames, BACKGROUND)
            for span in spans:
                labels[round(span.start * fps) : round(span.end * fps)] = span.label
            subsets.append((sorted(spans, key=lambda span: span.start), labels))
        (ours, our_labels), (theirs, their_labels) = subsets
        counted = {k: matched + matches(ours, theirs, k / 100) for k, matched in counted.items()}
        edits.append(edit_score(ours, theirs))
        of_person = frame_accuracy(our_labels, their_labels)
        right = Accuracy(right.correct + of_person.correct, right.total + of_person.total)
    scores = ", ".join(f"F1@{k} {matched.f1:.1f}" for k, matched in counted.items())
    return f"{scores}, edit {sum(edits) / len(edits):.1f}, frames {right}"
