"""Sliding windows over a long recording: the probabilities of each window, and of each frame.

A window is recognised as a clip is, through the same pipeline. Windows may have several lengths. A frame's probabilities are the weighted
mean over the windows that cover it. The weight falls linearly from 1 at the middle of a window to 0 just outside.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from tqdm import tqdm

from poseglot.data.tracking import window_clips
from poseglot.inference.prediction import Probabilities, softmax
from poseglot.inference.predictor import Predictor
from poseglot.models.dense import Windows, sliding_windows
from poseglot.skeletons.clip import Joints


def all_windows(frames: int, lengths: Sequence[int], stride: int) -> Windows:
    """Return the sliding windows of several lengths, without duplicates."""
    return np.unique(np.concatenate([sliding_windows(frames, length, stride) for length in lengths]), axis=0)


def window_probabilities(
    predictor: Predictor, joints: Joints, windows: Windows, *, batch_size: int = 64, progress: str | None = None
) -> Probabilities:
    """Return the probabilities (W, classes) of windows.

    Args:
        predictor: The recognizer. The run's temperature is not applied.
        joints: (M, T, V, C) of everybody, zero where a person is absent. Where more people are present than the recognizer takes, those who
            move most within the window are taken.
        windows: (W, 2), within the recording.
        batch_size: The number of windows that are computed at once.
        progress: The title of a progress bar; None shows none.
    """
    # Sorted by length, so that little is padded.
    order = np.argsort(windows[:, 1] - windows[:, 0], kind="stable")
    result = np.empty((len(windows), len(predictor.classes)))
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    for batch in tqdm(batches, desc=progress, unit="batch", disable=None if progress else True):
        logits = predictor.logits(window_inputs(predictor, joints, windows[batch]))
        result[batch] = softmax(logits)
    return result


def window_inputs(predictor: Predictor, joints: Joints, windows: Windows) -> torch.Tensor:
    """Return the inputs (W, M, T', V, C) of windows of joints (M, T, V, C), each normalised by itself; arguments as above."""
    return predictor.inputs_of_joints(*window_clips(joints, windows, predictor.spec.num_persons))


def frame_probabilities(windows: Windows, probabilities: Probabilities, frames: int) -> Probabilities:
    """Return the probabilities (T, classes) of the frames, the weighted mean over windows that cover every frame (see above)."""
    sums, weights = np.zeros((frames, probabilities.shape[1])), np.zeros((frames, 1))
    for (start, end), row in zip(windows.tolist(), probabilities, strict=True):
        half = (end - start) / 2
        weight = 1 - np.abs(np.arange(start, end) + 0.5 - (start + half))[:, None] / (half + 0.5)
        sums[start:end] += weight * row
        weights[start:end] += weight
    return sums / weights
