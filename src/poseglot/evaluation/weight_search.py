"""A search for ensemble weights that does not use the test set.

Each modality is trained once per fold of the training set (`--data.folds 5 --data.fold 1`, then 2, ...), each time without the clips of
that fold. The logits of these runs on their held-out clips together are out-of-fold logits of the whole training set ("stacking",
Wolpert 1992). The weights that are best on them are then used, unchanged, on the test set.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from poseglot.errors import InputError
from poseglot.evaluation.calibration import negative_log_likelihood
from poseglot.evaluation.ensemble import Ensemble, fixed_weights, fuse
from poseglot.evaluation.metrics import Accuracy, Labels, Scores, top_k
from poseglot.evaluation.scores import SavedScores, difference_of

STEPS = 10  # weights are tenths
_HOW = "train each modality with --data.folds 5 --data.fold 1, then 2, ... up to 5, and evaluate these runs"

# (modality, fold) -> its runs, several if there are several seeds, each with its name.
_Folds = Mapping[tuple[str, int], Sequence[tuple[str, SavedScores]]]


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Out-of-fold logits of several modalities.

    Attributes:
        clips: The number of different clips.
        runs: The number of runs of each fold and modality; every clip occurs so many times.
        labels: (runs x clips,).
        logits: (modalities, runs x clips, classes).
    """

    clips: int
    runs: int
    labels: Labels
    logits: Scores


@dataclass(frozen=True)
class FoundWeights:
    """The result of a search.

    Attributes:
        weights: One for each modality.
        accuracy, fixed_accuracy: The accuracy on the out-of-fold clips with these weights, and with the fixed ones.
        clips, runs: See `OutOfFold`.
    """

    weights: tuple[float, ...]
    accuracy: Accuracy
    fixed_accuracy: Accuracy
    clips: int
    runs: int


def search_weights(ensemble: Ensemble, folds: Sequence[tuple[str, SavedScores]]) -> FoundWeights:
    """Find the weights of an ensemble on runs of folds of its training set.

    Args:
        ensemble: The runs that need weights, one of each modality.
        folds: The names and scores of the runs of folds, in any order.

    Raises:
        InputError: Runs of folds are missing, duplicate or do not fit, or their clips are among those of the ensemble.
    """
    members = list(ensemble.members.values())
    stacked = stack_folds(members, folds)
    weights, accuracy = find_weights(stacked)
    fixed = fixed_weights([scores.modality for scores in members])
    fixed_accuracy = top_k(fuse(stacked.logits, fixed), stacked.labels, 1)
    return FoundWeights(tuple(weights), accuracy, fixed_accuracy, stacked.clips, stacked.runs)


def stack_folds(members: Sequence[SavedScores], folds: Sequence[tuple[str, SavedScores]]) -> OutOfFold:
    """Join the scores of runs of folds on the clips that they held out.

    Several runs (seeds) of one fold and modality are further samples and are not averaged, because single runs will be fused. The first
    runs of all modalities are fused with each other, then the second, ...

    Args:
        members: The runs that need weights, one of each modality; the result has their order.
        folds: The names and scores of the runs of folds, in any order.

    Raises:
        InputError: Runs are missing, duplicate or do not fit, or their clips are among those of `members`.
    """
    modalities = [scores.modality for scores in members]
    if twice := _first_repeated(modalities):
        raise InputError(
            f"two of the runs to fuse are of modality {twice}; --search finds one weight for each, so give one run of each."
        )
    if twice := _first_repeated([name for name, _ in folds]):
        raise InputError(f"--search has {twice} twice; give every run once.")
    _check_origin(members[0], folds)
    by_fold, total = _by_fold(modalities, folds)
    _check_same_clips(by_fold, modalities, total)
    numbers = range(1, total + 1)
    clips = [clip for fold in numbers for clip in by_fold[modalities[0], fold][0][1].names]
    if repeated := _first_repeated(clips):
        raise InputError(f"clip {repeated} is in more than one fold of --search; all runs must be of one division into folds.")
    if seen := set(clips) & set(members[0].names):
        raise InputError(
            f"{len(seen)} clips of --search ({min(seen)}, ...) are among those that the ensemble is evaluated on, so the weights would be "
            "chosen on the answer. Fuse runs on the test set."
        )
    runs = len(by_fold[modalities[0], 1])
    of = {modality: [by_fold[modality, fold][run][1] for run in range(runs) for fold in numbers] for modality in modalities}
    logits = np.stack([np.concatenate([scores.logits for scores in of[modality]]) for modality in modalities])
    return OutOfFold(
        clips=len(clips),
        runs=runs,
        labels=np.concatenate([scores.labels for scores in of[modalities[0]]]),
        logits=logits.astype(np.float64),
    )


