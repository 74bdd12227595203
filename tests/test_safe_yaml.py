"""The YAML loader: what is plain is read, what makes a small file large or slow is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from poseglot.errors import FileError
from poseglot.safe_yaml import parse_yaml, read_yaml
from tests.conftest import ROOT

pytestmark = pytest.mark.base

LAUGHS = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefghij", "bcdefghijk", strict=True))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb: [1.5, -2, true, null, 'x', 1e3]", {"a": 1, "b": [1.5, -2, True, None, "x", "1e3"]}),
        ("on: 2020-01-02", {True: "2020-01-02"}),
        ("a: 2020-13-45", {"a": "2020-13-45"}),
        ("", None),
    ],
)
def test_plain_values(text: str, value: object) -> None:
    assert parse_yaml(text, "x") == value


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS,
        "a: &a 1\nb: *a",
        "<<: *a",
        "[" * 5000,
        "[" * 5000 + "]" * 5000,
        "- " * 3000 + "a",
        "a: " + "9" * 5000,
        "a: 0x" + "f" * 5000,
        "a: " + "1:" * 3000 + "1",
        "a: .nan",
        "a: -.inf",
        "a: 1.0e+400",
        "a: !!python/object/apply:os.system [ls]",
        "a: !!binary aGVsbG8=",
        "a: !!timestamp 2020-01-01",
        "a: !!set {x, y}",
        "a: !!int x",
        "a: 1\nb: 2\na: 3",
        "? [a]\n: b",
        "{",
        "a: \x00",
        "a\n\tb: c",
        "--- a\n--- b",
        "x" * (9 * 2**20),
        "[" + "1," * 600_000 + "]",
    ],
    ids=lambda text: text[:20],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(FileError):
        parse_yaml(text, "mine.yaml")


def test_the_file_and_the_line_are_named() -> None:
    with pytest.raises(FileError, match=r"mine\.yaml, line 2.*'lr'"):
        parse_yaml("optim:\n  lr: 1\n  lr: 2\n", "mine.yaml")


def test_packaged_files_are_as_with_the_usual_loader() -> None:
    files = sorted((ROOT / "src").rglob("*.yaml"))
    assert len(files) > 20
    for file in files:
        assert parse_yaml(file.read_text(encoding="utf-8"), str(file)) == yaml.safe_load(file.read_text(encoding="utf-8"))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"a: \xff")
    for path in (tmp_path, tmp_path / "none.yaml", tmp_path / "a.yaml"):
        with pytest.raises(FileError):
            read_yaml(path, "recipe")
