"""What looks mistaken or too little in somebody's own set as a whole: units and scores, which no single clip gives away, and sides.

Said as notes, after preparation and before training: the set may be right all the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from poseglot.data.quality.statistics import typical_body
from poseglot.data.store import PackedStore

# A person's box in metres, corner to corner; a child that crouches, a man with raised arms.
_SMALLEST, _LARGEST = 0.3, 4.0
# Coordinates that reach further apart than this are no metres around a person, and no shares of a picture.
_PIXELS = 20.0
# Sides smaller than this are worth a word: clips to learn from of a class, and clips to look at.
_FEW_TO_LEARN, _FEW_TO_LOOK_AT = 5, 100
_UNEVEN = 4  # times as many clips of one class as of another
_NAMED = 5


def check_set(store: PackedStore, *, sample: int = 2000) -> list[str]:
    """Notes about a store, each a sentence or two; from at most `sample` of its frames, evenly over it."""
    rows = np.asarray(store.joints[np.unique(np.linspace(0, len(store.joints) - 1, sample).astype(int))], dtype=np.float32)
    last = rows[..., -1]
    found = []
    if store.info.has_scores and (last.min() < 0 or last.max() > 1):
        found.append(
            f"the scores reach from {last.min():.4g} to {last.max():.4g}, and a confidence lies between 0 and 1. If the last number of a "
            "joint is a coordinate, prepare again without --scored."
        )
    if (
        not store.info.has_scores
        and rows.shape[-1] == 3
        and last.min() >= 0
        and last.max() <= 1
        and np.ptp(rows[..., :2]) > _PIXELS
    ):
        found.append(
            "the third number of every joint lies between 0 and 1, beside coordinates that are far larger. If it is the confidence in the "
            "joint, prepare again with --scored."
        )
    body = typical_body(store)
    if store.info.pipeline == "metric" and not _SMALLEST <= body <= _LARGEST:
        found.append(
            f"a person measures {body:,.4g} units from corner to corner, and the protocol metric feeds them as they are. In metres it "
            "would be about 2: convert millimetres or centimetres, and prepare again."
        )
    return found


def check_subsets(
    store: PackedStore, train: npt.NDArray[np.int64], test: npt.NDArray[np.int64], *, balanced: bool = False
) -> list[str]:
    """Notes about the clips to learn from and those to look at (places in the store's table), each a sentence or two.

    Args:
        balanced: whether every class will weigh the same, so that uneven ones need no word.
    """
    classes = store.info.classes
    learned, looked_at = (np.bincount(store.clips["label"][places], minlength=len(classes)) for places in (train, test))
    found = []
    unseen = np.flatnonzero((learned == 0) & (looked_at > 0))
    if len(unseen):
        found.append(
            f"{_classes(classes, unseen)} no clip to learn from: the {looked_at[unseen].sum():,} test clips of it can only be answered "
            "wrong. Choose other people for testing, or leave the class out."
        )
    empty = np.flatnonzero(learned + looked_at == 0)
    if len(empty):
        found.append(f"{_classes(classes, empty)} no clip at all.")
    few = np.flatnonzero((learned > 0) & (learned < _FEW_TO_LEARN))
    if len(few):
        found.append(
            f"{_classes(classes, few)} fewer than {_FEW_TO_LEARN} clips to learn from; what is learned of so few is luck."
        )
    untested = np.flatnonzero((learned > 0) & (looked_at == 0))
    if len(untested):
        found.append(f"{_classes(classes, untested)} no test clip: nothing will be known of how well they are recognised.")
    if (learned > 0).sum() == 1:
        found.append("there is one class to learn; a recognizer needs at least two.")
    there = learned[learned > 0]
    if not balanced and len(there) and there.max() >= _UNEVEN * there.min():
        found.append(
            f"the classes have from {there.min():,} to {there.max():,} clips to learn from; `loss.balanced: true` lets every class weigh "
            "the same."
        )
    if 0 < len(test) < _FEW_TO_LOOK_AT:
        wide = 100 * 1.96 * math.sqrt(0.1 * 0.9 / len(test))
        found.append(
            f"{len(test)} test clips tell an accuracy of 90 % to within {wide:.0f} points or so. Every clip can be a test clip once: "
            "--data.folds 5 --data.fold 1 ... 5 (of the training set)."
        )
    people = [{int(subject) for subject in store.clips["subject"][places]} - {0} for places in (train, test)]
    both = people[0] & people[1]
    # Where the sides are other cameras or setups, as in the field's cross-view splits, that is meant.
    apart = any(not np.intersect1d(store.clips[field][train], store.clips[field][test]).size for field in ("camera", "setup"))
    if both and not apart:
        found.append(
            f"{len(both)} of {len(people[0] | people[1])} people are on both sides: the accuracy is that for people who are known, not "
            "for new ones."
        )
    return found


def _classes(classes: Sequence[str], places: npt.NDArray[np.int64]) -> str:
    """`2 classes (jog, walk) have`."""
    names = ", ".join(classes[place] for place in places[:_NAMED]) + (", ..." if len(places) > _NAMED else "")
    return f"{len(places)} {'class' if len(places) == 1 else 'classes'} ({names}) {'has' if len(places) == 1 else 'have'}"
