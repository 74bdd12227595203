"""Layouts: a table of the V joints of a kind of skeleton, by joint name.

A layout is a YAML file (`skeletons/layouts/*.yaml`, or a user's own). It lists the joints in array order, bones as child: parent,
mirror pairs, the centre joint, and the six body parts. The coarser partitions of figure 3 of the paper are unions of those six, so a
layout names each joint's part once. Stores and recognizers outlive a user's file, so they hold the whole table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike, fspath
from typing import Any

from poseglot.errors import FileError, InputError, NotFoundError, PoseglotError
from poseglot.files import packaged_names, packaged_yaml
from poseglot.safe_yaml import parse_yaml

# The part, and the alignment level, of the whole body.
GLOBAL = "global"
PARTS = ("head", "hand", "arm", "hip", "leg", "foot")

# Figure 3 of the paper: the parts of each partition, and the union of the six that each one is. Descriptions are joined likewise.
PARTITIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "none": {},
    "global": {GLOBAL: PARTS},
    "two": {"upper": ("head", "hand", "arm"), "lower": ("hip", "leg", "foot")},
    "four": {"head": ("head",), "hand": ("hand", "arm"), "hip": ("hip",), "foot": ("leg", "foot")},
    "six": {part: (part,) for part in PARTS},
    # Ours: the limbs of each side apart, for actions that name a side.
    "sides": {
        "head": ("head",),
        "left_arm": ("hand", "arm"),
        "right_arm": ("hand", "arm"),
        "hip": ("hip",),
        "left_leg": ("leg", "foot"),
        "right_leg": ("leg", "foot"),
    },
}
# The parts that only that partition has.
SIDED = tuple(part for part in PARTITIONS["sides"] if part not in PARTS)


@dataclass(frozen=True)
class Layout:
    """The joint table of a kind of skeleton.

    Attributes:
        name: `kinect20`, `ntu25`, or a user's own.
        joints: The V joint names, in array order.
        bones: Child -> parent; exactly one joint, the root, has no parent.
        mirror: Left -> right.
        centre: The joint at which pipelines centre a clip.
        parts: Each of `PARTS` -> its joints; every joint is in exactly one. A part may be empty (a body that ends at the waist), but
            then partitions that use it alone are not available.

    Raises:
        InputError: The table contradicts itself. The message names every contradiction.
    """

    name: str
    joints: tuple[str, ...]
    bones: Mapping[str, str]
    mirror: Mapping[str, str]
    centre: str
    parts: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        if problems := _contradictions(self):
            raise InputError(f"layout {self.name}: {'; '.join(problems)}.")

    def __len__(self) -> int:
        return len(self.joints)

    def __repr__(self) -> str:
        return f"Layout({self.name!r}, {len(self)} joints)"

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Joint name -> its index along V."""
        return {joint: index for index, joint in enumerate(self.joints)}

    @cached_property
    def bone_pairs(self) -> tuple[tuple[int, int], ...]:
        """(child, parent) as indices along V, ordered by child."""
        return tuple((self.index[c], self.index[self.bones[c]]) for c in self.joints if c in self.bones)

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """The parent's index of every joint; the root is its own parent."""
        pairs = dict(self.bone_pairs)
        return tuple(pairs.get(index, index) for index in range(len(self)))

    @property
    def bones_are_known(self) -> bool:
        """Whether bones and parts mean something; not of joints that only have names (`readers.joint_names.named_layout`)."""
        return sum(bool(joints) for joints in self.parts.values()) > 1

    @property
    def centre_index(self) -> int:
        """The index of the centre joint along V."""
        return self.index[self.centre]

    def select(self, joints: Sequence[str], *, name: str) -> Layout:
        """Return the layout of some of the joints, or of all of them in another order.

        A joint whose parent is not selected gets its nearest selected ancestor as parent. Without one, it gets the first joint that
        has none either.

        Raises:
            NotFoundError: A joint is not in this layout.
            InputError: The centre is not selected.
        """
        if unknown := [joint for joint in joints if joint not in self.index]:
            raise NotFoundError(unknown[0], self.joints, kind=f"joint of layout {self.name}")
        if self.centre not in joints:
            raise InputError(f"a selection of the joints of layout {self.name} needs its centre, {self.centre}.")
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
            parts={part: tuple(joint for joint in members if joint in joints) for part, members in self.parts.items()},
        )

    def table(self) -> dict[str, Any]:
        """Return the layout as plain dicts and lists, which `load_layout` accepts."""
        return {
            "name": self.name,
            "joints": list(self.joints),
            "bones": dict(self.bones),
            "mirror": dict(self.mirror),
            "centre": self.centre,
            "parts": {part: list(joints) for part, joints in self.parts.items()},
        }

    def described(self) -> str | dict[str, Any]:
        """Return what to save of the layout: its name if it equals a packaged layout, else the whole table."""
        return self.name if _packaged_layout(self.name) == self else self.table()

    @property
    def finest_partition(self) -> str:
        """The partition with text of the most parts up to `four`, the paper's best, that this layout has joints for."""
        fitting = (
            name
            for name in ("four", "two", GLOBAL)
            if all(any(self.parts[piece] for piece in pieces) for pieces in PARTITIONS[name].values())
        )
        return next(fitting)

    def partition(self, name: str) -> dict[str, tuple[int, ...]]:
        """Map each part of a partition (one of `PARTITIONS`) to its indices along V, ascending.

        Raises:
            NotFoundError: There is no such partition.
            InputError: A part of it has no joints in this layout.
        """
        if name not in PARTITIONS:
            raise NotFoundError(name, PARTITIONS, kind="partition")
        parts = {
            part: tuple(
                sorted(self.index[joint] for piece in pieces for joint in self.parts[piece] if self._is_on_side(joint, part))
            )
            for part, pieces in PARTITIONS[name].items()
        }
        empty = [part for part, indices in parts.items() if not indices]
        if empty:
            raise InputError(
                f"layout {self.name} has no joints for {', '.join(empty)} of the partition {name!r}. Choose a coarser partition, or "
                "give every part a joint (where a skeleton ends at the wrists and ankles, they serve as hands and feet)."
            )
        return parts

    def _is_on_side(self, joint: str, part: str) -> bool:
        """Tell whether a joint is not on the other side of a part that has one."""
        other = {"left": tuple(self.mirror.values()), "right": tuple(self.mirror)}.get(part.partition("_")[0], ())
        return joint not in other


