"""`poseglot study` as it is typed: what it lists, where it writes, and what it refuses before anything runs."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.app.cli import main
from poseglot.studies import executors, runner
from poseglot.studies.study import Cell, load_study
from poseglot.training.recipe_io import parse_recipe, recipe_yaml
from poseglot.training.run_folder import RunFolder
from tests.studies.helpers import ROWS, finish, write_study
from tests.training.helpers import small_recipe

Command = Callable[..., Any]


@pytest.fixture
def study(tmp_path: Path, store_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of two runs, typed in its own folder; nothing may be started."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("started a process")

    monkeypatch.setattr(runner.LocalWork, "_start", refuse)
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path, small_recipe(store_path, Path("no-text-encoder")))
    return Path("study.yaml")


def finished(cell: Cell) -> None:
    finish(cell, np.eye(4, dtype=np.float32)[[0, 1, 2, 0]], np.arange(4))


def test_list_says_how_far_every_run_is_and_its_command(poseglot: Command, study: Path, tmp_path: Path) -> None:
    rows = [
        *ROWS,
        {"name": "third", "settings": {"loss.alignment_weight": 0.1}},
        {"name": "fourth", "settings": {"loss.alignment_weight": 0.2}},
    ]
    write_study(tmp_path, tables=[{"title": "T", "rows": rows}])
    done, stopped, trained, _ = cells = load_study(study).cells
    finished(done)
    finished(trained)
    RunFolder(trained.folder).scores.unlink()
    stopped.folder.mkdir()
    RunFolder(stopped.folder).recipe.write_text(recipe_yaml(stopped.recipe))
    RunFolder(stopped.folder).add_to_log({"epoch": 1, "loss": 2.0})
    before = sorted(tmp_path.rglob("*"))
    said = poseglot("study", study, "--list")
    assert (said.status, said.error) == (0, "")
    lines = said.out.splitlines()
    assert lines[::2] == [
        "runs/study/without-joint-seed0: done",
        "runs/study/four-parts-joint-seed0: stopped after epoch 1/3",
        "runs/study/third-joint-seed0: trained, to evaluate",
        "runs/study/fourth-joint-seed0: to do",
    ]
    for line, cell in zip(lines[1::2], cells, strict=True):
        train, evaluate = line.strip().split(" && ")
        assert shlex.split(evaluate) == ["poseglot", "evaluate", str(cell.folder)]
        program, command, config, path, out, folder, resume, *settings = shlex.split(train)
        assert (program, command, config, out, resume) == ("poseglot", "train", "--config", "--out", "--resume")
        assert (path, folder) == ("recipes/base.yaml", str(cell.folder))
        assert parse_recipe([config, path, *settings]) == cell.recipe
    assert sorted(tmp_path.rglob("*")) == before


def test_table_only_writes_what_is_done_where_it_is_told(poseglot: Command, study: Path, tmp_path: Path) -> None:
    finished(load_study(study, runs=Path("elsewhere")).cells[1])
    said = poseglot("study", study, "--table-only", "--runs", "elsewhere", "--out", "results/here")
    assert (said.status, said.error) == (0, "")
    assert said.out == "table: results/here/table.md, results/here/table.csv\n"
    page = (tmp_path / "results" / "here" / "table.md").read_text()
    assert "| without | - |\n| four parts | 75.00 % (3/4) |" in page
    assert "poseglot study study.yaml --runs elsewhere\n" in page
    assert not (tmp_path / "runs").exists()


def test_nothing_is_started_when_all_is_done(poseglot: Command, study: Path, tmp_path: Path) -> None:
    for cell in load_study(study).cells:
        finished(cell)
    said = poseglot("study", study)
    assert (said.status, said.error) == (0, "")
    assert "2 runs, 2 done already, 0 to do" in said.out
    assert "75.00 % (3/4)" in (tmp_path / "runs" / "study" / "table.md").read_text()


@pytest.mark.parametrize("option", [[], ["--list"], ["--table-only"]])
def test_a_folder_with_another_recipe_is_refused_by_name(
    poseglot: Command, study: Path, tmp_path: Path, option: list[str]
) -> None:
    for cell in load_study(study, settings=["--optim.lr", "0.3", "--model.encoder_kwargs", "{kernel: 3}"]).cells:
        finished(cell)
    foreign = load_study(study).cells[1].folder
    RunFolder(foreign).recipe.unlink()
    said = poseglot("study", study, *option)
    assert said.status == 1
    assert (
        "runs/study/without-joint-seed0 differs in model.encoder_kwargs.kernel (3 there, None wanted), optim.lr (0.3 there, 0.1 wanted)"
        in said.error
    )
    assert "runs/study/four-parts-joint-seed0 has no recipe.yaml" in said.error
    assert "--runs" in said.error
    assert not (tmp_path / "runs" / "study" / "table.md").exists()


def test_settings_newer_than_a_run_do_not_make_it_another(poseglot: Command, study: Path) -> None:
    for cell in load_study(study).cells:
        finished(cell)
        text = RunFolder(cell.folder).recipe.read_text()
        assert "  repeat: 1\n" in text
        RunFolder(cell.folder).recipe.write_text(text.replace("  repeat: 1\n", ""))
    said = poseglot("study", study)
    assert (said.status, said.error) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--optim.epoch", "3"], "unknown setting: --optim.epoch. Did you mean --optim.epochs?"),
        (["--seed", "3"], "seed cannot be set here"),
        (["extra"], "cannot use 'extra'"),
        (["--jobs", "0"], "--jobs takes a number from 1, not 0"),
        (["--slurm", "partition=gpu"], "--slurm goes with --executor slurm or submitit-local"),
        (["--executor", "submitit-local", "--slurm", "gpu"], "--slurm takes KEY=VALUE, like partition=gpu time=240; not 'gpu'"),
        (["--executor", "submitit-local", "--slurm", "color=red"], "cannot submit to local with {'color': 'red'}"),
        (
            ["--executor", "submitit-local", "--slurm", "gpus_per_node=few"],
            "cannot submit to local with {'gpus_per_node': 'few'}",
        ),
        (["--data.store", "nowhere"], "nowhere is not a packed store"),
        (["--data.split", "cross-view"], "'cross-view'"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_runs(
    poseglot: Command, study: Path, arguments: list[str], message: str
) -> None:
    said = poseglot("study", study, *arguments)
    assert said.status == 1
    assert message in said.error
    assert "Traceback" not in said.error


def test_slurm_where_there_is_none_is_said(poseglot: Command, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    said = poseglot("study", study, "--executor", "slurm")
    assert said.status == 1
    assert "cannot submit to slurm" in said.error and "srun" in said.error


def test_submitit_where_it_is_not_installed_is_said(poseglot: Command, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    monkeypatch.delitem(sys.modules, "poseglot.studies.cluster", raising=False)
    said = poseglot("study", study, "--executor", "submitit-local")
    assert said.status == 1
    assert "needs the package submitit" in said.error and "cluster" in said.error


def test_a_bar_and_its_running_cells_are_shown_on_a_terminal(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class AtOnce:
        """Work that has a first epoch at its first look, and is finished at its second."""

        def __init__(self, cell: Cell, threads: int | None = None) -> None:
            self.cell, self.failure, self.looks = cell, "", 0

        def ended(self) -> bool:
            self.looks += 1
            if self.looks == 1:
                finished(self.cell)
            return self.looks > 1

        def stop(self) -> None:
            raise AssertionError("stopped")

        wait = stop

    monkeypatch.setattr(executors, "LocalWork", AtOnce)
    monkeypatch.setattr(runner, "_POLL_EVERY", 0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert main(["study", str(study), "--jobs", "2"]) == 0
    error = capsys.readouterr().err
    assert "0/2" in error and "2/2" in error
    assert "without-joint-seed0 0/3; four-parts-joint-seed0 0/3" in error
    assert "without-joint-seed0 2/3, loss 0.500; four-parts-joint-seed0 2/3, loss 0.500" in error


def test_a_study_loads_no_submitit_and_no_training_engine(study: Path) -> None:
    code = (
        "import sys; from poseglot.app.cli import main; assert main(['study', 'study.yaml', '--list']) == 0;"
        "print([name for name in ('submitit', 'lightning_fabric', 'transformers') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model.encoder": "foo"}, "bad-joint-seed0: unknown encoder 'foo'"),
        ({"model.encoder_kwargs": {"kernl": 3}}, "bad-joint-seed0: "),
        ({"data.split": "inner"}, "'inner'"),
        ({"data.store": "nowhere"}, "bad-joint-seed0: nowhere is not a packed store"),
        ({"text.descriptions": "nw-ucla"}, "bad-joint-seed0: nw-ucla describes"),
        ({"text.prompt": "synonym"}, "row 2 (bad): the prompt 'synonym' describes the whole body"),
    ],
)
def test_a_row_that_cannot_run_is_named_before_anything_runs(
    poseglot: Command, study: Path, store_path: Path, tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    recipe = small_recipe(store_path, Path("no-text-encoder"))
    write_study(tmp_path, recipe, tables=[{"title": "T", "rows": [ROWS[0], {"name": "bad", "settings": settings}]}])
    message = poseglot("study", study)
    assert message.status == 1
    assert said in message.error
    assert not (tmp_path / "runs").exists()


def test_the_commands_of_a_page_are_those_behind_its_numbers(poseglot: Command, study: Path, tmp_path: Path) -> None:
    rows = [*ROWS, {"name": "again", "settings": ROWS[1].get("settings", {})}]
    fused = {"name": "both", "modalities": ["joint", "bone"], "fuse": True}
    tables = [{"title": "T", "compare_with": ROWS[0]["name"], "rows": [*rows, fused]}]
    write_study(tmp_path, seeds=[0, 1], tables=tables)
    for cell in load_study(study).cells:
        finished(cell)
    assert poseglot("study", study, "--table-only").status == 0
    page = (tmp_path / "runs" / "study" / "table.md").read_text()
    block = page.split("Every number by itself")[1].split("```")[1].strip().splitlines()
    commands = [shlex.split(line)[1:] for line in block if not line.startswith("#")]
    assert {command[0] for command in commands} == {"train", "evaluate", "ensemble", "compare"}
    trained = [command[command.index("--out") + 1] for command in commands if command[0] == "train"]
    assert sorted(trained) == sorted(str(cell.folder) for cell in load_study(study).cells)
    assert any(line.endswith(", as above") for line in block)
    for command in commands:
        if command[0] in ("ensemble", "compare"):
            assert poseglot(*command).status == 0, command
