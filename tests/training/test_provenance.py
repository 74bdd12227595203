"""git is asked about our own checkout only, without locks and without programs that a repository names."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from poseglot.training import provenance


def run(*arguments: object, folder: Path) -> None:
    subprocess.run(list(map(str, arguments)), cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of a package like ours, whose settings name a program."""
    file = tmp_path / "src" / "poseglot" / "training" / "provenance.py"
    file.parent.mkdir(parents=True)
    file.write_text("")
    monkeypatch.setattr(provenance, "__file__", str(file))
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    run("git", "init", folder=tmp_path)
    run("git", "add", "src", folder=tmp_path)
    run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "x", folder=tmp_path)
    run("git", "config", "core.fsmonitor", program, folder=tmp_path)
    return tmp_path


def test_a_commit_is_found_and_nothing_is_run_or_written(checkout: Path) -> None:
    index = checkout / ".git" / "index"
    file = checkout / "src" / "poseglot" / "training" / "provenance.py"
    file.touch()  # git would refresh its index
    before = index.read_bytes()
    commit = provenance.source_commit()
    assert commit is not None and len(commit) == 40
    assert not (checkout / "ran").exists() and index.read_bytes() == before
    file.write_text("changed")
    assert provenance.source_commit() == f"{commit}+"


def test_another_repository_is_not_asked(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = checkout / "venv" / "lib" / "python" / "site-packages" / "poseglot" / "training" / "provenance.py"
    installed.parent.mkdir(parents=True)
    installed.touch()
    monkeypatch.setattr(provenance, "__file__", str(installed))

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(subprocess, "run", refuse)
    assert provenance.source_commit() is None
