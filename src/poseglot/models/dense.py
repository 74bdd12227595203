"""Dense features: a recognizer's features of overlapping windows, laid over a recording as one sequence.

A window is normalised and encoded as a clip is, so that any recognizer understands it, but its time axis is kept: an encoder that turns
52 frames into 13 feature vectors gives 13 points in time. Windows of one length overlap by a third. Their vectors are interpolated to
evenly spaced steps and averaged, with a weight that falls linearly from the middle of a window to its ends. Several lengths are
concatenated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from poseglot.errors import SettingError

# (W, 2): the first frame of each window, and the one after its last.
Windows = npt.NDArray[np.int64]
Features = npt.NDArray[np.float32]
_STRIDE = 2 / 3  # of the length of a window: every frame is in one or two windows of a length


def sliding_windows(frames: int, length: int, stride: int) -> Windows:
    """Return the windows of one length over a recording: one every `stride` frames, and one that ends with the recording.

    A recording shorter than a window is one window.

    Raises:
        SettingError: A length or stride is below one frame, or the stride is longer than a window.
    """
    if min(frames, length, stride) < 1 or stride > length:
        raise SettingError(
            f"windows of {length} frames every {stride} over {frames} frames: each must be at least 1, and a window at least as long as "
            "the stride."
        )
    last = max(0, frames - length)
    starts = np.unique(np.append(np.arange(0, last + 1, stride), last))
    return np.stack([starts, np.minimum(starts + length, frames)], axis=1)


def frames_of(seconds: float, fps: float) -> int:
    """Return a time in frames, at least one."""
    return max(1, round(seconds * fps))


def dense_features(
    encode: Callable[[Windows], Features],
    frames: int,
    *,
    lengths: Sequence[int],
    step: float,
    batch_size: int = 64,
    progress: str | None = None,
) -> Features:
    """Return the features (steps, lengths x F) of a recording; step k covers the frames from k x `step` to (k + 1) x `step`.

    Args:
        encode: Windows (W, 2) of one length -> their features over time (W, T', F).
        frames: The number of frames of the recording.
        lengths: The lengths of the windows, in frames.
        step: The frames per step; it need not be a whole number.
        batch_size: The number of windows that are encoded at once.
        progress: The title of a progress bar; None shows none.

    Raises:
        SettingError: There are no frames, a length is below one frame, or the step is not above 0.
    """
    if not step > 0:
        raise SettingError(f"a step must be longer than 0 frames, not {step}.")
    times = np.minimum((np.arange(math.ceil(frames / step)) + 0.5) * step, frames - 0.5)
    laid = [sliding_windows(frames, length, max(1, round(length * _STRIDE))) for length in lengths]
    with tqdm(total=sum(map(len, laid)), desc=progress, unit="window", disable=None if progress else True) as bar:
        rows = []
        for windows in laid:
            sums, weights = None, np.zeros((len(times), 1), dtype=np.float32)
            for start in range(0, len(windows), batch_size):
                batch = windows[start : start + batch_size]
                features = encode(batch)
                sums = np.zeros((len(times), features.shape[2]), dtype=np.float32) if sums is None else sums
                for window, row in zip(batch.tolist(), features, strict=True):
                    _add(row, window, times, sums, weights)
                bar.update(len(batch))
            assert sums is not None
            rows.append(sums / weights)
    return np.concatenate(rows, axis=1)


def _add(
    row: Features, window: Sequence[int], times: npt.NDArray[np.float64], sums: Features, weights: npt.NDArray[np.float32]
) -> None:
    """Add the features (T', F) of a window to those of the steps whose middle it covers."""
    start, end = window
    first, last = np.searchsorted(times, window)
    share = (times[first:last] - start) / (end - start)
    place = np.clip(share * len(row) - 0.5, 0, len(row) - 1)
    low = place.astype(np.int64)
    high, part = np.minimum(low + 1, len(row) - 1), (place - low)[:, None].astype(np.float32)
    # Not quite zero at the ends, which may be those of the recording.
    weight = (1.001 - np.abs(2 * share - 1))[:, None].astype(np.float32)
    sums[first:last] += weight * (row[low] * (1 - part) + row[high] * part)
    weights[first:last] += weight
