"""Registries: things that are found by name and that users add to (transforms, encoders, text encoders, losses, readers)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from poseglot.errors import NotFoundError, SettingError

T = TypeVar("T")
Registered = TypeVar("Registered")


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
            SettingError: Another class or function is registered under this name.
        """

        def decorate(entry: Registered) -> Registered:
            self.add(name, entry)  # type: ignore[arg-type]
            return entry

        return decorate

    def add(self, name: str, entry: T) -> None:
        """Register `entry` under `name`; see `register`."""
        before = self._entries.get(name)
        if before is not None and _origin(before) != _origin(entry):
            raise SettingError(
                f"the {self.kind} {name!r} is registered already, as {_origin(before)}. Give {_origin(entry)} another name."
            )
        self._entries[name] = entry

    def __getitem__(self, name: str) -> T:
        """Return the entry of that name.

        Raises:
            NotFoundError: There is none; the message lists the names and the nearest one.
        """
        # Not a KeyError: this message is for the user, who typed the name in a file or a command.
        if name not in self._entries:
            advice = "If a module of yours registers it, import that module first (--plugin MODULE on the command line)."
            raise NotFoundError(name, self._entries, kind=self.kind, advice=advice)
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}: {', '.join(self._entries)})"


def _origin(entry: object) -> str:
    """Return where an entry was defined: its module and name, or its type's."""
    named = entry if hasattr(entry, "__qualname__") else type(entry)
    return f"{named.__module__}.{named.__qualname__}"
