"""What the server accepts at most. Every refusal says which limit it was, and how large it is."""

from __future__ import annotations

from dataclasses import dataclass

from poseglot.errors import PoseglotError


@dataclass(frozen=True)
class Limits:
    """Limits of a server.

    Attributes:
        body: bytes of a request (413 beyond).
        unpacked: bytes that a packed file may unpack to (413).
        frames, people: of a clip (413).
        rate: requests that compute, a second, of one client, over time (429); 0 for no limit.
        burst: how many of them at once, after a pause.
        seconds: in which a request must have come in (408), and in which its answer must be there (504).
        at_once: how many are computed at the same time.
        waiting: how many more may wait for that (503 beyond).
        connections: open at the same time, of all clients together (503).
        windows: points of the curves over time.
    """

    body: int = 8 * 2**20
    unpacked: int = 32 * 2**20
    frames: int = 3000
    people: int = 8
    rate: float = 10.0
    burst: int = 40
    seconds: float = 20.0
    at_once: int = 2
    waiting: int = 16
    connections: int = 64
    windows: int = 24

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 0 if name in ("rate", "waiting") else 1e-3 if name == "seconds" else 1
            if not value >= least:
                raise PoseglotError(f"the limit {name} is {value}; it must be at least {least:g}.")


class TooLargeError(PoseglotError):
    """A clip is larger than the limits allow."""


def check_size(limits: Limits, *, people: int, frames: int) -> None:
    """See that a clip is within the limits.

    Raises:
        TooLargeError: it is not.
    """
    for what, found, most in (("people", people, limits.people), ("frames", frames, limits.frames)):
        if found > most:
            raise TooLargeError(f"the clip has {found:,} {what}; at most {most:,} are accepted here. Cut it into pieces.")
