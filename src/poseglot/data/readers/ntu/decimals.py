"""Parse thousands of decimal numbers at once, exactly as Python's `float` does.

Almost every coordinate of a Kinect file is written as one digit, a point, and up to fourteen digits. Those are read eight digits at a time
as one 64-bit integer (D. Lemire, "Quickly parsing eight digits", 2018). With at most 15 digits the integer and the power of ten are exact
in a float64, so their quotient is rounded once, which is correct rounding (W. Clinger, PLDI 1990). Other numbers go to `float`.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]

# How many characters before the end of a number the fast path reads.
WINDOW = 16
_LONGEST_FRACTION = 14
_PLAIN = re.compile(rb"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")

_ZEROS = np.uint64(0x3030303030303030)
# Keep the last n of eight characters: in a little-endian integer those are the high bytes.
_KEEP = np.array([0] + [(2**64 - 1) ^ (2 ** (64 - 8 * count) - 1) for count in range(1, 9)], dtype=np.uint64)
_POWERS = 10 ** np.arange(_LONGEST_FRACTION + 1, dtype=np.int64)


def read_decimal(token: bytes) -> float:
    """Parse one number.

    Raises:
        ValueError: It is not written in digits. Python's `float` would also accept `nan`, `inf` and `1_000`.
    """
    if not _PLAIN.fullmatch(token):
        raise ValueError(f"{token.decode('ascii', 'backslashreplace')!r} is not a number")
    return float(token)


def read_decimals(text: bytes, starts: Positions, ends: Positions) -> npt.NDArray[np.float64]:
    """Parse the numbers at `text[start:end]`.

    Args:
        text: The text.
        starts: (n,) where each number begins.
        ends: (n,) where it ends; at least `WINDOW`.

    Raises:
        ValueError: One of them is not a number.
    """
    assert ends.min(initial=WINDOW) >= WINDOW
    characters = np.frombuffer(text, np.uint8)
    words: npt.NDArray[np.uint64] = np.ndarray((len(text) - 7,), dtype="<u8", buffer=text, strides=(1,))

    negative = characters[starts] == ord("-")
    units = starts + negative
    length = ends - units - 2  # digits behind the point
    plain = (length >= 1) & (length <= _LONGEST_FRACTION)
    units = np.where(plain, units, 0)
    unit = characters[units] - np.uint8(ord("0"))  # wraps around for other characters, to something above 9
    plain &= (unit <= 9) & (characters[units + 1] == ord("."))

    length = np.where(plain, length, 0)
    digits = _digits(words[ends - 8], np.minimum(length, 8))
    plain &= _are_digits(digits)
    power = _POWERS[length]
    whole = unit.astype(np.int64) * power + _value(digits)
    # Few numbers have more than eight digits after the point; the first of those lie eight characters earlier.
    long = np.flatnonzero(length > 8)
    digits = _digits(words[ends[long] - 16], length[long] - 8)
    plain[long] &= _are_digits(digits)
    whole[long] += _value(digits) * 10**8
    values: npt.NDArray[np.float64] = whole / power
    np.negative(values, out=values, where=negative)
    for index in np.flatnonzero(~plain):
        values[index] = read_decimal(text[starts[index] : ends[index]])
    return values


def _digits(words: npt.NDArray[np.uint64], count: Positions) -> npt.NDArray[np.uint64]:
    """Return eight digits each, of which the last `count` stay and the others become zeros."""
    keep = _KEEP[count]
    return (words & keep | _ZEROS & ~keep) ^ _ZEROS


def _are_digits(digits: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Tell whether each of the eight bytes is at most 9: neither it nor it plus 6 reaches 16."""
    result: npt.NDArray[np.bool_] = ((digits | (digits + np.uint64(0x0606060606060606))) & np.uint64(0xF0F0F0F0F0F0F0F0)) == 0
    return result


def _value(digits: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return the number of eight digits: neighbours are joined to pairs, pairs to fours, fours to eight."""
    pairs = digits * np.uint64(10) + (digits >> np.uint64(8))
    mask = np.uint64(0x000000FF000000FF)
    high = (pairs & mask) * np.uint64(0x000F424000000064)  # 100 + (1,000,000 << 32)
    low = ((pairs >> np.uint64(16)) & mask) * np.uint64(0x0000271000000001)  # 1 + (10,000 << 32)
    return ((high + low) >> np.uint64(32)).astype(np.int64)
