"""The rooms of the package: arrows go one way, no two files import each other, files are short, libraries stay in their file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

SOURCE = ROOT / "src" / "poseglot"
# Everybody may import the ground; it imports only itself.
GROUND = {"colors", "devices", "errors", "files", "random", "registry", "safe_text", "safe_yaml", "child", "zips"}
_TO_TRAINING = {"skeletons", "data", "transforms", "descriptions", "kernels", "models", "losses", "evaluation"}
MAY_IMPORT: dict[str, set[str]] = {
    "skeletons": set(),
    "data": {"skeletons"},
    "transforms": {"skeletons"},
    "descriptions": {"skeletons"},
    "kernels": set(),
    "models": {"skeletons", "kernels"},
    "losses": set(),
    "evaluation": set(),
    "training": _TO_TRAINING,
    "inference": {"skeletons", "data", "transforms", "models", "evaluation"},
    "studies": {*_TO_TRAINING, "training"},
    "report": {*_TO_TRAINING, "training", "inference", "studies"},
    "app": {*_TO_TRAINING, "training", "inference", "studies", "report"},
    "testing": {"skeletons", "models"},
}
MAX_LINES, MAX_COMMAND_LINES = 500, 130


@cache
def modules() -> dict[str, Path]:
    """Map the name of every module of the package to its file."""
    found = {}
    for file in sorted(SOURCE.rglob("*.py")):
        parts = file.relative_to(SOURCE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imported(file: Path) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of everything of ours that a file imports, in functions and for types, too. The name may be empty."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "poseglot":
            yield from ((str(node.module), alias.name) for alias in node.names)
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "poseglot")


@cache
def graph() -> dict[str, set[str]]:
    """Map every module to those that it imports.

    The root, `poseglot`, is left out: it imports nothing but lists, by name, where its public names are.
    """
    edges: dict[str, set[str]] = {}
    for module, file in modules().items():
        targets = {f"{target}.{name}" if f"{target}.{name}" in modules() else target for target, name in imported(file)}
        edges[module] = targets - {"poseglot", module}
    return {module: edges[module] for module in edges if module not in ("poseglot", "poseglot.__main__")}


def circles() -> list[set[str]]:
    """Return the strongly connected components of more than one file (Tarjan's algorithm)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(module: str) -> None:
        number[module] = low[module] = len(number)
        stack.append(module)
        for target in sorted(graph().get(module, ())):
            if target not in number:
                visit(target)
                low[module] = min(low[module], low[target])
            elif target in stack:
                low[module] = min(low[module], number[target])
        if low[module] == number[module]:
            component = set(stack[stack.index(module) :])
            del stack[stack.index(module) :]
            if len(component) > 1:
                found.append(component)

    for module in graph():
        if module not in number:
            visit(module)
    return found


def room_of(module: str) -> str:
    return [*module.split("."), ""][1]


@pytest.mark.parametrize("room", [*MAY_IMPORT, *sorted(GROUND)])
def test_a_room_imports_only_those_below_it(room: str) -> None:
    allowed = {*MAY_IMPORT.get(room, ()), *GROUND, room, ""}
    for module, targets in graph().items():
        if room_of(module) == room:
            assert {room_of(target) for target in targets} <= allowed, module


def test_every_room_is_listed() -> None:
    rooms = {path.stem for path in SOURCE.iterdir() if path.is_dir() or path.suffix == ".py"}
    packaged_data = {path.name for path in SOURCE.iterdir() if path.is_dir() and not any(path.rglob("*.py"))}
    assert rooms - packaged_data - {"__init__", "__main__", "__pycache__"} == {*MAY_IMPORT, *GROUND}


def test_no_two_files_import_each_other() -> None:
    """Imports in functions and for type checkers count: a circle of files is one file in disguise."""
    found = {frozenset(module.removeprefix("poseglot.") for module in component) for component in circles()}
    assert not found, [sorted(component) for component in found]


def test_files_are_short() -> None:
    found = set()
    for file in modules().values():
        name = file.relative_to(SOURCE).as_posix()
        if len(file.read_text(encoding="utf-8").splitlines()) > (
            MAX_COMMAND_LINES if name.startswith("app/commands/") else MAX_LINES
        ):
            found.add(name)
    assert not found, sorted(found)


@pytest.mark.parametrize(
    ("library", "place"),
    [
        ("lightning_fabric", "training/engine.py"),
        ("jsonargparse", "training/recipe_io.py"),
        ("submitit", "studies/cluster.py"),
        ("scipy.io", "data/readers/matlab.py"),
        ("h5py", "data/readers/hdf5.py"),
        ("ezc3d", "data/readers/mocap.py"),
        ("openai", "descriptions/endpoint.py"),
        ("uvicorn", "app/web/running.py"),
        ("rtmlib", "inference/video/rtmpose.py"),
        ("mediapipe", "inference/video/blazepose.py"),
        ("cv2", "inference/video/frames.py"),
        ("fastapi", "app/web/server.py"),
        ("huggingface_hub", "models/hub.py"),
        ("ray", "inference/batch_ray.py"),
    ],
)
def test_a_library_stays_in_its_file(library: str, place: str) -> None:
    users = [
        file
        for file in SOURCE.rglob("*.py")
        if f"import {library}" in file.read_text() or f"from {library}" in file.read_text()
    ]
    assert users == [SOURCE / place]
