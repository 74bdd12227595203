"""Readers with faults, for the attack to find."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path


def _wrong(path: Path) -> None:
    raise KeyError(path)


def _endless(path: Path) -> None:
    while True:
        pass


def _ends(path: Path) -> None:
    os._exit(1)


def break_readers() -> None:
    """Let three kinds of files be read by these, in this process."""
    import attack_readers

    kinds = attack_readers.kinds()
    for name, read in (("npy", _wrong), ("txt", _endless), ("csv", _ends)):
        kinds[name] = replace(kinds[name], read=read)
