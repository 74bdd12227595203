"""The text of a `.skeleton` file: what Kinect v2 tracked, frame by frame.

    number of frames
    per frame   the number of bodies
    per body    10 values, the first the body's id; the number of joints (25); then a line of 12 values for each joint,
                of which the first three are x, y, z in metres

Ids are kept as text: real ones have 17 digits, and two of them can be equal as float64. Of the other values only their number in a line
is checked (Kinect writes values like -1.#IND into the columns of depth and color).

There are two readers. `read_plainly` goes line by line and says what is wrong and where. `read_text` finds all separators at once and
parses all coordinates at once, many times faster. It leaves any unusual file to the plain reader, so that both accept the same files and
give the same numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseglot.data.quality.issues import ClipError, Kind
from poseglot.data.readers.ntu.decimals import WINDOW, read_decimal, read_decimals

JOINTS = 25
_BODY_VALUES, _JOINT_VALUES = 10, 12
# Metres from the sensor. No measurement is further away, and float32 arithmetic would overflow much further.
_MAX_DISTANCE = 1e6
# What programs write for missing numbers: nan, -nan(ind), inf, -1.#IND, 1.#QNAN.
_NOT_FINITE = re.compile(rb"[+-]?(nan(\(\w*\))?|inf(inity)?|\d\.#[A-Z]+\d*)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Body:
    """One tracked body.

    Attributes:
        id: As it is written.
        frames: (n,) int64, the frames it is in, ascending, counted from 0.
        joints: (n, 25, 3) float32, camera space, metres.
    """

    id: str
    frames: npt.NDArray[np.int64]
    joints: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Recording:
    """The content of a file.

    Attributes:
        frames: How many there are, with and without bodies.
        bodies: In the order in which they appear.
    """

    frames: int
    bodies: tuple[Body, ...]


def read_text(text: bytes, origin: str) -> Recording:
    """Parse the content of a file.

    Raises:
        ClipError: It is not of the format; the message says what was found in which line.
    """
    found = _read_at_once(text)
    return found if found is not None else read_plainly(text, origin)


# --- the fast reader ---------------------------------------------------------------------------------------------------------


def _read_at_once(text: bytes) -> Recording | None:
    """Return the recording, or None if anything is unusual; the plain reader then decides."""
    lines = _lines_of(text)
    walked = _walk(text, lines.starts.tolist(), lines.ends.tolist()) if lines is not None else None
    if lines is None or walked is None:
        return None
    frames, ids, body_frames, body_lines = walked
    # Each body has a line of its values, one with the number of joints, and the joints. All other lines hold a count, which `_walk` has
    # read. If the total number of spaces is right, and every line's first and last space lie inside it, each line has its own.
    joint_lines = body_lines[:, None] + 2 + np.arange(JOINTS)
    gaps = np.zeros(len(lines.ends), dtype=np.int64)
    gaps[joint_lines] = _JOINT_VALUES - 1
    gaps[body_lines] = _BODY_VALUES - 1
    if gaps.sum() != len(lines.spaces):
        return None
    spaced = gaps > 0
    first = np.cumsum(gaps) - gaps
    last = (first + gaps)[spaced] - 1
    if (lines.spaces[first[spaced]] <= lines.starts[spaced]).any() or (lines.spaces[last] >= lines.ends[spaced] - 1).any():
        return None
    space = lines.spaces[first[joint_lines].ravel()[:, None] + np.arange(3)]
    starts = np.column_stack([lines.starts[joint_lines.ravel()], space[:, :2] + 1])
    try:
        values = read_decimals(text, starts.ravel(), space.ravel())
    except ValueError:
        return None
    if np.abs(values).max() > _MAX_DISTANCE:
        return None
    rows = values.astype(np.float32).reshape(-1, JOINTS, 3)
    return None if _is_anybody_twice(ids, body_frames) else _recording(frames, ids, body_frames, rows)


@dataclass(frozen=True, eq=False)
class _Positions:
    """Where the lines of a text start and end (without their line ends), and where its spaces are."""

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    spaces: npt.NDArray[np.int64]


def _lines_of(text: bytes) -> _Positions | None:
    """Return None if anything but single spaces and line ends (LF or CRLF) separates the values."""
    characters = np.frombuffer(text, np.uint8)
    is_space = characters == ord(" ")
    spaces, breaks = np.flatnonzero(is_space), np.flatnonzero(characters == ord("\n"))
    blanks = np.count_nonzero(characters <= ord(" ")) - len(spaces) - len(breaks)
    if len(text) <= WINDOW or not len(breaks) or (is_space[1:] & is_space[:-1]).any():
        return None
    starts = np.concatenate([[0], breaks + 1])
    if breaks[-1] == len(text) - 1:
        starts = starts[:-1]
    else:
        breaks = np.append(breaks, len(text))
    returned = characters[breaks - 1] == ord("\r")
    if np.count_nonzero(returned) != blanks:
        return None
    return _Positions(starts, breaks - returned, spaces)


def _walk(text: bytes, starts: list[int], ends: list[int]) -> tuple[int, list[str], list[int], npt.NDArray[np.int64]] | None:
    """Go from count to count through the file. Return the number of frames, and each body's id, frame and line."""
    ids: list[str] = []
    body_frames: list[int] = []
    body_lines: list[int] = []

    def count(line: int) -> int:
        digits = text[starts[line] : ends[line]]
        if not _is_count(digits):
            raise ValueError
        return int(digits)

    line = 1
    try:
        frames = count(0)
        if frames > len(ends):
            return None
        for frame in range(frames):
            bodies = count(line)
            line += 1
            for _ in range(bodies):
                if text[starts[line + 1] : ends[line + 1]] != b"25":
                    return None
                start = starts[line]
                ids.append(text[start : text.index(b" ", start, ends[line])].decode("ascii"))
                body_frames.append(frame)
                body_lines.append(line)
                line += 2 + JOINTS
    except (ValueError, IndexError):
        return None
    if line != len(ends) or not ids:
        return None
    return frames, ids, body_frames, np.array(body_lines, dtype=np.int64)


