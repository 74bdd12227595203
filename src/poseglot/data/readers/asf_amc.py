"""AMC motion with its ASF skeleton, Acclaim's format (the CMU motion capture data base): one `.amc` file for a clip.

The skeleton is the `.asf` file of the same name, or the only one in the folder. A joint is the end of a bone: the start of the bone, which
is the end of its parent, plus its direction times its length, turned by the rotations so far. Positions are in the units of the files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poseglot.data.manifest import clip_joints
from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.bvh import rotations
from poseglot.data.readers.formats import ClipFile, ReadOptions, Recording, parse_float
from poseglot.safe_text import is_whole_number
from poseglot.skeletons.clip import Clip

Array = npt.NDArray[np.float64]


@dataclass
class _Bone:
    """A bone: what it hangs on, its vector, its own axes, and the degrees of freedom that the motion gives."""

    parent: str = ""
    vector: Array = field(default_factory=lambda: np.zeros(3))
    axes: Array = field(default_factory=lambda: np.eye(3))
    dof: tuple[str, ...] = ()


def recognizes(file: ClipFile) -> bool:
    """Tell whether the file ends in .amc."""
    return file.ending == ".amc"


def read(file: ClipFile, options: ReadOptions) -> Recording:
    """Read the motion.

    Raises:
        ClipError: There is no skeleton, or one of the two files is of another form.
    """
    bones, in_degrees = _skeleton(_skeleton_file(file.path))
    frames = _motion(file)
    missing = sorted({name for frame in frames for name in frame} - set(bones))
    if missing or not frames:
        raise ClipError(
            "malformed",
            f"{file.origin}: its skeleton has no bone {', '.join(missing)}." if missing else f"{file.origin} has no frames.",
        )
    unit = np.pi / 180 if in_degrees else 1.0
    places: dict[str, Array] = {}
    turns: dict[str, Array] = {}
    for name, bone in bones.items():  # parents come first
        values = np.array([frame.get(name, [0.0] * len(bone.dof)) for frame in frames], dtype=np.float64).reshape(
            len(frames), -1
        )
        if values.shape[1] != len(bone.dof):
            raise ClipError(
                "malformed", f"{file.origin}: {name} has {values.shape[1]} numbers, but its skeleton asks for {len(bone.dof)}."
            )
        local, moved = np.tile(np.eye(3), (len(frames), 1, 1)), np.zeros((len(frames), 3))
        for kind, column in zip(bone.dof, values.T, strict=True):
            axis = "xyz".index(kind[-1])
            if kind.startswith("r"):
                local = rotations(axis, column * unit) @ local
            else:
                moved[:, axis] += column
        turn = bone.axes @ local @ bone.axes.T
        parent = turns[bone.parent] if bone.parent else np.eye(3)
        turns[name] = parent @ turn
        start = places[bone.parent] if bone.parent else moved
        places[name] = start + (turns[name] @ bone.vector[:, None])[..., 0]
    joints = clip_joints(np.stack(list(places.values()), axis=1)[None], joint_count=None, origin=file.origin)
    return Recording(Clip(joints, name=file.path.stem), joint_names=tuple(bones))


def _skeleton_file(path: Path) -> Path:
    found = sorted(path.parent.glob("*.[aA][sS][fF]"))
    # CMU names motions after their skeleton: 01_05.amc moves 01.asf.
    named = [each for each in found if path.stem == each.stem or path.stem.startswith(f"{each.stem}_")]
    if len(named or found) != 1:
        raise ClipError(
            "unreadable", f"{path} needs its skeleton: {len(found)} .asf files are beside it, and {len(named)} have its name."
        )
    return (named or found)[0]


def _skeleton(path: Path) -> tuple[dict[str, _Bone], bool]:
    """Return the bones, parents first, and whether angles are in degrees."""
    text = ClipFile(path).text
    sections = {match[1].lower(): match[2] for match in re.finditer(r"^:(\w+)(.*?)(?=^:|\Z)", text, re.DOTALL | re.MULTILINE)}
    try:
        root_order = _words(sections["root"], "order")
        bones = {"root": _Bone(dof=tuple(word.lower() for word in root_order))}
        for block in re.findall(r"begin(.*?)end", sections["bonedata"], re.DOTALL):
            direction = np.array(_words(block, "direction"), dtype=np.float64)
            *angles, order = _words(block, "axis")
            axes = np.eye(3)
            for letter, angle in zip(order.lower(), map(float, angles), strict=True):
                axes = rotations("xyz".index(letter), np.radians([angle]))[0] @ axes
            dof = tuple(word.lower() for word in _words(block, "dof")) if "dof" in block else ()
            bones[_words(block, "name")[0]] = _Bone("", direction * float(_words(block, "length")[0]), axes, dof)
        ordered = {"root": bones["root"]}
        for line in re.findall(r"begin(.*?)end", sections["hierarchy"], re.DOTALL)[0].splitlines():
            parent, *children = line.split() or [""]
            for child in children:
                bones[child].parent = parent
                ordered[child] = bones[child]
    except (KeyError, IndexError, ValueError) as error:
        raise ClipError("malformed", f"{path} is not an ASF skeleton that can be read ({error!r}).") from error
    return ordered, "deg" in sections.get("units", "deg").lower()


def _words(block: str, key: str) -> list[str]:
    found = re.search(rf"^\s*{key}\s+(.*)$", block, re.MULTILINE)
    if found is None:
        raise KeyError(key)
    return found[1].split()


def _motion(file: ClipFile) -> list[dict[str, list[float]]]:
    frames: list[dict[str, list[float]]] = []
    for number, line in enumerate(file.text.splitlines(), start=1):
        words = line.split()
        if not words or line.lstrip().startswith(("#", ":")):
            continue
        if len(words) == 1 and is_whole_number(words[0]):
            frames.append({})
            continue
        try:
            if not frames:
                raise ValueError("a bone before the first frame")
            frames[-1][words[0]] = [parse_float(word) for word in words[1:]]
        except ValueError as error:
            raise ClipError("malformed", f"{file.origin}, line {number}: {error}.") from error
    return frames
