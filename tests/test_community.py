"""The files for contributors and the outside world: they are well-formed, and what they name is there."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from poseglot import __version__
from tests.conftest import ROOT

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
PAGES = ["CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]


@pytest.mark.parametrize("page", PAGES)
def test_every_path_and_link_is_there(page: str) -> None:
    text = (ROOT / page).read_text()
    paths = re.findall(r"`((?:src|tests|docs|scripts)/[^` ]*)`", text) + re.findall(r"\]\((?!http)([^)#]+)", text)
    for path in paths:
        known = re.split(r"NAME|DATA", path)[0]
        assert (ROOT / known).exists(), path


def test_every_make_target_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`(?:PYTHON=\S+ )?make ([a-z-]+)`", CONTRIBUTING)) <= targets


def test_every_registry_that_is_named_is_there() -> None:
    homes = {"encoder": "poseglot.models.encoders", "text_encoder": "poseglot.models.text", "transform": "poseglot.transforms"}
    named = set(re.findall(r"@register_([a-z_]+)\(", CONTRIBUTING))
    assert named == set(homes)
    for kind, home in homes.items():
        assert callable(getattr(importlib.import_module(home), f"register_{kind}"))


def test_the_citation_is_of_this_version_and_of_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    (paper,) = citation["references"]
    assert [author["family-names"] for author in paper["authors"]] == ["Xiang", "Li", "Zhou", "Wang", "Zhang"]


def test_the_changelog_has_this_version_or_is_before_its_release() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[Unreleased\]$", text, re.M)
    assert __version__ in text


@pytest.mark.parametrize("form", sorted(path.name for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")))
def test_an_issue_form_is_well_formed(form: str) -> None:
    content: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / form).read_text())
    if form != "config.yml":
        assert {"name", "description", "body"} <= set(content)
        ids = [entry["id"] for entry in content["body"] if entry["type"] != "markdown"]
        assert len(set(ids)) == len(ids) > 0


def test_the_workflow_tests_every_python_and_system() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    jobs = yaml.safe_load(text)["jobs"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pythons = {name.rpartition(" :: ")[2] for name in project["classifiers"] if re.search(r":: 3\.\d+$", name)}
    assert set(jobs["tests"]["strategy"]["matrix"]["python"]) == pythons
    assert all(system in text for system in ("ubuntu-latest", "macos-latest", "windows-latest"))
    (torch,) = (each.partition(">=")[2] for each in project["dependencies"] if each.startswith("torch"))
    assert f"{torch}.0" in jobs["oldest"]["strategy"]["matrix"]["torch"]
    assert any("test_oldest.sh" in str(step.get("run")) for step in jobs["oldest"]["steps"])


def test_the_hooks_are_the_linters_tools() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)
    assert lint is not None
    for hook in hooks:
        assert " ".join(hook["entry"].split()[:2]).removesuffix(" --check") in lint[1]


def test_tests_of_the_base_install_are_found_by_their_mark() -> None:
    script = (ROOT / "scripts" / "test_oldest.sh").read_text()
    (pattern,) = set(re.findall(r"'(\^pytestmark[^']*)'", script))
    marked = [path for path in (ROOT / "tests").rglob("test_*.py") if re.search(pattern, path.read_text(), re.M)]
    assert len(marked) >= 10
    # Every mark is written like that.
    assert not [path for path in set((ROOT / "tests").rglob("test_*.py")) - set(marked) if _is_marked(path)]


def _is_marked(path: Path) -> bool:
    return path != Path(__file__) and "mark.base" in path.read_text()
