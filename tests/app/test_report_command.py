"""`poseglot report`: from an evaluated run to one file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., Any]
MakeRun = Callable[..., Path]


def test_report_writes_one_page_beside_the_run_or_where_it_is_told(
    poseglot: Command, make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run")
    early = poseglot("report", run)
    assert early.status == 1
    assert "poseglot evaluate" in early.error
    assert poseglot("evaluate", run).status == 0
    said = poseglot("report", run, "--clips", 2)
    assert (said.status, said.error) == (0, "")
    assert said.out.splitlines()[0].startswith(f"{run / 'report.html'} (0.")
    assert "without alignment: the run was trained without text." in said.out
    html = (run / "report.html").read_text()
    assert html.startswith("<!DOCTYPE html>")
    assert html.count("<canvas") == 2
    elsewhere = tmp_path / "pages" / "one.html"
    assert poseglot("report", run, "--out", elsewhere, "--clips", 0, "--layers", 2, 9).status == 0
    assert 'data-grid="layer-9"' in elsewhere.read_text()


def test_wrong_wishes_are_refused(poseglot: Command, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert poseglot("evaluate", run).status == 0
    for options, complaint in (
        (["--layers", "11"], "layers 1 to 10"),
        (["--layers", "1", "0"], "no layer 0"),
        (["--clips", "-1"], "--clips takes a number from 0"),
    ):
        said = poseglot("report", run, *options)
        assert said.status == 1
        assert complaint in said.error
    assert not (run / "report.html").exists()


def test_a_folder_that_is_none(poseglot: Command, tmp_path: Path) -> None:
    assert "does not exist" in poseglot("report", tmp_path / "nowhere").error
    (tmp_path / "file").touch()
    assert "is not a folder" in poseglot("report", tmp_path / "file").error


def test_a_report_about_another_store_has_no_figures_of_the_own(
    poseglot: Command, make_run: MakeRun, few_clips: Path, tmp_path: Path
) -> None:
    """The best epoch of the log is of the recipe's clips; and clips that were trained on are counted."""
    run = make_run(tmp_path / "run")
    assert poseglot("evaluate", run).status == 0
    assert (
        poseglot("report", run, "--clips", 0).status == poseglot("report", run, "--store", few_clips, "--clips", 0).status == 0
    )
    own, other = ((run / name).read_text() for name in ("report.html", f"report-{few_clips.name}.html"))
    assert "best epoch on these clips" in own and "best epoch" not in other
    assert "none of 24" in own and "none of 8" in other
