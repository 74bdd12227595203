"""Overlap: clips of a test set that a run was trained on, whichever store, split or name they come from."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from poseglot.data.adapt import is_joined
from poseglot.data.store import Indices, PackedStore
from poseglot.errors import PoseglotError
from poseglot.training.run import Run
from poseglot.training.subsets import names_hash, subsets


def clips_in_training(
    run: Run, store: PackedStore, indices: Indices, *, assumed: Indices | None = None
) -> npt.NDArray[np.bool_] | None:
    """Tell which clips have the joints of a clip that a run was trained on, and warn of them.

    Args:
        run: The run.
        store: Any store, as it was prepared: joints that were mapped to another layout are equal to nothing.
        indices: The N clips in question.
        assumed: The clips of `store` that a run without a recipe is assumed to have learned from.

    Returns:
        (N,) bool. None, with a warning that says why, if it cannot be told.
    """
    trained, learned = store, assumed
    if run.has_recipe:
        try:
            trained = run.store
            learned = subsets(run.data(), trained)[0]
        except PoseglotError as error:
            _warn_unchecked(run, store, f"its training clips cannot be read: {error}")
            return None
        warn_of_other_clips(run, names_hash(trained, learned))
    if learned is None:
        _warn_unchecked(run, store, "the run has no recipe that names its training clips.")
        return None
    if unlike := _unlike(store, trained):
        _warn_unchecked(run, store, f"they have {unlike}.")
        return None
    # A store of half precision is the other one rounded.
    dtype = min(store.joints.dtype, trained.joints.dtype, key=lambda each: each.itemsize)
    with np.errstate(over="ignore"):
        found = np.isin(store.content_hashes(indices, dtype), trained.content_hashes(learned, dtype))
    if found.any():
        warnings.warn(f"{found.sum():,} of {len(found):,} evaluated clips are training clips of {run.folder}.", stacklevel=3)
    named = np.isin(store.clips["name"][indices], trained.clips["name"][learned]) & ~found
    if store.info.name == trained.info.name and named.any():
        warnings.warn(
            f"{named.sum():,} of {len(found):,} evaluated clips have the names of training clips of {run.folder} and other joints. If the "
            "store was prepared in another way from the same recordings, they are no test.",
            stacklevel=3,
        )
    return found


def warn_of_other_clips(run: Run, now: str) -> None:
    """Warn if the training set has changed since the run was trained.

    Args:
        now: The hash of the names of the training clips as they are now.
    """
    if run.files.trained_on() not in (None, now):
        warnings.warn(
            f"{run.folder} was trained on other clips than the training set of {run.data().store} has now, so clips may be evaluated that "
            "it was trained on.",
            stacklevel=3,
        )


def _unlike(store: PackedStore, trained: PackedStore) -> str:
    """Return why clips of two stores cannot be compared number by number; empty if they can."""
    if store.layout.joints != trained.layout.joints:
        return f"the joints of {store.layout.name}, and the training clips those of {trained.layout.name}"
    if store.joints.shape[-1] != trained.joints.shape[-1] or store.info.has_scores != trained.info.has_scores:
        return "other numbers per joint than the training clips"
    if is_joined(store) != is_joined(trained):
        return "other coordinates than the training clips: only one of the two stores was made by `poseglot join`"
    return ""


def _warn_unchecked(run: Run, store: PackedStore, reason: str) -> None:
    warnings.warn(
        f"whether clips of {store.info.name} are training clips of {run.folder} could not be checked: {reason}", stacklevel=4
    )
