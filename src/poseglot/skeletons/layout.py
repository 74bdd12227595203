"""Layouts: what the V joints of a skeleton are, as a table by joint name.

A layout is a YAML file (`skeletons/layouts/*.yaml`, or a user's own): joints in their order, bones as child: parent, mirror
pairs, the centre joint, and the six body parts. The coarser partitions of the paper's figure 3 are unions of those six,
so a layout states each joint's part once. A store and a recognizer outlive a user's file, so they carry its whole table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from poseglot.errors import PoseglotError
from poseglot.packaged import packaged_yaml

# The part, and the alignment level, that is the whole body.
GLOBAL = "global"
PARTS = ("head", "hand", "arm", "hip", "leg", "foot")

# Figure 3 of the paper: each part of a partition, and which of the six it is made of (it is described by their sentences).
PARTITIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "none": {},
    "global": {GLOBAL: PARTS},
    "two": {"upper": ("head", "hand", "arm"), "lower": ("hip", "leg", "foot")},
    "four": {"head": ("head",), "hand": ("hand", "arm"), "hip": ("hip",), "foot": ("leg", "foot")},
    "six": {part: (part,) for part in PARTS},
}


@dataclass(frozen=True)
class Layout:
    """The joint table of a kind of skeleton.

    Attributes:
        name: `kinect20`, `ntu25`, or a user's own.
        joints: the V joint names, in the order of the arrays.
        bones: child -> parent; exactly one joint, the root, has no parent.
        mirror: left -> right.
        centre: the joint that the feeding protocols subtract.
        parts: each of `PARTS` -> its joints; every joint is in exactly one. A part may have none (a body that ends at the waist), but
            then it is in no partition that sets it apart.

    Raises:
        PoseglotError: the table contradicts itself; the message names every contradiction.
    """

    name: str
    joints: tuple[str, ...]
    bones: Mapping[str, str]
    mirror: Mapping[str, str]
    centre: str
    parts: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        known = set(self.joints)
        problems = []
        if len(known) != len(self.joints):
            problems.append("a joint name appears twice")
        named = {
            "bones": {*self.bones, *self.bones.values()},
            "mirror": {*self.mirror, *self.mirror.values()},
            "centre": {self.centre},
            "parts": {joint for joints in self.parts.values() for joint in joints},
        }
        for where, names in named.items():
            if names - known:
                problems.append(f"{where} names unknown joints {sorted(names - known)}")
        roots = [joint for joint in self.joints if joint not in self.bones]
        if len(roots) != 1:
            problems.append(f"exactly one joint must have no parent, found {roots}")
        if set(self.parts) != set(PARTS):
            problems.append(f"parts must be {list(PARTS)}, found {sorted(self.parts)}")
        in_parts = sorted(joint for joints in self.parts.values() for joint in joints)
        if in_parts != sorted(self.joints):
            problems.append("every joint must be in exactly one part")
        if set(self.mirror) & set(self.mirror.values()):
            problems.append("mirror must name each pair once, left: right")
        for joint in self.joints:
            seen = {joint}
            while joint in self.bones and self.bones[joint] not in seen:
                joint = self.bones[joint]
                seen.add(joint)
            if joint in self.bones:
                problems.append(f"the bones run in a circle through {joint}")
                break
        if problems:
            raise PoseglotError(f"layout {self.name}: {'; '.join(problems)}.")

    def __len__(self) -> int:
        return len(self.joints)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Joint name -> its place along V."""
        return {joint: place for place, joint in enumerate(self.joints)}

    @cached_property
    def bone_pairs(self) -> tuple[tuple[int, int], ...]:
        """(child, parent) as places along V, ordered by child."""
        return tuple((self.index[c], self.index[self.bones[c]]) for c in self.joints if c in self.bones)

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """The parent's place of every joint; the root is its own parent."""
        pairs = dict(self.bone_pairs)
        return tuple(pairs.get(place, place) for place in range(len(self)))

    @property
    def centre_index(self) -> int:
        return self.index[self.centre]

    def table(self) -> dict[str, Any]:
        """All of it as plain dicts and lists, from which `load_layout` makes it again."""
        return {
            "name": self.name,
            "joints": list(self.joints),
            "bones": dict(self.bones),
            "mirror": dict(self.mirror),
            "centre": self.centre,
            "parts": {part: list(joints) for part, joints in self.parts.items()},
        }

    def described(self) -> str | dict[str, Any]:
        """What to write down of it: its name if it is exactly a packaged layout, else the whole table."""
        return self.name if _packaged_layout(self.name) == self else self.table()

    def partition(self, name: str) -> dict[str, tuple[int, ...]]:
        """The parts of a partition (`none`, `global`, `two`, `four`, `six`) -> places along V, ascending.

        Raises:
            PoseglotError: no such partition, or a part of it has no joints in this layout.
        """
        if name not in PARTITIONS:
            raise PoseglotError(f"unknown partition {name!r}; there are {', '.join(PARTITIONS)}.")
        parts = {
            part: tuple(sorted(self.index[joint] for piece in pieces for joint in self.parts[piece]))
            for part, pieces in PARTITIONS[name].items()
        }
        empty = [part for part, places in parts.items() if not places]
        if empty:
            raise PoseglotError(
                f"layout {self.name} has no joints for {', '.join(empty)} of the partition {name!r}. Take a coarser partition, or give "
                "every part a joint (where a skeleton ends at the wrists and ankles, they serve as hands and feet)."
            )
        return parts


def load_layout(source: str | Mapping[str, Any]) -> Layout:
    """A packaged layout by name, or a user's own.

    Args:
        source: a packaged name, a path ending in .yaml, or a table as `Layout.described` gives it.

    Raises:
        PoseglotError: no such layout, or what is there is not one (the message says what is wrong with it).
    """
    if isinstance(source, Mapping):
        return _layout_from_table(source, "the layout table")
    return _layout_from_yaml(packaged_yaml("poseglot.skeletons", "layouts", source, kind="layout"), source)


def _packaged_layout(name: str) -> Layout | None:
    try:
        return _layout_from_yaml(packaged_yaml("poseglot.skeletons", "layouts", name, kind="layout", own=False), name)
    except (PoseglotError, OSError, ValueError):  # no such layout; a name that can be no file's
        return None


def _layout_from_yaml(text: str, origin: str) -> Layout:
    try:
        return _layout_from_table(yaml.safe_load(text), origin)
    except yaml.YAMLError as error:
        raise PoseglotError(f"{origin} is not a layout: it is not YAML: {error}. {_FORM}") from error


def _layout_from_table(table: Any, origin: str) -> Layout:
    try:
        return Layout(
            name=str(table["name"]),
            joints=_names(table["joints"]),
            bones=_pairs(table["bones"]),
            mirror=_pairs(table.get("mirror") or {}),
            centre=str(table["centre"]),
            parts={str(part): _names(joints) for part, joints in table["parts"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PoseglotError(f"{origin} is not a layout: {type(error).__name__}: {error}. {_FORM}") from error


_FORM = (
    "A layout has name, joints (list), bones (child: parent), mirror (left: right), centre and parts (head, hand, arm, hip, leg, foot: "
    "lists of joints)."
)


def _names(listed: Any) -> tuple[str, ...]:
    """Joint names; YAML reads some (1, no) as other things than text, and JSON would tell them apart."""
    if not isinstance(listed, (list, tuple)):
        raise TypeError(f"a list of joints is needed, not {listed!r}")
    return tuple(map(str, listed))


def _pairs(table: Any) -> dict[str, str]:
    return {str(one): str(other) for one, other in dict(table).items()}
