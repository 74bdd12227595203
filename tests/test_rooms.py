"""The rooms of the package, and who may know whom: arrows go one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

SOURCE = ROOT / "src" / "poseglot"
# Everybody may know what says errors, writes files, finds packaged ones and moves tensors.
GROUND = {"colors", "devices", "errors", "files", "memory", "packaged", "random", "registry"}
MAY_KNOW = {
    "skeletons": set(),
    "data": {"skeletons"},
    "descriptions": {"skeletons"},
    "kernels": set(),
    "models": {"skeletons", "kernels"},
    "losses": set(),
    "evaluation": set(),
    "training": {"skeletons", "data", "descriptions", "models", "losses", "evaluation"},
    "studies": {"skeletons", "data", "descriptions", "models", "evaluation", "training"},
    "inference": {"skeletons", "data", "models"},
    "report": {"skeletons", "data", "descriptions", "models", "losses", "evaluation", "training", "inference"},
    "app": {
        "skeletons",
        "data",
        "descriptions",
        "models",
        "losses",
        "evaluation",
        "training",
        "studies",
        "inference",
        "report",
    },
}


def known_rooms(file: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(file.read_text())):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for module in modules:
            parts = module.split(".")
            if parts[0] == "poseglot" and len(parts) > 1:
                rooms.add(parts[1])
    return rooms


@pytest.mark.parametrize("room", MAY_KNOW)
def test_a_room_knows_only_those_below_it(room: str) -> None:
    files = list((SOURCE / room).rglob("*.py")) or [SOURCE / f"{room}.py"]
    for file in files:
        assert known_rooms(file) <= MAY_KNOW[room] | GROUND | {room}, file


def test_every_room_is_listed() -> None:
    rooms = {path.stem for path in SOURCE.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert rooms - {"__init__", "__main__", "__pycache__", "py"} == set(MAY_KNOW) | GROUND


@pytest.mark.parametrize(
    ("library", "place"),
    [
        ("lightning_fabric", "training/engine.py"),
        ("jsonargparse", "training/recipe_io.py"),
        ("submitit", "studies/cluster.py"),
        
        ("scipy", "data/readers/matlab.py"),
        ("openai", "descriptions/endpoint.py"),
        ("uvicorn", "app/web/running.py"),
        ("rtmlib", "inference/video/rtmpose.py"),
        ("mediapipe", "inference/video/blazepose.py"),
        ("cv2", "inference/video/frames.py"),
        ("fastapi", "app/web/server.py"),
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
