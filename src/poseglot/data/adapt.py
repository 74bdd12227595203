"""A store as a recognizer of another data set sees it: its joints mapped by name, its labels by a map of classes.

So a recognizer is tested on somebody else's recordings: of another sensor, other people, other names for the same actions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from poseglot.data.benchmarks import SplitRule
from poseglot.data.store import Indices, PackedStore
from poseglot.data.tracking import most_moving
from poseglot.errors import FileError, InputError
from poseglot.files import decode_text
from poseglot.skeletons.clip import Joints, evenly_spaced
from poseglot.skeletons.common_body import common_axes, is_common_body, map_to_common_body, to_common_body
from poseglot.skeletons.layout import Layout
from poseglot.skeletons.mapping import map_layout

LEFT_OUT = "-"
EVERYTHING = "all clips"
# The format of stores that were joined.
JOINED = "joined"
# Clips that tell which way a set's axes point.
_AXES_CLIPS = 200


@dataclass(frozen=True)
class AdaptedStore:
    """A store with the classes, joints and people of a recognizer.

    Attributes:
        store: In memory; only clips of the recognizer's classes.
        indices: The index of each of its clips in the store that was adapted.
        notes: What was mapped and left out, in sentences.
    """

    store: PackedStore
    indices: Indices
    notes: tuple[str, ...]


def read_class_map(path: str | Path) -> dict[str, str]:
    """Read a map of classes: lines `label in the store: class of the recognizer`, or `label: -` to leave its clips out.

    Raises:
        FileError: The file cannot be read, or a line is not of this form.
    """
    try:
        lines = decode_text(Path(path).read_bytes(), str(path)).splitlines()
    except OSError as error:
        raise FileError(f"could not read the map of classes {path}: {error.strerror}.") from error
    pairs = {}
    for place, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        label, colon, name = (part.strip() for part in line.partition(":"))
        if not (colon and label and name):
            raise FileError(f"{path}, line {place}: {line.strip()!r}; expected `label in the store: class of the recognizer`.")
        if label in pairs:
            raise FileError(f"{path}, line {place}: {label!r} is there twice.")
        pairs[label] = name
    return pairs


def mapped_classes(store: PackedStore, class_map: Mapping[str, str] | None) -> tuple[str, ...]:
    """Return what a map of classes makes of each label of a store; labels that are not in it keep their name.

    Raises:
        InputError: The map names a label that the store does not have.
    """
    given = class_map or {}
    if unknown := [label for label in given if label not in store.classes]:
        raise InputError(f"the map of classes names {', '.join(unknown)}, which {store.info.name} does not have.")
    return tuple(given.get(label, label) for label in store.classes)


def is_joined(store: PackedStore) -> bool:
    """Tell whether a store was made by `data.join`, so that its clips are in the form of the common body."""
    return store.info.source.get("format") == JOINED


def adapt_store(
    store: PackedStore,
    *,
    classes: Sequence[str],
    layout: Layout,
    num_persons: int,
    class_map: Mapping[str, str] | None = None,
) -> AdaptedStore:
    """Return a store as a recognizer's own.

    Args:
        store: A store of any classes and joints.
        classes: The recognizer's.
        layout: The recognizer's.
        num_persons: Of more people in a clip, those who move most are taken.
        class_map: Label of the store -> class of the recognizer, or `-` to leave its clips out. Labels that are not in it keep their
            name.

    Raises:
        InputError: A label is no class of the recognizer, the map names what is not there, or a joint cannot be made.
    """
    names = mapped_classes(store, class_map)
    lacking = [
        label if name == label else f"{label} (as {name})"
        for label, name in zip(store.classes, names, strict=True)
        if name not in classes and name != LEFT_OUT
    ]
    if lacking:
        raise InputError(
            f"the recognizer does not know {len(lacking)} of the {len(names)} classes of {store.info.name}: "
            f"{', '.join(lacking[:8])}{', ...' if len(lacking) > 8 else ''}. It knows {', '.join(classes)}. "
            "Give --class-map FILE with lines `label: class`, or `label: -` to leave its clips out."
        )
    numbers = np.array([classes.index(name) if name in classes else -1 for name in names] + [-1])
    kept = np.flatnonzero(numbers[store.clips["label"]] >= 0)
    if not len(kept):
        raise InputError(f"no clip of {store.info.name} is of a class that the recognizer knows.")
    mapping = joint_mapping(store, layout, kept)
    table, rows, offset, chosen = store.clips[kept].copy(), [], 0, 0
    for place, index in enumerate(kept):
        joints = store[int(index)].joints
        chosen += len(joints) > num_persons
        joints = most_moving(joints, num_persons)
        joints = joints if mapping is None else mapping(joints)
        rows.append(joints.reshape(-1, *joints.shape[2:]))
        table[place]["offset"], table[place]["num_persons"] = offset, len(joints)
        table[place]["label"] = numbers[table[place]["label"]]
        offset += len(rows[-1])
    everything: dict[str, SplitRule] = {EVERYTHING: {"train": {"name": []}, "test": {}}}
    info = replace(store.info, layout=layout.described(), classes=tuple(classes), splits={**everything, **store.info.splits})
    info = replace(info, has_scores=False) if mapping is not None and is_common_body(layout) else info
    notes = []
    if len(kept) < len(store):
        notes.append(f"{len(store) - len(kept):,} of {len(store):,} clips are of classes that are left out")
    if mapping is not None:
        notes.append(f"joints of {store.layout.name} were mapped to {layout.name} by name")
    if chosen:
        notes.append(f"of {chosen:,} clips with more people the {num_persons} who move most were taken")
    return AdaptedStore(PackedStore(info, table, np.concatenate(rows)), kept, tuple(notes))


def joint_mapping(store: PackedStore, layout: Layout, indices: Indices) -> Callable[[Joints], Joints] | None:
    """Return the function that gives a store's clips the joints of a layout; None if they have them.

    Clips become the common body as a set: some of `indices` tell which of its axes points up.

    Raises:
        InputError: A joint cannot be made.
    """
    has_scores = store.info.has_scores
    if store.layout.joints == layout.joints and (is_joined(store) or not is_common_body(layout)):
        return None
    if not is_common_body(layout):
        return partial(map_layout(store.layout, layout).apply, has_scores=has_scores)
    mapping = map_to_common_body(store.layout)
    sampled = indices[evenly_spaced(len(indices), _AXES_CLIPS)]
    axes = common_axes([store[int(index)].joints for index in sampled], mapping, has_scores=has_scores)
    return partial(to_common_body, mapping=mapping, has_scores=has_scores, axes=axes)