def find_weights(stacked: OutOfFold) -> tuple[list[float], Accuracy]:
    """Return the weights with the most correct clips, and their accuracy.

    Weights are tenths that sum to 1. Ties go to the lowest cross-entropy of the fused logits, then to the first in the order of `simplex`.
    """
    best: tuple[tuple[int, float], list[float], Accuracy] | None = None
    for tenths in simplex(len(stacked.logits)):
        weights = [share / STEPS for share in tenths]
        logits = fuse(stacked.logits, weights)
        accuracy = top_k(logits, stacked.labels, 1)
        if best is not None and accuracy.correct < best[2].correct:
            continue  # skip the cross-entropy, which takes longer
        key = (-accuracy.correct, negative_log_likelihood(logits, stacked.labels))
        if best is None or key < best[0]:
            best = key, weights, accuracy
    assert best is not None
    return best[1], best[2]


def simplex(parts: int, steps: int = STEPS) -> Iterator[tuple[int, ...]]:
    """Yield all tuples of `parts` whole numbers from 0 that sum to `steps`, in lexicographic order."""
    for bars in itertools.combinations(range(steps + parts - 1), parts - 1):
        yield tuple(end - start - 1 for start, end in itertools.pairwise((-1, *bars, steps + parts - 1)))


def _check_origin(tested: SavedScores, folds: Sequence[tuple[str, SavedScores]]) -> None:
    for name, scores in folds:
        _fold(name, scores)
        if (scores.dataset, scores.split, scores.classes) != (tested.dataset, tested.split, tested.classes):
            raise InputError(
                f"{name} is of {scores.dataset}/{scores.split} with {len(scores.classes)} classes, the runs to fuse are of "
                f"{tested.dataset}/{tested.split} with {len(tested.classes)}; --search takes folds of the same split's training set."
            )


def _by_fold(modalities: Sequence[str], loaded: Sequence[tuple[str, SavedScores]]) -> tuple[_Folds, int]:
    """Group runs by modality and fold, and count the folds; every group has the same number of runs."""
    folds: dict[tuple[str, int], list[tuple[str, SavedScores]]] = {}
    totals = {}
    for name, scores in loaded:
        if scores.modality not in modalities:
            raise InputError(
                f"--search has {name} of modality {scores.modality}, but the runs to fuse are of {', '.join(modalities)}. Leave it out, or "
                "fuse a run of that modality too."
            )
        fold, total = _fold(name, scores)
        totals[total] = name
        folds.setdefault((scores.modality, fold), []).append((name, scores))
    if len(totals) > 1:
        each = ", ".join(f"{name} of {total}" for total, name in sorted(totals.items()))
        raise InputError(f"the runs of --search are of different numbers of folds: {each}; all must be of one division.")
    wanted = [(modality, fold) for modality in modalities for fold in range(1, total + 1)]
    if missing := [f"{modality} {fold}/{total}" for modality, fold in wanted if (modality, fold) not in folds]:
        raise InputError(
            f"--search lacks folds: {', '.join(missing)}. Every modality needs every fold: train it with "
            f"--data.folds {total} and these folds (--data.fold), and evaluate it."
        )
    if len({len(runs) for runs in folds.values()}) > 1:
        most = max(map(len, folds.values()))
        fewer = [f"{modality} {fold}/{total} has {len(runs)}" for (modality, fold), runs in folds.items() if len(runs) < most]
        raise InputError(f"--search has up to {most} runs (seeds) of a fold, but {', '.join(fewer)}; give as many of each.")
    return folds, total


def _check_same_clips(folds: _Folds, modalities: Sequence[str], total: int) -> None:
    for fold in range(1, total + 1):
        first_name, first = folds[modalities[0], fold][0]
        for modality in modalities:
            for name, scores in folds[modality, fold]:
                if reason := difference_of(first, scores):
                    raise InputError(
                        f"{first_name} and {name} are both fold {fold}/{total}, but not of the same clips: {reason}. Train and evaluate "
                        "them on the same store."
                    )


def _fold(name: str, scores: SavedScores) -> tuple[int, int]:
    """Return the number of the fold and the number of folds."""
    match = re.fullmatch(r"fold (\d+)/(\d+)", scores.subset)
    if not match:
        raise InputError(
            f"--search takes runs of folds of the training set, but {name} was evaluated on subset {scores.subset!r}: {_HOW}."
        )
    return int(match[1]), int(match[2])


def _first_repeated(items: Sequence[str]) -> str:
    return next((item for item, times in Counter(items).items() if times > 1), "")
