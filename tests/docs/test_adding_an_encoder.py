"""docs/adding-an-encoder.md keeps its word: the example runs as it stands, and keeps the contract (its commands: test_commands)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from poseglot.models import encoders
from tests.conftest import ROOT
from tests.models.encoders.helpers import build
from tests.models.encoders.test_contract import CASES, CHECKS

PAGE = (ROOT / "docs" / "adding-an-encoder.md").read_text()
(EXAMPLE,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
((MODULE, IMPORTED),) = re.findall(r"^from poseglot\.models\.encoders\.(\w+) import (\w+)$", PAGE.replace(EXAMPLE, ""), re.M)
((NAME, CLASS),) = re.findall(r'^ +"([\w-]+)": (\w+),$', PAGE, re.M)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the page says to do: the class from its file, its line in `ENCODERS`."""
    namespace: dict[str, Any] = {"__name__": MODULE}
    exec(compile(EXAMPLE, f"{MODULE}.py", "exec"), namespace)
    monkeypatch.setattr(encoders, "ENCODERS", {**encoders.ENCODERS, NAME: namespace[CLASS]})
    return namespace[CLASS]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@CASES
@pytest.mark.usefixtures("registered")
def test_the_example_keeps_the_contract(layout: str, people: int, check: Callable[[str, str, int], None]) -> None:
    check(NAME, layout, people)


def test_the_example_is_short_and_its_names_agree(registered: Any) -> None:
    assert len(EXAMPLE.splitlines()) <= 40
    assert f"src/poseglot/models/encoders/{MODULE}.py" in PAGE and IMPORTED == CLASS
    assert isinstance(build(NAME, "kinect20", 1, layers=2), registered)


def test_every_file_it_names_is_there() -> None:
    for target in re.findall(r"`((?:src|tests|recipes)/[\w/.-]+)`", PAGE):
        assert (ROOT / target).exists() or target.endswith(f"/{MODULE}.py"), target
