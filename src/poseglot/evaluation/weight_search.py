"""Weights of an ensemble, found without a look at its test set.

Every stream is trained once per fold of the training set (`--data.folds 5 --data.fold 1`, then 2, ...), each time without the clips
of that fold. What these runs say of the clips they never saw, put together, are out-of-fold logits of the whole training set
("stacking", Wolpert 1992). The weights that fuse these best are then used, unchanged, on the test set.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from poseglot.errors import PoseglotError
from poseglot.evaluation.ensemble import fuse
from poseglot.evaluation.metrics import Accuracy, Labels, Scores, top_k
from poseglot.evaluation.scores import SavedScores, what_differs

STEPS = 10  # weights are tenths
_HOW = "train each stream with --data.folds 5 --data.fold 1, then 2, ... up to 5, and evaluate these runs"

# The runs of a stream's fold (several if there are several seeds), each with its name.
_Folds = Mapping[tuple[str, int], Sequence[tuple[str, SavedScores]]]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Out-of-fold logits of several streams.

    Attributes:
        clips: how many different ones. runs: of each fold and stream; every clip is there so many times.
        labels: (runs x clips,). logits: (streams, runs x clips, classes).
    """

    clips: int
    runs: int
    labels: Labels
    logits: Scores


def held_out(fused: Sequence[SavedScores], names: Sequence[str], loaded: Sequence[SavedScores]) -> HeldOut:
    """Put together what runs of folds say of the clips they did not learn from.

    Several runs of one fold and stream (seeds) are more samples and are not averaged: single runs are what will be fused, and the
    mean of several is better and smoother than one. The first of each stream are fused with each other, then the second, ...

    Args:
        fused: the runs that need weights, one of each stream; the order of the result's streams is theirs.
        names: of the fold runs, for messages. loaded: their scores, in any order.

    Raises:
        PoseglotError: something is missing, comes twice or does not fit, or clips are among those of `fused`; the message names it.
    """
    modalities = [scores.modality for scores in fused]
    if twice := _first_repeated(modalities):
        raise PoseglotError(
            f"two of the runs to fuse are of stream {twice}; --search finds one weight for each stream, so give one run of each."
        )
    if twice := _first_repeated(names):
        raise PoseglotError(f"--search has {twice} twice; give every run once.")
    _check_origin(fused[0], names, loaded)
    folds, total = _by_fold(modalities, names, loaded)
    _check_same_clips(folds, modalities, total)
    numbers = range(1, total + 1)
    clips = [clip for fold in numbers for clip in folds[modalities[0], fold][0][1].names]
    if repeated := _first_repeated(clips):
        raise PoseglotError(
            f"clip {repeated} is in more than one fold of --search; all runs must be of one division into folds."
        )
    if seen := set(clips) & set(fused[0].names):
        raise PoseglotError(
            f"{len(seen)} clips of --search, {min(seen)} for one, are among those that the ensemble is evaluated on; weights found on them "
            f"would be chosen by the answer. Fuse runs on the test set."
        )
    runs = len(folds[modalities[0], 1])
    of = {modality: [folds[modality, fold][run][1] for run in range(runs) for fold in numbers] for modality in modalities}
    return HeldOut(
        clips=len(clips),
        runs=runs,
        labels=np.concatenate([scores.labels for scores in of[modalities[0]]]),
        logits=np.stack([np.concatenate([scores.logits for scores in of[modality]]) for modality in modalities]).astype(
            np.float64
        ),
    )


def find_weights(held: HeldOut) -> tuple[list[float], Accuracy]:
    """The weights (tenths that sum to 1, in the order of the streams) that have the most clips right, and how many.

    Of equals the one with the lowest cross-entropy of the fused logits, of these the first in the order of `simplex`.
    """
    best: tuple[tuple[int, float], list[float], Accuracy] | None = None
    for tenths in simplex(len(held.logits)):
        weights = [share / STEPS for share in tenths]
        logits = fuse(held.logits, weights)
        count = top_k(logits, held.labels, 1)
        if best is not None and count.correct < best[2].correct:
            continue  # the cross-entropy, which takes longer, is not needed
        key = (-count.correct, cross_entropy(logits, held.labels))
        if best is None or key < best[0]:
            best = key, weights, count
    assert best is not None
    return best[1], best[2]


