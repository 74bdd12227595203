"""Registries: things that recipes and commands find by name, and that a plugin may add to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from poseglot.errors import NotFoundError, SettingError

T = TypeVar("T")


class Registry(Generic[T]):
    """A table from names to things of one kind, in the order in which they were registered.

    Args:
        kind: what the things are, for messages: `encoder`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers a class or function under a name.

        Raises:
            SettingError: the name is taken by something else.
        """

        def decorate(entry: T) -> T:
            taken = self._entries.get(name)
            if taken is not None and not _is_reloaded(taken, entry):
                raise SettingError(f"there is already {self.kind} {name!r}: {taken!r}. Choose another name.")
            self._entries[name] = entry
            return entry

        return decorate

    def names(self) -> tuple[str, ...]:
        """Return the names, in the order in which they were registered."""
        return tuple(self._entries)

    def __getitem__(self, name: str) -> T:
        """Look a name up.

        Raises:
            NotFoundError: nothing is registered under the name. The message suggests the nearest one.
        """
        try:
            return self._entries[name]
        except KeyError:
            raise NotFoundError(name, self._entries, kind=self.kind) from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}: {', '.join(self._entries)})"


def _is_reloaded(old: object, new: object) -> bool:
    """Tell whether two entries are one definition, as when a module is imported twice."""
    return all(getattr(old, name, None) == getattr(new, name, old) for name in ("__module__", "__qualname__"))
