"""Every command on a disk that takes no file beyond some bytes: status 1 and one line that names the file, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from poseglot.data.store import open_store
from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")]

# Runs commands one after the other, each under a limit of its own, and prints their statuses and what they said.
CHILD = """
import contextlib, io, json, resource, signal, sys
from poseglot.app.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
said = []
for limit, arguments in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit or resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(arguments)
        except SystemExit as left:
            status = left.code
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    said.append((status, err.getvalue()))
print(json.dumps(said))
"""
TRAIN = ["train", "--config", "demo", "--text.prompt", "none", "--model.base_channels", "8", "--optim.epochs", "1",
         "--optim.milestones", "[]", "--data.repeat", "1", "--optim.batch_size", "8", "--accelerator", "cpu"]  # fmt: skip
WRITERS = {
    "a recipe": (500, [*TRAIN, "--data.store", "STORE", "--out", "no/a"]),
    "a checkpoint": (20_000, [*TRAIN, "--data.store", "STORE", "--out", "no/b"]),
    "a store": (50_000, ["prepare", "demo", "--out", "no/c"]),
    "a report of preparation": (20, ["prepare", "demo", "--out", "no/d"]),
    "scores": (500, ["evaluate", "run"]),
    "results of a batch": (100, ["predict", "run", "clip.npy", "--engine", "local", "--out", "no/e"]),
    "segments": (50, ["segment", "run", "clip.npy", "--out", "no.csv"]),
    "a card": (500, ["card", "run", "--out", "no.md"]),
    "a project": (200, ["init", "no/f", "--source", "set", "--layout", "kinect20"]),
    "a study": (300, ["study", "study.yaml", "--out", "no/g"]),
    "a joined store": (1000, ["join", "STORE", "--out", "no/h"]),
}
STUDY = """
format: poseglot-study/2
title: One
about: One row.
base: demo
settings: {data.store: STORE, model.base_channels: 8, optim.epochs: 1, optim.milestones: [], data.repeat: 1}
modalities: [joint]
seeds: [0]
tables: [{title: One, rows: [{name: alone, settings: {text.prompt: none}}]}]
"""


def test_a_full_disk_is_said_in_one_line(few_clips: Path, tmp_path: Path) -> None:
    store = open_store(few_clips)
    np.save(tmp_path / "clip.npy", store[0].joints)
    for number in range(6):
        folder = tmp_path / "set" / ("bow" if number % 2 else "wave")
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{number}.npy", store[number].joints)
    (tmp_path / "study.yaml").write_text(STUDY.replace("STORE", str(few_clips)))
    train = (0, [*TRAIN, "--data.store", "STORE", "--out", "run"])
    asked = json.dumps([train, *WRITERS.values()]).replace("STORE", str(few_clips))
    done = subprocess.run(
        [sys.executable, "-c", CHILD, asked],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        # Bytecode that does not fit would be cut short without an error.
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr
    (status, said), *rest = json.loads(done.stdout.splitlines()[-1])
    assert status == 0, said
    for what, (status, said) in zip(WRITERS, rest, strict=True):
        last = said.strip().splitlines()[-1] if said.strip() else ""
        assert status == 1 and last.startswith("poseglot: ") and "File too large" in last, f"{what}: {status}, {said}"
        assert "Traceback" not in said, what
    left = [path for path in tmp_path.rglob("*") if path.name.startswith(".") and path.is_file() and path.name != ".lock"]
    assert not left, left