def _is_count(token: bytes) -> bool:
    """Tell whether a token is a count: digits, and not too many."""
    return token.isdigit() and len(token) <= 9


def _is_anybody_twice(ids: list[str], body_frames: list[int]) -> bool:
    return len(set(zip(ids, body_frames, strict=True))) < len(ids)


def _recording(frames: int, ids: list[str], body_frames: list[int], rows: npt.NDArray[np.float32]) -> Recording:
    """Gather rows (n, 25, 3) by body."""
    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(ids):
        rows_of.setdefault(name, []).append(row)
    frame_of = np.array(body_frames, dtype=np.int64)
    return Recording(frames, tuple(Body(name, frame_of[own], rows[own]) for name, own in rows_of.items()))


# --- the plain reader --------------------------------------------------------------------------------------------------------


class _Lines:
    """The lines of a file, one after the other, each a list of values."""

    def __init__(self, text: bytes, origin: str) -> None:
        self._lines = text.rstrip().split(b"\n")
        self._origin = origin
        self.number = 0

    @property
    def ended(self) -> bool:
        return self.number == len(self._lines)

    def values(self, what: str, count: int, kind: Kind = "malformed") -> list[bytes]:
        """Return the `count` values of the next line; another number is an error of that kind."""
        if self.ended:
            raise self.error("cut short", f"the file ends here, before {what}; fetch it again")
        self.number += 1
        found = self._lines[self.number - 1].split()
        if len(found) != count:
            raise self.unexpected(what, found, kind)
        return found

    def count(self, what: str, kind: Kind = "malformed") -> int:
        """Return the count that makes up the next line."""
        found = self.values(what, 1, kind)
        if not _is_count(found[0]):
            raise self.unexpected(what, found, kind)
        return int(found[0])

    def unexpected(self, what: str, found: list[bytes], kind: Kind = "malformed") -> ClipError:
        """Return the error for an unexpected line. An unexpected last line means that the file was cut."""
        if self.ended:
            return self.error("cut short", f"the file ends with {_shown(*found)}, where {what} should be; fetch it again")
        return self.error(kind, f"expected {what}, found {_shown(*found)}")

    def error(self, kind: Kind, what: str) -> ClipError:
        return ClipError(kind, f"{self._origin}, line {self.number}: {what}.")


def _shown(*values: bytes) -> str:
    """Return values for a message, shortened."""
    shown = b" ".join(values)
    return repr((shown if len(shown) <= 40 else shown[:40] + b"...").decode("ascii", "backslashreplace"))


def read_plainly(text: bytes, origin: str) -> Recording:
    """Parse the content of a file line by line, slowly. Arguments and errors as in `read_text`."""
    if not text.strip():
        raise ClipError("empty", f"{origin} is empty.")
    lines = _Lines(text, origin)
    frames = lines.count("the number of frames")
    ids: list[str] = []
    body_frames: list[int] = []
    joints: list[list[list[float]]] = []
    for frame in range(frames):
        # An unexpected line here mostly means that a frame has more or fewer bodies than it says.
        bodies = lines.count(f"the number of bodies in frame {frame + 1} of {frames}", "body count" if frame else "malformed")
        present = set()
        for body in range(bodies):
            what = f"the {_BODY_VALUES} values of body {body + 1} of {bodies} in frame {frame + 1}"
            found = lines.values(what, _BODY_VALUES, "body count")
            name = found[0].decode("ascii", "backslashreplace")
            if name in present:
                raise lines.error("malformed", f"body {_shown(found[0])} is twice in frame {frame + 1}")
            present.add(name)
            what = f"the number of joints ({JOINTS})"
            count = lines.count(what)
            if count != JOINTS and not lines.ended:
                raise lines.error("joint count", f"a body of {count} joints; Kinect v2 has {JOINTS}")
            if count != JOINTS:
                raise lines.unexpected(what, [b"%d" % count])
            ids.append(name)
            body_frames.append(frame)
            joints.append([_joint(lines, joint) for joint in range(JOINTS)])
    if not lines.ended:
        raise lines.error("malformed", f"more lines follow after the {frames} frames that were announced")
    if not ids:
        raise lines.error("empty", f"there is no body in any of the {frames} frames")
    return _recording(frames, ids, body_frames, np.array(joints, dtype=np.float64).astype(np.float32))


def _joint(lines: _Lines, joint: int) -> list[float]:
    """Return x, y and z of the next line."""
    what = f"the {_JOINT_VALUES} values of joint {joint + 1}"
    found = lines.values(what, _JOINT_VALUES)
    values = []
    for token in found[:3]:
        try:
            value = read_decimal(token)
        except ValueError:
            if not _NOT_FINITE.fullmatch(token):
                raise lines.unexpected(f"{what} (first x, y and z)", found) from None
            value = np.inf
        if abs(value) > _MAX_DISTANCE:
            raise lines.error("not finite", f"joint {joint + 1} is at {_shown(token)} metres, which is no position")
        values.append(value)
    return values