def _contradictions(layout: Layout) -> list[str]:
    """List everything by which a layout's table contradicts itself."""
    known = set(layout.joints)
    problems = []
    if len(known) != len(layout.joints):
        repeated = sorted(joint for joint, count in Counter(layout.joints).items() if count > 1)
        problems.append(f"a joint name appears twice: {', '.join(repeated)}")
    named = {
        "bones": {*layout.bones, *layout.bones.values()},
        "mirror": {*layout.mirror, *layout.mirror.values()},
        "centre": {layout.centre},
        "parts": {joint for joints in layout.parts.values() for joint in joints},
    }
    for where, names in named.items():
        if names - known:
            problems.append(f"{where} names unknown joints {sorted(names - known)}")
    roots = [joint for joint in layout.joints if joint not in layout.bones]
    if len(roots) != 1:
        problems.append(f"exactly one joint must have no parent, found {roots}")
    if set(layout.parts) != set(PARTS):
        problems.append(f"parts must be among {list(PARTS)}, found {sorted(layout.parts)}")
    in_parts = Counter(joint for joints in layout.parts.values() for joint in joints)
    for wrong, where in (
        ([joint for joint in layout.joints if not in_parts[joint]], "in none"),
        ([joint for joint in layout.joints if in_parts[joint] > 1], "more than once"),
    ):
        if wrong:
            problems.append(f"every joint must be in exactly one part, found {where}: {', '.join(wrong)}")
    if set(layout.mirror) & set(layout.mirror.values()):
        problems.append("mirror must name each pair once, left: right")
    for joint in layout.joints:
        seen = {joint}
        while joint in layout.bones and layout.bones[joint] not in seen:
            joint = layout.bones[joint]
            seen.add(joint)
        if joint in layout.bones:
            problems.append(f"the bones form a cycle through {joint}")
            break
    return problems


def list_layouts() -> list[str]:
    """Return the names of the packaged layouts."""
    return packaged_names("poseglot.skeletons", "layouts")


