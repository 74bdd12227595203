"""Sliding windows: what a recognizer says of stretches of a long recording, and of each frame.

A recognizer answers for a clip, however long; so a window is recognised as a clip is, prepared by the same protocol. Windows may have
several lengths. A frame's probabilities are the mean of those of the windows that cover it, each weighted by how near the frame lies to
the window's middle: 1 there, falling in a straight line to 0 just outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from poseglot.errors import PoseglotError
from poseglot.skeletons.clip import Joints
from poseglot.skeletons.protocols import load_pipeline
from poseglot.skeletons.transforms import make_input

if TYPE_CHECKING:
    from poseglot.inference.predictor import Predictor

# (W, 2): the first frame of each window, and the one behind its last.
Windows = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]


def sliding_windows(frames: int, length: int, stride: int) -> Windows:
    """Windows of one length over a recording: one every `stride` frames, and one that ends with the recording.

    A recording that is shorter than a window is one window.

    Raises:
        PoseglotError: a length or stride below one frame, or a stride that leaves frames between the windows.
    """
    if min(frames, length, stride) < 1 or stride > length:
        raise PoseglotError(
            f"windows of {length} frames every {stride} over {frames} frames: windows must be as long as their stride or longer, and "
            "nothing may be shorter than a frame."
        )
    last = max(0, frames - length)
    starts = np.unique(np.append(np.arange(0, last + 1, stride), last))
    return np.stack([starts, np.minimum(starts + length, frames)], axis=1)


def window_probabilities(
    predictor: Predictor, joints: Joints, windows: Windows, *, batch_size: int = 64, progress: str | None = None
) -> Probabilities:
    """What a recognizer says of each window.

    Args:
        joints: (M, T, V, C) of everybody, zero where somebody is not there. Where more people are there than the recognizer knows, it is
            given those who move most within the window (`most_moving`).
        windows: within the recording.
        progress: says what is going on, on a bar; None shows none.

    Returns:
        (W, classes), rows that add up to 1.
    """
    spec, pipeline = predictor.spec, load_pipeline(predictor.spec.pipeline)
    # Windows of like length together, so that little is padded.
    order = np.argsort(windows[:, 1] - windows[:, 0], kind="stable")
    result = np.empty((len(windows), len(spec.classes)))
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    for batch in tqdm(batches, desc=progress, unit="batch", disable=None if progress else True):
        lengths = windows[batch, 1] - windows[batch, 0]
        # Behind its end a window repeats its last frame; the protocol does not look there.
        frame = np.minimum(windows[batch, :1] + np.arange(lengths.max()), windows[batch, 1:] - 1)
        cut = np.stack([most_moving(joints[:, row], spec.num_persons) for row in frame])
        views = make_input(
            torch.from_numpy(cut), torch.from_numpy(lengths), torch.full((len(cut),), cut.shape[1]),
            pipeline=pipeline, modality=spec.modality, layout=predictor.layout, has_scores=spec.has_scores,
        )  # fmt: skip
        absent = spec.num_persons - cut.shape[1]
        if absent:
            views = torch.cat([views, views.new_zeros(len(cut), absent, *views.shape[2:])], dim=1)
        result[batch] = torch.from_numpy(predictor.logits(views)).double().softmax(dim=1).numpy()
    return result


def most_moving(joints: Joints, count: int) -> Joints:
    """At most so many of the people in (M, T, V, C), who move most, those first; the measure is NTU RGB+D's.

    Motion is the variance of every coordinate over the frames and joints of a person who is there, added up.
    """
    if len(joints) <= count:
        return joints
    motion = [_motion(person) for person in joints]
    return joints[np.argsort(np.negative(motion), kind="stable")[:count]]


def _motion(person: Joints) -> float:
    there = person[(person != 0).any(axis=(1, 2))]
    return float(there[..., :3].var(axis=(0, 1)).sum()) if len(there) else -1.0


def frame_probabilities(windows: Windows, probabilities: Probabilities, frames: int) -> Probabilities:
    """(T, classes): of each frame, the weighted mean of the windows that cover it (see above). Every frame must be covered."""
    sums, weights = np.zeros((frames, probabilities.shape[1])), np.zeros((frames, 1))
    for (start, end), row in zip(windows.tolist(), probabilities, strict=True):
        half = (end - start) / 2
        weight = 1 - np.abs(np.arange(start, end) + 0.5 - (start + half))[:, None] / (half + 0.5)
        sums[start:end] += weight * row
        weights[start:end] += weight
    return sums / weights


def all_windows(frames: int, lengths: Sequence[int], stride: int) -> Windows:
    """The sliding windows of several lengths, no window twice."""
    return np.unique(np.concatenate([sliding_windows(frames, length, stride) for length in lengths]), axis=0)
