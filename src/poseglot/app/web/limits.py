"""The limits of the server. Every refusal names the limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from poseglot.errors import InputError, SettingError

MAX_JOINTS = 256  # more than any skeleton has
MAX_ACTIONS, MAX_ACTION_LENGTH = 50, 100  # of a list to recognise among: their texts are encoded


@dataclass(frozen=True)
class Limits:
    """Limits of a server.

    Attributes:
        body: Bytes of a request (413 beyond).
        unpacked: Bytes that a packed file may unpack to (413).
        frames, people: Of a clip (413).
        rate: Computing requests per second and client, on average (429); 0 is unlimited.
        burst: How many of them at once, after a pause.
        seconds: The time to receive a request (408), and to answer it (504).
        at_once: Requests that are computed at the same time.
        waiting: Requests that may wait for that (503 beyond).
        per_client: Requests of one client among both (503 beyond).
        connections: Open connections of all clients together (503 beyond).
        connections_per_client: Those of one client (503 beyond).
        windows: Points of the curves over time.
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
    per_client: int = 8
    connections: int = 64
    connections_per_client: int = 32
    windows: int = 24

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            minimum = 0 if name in ("rate", "waiting") else 1e-3 if name == "seconds" else 1
            if not value >= minimum:
                raise SettingError(f"the limit {name} must be at least {minimum:g}, not {value}.")


def check_actions(actions: Sequence[str]) -> None:
    """Check that a list of actions is within the limits.

    Raises:
        TooLargeError: It is not.
    """
    if len(actions) > MAX_ACTIONS or max(map(len, actions), default=0) > MAX_ACTION_LENGTH:
        raise TooLargeError(f"at most {MAX_ACTIONS} actions of up to {MAX_ACTION_LENGTH} characters are accepted.")


class TooLargeError(InputError):
    """A clip exceeds the limits."""


def check_size(limits: Limits, *, people: int, frames: int) -> None:
    """Check that a clip is within the limits.

    Raises:
        TooLargeError: It is not.
    """
    for what, found, limit in (("people", people, limits.people), ("frames", frames, limits.frames)):
        if found > limit:
            raise TooLargeError(f"the clip has {found:,} {what}; at most {limit:,} are accepted. Cut it into pieces.")
