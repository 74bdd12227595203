"""The errors that a user meets. Each message says what came, what is accepted, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class PoseglotError(Exception):
    """Base of all errors with a cause outside our code: a file, a setting, a missing package.

    The command line prints the message without a traceback. Any other exception is a defect and keeps its traceback.
    """


class InputError(PoseglotError):
    """A clip, an array or a pose is not acceptable."""


class FileError(PoseglotError):
    """A file is missing, damaged, unreadable or not writable."""


class SettingError(PoseglotError):
    """A recipe key, an option or an argument has a value that is not acceptable."""


class NotFoundError(SettingError):
    """A name is not among the known ones.

    Args:
        kind: what the names are of, for the message.
        name: what was asked for.
        known: the names that exist.

    Attributes:
        suggestion: the most similar known name, or None.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, tuple(known)
        self.suggestion = next(iter(get_close_matches(name, self.known, n=1)), None)
        hint = "" if self.suggestion is None else f" Did you mean {self.suggestion!r}?"
        super().__init__(f"unknown {kind} {name!r}; accepted are {', '.join(self.known) or 'none'}.{hint}")


class MissingPackageError(PoseglotError):
    """An optional package is not installed."""


class DeviceError(PoseglotError):
    """A device is not there or cannot do what was asked of it."""
