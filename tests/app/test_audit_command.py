"""`poseglot audit` on a store with planted copies, and what `evaluate` says of copies and of the best epoch."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.store import PackedStore, write_store
from poseglot.skeletons.layout import load_layout
from poseglot.training.run_folder import RunFolder

Command = Callable[..., Any]


@pytest.fixture
def leaky(small_store: PackedStore, tmp_path: Path) -> Path:
    """Return a store with two test clips that are training clips, one of them under another label."""
    clips = list(small_store)
    first, second = small_store.subset("cross-person", "test")[:2]
    trained = int(small_store.subset("cross-person", "train")[0])
    clips[first] = replace(clips[first], joints=clips[trained].joints, label=clips[trained].label)
    clips[second] = replace(clips[second], joints=clips[trained].joints[:, :-2], label=(clips[trained].label + 1) % 12)
    benchmark = load_benchmark("demo")
    splits = {**benchmark.splits, "clean": {**benchmark.splits["cross-person"]}}
    splits["clean"]["test"] = {"subject": [9, 10], "excluded": [clips[first].name, clips[second].name]}
    benchmark = replace(benchmark, splits=splits)
    write_store(tmp_path / "leaky", clips, benchmark=benchmark, layout=load_layout("kinect20"), source={})
    return tmp_path / "leaky"


def test_copies_contradictions_and_giveaways_are_said(poseglot: Command, leaky: Path) -> None:
    said = poseglot("audit", leaky)
    assert said.status == 0, said.error
    assert all(len(line) <= 120 for line in said.out.splitlines())
    whole, clean = (" ".join(part.split()) for part in said.out.split("\nsplit ")[1:])
    assert "test clips that are in the training set: 2 of 24; clean: 22" in whole
    assert "1: equal to a training clip" in whole and "1 with another label" in whole
    assert "8 in training, 2 in the test set, 0 in both" in whole and "by length and speed:" in whole
    assert "test clips that are in the training set: 0 of 22; clean: 22" in clean


def test_one_split_and_json(poseglot: Command, leaky: Path) -> None:
    table = json.loads(poseglot("audit", leaky, "--split", "clean", "--json").out)
    assert list(table["splits"]) == ["clean"] and table["splits"]["clean"]["copies"] == []
    assert len(table["equal"]) == 1 and len(table["contradictions"]) >= 1
    assert poseglot("audit", leaky, "--split", "nothing").status == 1
    assert poseglot("audit", leaky, "--list", -1).status == 1


def test_evaluate_on_a_clean_split(poseglot: Command, make_run: Callable[..., Path], leaky: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    said = poseglot("evaluate", run, "--store", leaky, "--split", "clean")
    assert "/22 = " in said.out and "trained on" not in said.out


def test_the_best_epoch_is_marked_as_no_result(poseglot: Command, make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    log = RunFolder(run)
    for epoch, correct in ((3, 20), (4, 20), (5, 7)):
        log.add_to_log({**log.read_log()[-1], "epoch": epoch, "test": {"correct": correct, "total": 24}})
    line = "  not a result: 20/24 = 83.33 % at epoch 3, "
    assert line in poseglot("evaluate", run).out
    # The log is not of these clips.
    assert "not a result" not in poseglot("evaluate", run, "--split", "cross-person").out
    log.log.unlink()
    assert "not a result" not in poseglot("evaluate", run).out
