"""Tests have the same ids whenever, wherever and in whichever process they are collected: xdist's workers must agree on them."""

from __future__ import annotations

import ast
import gzip
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, pytest_make_parametrize_id

# What differs from process to process, or from one second to the next.
CHANGING = {"datetime", "gzip", "hash", "id", "object", "os", "random", "secrets", "tempfile", "time", "uuid"}


def parametrised(tree: ast.AST) -> Iterator[tuple[ast.expr, bool]]:
    """Yield the values of each `parametrize` in a file, and whether they have explicit ids."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "parametrize":
            yield node.args[1], any(keyword.arg == "ids" for keyword in node.keywords)


def complaints(source: str) -> list[str]:
    """Name what makes ids or their order change: changing functions without ids, and sets that are iterated unsorted."""
    found = []
    for values, with_ids in parametrised(ast.parse(source)):
        if isinstance(values, ast.Set | ast.SetComp) or ast.unparse(values).startswith(("set(", "list({", "list(set(")):
            found.append(f"a set has no order: {ast.unparse(values)}")
        for node in ast.walk(values):
            if isinstance(node, ast.Call) and not with_ids:
                function = ast.unparse(node.func).split(".")
                if function[0] in CHANGING or (function[0] == "np" and "random" in function):
                    found.append(f"needs ids: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize("file", sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py")))
def test_nothing_changing_is_parametrised(file: str) -> None:
    assert not complaints((ROOT / file).read_text())


@pytest.mark.parametrize(
    "values", ["{1, 2}", "list({1, 2})", "[time.time()]", "[gzip.compress(b'')]", "[id(3)]", "[(1, np.random.rand())]"]
)
def test_what_changes_is_noticed(values: str) -> None:
    assert complaints(f"@pytest.mark.parametrize('value', {values})\ndef test(value): ...")
    assert not complaints("@pytest.mark.parametrize('value', sorted({1, 2}))\ndef test(value): ...")


def test_values_without_a_lasting_id_are_refused_when_collecting() -> None:
    for value in (gzip.compress(b""), b"\xff", lambda: 0, f"{random.Random()}", f"{tempfile.gettempdir()}/a"):
        with pytest.raises(ValueError, match="id"):
            pytest_make_parametrize_id(value)
    for value in (b"constant", "text", 3, 0.5, None, gzip.compress, {"a"}):
        pytest_make_parametrize_id(value)


@pytest.mark.slow
def test_two_collections_agree(tmp_path: Path) -> None:
    """Half a minute apart and with other hash seeds, from another folder for temporary files."""

    def collected(seed: int) -> list[str]:
        (tmp_path / str(seed)).mkdir()
        environment = os.environ | {"PYTHONHASHSEED": str(seed), "TMPDIR": str(tmp_path / str(seed))}
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "", "-p", "no:cacheprovider"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
        return [line for line in done.stdout.splitlines() if "::" in line]

    first = collected(1)
    assert len(first) > 1000
    assert first == collected(2)
