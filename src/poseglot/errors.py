"""The errors that a user meets. Each message says what came, what is accepted, and what to do."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches


class PoseglotError(Exception):
    """Base of all errors with a cause outside our code: a file, a setting, a missing package.

    The command line prints the message without a traceback. Any other exception is a defect and keeps its traceback.
    """


class InputError(PoseglotError):
    """A clip or an array is not acceptable."""


class FileError(PoseglotError):
    """A file is missing, damaged or unreadable."""


class SettingError(PoseglotError):
    """A recipe key, an option or an argument has a value that is not acceptable."""


class MissingPackageError(PoseglotError):
    """An optional package is not installed."""


class DeviceError(PoseglotError):
    """A device is not there or cannot do what was asked of it."""


class NotFoundError(SettingError):
    """A name is not among the known ones.

    Args:
        name: what was asked for.
        known: the names that exist.
        kind: what the names are of, for the message.
        advice: a sentence for the end of the message.

    Attributes:
        suggestion: the most similar known name, or None.
    """

    def __init__(self, name: str, known: Collection[str], *, kind: str = "name", advice: str = "") -> None:
        self.name, self.known, self.kind = name, tuple(known), kind
        self.suggestion = nearest(name, self.known)
        hint = "" if self.suggestion is None else f" Did you mean {self.suggestion!r}?"
        listed = f"known: {', '.join(self.known)}" if self.known else "none is known"
        super().__init__(f"unknown {kind} {name!r}; {listed}.{hint}{' ' if advice else ''}{advice}")


def as_known(name: str, known: Collection[str]) -> str:
    """Return the known name that differs from `name` in case alone, if there is only one; else `name` itself."""
    same = {entry for entry in known if entry.casefold() == name.casefold()}
    return next(iter(same)) if name not in same and len(same) == 1 else name


def nearest(name: str, known: Collection[str]) -> str | None:
    """Return the known name most like `name`, or None if none is alike. Case, dashes and underscores do not matter."""
    plain = {entry.lower().replace("_", "-"): entry for entry in known}
    found = get_close_matches(name.lower().replace("_", "-"), plain, n=1, cutoff=0.6)
    return plain[found[0]] if found else None
