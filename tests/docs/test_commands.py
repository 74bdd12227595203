"""Every command and every Python block of README, docs/ and results/README.md runs, or is in `only_parsed` with a reason.

The real parsers read all of them, which is quick and finds commands, options, settings and files that do not exist. Then they run page
by page, in order, in a folder with what the page assumes (`world`). Trainings are shortened to an epoch of a narrow network. The Python
blocks of a page share their names.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

import poseglot
from poseglot.app.cli import build_parser, main
from poseglot.app.commands import study as study_command
from poseglot.app.commands import train
from poseglot.app.project import recipe_text
from poseglot.studies.study import find_study
from poseglot.training.engine import train as train_recipe
from poseglot.training.recipe import Recipe
from poseglot.training.recipe_io import parse_recipe, recipe_help, recipe_yaml
from tests.conftest import ROOT
from tests.docs.blocks import PAGES, Block, blocks, commands
from tests.docs.only_parsed import ONLY_PARSED, PYTHON_ONLY_PARSED
from tests.docs.world import PROVIDED, TINY, World

EVERY = [(block, command) for page in PAGES for block in blocks(page) if not block.language for command in commands(block)]
LINES = sorted({shlex.join(command) for _, command in EVERY})
SETTINGS = set(re.findall(r"--[\w.]+", recipe_help()))
LANGUAGES = {"", "python", "yaml", "text", "math"}
# Pages with YAML, and the test that reads it.
YAML_TESTS = {
    "docs/layouts.md": "tests/skeletons/test_packaged_layouts.py",
    "docs/studies.md": "tests/studies/test_shipped_studies.py",
    "docs/text.md": "tests/descriptions/test_part_states.py",
}
# Pages whose Python another test runs.
PYTHON_TESTS = {"docs/adding-an-encoder.md": "tests/docs/test_adding_an_encoder.py"}
# Pages that train or start a server.
SLOW = {
    "README.md",
    "results/README.md",
    "docs/export.md",
    "docs/page.md",
    "docs/predicting.md",
    "docs/text.md",
    "docs/data.md",
    "docs/streaming.md",
    "docs/studies.md",
    "docs/python.md",
    "docs/recipes.md",
    "docs/training-settings.md",
}
# Pages whose blocks keep the working directory of the block before.
ONE_WALK = {"docs/own-data.md"}
RUN = [page for page in PAGES if any(block.language in ("", "python") for block in blocks(page)) and page not in PYTHON_TESTS]


def reason_not_to_run(command: Sequence[str]) -> str | None:
    """Return why a command is only parsed; None if it is run."""
    line = shlex.join(command)
    return next((reason for pattern, reason in ONLY_PARSED.items() if re.search(pattern, line)), None)


def test_there_are_commands_to_check() -> None:
    assert len(LINES) >= 90


@pytest.mark.parametrize("line", LINES)
def test_command_is_valid(line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    program, *arguments = shlex.split(line)
    if program == "poseglot" and arguments != ["--version"]:
        parsed, rest = build_parser().parse_known_args(arguments)
        if parsed.command is train.run:
            own = tmp_path / train.OWN_RECIPE  # the recipe that `poseglot init` writes
            own.write_text(recipe_text("by-subject", 100))
            parse_recipe(["--config", str(parsed.config or own), *rest])
        else:
            assert rest == []
        if parsed.command is study_command.run:
            assert find_study(parsed.study).is_file()
    elif program == "python" and arguments[0] == "-m":
        assert importlib.util.find_spec(arguments[1]), line
    elif program == "python":
        script, *given = arguments
        source = (ROOT / script).read_text()
        assert all(f'"{option}"' in source for option in given if option.startswith("--")), line
    elif program == "make":
        assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(), re.M)
    elif program == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert {name for named in re.findall(r"\[(.*?)\]", line) for name in named.split(",")} <= set(extras)


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_sentences_are_valid(page: str) -> None:
    """Check commands in the text, such as `poseglot evaluate RUN --store STORE`: the command and its options."""
    prose = re.sub(r"^```.*?^```", "", PAGES[page], flags=re.M | re.S)
    (subparsers,) = (each for each in build_parser()._actions if hasattr(each, "choices") and isinstance(each.choices, dict))
    for name, rest in re.findall(r"`poseglot ([a-z][a-z-]*)((?: [^`]*)?)`", re.sub(r"\s+", " ", prose)):
        assert name in subparsers.choices, f"{page}: poseglot {name}"
        known = set(subparsers.choices[name]._option_string_actions)
        if name in ("train", "study"):
            known |= SETTINGS
        assert set(re.findall(r"(?<= )--[\w.-]+", rest)) <= known, f"{page}: poseglot {name}{rest}"


def test_every_block_has_a_test() -> None:
    for page in PAGES:
        for block in blocks(page):
            assert block.language in LANGUAGES, block
            if block.language == "yaml":
                assert Path(page).name in (ROOT / YAML_TESTS[page]).read_text(), block
    for page, test in PYTHON_TESTS.items():
        assert Path(page).name in (ROOT / test).read_text()


@pytest.mark.parametrize("pattern", ONLY_PARSED)
def test_every_reason_has_a_command(pattern: str) -> None:
    assert any(re.search(pattern, line) for line in LINES)


def test_provided_pages_exist() -> None:
    assert set(PROVIDED) <= set(PAGES)
    assert set(RUN) >= SLOW


@pytest.mark.parametrize("page", [pytest.param(page, marks=pytest.mark.slow if page in SLOW else ()) for page in RUN])
def test_page_runs(page: str, tmp_path: Path, store_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, store_path, tiny_bert)
    world.provide(PROVIDED.get(page, ()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(poseglot, "train", short_train(world), raising=False)
    names: dict[str, Any] = {"__name__": "page"}
    with ExitStack() as until_the_end:
        for block in blocks(page):
            if page not in ONE_WALK:
                monkeypatch.chdir(tmp_path)
            if block.language == "python":
                run_python(block, tmp_path, names)
            elif not block.language:
                for command in commands(block):
                    run_command(command, block, world, until_the_end, monkeypatch)


def run_python(block: Block, folder: Path, names: dict[str, Any]) -> None:
    text = block.text
    port = folder / "port"
    if port.exists():
        text = text.replace("127.0.0.1:8000", f"127.0.0.1:{port.read_text()}")
    code = compile(text, str(block), "exec")
    if block.page not in PYTHON_ONLY_PARSED:
        exec(code, names)


def short_train(world: World) -> Any:
    """Return `poseglot.train` for an epoch of a narrow network."""

    def train(recipe: Recipe | str, out: str, **options: Any) -> Any:
        if isinstance(recipe, Recipe):
            file = world.folder / "given.yaml"
            file.write_text(recipe_yaml(recipe))
            recipe = str(file)
        return train_recipe(parse_recipe(shortened(["--config", recipe], world)), out, **options)

    return train


def run_command(
    command: Sequence[str], block: Block, world: World, until_the_end: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, *arguments = command
    if program == "cd":
        monkeypatch.chdir(arguments[0])
        return
    if reason_not_to_run(command):
        return
    assert program == "poseglot", f"{block}: {shlex.join(command)}"
    if arguments == ["--version"]:
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 0
        return
    if arguments[0] in ("serve", "demo"):
        until_the_end.enter_context(served(arguments, world.folder))
        return
    if arguments[0] == "train":
        arguments = [*shortened(arguments, world), "--accelerator=cpu"]
    if arguments[0] in ("train", "prepare", "init"):
        remove(arguments)
    status = main(arguments)
    assert status == 0, f"{block}: {shlex.join(command)}"


def shortened(arguments: Sequence[str], world: World) -> list[str]:
    """Shorten a training to an epoch of a narrow network. Settings of the command stay unless they make it longer."""
    settings = {**TINY, "text.encoder": str(world.text_encoder)}
    if "--config demo" in shlex.join(arguments) or "given.yaml" in shlex.join(arguments):
        settings["data.store"] = str(world.store)
    kept = list(arguments)
    for name in ("optim.epochs", "optim.milestones", "model.base_channels"):
        if f"--{name}" in kept:
            index = kept.index(f"--{name}")
            del kept[index : index + 2]
    return [*kept, *(word for name, value in settings.items() if f"--{name}" not in kept for word in (f"--{name}", value))]


def remove(arguments: Sequence[str]) -> None:
    """Remove what a command will make, if an earlier command of the page made it."""
    import shutil

    if "--out" in arguments:
        shutil.rmtree(arguments[arguments.index("--out") + 1], ignore_errors=True)


@contextmanager
def served(arguments: Sequence[str], folder: Path) -> Iterator[None]:
    """Run the server of a page as a process on a free port until the page ends."""
    import signal

    from tests.app.web.test_running import start

    given = [word for word in arguments if word not in ("--port", "8000")]
    process, address = start(*given, "--port", 0, *(["--no-browser"] if arguments[0] == "demo" else []))
    (folder / "port").write_text(address.rstrip("/").rpartition(":")[2])
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
