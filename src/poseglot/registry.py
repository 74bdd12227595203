"""Registries: things that are found by name and that users add to (transforms, encoders, text encoders, losses, readers)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import TypeVar

from poseglot.errors import PoseglotError

T = TypeVar("T")
Registered = TypeVar("Registered")


class UnknownNameError(PoseglotError):
    """A name that is not registered.

    Attributes:
        name: The name that came.
        known: The names that are accepted.
        suggestion: The accepted name nearest to it, or None if none is near.
    """

    def __init__(self, kind: str, name: str, known: Collection[str]) -> None:
        self.name, self.known, self.suggestion = name, tuple(known), nearest(name, known)
        hint = f" Did you mean {self.suggestion!r}?" if self.suggestion else ""
        super().__init__(f"unknown {kind} {name!r}; accepted are {', '.join(self.known) or 'none'}.{hint}")


class DuplicateNameError(PoseglotError):
    """A name under which something else is registered already."""


class Registry(Mapping[str, T]):
    """A mapping from name to object that a decorator fills.

    Args:
        kind: The noun that messages use for an entry ("transform").

    Example:
        >>> transforms: Registry[type] = Registry("transform")
        >>> @transforms.register("centre")
        ... class Centre: ...
        >>> transforms["centre"] is Centre
        True
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    # The decorator gives back what it was given, with its own type; what fits into this registry is the caller's to check.
    def register(self, name: str) -> Callable[[Registered], Registered]:
        """Return a decorator that registers a class or function under `name`.

        A module that is imported again may register the same class or function again.

        Raises:
            DuplicateNameError: Another class or function is registered under this name.
        """

        def decorate(entry: Registered) -> Registered:
            self.add(name, entry)  # type: ignore[arg-type]
            return entry

        return decorate

    def add(self, name: str, entry: T) -> None:
        """Register `entry` under `name`; see `register`."""
        before = self._entries.get(name)
        if before is not None and _origin(before) != _origin(entry):
            raise DuplicateNameError(
                f"the {self.kind} {name!r} is registered already, as {_origin(before)}. Give {_origin(entry)} another name."
            )
        self._entries[name] = entry

    def __getitem__(self, name: str) -> T:
        """Return the entry of that name.

        Raises:
            UnknownNameError: There is none; the message lists the names and the nearest one.
        """
        # Not a KeyError: this message is for the user, who typed the name in a file or a command.
        if name not in self._entries:
            raise UnknownNameError(self.kind, name, self._entries)
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}: {', '.join(self._entries)})"


def nearest(name: str, known: Collection[str]) -> str | None:
    """Return the known name most like `name`, or None if none is alike. Case, dashes and underscores do not matter."""
    plain = {entry.lower().replace("_", "-"): entry for entry in known}
    found = get_close_matches(name.lower().replace("_", "-"), plain, n=1, cutoff=0.6)
    return plain[found[0]] if found else None


def _origin(entry: object) -> str:
    """Return where an entry was defined: its module and name, or its type's."""
    named = entry if hasattr(entry, "__qualname__") else type(entry)
    return f"{named.__module__}.{named.__qualname__}"
