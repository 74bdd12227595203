"""Join stores: data sets of any sensor become one store of the common body, from which one recognizer learns.

    join_stores([Part(open_store("nw-ucla")), Part(open_store("utd-mhad"), class_map={"stand to sit": "sit down"})], "joined")

Classes of the same name are one class. Each set keeps its training and its test side; people of different sets are different people. The
column `setup` of the joined table is the set's number, from 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from poseglot.data.adapt import JOINED, LEFT_OUT, is_joined, joint_mapping, mapped_classes, read_class_map
from poseglot.data.benchmarks import Benchmark, SplitRule
from poseglot.data.store import Indices, PackedStore, write_store
from poseglot.data.tracking import most_moving
from poseglot.errors import InputError
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.common_body import COMMON_BODY, map_to_common_body
from poseglot.skeletons.layout import load_layout

PIPELINE = "body"
ALL = JOINED
WITHOUT = "without-"


@dataclass(frozen=True)
class Part:
    """A store to be joined.

    Attributes:
        store: The store.
        split: Which of its splits says the training and the test clips; by default the first.
        class_map: Label of the store -> class of the joined store, or `-` to leave its clips out. Other labels keep their name.
    """

    store: PackedStore
    split: str = ""
    class_map: Mapping[str, str] | None = None

    def classes(self) -> tuple[str, ...]:
        """Return the class of each label of the store.

        Raises:
            InputError: The map names a label that the store does not have.
        """
        return mapped_classes(self.store, self.class_map)


def join_stores(
    parts: Sequence[Part], out: str | Path, *, name: str = "", num_persons: int = 1, overwrite: bool = False
) -> PackedStore:
    """Write the clips of some stores into one store of the common body.

    Its split `joined` has the training and the test sides of all sets. `without-NAME`, where there are others, trains on the training
    sides of the others and tests on that set's test side.

    Args:
        parts: The stores, of different names; one alone becomes the common body.
        out: The folder of the new store.
        name: The name of the joined set; by default that of the folder.
        num_persons: Of more people in a clip, those who move most are taken.
        overwrite: Whether a store at `out` is replaced.

    Raises:
        InputError: There is no store, two have one name, a layout has too few joints, or a map does not fit.
        NotFoundError: A store has no such split.
        FileError: `out` is taken, or the disk refused.
    """
    names = [part.store.info.name for part in parts]
    if not parts or len(set(names)) < len(names):
        raise InputError(f"joining takes stores of different names; {', '.join(names) or 'none'} came.")
    classes = tuple(dict.fromkeys(label for part in parts for label in part.classes() if label != LEFT_OUT))
    if len(classes) < 2:
        raise InputError("the joined store would have fewer than two classes; change the maps of classes.")
    sides = {part.store.info.name: _sides(part) for part in parts}
    benchmark = Benchmark(
        name=name or Path(out).name, layout=COMMON_BODY, pipeline=PIPELINE, classes=classes, splits=_splits(sides), expected={}
    )
    source = {"format": JOINED, "sets": {part.store.info.name: _about(part, number) for number, part in enumerate(parts, 1)}}
    return write_store(
        out,
        _clips(parts, classes, num_persons),
        benchmark=benchmark,
        layout=load_layout(COMMON_BODY),
        source=source,
        overwrite=overwrite,
    )


def packaged_class_map(vocabulary: str, name: str) -> dict[str, str]:
    """Return how a vocabulary's recipe names the classes of a data set; empty if it does not know the set."""
    with resources.as_file(resources.files("poseglot") / "recipes" / vocabulary / f"{name}.txt") as file:
        return read_class_map(file) if file.is_file() else {}


def set_names(store: PackedStore) -> dict[int, str]:
    """Return the sets of a joined store: number in the column `setup` -> name; empty for a store that was not joined."""
    sets = store.info.source.get("sets") if is_joined(store) else None
    return {int(about["number"]): name for name, about in sets.items()} if isinstance(sets, Mapping) else {}


def _about(part: Part, number: int) -> dict[str, Any]:
    store = part.store
    return {
        "number": number,
        "layout": store.layout.name,
        "split": _split(part),
        "clips": len(_kept(part)),
        "joints": map_to_common_body(store.layout).report(),
    }


def _split(part: Part) -> str:
    return part.split or next(iter(part.store.info.splits))


def _kept(part: Part) -> Indices:
    """Return the clips whose classes are joined."""
    known = np.array([label != LEFT_OUT for label in part.classes()] + [False])
    return np.flatnonzero(known[part.store.clips["label"]])


def _sides(part: Part) -> dict[str, list[str]]:
    """Return the joined names of a set's training and test clips."""
    kept, store = np.zeros(len(part.store), dtype=bool), part.store
    kept[_kept(part)] = True
    return {
        side: [_name(store, int(index)) for index in np.flatnonzero(store.subset_mask(_split(part), side) & kept)]
        for side in ("train", "test")
    }


def _splits(sides: Mapping[str, Mapping[str, list[str]]]) -> dict[str, SplitRule]:
    """Return all sets together, and each without one of them."""

    def names(side: str, without: str = "") -> list[str]:
        return [name for own, parts in sides.items() if own != without for name in parts[side]]

    joined: dict[str, SplitRule] = {ALL: {side: {"name": names(side)} for side in ("train", "test")}}
    if len(sides) == 1:
        return joined
    return joined | {
        f"{WITHOUT}{own}": {"train": {"name": names("train", own)}, "test": {"name": list(sides[own]["test"])}} for own in sides
    }


def _name(store: PackedStore, index: int) -> str:
    return f"{store.info.name}/{store.clips['name'][index]}"


def _clips(parts: Sequence[Part], classes: Sequence[str], num_persons: int) -> Iterator[Clip]:
    people_so_far = 0
    for number, part in enumerate(parts, 1):
        store, labels = part.store, part.classes()
        kept = _kept(part)
        mapped = joint_mapping(store, load_layout(COMMON_BODY), kept) if len(kept) else None
        for index in kept:
            clip = store[int(index)]
            joints = most_moving(clip.joints, num_persons)
            joints = joints if mapped is None else mapped(joints)
            yield Clip(
                joints,
                name=_name(store, int(index)),
                label=classes.index(labels[clip.label]),
                subject=clip.subject + people_so_far if clip.subject > 0 else 0,
                camera=clip.camera,
                setup=number,
            )
        people_so_far += max(0, int(store.clips["subject"].max()))
