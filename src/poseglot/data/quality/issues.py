"""What is wrong with one clip of a source. A reader says it and goes on with the next; the preparation report lists it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, get_args

from poseglot.errors import InputError

Kind = Literal["unreadable", "cut short", "malformed", "empty", "not finite", "joint count", "body count", "duplicate"]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class ClipIssue:
    """Why a clip is not in the store.

    Attributes:
        name: of the clip, as far as it is known.
        origin: the file, and the archive it lies in.
        kind: one of `KINDS`.
        message: what came, what is accepted, and where, in one line.
    """

    name: str
    origin: str
    kind: Kind
    message: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


class ClipError(InputError):
    """What a reader raises of one clip; `kind` is what a `Fault` calls it."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind

    def __reduce__(self) -> tuple[type[ClipError], tuple[str, str]]:
        # Exceptions go from process to process by their message alone, unless told otherwise.
        return type(self), (self.kind, str(self))
