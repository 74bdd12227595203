"""Long recordings: who is there, what the recognizer says of windows, where actions change; segments come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from poseglot.data.tracking import REACH, Track, detections, together, track_people
from poseglot.errors import PoseglotError
from poseglot.inference.change_points import Piece, cut_by_frames, cut_whole, merged
from poseglot.inference.segments import UNKNOWN, Segment
from poseglot.inference.windows import Windows, all_windows, frame_probabilities, window_probabilities
from poseglot.skeletons.clip import Joints, check_joints

if TYPE_CHECKING:
    from poseglot.inference.predictor import Predictor

Way = Literal["frames", "whole"]
People = Literal["each", "together"]
# A single person need not be told from others: however far a pose is from the last, it is the same one's.
_ANYWHERE = 1e9


@dataclass(frozen=True)
class SegmentConfig:
    """How a recording is cut; times are in seconds.

    Attributes:
        way: what a piece is worth: see `poseglot.inference.change_points`.
        windows: the lengths that are recognised. The way `frames` has windows of each of these; the way `whole` has every multiple of the
            stride from `least` to the longest of these.
        stride: from one window to the next.
        penalty: of each piece, in seconds: so much, at a probability e times as large, a further piece must explain.
        least: how long a piece is at least.
        gap: for how long somebody may be unseen and is still the same person.
        unknown_below: a piece whose score is lower is `unknown`.
    """

    way: Way = "whole"
    windows: tuple[float, ...] = (2.0,)
    stride: float = 0.2
    penalty: float = 0.05
    least: float = 0.6
    gap: float = 0.5
    threshold: float = 0.0

    def frames(self, seconds: float, fps: float) -> int:
        """At least one."""
        return max(1, round(seconds * fps))

    def candidates(self, frames: int, fps: float) -> Windows:
        """Every window of a recording of so many frames that is to be recognised.

        Raises:
            PoseglotError: lengths that do not fit together.
        """
        step, lengths = self.frames(self.stride, fps), [self.frames(length, fps) for length in self.windows]
        if self.way == "frames":
            return all_windows(frames, lengths, step)
        shortest, longest = -(-self.frames(self.least, fps) // step), max(lengths) // step
        # Then any number of steps from the shortest on can be made of pieces.
        if longest < 2 * shortest - 1:
            raise PoseglotError(
                f"windows of up to {max(self.windows)} s every {self.stride} s, and pieces of {self.least} s or more: the longest window "
                "must hold two of the shortest pieces."
            )
        # The last step takes what is left over, so that pieces always fill the recording.
        edges = np.append(np.arange(max(1, frames // step)) * step, frames)
        pairs = [
            (edges[start], edges[end])
            for start in range(len(edges))
            for end in range(start + min(shortest, len(edges) - 1), min(len(edges), start + longest + 1))
        ]
        return np.array(pairs, dtype=np.int64)

    def pieces(self, windows: Windows, probabilities: npt.NDArray[np.float64], frames: int, fps: float) -> list[Piece]:
        """The recording cut, by what the recognizer says of its windows."""
        penalty = self.penalty * fps
        if self.way == "whole":
            return cut_whole(windows, probabilities, penalty=penalty)
        rows = frame_probabilities(windows, probabilities, frames)
        return cut_by_frames(rows, penalty=penalty, least=self.frames(self.least, fps))


def segment_recording(
    predictor: Predictor,
    joints: npt.ArrayLike,
    *,
    fps: float,
    cutting: SegmentConfig | None = None,
    people: People | None = None,
    batch_size: int = 64,
    progress: bool = False,
) -> list[Segment]:
    """What is done in a recording, when, and by whom.

    People are tracked (`poseglot.data.tracking`). `each` has everybody recognised alone; `together` gives the recognizer all of them,
    or where there are more than it knows those who move most within a window.

    Args:
        joints: (M, T, V, C) or (T, V, C), zero where somebody is not there; from frame to frame people may change places along M.
        fps: frames in a second.
        cutting: by default `Cutting()`.
        people: by default `each` for a recognizer of one person, else `together`.
        progress: show bars.

    Returns:
        By person, then by time; where nobody is, there is no segment.

    Raises:
        PoseglotError: the joints are not the recognizer's, nobody is ever there, or settings that do not fit.
    """
    cutting, spec = cutting or SegmentConfig(), predictor.spec
    people = people or ("each" if spec.num_persons == 1 else "together")
    if not fps > 0 or min(cutting.stride, cutting.least, *cutting.windows) <= 0:
        raise PoseglotError("frames per second, windows, stride and least length must be above 0.")
    if people == "together" and spec.num_persons == 1:
        raise PoseglotError("this recognizer was trained on one person at a time; take people=each.")
    checked = check_joints(joints, joint_count=len(predictor.layout), has_scores=spec.has_scores, origin="the recording")
    if checked.shape[3] != spec.channels:
        raise PoseglotError(
            f"the recording has {checked.shape[3]} numbers per joint, but the recognizer was trained on {spec.channels}."
        )
    tracks = track_people(
        detections(checked),
        gap=round(cutting.gap * fps),
        least=cutting.frames(cutting.least, fps),
        has_scores=spec.has_scores,
        reach=_ANYWHERE if len(checked) == 1 else REACH,
    )
    if not tracks:
        raise PoseglotError(f"nobody is seen in this recording for {cutting.least} s or longer.")
    segments = []
    for number, (start, stretch) in enumerate(_stretches(tracks, people, checked.shape[1]), start=1):
        frames = stretch.shape[1]
        windows = cutting.candidates(frames, fps)
        name = f"person {number}" if people == "each" else "everybody"
        said = window_probabilities(predictor, stretch, windows, batch_size=batch_size, progress=name if progress else None)
        segments += [
            Segment((start + p.start) / fps, (start + p.end) / fps, _action(p, spec.classes), p.score, number * (people == "each"))
            for p in apply_threshold(cutting.pieces(windows, said, frames, fps), cutting.threshold)
        ]  # fmt: skip
    return segments


def apply_threshold(pieces: Sequence[Piece], below: float) -> list[Piece]:
    """Pieces of a lower score get the label -1; neighbours of them become one."""
    return merged([Piece(p.start, p.end, -1, p.score) if p.score < below else p for p in pieces])


def _action(piece: Piece, classes: Sequence[str]) -> str:
    return UNKNOWN if piece.label < 0 else classes[piece.label]


def _stretches(tracks: Sequence[Track], people: People, frames: int) -> list[tuple[int, Joints]]:
    """First frame and joints (M, T, V, C) of what is recognised by itself: a person's track, or each time for which anybody is there."""
    if people == "each":
        return [(track.start, track.joints[None]) for track in tracks]
    everybody = together(tracks, frames)
    there = np.zeros(frames + 2, dtype=np.int8)
    for track in tracks:
        there[track.start + 1 : track.end + 1] = 1
    edges = np.flatnonzero(np.diff(there)).reshape(-1, 2)
    return [(start, everybody[:, start:end]) for start, end in edges.tolist()]
