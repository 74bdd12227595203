"""Summaries against counts by hand; findings as text with their units."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.quality.checks import CHECKS, Finding
from poseglot.data.quality.summary import (
    counted,
    finding_text,
    found_clips,
    summarize,
    trained_and_tested,
    value_text,
)
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
    contents = summarize(store)
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
    splits = summarize(store)["splits"]
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
    contents = summarize(store)
    assert (contents["channels"], contents["dtype"]) == (["x", "y", "score"], "float16")
    assert "hours" not in contents


@pytest.mark.parametrize("content", ['{"stored": 6, "faults": []}', "{", "[1]", ""])
def test_the_report_of_the_preparation_is_read_if_it_can_be(store: PackedStore, tmp_path: Path, content: str) -> None:
    (tmp_path / "store" / "preparation.json").write_text(content)
    preparation = summarize(store)["preparation"]
    if "stored" in content:
        assert preparation == {"stored": 6, "faults": []}
    else:
        assert "preparation.json" in preparation["unreadable"]


def test_clips_trained_and_tested_on(store: PackedStore) -> None:
    def same(*names: str) -> Finding:
        return Finding(names[0], "same_content", len(names), 1, others=names[1:])

    assert trained_and_tested(store, "by-person", [same("clip 0", "clip 2", "clip 3")]) == ["clip 2", "clip 3"]
    assert trained_and_tested(store, "by-person", [same("clip 3", "clip 1"), same("clip 2", "clip 4")]) == ["clip 3"]
    assert trained_and_tested(store, "by-person", [same("clip 2", "clip 3"), same("clip 0", "clip 1")]) == []
    assert trained_and_tested(store, "overlapping", [same("clip 0", "clip 1")]) == []  # clip 0 itself is on both sides
    assert trained_and_tested(store, "by-person", [Finding("clip 2", "short", 1, 8)]) == []


# --- findings as text ------------------------------------------------------------------------------------------------------

VALUES = [
    ("not_finite", 12345, "12,345 coordinates"),
    ("short", 1, "1 frame"),
    ("absent", 0.314, "31.4 % of the frames"),
    ("still", 1, "100.0 % of the frames"),
    ("stuck_joints", 1, "1 joint"),
    ("collapsed", 2, "2 frames"),
    ("jump", 2.6951, "2.695 bodies in a frame"),
    ("jump", 26951.4, "26,951 bodies in a frame"),
    ("bones", 0.2686, "26.9 % of their length"),
    ("size", 6.0583, "6.058 standard deviations from the set's median"),
    ("speed_outlier", 7.391, "7.391 standard deviations from the set's median"),
    ("duplicate_person", 0.0123, "0.0123 bodies apart"),
    ("missing_person", 1, "1 person"),
    ("extra_person", 2, "2 people"),
    ("same_content", 3, "3 clips"),
]


def test_no_check_is_forgotten() -> None:
    assert {check for check, _, _ in VALUES} == set(CHECKS)


@pytest.mark.parametrize(("check", "value", "text"), VALUES)
def test_a_value_has_its_unit(check: str, value: float, text: str) -> None:
    assert value_text(Finding("a", check, value, CHECKS[check].limit)) == text


def test_a_limit_is_said_where_it_is_one() -> None:
    jump = Finding("a", "jump", 3, 0.6, frame=2, joint="head")
    assert finding_text(jump) == "jump: 3 bodies in a frame (limit 0.6), frame 2, head"
    assert finding_text(Finding("a", "still", 0.5, 0.25)) == "still: 50.0 % of the frames (limit 25 %)"
    assert finding_text(Finding("a", "short", 1, 8)) == "short: 1 frame (limit 8)"
    assert finding_text(Finding("a", "same_content", 2, 1, others=("b",))) == "same_content: 2 clips, as b"


def test_every_clip_counts_once() -> None:
    findings = [
        Finding("a", "jump", 3, 0.6),
        Finding("a", "same_content", 3, 1, others=("b", "c")),
        Finding("c", "short", 1, 8),
    ]
    assert found_clips(findings) == {"a", "b", "c"}


def test_one_is_not_many() -> None:
    said = [counted(1, "clip"), counted(0, "clip"), counted(1484, "clip"), counted(2, "person", "people")]
    assert said == ["1 clip", "0 clips", "1,484 clips", "2 people"]
