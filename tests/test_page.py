"""benchmarks/page.py runs, briefly, and writes its table."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytest.importorskip("fastapi")
pytest.importorskip("selenium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks look at processes in Linux's way"),
    pytest.mark.skipif(not shutil.which("chromedriver"), reason="there is no Chromium with its driver here"),
]


def test_frames_are_counted_in_both_ways_of_drawing(tmp_path: Path) -> None:
    script = [sys.executable, str(ROOT / "benchmarks" / "page.py"), "--seconds", "1", "--out", str(tmp_path)]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert [row["way"] for row in rows] == ["flat", "3d"]
    assert all(row["drawn/s"] > 1 and row["processor, ms"] > row["script, ms"] > 0 for row in rows)
    assert "What the page's frames cost" in (tmp_path / "table.md").read_text()
