"""Layouts: what the V joints of a skeleton are, as a table by joint name.

A layout is a YAML file (`skeletons/layouts/*.yaml`, or a user's own): joints in their order, bones as child: parent, mirror
pairs, the centre joint, and the six body parts. The coarser partitions of the paper's figure 3 are unions of those six,
so a layout states each joint's part once. A store and a recognizer outlive a user's file, so they carry its whole table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
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
            twice = sorted(joint for joint, count in Counter(self.joints).items() if count > 1)
            problems.append(f"a joint name appears twice: {', '.join(twice)}")
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
        in_parts = Counter(joint for joints in self.parts.values() for joint in joints)
        for missed, where in (
            ([joint for joint in self.joints if not in_parts[joint]], "in none"),
            ([joint for joint in self.joints if in_parts[joint] > 1], "more than once"),
        ):
            if missed:
                problems.append(f"every joint must be in exactly one part, found {where}: {', '.join(missed)}")
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

    def taking(self, joints: Sequence[str], *, name: str) -> Layout:
        """The same body with some of its joints, or with all of them in another order: whose files begin with the head.

        A joint whose parent is not taken hangs on the nearest ancestor that is; where there is none, on the first joint without one.

        Raises:
            PoseglotError: a joint that is not there, or the centre is not taken.
        """
        unknown = [joint for joint in joints if joint not in self.index]
        if unknown or self.centre not in joints:
            wrong = f"has no joint {', '.join(unknown)}" if unknown else f"needs its centre, {self.centre}"
            raise PoseglotError(f"layout {self.name} {wrong}; its joints are {', '.join(self.joints)}.")
        bones, roots = {}, []
        for joint in joints:
            parent = self.bones.get(joint)
            while parent is not None and parent not in joints:
                parent = self.bones.get(parent)
            if parent is None:
                roots.append(joint)
            else:
                bones[joint] = parent
        bones |= dict.fromkeys(roots[1:], roots[0])
        return Layout(
            name=name,
            joints=tuple(joints),
            bones=bones,
            mirror={left: right for left, right in self.mirror.items() if left in joints and right in joints},
            centre=self.centre,
            parts={part: tuple(joint for joint in there if joint in joints) for part, there in self.parts.items()},
        )

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
        source: a packaged name, a path ending in .yaml or .yml, or a table as `Layout.described` gives it. A file may not have the name
            of a packaged layout and be another; a table that was written down may, because those that hold one do not go by its name.

    Raises:
        PoseglotError: no such layout, or what is there is not one (the message says what is wrong with it).
    """
    if isinstance(source, Mapping):
        return _layout_from_table(source, "the layout table")
    layout = _layout_from_yaml(packaged_yaml("poseglot.skeletons", "layouts", source, kind="layout"), source)
    packaged = _packaged_layout(layout.name)
    if packaged and packaged.name == layout.name and packaged != layout:
        raise PoseglotError(
            f"{source} is named {layout.name}, as a packaged layout is, but differs from it. Give it a name of its own, or take the "
            f"packaged one: {layout.name}."
        )
    return layout


def as_layout(given: Layout | str | PathLike[str]) -> Layout:
    """A layout, or the one of that name or path (`load_layout`)."""
    return given if isinstance(given, Layout) else load_layout(str(given))


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
    """The layout of a table of any content; first its form is looked at, then what it says."""
    problems, whole = _problems_of_form(table)
    if whole:
        try:
            layout = Layout(
                name=str(table["name"]),
                joints=_names(table["joints"]),
                bones=_pairs(table["bones"]),
                mirror=_pairs(table.get("mirror") or {}),
                centre=str(table["centre"]),
                parts={str(part): _names(joints) for part, joints in table["parts"].items()},
            )
        except PoseglotError as error:
            if not problems:
                raise
            problems.append(str(error).removesuffix("."))
        else:
            if not problems:
                return layout
    raise PoseglotError(f"{origin} is not a layout: {'; '.join(problems)}. {_FORM}")


_FORM = (
    "A layout has name, joints (list), bones (child: parent), mirror (left: right), centre and parts (head, hand, arm, hip, leg, foot: "
    "lists of joints)."
)
_KEYS = ("name", "joints", "bones", "mirror", "centre", "parts")


def _problems_of_form(table: Any) -> tuple[list[str], bool]:
    """What is wrong with a table before one asks what its joints are, and whether one may ask."""
    if not isinstance(table, Mapping):
        return [f"it holds {_kind(table)}, not a table"], False
    missing = [key for key in _KEYS if key not in table and key != "mirror"]
    unknown = [str(key) for key in table if key not in _KEYS]
    problems = [f"missing: {', '.join(missing)}"] if missing else []
    for key in ("name", "centre"):
        if key in table and not _is_word(table[key]):
            problems.append(f"{key} must be one word, found {_kind(table[key])}")
    if "joints" in table and not _is_list_of_words(table["joints"]):
        problems.append(f"joints must be a list of names, found {_kind(table['joints'])}")
    for key in ("bones", "mirror"):
        pairs = table.get(key, {})
        if not ((_is_table(pairs) and all(map(_is_word, (*pairs, *pairs.values())))) or (key == "mirror" and pairs is None)):
            problems.append(f"{key} must be a table of pairs of joints, found {_kind(pairs)}")
    parts = table.get("parts", {})
    if not _is_table(parts):
        problems.append(f"parts must be a table of lists of joints, found {_kind(parts)}")
    else:
        problems += [
            f"the part {part} must be a list of joints, found {_kind(joints)}"
            for part, joints in parts.items()
            if not _is_list_of_words(joints)
        ]
    whole = not problems
    return problems + ([f"unknown: {', '.join(unknown)}"] if unknown else []), whole


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_word(value: Any) -> bool:
    """Whatever YAML makes of a word: it reads some (1, no) as other things than text."""
    return value is not None and not isinstance(value, (Mapping, list, tuple, set))


def _is_list_of_words(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(map(_is_word, value))


def _kind(value: Any) -> str:
    """What a value is, for a message."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a table" if all(map(_is_word, value.values())) else "a table of more than words"
    if isinstance(value, (list, tuple, set)):
        return "a list" if all(map(_is_word, value)) else "a list of more than words"
    return f"{str(value)[:40]!r}"


def _names(listed: Any) -> tuple[str, ...]:
    """Joint names as text; JSON would tell 1 and "1" apart."""
    return tuple(map(str, listed))


def _pairs(table: Any) -> dict[str, str]:
    return {str(one): str(other) for one, other in table.items()}
