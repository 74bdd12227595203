"""Weights found on folds: what is put together, what is refused, and the search against brute force."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from poseglot.errors import InputError
from poseglot.evaluation.calibration import negative_log_likelihood
from poseglot.evaluation.scores import SavedScores
from poseglot.evaluation.weight_search import OutOfFold, find_weights, simplex, stack_folds

MODALITIES = ("joint", "bone", "joint_motion")
FOLDS = 3
Named = dict[str, SavedScores]


def scores(modality: str, clips: Sequence[str], *, subset: str = "test", seed: int = 0) -> SavedScores:
    """Logits that name their clip, stream and seed."""
    numbers = np.array([int(clip.removeprefix("clip")) for clip in clips])
    logits = np.zeros((len(clips), 4))
    logits[:, 0], logits[:, 1], logits[:, 2] = numbers, MODALITIES.index(modality), seed
    return SavedScores(
        names=tuple(clips),
        labels=numbers % 4,
        logits=logits.astype(np.float32),
        classes=("a", "b", "c", "d"),
        modality=modality,
        dataset="demo",
        split="cross-person",
        subset=subset,
    )


def clip_names(first: int, count: int) -> list[str]:
    return [f"clip{number}" for number in range(first, first + count)]


def fold_runs(modalities: Sequence[str] = MODALITIES, seeds: int = 1) -> Named:
    """Runs `bone-2` or `bone-2-s1`: fold f of three has f + 1 clips, numbered from 10 f."""
    return {
        f"{modality}-{fold}-s{seed}": scores(
            modality, clip_names(10 * fold, fold + 1), subset=f"fold {fold}/{FOLDS}", seed=seed
        )
        for seed in range(seeds)
        for modality in modalities
        for fold in range(1, FOLDS + 1)
    }


def on_test_side(modalities: Sequence[str] = MODALITIES) -> list[SavedScores]:
    return [scores(modality, clip_names(100, 5)) for modality in modalities]


def put_together(fused: Sequence[SavedScores], runs: Named) -> OutOfFold:
    return stack_folds(fused, list(runs.items()))


def refusal(fused: Sequence[SavedScores], runs: Named) -> str:
    with pytest.raises(InputError) as caught:
        put_together(fused, runs)
    return str(caught.value)


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("mixed", [False, True])
def test_every_clip_is_there_once_per_seed_and_rows_belong_together(seeds: int, mixed: bool) -> None:
    # Clips in the order of folds, streams in the order of what is fused; the order of the fold runs does not matter.
    runs = fold_runs(seeds=seeds)
    if mixed:
        runs = dict(sorted(runs.items(), key=lambda item: item[0][::-1]))  # by seed, then fold, then stream
    fused = on_test_side(("bone", "joint_motion", "joint"))
    held = put_together(fused, runs)
    expected = [10, 11, 20, 21, 22, 30, 31, 32, 33]
    assert (held.clips, held.runs) == (9, seeds)
    assert held.labels.tolist() == [clip % 4 for clip in expected] * seeds
    assert held.logits.shape == (3, 9 * seeds, 4)
    for place, modality in enumerate(("bone", "joint_motion", "joint")):
        assert held.logits[place, :, 0].tolist() == expected * seeds
        assert held.logits[place, :, 1].tolist() == [MODALITIES.index(modality)] * 9 * seeds
        assert held.logits[place, :, 2].tolist() == [seed for seed in range(seeds) for _ in range(9)]


def test_runs_on_the_test_side_are_no_folds() -> None:
    message = refusal(on_test_side(), fold_runs() | {"runs/joint": on_test_side()[0]})
    assert "runs/joint was evaluated on subset 'test'" in message
    assert "--search takes runs of folds" in message
    assert "--data.folds 5 --data.fold 1" in message


def test_clips_that_are_evaluated_are_not_searched_on() -> None:
    fused = [scores(modality, ["clip200", "clip21", "clip22"]) for modality in MODALITIES]
    assert "2 clips of --search (clip21, ...)" in refusal(fused, fold_runs())
    # Folds are of the training set; fusing runs of a fold is the same fault.
    runs = fold_runs()
    assert "2 clips of --search" in refusal([runs[f"{modality}-1-s0"] for modality in MODALITIES], runs)


def test_every_stream_and_fold_is_needed() -> None:
    message = refusal(on_test_side(), fold_runs(("joint", "bone")))
    assert "lacks folds: joint_motion 1/3, joint_motion 2/3, joint_motion 3/3." in message
    runs = fold_runs()
    del runs["bone-2-s0"]
    assert "lacks folds: bone 2/3." in refusal(on_test_side(), runs)
    assert "bone-1-s0 of modality bone" in refusal(on_test_side(("joint", "joint_motion")), fold_runs())


def test_weights_go_by_stream() -> None:
    assert "two of the runs to fuse are of modality bone" in refusal(on_test_side(("bone", "joint", "bone")), fold_runs())


def test_seeds_must_be_as_many_everywhere() -> None:
    runs = fold_runs(seeds=2)
    del runs["bone-3-s1"]
    message = refusal(on_test_side(), runs)
    assert "up to 2 runs (seeds) of a fold, but bone 3/3 has 1;" in message


def test_a_run_counts_once() -> None:
    runs = fold_runs()
    names = [*runs, "joint-1-s0"]
    with pytest.raises(InputError, match="joint-1-s0 twice"):
        stack_folds(on_test_side(), [(name, runs[name]) for name in names])


def test_folds_of_another_kind_are_refused() -> None:
    runs = fold_runs()
    one = runs["bone-2-s0"]
    for said, other in {
        "different numbers of folds: joint_motion-3-s0 of 3, bone-2-s0 of 5": replace(one, subset="fold 2/5"),
        "bone-2-s0 is of demo/other": replace(one, split="other"),
        "bone-2-s0 is of nw-ucla/cross-person": replace(one, dataset="nw-ucla"),
        "--search takes folds of the same split": replace(one, classes=("a", "b", "c", "e")),
        "joint-2-s0 and bone-2-s0 are both fold 2/3, but not of the same clips: the clips are the same, but in another": replace(
            one, names=one.names[::-1]
        ),
        "the labels of 3 clips differ": replace(one, labels=(one.labels + 1) % 4),
    }.items():
        assert said in refusal(on_test_side(), runs | {"bone-2-s0": other})


def test_folds_of_two_divisions_are_refused() -> None:
    """Fold 2 of every stream holds a clip of fold 3: not the folds of one division."""
    runs = fold_runs()
    for modality in MODALITIES:
        runs[f"{modality}-2-s0"] = scores(modality, ["clip20", "clip31"], subset="fold 2/3")
    assert "clip31 is in more than one fold" in refusal(on_test_side(), runs)


# The search


@pytest.mark.parametrize("parts", [1, 2, 3, 4])
def test_the_grid_is_every_way_to_share_ten_tenths(parts: int) -> None:
    every = [shares for shares in itertools.product(range(11), repeat=parts) if sum(shares) == 10]
    assert list(simplex(parts)) == every
    assert len(every) == math.comb(9 + parts, parts - 1)


def plain_cross_entropy(logits: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> float:
    return sum(math.log(sum(math.exp(x - row[label]) for x in row)) for row, label in zip(logits, labels, strict=True)) / len(
        labels
    )


def test_cross_entropy_equals_the_formula() -> None:
    generator = np.random.default_rng(0)
    logits, labels = generator.normal(0, 3, (20, 5)), generator.integers(0, 5, 20)
    assert negative_log_likelihood(logits, labels) == pytest.approx(plain_cross_entropy(logits, labels), rel=1e-12)
    assert negative_log_likelihood(logits + 5000, labels) == pytest.approx(plain_cross_entropy(logits, labels), rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("modalities", [2, 3])
def test_the_search_equals_brute_force(modalities: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, 30)
    # Each stream knows something, one more than another.
    logits = generator.normal(0, 1, (modalities, 30, 3)) + (1 + np.arange(modalities))[:, None, None] * np.eye(3)[labels] / 2
    ranked = []
    for shares in itertools.product(range(11), repeat=modalities):
        if sum(shares) == 10:
            fused = sum(share / 10 * one for share, one in zip(shares, logits, strict=True))
            correct = sum(row.tolist().index(max(row)) == label for row, label in zip(fused, labels, strict=True))
            ranked.append((-correct, plain_cross_entropy(fused, labels), [share / 10 for share in shares]))
    best = min(ranked)
    weights, count = find_weights(OutOfFold(30, 1, labels, logits))
    assert weights == best[2]
    assert (count.correct, count.total) == (-best[0], 30)


def test_ties_are_broken_by_cross_entropy_and_then_by_order() -> None:
    labels = np.array([0, 1])
    sure, unsure = np.eye(2) * 4, np.eye(2)
    # Both have everything right, whatever their weights.
    assert find_weights(OutOfFold(2, 1, labels, np.stack([unsure, sure])))[0] == [0.0, 1.0]
    assert find_weights(OutOfFold(2, 1, labels, np.stack([sure, unsure])))[0] == [1.0, 0.0]
    # Streams that know nothing are equal with any weights: the first of the grid stays.
    assert find_weights(OutOfFold(2, 1, labels, np.stack([np.zeros((2, 2))] * 3)))[0] == [0.0, 0.0, 1.0]


def test_accuracy_comes_before_cross_entropy() -> None:
    labels = np.zeros(10, dtype=np.int64)
    modest = np.tile([0.1, 0.0], (10, 1))  # all right, hardly
    bold = np.tile([9.0, 0.0], (10, 1))  # nine right and sure, one wrong by a little
    bold[0] = [0.0, 0.02]
    weights, count = find_weights(OutOfFold(10, 1, labels, np.stack([modest, bold])))
    assert negative_log_likelihood(bold, labels) < negative_log_likelihood(modest, labels)
    assert count.correct == 10
    # 0.1 w > 0.02 (1 - w) from w = 1/6 on; of these, the boldest.
    assert weights == [0.2, 0.8]
