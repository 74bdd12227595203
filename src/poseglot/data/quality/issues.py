"""Issues of single clips of a source. A reader reports one and continues with the next clip; the preparation report lists them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, get_args

from poseglot.errors import InputError

Kind = Literal["unreadable", "cut short", "malformed", "empty", "not finite", "joint count", "body count", "duplicate"]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class ClipIssue:
    """The reason why a clip is not in the store.

    Attributes:
        name: The clip's name, as far as it is known.
        origin: The file, and the archive that contains it.
        kind: One of `KINDS`.
        message: What came, what is accepted, and where, in one line.
    """

    name: str
    origin: str
    kind: Kind
    message: str

    def as_dict(self) -> dict[str, str]:
        """Return the issue as plain data."""
        return asdict(self)


class ClipError(InputError):
    """An error in one clip of a source; `kind` is the kind of its `ClipIssue`."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind

    def __reduce__(self) -> tuple[type[ClipError], tuple[str, str]]:
        # By default an exception is sent to another process with its message only.
        return type(self), (self.kind, str(self))
