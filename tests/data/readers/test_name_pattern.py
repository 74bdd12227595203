"""Patterns of file names: fields, anything, folders; people with names are numbered."""

from __future__ import annotations

import pytest

from poseglot.data.readers.name_pattern import NamePattern, numbered
from poseglot.errors import PoseglotError


@pytest.mark.parametrize(
    ("pattern", "name", "found"),
    [
        ("a{label}_s{subject}_t*", "Skeleton/a12_s3_t4_skeleton", {"label": "12", "subject": "3"}),
        ("a{label}_s{subject}_t{trial}_skeleton", "a12_s3_t4_skeleton", {"label": "12", "subject": "3"}),
        ("{subject}-{label}", "anna-wave both hands", {"label": "wave both hands", "subject": "anna"}),
        ("{split}/{subject}/{label}_*", "train/p1/wave_07", {"split": "train", "subject": "p1", "label": "wave"}),
        ("a{label}_s{subject}_t*", "b12_s3_t4", None),
        ("*_{label}", "one_two_three", {"label": "two_three"}),
        ("a.{label}", "axx", None),
    ],
)
def test_a_pattern_reads_a_name(pattern: str, name: str, found: dict[str, str] | None) -> None:
    assert NamePattern(pattern).read(name) == found


@pytest.mark.parametrize("pattern", ["no field", "{trial}", "{label}{label}", "{label", "{label}}"])
def test_a_pattern_that_cannot_be_is_refused(pattern: str) -> None:
    with pytest.raises(PoseglotError, match="cannot be"):
        NamePattern(pattern)


def test_people_with_names_are_numbered_and_numbers_stay() -> None:
    assert numbered([{"subject": "03", "camera": "left"}, {"subject": "10", "camera": "front"}, {"label": "x"}]) == [
        {"subject": "3", "camera": "2"},
        {"subject": "10", "camera": "1"},
        {"label": "x"},
    ]
    assert [cells["subject"] for cells in numbered([{"subject": "eve"}, {"subject": "adam"}])] == ["2", "1"]
    assert [cells["subject"] for cells in numbered([{"subject": "0"}, {"subject": "1"}])] == ["1", "2"]  # 0 would be nobody
