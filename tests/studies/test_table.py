"""The table's numbers, against a plain recomputation from scores made by hand."""

from __future__ import annotations

import csv
import io
import re
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poseglot.evaluation.comparison import paired_difference
from poseglot.studies.study import Study
from poseglot.studies.table import COLUMNS, write_tables
from tests.studies.helpers import ROWS, finish, loaded

Logits = npt.NDArray[np.float32]
CLIPS, CLASSES = 60, 4
LABELS = np.arange(CLIPS) % CLASSES


def finish_all(study: Study, leave_out: tuple[str, ...] = ()) -> dict[str, Logits]:
    """Scores for every run but those left out: mostly right, each its own."""
    logits = {}
    for number, cell in enumerate(study.cells):
        if cell.folder.name not in leave_out:
            generator = np.random.default_rng(number)
            made = generator.normal(size=(CLIPS, CLASSES)) + 1.5 * (LABELS[:, None] == np.arange(CLASSES))
            logits[cell.folder.name] = made.astype(np.float32)
            fold = cell.recipe.data.fold
            names = tuple(f"clip {place} of fold {fold}" for place in range(CLIPS))
            finish(cell, logits[cell.folder.name], LABELS, names)
    return logits


def right(logits: Logits) -> list[bool]:
    return [int(np.argmax(row)) == label for row, label in zip(logits, LABELS, strict=True)]


def written(study: Study, folder: Path) -> tuple[str, list[dict[str, str]]]:
    page, numbers = write_tables(study, folder)
    assert (page, numbers) == (folder / "table.md", folder / "table.csv")
    return page.read_text(), list(csv.DictReader(io.StringIO(numbers.read_text())))


def cells_of(page: str, row: str, number: int = 0) -> list[str]:
    """The Markdown cells of the `number`th row with this name."""
    lines = [line for line in page.splitlines() if line.startswith(f"| {row} |")]
    return [cell.strip() for cell in lines[number].strip("|").split(" | ")]


def header(page: str) -> list[str]:
    (line,) = [line for line in page.splitlines() if line.startswith("| row |")]
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def accuracy(counts: list[int], total: int = CLIPS) -> str:
    percents = [100 * count / total for count in counts]
    spread = f" ± {statistics.stdev(percents):.2f}" if len(counts) > 1 else ""
    return f"{statistics.mean(percents):.2f}{spread} % ({', '.join(f'{count}/{total}' for count in counts)})"


def test_a_cell_is_mean_and_deviation_of_the_seeds_with_every_count(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{**ROWS[0], "paper": 84.6}, {**ROWS[1], "note": "a | b"}]
    study = loaded(
        tmp_path,
        seeds=[0, 1, 2],
        about="About it.",
        tables=[{"title": "W", "paper": "another set", "rows": rows, "compare_with": "without"}],
    )
    logits = finish_all(study)
    page, lines = written(study, tmp_path / "out")
    assert page.startswith(
        "# A study\n\nAbout it.\n\nAccuracy (top-1) of the last epoch on the test set (a set, split cross-person)"
    )
    assert header(page) == ["row", "accuracy", "paper (another set)", "difference to without", "note"]
    correct = {name: [right(logits[f"{name}-joint-seed{seed}"]) for seed in (0, 1, 2)] for name in ("without", "four-parts")}
    assert cells_of(page, "without") == ["without", accuracy(list(map(sum, correct["without"]))), "84.6 %", "-", "-"]
    name, said, paper, difference, note = cells_of(page, "four parts")
    assert (name, said, paper, note) == ("four parts", accuracy(list(map(sum, correct["four-parts"]))), "-", r"a \| b")
    points = 100 * (np.mean(correct["four-parts"]) - np.mean(correct["without"]))
    interval = paired_difference(np.array(correct["without"]), np.array(correct["four-parts"]), paired_runs=True)
    assert difference.startswith(f"{points:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]: ")
    assert [(line["row"], line["seed"], line["correct"], line["percent"], line["paper"]) for line in lines] == [
        (row, str(seed), str(sum(correct[slug][seed])), f"{100 * sum(correct[slug][seed]) / CLIPS:.4f}", paper)
        for row, slug, paper in (("without", "without", "84.6"), ("four parts", "four-parts", ""))
        for seed in (0, 1, 2)
    ]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    tables = [
        {
            "title": "W",
            "rows": [*ROWS, {"name": "none yet", "settings": {"loss.alignment_weight": 0}}],
            "compare_with": "without",
        }
    ]
    study = loaded(tmp_path, seeds=[0, 1, 2], tables=tables)
    missing = tuple(f"none-yet-joint-seed{seed}" for seed in (0, 1, 2))
    logits = finish_all(study, ("without-joint-seed0", "four-parts-joint-seed1", *missing))
    page, lines = written(study, tmp_path)
    counts = {name: sum(right(each)) for name, each in logits.items()}
    of_four = accuracy([counts["four-parts-joint-seed0"], counts["four-parts-joint-seed2"]])
    _, said, difference = cells_of(page, "four parts")
    assert said == of_four.replace(")", "; 2 of 3 seeds)")
    # Only seed 2 is on both sides.
    points = 100 * (counts["four-parts-joint-seed2"] - counts["without-joint-seed2"]) / CLIPS
    assert re.match(re.escape(f"{points:+.2f} [") + r"[^]]+; 1 of 3 seeds\]: ", difference)
    assert cells_of(page, "none yet") == ["none yet", "-", "-"]
    by_run = {Path(line["run"]).name: line for line in lines}
    assert (by_run["four-parts-joint-seed1"]["correct"], by_run["four-parts-joint-seed1"]["percent"]) == ("", "")
    assert by_run["four-parts-joint-seed1"]["command"].startswith("poseglot train --config ")
    nothing = loaded(tmp_path / "new")
    page, lines = written(nothing, tmp_path / "new")
    assert cells_of(page, "without") == ["without", "-"]
    assert "No run is done yet." in page
    assert len(lines) == 2


