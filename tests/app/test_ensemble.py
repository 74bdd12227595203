"""`poseglot ensemble` on scores made by hand: what it prints with fixed, given and searched weights, and what it refuses."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.evaluation.scores import SavedScores, load_scores, save_scores

Command = Callable[..., Any]
CLASSES = ("sit", "stand", "wave")
MODALITIES = ("joint", "bone_motion")


def write(folder: Path, modality: str, *, subset: str = "test", first: int = 0, clips: int = 30, better: float = 1.0) -> Path:
    """A run's scores of clips numbered from `first`: the label stands out by `better` from noise of its own."""
    generator = np.random.default_rng(sum(map(ord, folder.name)))
    labels = np.arange(first, first + clips) % 3
    logits = generator.normal(size=(clips, 3)) + better * np.eye(3)[labels]
    names = tuple(f"clip{number}" for number in range(first, first + clips))
    save_scores(SavedScores(names, labels, logits, CLASSES, modality, "demo", "cross-person", subset), folder / "scores.npz")
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """A run of each stream on the test set; motion is the better one, unlike what the fixed weights say."""
    return [write(tmp_path / modality, modality, better=0.5 + place) for place, modality in enumerate(MODALITIES)]


@pytest.fixture
def folds(tmp_path: Path) -> list[Path]:
    """Three folds of each stream, on clips of the training set."""
    return [
        write(
            tmp_path / f"{modality}-{fold}",
            modality,
            subset=f"fold {fold}/3",
            first=1000 + 20 * fold,
            clips=20,
            better=0.5 + place,
        )
        for place, modality in enumerate(MODALITIES)
        for fold in (1, 2, 3)
    ]


def correct(folders: Sequence[Path], weights: Sequence[float]) -> int:
    """Clips that the fused runs have right, one by one."""
    loaded = [load_scores(folder / "scores.npz") for folder in folders]
    right = 0
    for clip, label in enumerate(loaded[0].labels):
        fused = [sum(w * float(one.logits[clip, c]) for w, one in zip(weights, loaded, strict=True)) for c in range(3)]
        right += fused.index(max(fused)) == label
    return right


def correct_there(folds: Sequence[Path], weights: Sequence[float]) -> int:
    return sum(correct([folds[fold], folds[fold + 3]], weights) for fold in range(3))


def test_by_default_the_weights_are_fixed(poseglot: Command, runs: list[Path]) -> None:
    said = poseglot("ensemble", *runs)
    assert said.status == 0, said.error
    *members, fused = said.out.splitlines()
    assert fused.startswith(f"  fused (fixed: those of GAP's authors for each modality)  {correct(runs, (0.8, 0.2))}/30 = ")
    for line, folder, weights in zip(members, runs, ((1, 0), (0, 1)), strict=True):
        assert f"{correct(runs, weights)}/30" in line
        assert line.endswith(f"  {folder}")


def test_weights_are_searched_on_the_folds_and_used_on_the_test_side(
    poseglot: Command, runs: list[Path], folds: list[Path]
) -> None:
    said = poseglot("ensemble", *runs, "--search", *folds)
    assert said.status == 0, said.error
    grid = [(share / 10, (10 - share) / 10) for share in range(11)]
    most = max(correct_there(folds, weights) for weights in grid)
    joint, motion, where, found, fixed = said.out.splitlines()
    weights = tuple(float(line.split("weight ")[1].split()[0]) for line in (joint, motion))
    assert weights in grid
    assert weights[1] > weights[0]
    assert correct_there(folds, weights) == most
    assert f"found on 60 held-out training clips ({most}/60 = " in where
    assert f"fused there, {correct_there(folds, (0.8, 0.2))}/60 = " in where
    assert where.endswith("with the fixed weights there); the test set was not used")
    assert found.startswith(f"  fused (found by --search)  {correct(runs, weights)}/30 = ")
    assert fixed.startswith(f"  fused (fixed: those of GAP's authors for each modality)  {correct(runs, (0.8, 0.2))}/30 = ")


