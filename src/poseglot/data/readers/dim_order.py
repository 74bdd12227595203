"""The order of an array's dimensions: any array -> joints (people, frames, joints, channels).

An order is written with the letters m, t, v, c (people, frames, joints, channels) and a comma between two dimensions. Letters without a
comma between them share a dimension, the last letter running fastest:

    t,v,c     frames, joints, channels: the default
    v,c,t     joints, channels, frames: UTD-MHAD's MATLAB files
    t,vc      a row of numbers for each frame
    t,mvc     the same with several people: NTU's rows of 150 numbers
    tv,c      a row for each joint of each frame: MSR Action3D

Without a given order, the one order that fits most of some files from all over the set is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseglot.data.quality.issues import ClipError
from poseglot.errors import SettingError

# The first of these that fits all files is taken even if other orders fit, too.
NATIVE = ("m,t,v,c", "t,v,c")
# Orders that are tried. Shapes cannot tell t,cv from t,vc, so such orders have to be given.
_TRIED = (
    *NATIVE, "t,vc", "tv,c", "t,mvc", "v,c,t", "c,v,t", "c,t,v", "v,t,c", "t,c,v", "vc,t", "t,m,v,c", "m,v,c,t", "m,c,t,v",
    "c,t,v,m", "v,c,t,m", "v,c,m,t",
)  # fmt: skip
_LETTERS = {"m": "people", "t": "frames", "v": "joints", "c": "channels"}
_MAX_PERSONS = 8
# How many numbers a joint may have beyond the last column that is read.
_EXTRA_COLUMNS = 4


@dataclass(frozen=True)
class DimOrder:
    """How the arrays of a set are to be read.

    Attributes:
        order: See above; None finds the order that fits.
        skip: How many numbers at the beginning of a row are not joints (a frame number, a time).
        columns: Which of a joint's numbers are read, counted from 1; None reads all.

    Raises:
        SettingError: A value is not valid.
    """

    order: str | None = None
    skip: int = 0
    columns: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.order is not None:
            letters = self.order.replace(",", "")
            if sorted(letters) not in (sorted("mtvc"), sorted("tvc")) or "" in self.order.split(","):
                raise SettingError(
                    f"the order of dimensions {self.order!r} is not valid. It has each of t, v, c (frames, joints, channels) once, m "
                    "(people) if there is such a dimension, and commas between dimensions: v,c,t or t,mvc."
                )
        if self.skip < 0:
            raise SettingError(f"{self.skip} numbers cannot be skipped.")
        if self.columns is not None and (
            not self.columns or min(self.columns) < 1 or len(set(self.columns)) < len(self.columns)
        ):
            raise SettingError(f"columns {self.columns} are not valid: they are counted from 1, each named once.")

    def channel_counts(self, has_scores: bool) -> tuple[int, ...]:
        """Return how many numbers a joint may have in the array, the likeliest first."""
        if self.columns is None:
            return (3 + has_scores, 2 + has_scores)
        return tuple(max(self.columns) + extra for extra in range(_EXTRA_COLUMNS + 1))


def arrange(
    array: npt.NDArray[np.generic], order: DimOrder, *, joint_count: int | None, has_scores: bool, origin: str
) -> npt.NDArray[np.generic]:
    """Return the array as (people, frames, joints, channels), or (frames, joints, channels) if it has no people.

    Args:
        array: As it was read.
        order: Of its dimensions.
        joint_count: Of the layout. Without it only an array in the default order is accepted.
        has_scores: Whether a joint's last number is the confidence in it.
        origin: What messages call the array.

    Raises:
        ClipError: The order does not fit; or, without a given order, none or several fit.
    """
    array = _without_first(array, order.skip, origin)
    letters = order.order
    if letters is None:
        if joint_count is None:
            if array.ndim == 2:
                raise ClipError(
                    "joint count",
                    f"{origin}: an array of shape {array.shape}, whose joints are not known. Name their layout (--layout kinect20, coco17, "
                    "..., or a .yaml file).",
                )
            return select_columns(array, order.columns, origin)
        letters = find_order([array.shape], order, joint_count=joint_count, has_scores=has_scores, origin=origin)
    sizes = _sizes(letters, array.shape, joint_count, order.channel_counts(has_scores))
    if sizes is None:
        count = "" if joint_count is None else f", {joint_count} joints"
        raise ClipError(
            "malformed",
            f"{origin}: an array of shape {array.shape} does not fit the order {letters!r} ({_in_words(letters)}{count}).",
        )
    plain = letters.replace(",", "")
    whole = array.reshape([sizes[letter] for letter in plain])
    whole = whole.transpose([plain.index(letter) for letter in ("mtvc" if "m" in plain else "tvc")])
    return select_columns(whole, order.columns, origin)


def find_order(shapes: Iterable[tuple[int, ...]], order: DimOrder, *, joint_count: int, has_scores: bool, origin: str) -> str:
    """Return the order that most arrays of these shapes are in.

    Args:
        shapes: Of arrays without the numbers to skip.
        order: Its `order` is not looked at.
        joint_count: Of the layout.
        has_scores: Whether a joint's last number is the confidence in it.
        origin: What messages call the arrays.

    Raises:
        ClipError: No order fits any of them, or several fit equally many.
    """
    known = [shape for shape in shapes if shape]
    counts = order.channel_counts(has_scores)
    fits = {letters: sum(_is_likely(letters, shape, joint_count, counts) for shape in known) for letters in _TRIED}
    most = max(fits.values())
    fitting = [letters for letters, count in fits.items() if count == most > 0]
    usual = [letters for letters in NATIVE if letters in fitting]
    if usual or len(fitting) == 1:
        return (usual or fitting)[0]
    shape = known[0] if known else ()
    if fitting:
        found = "; ".join(f"{letters} ({_in_words(letters)})" for letters in fitting)
        raise ClipError(
            "malformed", f"{origin}: an array of shape {shape} may be {found}. Say which: --dim-order {fitting[0]}."
        )
    numbers = "2 or 3 numbers and a score" if has_scores else "2 or 3 numbers"
    raise ClipError(
        "joint count",
        f"{origin}: no order of dimensions gives an array of shape {shape} {joint_count} joints of {numbers}. Is the layout another "
        "(--layout), are there numbers to skip at the beginning of every row (--skip), or has a joint more numbers (--scored, --columns)?",
    )


def without_skipped(shape: tuple[int, ...], skip: int) -> tuple[int, ...]:
    """Return the shape of an array whose rows lose their first numbers."""
    return (*shape[:-1], shape[-1] - skip) if shape else shape


def _sizes(letters: str, shape: Sequence[int], joint_count: int | None, channel_counts: Sequence[int]) -> dict[str, int] | None:
    """Return letter -> size if the array can have the order. Of several possible numbers of channels the first is taken."""
    dims = letters.split(",")
    if len(dims) != len(shape):
        return None
    for channels in channel_counts:
        known = {"c": channels} | ({"v": joint_count} if joint_count is not None else {})
        sizes = dict(known)
        for dim, size in zip(dims, shape, strict=True):
            open_letters = [letter for letter in dim if letter not in known]
            share = math.prod(known.get(letter, 1) for letter in dim)
            if len(open_letters) > 1 or size % share or (not open_letters and size != share):
                break
            if open_letters:
                sizes[open_letters[0]] = size // share
        else:
            return sizes
    return None


def _is_likely(letters: str, shape: Sequence[int], joint_count: int, channel_counts: Sequence[int]) -> bool:
    """Tell whether the order fits with a likely number of people. People who share a dimension with joints are at least two."""
    sizes = _sizes(letters, shape, joint_count, channel_counts)
    least = 2 if "mv" in letters else 1
    return sizes is not None and 0 not in sizes.values() and least <= sizes.get("m", least) <= _MAX_PERSONS


def select_columns(array: npt.NDArray[np.generic], columns: tuple[int, ...] | None, origin: str) -> npt.NDArray[np.generic]:
    """Return the chosen numbers of every joint, counted from 1, of an array whose last dimension they are; None takes all.

    Raises:
        ClipError: A joint has fewer numbers.
    """
    if columns is None:
        return array
    if max(columns) > array.shape[-1]:
        raise ClipError(
            "malformed", f"{origin}: a joint has {array.shape[-1]} numbers, but column {max(columns)} is asked for."
        )
    return array[..., [column - 1 for column in columns]]


def _without_first(array: npt.NDArray[np.generic], skip: int, origin: str) -> npt.NDArray[np.generic]:
    if skip and (array.ndim == 0 or array.shape[-1] <= skip):
        width = array.shape[-1] if array.ndim else 0
        raise ClipError("malformed", f"{origin}: rows of {width} numbers, of which {skip} are to be skipped.")
    return array[..., skip:] if skip else array


def _in_words(letters: str) -> str:
    return ", ".join(" x ".join(_LETTERS[letter] for letter in dim) for dim in letters.split(","))
