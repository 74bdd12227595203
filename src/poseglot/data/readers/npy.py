"""Reading .npy files that somebody hands us: no pickle, nothing larger than the file itself, one kind of error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poseglot.errors import PoseglotError

_MAGIC = b"\x93NUMPY"


def load_array(path: Path) -> npt.NDArray[Any]:
    """The array in a .npy file, memory-mapped.

    Raises:
        PoseglotError: not there, not a .npy file, cut short, or holding Python objects.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise PoseglotError(f"{path} is not a NumPy array file (.npy), or is empty.")
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array
    except OSError as error:
        raise PoseglotError(f"could not read {path}: {error.strerror or error}.") from error
    except PoseglotError:
        raise
    except Exception as error:  # a damaged header makes numpy raise ValueError, TypeError, TokenError, SyntaxError, ...
        raise PoseglotError(f"{path} is not a whole NumPy array file, or it holds Python objects ({error}).") from error
