"""A safe reader of untrusted pickles: containers, numbers, text and numpy arrays, and nothing else.

A pickle is a program: it names functions, and reading it calls them. Here every accepted name stands for a few lines of this file, and any
other name ends the reading before anything is called. Not even numpy's own unpickling runs: arrays are built from the bytes in the file,
so they are never larger than it. Neither is the whole: a pickle can name one tuple twice in the next, fifty times over, and what has to
look at 2^50 values never ends. So keys are plain values, and what was read is counted before it is given back.
"""

from __future__ import annotations

import io
import math
import mmap
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from poseglot.errors import FileError

_MAX_AXES, _MAX_DEPTH = 32, 100
_VALUES_PER_BYTE = 4  # a shared tuple takes two bytes wherever it is named
_PLAIN = (str, bytes, int, float, type(None))
_END = object()
_NUMBERS = re.compile(r"(?P<order>[<>=|]?)(?P<type>[fiu][1248]|b1|[SU]\d{1,6})")


class PickledArray:
    """An array as it lies in the pickle; `array()` checks and builds it."""

    __slots__ = ("_axes", "_dtype", "_order", "_raw", "_shape")

    def __init__(self, raw: Any = b"", dtype: Any = None, shape: Any = (), order: Any = "C", axes: Any = None) -> None:
        self._raw, self._dtype, self._shape, self._order, self._axes = raw, dtype, shape, order, axes

    def __setstate__(self, state: Any) -> None:
        _, self._shape, self._dtype, fortran, self._raw = state
        self._order = "F" if fortran else "C"

    def array(self) -> npt.NDArray[Any]:
        """Return the array, read-only. It shares its memory with the pickle's bytes.

        Raises:
            FileError: dtype, shape and bytes do not fit together.
        """
        try:
            if isinstance(self._raw, list):
                raise TypeError("it holds Python objects")
            raw = self._raw.encode("latin1") if isinstance(self._raw, str) else self._raw  # text in pickles of Python 2
            dtype = self._dtype.dtype()
            if len(self._shape) > _MAX_AXES or not all(type(length) is int and 0 <= length < 2**40 for length in self._shape):
                raise TypeError(f"its shape is not of up to {_MAX_AXES} whole numbers")
            if math.prod(self._shape) * dtype.itemsize != len(raw):
                raise ValueError(f"{len(raw)} bytes for shape {self._shape} of {dtype}")
            array: npt.NDArray[Any] = np.frombuffer(raw, dtype)
            # An array of order "K" had its axes transposed when it was written; its shape is the one in memory.
            array = array.reshape(self._shape, order="F" if self._order == "F" else "C")
            return array if self._axes is None else array.transpose(self._axes)
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise FileError(f"an array in the pickle is damaged ({error}).") from error


class _Dtype:
    """A dtype of numbers, or of text for scalars; there is none of Python objects."""

    __slots__ = ("_order", "_type")

    def __init__(self, described: Any, *_: Any) -> None:
        match = _NUMBERS.fullmatch(described if isinstance(described, str) else str(described, "ascii"))
        if match is None:
            raise _RefusedError(f"a numpy array of dtype {_short(described)}")
        self._order, self._type = match["order"], match["type"]

    def __setstate__(self, state: Any) -> None:
        order = state[1] if isinstance(state[1], str) else str(state[1], "ascii")
        if order in ("<", ">"):
            self._order = order

    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self._order + self._type)


def _short(value: Any) -> str:
    """Return a value for a message, or its type: the text of a container may be endless."""
    return f"{value!r:.40}" if isinstance(value, str | bytes) else type(value).__name__


def _key(value: Any) -> Any:
    """Return a key of a dictionary or a member of a set if it is a plain value, or a tuple of such."""
    if not all(isinstance(each, _PLAIN) for each in (value if type(value) is tuple else (value,))):
        raise _RefusedError("a key that is no text and no number")
    return value


def _count(value: Any, limit: int) -> None:
    """Check that something has not more values than a file of `limit` bytes can hold, each counted wherever it appears."""
    left, waiting = _VALUES_PER_BYTE * limit + 1000, [iter((value,))]
    while waiting:
        entry = next(waiting[-1], _END)
        if entry is _END:
            waiting.pop()
            continue
        left -= 1
        if isinstance(entry, list | tuple | set | frozenset):
            waiting.append(iter(entry))
        elif isinstance(entry, dict):
            waiting.append(iter(entry.values()))
        if left < 0 or len(waiting) > _MAX_DEPTH:
            raise _RefusedError("more values than the file has room for, or containers too deep in each other")


class _RefusedError(Exception):
    """The pickle asks for something that data do not need; the message says what."""


