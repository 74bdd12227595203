"""Findings in words: every check says its value with a unit, one is not many, and all clips are counted."""

from __future__ import annotations

import pytest

from poseglot.data.quality.checks import CHECKS, Finding
from poseglot.data.quality.summary import counted, finding_text, found_clips, value_text

VALUES = [
    ("not finite", 12345, "12,345 coordinates"),
    ("short", 1, "1 frame"),
    ("absent", 0.314, "31.4 % of the frames"),
    ("still", 1, "100.0 % of the frames"),
    ("stuck joints", 1, "1 joint"),
    ("collapsed", 2, "2 frames"),
    ("jump", 2.6951, "2.695 bodies in a frame"),
    ("jump", 26951.4, "26,951 bodies in a frame"),
    ("bones", 0.2686, "26.9 % of their length"),
    ("size", 6.0583, "6.058 standard deviations from the set's median"),
    ("restless", 7.391, "7.391 standard deviations from the set's median"),
    ("seen double", 0.0123, "0.0123 bodies apart"),
    ("alone", 1, "1 person"),
    ("company", 2, "2 people"),
    ("same content", 3, "3 clips"),
]


def test_no_check_is_forgotten() -> None:
    assert {what for what, _, _ in VALUES} == set(CHECKS)


@pytest.mark.parametrize(("what", "value", "words"), VALUES)
def test_a_value_has_its_unit(what: str, value: float, words: str) -> None:
    assert value_text(Finding("a", what, value, CHECKS[what].limit)) == words


def test_a_limit_is_said_where_it_is_one() -> None:
    jump = Finding("a", "jump", 3, 0.6, frame=2, joint="head")
    assert finding_text(jump) == "jump: 3 bodies in a frame (limit 0.6), frame 2, head"
    assert finding_text(Finding("a", "still", 0.5, 0.25)) == "still: 50.0 % of the frames (limit 25 %)"
    assert finding_text(Finding("a", "short", 1, 8)) == "short: 1 frame (limit 8)"
    assert finding_text(Finding("a", "same content", 2, 1, others=("b",))) == "same content: 2 clips, as b"


def test_every_clip_counts_once() -> None:
    findings = [
        Finding("a", "jump", 3, 0.6),
        Finding("a", "same content", 3, 1, others=("b", "c")),
        Finding("c", "short", 1, 8),
    ]
    assert found_clips(findings) == {"a", "b", "c"}


def test_one_is_not_many() -> None:
    said = [counted(1, "clip"), counted(0, "clip"), counted(1484, "clip"), counted(2, "person", "people")]
    assert said == ["1 clip", "0 clips", "1,484 clips", "2 people"]
