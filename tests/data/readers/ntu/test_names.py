"""The names of recordings: their fields, and the list of those that miss skeletons."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.readers.ntu.names import fields_of, known_incomplete


def test_fields_of_a_name() -> None:
    assert fields_of("S018C002P043R001A106") == {"label": 105, "subject": 43, "camera": 2, "setup": 18}


def test_fields_of_random_names() -> None:
    for setup, camera, subject, replication, action in np.random.default_rng(0).integers(1, 1000, (200, 5)).tolist():
        name = f"S{setup:03d}C{camera:03d}P{subject:03d}R{replication:03d}A{action:03d}"
        assert fields_of(name) == {"label": action - 1, "subject": subject, "camera": camera, "setup": setup}


@pytest.mark.parametrize(
    "name",
    [
        "",
        "S001",
        "S001C001P001R001",
        "S001C001P001R001A000",  # actions are counted from 1
        "S001C001P001R001A01",
        "S001C001P001R001A0011",
        "s001c001p001r001a001",
        "S001C001R001P001A001",
        "S001C001P001R001A-01",
        "S001C001P001R001A 01",
        "S001C001P001R001A001\n",
        " S001C001P001R001A001",
        "S001C001P001R001A001.skeleton",
        "xS001C001P001R001A001",
        "S\u0660\u0660\u0661C001P001R001A001",
        "S001C001P001R001A\u00b2\u00b2\u00b2",
        "a01_s01_e00_v01",
    ],
)
def test_names_of_another_form_say_nothing(name: str) -> None:
    assert fields_of(name) == {}


def test_known_incomplete_recordings(shared: Path) -> None:
    names = known_incomplete()
    assert names == set((shared / "data" / "ntu" / "missing.txt").read_text().split())
    fields = [fields_of(name) for name in sorted(names)]
    assert len(names) == 535 and all(fields)
    assert Counter(field["setup"] <= 17 for field in fields) == {True: 302, False: 233}
    # The first part has the actions of NTU RGB+D 60, the second those that 120 adds.
    assert all((field["setup"] <= 17) == (field["label"] < 60) for field in fields)
    assert max(field["label"] for field in fields) < len(load_benchmark("ntu120").classes)


def test_the_complete_sets_are_what_is_left() -> None:
    """56,880 and 114,480 recordings, less those; the protocols' tables must add up to them."""
    for benchmark, recordings, incomplete in (("ntu60", 56_880, 302), ("ntu120", 114_480, 535)):
        assert sum(load_benchmark(benchmark).expected.values()) == recordings - incomplete
