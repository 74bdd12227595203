"""benchmarks/long_recordings.py: what it joins, and what it measures, on fake answers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from poseglot.data.store import PackedStore
from poseglot.inference.segmentation import SegmentConfig

FOLDER = Path(__file__).parent.parent / "benchmarks"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks look at memory in Linux's way")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(FOLDER))
    import long_recordings

    yield long_recordings
    sys.modules.pop("long_recordings", None)


def test_clips_are_joined_where_the_body_was(script: Any, small_store: PackedStore) -> None:
    (one, two) = script.make_recordings(small_store, "cross-person", 2, 5, 0)
    (same, _) = script.make_recordings(small_store, "cross-person", 2, 5, 0)
    np.testing.assert_array_equal(one.joints, same.joints)
    assert not np.array_equal(one.labels, two.labels)
    for recording in (one, two):
        assert recording.joints.shape[:2] == (1, len(recording.labels)) and recording.edges[-1] == len(recording.labels)
        assert len(recording.edges) == 5 == len(script.spans(recording.labels)), "no two neighbours of one action"
        steps = np.linalg.norm(np.diff(recording.joints[0, :, 1], axis=0), axis=-1)
        assert steps.max() < 0.2, "the spine never leaps"
        assert not recording.repeated.any()


def test_measures_of_the_truth_and_of_something_else(script: Any, small_store: PackedStore) -> None:
    recordings = script.make_recordings(small_store, "cross-person", 2, 5, 0)
    right = script.measured([recording.labels for recording in recordings], recordings)
    assert (right["F1@50"], right["edit"], right["segments found / true"]) == (100, 100, "10/10")
    wrong = script.measured([np.full_like(recording.labels, 99) for recording in recordings], recordings)
    assert (wrong["F1@10"], wrong["edit"], wrong["segments found / true"]) == (0, 0, "2/10")
    assert wrong["frames"].startswith("0/")


def test_the_pipeline_finds_what_sure_answers_say(script: Any, small_store: PackedStore, tmp_path: Path) -> None:
    """Answers made of the truth: the share of a window that each class has."""
    recordings = script.make_recordings(small_store, "cross-person", 2, 5, 0)

    class Truth(script.Recognised):  # type: ignore[misc]
        def __call__(self, windows: Any) -> Any:
            shares = [np.bincount(self.recording.labels[start:end], minlength=10) / (end - start) for start, end in windows]
            return (np.array(shares) + 0.05) / 1.5

    said = [Truth(None, recording) for recording in recordings]
    chosen = {
        "whole": SegmentConfig(method="whole", penalty=0.05),
        "frames": SegmentConfig(method="frames", windows=(1.0,), penalty=0.05),
    }
    asked = {name: find for name, find in script.ways(chosen).items() if name != script.DENSE}
    found = {name: [find(recognised) for recognised in said] for name, find in asked.items()}
    accuracy = {name: script.measured(labels, recordings)["F1@50"] for name, labels in found.items()}
    assert accuracy.pop("where they were joined (told)") == 100
    assert min(accuracy["`--method frames`"], accuracy["`--method whole`"]) > 90
    rows = [
        {"recordings": 0, "run": run, "method": "m", **dict.fromkeys(("F1@10", "F1@25", "F1@50", "edit"), score)}
        for run, score in (("a", 50.0), ("b", 60.0))
    ]
    (mean,) = script.means(rows)
    assert (mean["F1@50"], mean["runs"]) == (55.0, 2)
    script.draw(recordings, found, small_store.info.classes, tmp_path / "t.png")
    assert (tmp_path / "t.png").stat().st_size > 5000
