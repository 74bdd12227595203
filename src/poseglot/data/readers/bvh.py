"""BVH, the motion capture format of Biovision: a skeleton and its joint angles, one file for a clip of one person.

Positions come from forward kinematics: a joint is where its parent's rotation carries its offset, or its own position channels if it has
them. They are in the units of the file (often centimetres). Any number of channels in any order is read, so that joints may have six. The
layout's joint names say which joints are taken, and in which order. Where two joints have one name, they are NAME and NAME_2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseglot.data.manifest import clip_joints
from poseglot.data.quality.issues import ClipError, Kind
from poseglot.data.readers.formats import ClipFile, ReadOptions, Recording, parse_float
from poseglot.safe_text import is_whole_number
from poseglot.skeletons.clip import Clip

_CHANNELS = {f"{axis}{what}": (what, index) for what in ("position", "rotation") for index, axis in enumerate("xyz")}
_END = "End Site"
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Node:
    """A joint of the hierarchy: the index of its parent (-1: none), its offset, and its channels in their order."""

    name: str
    parent: int
    offset: tuple[float, float, float]
    channels: tuple[str, ...]


def recognizes(file: ClipFile) -> bool:
    """Tell whether the file is BVH."""
    return file.ending == ".bvh"


def read(file: ClipFile, options: ReadOptions) -> Recording:
    """Read the joints of a file without the ends of the limbs, in its order.

    Raises:
        ClipError: There is no such file, or it is not BVH; the message names the line.
    """
    nodes, motion = _parse(file.text, file.origin)
    positions = _positions(nodes, motion)
    ends = [index for index, node in enumerate(nodes) if node.name == _END]
    wanted = options.layout.joints if options.layout is not None else ()
    # The end of a limb has no name of its own; a layout may take it as "End Site" of the last joint.
    kept = [index for index in range(len(nodes)) if index not in ends]
    names = _unique_names([nodes[index].name for index in kept])
    for index in ends:
        if f"{nodes[nodes[index].parent].name}_end" in wanted:
            kept.append(index)
            names.append(f"{nodes[nodes[index].parent].name}_end")
    joints = clip_joints(positions[None, :, kept], joint_count=None, origin=file.origin)
    return Recording(Clip(joints, name=file.path.stem), joint_names=tuple(names))


def _unique_names(names: list[str]) -> list[str]:
    counts: dict[str, int] = {}
    found = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        found.append(name if counts[name] == 1 else f"{name}_{counts[name]}")
    return found


class _Tokens:
    """The words of a text, with the line of each for messages."""

    def __init__(self, text: str, origin: str) -> None:
        self._words = [(word, number) for number, line in enumerate(text.splitlines(), start=1) for word in line.split()]
        self._next, self._origin = 0, origin

    def take(self, what: str) -> str:
        if self._next == len(self._words):
            raise ClipError("cut short", f"{self._origin}: the file ends before {what}. Fetch or export it again.")
        self._next += 1
        return self._words[self._next - 1][0]

    def expect(self, word: str) -> None:
        if (found := self.take(word)).lower() != word.lower():
            raise self.error(f"expected {word}, found {found[:40]!r}")

    def number(self, what: str) -> float:
        word = self.take(what)
        try:
            return parse_float(word)
        except ValueError:
            raise self.error(f"{what} {word[:40]!r} is not a number") from None

    def count(self, what: str) -> int:
        word = self.take(what)
        if not is_whole_number(word):
            raise self.error(f"{what} {word[:40]!r} is not a count")
        return int(word)

    def rest(self) -> list[tuple[str, int]]:
        return self._words[self._next :]

    def error(self, what: str) -> ClipError:
        line = self._words[self._next - 1][1]
        return ClipError("malformed", f"{self._origin}, line {line}: {what}; it is not a BVH file that can be read.")


def _parse(text: str, origin: str) -> tuple[list[_Node], Array]:
    """Return the joints, parents before children, and the motion (frames, channels)."""
    tokens = _Tokens(text, origin)
    tokens.expect("HIERARCHY")
    nodes: list[_Node] = []
    while (word := tokens.take("MOTION").upper()) != "MOTION":
        if word != "ROOT":
            raise tokens.error(f"expected ROOT or MOTION, found {word[:40]!r}")
        if nodes:
            raise tokens.error("a second ROOT; a file with several people is not read")
        _parse_body(tokens, nodes)
    tokens.expect("Frames:")
    frames = tokens.count("the number of frames")
    tokens.expect("Frame")
    tokens.expect("Time:")
    tokens.number("the time of a frame")
    words = tokens.rest()
    width = sum(len(node.channels) for node in nodes)
    if not nodes or not width or not frames:
        raise ClipError("empty", f"{origin}: it has {len(nodes)} joints, {width} channels and {frames} frames.")
    if len(words) != frames * width:
        kind: Kind = "cut short" if len(words) < frames * width else "malformed"
        raise ClipError(
            kind, f"{origin}: {len(words)} numbers of motion, but {frames} frames of {width} channels are {frames * width}."
        )
    try:
        motion = np.array([word for word, _ in words], dtype=np.float64)
    except ValueError:
        word, line = next((word, line) for word, line in words if not _is_number(word))
        raise ClipError("malformed", f"{origin}, line {line}: {word[:40]!r} is not a number.") from None
    return nodes, motion.reshape(frames, width)


def _parse_body(tokens: _Tokens, nodes: list[_Node]) -> None:
    """Read the joints from behind ROOT to its closing brace."""
    parents: list[int] = []
    name: str | None = tokens.take("the name of the root")
    while True:
        if name is not None:
            tokens.expect("{")
            tokens.expect("OFFSET")
            x, y, z = (tokens.number("the offset") for _ in range(3))
            channels: tuple[str, ...] = ()
            if name != _END:
                tokens.expect("CHANNELS")
                channels = tuple(tokens.take("the channels").lower() for _ in range(tokens.count("the number of channels")))
                if unknown := [channel for channel in channels if channel not in _CHANNELS]:
                    raise tokens.error(f"unknown channel {unknown[0][:40]!r}")
            nodes.append(_Node(name, parents[-1] if parents else -1, (x, y, z), channels))
            parents.append(len(nodes) - 1)
            name = None
        word = tokens.take("the end of the hierarchy")
        if word == "}":
            parents.pop()
            if not parents:
                return
        elif word.upper() == "JOINT":
            name = tokens.take("the name of a joint")
        elif word.lower() == "end":
            tokens.expect("Site")
            name = _END
        else:
            raise tokens.error(f"expected JOINT, End Site or }}, found {word[:40]!r}")


def _positions(nodes: list[_Node], motion: Array) -> Array:
    """Return where every joint is, (T, joints, 3)."""
    frames = len(motion)
    places = np.zeros((frames, len(nodes), 3))
    turns = np.zeros((len(nodes), frames, 3, 3))
    column = 0
    for index, node in enumerate(nodes):
        # Position channels replace the offset, as in Blender and in Motion Builder.
        local = np.tile(np.array(node.offset), (frames, 1))
        turn = np.tile(np.eye(3), (frames, 1, 1))
        for channel in node.channels:
            what, axis = _CHANNELS[channel]
            if what == "position":
                local[:, axis] = motion[:, column]
            else:
                turn = turn @ rotations(axis, np.radians(motion[:, column]))
            column += 1
        if node.parent < 0:
            places[:, index], turns[index] = local, turn
        else:
            places[:, index] = places[:, node.parent] + (turns[node.parent] @ local[:, :, None])[:, :, 0]
            turns[index] = turns[node.parent] @ turn
    return places


def rotations(axis: int, angles: Array) -> Array:
    """Return the matrices (n, 3, 3) that turn by angles in radians about x, y or z (0, 1, 2)."""
    one, two = (axis + 1) % 3, (axis + 2) % 3
    matrices = np.tile(np.eye(3), (len(angles), 1, 1))
    matrices[:, one, one] = matrices[:, two, two] = np.cos(angles)
    matrices[:, two, one] = np.sin(angles)
    matrices[:, one, two] = -np.sin(angles)
    return matrices


def _is_number(word: str) -> bool:
    try:
        parse_float(word)
    except ValueError:
        return False
    return True
