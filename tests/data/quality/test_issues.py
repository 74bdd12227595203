"""Issues of clips: rows of a report, and errors that survive the way from one process to another."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable

import pytest

from poseglot.data.quality.issues import KINDS, ClipError, ClipIssue
from poseglot.errors import InputError

ISSUE = ClipIssue("S001C001P001R001A001", "a.zip:S001C001P001R001A001.skeleton", "cut short", "the file ends in line 7.")


def test_an_issue_is_a_row_of_a_report() -> None:
    row = ISSUE.as_dict()
    assert list(row) == ["name", "origin", "kind", "message"]
    assert ClipIssue(**json.loads(json.dumps(row))) == ISSUE


def test_an_issue_comes_back_from_another_process() -> None:
    assert pickle.loads(pickle.dumps(ISSUE)) == ISSUE


def test_kinds_are_different_words() -> None:
    assert len(set(KINDS)) == len(KINDS) > 5 and ISSUE.kind in KINDS


def test_an_error_of_a_clip_says_its_kind_and_is_for_the_user() -> None:
    error = ClipError("body count", "f.skeleton, line 7: expected a count.")
    assert isinstance(error, InputError)
    assert error.kind == "body count" and str(error) == "f.skeleton, line 7: expected a count."


@pytest.mark.parametrize("way", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"])
def test_an_error_of_a_clip_comes_back_from_another_process(way: Callable[[ClipError], ClipError]) -> None:
    """Else the pool of processes breaks where the error is received, and nobody learns what was wrong."""
    error = way(ClipError("body count", "f.skeleton, line 7: expected a count."))
    assert type(error) is ClipError and error.kind == "body count" and str(error) == "f.skeleton, line 7: expected a count."
