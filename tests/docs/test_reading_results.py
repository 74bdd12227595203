"""The record of what is read right names tests; they exist."""

from __future__ import annotations

import ast
import re

from tests.conftest import ROOT

RECORD = ROOT / "results" / "reading" / "README.md"


def test_every_test_of_the_record_exists() -> None:
    text = RECORD.read_text(encoding="utf-8")
    named = set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text))
    assert len(named) > 50
    missing = []
    for path, name in sorted(named):
        file = ROOT / path
        tree = ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else ast.parse("")
        if name not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}:
            missing.append(f"{path}::{name}")
    assert not missing


def test_every_row_has_a_test() -> None:
    rows = [line for line in RECORD.read_text(encoding="utf-8").splitlines() if re.match(r"\| (\d+|[A-Z]\S.*) \|", line)]
    assert len(rows) > 30
    assert [row for row in rows if "::test_" not in row] == []