class _Name:
    """What a name in a pickle stands for. It can only be called, because a pickle can set attributes of a plain function."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *args: Any) -> Any:
        return self._make(*args)

    def __setstate__(self, state: Any) -> None:
        raise _RefusedError("a function whose attributes are set")


# pickle's reader in C allocates as much memory as a number in the file says, before it knows whether the file is that long. This is the
# same reader in Python; it keeps what it has read in a dictionary, and reads some 50,000 clips a second.
_PYTHON: Any = pickle._Unpickler


class _Unpickler(_PYTHON):  # type: ignore[misc]
    def __init__(self, file: Any, size: int) -> None:
        super().__init__(file, encoding="latin1")
        self._size = self._left = size
        self._names = {name: _Name(make) for name, make in self._made().items()}

    def find_class(self, module: str, name: str) -> Any:
        # numpy's modules were called numpy.core until version 2
        place = (re.sub(r"^numpy\._core\b", "numpy.core", module), name)
        if place not in self._names:
            raise _RefusedError(f"{module}.{name}"[:120])
        return self._names[place]

    def _made(self) -> dict[tuple[str, str], Callable[..., Any]]:
        return {
            ("numpy.core.multiarray", "_reconstruct"): lambda *_: PickledArray(),
            ("numpy.core.multiarray", "scalar"): self._scalar,
            ("numpy.core.numeric", "_frombuffer"): PickledArray,
            ("numpy", "ndarray"): self._refuse_call,
            ("numpy", "dtype"): _Dtype,
            ("_codecs", "encode"): self._encode,
            ("builtins", "bytes"): lambda: b"",
            ("__builtin__", "bytes"): lambda: b"",
            ("collections", "OrderedDict"): self._empty_dictionary,
            ("collections", "defaultdict"): self._empty_dictionary,
            ("builtins", "list"): self._empty_list,
            ("builtins", "set"): self._set,
            ("builtins", "frozenset"): self._set,
            ("__builtin__", "list"): self._empty_list,
            ("__builtin__", "set"): self._set,
            ("__builtin__", "frozenset"): self._set,
        }

    def _scalar(self, dtype: _Dtype, raw: Any) -> Any:
        return PickledArray(self._counted(raw), dtype).array().item()

    def _encode(self, text: str, encoding: str) -> bytes:
        if encoding != "latin1":
            raise _RefusedError(f"text encoded as {_short(encoding)}")
        return bytes(self._counted(text), "latin1")

    def _counted(self, content: Any) -> Any:
        """Return `content`, whose copies must not add up to more than the file, however often the pickle asks for one."""
        self._left -= len(content)
        if self._left < 0:
            raise _RefusedError(f"more than its {self._size:,} bytes unpacked")
        return content

    @staticmethod
    def _empty_dictionary(*_: Any) -> dict[Any, Any]:
        return {}

    def _set(self, items: Any = ()) -> set[Any]:
        return set(map(_key, self._counted(items)))

    dispatch: ClassVar[dict[int, Any]] = dict(_PYTHON.dispatch)

    def _load_bytearray(self) -> None:  # the original allocates what the pickle says
        (size,) = struct.unpack("<Q", self.read(8))
        if size > self._size:
            raise _RefusedError(f"{size:,} bytes in a file of {self._size:,}")
        self.append(bytearray(self.read(size)))

    def _load_item(self) -> None:
        _key(self.stack[-2])
        self.load_setitem()

    def _load_items(self) -> None:
        for key in self.stack[::2]:
            _key(key)
        self.load_setitems()

    def _load_dictionary(self) -> None:
        for key in self.stack[::2]:
            _key(key)
        self.load_dict()

    def _load_members(self) -> None:
        for member in self.stack:
            _key(member)
        self.load_additems()

    def _load_frozenset(self) -> None:
        for member in self.stack:
            _key(member)
        self.load_frozenset()

    dispatch |= {
        pickle.BYTEARRAY8[0]: _load_bytearray,
        pickle.SETITEM[0]: _load_item,
        pickle.SETITEMS[0]: _load_items,
        pickle.DICT[0]: _load_dictionary,
        pickle.ADDITEMS[0]: _load_members,
        pickle.FROZENSET[0]: _load_frozenset,
    }

    @staticmethod
    def _empty_list() -> list[Any]:  # what a defaultdict names as its factory
        return []

    @staticmethod
    def _refuse_call(*_: Any) -> Any:
        raise _RefusedError("numpy.ndarray called as a function")


def load_plain(path: Path) -> Any:
    """Return what a pickle holds.

    Returns:
        Containers, numbers and text as they are; numpy's scalars as Python's; arrays as `PickledArray`.

    Raises:
        FileError: The file is missing, not a whole pickle, or asks for anything else. Nothing in it has been executed then.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _load(content, len(content), str(path))
    except (OSError, ValueError) as error:  # an empty file cannot be mapped
        raise FileError(f"could not read {path}: {getattr(error, 'strerror', None) or error}.") from error


def parse_plain(content: bytes, origin: str) -> Any:
    """Return what a pickle in memory holds. Errors as in `load_plain`."""
    return _load(io.BytesIO(content), len(content), origin)


def _load(file: Any, size: int, origin: str) -> Any:
    try:
        value = _Unpickler(file, size).load()
        _count(value, size)
        return value
    except _RefusedError as error:
        raise FileError(
            f"{origin} asks for {error}, and was not read further: a file of skeletons needs only arrays of numbers, text, lists and "
            "dictionaries, and a pickle that asks for more may run a program. Nothing in it was executed."
        ) from error
    except Exception as error:  # a damaged pickle can raise almost anything
        what = f"{type(error).__name__}: {error}"[:200]
        raise FileError(f"{origin} is not a whole pickle ({what}). Fetch it again.") from error
