"""Compare found segments with true ones, person by person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from poseglot.evaluation.metrics import Accuracy
from poseglot.evaluation.segments import BACKGROUND, Matches, Span, edit_score, frame_accuracy, matches
from poseglot.inference.segments import UNKNOWN, Segment

OVERLAPS = (10, 25, 50)  # percent of intersection over union


@dataclass(frozen=True)
class SegmentScores:
    """The measures of action segmentation (see `poseglot.evaluation.segments`).

    Attributes:
        matches: Overlap in percent -> matched segments, summed over people.
        edit: The mean edit score over people.
        frames: The frame accuracy, summed over people.
    """

    matches: dict[int, Matches]
    edit: float
    frames: Accuracy

    def __str__(self) -> str:
        f1 = ", ".join(f"F1@{overlap} {matched.f1:.1f}" for overlap, matched in self.matches.items())
        return f"{f1}, edit {self.edit:.1f}, frames {self.frames}"


def score_segments(found: Sequence[Segment], truth: Sequence[Segment], *, fps: float) -> SegmentScores:
    """Return the measures of found segments; people are matched by number, and `unknown` counts as no action."""
    both = (*found, *truth)
    labels = {action: number for number, action in enumerate(sorted({s.action for s in both} - {UNKNOWN}))}
    frames = round(max(segment.end for segment in both) * fps)
    matched, edits, correct = {overlap: Matches() for overlap in OVERLAPS}, [], Accuracy(0, 0)
    for person in sorted({segment.person for segment in both}):
        ours, our_frames = _of_person(found, person, labels, frames, fps)
        theirs, their_frames = _of_person(truth, person, labels, frames, fps)
        matched = {overlap: total + matches(ours, theirs, overlap / 100) for overlap, total in matched.items()}
        edits.append(edit_score(ours, theirs))
        accuracy = frame_accuracy(our_frames, their_frames)
        correct = Accuracy(correct.correct + accuracy.correct, correct.total + accuracy.total)
    return SegmentScores(matched, sum(edits) / len(edits), correct)


def _of_person(
    segments: Sequence[Segment], person: int, labels: dict[str, int], frames: int, fps: float
) -> tuple[list[Span], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return a person's named segments in order, and the label of each frame."""
    own = [Span(s.start, s.end, labels[s.action]) for s in segments if s.person == person and s.action in labels]
    frame_labels = np.full(frames, BACKGROUND)
    for span in own:
        frame_labels[round(span.start * fps) : round(span.end * fps)] = span.label
    return sorted(own, key=lambda span: span.start), frame_labels
