"""Opening a data set by the name of its format: options that fit, and readers that are loaded when they are asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from poseglot.data.readers import FORMATS_OF_SETS, open_source
from poseglot.errors import PoseglotError
from poseglot.skeletons.layout import load_layout

GIVEN: dict[str, Any] = {"layout": load_layout("coco17"), "classes": ["a"], "test_subjects": [1], "scored": True}


def opened(format: str, sources: list[Path], **options: Any) -> object:
    nothing: dict[str, Any] = {"layout": None, "name": "mine", "classes": None, "test_subjects": None, "scored": False}
    return open_source(format, sources, **{**nothing, **options})


@pytest.mark.parametrize("format", FORMATS_OF_SETS)
@pytest.mark.parametrize("option", GIVEN)
def test_an_option_is_used_or_refused(format: str, option: str, tmp_path: Path) -> None:
    rules = FORMATS_OF_SETS[format]
    options = {"layout": GIVEN["layout"]} if rules.needs_layout else {}
    with pytest.raises(PoseglotError) as error:
        opened(format, [tmp_path / "gone"], **{**options, option: GIVEN[option]})
    refused = f"the format {format} takes no {option.replace('_', ' ')}: "
    assert str(error.value).startswith(refused) == (option not in rules.options)
    # Otherwise its reader was asked, and misses the file.
    assert (option not in rules.options) or "gone" in str(error.value)


@pytest.mark.parametrize("format", FORMATS_OF_SETS)
def test_empty_options_are_as_none_given(format: str, tmp_path: Path) -> None:
    layout = GIVEN["layout"] if FORMATS_OF_SETS[format].needs_layout else None
    with pytest.raises(PoseglotError, match="gone"):
        opened(format, [tmp_path / "gone"], layout=layout, classes=[], test_subjects=[])


@pytest.mark.parametrize("format", [name for name, rules in FORMATS_OF_SETS.items() if rules.needs_layout])
def test_a_layout_is_asked_for(format: str, tmp_path: Path) -> None:
    with pytest.raises(PoseglotError, match=rf"the format {format} does not say what its joints are: name their layout"):
        opened(format, [tmp_path])


@pytest.mark.parametrize("format", FORMATS_OF_SETS)
def test_the_number_of_sources_is_checked(format: str, tmp_path: Path) -> None:
    rules = FORMATS_OF_SETS[format]
    layout = GIVEN["layout"] if rules.needs_layout else None
    for sources in ([], [tmp_path / "gone", tmp_path / "lost"]):
        match = rf"{len(sources)} sources were given" if not sources or not rules.several else "gone"
        with pytest.raises(PoseglotError, match=match):
            opened(format, sources, layout=layout)


def test_unknown_formats_are_named_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(PoseglotError, match=r"unknown format 'pkl'; there are pyskl, npz, npy, mat, txt, csv, bvh"):
        opened("pkl", [tmp_path])


def test_readers_are_loaded_when_they_are_asked_for() -> None:
    program = (
        "import sys, poseglot.data.readers\n"
        "print(*(name for name in sys.modules if name == 'pybvh' or name.startswith('poseglot.data.readers.')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    names = {name.removeprefix("poseglot.data.readers.") for name in done.stdout.split()}
    assert names == {"listing", "nw_ucla", "sets", "source"}
