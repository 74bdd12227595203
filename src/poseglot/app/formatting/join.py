"""What `poseglot join` prints."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from poseglot.data.join import ALL, set_names
from poseglot.data.store import PackedStore
from poseglot.safe_text import shown


def joined_text(store: PackedStore, path: Path) -> str:
    """Return a line for each set, and the whole."""
    sets, sides = store.clips["setup"], {side: store.subset_mask(ALL, side) for side in ("train", "test")}
    lines = []
    for number, name in set_names(store).items():
        own = sets == number
        labels = np.unique(store.clips["label"][own])
        counts = ", ".join(f"{int((mask & own).sum()):,} {side}" for side, mask in sides.items())
        lines.append(f"{name}: {counts}; {len(labels)} classes; {store.info.source['sets'][name]['joints']}")
    shared = sum(len(np.unique(sets[store.clips["label"] == label])) > 1 for label in range(len(store.classes)))
    lines.append(f"{path}: {len(store):,} clips of {len(store.classes)} classes, {shared} of them in more than one set")
    return shown("\n".join(lines))
