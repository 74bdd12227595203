"""Patterns of file names: fields, anything, folders; named people become numbers; ambiguous readings are refused."""

from __future__ import annotations

import pytest

from poseglot.data.readers.folder import NamePattern, numbered
from poseglot.errors import SettingError


@pytest.mark.parametrize(
    ("pattern", "name", "found"),
    [
        ("a{label}_s{subject}_t*", "Skeleton/a12_s3_t4_skeleton", {"label": "12", "subject": "3"}),
        ("a{label}_s{subject}_*", "a12_s3_t4_skeleton", {"label": "12", "subject": "3"}),
        ("a{label}_s{subject}_t{trial}_skeleton", "a12_s3_t4_skeleton", {"label": "12", "subject": "3"}),
        ("{subject}-{label}", "anna-wave both hands", {"label": "wave both hands", "subject": "anna"}),
        ("{split}/{subject}/{label}_*", "train/p1/wave_07", {"split": "train", "subject": "p1", "label": "wave"}),
        ("a{label}_s{subject}_t*", "b12_s3_t4", None),
        ("a{label}_s{subject}", "asit_stand_s3", {"label": "sit_stand", "subject": "3"}),
        ("a.{label}", "axx", None),
    ],
    ids=["mhad", "star", "trial", "dash", "folders", "other", "digits", "dot"],
)
def test_a_pattern_reads_a_name(pattern: str, name: str, found: dict[str, str] | None) -> None:
    assert NamePattern(pattern).read(name) == found


@pytest.mark.parametrize(
    ("pattern", "name"),
    [("a{label}_*_p{subject}", "atalking_on_the_phone_10_p3"), ("*_{label}", "one_two_three"), ("{subject}_{label}", "anna_wave_left")],
    ids=["phone", "tail", "names"],
)  # fmt: skip
def test_an_ambiguous_pattern_is_refused(pattern: str, name: str) -> None:
    with pytest.raises(SettingError, match=name):
        NamePattern(pattern).read(name)


@pytest.mark.parametrize("pattern", ["no field", "{trial}", "{label}{label}", "{label", "{label}}"])
def test_an_invalid_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(SettingError):
        NamePattern(pattern)


def test_people_keep_their_names_and_numbers_stay() -> None:
    assert numbered([{"subject": "03", "camera": "left"}, {"subject": "10", "camera": "front"}, {"label": "x"}]) == [
        {"subject": "3", "camera": "2"},
        {"subject": "10", "camera": "1"},
        {"label": "x"},
    ]
    assert [cells["subject"] for cells in numbered([{"subject": "eve"}, {"subject": "adam"}])] == ["eve", "adam"]
    assert [cells["subject"] for cells in numbered([{"subject": "0"}, {"subject": "1"}])] == ["1", "2"]  # 0 would be nobody
