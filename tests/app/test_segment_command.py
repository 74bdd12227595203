"""`poseglot segment`: a table, files, the measures against a truth; and its help says what `Cutting` does."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.data.segments import read_segments
from poseglot.data.store import PackedStore
from poseglot.inference.segmentation import SegmentConfig

Poseglot = Callable[..., Any]


@pytest.fixture
def recording(small_store: PackedStore, tmp_path: Path) -> Path:
    """Three clips of one person, end to end."""
    path = tmp_path / "long.npy"
    np.save(path, np.concatenate([small_store[place].joints for place in (0, 16, 32)], axis=1))
    return path


def test_segments_are_printed_written_and_compared(
    poseglot: Poseglot, make_run: Callable[..., Path], recording: Path, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run")
    said = poseglot("segment", run, recording, "--out", tmp_path / "s.csv", "--window", 1, "--stride", 0.3)
    assert said.status == 0, said.error
    head, *rows, written = said.out.splitlines()
    assert head.split() == ["start", "end", "action", "score", "person"]
    segments = read_segments(tmp_path / "s.csv")
    assert len(rows) == len(segments) > 0
    for row, segment in zip(rows, segments, strict=True):
        start, end, action, score, person = re.fullmatch(r" *([\d.]+) +([\d.]+)  (.*?) +([\d.]+)%  (\d)", row).groups()  # type: ignore[union-attr]
        assert (float(start), float(end)) == pytest.approx((segment.start, segment.end), abs=0.006)
        assert (action, int(person)) == (segment.action, segment.person)
        assert float(score) / 100 == pytest.approx(segment.score, abs=0.001)
    assert written == f"written: {tmp_path / 's.csv'}"
    again = poseglot("segment", run, recording, "--truth", tmp_path / "s.csv", "--window", 1, "--stride", 0.3)
    assert re.search(r"^F1@10 100.0, F1@25 100.0, F1@50 100.0, edit 100.0, frames (\d+)/\1 = 100.00 %$", again.out, re.M), (
        again.out
    )
    (tmp_path / "other.csv").write_text("start,end,action\n0,1,nothing of the kind\n")
    other = poseglot("segment", run, recording, "--truth", tmp_path / "other.csv", "--window", 1, "--stride", 0.3)
    assert "F1@10 0.0, F1@25 0.0, F1@50 0.0, edit 0.0, frames 0/" in other.out
    assert re.search("note: .*nothing of the kind", other.error)


def test_what_cannot_be_written_or_read_is_said_before_anything_is_recognised(
    poseglot: Poseglot, recording: Path, tmp_path: Path
) -> None:
    said = poseglot("segment", tmp_path / "no run", recording, "--out", tmp_path / "s.srt")
    assert said.status == 1 and ".csv, .json, .vtt, .eaf" in said.error
    said = poseglot("segment", tmp_path / "no run", recording, "--truth", tmp_path / "none.csv")
    assert said.status == 1 and "could not read" in said.error


def test_the_help_says_the_defaults(poseglot: Poseglot) -> None:
    text = " ".join(poseglot("segment", "--help").out.split())
    for field in fields(SegmentConfig):
        option = "--window" if field.name == "windows" else "--" + field.name.replace("_", "-")
        shown = " ".join(map(str, field.default)) if isinstance(field.default, tuple) else str(field.default)
        assert re.search(rf"{option} [^-]*?\({re.escape(shown)}\)", text), (option, shown)
