"""Working through cells: what is started, what goes on, what is left alone, and what stops. The stand-in for `poseglot` learns nothing."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.app.cli import main
from poseglot.data.store import PackedStore
from poseglot.studies import executors, runner
from poseglot.studies.study import load_study
from poseglot.training.recipe import Recipe
from tests.conftest import ROOT
from tests.studies.helpers import STAND_IN, finish, write_study
from tests.training.helpers import small_recipe

Study = Callable[..., Path]


pytestmark = pytest.mark.usefixtures("stand_in")


@pytest.fixture
def study(tmp_path: Path, store_path: Path) -> Study:
    """Writes a study on the small store; an epoch takes `pace` seconds."""

    def write(*, pace: float = 0, **changes: Any) -> Path:
        return write_study(tmp_path / "study", paced(store_path, pace), **changes)

    return write


@pytest.fixture(scope="module")
def whole(store_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study like that of `study()`, never stopped."""
    path = write_study(tmp_path_factory.mktemp("whole"), paced(store_path, 0))
    assert run(path, "--jobs", "2") == 0
    return path


def paced(store: Path, pace: float) -> Recipe:
    recipe = small_recipe(store, Path("no-text-encoder"))
    return replace(recipe, optim=replace(recipe.optim, weight_decay=pace))


def in_another_process(path: Path, *arguments: str) -> subprocess.Popen[str]:
    """`poseglot study`, with the stand-in in place, and with ears for Ctrl-C even if these tests run in the background of a shell."""
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        f"from poseglot.studies import runner; runner._PROGRAM = (sys.executable, {str(STAND_IN)!r});"
        "from poseglot.app.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    given = [sys.executable, "-c", code, "study", str(path), "--runs", str(path.parent / "runs"), *arguments]
    return subprocess.Popen(given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def wait_for(what: Callable[[], object], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """A zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def pids(runs: Path) -> list[int]:
    return [int(line) for line in (runs / "pids").read_text().split()] if (runs / "pids").exists() else []


def epochs(runs: Path) -> list[int]:
    """Lines of every run's log."""
    return [len(path.read_text().splitlines()) for path in sorted(runs.glob("*/log.jsonl"))]


def contents(runs: Path) -> dict[Path, tuple[bytes, int]]:
    """Every file of the runs, and when it was written."""
    files = [file for file in runs.rglob("*") if file.is_file() and not file.match("table.*")]
    return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files}


def run(path: Path, *arguments: str) -> int:
    return main(["study", str(path), "--runs", str(path.parent / "runs"), *arguments])


def test_a_second_call_runs_nothing_and_changes_nothing(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    path = study(seeds=[0, 1])
    runs = path.parent / "runs"
    assert run(path, "--jobs", "2") == 0
    said = capsys.readouterr().out
    assert "4 runs, 0 done already, 4 to do" in said
    for name in ("without-joint-seed0", "four-parts-joint-seed1"):
        assert f"started   {name}\n" in said
        assert f"finished  {name}, 00:" in said
    before = contents(runs)
    tables = [(runs / name).read_text() for name in ("table.md", "table.csv")]
    assert len(pids(runs)) == 4
    assert run(path) == 0
    assert "4 done already, 0 to do" in capsys.readouterr().out
    assert contents(runs) == before
    assert [(runs / name).read_text() for name in ("table.md", "table.csv")] == tables


def test_a_run_that_fails_is_reported_and_the_others_go_on(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"name": "wild", "settings": {"optim.lr": 5.0}}, {"name": "tame"}]
    path = study(tables=[{"title": "T", "rows": rows, "compare_with": "tame"}])
    assert run(path) == 1
    said = capsys.readouterr()
    assert "failed    wild-joint-seed0, 00:" in said.out
    assert "ended with status 1; the end of" in said.out and "  the training has diverged" in said.out
    assert "finished  tame-joint-seed0" in said.out
    assert "1 of 2 runs failed: wild-joint-seed0" in said.err
    page = (path.parent / "runs" / "table.md").read_text()
    assert "| wild | - | - |" in page
    assert "| tame | - |" not in page


def test_a_trained_run_is_only_evaluated(study: Study) -> None:
    path = study()
    assert run(path) == 0
    runs = path.parent / "runs"
    table = (runs / "table.csv").read_text()
    (runs / "without-joint-seed0" / "scores.npz").unlink()
    (runs / "four-parts-joint-seed0" / "scores.npz").write_bytes(b"cut short")
    trained = pids(runs)
    assert run(path) == 0
    assert pids(runs) == trained
    assert (runs / "table.csv").read_text() == table


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(signal.SIGTERM, id="SIGTERM"),
        pytest.param(signal.SIGKILL, id="SIGKILL"),
        pytest.param(signal.SIGINT, id="SIGINT", marks=pytest.mark.slow),
    ],
)
def test_a_stopped_study_leaves_no_process_and_goes_on_to_the_same_table(
    study: Study, whole: Path, how: signal.Signals
) -> None:
    if how == signal.SIGKILL and sys.platform != "linux":
        pytest.skip("only Linux ends the children of a killed process")
    path = study()
    runs = path.parent / "runs"
    runs.mkdir()
    (runs / "hold").touch()
    process = in_another_process(path, "--jobs", "2")
    wait_for(lambda: epochs(runs) == [1, 1])
    process.send_signal(how)
    _, error = process.communicate(timeout=30)
    wait_for(lambda: not any(map(alive, pids(runs))), 30)
    assert len(pids(runs)) == 2
    (runs / "hold").unlink()
    if how == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130, error
        assert "the same command continues" in error
        assert "Traceback" not in error
    assert run(path, "--jobs", "2") == 0
    assert "going on after epoch 0" not in (runs / "without-joint-seed0.log").read_text().split("$ ")[2]
    assert epochs(runs) == [3, 3]
    for name in ("table.md", "table.csv"):
        unbroken = (whole.parent / "runs" / name).read_text()
        assert (runs / name).read_text() == unbroken.replace(str(whole.parent), str(path.parent))


