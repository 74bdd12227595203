"""Segment long recordings: track people, recognise windows, find where actions change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from poseglot.data.segments import UNKNOWN, Segment
from poseglot.data.tracking import Track, person_tracks, stack_tracks
from poseglot.errors import InputError, SettingError
from poseglot.inference.change_points import Piece, divide_frames, divide_windows, merge_neighbours
from poseglot.inference.dense import find_segmenter, segment_densely
from poseglot.inference.windows import all_windows, frame_probabilities, window_probabilities
from poseglot.models.dense import Windows, frames_of
from poseglot.skeletons.clip import Joints, check_joints

if TYPE_CHECKING:
    from poseglot.inference.predictor import Predictor
    from poseglot.models.segmenter import Segmenter

Method = Literal["auto", "dense", "whole", "frames"]
People = Literal["each", "together"]


@dataclass(frozen=True)
class SegmentConfig:
    """Settings of `segment_recording`; times are in seconds.

    Attributes:
        method: What a piece is worth. `dense` asks the segmenter that was trained for the recognizer (`inference.dense`); for `whole`
            and `frames` see `poseglot.inference.change_points`. `auto` takes `dense` if there is a segmenter, else `whole`.
        windows: The lengths of the windows that are recognised; a segmenter has its own. `whole` takes every multiple of the stride from
            `min_duration` to the longest of these.
        stride: The time from one window to the next; a segmenter has its own.
        penalty: The cost of each piece: the time for which another piece must be e times as probable.
        min_duration: The shortest piece.
        gap: The longest absence after which somebody is still the same person.
        threshold: The lowest score of a named piece; below it a piece is `unknown`.
    """

    method: Method = "auto"
    windows: tuple[float, ...] = (2.0,)
    stride: float = 0.2
    penalty: float = 0.05
    min_duration: float = 0.6
    gap: float = 0.5
    threshold: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise SettingError(f"threshold is a probability from 0 to 1, not {self.threshold}.")

    def frames(self, seconds: float, fps: float) -> int:
        """Return a time in frames, at least one."""
        return frames_of(seconds, fps)

    def candidates(self, frames: int, fps: float) -> Windows:
        """Return the windows of a recording that are to be recognised, for the methods `whole` and `frames`.

        Raises:
            SettingError: The longest window cannot hold two of the shortest pieces, or is shorter than the stride.
        """
        step, lengths = self.frames(self.stride, fps), [self.frames(length, fps) for length in self.windows]
        if self.method == "frames":
            return all_windows(frames, lengths, step)
        shortest, longest = -(-self.frames(self.min_duration, fps) // step), max(lengths) // step
        # Pieces of these lengths can then fill any number of steps.
        if longest < 2 * shortest - 1:
            raise SettingError(
                f"windows of up to {max(self.windows)} s every {self.stride} s with pieces of {self.min_duration} s or more: the longest "
                "window must hold two of the shortest pieces."
            )
        # The last step takes the remainder, so that pieces fill the recording.
        edges = np.append(np.arange(max(1, frames // step)) * step, frames)
        pairs = [
            (edges[start], edges[end])
            for start in range(len(edges))
            for end in range(start + min(shortest, len(edges) - 1), min(len(edges), start + longest + 1))
        ]
        return np.array(pairs, dtype=np.int64)

    def pieces(self, windows: Windows, probabilities: npt.NDArray[np.float64], frames: int, fps: float) -> list[Piece]:
        """Return the pieces of a recording, by the probabilities of its windows, for the methods `whole` and `frames`."""
        penalty = self.penalty * fps
        if self.method != "frames":
            return divide_windows(windows, probabilities, penalty=penalty)
        rows = frame_probabilities(windows, probabilities, frames)
        return divide_frames(rows, penalty=penalty, min_length=self.frames(self.min_duration, fps))


def segment_recording(
    predictor: Predictor,
    joints: npt.ArrayLike,
    *,
    fps: float,
    config: SegmentConfig | None = None,
    people: People | None = None,
    batch_size: int = 64,
    progress: bool = False,
) -> list[Segment]:
    """Return who does what, and when, in a recording.

    Args:
        predictor: The recognizer.
        joints: (M, T, V, C) or (T, V, C), zero where a person is absent. People may change places along M; they are tracked.
        fps: Frames per second.
        config: The settings; by default `SegmentConfig()`.
        people: `each` recognises everybody alone. `together` recognises all at once; of more people than the recognizer takes,
            those who move most within a window. By default `each` for a recognizer of one person, else `together`.
        batch_size: The number of windows that are computed at once.
        progress: Whether to show progress bars.

    Returns:
        The segments by person, then by time; none where nobody is present.

    Raises:
        InputError: The joints are not acceptable, or nobody is present.
        SettingError: The settings do not fit together.
    """
    config, spec = config or SegmentConfig(), predictor.spec
    people = people or default_people(predictor)
    stretches = find_stretches(predictor, joints, fps=fps, config=config, people=people)
    segmenter = find_segmenter(predictor, config.method)
    if segmenter is None and config.method == "auto":
        config = replace(config, method="whole")
    segments = []
    for number, (first, stretch) in enumerate(stretches, start=1):
        title = (f"person {number}" if people == "each" else "everybody") if progress else None
        pieces = _pieces(predictor, segmenter, stretch, fps=fps, config=config, batch_size=batch_size, progress=title)
        person = number if people == "each" else 0
        for piece in apply_threshold(pieces, config.threshold):
            action = UNKNOWN if piece.label < 0 else spec.classes[piece.label]
            segments.append(Segment((first + piece.start) / fps, (first + piece.end) / fps, action, piece.score, person))
    return segments


def default_people(predictor: Predictor) -> People:
    """Return how people are recognised by default: `each` for a recognizer of one person, else `together`."""
    return "each" if predictor.spec.num_persons == 1 else "together"


def find_stretches(
    predictor: Predictor, joints: npt.ArrayLike, *, fps: float, config: SegmentConfig, people: People
) -> list[tuple[int, Joints]]:
    """Return what is segmented by itself: with `each` every person's track, with `together` every stretch in which anybody is present.

    Arguments and errors as in `segment_recording`.

    Returns:
        The first frame and the joints (M, T, V, C) of each.
    """
    spec = predictor.spec
    if not fps > 0 or min(config.stride, config.min_duration, *config.windows) <= 0:
        raise SettingError("frames per second, windows, stride and minimum duration must be above 0.")
    if people == "together" and spec.num_persons == 1:
        raise SettingError("this recognizer was trained on one person at a time; take people=each.")
    checked = check_joints(joints, joint_count=len(predictor.layout), has_scores=spec.has_scores, origin="the recording")
    if checked.shape[3] != spec.channels:
        raise InputError(
            f"the recording has {checked.shape[3]} numbers per joint; the recognizer was trained on {spec.channels}."
        )
    tracks = person_tracks(checked, fps=fps, gap=config.gap, min_duration=config.min_duration, has_scores=spec.has_scores)
    if not tracks:
        raise InputError(f"nobody is seen in this recording for {config.min_duration} s or longer.")
    return _stretches(tracks, people, checked.shape[1])


def _pieces(
    predictor: Predictor,
    segmenter: Segmenter | None,
    joints: Joints,
    *,
    fps: float,
    config: SegmentConfig,
    batch_size: int,
    progress: str | None,
) -> list[Piece]:
    """Return the pieces of joints (M, T, V, C)."""
    frames = joints.shape[1]
    if segmenter is not None:
        answers = segment_densely(predictor, segmenter, joints, fps=fps, batch_size=batch_size, progress=progress)
        return answers.pieces(penalty=config.penalty, min_duration=config.min_duration)
    windows = config.candidates(frames, fps)
    rows = window_probabilities(predictor, joints, windows, batch_size=batch_size, progress=progress)
    return config.pieces(windows, rows, frames, fps)


def apply_threshold(pieces: Sequence[Piece], threshold: float) -> list[Piece]:
    """Return pieces with label -1 where the score is below the threshold; neighbours of that label are merged."""
    return merge_neighbours([Piece(p.start, p.end, -1, p.score) if p.score < threshold else p for p in pieces])


def _stretches(tracks: Sequence[Track], people: People, frames: int) -> list[tuple[int, Joints]]:
    """Return the first frame and joints (M, T, V, C) of each unit: a track, or a stretch in which anybody is present."""
    if people == "each":
        return [(track.start, track.joints[None]) for track in tracks]
    everybody = stack_tracks(tracks, frames)
    present = np.zeros(frames + 2, dtype=np.int8)
    for track in tracks:
        present[track.start + 1 : track.end + 1] = 1
    edges = np.flatnonzero(np.diff(present)).reshape(-1, 2)
    return [(start, everybody[:, start:end]) for start, end in edges.tolist()]
