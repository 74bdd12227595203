"""What a store holds, counted by hand."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.quality.checks import Finding
from poseglot.data.quality.summary import describe, trained_and_tested
from poseglot.data.store import PackedStore, write_store
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout

BENCHMARK = replace(
    load_benchmark("ntu60"),
    layout="kinect20",
    splits={
        "by-person": {"train": {"subject": [1, 2]}, "test": {"subject": [3]}},
        "overlapping": {"train": {"camera": [1]}, "test": {"subject": [1]}},
    },
)


def clip(number: int, *, people: int = 1, frames: int = 10, label: int = 0, subject: int = 0, camera: int = 0) -> Clip:
    joints = np.random.default_rng(number).normal(size=(people, frames, 20, 3)).astype(np.float32)
    return Clip(joints, name=f"clip {number}", label=label, subject=subject, camera=camera)


CLIPS = [
    clip(0, people=2, frames=30, label=4, subject=1, camera=1),
    clip(1, frames=61, label=4, subject=2, camera=1),
    clip(2, frames=20, label=7, subject=3, camera=2),
    clip(3, frames=9, label=7, subject=3, camera=2),
    clip(4, frames=100, label=59, subject=5, camera=2),
    clip(5, frames=1, label=-1, subject=2, camera=2),
]


@pytest.fixture
def store(tmp_path: Path) -> PackedStore:
    return write_store(
        tmp_path / "store", CLIPS, benchmark=BENCHMARK, layout=load_layout("kinect20"), source={"file": "some.zip"}
    )


def test_a_store_is_counted(store: PackedStore, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    contents = describe(store, load_layout("kinect20"), folder)
    assert json.loads(json.dumps(contents))["name"] == "ntu60"
    assert contents["channels"] == ["x", "y", "z"]
    assert (contents["layout"], contents["joints"], contents["clips"]) == ("kinect20", 20, 6)
    assert contents["people"] == {1: 5, 2: 1}
    assert contents["frames"] == {"min": 1, "median": 25, "max": 100, "total": 221}
    assert contents["hours"] == pytest.approx(221 / 108_000)
    assert len(contents["classes"]) == 60
    assert {name: count for name, count in contents["classes"].items() if count} == {
        BENCHMARK.classes[label]: count for label, count in Counter([4, 4, 7, 7, 59]).items()
    }
    assert contents["unlabelled"] == 1
    assert (contents["subjects"], contents["cameras"], contents["setups"]) == ([1, 2, 3, 5], [1, 2], [])
    assert contents["bytes"] == sum(file.stat().st_size for file in folder.iterdir())
    assert contents["source"] == {"file": "some.zip"}
    assert "preparation" not in contents


def test_splits_name_who_is_missing_and_who_is_twice(store: PackedStore, tmp_path: Path) -> None:
    splits = describe(store, load_layout("kinect20"), tmp_path / "store")["splits"]
    four, seven, last = (BENCHMARK.classes[label] for label in (4, 7, 59))
    assert splits["by-person"]["clips"] == {"train": 3, "test": 2}
    assert (splits["by-person"]["neither"], splits["by-person"]["both"]) == (1, 0)
    assert splits["by-person"]["missing"] == {"train": [seven, last], "test": [four, last]}
    assert splits["overlapping"]["clips"] == {"train": 2, "test": 1}
    assert (splits["overlapping"]["neither"], splits["overlapping"]["both"]) == (4, 1)


def test_scores_are_a_channel_and_hours_are_not_guessed(tmp_path: Path) -> None:
    clips = [replace(clip, joints=clip.joints[..., :3], has_scores=True) for clip in CLIPS]
    benchmark = replace(BENCHMARK, name="mine")
    store = write_store(
        tmp_path / "store",
        clips,
        benchmark=benchmark,
        layout=load_layout("kinect20"),
        source={},
        has_scores=True,
        dtype="float16",
    )
    contents = describe(store, load_layout("kinect20"), tmp_path / "store")
    assert (contents["channels"], contents["dtype"]) == (["x", "y", "score"], "float16")
    assert "hours" not in contents


@pytest.mark.parametrize("content", ['{"stored": 6, "faults": []}', "{", "[1]", ""])
def test_the_report_of_the_preparation_is_read_if_it_can_be(store: PackedStore, tmp_path: Path, content: str) -> None:
    (tmp_path / "store" / "preparation.json").write_text(content)
    preparation = describe(store, load_layout("kinect20"), tmp_path / "store")["preparation"]
    if "stored" in content:
        assert preparation == {"stored": 6, "faults": []}
    else:
        assert "preparation.json" in preparation["unreadable"]


def test_clips_trained_and_tested_on(store: PackedStore) -> None:
    def same(*names: str) -> Finding:
        return Finding(names[0], "same content", len(names), 1, others=names[1:])

    assert trained_and_tested(store, "by-person", [same("clip 0", "clip 2", "clip 3")]) == ["clip 2", "clip 3"]
    assert trained_and_tested(store, "by-person", [same("clip 3", "clip 1"), same("clip 2", "clip 4")]) == ["clip 3"]
    assert trained_and_tested(store, "by-person", [same("clip 2", "clip 3"), same("clip 0", "clip 1")]) == []
    assert trained_and_tested(store, "overlapping", [same("clip 0", "clip 1")]) == []  # clip 0 itself is on both sides
    assert trained_and_tested(store, "by-person", [Finding("clip 2", "short", 1, 8)]) == []