def test_streams_are_fused_seed_by_seed_with_the_fixed_weights(tmp_path: Path) -> None:
    row = {"name": "all", "modalities": ["joint", "bone_motion"], "fuse": True, "paper": {"joint": 90, "fused": 95.25}}
    study = loaded(tmp_path, seeds=[0, 1], tables=[{"title": "S", "rows": [row]}])
    logits = finish_all(study)
    page, lines = written(study, tmp_path)
    assert header(page) == ["row", "modality", "accuracy", "paper"]
    fused = [sum(right(0.8 * logits[f"all-joint-seed{seed}"] + 0.2 * logits[f"all-bone_motion-seed{seed}"])) for seed in (0, 1)]
    alone = [sum(right(logits[f"all-bone_motion-seed{seed}"])) for seed in (0, 1)]
    assert fused != alone
    assert cells_of(page, "all", 1) == ["all", "bone_motion", accuracy(alone), "-"]
    assert cells_of(page, "all", 2) == ["all", "fused", accuracy(fused), "95.25 %"]
    (first,) = [line for line in lines if (line["modality"], line["seed"]) == ("fused", "0")]
    assert (first["correct"], first["paper"]) == (str(fused[0]), "95.25")
    folders = [str(tmp_path / "runs" / f"all-{modality}-seed0") for modality in ("joint", "bone_motion")]
    assert first["run"] == " ".join(folders)
    assert first["command"] == f"poseglot ensemble {' '.join(folders)}"


def test_folds_are_added_up(tmp_path: Path) -> None:
    study = loaded(tmp_path, folds=2, seeds=[0, 1], tables=[{"title": "F", "rows": ROWS, "compare_with": "without"}])
    logits = finish_all(study, ("four-parts-joint-seed1-fold2",))
    page, lines = written(study, tmp_path)
    assert "the held-out folds of the training set (2-fold cross-validation)" in page
    counts = {name: sum(right(each)) for name, each in logits.items()}
    both = [counts[f"without-joint-seed{seed}-fold1"] + counts[f"without-joint-seed{seed}-fold2"] for seed in (0, 1)]
    assert cells_of(page, "without")[1] == accuracy(both, 2 * CLIPS)
    four = counts["four-parts-joint-seed0-fold1"] + counts["four-parts-joint-seed0-fold2"]
    _, said, difference = cells_of(page, "four parts")
    assert said == f"{100 * four / 120:.2f} % ({four}/120; 1 of 2 seeds)"
    assert difference.startswith(f"{100 * (four - both[0]) / 120:+.2f} [")
    assert [(line["seed"], line["fold"]) for line in lines[:4]] == [("0", "1"), ("0", "2"), ("1", "1"), ("1", "2")]
    assert lines[1]["correct"] == str(counts["without-joint-seed0-fold2"])


def test_rows_of_different_clips_are_not_compared(tmp_path: Path) -> None:
    study = loaded(tmp_path, tables=[{"title": "W", "rows": ROWS, "compare_with": "without"}])
    logits = np.eye(CLASSES, dtype=np.float32)[LABELS]
    for number, cell in enumerate(study.cells):
        finish(cell, logits, LABELS, tuple(f"clip {place} of set {number}" for place in range(CLIPS)))
    page, _ = written(study, tmp_path)
    assert cells_of(page, "four parts") == ["four parts", "100.00 % (60/60)", "other clips"]


def test_scores_of_other_clips_than_the_recipes_do_not_count(tmp_path: Path) -> None:
    """As `poseglot evaluate --split ...` leaves them."""
    study, other = loaded(tmp_path), loaded(tmp_path / "other")
    finish_all(study)
    finish_all(other)
    (cell, _), (elsewhere, _) = study.cells, loaded(tmp_path / "third", settings={"data.split": "another"}).cells
    finish(elsewhere, np.zeros((CLIPS, CLASSES), np.float32), LABELS)
    (cell.folder / "scores.npz").write_bytes((elsewhere.folder / "scores.npz").read_bytes())
    assert cells_of(written(study, tmp_path)[0], "without") == ["without", "-"]
    assert cells_of(written(other, tmp_path)[0], "without") != ["without", "-"]


def test_the_page_says_how_it_was_made(tmp_path: Path) -> None:
    study = loaded(tmp_path, "--optim.epochs", "4")
    finish_all(study, ("without-joint-seed0",))
    page, lines = written(study, tmp_path)
    assert f"```\nposeglot study {tmp_path}/study.yaml --optim.epochs 4 --runs {tmp_path}/runs\n```" in page
    for line in lines:
        train, evaluate = line["command"].split(" && ")
        assert f"\n{train}\n{evaluate}\n" in page
    assert "| 1 | 0.1.0 | c0ffee | 2.13.0 | - | - | abacus | - | 3 | mine, version 2 | 1,200 |" in page


def test_the_long_form_reads_back_whatever_the_names(tmp_path: Path) -> None:
    odd = 'a, "b"\nand | c'
    study = loaded(tmp_path, tables=[{"title": odd, "rows": [{"name": odd}]}])
    finish_all(study)
    page, (line,) = written(study, tmp_path)
    assert tuple(line) == COLUMNS
    assert (line["table"], line["row"]) == (odd, odd)
    (row,) = [line for line in page.splitlines() if line.startswith('| a, "b"')]
    assert len(re.findall(r"(?<!\\)\|", row)) == 3