def simplex(parts: int, steps: int = STEPS) -> Iterator[tuple[int, ...]]:
    """All ways to give `steps` equal shares to `parts` parts, in lexicographic order."""
    if parts == 1:
        yield (steps,)
        return
    for share in range(steps + 1):
        for rest in simplex(parts - 1, steps - share):
            yield share, *rest


def cross_entropy(logits: Scores, labels: Labels) -> float:
    """The mean of -log softmax(logits)[label]."""
    highest = logits.max(axis=1)
    log_sum = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
    return float((log_sum - logits[np.arange(len(labels)), labels]).mean())


def _check_origin(tested: SavedScores, names: Sequence[str], loaded: Sequence[SavedScores]) -> None:
    for name, scores in zip(names, loaded, strict=True):
        _fold(name, scores)
        if (scores.dataset, scores.split, scores.classes) != (tested.dataset, tested.split, tested.classes):
            raise PoseglotError(
                f"{name} is of {scores.dataset}/{scores.split} with {len(scores.classes)} classes, the runs to fuse are of "
                f"{tested.dataset}/{tested.split} with {len(tested.classes)}; --search takes folds of the same split's training set."
            )


def _by_fold(modalities: Sequence[str], names: Sequence[str], loaded: Sequence[SavedScores]) -> tuple[_Folds, int]:
    """Fold runs by stream and fold, and the number of folds; every stream has the same number of runs of every fold."""
    folds: dict[tuple[str, int], list[tuple[str, SavedScores]]] = {}
    totals = {}
    for name, scores in zip(names, loaded, strict=True):
        if scores.modality not in modalities:
            raise PoseglotError(
                f"--search has {name} of stream {scores.modality}, but the runs to fuse are of {', '.join(modalities)}; leave it out, or fuse "
                "a run of that stream too."
            )
        fold, total = _fold(name, scores)
        totals[total] = name
        folds.setdefault((scores.modality, fold), []).append((name, scores))
    if len(totals) > 1:
        each = ", ".join(f"{name} of {total}" for total, name in sorted(totals.items()))
        raise PoseglotError(f"the runs of --search are of different numbers of folds: {each}; all must be of one division.")
    wanted = [(modality, fold) for modality in modalities for fold in range(1, total + 1)]
    if missing := [f"{modality} {fold}/{total}" for modality, fold in wanted if (modality, fold) not in folds]:
        raise PoseglotError(
            f"--search lacks folds: {', '.join(missing)}. Every stream needs every fold: train it with "
            f"--data.folds {total} and these folds (--data.fold), and evaluate it."
        )
    if len({len(runs) for runs in folds.values()}) > 1:
        most = max(map(len, folds.values()))
        fewer = [f"{modality} {fold}/{total} has {len(runs)}" for (modality, fold), runs in folds.items() if len(runs) < most]
        raise PoseglotError(f"--search has up to {most} runs (seeds) of a fold, but {', '.join(fewer)}; give as many of each.")
    return folds, total


def _check_same_clips(folds: _Folds, modalities: Sequence[str], total: int) -> None:
    for fold in range(1, total + 1):
        first_name, first = folds[modalities[0], fold][0]
        for modality in modalities:
            for name, scores in folds[modality, fold]:
                if said := what_differs(first, scores):
                    raise PoseglotError(
                        f"{first_name} and {name} are both fold {fold}/{total}, but not of the same clips: {said}. Train and evaluate them "
                        "on the same store."
                    )


def _fold(name: str, scores: SavedScores) -> tuple[int, int]:
    """Which fold of how many."""
    match = re.fullmatch(r"fold (\d+)/(\d+)", scores.subset)
    if not match:
        raise PoseglotError(
            f"--search takes runs of folds of the training set, but {name} was evaluated on side {scores.subset!r}: {_HOW}."
        )
    return int(match[1]), int(match[2])


def _first_repeated(items: Sequence[str]) -> str:
    return next((item for item, times in Counter(items).items() if times > 1), "")
