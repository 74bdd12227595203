"""Checked access to a mapping of a YAML file. Errors name the place, what was found and what is accepted."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from poseglot.errors import SettingError


class Section:
    """A mapping of a YAML file.

    Args:
        content: What YAML gave.
        where: The place for messages, for example "studies/x.yaml, table 2".
        keys: The accepted keys.

    Raises:
        SettingError: The content is not a mapping, or has an unknown key.
    """

    def __init__(self, content: Any, where: str, keys: Sequence[str]) -> None:
        self.where = where
        if not isinstance(content, dict):
            raise SettingError(f"{where}: expected a mapping with the keys {', '.join(keys)}; found {content!r:.80}.")
        for key in content:
            if key not in keys:
                close = get_close_matches(str(key), keys, n=1)
                meant = f" Did you mean {close[0]}?" if close else ""
                raise SettingError(f"{where} has an unknown key: {key}.{meant} There are {', '.join(keys)}.")
        self._content: dict[str, Any] = content

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def raw(self, key: str) -> Any:
        """Return the value as YAML gave it; None if it is missing."""
        return self._content.get(key)

    def refuse(self, key: str, accepted: str) -> SettingError:
        """Return the error for a value that is not acceptable."""
        return SettingError(f"{self.where}: {key} takes {accepted}; found {self._content.get(key)!r:.80}.")

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text that is not empty; it is required if there is no default."""
        if key not in self._content and default is not None:
            return default
        value = self._required(key)
        if not isinstance(value, str) or not value.strip():
            raise self.refuse(key, "a text (put one like yes or 10 in quotes)")
        return value.strip()

    def flag(self, key: str) -> bool:
        """Return true or false; false if it is missing."""
        value = self._content.get(key, False)
        if not isinstance(value, bool):
            raise self.refuse(key, "true or false")
        return value

    def entries(self, key: str) -> list[Any]:
        """Return a list that is not empty."""
        value = self._required(key)
        if not isinstance(value, list) or not value:
            raise self.refuse(key, "a list, not empty")
        return value

    def names(self, key: str, known: Sequence[str]) -> tuple[str, ...]:
        """Return a list of known names, each at most once."""
        value = self.entries(key)
        if not all(name in known for name in value) or repeated(value) is not None:
            raise self.refuse(key, f"a list of {', '.join(known)}, each at most once")
        return tuple(value)

    def whole_numbers(self, key: str) -> tuple[int, ...]:
        """Return a list of different whole numbers from 0."""
        value = self.entries(key)
        if not all(_is_whole(number) and number >= 0 for number in value) or repeated(value) is not None:
            raise self.refuse(key, "a list of different whole numbers from 0")
        return tuple(value)

    def whole_number(self, key: str, default: int) -> int:
        """Return a whole number."""
        value = self._content.get(key, default)
        if not _is_whole(value):
            raise self.refuse(key, "a whole number")
        return int(value)

    def mapping(self, key: str) -> Mapping[str, Any]:
        """Return a mapping with texts as keys; empty if it is missing."""
        value = self._content.get(key, {})
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise self.refuse(key, "a mapping")
        return value

    def _required(self, key: str) -> Any:
        if key not in self._content:
            raise SettingError(f"{self.where} has no {key}.")
        return self._content[key]


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def repeated(values: Iterable[Hashable]) -> Any:
    """Return the first value that appears a second time, or None."""
    seen = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
