"""MATLAB files (.mat), one clip each: an array of joints in a variable.

They are read by scipy, up to MATLAB's version 7. Some damaged files end scipy's process, so they are read in a child.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poseglot.child import MEMORY, ChildError, call_in_child
from poseglot.data.quality.issues import ClipError
from poseglot.errors import FileError, PoseglotError

_SECONDS = 120
_MEMORY_PER_BYTE = 50  # of a packed file


def load_variable(path: Path, variable: str | None = None) -> npt.NDArray[Any]:
    """Load a variable of a file.

    Args:
        path: The file.
        variable: Its name. None takes the only array of numbers with at least two dimensions longer than one.

    Raises:
        FileError: There is no such file.
        ClipError: It is not a MATLAB file that scipy reads, or which variable to take is not clear.
    """
    try:
        memory = max(MEMORY, _MEMORY_PER_BYTE * path.stat().st_size)
        return call_in_child(_load_variable, path, variable, seconds=_SECONDS, memory=memory)
    except OSError as error:
        if isinstance(error, TimeoutError):
            raise ClipError("unreadable", f"{path} is not read within {_SECONDS} seconds; it is damaged.") from error
        raise FileError(f"could not read {path}: {error.strerror or error}.") from error
    except PoseglotError as error:
        if isinstance(error, ClipError | FileError):
            raise
        raise ClipError("unreadable", f"{path}: {error}") from error
    except ChildError as error:
        raise ClipError("unreadable", f"{path} is not a whole MATLAB file.") from error


def declared_bytes(path: Path) -> int:
    """Return how many bytes the arrays of a file declare, without unpacking them."""
    from scipy.io import whosmat

    return sum(8 * math.prod(shape) for _, shape, _ in whosmat(path))


def _load_variable(path: Path, variable: str | None) -> npt.NDArray[Any]:
    from scipy.io import loadmat

    try:
        held = {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    except OSError as error:
        raise FileError(f"could not read {path}: {error.strerror or error}.") from error
    except NotImplementedError as error:
        raise ClipError("unreadable", f"{path} is of MATLAB's version 7.3; save it with -v7.") from error
    except Exception as error:  # a damaged file makes scipy raise ValueError, TypeError, zlib.error, struct.error, ...
        raise ClipError("unreadable", f"{path} is not a whole MATLAB file ({' '.join(str(error).split())}).") from error
    shown = ", ".join(f"{name} {np.shape(value)}" for name, value in held.items()) or "nothing"
    if variable is not None:
        if variable not in held:
            raise ClipError("malformed", f"{path} has no variable {variable!r}; it holds {shown}.")
        return _numbers(held[variable], f"{path}, {variable}")
    likely = [name for name, value in held.items() if _is_numbers(value) and sum(size > 1 for size in np.shape(value)) >= 2]
    if len(likely) != 1:
        raise ClipError("malformed", f"{path}: which variable has the joints? It holds {shown}. Name it: --variable NAME.")
    return _numbers(held[likely[0]], f"{path}, {likely[0]}")


def _is_numbers(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiu"


def _numbers(value: Any, origin: str) -> npt.NDArray[Any]:
    if not _is_numbers(value):
        raise ClipError("malformed", f"{origin} holds no numbers.")
    array: npt.NDArray[Any] = value
    return array
