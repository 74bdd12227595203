"""Compare found segments with true ones, person by person."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from poseglot.data.segments import UNKNOWN, Segment
from poseglot.errors import as_known
from poseglot.evaluation.metrics import Accuracy
from poseglot.evaluation.segments import BACKGROUND, Matches, Span, edit_score, frame_accuracy, matches
from poseglot.skeletons.clip import Joints

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


def score_segments(
    found: Sequence[Segment], truth: Sequence[Segment], *, fps: float, classes: Collection[str] | None = None
) -> SegmentScores:
    """Return the measures of found segments; people are matched by number, and `unknown` counts as no action.

    If all that was found is of person 0 (everybody together), so is all truth. Else truth of person 0 counts for every person. There is a
    warning if no number of a person is in both, or if a true action is no class.

    Args:
        found, truth: The segments.
        fps: Frames per second, for the frame accuracy.
        classes: Those of the recognizer; true actions may differ from them in case.
    """
    truth = [replace(segment, action=as_known(segment.action, classes or ())) for segment in truth]
    if others := sorted({s.action for s in truth} - {UNKNOWN, *classes}) if classes is not None else []:
        warnings.warn(
            f"{len(others)} of the true actions are none of the recognizer's and count as missed: {', '.join(others[:10])}"
            f"{', ...' if len(others) > 10 else ''}.",
            stacklevel=2,
        )
    truth = _with_persons_of(found, truth)
    ours_are, theirs_are = ({s.person for s in segments} for segments in (found, truth))
    if ours_are and theirs_are and not ours_are & theirs_are:
        warnings.warn(
            f"no person is in both: found are {_listed(ours_are)}, true are {_listed(theirs_are)}. People are compared by number; "
            "correct those of the truth.",
            stacklevel=2,
        )
    both = (*found, *truth)
    labels = {action: number for number, action in enumerate(sorted({s.action for s in both} - {UNKNOWN}))}
    frames = round(max((segment.end for segment in both), default=0.0) * fps)
    matched, edits, correct = {overlap: Matches() for overlap in OVERLAPS}, [], Accuracy(0, 0)
    for person in sorted(ours_are | theirs_are or {0}):
        ours, our_frames = _of_person(found, person, labels, frames, fps)
        theirs, their_frames = _of_person(truth, person, labels, frames, fps)
        matched = {overlap: total + matches(ours, theirs, overlap / 100) for overlap, total in matched.items()}
        edits.append(edit_score(ours, theirs))
        accuracy = frame_accuracy(our_frames, their_frames)
        correct = Accuracy(correct.correct + accuracy.correct, correct.total + accuracy.total)
    return SegmentScores(matched, sum(edits) / len(edits), correct)


def joints_hash(joints: Joints) -> str:
    """Return a hash of the joints of a recording, by which a segmenter knows those that it has learned from."""
    header = f"{joints.shape} {joints.dtype}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(joints).tobytes()).hexdigest()


def _with_persons_of(found: Sequence[Segment], truth: Sequence[Segment]) -> list[Segment]:
    """Return true segments of the people that were found, where either is of everybody."""
    ours, theirs = ({s.person for s in segments} for segments in (found, truth))
    if ours == {0}:
        return _merged(replace(s, person=0) for s in truth)
    people = sorted((ours | theirs) - {0}) or [0]
    return [replace(s, person=person) for s in truth for person in ([s.person] if s.person else people)]


def _merged(segments: Iterable[Segment]) -> list[Segment]:
    """Return segments in which no two of one action overlap, as two people may do it at once."""
    merged: list[Segment] = []
    for segment in sorted(segments, key=lambda s: (s.action, s.start)):
        if merged and merged[-1].action == segment.action and segment.start < merged[-1].end:
            merged[-1] = replace(merged[-1], end=max(merged[-1].end, segment.end))
        else:
            merged.append(segment)
    return merged


def _listed(people: Collection[int]) -> str:
    return ", ".join(str(person) if person else "0 (everybody)" for person in sorted(people))


def _of_person(
    segments: Sequence[Segment], person: int, labels: dict[str, int], frames: int, fps: float
) -> tuple[list[Span], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return a person's named segments in order, and the label of each frame."""
    own = [Span(s.start, s.end, labels[s.action]) for s in segments if s.person == person and s.action in labels]
    frame_labels = np.full(frames, BACKGROUND)
    for span in own:
        frame_labels[round(span.start * fps) : round(span.end * fps)] = span.label
    return sorted(own, key=lambda span: span.start), frame_labels
