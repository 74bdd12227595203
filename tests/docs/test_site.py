"""The site that `make docs` builds: strict, nothing loaded from other hosts, no dead links, complete generated pages."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from dataclasses import fields, is_dataclass
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import get_type_hints

import pytest
import yaml

import poseglot
from poseglot.studies.study import list_studies
from poseglot.training.recipe import Recipe
from poseglot.training.recipe_io import find_recipe, list_recipes
from tests.conftest import ROOT

LOADS = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}


def loaded(name: str) -> ModuleType:
    """Load a file of scripts/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script that assembles the pages."""
    return loaded("docs_site")


def test_sources_are_not_emptied(script: ModuleType, tmp_path: Path) -> None:
    script.ROOT = tmp_path
    (tmp_path / "docs").mkdir()
    for out in (tmp_path, tmp_path / "docs"):
        with pytest.raises(SystemExit, match="would be emptied"):
            script.assemble(out)
    script.ROOT = ROOT


@pytest.fixture(scope="module")
def site(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, built as by the Makefile."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    script.assemble(folder / "build" / "docs")
    build = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--clean"], cwd=folder, capture_output=True, text=True
    )
    said = re.sub(r"\x1b\[[\d;]*m", "", build.stdout + build.stderr).split("Traceback")[0]
    assert build.returncode == 0, said
    return folder / "site"


class Page(HTMLParser):
    """What a page loads, its links, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in LOADS and given.get(LOADS[tag]):
            self.loaded.append(str(given[LOADS[tag]]))
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
        self.anchors |= {str(given[key]) for key in ("id", "name") if given.get(key)}


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path.resolve(): Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def test_everything_loaded_is_local(pages: dict[Path, Page]) -> None:
    assert len(pages) >= 24
    for path, page in pages.items():
        for target in page.loaded:
            if not target.startswith("data:"):
                assert not re.match(r"(\w+:)?//", target), (path.name, target)
                assert (path.parent / target.split("?")[0].split("#")[0]).exists(), (path.name, target)


def test_style_sheets_are_local(site: Path) -> None:
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_links_are_valid(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        for link in page.links:
            if re.match(r"(https?|mailto):", link):
                continue
            target, _, anchor = link.partition("#")
            reached = (path.parent / target).resolve() if target else path
            assert reached.exists(), (path.name, link)
            if anchor and reached in pages:
                assert anchor in pages[reached].anchors or anchor == "__top", (path.name, link)


def test_every_page_is_in_the_navigation(script: ModuleType) -> None:
    named = set(re.findall(r"[\w/-]+\.md", yaml.safe_dump(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])))
    there = {path.name for path in (ROOT / "docs").glob("*.md")}
    generated = {f"python/{name}.md" for name in script.api_pages()} - {"python/poseglot.md"}
    assert named == there | generated | {"results/README.md"}


def test_llms_txt_lists_the_navigation(site: Path, pages: dict[Path, Page]) -> None:
    text = (site / "llms.txt").read_text()
    listed = re.findall(r"^- \[([^]]+)\]\(([^)]+)\.html\): (.+)$", text, re.M)
    navigation = re.findall(r"^ +- ([^:\n]+): (\S+)\.md$", (ROOT / "mkdocs.yml").read_text(), re.M)
    assert sorted((name, page) for name, page, _ in listed) == sorted(navigation) and len(listed) == text.count("\n- ")
    for _, page, sentence in listed:
        linked = f"{page.removesuffix('README')}index.html" if page.endswith("README") else f"{page}.html"
        assert site / linked in pages, page
        assert len(sentence) > 20 and sentence.endswith(".") and "](" not in sentence, (page, sentence)


def test_commands_page_is_complete(script: ModuleType, site: Path) -> None:
    page = script.commands_page()
    for name, parser in script.commands().items():
        (section,) = re.findall(rf"^## poseglot {name}\n(.*?)(?=^## |\Z)", page, re.M | re.S)
        for option in parser._option_string_actions:
            assert option in ("-h", "--help") or option in section, f"{name} {option}"
        assert f'id="poseglot-{name}"' in (site / "commands.html").read_text()


def test_settings_page_is_complete(script: ModuleType) -> None:
    page = script.settings_page()
    for section, kind in get_type_hints(Recipe).items():
        for name in [f"{section}.{entry.name}" for entry in fields(kind)] if is_dataclass(kind) else [section]:
            (row,) = re.findall(rf"^\| `{name}` \| (.+) \| (.+) \| (.+) \|$", page, re.M)
            assert all(cell.strip() for cell in row), name
            assert row[2].endswith((".", ")")) and row[2].count("`") % 2 == 0, f"{name}: {row[2]}"


def test_recipes_page_is_complete(script: ModuleType) -> None:
    recipes, studies = script.recipes_page(), script.studies_page()
    for name in list_recipes():
        assert f"### {name}\n" in recipes and find_recipe(name).read_text().strip() in recipes
    for name in list_studies():
        assert f"`{name}`" in studies


def test_every_public_name_is_in_the_reference(script: ModuleType) -> None:
    reference = "\n".join(script.api_pages().values())
    for name in poseglot.__all__:
        assert f"poseglot.{name}" in reference, name


def test_search_finds_how_to_read_the_files_of_pose_estimators(site: Path) -> None:
    table = (site / "data.html").read_text()
    for tool in ("OpenPose", "MediaPipe", "YOLO", "AlphaPose", "MMPose"):
        assert tool in table, tool


def test_formulas_are_mathml(site: Path) -> None:
    method = (site / "method.html").read_text()
    assert method.count("<math") == 4 and "\\frac" not in re.sub(r"<annotation.*?</annotation>", "", method, flags=re.S)


def test_pictures_of_the_method_are_current(tmp_path: Path) -> None:
    loaded("method_pictures").main(tmp_path)
    for picture in tmp_path.glob("*.svg"):
        there = (ROOT / "docs" / "pictures" / picture.name).read_text()
        # The last digits of coordinates are the machine's.
        assert re.sub(r"[\d.]+", "#", there) == re.sub(r"[\d.]+", "#", picture.read_text()), (
            f"run scripts/method_pictures.py for {picture.name}"
        )
