"""Names of recordings, `SsssCcccPpppRrrrAaaa`: setup, camera, performer (our subject), replication and action.

The list of recordings that miss skeletons is packaged.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import TypedDict

_NAME = re.compile(r"S(?P<setup>\d{3})C(?P<camera>\d{3})P(?P<subject>\d{3})R(?P<replication>\d{3})A(?P<action>\d{3})", re.ASCII)


class NameFields(TypedDict, total=False):
    """The fields of a `Clip` that a name gives."""

    label: int
    subject: int
    camera: int
    setup: int


def fields_of(name: str) -> NameFields:
    """Return label, subject, camera and setup of a recording by its name; nothing if the name is not of NTU's form."""
    match = _NAME.fullmatch(name)
    if match is None or "000" in match.groups():  # all are counted from 1
        return {}
    return {
        "label": int(match["action"]) - 1,
        "subject": int(match["subject"]),
        "camera": int(match["camera"]),
        "setup": int(match["setup"]),
    }


def known_incomplete() -> frozenset[str]:
    """Return the 535 recordings that the data set's authors list as missing skeletons (302 of NTU RGB+D 60, 233 more of 120)."""
    text = (resources.files("poseglot.data") / "benchmarks" / "ntu-missing.txt").read_text(encoding="ascii")
    return frozenset(text.split())