def test_a_run_that_another_study_works_on_is_waited_for_and_not_done_again(study: Study, tmp_path: Path) -> None:
    without, four = load_study(study(), runs=tmp_path / "runs").cells
    works = [runner.LocalWork(cell) for cell in (without, four)]
    logs = [cell.log.open("ab") for cell in (without, four)]
    for log in logs:
        fcntl.flock(log, fcntl.LOCK_EX)  # as the other study's processes do
    assert not any(work.ended() for work in works)
    finish(without, np.eye(4, dtype=np.float32), np.arange(4))
    for log in logs:
        log.close()
    assert works[0].ended() and not works[0].failure
    assert not without.log.read_text()
    twins = [works[1], runner.LocalWork(four)]
    wait_for(lambda: not [work for work in twins if not work.ended()])
    assert len(pids(tmp_path / "runs")) == 1 and (four.folder / "scores.npz").exists()


def test_as_many_run_at_once_as_jobs_say_with_their_share_of_the_cores(
    study: Study, monkeypatch: pytest.MonkeyPatch, small_store: PackedStore
) -> None:
    path = study(seeds=[0, 1], pace=0.1)
    running: list[int] = []
    original = runner.run_cells

    def watched(*arguments: Any, progress: Any, **named: Any) -> Any:
        def count(works: Any) -> None:
            running.append(len(works))
            progress(works)

        return original(*arguments, progress=count, **named)

    monkeypatch.setattr(runner, "run_cells", watched)
    monkeypatch.setattr(executors, "cores", lambda: 12)
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert run(path, "--jobs", "3") == 0
    assert max(running) == 3
    machines = [file.read_text() for file in (path.parent / "runs").glob("*/machine.json")]
    assert len(machines) == 4 and all('"threads": "4"' in machine for machine in machines)


def test_a_process_that_does_not_end_is_killed(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = tmp_path / "deaf.py"
    deaf.write_text(
        "import os, pathlib, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(f'{{os.getpid()}} ')\ntime.sleep(60)\n"
    )
    monkeypatch.setattr(runner, "_PROGRAM", (sys.executable, str(deaf)))
    monkeypatch.setattr(runner, "_STOP_TIMEOUT", 0.3)

    work = runner.LocalWork(load_study(study(), runs=tmp_path / "runs").cells[0])
    assert not work.ended()
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith(" "))
    runner.stop([work])
    assert not alive(int((tmp_path / "pid").read_text()))


def test_a_run_killed_from_outside_is_a_failure(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    path = study(pace=30, tables=[{"title": "T", "rows": [{"name": "r"}]}])
    runs = path.parent / "runs"
    process = in_another_process(path)
    wait_for(lambda: pids(runs))
    os.kill(pids(runs)[0], signal.SIGKILL)
    out, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "failed    r-joint-seed0" in out and "killed by signal 9" in out
    assert "1 of 1 runs failed" in error
