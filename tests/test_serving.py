"""benchmarks/serving.py runs, on very little, and writes its table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytest.importorskip("fastapi")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks look at memory in Linux's way")


def test_the_load_test_runs(tmp_path: Path) -> None:
    script = [sys.executable, str(ROOT / "benchmarks" / "serving.py")]
    options = ["--requests", "40", "--clients", "2", "--width", "8", "--out", str(tmp_path)]
    done = subprocess.run([*script, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert row["clients"] == 2 and row["requests/s"] > 0 and row["p50, ms"] <= row["p99, ms"] <= row["slowest, ms"]
    assert "Serving on loopback" in (tmp_path / "table.md").read_text()
