"""Every command and every Python block of README, docs/ and results/README.md is run, or stands in `only_parsed` with a reason.

All of them are read by the real parsers (that is quick, and says which command, option, setting or file does not exist). Then page by page
they are run, in order, in a folder that holds what the page takes for granted (`world`), trainings for an epoch of a narrow network.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from poseglot.app.cli import build_parser, main
from poseglot.app.commands import study as study_command
from poseglot.app.commands import train
from poseglot.app.project import recipe_text
from poseglot.models.encoders import create_encoder
from poseglot.skeletons.layout import load_layout
from poseglot.studies.study import find_study
from poseglot.training.recipe_io import parse_recipe, recipe_help
from tests.conftest import ROOT
from tests.docs.blocks import PAGES, Block, blocks, commands
from tests.docs.only_parsed import ONLY_PARSED, PYTHON_ONLY_PARSED
from tests.docs.world import PROVIDED, TINY, World

EVERY = [(block, command) for page in PAGES for block in blocks(page) if not block.language for command in commands(block)]
LINES = sorted({shlex.join(command) for _, command in EVERY})
SETTINGS = set(re.findall(r"--[\w.]+", recipe_help()))
LANGUAGES = {"", "python", "yaml", "text", "math"}
# Blocks of YAML, and the test that reads them.
YAML_TESTS = {
    "docs/layouts.md": "tests/skeletons/test_packaged_layouts.py",
    "docs/studies.md": "tests/studies/test_shipped_studies.py",
    "docs/text.md": "tests/descriptions/test_states.py",
}
# Python that another test runs: the page's only block of a file of ours.
PYTHON_TESTS = {"docs/adding-an-encoder.md": "tests/docs/test_adding_an_encoder.py"}
# Pages that train, or start a server: a few seconds each.
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
}
# Pages whose blocks go on where the one before has gone to.
ONE_WALK = {"docs/own-data.md"}
RUN = [page for page in PAGES if any(block.language in ("", "python") for block in blocks(page)) and page not in PYTHON_TESTS]


def reason_not_to_run(command: Sequence[str]) -> str | None:
    line = shlex.join(command)
    return next((reason for pattern, reason in ONLY_PARSED.items() if re.search(pattern, line)), None)


def test_there_are_commands_to_check() -> None:
    assert len(LINES) >= 90


@pytest.mark.parametrize("line", LINES)
def test_every_command_exists_and_takes_what_it_is_given(line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    program, *arguments = shlex.split(line)
    if program == "poseglot" and arguments != ["--version"]:
        parsed, rest = build_parser().parse_known_args(arguments)
        if parsed.command is train.run:
            own = tmp_path / train.OWN_RECIPE  # what `poseglot init` wrote, in the folder that it is called in
            own.write_text(recipe_text("by-subject", train=100))
            parse_recipe(["--config", str(parsed.config or own), *rest])
        else:
            assert rest == []
        if parsed.command is study_command.run:
            assert find_study(parsed.study).is_file()
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
def test_commands_within_sentences_exist_and_have_their_options(page: str) -> None:
    """`poseglot evaluate RUN --store STORE` in the text: the command, and every option or setting that is named."""
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
def test_every_reason_not_to_run_a_command_is_still_needed(pattern: str) -> None:
    assert any(re.search(pattern, line) for line in LINES)


def test_what_a_page_takes_for_granted_is_of_a_page_that_is_there() -> None:
    assert set(PROVIDED) <= set(PAGES)
    assert set(RUN) >= SLOW


@pytest.mark.parametrize("page", [pytest.param(page, marks=pytest.mark.slow if page in SLOW else ()) for page in RUN])
def test_a_page_does_what_it_says(
    page: str, tmp_path: Path, store_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, store_path, tiny_bert)
    world.provide(PROVIDED.get(page, ()))
    monkeypatch.chdir(tmp_path)
    with ExitStack() as until_the_end:
        for block in blocks(page):
            if page not in ONE_WALK:
                monkeypatch.chdir(tmp_path)
            if block.language == "python":
                run_python(block, tmp_path)
            elif not block.language:
                for command in commands(block):
                    run_command(command, block, world, until_the_end, monkeypatch)


def run_python(block: Block, folder: Path) -> None:
    text = block.text
    port = folder / "port"
    if port.exists():
        text = text.replace("127.0.0.1:8000", f"127.0.0.1:{port.read_text()}")
    code = compile(text, str(block), "exec")
    if block.page not in PYTHON_ONLY_PARSED:
        exec(code, names_for(block.page))


def names_for(page: str) -> dict[str, Any]:
    """What a page's Python has from outside."""
    if page != "docs/speed.md":
        return {}

    class Holder:
        encoder = create_encoder("ctr-gcn", load_layout("kinect20"), people=1, channels=3, width=8)

    return {"recognizer": Holder, "clips": torch.zeros(1, 1, 20, 20, 3)}


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
        arguments = shortened(arguments, world)
    if arguments[0] in ("train", "prepare", "new"):
        remove(arguments)
    status = main(arguments)
    assert status == 0, f"{block}: {shlex.join(command)}"


def shortened(arguments: Sequence[str], world: World) -> list[str]:
    """The same training for an epoch of a narrow network; what the command sets itself stays, if it makes it no longer."""
    settings = {**TINY, "text.encoder": str(world.text_encoder)}
    if "--config demo" in shlex.join(arguments):
        settings["data.store"] = str(world.store)
    kept = list(arguments)
    for name in ("optim.epochs", "optim.milestones", "model.base_channels"):
        if f"--{name}" in kept:
            place = kept.index(f"--{name}")
            del kept[place : place + 2]
    kept.append("--accelerator=cpu")
    return [*kept, *(word for name, value in settings.items() if f"--{name}" not in kept for word in (f"--{name}", value))]


def remove(arguments: Sequence[str]) -> None:
    """What a command is to make, and what was there for those before it on the page."""
    import shutil

    if "--out" in arguments:
        shutil.rmtree(arguments[arguments.index("--out") + 1], ignore_errors=True)


@contextmanager
def served(arguments: Sequence[str], folder: Path) -> Iterator[None]:
    """The server of a page, as a process on a port that is free, until the page ends."""
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
