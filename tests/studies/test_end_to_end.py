"""Studies that really train: here in several processes, and as submitit's jobs; stopped in the middle, and gone on with."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from poseglot.app.cli import main
from poseglot.evaluation.metrics import top_k
from poseglot.evaluation.scores import load_scores
from poseglot.studies.cluster import Cluster
from poseglot.studies.study import load_study
from poseglot.training.run_folder import RunFolder
from tests.conftest import ROOT
from tests.studies.helpers import ROWS, write_study
from tests.training.helpers import small_recipe

LONGER = ("--optim.epochs", "20")  # long enough to be stopped in the middle
NAMES = ("without-joint-seed0", "four-parts-joint-seed0")


@pytest.fixture(scope="module")
def study(few_clips: Path, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = small_recipe(few_clips, tiny_bert)
    recipe = replace(recipe, optim=replace(recipe.optim, epochs=1))
    tables = [{"title": "Words", "rows": ROWS, "compare_with": "without"}]
    return write_study(tmp_path_factory.mktemp("study"), recipe, tables=tables)


@pytest.fixture(scope="module")
def unbroken(study: Path) -> Path:
    """The folder of its runs."""
    runs = study.parent / "unbroken"
    assert main(["study", str(study), "--runs", str(runs), "--jobs", "2", "--accelerator", "cpu"]) == 0
    return runs


@pytest.fixture(scope="module")
def longer(study: Path) -> Path:
    """The folder of runs that take long enough to be stopped."""
    runs = study.parent / "longer"
    assert main(["study", str(study), "--runs", str(runs), "--jobs", "2", "--accelerator", "cpu", *LONGER]) == 0
    return runs


def lasting(runs: Path) -> tuple[str, str]:
    """The tables without where they are and what a clock measured."""
    page, numbers = ((runs / name).read_text().replace(str(runs), "RUNS") for name in ("table.md", "table.csv"))
    return re.sub(r"[\d,]+ \|$", "S |", page, flags=re.MULTILINE), numbers


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def wait_for(what: Callable[[], object]) -> None:
    until = time.monotonic() + 120
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def test_a_study_trains_evaluates_and_writes_its_table(study: Path, unbroken: Path) -> None:
    with (unbroken / "table.csv").open() as file:
        lines = list(csv.DictReader(file))
    page = (unbroken / "table.md").read_text()
    for line, name in zip(lines, NAMES, strict=True):
        run = RunFolder(unbroken / name)
        scores = load_scores(run.scores)
        count = top_k(scores.logits, scores.labels, 1)
        assert run.read_log()[-1]["test"] == {"correct": count.correct, "total": 8}
        assert (line["correct"], line["total"]) == (str(count.correct), "8")
        assert f"({count.correct}/8)" in page
        assert line["command"].startswith(
            f"poseglot train --config {study.parent}/recipes/base.yaml --out {run.folder} --resume "
        )


def test_a_submitted_job_makes_the_same_table(study: Path, unbroken: Path) -> None:
    """From a run that is trained already; the slow tier submits the training, too."""
    runs = study.parent / "evaluated-by-jobs"
    shutil.copytree(unbroken, runs, ignore=shutil.ignore_patterns("table.*", "*.log"))
    (runs / NAMES[1] / "scores.npz").unlink()
    arguments = ["--executor", "submitit-local", "--accelerator", "cpu"]
    assert main(["study", str(study), "--runs", str(runs), *arguments]) == 0
    assert lasting(runs) == lasting(unbroken)
    assert len(list((runs / "submitit").glob("*_result.pkl"))) == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the job's process in /proc")
def test_jobs_that_train_make_the_same_table_also_when_requeued(study: Path, longer: Path) -> None:
    runs = study.parent / "jobs"
    cells = load_study(study, runs=runs, settings=LONGER, accelerator="cpu").cells
    works = [Cluster("local", runs / "submitit", {}, threads=1).start(cell) for cell in cells]
    wait_for(lambda: all(RunFolder(cell.folder).checkpoint.exists() for cell in cells))
    for work in works:
        for process in children(int(work.job.job_id)):
            os.kill(process, signal.SIGUSR2)  # as SLURM does before it takes the machine away
    wait_for(lambda: all(work.ended() for work in works))
    assert [work.failure for work in works] == ["", ""]
    for cell in cells:
        text = cell.log.read_text()
        assert text.count("$ poseglot train") == 2
        assert "going on after epoch" in text
    assert main(["study", str(study), "--runs", str(runs), "--table-only", "--accelerator", "cpu", *LONGER]) == 0
    assert lasting(runs) == lasting(longer)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_a_study_stopped_in_the_middle_comes_to_the_same_table(study: Path, longer: Path, how: signal.Signals) -> None:
    runs = study.parent / how.name
    arguments = ["study", str(study), "--runs", str(runs), "--jobs", "2", "--accelerator", "cpu", *LONGER]
    process = subprocess.Popen([sys.executable, "-m", "poseglot", *arguments], cwd=ROOT)
    wait_for(lambda: all(RunFolder(runs / name).checkpoint.exists() for name in NAMES))
    process.send_signal(how)
    process.wait()
    assert not any(RunFolder(runs / name).recognizer.exists() for name in NAMES)
    assert main(arguments) == 0
    assert "going on after epoch" in (runs / f"{NAMES[0]}.log").read_text()
    assert lasting(runs) == lasting(longer)
