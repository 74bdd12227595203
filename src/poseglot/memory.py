"""Let the C library keep the memory that torch and numpy free.

By default glibc returns every large block to the system and asks for it again a moment later, page by page: on a CPU a training
step then spends much of its time in page faults. This is a setting of the whole process, so only the command line makes it, and
processes that are ours alone; never the library in somebody's own.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # glibc's malloc.h


def keep_freed_memory() -> None:
    """Do nothing where there is no glibc."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_TOP_PAD, 64 * 2**20)
