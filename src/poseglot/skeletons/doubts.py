"""What looks mistaken in somebody's own set as a whole: units and scores, which no single clip gives away.

Said once after preparation, as notes: the set may be right all the same.
"""

from __future__ import annotations

import numpy as np

from poseglot.skeletons.measures import typical_body
from poseglot.skeletons.store import PackedStore

# A person's box in metres, corner to corner; a child that crouches, a man with raised arms.
_SMALLEST, _LARGEST = 0.3, 4.0
# Coordinates that reach further apart than this are no metres around a person, and no shares of a picture.
_PIXELS = 20.0


def doubts(store: PackedStore, *, sample: int = 2000) -> list[str]:
    """Notes about a store, each a sentence or two; from at most `sample` of its frames, evenly over it."""
    rows = np.asarray(store.joints[np.unique(np.linspace(0, len(store.joints) - 1, sample).astype(int))], dtype=np.float32)
    last = rows[..., -1]
    found = []
    if store.info.scored and (last.min() < 0 or last.max() > 1):
        found.append(
            f"the scores reach from {last.min():.4g} to {last.max():.4g}, and a confidence lies between 0 and 1. If the last number of a "
            "joint is a coordinate, prepare again without --scored."
        )
    if (
        not store.info.scored
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
    if store.info.protocol == "metric" and not _SMALLEST <= body <= _LARGEST:
        found.append(
            f"a person measures {body:,.4g} units from corner to corner, and the protocol metric feeds them as they are. In metres it "
            "would be about 2: convert millimetres or centimetres, and prepare again."
        )
    return found
