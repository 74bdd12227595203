"""Answers of a segmenter become pieces: by hand, without those of no action, in frames of any rate."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from poseglot.errors import SettingError
from poseglot.inference import Predictor
from poseglot.inference.change_points import Piece
from poseglot.inference.dense import DenseAnswers, find_segmenter

pytestmark = pytest.mark.base


def answers(
    labels: list[int], *, boundary: list[float] | None = None, frames: int, fps: float = 30, step: float = 0.1
) -> DenseAnswers:
    """Answers of two classes and none that are nearly sure."""
    probabilities = np.full((len(labels), 3), 0.05)
    probabilities[np.arange(len(labels)), labels] = 0.9
    return DenseAnswers(probabilities, np.array(boundary or [0.5] * len(labels)), step, frames, fps)


def test_pieces_are_in_frames_and_none_is_left_out() -> None:
    found = answers([0] * 5 + [2] * 4 + [1] * 6, frames=44).pieces(penalty=0.1, min_duration=0.2)
    assert found == [Piece(0, 15, 0, pytest.approx(0.9)), Piece(27, 44, 1, pytest.approx(0.9))]


def test_boundaries_decide_where_probabilities_do_not() -> None:
    said = answers([0] * 5 + [1] * 5, frames=30)
    said.probabilities[3:7] = [0.45, 0.45, 0.1]
    for where in (3, 5, 7):
        boundary = np.full(10, 0.01)
        boundary[where] = 0.9
        found = DenseAnswers(said.probabilities, boundary, 0.1, 30, 30.0).pieces(penalty=0.1, min_duration=0.1)
        assert [(p.start, p.end) for p in found] == [(0, 3 * where), (3 * where, 30)]
    never = DenseAnswers(said.probabilities, np.zeros(10), 0.1, 30, 30.0).pieces(penalty=0.1, min_duration=0.1)
    assert len(never) == 1


def test_a_short_flicker_is_no_piece() -> None:
    labels = [0] * 6 + [1] + [0] * 6
    assert len(answers(labels, frames=39).pieces(penalty=0.0, min_duration=0.1)) == 3
    assert len(answers(labels, frames=39).pieces(penalty=0.0, min_duration=0.3)) == 1
    assert len(answers(labels, frames=39).pieces(penalty=0.3, min_duration=0.1)) == 1


def test_steps_shorter_than_frames_leave_no_empty_piece() -> None:
    found = answers([0, 1] * 8, frames=4, fps=2.5, step=0.1).pieces(penalty=0.0, min_duration=0.1)
    assert all(piece.end > piece.start for piece in found) and found[-1].end == 4


class Exported:
    """A predictor without a network, as of an .onnx file."""

    engine = "onnx"

    @property
    def fused(self) -> None:
        raise SettingError("no features")


def test_an_exported_recognizer_has_no_segmenter() -> None:
    exported = cast(Predictor, Exported())
    for method in ("auto", "whole", "frames"):
        assert find_segmenter(exported, method) is None
    with pytest.raises(SettingError):
        find_segmenter(exported, "dense")
