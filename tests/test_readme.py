"""The README's recipes, studies, make targets and links exist, and its Python runs. `tests/docs` tests the commands."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from poseglot.models.recognizer import Recognizer, RecognizerSpec, save_recognizer
from poseglot.studies.study import list_studies
from poseglot.training.recipe_io import list_recipes
from tests.conftest import ROOT
from tests.docs.blocks import PAGES

README = PAGES["README.md"]
FIRST_CELLS = "\n".join(line.split("|")[1] for line in README.splitlines() if line.startswith("|"))
MAX_LINES = 180


def test_is_short() -> None:
    assert len(README.splitlines()) <= MAX_LINES


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.M))
    assert {"demo", "test", "test-all"} <= named <= targets


def test_ci_runs_the_test_command() -> None:
    assert "make test\n" in (ROOT / ".ci" / "run").read_text()


def test_lists_all_recipes() -> None:
    assert set(re.findall(r"`([a-z0-9-]+/[a-z-]+|demo|everyday)`", FIRST_CELLS)) == set(list_recipes())


def test_lists_all_studies() -> None:
    assert set(re.findall(r"`([a-z0-9]+-[a-z0-9-]+)`", FIRST_CELLS)) == set(list_studies())


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_exist(page: str) -> None:
    folder = (ROOT / page).parent
    for target in re.findall(r"\]\((?!http)([^)]+)\)", PAGES[page]):
        assert (folder / target.split("#")[0]).exists(), target


def test_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    classes = tuple(f"action {index}" for index in range(7))
    save_recognizer(
        Recognizer(RecognizerSpec("kinect20", classes, encoder_kwargs={"base_channels": 8})),
        tmp_path / "runs/demo/recognizer.safetensors",
    )
    np.save(tmp_path / "runs/demo/unseen-clip.npy", np.random.default_rng(0).normal(size=(1, 9, 20, 3)))
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)[0]
    exec(compile(code, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert all(re.fullmatch(r"\d+\.\d%  action \d", line) for line in lines)
