"""Change points: a recording cut into pieces of one action each, by exact dynamic programmes rather than by thresholds.

A cut is worth the sum over its pieces of what each is worth, less a penalty for every piece; the best one is found, not searched for. There
are two ways to say what a piece is worth:

    by frames   the sum over its frames of the logarithm of its action's probability in that frame (Viterbi's, with a least length)
    whole       the logarithm of its action's probability when the piece itself is recognised as a clip, times its frames; for this, every
                stretch that may be a piece is recognised

Both measure in frames: a penalty of 10 means that one more piece must explain as much as makes ten frames e times as probable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseglot.errors import PoseglotError

_LEAST_PROBABILITY = 1e-6  # a single sure mistake must not forbid a piece


@dataclass(frozen=True)
class Piece:
    """Frames `start` until before `end` show the class of this number; `score` is its probability, the mean over the frames."""

    start: int
    end: int
    label: int
    score: float


def cut_by_frames(probabilities: npt.NDArray[np.floating], *, penalty: float, least: int) -> list[Piece]:
    """The best cut by the probabilities (T, classes) of the frames.

    Time and memory grow with T times classes: of each class, only the best place to begin is remembered.

    Args:
        penalty: of each piece, at least 0.
        least: how many frames a piece has at least; a shorter recording is one piece.

    Raises:
        PoseglotError: as `check`.
    """
    frames, classes = probabilities.shape
    check(frames, penalty, least)
    least = min(least, frames)
    total = np.zeros((frames + 1, classes))
    np.cumsum(np.log(np.maximum(probabilities, _LEAST_PROBABILITY)), axis=0, out=total[1:])
    # best[t]: what the best cut of the first t frames is worth; from_here[t]: where its last piece begins; of[t]: and its class.
    best = np.full(frames + 1, -np.inf)
    best[0] = 0
    begun, begun_at = np.full(classes, -np.inf), np.zeros(classes, dtype=np.int64)
    from_here, of = np.zeros((2, frames + 1), dtype=np.int64)
    for end in range(least, frames + 1):
        start = end - least
        worth = best[start] - total[start]
        better = worth > begun
        begun[better], begun_at[better] = worth[better], start
        values = begun + total[end]
        label = int(values.argmax())
        best[end], from_here[end], of[end] = values[label] - penalty, begun_at[label], label
    pieces, end = [], frames
    while end:
        start, label = int(from_here[end]), int(of[end])
        pieces.append(Piece(start, end, label, float(probabilities[start:end, label].mean())))
        end = start
    return merged(pieces[::-1])


def cut_whole(windows: npt.NDArray[np.int64], probabilities: npt.NDArray[np.floating], *, penalty: float) -> list[Piece]:
    """The best cut into windows (W, 2) that were recognised whole, with probabilities (W, classes).

    Raises:
        PoseglotError: the windows cannot be laid end to end from frame 0 to the last one.
    """
    labels = probabilities.argmax(axis=1)
    scores = probabilities[np.arange(len(windows)), labels]
    worth = (windows[:, 1] - windows[:, 0]) * np.log(np.maximum(scores, _LEAST_PROBABILITY)) - penalty
    frames = int(windows[:, 1].max(initial=0))
    best, last = np.full(frames + 1, -np.inf), np.full(frames + 1, -1)
    best[0] = 0
    for number in np.lexsort((windows[:, 0], windows[:, 1])).tolist():
        start, end = windows[number].tolist()
        if best[start] + worth[number] > best[end]:
            best[end], last[end] = best[start] + worth[number], number
    pieces, end = [], frames
    while end:
        if last[end] < 0:
            raise PoseglotError(
                "these windows cannot be laid end to end over the recording; take windows that begin at every step."
            )
        start, number = int(windows[last[end], 0]), int(last[end])
        pieces.append(Piece(start, end, int(labels[number]), float(scores[number])))
        end = start
    return merged(pieces[::-1])


def merged(pieces: list[Piece]) -> list[Piece]:
    """Neighbours of one class become one piece, which has the mean of their scores over its frames."""
    result: list[Piece] = []
    for piece in pieces:
        last = result[-1] if result else None
        if last is not None and last.end == piece.start and last.label == piece.label:
            ours, theirs = last.end - last.start, piece.end - piece.start
            score = (last.score * ours + piece.score * theirs) / (ours + theirs)
            result[-1] = Piece(last.start, piece.end, piece.label, score)
        else:
            result.append(piece)
    return result


def check(frames: int, penalty: float, least: int) -> None:
    """
    Raises:
        PoseglotError: no frames, a negative penalty, or pieces that may be of no frame.
    """
    if frames < 1 or not penalty >= 0 or least < 1:
        raise PoseglotError(
            f"{frames} frames cannot be cut with a penalty of {penalty} into pieces of {least} frames or more; the penalty is 0 or "
            "more, and a piece has a frame or more."
        )
