"""The fuzzing script, run for a moment: damaged files neither stop nor mislead the reader, and it says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

SCRIPT = ROOT / "benchmarks" / "fuzz_ntu_reader.py"


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--out", str(folder / "failures"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_two_hundred_damaged_files(tmp_path: Path) -> None:
    done = run("--inputs", "200", "--seed", "0", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "200 inputs" in done.stdout and not (tmp_path / "failures").exists()
    words = done.stdout.split()
    assert int(words[words.index("accepted") + 1]) > 20 and int(words[words.index("malformed") + 1].strip(",")) > 20


def test_a_failure_is_written_down_and_makes_the_run_fail(tmp_path: Path) -> None:
    """No input can be judged in no time."""
    done = run("--inputs", "5", "--limit", "0", folder=tmp_path)
    assert done.returncode == 1 and "too slow" in done.stderr
    (written,) = (tmp_path / "failures").iterdir()
    assert str(written) in done.stdout
