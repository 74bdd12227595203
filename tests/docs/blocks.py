"""The fenced blocks of README, docs/ and results/README.md, and the commands in them.

A block without a language is for a shell. bash itself reads it (comments, loops, braces, variables, continued lines), with functions in
place of the commands, which only record their arguments.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache

from tests.conftest import ROOT

PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", ROOT / "results" / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
COMMANDS = ("poseglot", "python", "python3", "pip", "npm", "docker", "make", "source", "cd", "my-pose-program")
_STUBS = "\n".join(f"{name}() {{ printf '%s\\x1f' {name} \"$@\"; printf '\\x1e'; }}" for name in COMMANDS)


@dataclass(frozen=True)
class Block:
    """A fenced block, its place, its language ("" for a shell) and its text."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page, in order."""
    text = PAGES[page]
    found = re.finditer(r"^```(\w*)\n(.*?)^```", text, re.M | re.S)
    return [Block(page, text.count("\n", 0, each.start()) + 1, each[1], each[2]) for each in found]


@cache
def commands(block: Block) -> list[tuple[str, ...]]:
    """Return every command of a shell block as bash would call it."""
    bash = subprocess.run(
        [shutil.which("bash") or "bash", "--norc", "-eu", "-c", f"{_STUBS}\n{block.text}"],
        capture_output=True,
        text=True,
        env={"PATH": "/nowhere"},
    )
    assert bash.returncode == 0, f"{block}: {bash.stderr}"
    return [tuple(call.split("\x1f")[:-1]) for call in bash.stdout.split("\x1e")[:-1]]
