"""YAML from people, read within limits: one loader for recipes, layouts, pipelines, descriptions and studies.

Plain mappings, lists, texts, numbers, true, false and null are accepted. What makes a small file large or slow is refused by name and
line: aliases, deep nesting, tags, very long numbers. A date is a text. A key that stands twice is refused, since only one would count.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

from poseglot.errors import FileError

MAX_BYTES = 8 * 2**20
_MAX_DEPTH = 40
_MAX_NODES = 500_000
_MAX_DIGITS = 18  # of a whole number: within 64 bits
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times faster
_KINDS = ("map", "seq", "str", "int", "float", "bool", "null")


def parse_yaml(text: str, origin: str) -> Any:
    """Return what YAML text holds.

    Args:
        text: The text.
        origin: The name of its file, for messages.

    Raises:
        FileError: The text is not YAML, or has something that is not accepted; the message says what and where.
    """
    if len(text) > MAX_BYTES:
        raise FileError(f"{origin} has {len(text):,} characters; a YAML file has at most {MAX_BYTES:,}.")
    try:
        _check_events(text, origin)
        return yaml.load(text, Loader=_loader(origin))
    except yaml.YAMLError as error:
        raise FileError(f"{origin} is not valid YAML: {' '.join(str(error).split())}.") from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"{origin} is not valid YAML: {error}.") from error


def read_yaml(path: str | Path, kind: str) -> Any:
    """Return what a YAML file holds; errors as in `parse_yaml`.

    Args:
        path: The file.
        kind: What error messages call such a file.
    """
    return parse_yaml(read_yaml_text(path, kind), f"the {kind} {path}")


def read_yaml_text(path: str | Path, kind: str) -> str:
    """Return the text of a YAML file.

    Raises:
        FileError: The file cannot be read, is too large, or is not UTF-8.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise FileError(f"the {kind} {path} is larger than {MAX_BYTES:,} bytes; it is another kind of file.")
        return content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"could not read the {kind} {path}: {error}.") from error


def _check_events(text: str, origin: str) -> None:
    """Refuse aliases, deep nesting and too many values before anything is built."""
    depth = 0
    for nodes, event in enumerate(yaml.parse(text, Loader=_BASE)):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            raise FileError(f"{origin}, line {line}: the alias *{event.anchor} is not accepted; write out what it stands for.")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                raise FileError(f"{origin}, line {line}: more than {_MAX_DEPTH} lists and mappings lie in each other.")
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if nodes > _MAX_NODES:
            raise FileError(f"{origin}, line {line}: the file has more than {_MAX_NODES:,} values; it is another kind of file.")


def _loader(origin: str) -> type[Any]:
    """Return a loader of the accepted kinds of values, whose errors name `origin`."""

    class Loader(_BASE):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            result: dict[Any, Any] = super().construct_mapping(node, deep=deep)
            if len(result) < len(node.value):
                keys = [str(key.value) for key, _ in node.value]
                twice = next((key for key in keys if keys.count(key) > 1), "?")
                raise FileError(f"{origin}, line {node.start_mark.line + 1}: the key {twice!r} stands twice.")
            return result

        def construct_yaml_int(self, node: Any) -> int:
            if len(node.value) > _MAX_DIGITS:
                raise FileError(f"{origin}, line {node.start_mark.line + 1}: a whole number has at most {_MAX_DIGITS} digits.")
            return int(super().construct_yaml_int(node))

        def construct_yaml_float(self, node: Any) -> float:
            value = float(super().construct_yaml_float(node)) if len(node.value) < 100 else math.inf
            if not math.isfinite(value):
                raise FileError(f"{origin}, line {node.start_mark.line + 1}: {node.value[:40]!r} is not a finite number.")
            return value

    Loader.yaml_implicit_resolvers = {
        start: [(tag, pattern) for tag, pattern in resolvers if _kind(tag) in _KINDS]
        for start, resolvers in _BASE.yaml_implicit_resolvers.items()
    }
    Loader.yaml_constructors = {
        tag: made for tag, made in _BASE.yaml_constructors.items() if tag is None or _kind(tag) in _KINDS
    }
    Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)
    Loader.add_constructor("tag:yaml.org,2002:float", Loader.construct_yaml_float)
    return Loader


def _kind(tag: str) -> str:
    return tag.rpartition(":")[2]
