"""Change points: divide a recording into pieces of one class each, exactly, by dynamic programming.

A division is worth the sum over its pieces of their worth, less a penalty for each piece. The best division is found exactly. There are
two kinds of worth:

    frames   the sum over a piece's frames of the log-probability of its class (Viterbi with a minimum duration)
    whole    the log-probability of its class when the piece is recognised as one clip, times its frames

Both measure in frames: with a penalty of 10, one more piece must gain as much as ten frames that become e times as probable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseglot.errors import SettingError

_MIN_PROBABILITY = 1e-6  # so that one confident mistake does not rule a piece out


@dataclass(frozen=True)
class Piece:
    """Frames `start` to `end` (exclusive) with class index `label`; `score` is its mean probability over the frames."""

    start: int
    end: int
    label: int
    score: float


def divide_frames(
    probabilities: npt.NDArray[np.floating], *, penalty: float | npt.NDArray[np.floating], min_length: int
) -> list[Piece]:
    """Return the best division by the probabilities (T, classes) of the frames, in O(T x classes) time and memory.

    Args:
        probabilities: (T, classes).
        penalty: The cost of each piece, at least 0; an array (T,) has the cost of a piece that begins at each frame.
        min_length: The smallest number of frames of a piece; a shorter recording is one piece.

    Raises:
        SettingError: There are no frames, the penalty is negative, or the minimum length is below 1.
    """
    frames, classes = probabilities.shape
    costs = np.broadcast_to(np.asarray(penalty, dtype=np.float64), frames)
    if frames < 1 or not (costs >= 0).all() or min_length < 1:
        raise SettingError(
            f"cannot divide {frames} frames with penalty {costs.min(initial=np.inf)} and minimum length {min_length}: the penalty must "
            "be at least 0, the others at least 1."
        )
    min_length = min(min_length, frames)
    total = np.zeros((frames + 1, classes))
    np.cumsum(np.log(np.maximum(probabilities, _MIN_PROBABILITY)), axis=0, out=total[1:])
    # best[t]: worth of the best division of the first t frames; its last piece begins at last_start[t] and has class last_label[t].
    best = np.full(frames + 1, -np.inf)
    best[0] = 0
    # Per class: the best worth of an open piece, less the log-probabilities before it, and where it begins.
    opened, opened_at = np.full(classes, -np.inf), np.zeros(classes, dtype=np.int64)
    last_start, last_label = np.zeros((2, frames + 1), dtype=np.int64)
    for end in range(min_length, frames + 1):
        start = end - min_length
        worth = best[start] - total[start] - costs[start]
        better = worth > opened
        opened[better], opened_at[better] = worth[better], start
        values = opened + total[end]
        label = int(values.argmax())
        best[end], last_start[end], last_label[end] = values[label], opened_at[label], label
    pieces, end = [], frames
    while end:
        start, label = int(last_start[end]), int(last_label[end])
        pieces.append(Piece(start, end, label, float(probabilities[start:end, label].mean())))
        end = start
    return merge_neighbours(pieces[::-1])


def divide_windows(windows: npt.NDArray[np.int64], probabilities: npt.NDArray[np.floating], *, penalty: float) -> list[Piece]:
    """Return the best division into windows (W, 2) that were recognised whole, with probabilities (W, classes).

    Raises:
        SettingError: The windows cannot be laid end to end over the recording.
    """
    labels = probabilities.argmax(axis=1)
    scores = probabilities[np.arange(len(windows)), labels]
    worth = (windows[:, 1] - windows[:, 0]) * np.log(np.maximum(scores, _MIN_PROBABILITY)) - penalty
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
            raise SettingError(
                "these windows cannot be laid end to end over the recording; take windows that begin at every step."
            )
        start, number = int(windows[last[end], 0]), int(last[end])
        pieces.append(Piece(start, end, int(labels[number]), float(scores[number])))
        end = start
    return merge_neighbours(pieces[::-1])


def merge_neighbours(pieces: list[Piece]) -> list[Piece]:
    """Return pieces with neighbours of one class merged; the score is the mean over the frames."""
    result: list[Piece] = []
    for piece in pieces:
        last = result[-1] if result else None
        if last is not None and last.end == piece.start and last.label == piece.label:
            frames, more = last.end - last.start, piece.end - piece.start
            score = (last.score * frames + piece.score * more) / (frames + more)
            result[-1] = Piece(last.start, piece.end, piece.label, score)
        else:
            result.append(piece)
    return result
