"""The table of formats names every ending that is read, and every reader of whole sets."""

from __future__ import annotations

import pytest

from poseglot.data.readers import VIDEOS, endings, set_formats
from tests.conftest import ROOT

TABLE = (ROOT / "docs" / "data.md").read_text().split("<!-- formats: start.")[1].split("<!-- formats: end -->")[0]


@pytest.mark.parametrize("ending", endings())
def test_every_ending_is_in_the_table(ending: str) -> None:
    assert f"`{ending}`" in TABLE or f"{ending}`" in TABLE


@pytest.mark.parametrize("format", ["pyskl", "npz", "st-gcn"])
def test_sets_that_others_prepared_are_in_the_table(format: str) -> None:
    assert format in set_formats() and f"prepare {format} " in TABLE


def test_videos_are_in_the_table() -> None:
    assert any(f"`{video}`" in TABLE for video in VIDEOS)
