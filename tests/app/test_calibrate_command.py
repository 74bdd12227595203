"""`poseglot calibrate`, and what `evaluate` and `predict` say afterwards."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.splits import by_names
from poseglot.data.store import PackedStore, write_store
from poseglot.evaluation.calibration import fit_temperature, reliability
from poseglot.evaluation.scores import load_scores
from poseglot.files import write_atomically
from poseglot.training.recipe_io import read_recipe, recipe_yaml
from poseglot.training.run_folder import RunFolder

Poseglot = Callable[..., Any]
MakeRun = Callable[..., Path]


def fold_of(run: Path, fold: int, *, folds: int = 2, seed: int = 0) -> Path:
    """A copy of a run that says to have held out a fold."""
    folder = run.with_name(f"fold{fold}of{folds}")
    shutil.copytree(run, folder)
    recipe = read_recipe(RunFolder(folder).recipe)
    recipe = replace(recipe, seed=seed, data=replace(recipe.data, folds=folds, fold=fold))
    write_atomically(RunFolder(folder).recipe, recipe_yaml(recipe))
    return folder


def test_a_run_is_calibrated_by_its_folds(
    poseglot: Poseglot, make_run: MakeRun, small_store: PackedStore, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run")
    folds = [fold_of(run, fold) for fold in (1, 2)]
    np.save(tmp_path / "clip.npy", small_store[0].joints)
    before = json.loads(poseglot("predict", run, tmp_path / "clip.npy", "--json").out)
    assert "; not calibrated" in poseglot("evaluate", run).out

    said = poseglot("calibrate", run, *folds)
    assert said.status == 0, said.error
    assert "2 of 2 held-out folds of the training set, 96 clips" in said.out
    for fold in folds:
        assert poseglot("evaluate", fold).status == 0
    held = [load_scores(fold / "scores.npz") for fold in folds]
    logits, labels = (np.concatenate([getattr(scores, name) for scores in held]) for name in ("logits", "labels"))
    table = json.loads((run / "calibration.json").read_text())
    assert table["temperature"] == pytest.approx(
        1 if table["unsupported_reason"] else fit_temperature(logits, labels), rel=1e-4
    )
    assert table["clips"] == 96 and table["nll"][1] <= table["nll"][0]
    assert table["groups"] == 8 and table["unit"] == "people" and table["interval"][0] <= table["interval"][1]
    assert table["ece"][1] == pytest.approx(reliability(logits, labels, table["temperature"]).ece, abs=1e-3)

    held, clips = table["set_coverage"]["0.9"]
    assert 0 <= held <= clips == table["clips"]

    said = poseglot("evaluate", run, "--threshold", 0.25)
    assert re.search(
        r"ECE [\d.]+% -> [\d.]+%, NLL [\d.]+ -> [\d.]+, Brier [\d.]+ -> [\d.]+ on 24 clips .*; temperature", said.out
    )
    assert re.search(r"sets of 90% coverage hold the action of \d+/24", said.out)
    lines = [line for line in said.out.splitlines() if re.match(r" {6}0\.\d+ ", line)]
    coverage = [int(re.search(r"(\d+)/24", line)[1]) for line in lines]  # type: ignore[index]
    assert len(lines) == 8 and coverage == sorted(coverage, reverse=True)
    assert [line.split()[0] for line in lines if "<- --threshold" in line] == ["0.25"]

    after = json.loads(poseglot("predict", run, tmp_path / "clip.npy", "--json", "--threshold", 1.0).out)
    assert after[0]["action"] == "unknown" and after[0]["unknown"] is True
    assert [a["action"] for a in after[0]["scores"]] == [a["action"] for a in before[0]["scores"]]
    unchanged = after[0]["scores"][0]["probability"] == pytest.approx(before[0]["scores"][0]["probability"], rel=1e-3)
    assert unchanged == bool(table["unsupported_reason"])
    in_sets = json.loads(poseglot("predict", run, tmp_path / "clip.npy", "--json", "--coverage", 0.9, "--top", 99).out)[0]
    lowest = table["set_thresholds"]["0.9"]
    assert in_sets["candidates"] == [a["action"] for a in in_sets["scores"] if a["probability"] >= lowest]
    assert "one of 0.8, 0.9, 0.95" in poseglot("predict", run, tmp_path / "clip.npy", "--coverage", 0.5).error
    assert "unknown: no action reaches 100.0%" in poseglot("predict", run, tmp_path / "clip.npy", "--threshold", 1).out


@pytest.mark.parametrize("known", [0, 4])
def test_what_is_drawn_is_named(
    known: int, poseglot: Poseglot, make_run: MakeRun, small_store: PackedStore, tmp_path: Path
) -> None:
    """Clips by themselves where nobody is known, and not one person who is nobody."""
    clips = [replace(clip, subject=clip.subject if clip.subject <= known else 0) for clip in small_store]
    tested = [clip.name for clip in small_store if clip.subject >= 9]
    rule = by_names([clip.name for clip in clips if clip.name not in tested], tested)
    benchmark = replace(load_benchmark("demo"), splits={"cross-person": rule})
    write_store(tmp_path / "store", clips, benchmark=benchmark, layout=small_store.layout, source={})
    run = make_run(tmp_path / "run")
    recipe = read_recipe(RunFolder(run).recipe)
    recipe = replace(recipe, data=replace(recipe.data, store=str(tmp_path / "store")))
    write_atomically(RunFolder(run).recipe, recipe_yaml(recipe))
    said = poseglot("calibrate", run, fold_of(run, 1), fold_of(run, 2))
    assert said.status == 0, said.error
    table = json.loads((run / "calibration.json").read_text())
    assert table["groups"] == known + 12 * (8 - known)
    assert table["unit"] == ("people and clips of unknown people" if known else "clips")
    assert ("people" in said.out) == bool(known)


def test_what_does_not_belong_together_is_refused(poseglot: Poseglot, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    one, of_three = fold_of(run, 1), fold_of(run, 2, folds=3)
    shutil.copytree(one, tmp_path / "again")
    assert "trained on the whole training set" in poseglot("calibrate", run, run).error
    assert "held out a fold itself" in poseglot("calibrate", one, one).error
    assert "held out the same fold" in poseglot("calibrate", run, one, tmp_path / "again").error
    assert "divided into 2 and 3 folds" in poseglot("calibrate", run, one, of_three).error
    bone = fold_of(make_run(tmp_path / "bone" / "run", modality="bone"), 1)
    assert (
        "is of another recipe" in (error := poseglot("calibrate", run, bone).error) and "data.modality bone for joint" in error
    )
    assert not (run / "calibration.json").exists()
    assert "from 0 to 1" in poseglot("evaluate", run, "--threshold", 2).error


def test_predict_takes_folders_and_layouts(
    poseglot: Poseglot, make_run: MakeRun, small_store: PackedStore, tmp_path: Path
) -> None:
    run, clips = make_run(tmp_path / "run"), tmp_path / "clips"
    clips.mkdir()
    for number in (0, 40):
        np.save(clips / f"{number:02}.npy", small_store[number].joints)
    (clips / "read.me").write_text("")
    said = poseglot("predict", run, clips, "--json")
    assert said.status == 0 and [Path(row["file"]).name for row in json.loads(said.out)] == ["00.npy", "40.npy"]
    assert "1 files" in said.error and "read.me" in said.error
    np.save(tmp_path / "coco.npy", np.random.default_rng(0).normal(size=(30, 17, 3)))
    said = poseglot("predict", run, tmp_path / "coco.npy", "--layout", "coco17")
    assert said.status == 0 and "mapped: coco17 as kinect20: 12 of 20 joints copied; 4 computed" in said.error
