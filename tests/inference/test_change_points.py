"""Exact cuts: equal to what trying every cut finds; and what merging does."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from poseglot.errors import SettingError
from poseglot.inference.change_points import Piece, divide_frames, divide_windows, merge_neighbours


def worth(pieces: list[Piece], probabilities: npt.NDArray[np.float64], penalty: float) -> float:
    return sum(float(np.log(probabilities[p.start : p.end, p.label]).sum()) - penalty for p in pieces)


def every_cut(frames: int, least: int) -> list[list[tuple[int, int]]]:
    cuts = []
    for count in range(frames):
        for inner in itertools.combinations(range(1, frames), count):
            edges = [0, *inner, frames]
            pieces = list(itertools.pairwise(edges))
            if all(end - start >= least for start, end in pieces):
                cuts.append(pieces)
    return cuts


@pytest.mark.parametrize("penalty", [0.0, 0.4, 2.0])
@pytest.mark.parametrize("least", [1, 2, 3])
def test_cut_by_frames_is_the_best_of_all_cuts(penalty: float, least: int) -> None:
    for seed in range(8):
        probabilities = np.random.default_rng(seed).dirichlet(np.ones(3), size=8)
        total = np.log(probabilities)
        best = max(sum(total[s:e].sum(axis=0).max() - penalty for s, e in cut) for cut in every_cut(8, least))
        found = divide_frames(probabilities, penalty=penalty, min_length=least)
        assert [p.start for p in found[1:]] == [p.end for p in found[:-1]] and (found[0].start, found[-1].end) == (0, 8)
        assert all(p.end - p.start >= least for p in found)
        assert all(one.label != other.label for one, other in itertools.pairwise(found))
        # Neighbours of one class, which a least length can make, are merged afterwards: that saves penalties.
        assert worth(found, probabilities, penalty) >= best - 1e-9
        for piece in found:
            assert piece.score == pytest.approx(probabilities[piece.start : piece.end, piece.label].mean())


@pytest.mark.parametrize("least", [1, 3])
def test_a_piece_costs_what_its_first_frame_says(least: int) -> None:
    for seed in range(8):
        rng = np.random.default_rng(seed)
        probabilities, costs = rng.dirichlet(np.ones(3), size=8), rng.uniform(0, 3, size=8)
        total = np.log(probabilities)
        best = max(sum(total[s:e].sum(axis=0).max() - costs[s] for s, e in cut) for cut in every_cut(8, least))
        found = divide_frames(probabilities, penalty=costs, min_length=least)
        value = sum(float(total[p.start : p.end, p.label].sum()) - costs[p.start] for p in found)
        assert value >= best - 1e-9
    with pytest.raises(SettingError):
        divide_frames(probabilities, penalty=-costs, min_length=1)


def test_a_penalty_of_its_worth_closes_a_piece() -> None:
    """Three frames, in which another class is e times as probable, are worth 3; going there and back costs two penalties."""
    one = 1 / (1 + np.e)
    probabilities = np.full((20, 2), [1 - one, one])
    probabilities[8:11] = [one, 1 - one]
    assert [p.label for p in divide_frames(probabilities, penalty=1.4, min_length=1)] == [0, 1, 0]
    assert [p.label for p in divide_frames(probabilities, penalty=1.6, min_length=1)] == [0]
    assert [(p.start, p.end) for p in divide_frames(probabilities, penalty=1.4, min_length=3)] == [(0, 8), (8, 11), (11, 20)]
    assert [p.label for p in divide_frames(probabilities, penalty=1.4, min_length=6)] == [0]


def test_a_recording_shorter_than_the_least_length_is_one_piece() -> None:
    assert divide_frames(np.array([[0.4, 0.6]] * 3), penalty=0, min_length=10) == [Piece(0, 3, 1, pytest.approx(0.6))]


@pytest.mark.parametrize("penalty", [0.0, 0.5, 3.0])
def test_cut_whole_is_the_best_of_all_cuts(penalty: float) -> None:
    windows = np.array([(s, e) for s in range(8) for e in range(s + 1, 9) if e - s <= 5])
    for seed in range(8):
        probabilities = np.random.default_rng(seed).dirichlet(np.ones(3), size=len(windows))
        at = {(int(s), int(e)): row.max() for (s, e), row in zip(windows, probabilities, strict=True)}
        cuts = [cut for cut in every_cut(8, 1) if all(piece in at for piece in cut)]
        values = [sum((e - s) * np.log(at[s, e]) - penalty for s, e in cut) for cut in cuts]
        best = cuts[int(np.argmax(values))]
        number = {(int(s), int(e)): place for place, (s, e) in enumerate(windows)}
        expected = merge_neighbours([Piece(s, e, int(probabilities[number[s, e]].argmax()), float(at[s, e])) for s, e in best])
        order = np.random.default_rng(seed).permutation(len(windows))
        assert divide_windows(windows[order], probabilities[order], penalty=penalty) == expected


def test_windows_that_leave_a_hole_are_refused() -> None:
    with pytest.raises(SettingError):
        divide_windows(np.array([(0, 3), (4, 8)]), np.full((2, 2), 0.5), penalty=0)


def test_neighbours_of_one_class_become_one() -> None:
    pieces = [Piece(0, 2, 1, 0.9), Piece(2, 8, 1, 0.5), Piece(8, 9, 0, 0.4), Piece(10, 11, 0, 0.4)]
    assert merge_neighbours(pieces) == [Piece(0, 8, 1, pytest.approx(0.6)), Piece(8, 9, 0, 0.4), Piece(10, 11, 0, 0.4)]


@pytest.mark.parametrize(("penalty", "least"), [(-1.0, 1), (float("nan"), 1), (0.0, 0)])
def test_settings_that_make_no_sense_are_refused(penalty: float, least: int) -> None:
    with pytest.raises(SettingError):
        divide_frames(np.full((4, 2), 0.5), penalty=penalty, min_length=least)
