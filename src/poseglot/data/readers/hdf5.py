"""HDF5 files, by the package h5py (the extra `poseglot[hdf5]`). Only this file imports it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.formats import ClipFile
from poseglot.errors import MissingPackageError


@contextmanager
def open_hdf5(file: ClipFile) -> Iterator[Any]:
    """Open a file for reading.

    Raises:
        MissingPackageError: h5py is not installed.
        ClipError: It is not an HDF5 file.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingPackageError(f"reading {file.path.name} needs the package h5py: pip install 'poseglot[hdf5]'.") from error
    try:
        opened = h5py.File(file.path, "r")
    except OSError as error:
        raise ClipError("unreadable", f"{file.origin} is not a whole HDF5 file ({error}).") from error
    with opened:
        yield opened
