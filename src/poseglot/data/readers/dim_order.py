"""Which axis of somebody's array is what: an array of any order -> joints (people, frames, joints, channels).

An order is written with the letters m, t, v, c (people, frames, joints, channels), a comma between two axes; letters without a comma
between them share an axis, the last one running fastest:

    t,v,c     frames, joints, channels: what needs no order said
    v,c,t     joints, channels, frames: UTD-MHAD's MATLAB files
    t,vc      a row of numbers for each frame
    t,mvc     the same of several people: NTU's rows of 150 numbers
    tv,c      a row for each joint of each frame: MSR Action3D

Where nobody says an order, it is the one that fits most of some files that lie all over the set.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseglot.data.quality.issues import ClipError
from poseglot.errors import PoseglotError

# What arrays usually are: the first of these that fits all files is taken even if others fit, too.
NATIVE = ("m,t,v,c", "t,v,c")
# Those that are looked for. What shapes cannot tell from them (t,cv from t,vc) has to be said.
_LOOKED_FOR = (
    *NATIVE, "t,vc", "tv,c", "t,mvc", "v,c,t", "c,v,t", "c,t,v", "v,t,c", "t,c,v", "vc,t", "t,m,v,c", "m,v,c,t", "m,c,t,v",
    "c,t,v,m", "v,c,t,m", "v,c,m,t",
)  # fmt: skip
_LETTERS = {"m": "people", "t": "frames", "v": "joints", "c": "channels"}
_MOST_PEOPLE = 8


@dataclass(frozen=True)
class DimOrder:
    """How the arrays of a set are to be understood.

    Attributes:
        order: see above; None: the one that fits.
        skip: numbers at the beginning of every row of a table that are no joints (a frame's number, a time).
    """

    order: str | None = None
    skip: int = 0

    def __post_init__(self) -> None:
        if self.order is not None:
            letters = self.order.replace(",", "")
            if sorted(letters) not in (sorted("mtvc"), sorted("tvc")) or "" in self.order.split(","):
                raise PoseglotError(
                    f"the order of axes {self.order!r} cannot be; it has each of t, v, c (frames, joints, channels) once, m (people) if "
                    "there is such an axis, and commas between axes: v,c,t or t,mvc."
                )
        if self.skip < 0:
            raise PoseglotError(f"so many numbers cannot be skipped: {self.skip}.")


def arranged(
    array: npt.NDArray[np.generic], axes: DimOrder, *, joint_count: int | None, has_scores: bool, origin: str
) -> npt.NDArray[np.generic]:
    """The array as (people, frames, joints, channels), or (frames, joints, channels) if it knows no people.

    Args:
        joint_count: of the layout; where it is not known only an array in the usual order can be taken.
        scored: whether a joint's last number is the confidence in it.

    Raises:
        ClipError: the order does not fit, or without one several orders do, or none.
    """
    array = _without_first(array, axes.skip, origin)
    order = axes.order
    if order is None:
        if joint_count is None:
            return array
        order = one_that_fits([array.shape], joint_count=joint_count, has_scores=has_scores, origin=origin)
    sizes = _sizes(order, array.shape, joint_count, has_scores)
    if sizes is None:
        count = "" if joint_count is None else f", {joint_count} joints"
        raise ClipError(
            "malformed",
            f"{origin}: an array of shape {array.shape} does not fit the order {order!r} ({_read_out(order)}{count}).",
        )
    letters = order.replace(",", "")
    whole = array.reshape([sizes[letter] for letter in letters])
    return whole.transpose([letters.index(letter) for letter in ("mtvc" if "m" in letters else "tvc")])


def one_that_fits(shapes: Iterable[tuple[int, ...]], *, joint_count: int, has_scores: bool, origin: str, skip: int = 0) -> str:
    """The order that most arrays of these shapes are in; the others are then at fault.

    Raises:
        ClipError: none fits any of them, or several fit as many.
    """
    known = [(*shape[:-1], shape[-1] - skip) for shape in shapes if shape]
    fits = {order: sum(_likely(order, shape, joint_count, has_scores) for shape in known) for order in _LOOKED_FOR}
    most = max(fits.values())
    fitting = [order for order, count in fits.items() if count == most > 0]
    usual = [order for order in NATIVE if order in fitting]
    if usual or len(fitting) == 1:
        return (usual or fitting)[0]
    shape = known[0] if known else ()
    if fitting:
        found = "; ".join(f"{order} ({_read_out(order)})" for order in fitting)
        raise ClipError(
            "malformed", f"{origin}: an array of shape {shape} may be {found}. Say which: --dim-order {fitting[0]}."
        )
    raise ClipError(
        "joint count",
        f"{origin}: in an array of shape {shape} there is no order of axes with {joint_count} joints of {_said(has_scores)}. Is the layout "
        "another, are there numbers to skip in front of every row (--skip), or is the last number of a joint its score (--scored)?",
    )


def rows_of(text: str, *, origin: str) -> npt.NDArray[np.float64]:
    """The table (rows, columns) in a text of numbers, between them blanks, commas, semicolons or tabs; `#` begins a comment.

    Lines that begin with no number (a header) are left out in front of the first row.

    Raises:
        ClipError: no numbers, a word between them, or rows of different lengths.
    """
    rows: list[list[float]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("#")[0].replace(",", " ").replace(";", " ").split()
        if not words:
            continue
        try:
            row = [float(word) for word in words]
        except ValueError as error:
            if not rows:
                continue
            raise ClipError("malformed", f"{origin}, line {number}: {line.strip()[:60]!r} is no row of numbers.") from error
        if rows and len(row) != len(rows[0]):
            raise ClipError(
                "malformed", f"{origin}, line {number}: {len(row)} numbers, where the lines before have {len(rows[0])}."
            )
        rows.append(row)
    if not rows:
        raise ClipError("empty", f"{origin}: there are no numbers in it.")
    return np.array(rows)


def _sizes(order: str, shape: Sequence[int], joint_count: int | None, has_scores: bool) -> dict[str, int] | None:
    """Letter -> size, if the order can be that of such an array; of several numbers of channels the larger."""
    axes = order.split(",")
    if len(axes) != len(shape):
        return None
    for channels in (3 + has_scores, 2 + has_scores):
        known = {"c": channels} | ({"v": joint_count} if joint_count is not None else {})
        sizes = dict(known)
        for axis, size in zip(axes, shape, strict=True):
            open_letters = [letter for letter in axis if letter not in known]
            share = math.prod(known.get(letter, 1) for letter in axis)
            if len(open_letters) > 1 or size % share or (not open_letters and size != share):
                break
            if open_letters:
                sizes[open_letters[0]] = size // share
        else:
            return sizes
    return None


def _likely(order: str, shape: Sequence[int], joint_count: int, has_scores: bool) -> bool:
    """Whether it fits, with a number of people that a clip may have; of people in a row with joints there are at least two."""
    sizes = _sizes(order, shape, joint_count, has_scores)
    least = 2 if "mv" in order else 1
    return sizes is not None and 0 not in sizes.values() and least <= sizes.get("m", least) <= _MOST_PEOPLE


def _without_first(array: npt.NDArray[np.generic], skip: int, origin: str) -> npt.NDArray[np.generic]:
    if skip and (array.ndim == 0 or array.shape[-1] <= skip):
        raise ClipError(
            "malformed", f"{origin}: rows of {array.shape[-1] if array.ndim else 0} numbers, of which {skip} are to be skipped."
        )
    return array[..., skip:] if skip else array


def _read_out(order: str) -> str:
    return ", ".join(" x ".join(_LETTERS[letter] for letter in axis) for axis in order.split(","))


def _said(has_scores: bool) -> str:
    return "2 or 3 numbers and a score" if has_scores else "2 or 3 numbers"
