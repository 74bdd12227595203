"""docs/adding-an-encoder.md, followed to the letter: the example runs as it stands and keeps the contract (commands: test_commands)."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from poseglot.models.encoders import ENCODERS, create_encoder
from poseglot.testing import ENCODER_CASES, ENCODER_CHECKS
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "adding-an-encoder.md").read_text()
EXAMPLE, CHECK = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
(MODULE,) = re.findall(r"^import (\w+)$", CHECK, re.M)
(NAME,) = re.findall(r'^@register_encoder\("([\w-]+)"\)$', EXAMPLE, re.M)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The file of the page, where Python finds it; the registry forgets it afterwards."""
    monkeypatch.setattr(ENCODERS, "_entries", dict(ENCODERS))
    (tmp_path / f"{MODULE}.py").write_text(EXAMPLE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    return MODULE


@pytest.mark.parametrize("check", ENCODER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("layout", "num_persons"), ENCODER_CASES)
def test_contract(module: str, layout: str, num_persons: int, check: Callable[[str, str, int], None]) -> None:
    __import__(module)
    check(NAME, layout, num_persons)


@pytest.mark.usefixtures("module")
def test_check_of_the_page() -> None:
    exec(compile(CHECK, "the page", "exec"), {})


def test_example_is_short_and_its_names_agree(module: str) -> None:
    __import__(module)
    assert len(EXAMPLE.splitlines()) <= 45
    assert f"`{MODULE}.py`" in PAGE and f'check_encoder("{NAME}")' in CHECK and f"--model.encoder {NAME}" in PAGE
    assert create_encoder(NAME, "kinect20", layers=2).gru.num_layers == 2


def test_files_exist() -> None:
    for target in re.findall(r"\((\.\./src/[\w/.-]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
