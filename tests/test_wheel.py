"""The wheel holds all that the package needs, and what is installed from it starts."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from poseglot import __version__
from tests.conftest import ROOT

pytestmark = pytest.mark.slow
SOURCE = ROOT / "src"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    if done.returncode and "hatchling" in said and "CI" not in os.environ:
        pytest.skip("the package index cannot be reached, and the build needs hatchling from there")
    assert done.returncode == 0, said
    (built,) = folder.glob("poseglot-*.whl")
    return built


def test_every_file_of_the_package_is_in_it(wheel: Path) -> None:
    wanted = {
        path.relative_to(SOURCE).as_posix()
        for path in (SOURCE / "poseglot").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        weights = sum(entry.file_size for entry in archive.infolist() if entry.filename.endswith(".safetensors"))
    assert wanted <= held
    assert weights <= 25e6
    # What runs without being imported, by name: a glob that found nothing would be content.
    for name in (
        "app/web/static/index.html", "app/browser_page/index.html", "app/browser_page/joints.js",
        "app/web/static/vendor/three.min.js", "app/web/static/vendor/three.LICENSE",
        "descriptions/sets/nw-ucla.yaml", "descriptions/vocabularies/hake.yaml", "skeletons/layouts/kinect20.yaml",
        "data/benchmarks/ntu60.yaml",
        "recognizers/nw-ucla/recognizer.safetensors", "recognizers/nw-ucla/LICENSE", "report/templates", "kernels", "py.typed",
    ):  # fmt: skip
        assert any(held_name.startswith(f"poseglot/{name}") for held_name in held), name
    info = [name for name in held if ".dist-info/" in name]
    assert any(name.endswith("/LICENSE") for name in info)
    assert any(name.endswith("licenses/src/poseglot/recognizers/nw-ucla/LICENSE") for name in info)
    assert {name.split("/")[0] for name in held} == {"poseglot", info[0].split("/")[0]}  # no tests, no pictures


def test_what_is_installed_from_it_starts(wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    python = venv / "bin" / "python"
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--no-deps",
        "--no-index",
        "--quiet",
        str(wheel),
    ]
    subprocess.run(install, check=True)
    # The packages that it needs are those of this environment, which a path file leads to; its own poseglot comes after.
    (site,) = venv.glob("lib/python3*/site-packages")
    (site / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def said(*command: object) -> str:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert said(python, "-c", "import poseglot; print(poseglot.__file__)").startswith(str(site))
    poseglot = venv / "bin" / "poseglot"
    assert __version__ in said(poseglot, "--version")
    assert "--run" in said(poseglot, "demo", "--help")
    assert "nw-ucla" in said(poseglot, "models")
    clip = "import numpy; numpy.save('clip.npy', numpy.random.default_rng(0).normal(size=(1, 30, 20, 3)))"
    said(python, "-c", clip)
    assert "%" in said(poseglot, "predict", "nw-ucla", "clip.npy")
    load = """
from poseglot.app.web.server import STATIC
from poseglot.descriptions.description import load_descriptions
from poseglot.data.benchmarks import load_benchmark
from poseglot.skeletons.layout import load_layout
load_descriptions("ntu120")
print(len(load_benchmark("ntu60").classes), len(load_layout("ntu25")), (STATIC / "vendor" / "three.LICENSE").read_text()[:15])
"""
    assert said(python, "-c", load).strip() == "60 25 The MIT License"
