"""Segment by a trained segmenter: dense features once over the recording, probabilities of every step, and the best division of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from os import PathLike

import numpy as np
import torch

from poseglot.errors import FileError
from poseglot.inference.change_points import Piece, divide_frames
from poseglot.inference.predictor import Predictor
from poseglot.inference.windows import window_inputs
from poseglot.models.dense import Features, Windows, dense_features, frames_of
from poseglot.models.pretrained import SEGMENTER_FILE, find_recognizer, recognizer_file
from poseglot.models.segmenter import Probabilities, Segmenter, load_segmenter
from poseglot.skeletons.clip import Joints

_MIN_BOUNDARY = 1e-4  # the boundary of least probability costs as much as one of this


@dataclass(frozen=True, eq=False)
class DenseAnswers:
    """What a segmenter says of a recording.

    Attributes:
        probabilities: (S, classes + 1) of every step; the last is no action.
        boundary: (S,), of an action's begin.
        step: Seconds per step.
        frames, fps: The number of frames of the recording, and frames per second.
    """

    probabilities: Probabilities
    boundary: Probabilities
    step: float
    frames: int
    fps: float

    def pieces(self, *, penalty: float, min_duration: float) -> list[Piece]:
        """Return the pieces of the best division, without those of no action; arguments as in `SegmentConfig`.

        To the penalty comes minus the logarithm of twice the probability of a boundary, in steps: a piece costs more where a boundary is
        unlikely, and down to nothing where it is likely.
        """
        certainty = np.log(np.maximum(self.boundary, _MIN_BOUNDARY) / 0.5)
        costs = np.maximum(penalty / self.step - certainty, 0)
        costs[0] = penalty / self.step
        divided = divide_frames(self.probabilities, penalty=costs, min_length=max(1, math.ceil(min_duration / self.step - 0.5)))
        edges = np.minimum(np.round(np.arange(len(costs) + 1) * self.step * self.fps), self.frames).astype(int).tolist()
        edges[-1] = self.frames
        none = self.probabilities.shape[1] - 1
        pieces = [Piece(edges[p.start], edges[p.end], p.label, p.score) for p in divided if p.label != none]
        return [piece for piece in pieces if piece.end > piece.start]  # steps may be shorter than frames


def segment_densely(
    predictor: Predictor,
    segmenter: Segmenter,
    joints: Joints,
    *,
    fps: float,
    batch_size: int = 64,
    progress: str | None = None,
) -> DenseAnswers:
    """Return what a segmenter says of joints (M, T, V, C) of one person, or of all who are recognised together.

    Raises:
        SettingError: The recognizer was exported, so that it has no features.
    """
    spec, fused, frames = segmenter.spec, predictor.fused, joints.shape[1]

    def encode(windows: Windows) -> Features:
        inputs = window_inputs(predictor, joints, windows).to(predictor.device)
        with torch.inference_mode():
            features: Features = fused.features_over_time(inputs).cpu().numpy()
        return features

    features = dense_features(
        encode,
        frames,
        lengths=[frames_of(length, fps) for length in spec.windows],
        step=spec.step * fps,
        batch_size=batch_size,
        progress=progress,
    )
    probabilities, boundary = segmenter.probabilities(features)
    return DenseAnswers(probabilities, boundary, spec.step, frames, fps)


def has_segmenter(path: str | PathLike[str]) -> bool:
    """Tell whether a segmenter lies beside the recognizer of a run's folder, a file or a name that `poseglot.load` takes."""
    return recognizer_file(find_recognizer(path)).with_name(SEGMENTER_FILE).exists()


def find_segmenter(predictor: Predictor, method: str) -> Segmenter | None:
    """Return the segmenter that a method asks for; None if it asks for none, or for one only if it is there.

    Args:
        predictor: The recognizer, beside whose file the segmenter lies.
        method: As in `SegmentConfig`.

    Raises:
        FileError: The segmenter is damaged, was made for another recognizer, or is missing for `dense`.
        SettingError: The recognizer was exported, so that it has no features, for `dense`.
    """
    if method not in ("auto", "dense") or (method == "auto" and predictor.engine != "torch"):
        return None
    fused = predictor.fused  # or an error that says what to load
    path = predictor.recognizer_file.with_name(SEGMENTER_FILE)
    if not path.exists() and method == "auto":
        return None
    if not path.exists():
        raise FileError(
            f"{path} does not exist. Make it with `poseglot train-segmenter {path.parent}`, or take another method."
        )
    segmenter = load_segmenter(path, predictor.recognizer_file)
    if segmenter.spec.classes != tuple(predictor.classes):
        raise FileError(
            f"{path} knows other classes than its recognizer. Run `poseglot train-segmenter` again, or delete the file."
        )
    return segmenter.to(fused.classifier.weight.device)