def test_what_the_test_side_says_does_not_change_the_weights(poseglot: Command, runs: list[Path], folds: list[Path]) -> None:
    def first_lines() -> list[str]:
        said = poseglot("ensemble", *runs, "--search", *folds)
        return [line.split("weight ")[1].split()[0] for line in said.out.splitlines()[:2]] + said.out.splitlines()[2:3]

    before = first_lines()
    for folder in runs:
        scores = load_scores(folder / "scores.npz")
        save_scores(replace(scores, logits=-scores.logits[::-1]), folder / "scores.npz")
    assert first_lines() == before
    # The order in which the folds are given does not matter either.
    folds.reverse()
    assert first_lines() == before


def test_several_seeds_are_more_samples(poseglot: Command, runs: list[Path], folds: list[Path], tmp_path: Path) -> None:
    seconds = []
    for folder in folds:
        scores = load_scores(folder / "scores.npz")
        again = tmp_path / f"{folder.name}-again"
        save_scores(replace(scores, logits=scores.logits[:, ::-1]), again / "scores.npz")
        seconds.append(again)
    said = poseglot("ensemble", *runs, "--search", *folds, *seconds)
    assert said.status == 0, said.error
    most = max(
        correct_there(folds, weights) + correct_there(seconds, weights)
        for weights in itertools.product([share / 10 for share in range(11)], repeat=2)
        if round(10 * sum(weights)) == 10
    )
    assert f"found on 60 held-out training clips, by 2 runs each ({most}/120 = " in said.out


def test_runs_of_a_fold_are_fused_and_called_that(poseglot: Command, folds: list[Path]) -> None:
    said = poseglot("ensemble", folds[1], folds[4])
    assert said.status == 0, said.error
    last = said.out.splitlines()[-1]
    assert last.startswith("  fused on fold 2/3 of the training set (fixed: those of GAP's authors for each modality)  ")
    assert f"  {correct([folds[1], folds[4]], (0.8, 0.2))}/20 = " in last
    given = poseglot("ensemble", folds[1], folds[4], "--weights", "1", "0").out.splitlines()[-1]
    assert given.startswith("  fused on fold 2/3 of the training set (given by --weights)  ")


def test_what_a_search_refuses(poseglot: Command, runs: list[Path], folds: list[Path], tmp_path: Path) -> None:
    def refused(*arguments: object) -> str:
        said = poseglot("ensemble", *arguments)
        assert (said.status, said.out) == (1, "")
        assert said.error.startswith("poseglot: ")
        return str(said.error)

    message = refused(*runs, "--search", *runs)
    assert f"{runs[0]} was evaluated on subset 'test': train each modality with --data.folds 5 --data.fold 1" in message
    assert "lacks folds: bone_motion 3/3" in refused(*runs, "--search", *folds[:-1])
    assert "are among those that the ensemble is evaluated on" in refused(folds[0], folds[3], "--search", *folds)
    twice = [runs[0], write(tmp_path / "another", "joint"), runs[1]]
    assert "two of the runs to fuse are of modality joint" in refused(*twice, "--search", *folds)
    assert "poseglot evaluate" in refused(*runs, "--search", *folds[:-1], tmp_path / "absent")
    other = replace(load_scores(runs[1] / "scores.npz"), classes=("sit", "stand", "bow"))
    save_scores(other, runs[1] / "scores.npz")
    assert "not evaluated on the same clips" in refused(*runs, "--search", *folds)


def test_weights_are_either_given_or_searched(poseglot: Command, runs: list[Path], folds: list[Path]) -> None:
    said = poseglot("ensemble", *runs, "--weights", "1", "1", "--search", *folds)
    assert said.status == 2
    assert "not allowed with" in said.error


def test_a_stream_without_a_fixed_weight(poseglot: Command, runs: list[Path]) -> None:
    scores = load_scores(runs[1] / "scores.npz")
    save_scores(replace(scores, modality="velocity"), runs[1] / "scores.npz")
    said = poseglot("ensemble", *runs)
    assert said.status == 1
    assert "no fixed weight for modality 'velocity'" in said.error
    assert poseglot("ensemble", *runs, "--weights", "1", "1").status == 0
