"""The README and the pages of docs/ keep their word: commands exist, recipes and studies are there, Python runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from poseglot.app.cli import build_parser
from poseglot.app.commands import train
from poseglot.app.project import recipe_text
from poseglot.models.recognizer import Recognizer, RecognizerSpec, save_recognizer
from poseglot.training.recipe_file import parse_recipe
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
PAGES = {path.name: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
FIRST_CELLS = "\n".join(line.split("|")[1] for line in README.splitlines() if line.startswith("|"))
SHELL = [
    line.strip()
    for page in PAGES.values()
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", page, re.M | re.S)
    if not language
    for line in block.splitlines()
]
COMMANDS = [part.strip() for line in SHELL for part in line.split("#")[0].split("&&") if part.strip().startswith("poseglot ")]


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) >= 26


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_one_of_ours(line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    parsed, rest = build_parser().parse_known_args(shlex.split(line.replace("$s", "bone"))[1:])
    if parsed.command is train.run:
        own = tmp_path / train.OWN_RECIPE  # what `poseglot new` wrote, in the folder that it is called in
        own.write_text(recipe_text("by-subject", train=100))
        parse_recipe(["--config", str(parsed.config or own), *rest])
    else:
        assert rest == []


def test_every_make_target_it_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.M))
    assert {"demo", "test", "test-all"} <= named <= targets


def test_continuous_integration_calls_the_readmes_test_command() -> None:
    assert "make test\n" in (ROOT / ".ci" / "run").read_text()


def test_every_recipe_is_listed_and_every_listed_one_is_there() -> None:
    there = {str(path.relative_to(ROOT / "recipes")) for path in (ROOT / "recipes").glob("*/*.yaml")}
    assert set(re.findall(r"`([a-z0-9-]+/[a-z-]+\.yaml)`", FIRST_CELLS)) == there


def test_every_study_is_listed_and_every_listed_one_is_there() -> None:
    there = {path.name for path in (ROOT / "studies").glob("*.yaml")}
    assert set(re.findall(r"`([a-z0-9-]+\.yaml)`", FIRST_CELLS)) == there


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_picture_is_there(page: str) -> None:
    folder = ROOT if page == "README.md" else ROOT / "docs"
    for target in re.findall(r"\]\((?!http)([^)]+)\)", PAGES[page]):
        assert (folder / target.split("#")[0]).exists(), target


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    classes = tuple(f"action {place}" for place in range(7))
    save_recognizer(
        Recognizer(RecognizerSpec("kinect20", classes, options={"width": 8})), tmp_path / "runs/demo/recognizer.safetensors"
    )
    np.save(tmp_path / "runs/demo/unseen-clip.npy", np.random.default_rng(0).normal(size=(1, 9, 20, 3)))
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)
    exec(compile(code, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert all(re.fullmatch(r"\d+\.\d%  action \d", line) for line in lines)