def load_layout(source: str | PathLike[str] | Mapping[str, Any]) -> Layout:
    """Return a packaged layout by name, or a user's own.

    Args:
        source: A packaged name, a path ending in .yaml or .yml, or a table as `Layout.described` gives it. A file that has the name of
            a packaged layout must equal it. A saved table need not, because what holds a table does not look it up by name.

    Raises:
        NotFoundError: There is no packaged layout of that name.
        FileError: The file cannot be read.
        InputError: It, or its content, is not a layout. The message says what is wrong with it.
    """
    if isinstance(source, Mapping):
        return _layout_from_table(source, "the layout table")
    if not isinstance(source, (str, PathLike)):
        raise InputError(f"{source!r} is not a layout; accepted are a packaged name, a path ending in .yaml, or a table.")
    name = fspath(source)
    layout = _layout_from_yaml(packaged_yaml("poseglot.skeletons", "layouts", name, kind="layout"), name)
    packaged = _packaged_layout(layout.name)
    if packaged and packaged.name == layout.name and packaged != layout:
        raise InputError(
            f"{name} is named {layout.name}, like a packaged layout, but differs from it. Give it a name of its own, or use the "
            f"packaged one: {layout.name}."
        )
    return layout


def as_layout(given: Layout | str | PathLike[str]) -> Layout:
    """Return a layout unchanged, or load the one of that name or path."""
    return given if isinstance(given, Layout) else load_layout(given)


def _packaged_layout(name: str) -> Layout | None:
    try:
        return _layout_from_yaml(packaged_yaml("poseglot.skeletons", "layouts", name, kind="layout", own=False), name)
    except (PoseglotError, OSError, ValueError):  # no such layout, or a name that no file can have
        return None


def _layout_from_yaml(text: str, origin: str) -> Layout:
    try:
        table = parse_yaml(text, origin)
    except FileError as error:
        raise InputError(f"{error} {_FORM}") from error
    return _layout_from_table(table, origin)


def _layout_from_table(table: Any, origin: str) -> Layout:
    """Return the layout of a table of any content. Its form is checked first, then its meaning."""
    problems, complete = _problems_of_form(table)
    if complete:
        try:
            layout = Layout(
                name=str(table["name"]),
                joints=_names(table["joints"]),
                bones=_pairs(table["bones"]),
                mirror=_pairs(table.get("mirror") or {}),
                centre=str(table["centre"]),
                parts=dict.fromkeys(PARTS, ()) | {str(part): _names(joints) for part, joints in table["parts"].items()},
            )
        except InputError as error:
            if not problems:
                raise
            problems.append(str(error).removesuffix("."))
        else:
            if not problems:
                return layout
    raise InputError(f"{origin} is not a layout: {'; '.join(problems)}. {_FORM}")


_FORM = (
    "A layout has name, joints (list), bones (child: parent), mirror (left: right), centre and parts (head, hand, arm, hip, leg, foot: "
    "lists of joints)."
)
_KEYS = ("name", "joints", "bones", "mirror", "centre", "parts")


def _problems_of_form(table: Any) -> tuple[list[str], bool]:
    """List what is wrong with the form of a table, and tell whether it is complete enough to check its joints."""
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
    complete = not problems
    return problems + ([f"unknown: {', '.join(unknown)}"] if unknown else []), complete


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_word(value: Any) -> bool:
    """Tell whether a value may be a name. YAML reads some names (1, no) as other types than text."""
    return value is not None and not isinstance(value, (Mapping, list, tuple, set))


def _is_list_of_words(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(map(_is_word, value))


def _kind(value: Any) -> str:
    """Describe a value for a message."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a table" if all(map(_is_word, value.values())) else "a table of more than words"
    if isinstance(value, (list, tuple, set)):
        return "a list" if all(map(_is_word, value)) else "a list of more than words"
    return f"{str(value)[:40]!r}"


def _names(listed: Any) -> tuple[str, ...]:
    """Return joint names as text, so that 1 and "1" are the same after a round trip through JSON."""
    return tuple(map(str, listed))


def _pairs(table: Any) -> dict[str, str]:
    return {str(one): str(other) for one, other in table.items()}
