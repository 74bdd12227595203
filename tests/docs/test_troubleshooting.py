"""docs/troubleshooting.md: every message that it quotes is one of ours, and everything that people ask about has an entry."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.conftest import ROOT
from tests.docs.blocks import PAGES

PAGE = PAGES["docs/troubleshooting.md"]
QUOTED = [re.sub(r"\s*\n\s*> ?", " ", found).strip().removeprefix("> ") for found in re.findall(r"(?:^ *>.*\n?)+", PAGE, re.M)]
HOLE = "…"
# Topics of the field's issue trackers, most frequent first: a word of the heading that answers each.
ASKED = [
    "published", "weights", "own data", "video", "real time", "long recording", "other joints", "NTU RGB", "NW-UCLA", "link is dead",
    "Installing", "Memory", "ONNX", "Show me", "N, C, T, V, M", "One GPU", "Windows", "Pretrained", "does not learn", "texts come from",
]  # fmt: skip


@cache
def strings() -> list[str]:
    """Return every text in the source, with holes for the values that are filled in."""
    found = []
    for path in (ROOT / "src").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else HOLE for part in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def is_said(message: str) -> bool:
    """Tell whether one text of the source contains the fixed pieces of a message, in order."""
    pieces = [re.escape(piece) for piece in message.split(HOLE)]
    return any(re.search(".*".join(pieces), text, re.S) for text in strings())


def test_there_are_messages() -> None:
    assert len(QUOTED) >= 35
    assert not is_said("this message … is not ours, so the check can fail")


@pytest.mark.parametrize("message", QUOTED)
def test_quoted_message_is_ours(message: str) -> None:
    assert max(map(len, message.split(HOLE))) >= 15, "too short to identify a message"
    assert is_said(message)


@pytest.mark.parametrize("word", ASKED)
def test_topic_has_an_entry(word: str) -> None:
    assert any(word in heading for heading in re.findall(r"^## (.*)", PAGE, re.M))
