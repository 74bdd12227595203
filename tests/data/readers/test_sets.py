"""Opening a data set by the name of its format: options that fit, and readers that are loaded when they are asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.data.readers import (
    READERS,
    ClipFile,
    ReadOptions,
    Recording,
    clip_files,
    open_source,
    read_clip,
    register_reader,
    set_formats,
)
from poseglot.errors import FileError, NotFoundError, PoseglotError, SettingError
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout
from tests.data.readers.opened import read_set

GIVEN: dict[str, Any] = {"layout": load_layout("coco17"), "classes": ["a"], "test_subjects": [1], "has_scores": True}


def opened(format: str, sources: list[Path], **options: Any) -> object:
    nothing: dict[str, Any] = {"layout": None, "name": "mine", "classes": None, "test_subjects": None, "has_scores": False}
    return open_source(format, sources, **{**nothing, **options})


@pytest.mark.parametrize("format", set_formats())
@pytest.mark.parametrize("option", GIVEN)
def test_an_option_is_used_or_refused(format: str, option: str, tmp_path: Path) -> None:
    rules = set_formats()[format]
    options = {"layout": GIVEN["layout"]} if rules.needs_layout else {}
    with pytest.raises(PoseglotError) as error:
        opened(format, [tmp_path / "gone"], **{**options, option: GIVEN[option]})
    refused = f"the format {format} takes no {option.replace('_', ' ')}: "
    assert str(error.value).startswith(refused) == (option not in rules.options)
    # Otherwise its reader was asked, and misses the file.
    assert (option not in rules.options) or "gone" in str(error.value)


@pytest.mark.parametrize("format", set_formats())
def test_empty_options_are_as_none_given(format: str, tmp_path: Path) -> None:
    layout = GIVEN["layout"] if set_formats()[format].needs_layout else None
    with pytest.raises(FileError):
        opened(format, [tmp_path / "gone"], layout=layout, classes=[], test_subjects=[])


@pytest.mark.parametrize("format", [name for name, rules in set_formats().items() if rules.needs_layout])
def test_a_layout_is_asked_for(format: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=rf"{format}"):
        opened(format, [tmp_path])


@pytest.mark.parametrize("format", set_formats())
def test_the_number_of_sources_is_checked(format: str, tmp_path: Path) -> None:
    rules = set_formats()[format]
    layout = GIVEN["layout"] if rules.needs_layout else None
    for sources in ([], [tmp_path / "gone", tmp_path / "lost"]):
        match = rf"{len(sources)} sources were given" if not sources or not rules.several else "gone"
        with pytest.raises(PoseglotError, match=match):
            opened(format, sources, layout=layout)


def test_unknown_formats_are_named_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="'pkl'"):
        opened("pkl", [tmp_path])


def test_readers_are_loaded_when_they_are_asked_for() -> None:
    program = (
        "import sys, poseglot.data.readers\n"
        "print(*(name for name in sys.modules if name == 'pybvh' or name.startswith('poseglot.data.readers.')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    names = {name.removeprefix("poseglot.data.readers.") for name in done.stdout.split()}
    assert names == {"formats", "joint_names", "reading", "selection"}


def test_a_plugin_adds_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(READERS, "_entries", dict(READERS))  # forgotten after the test

    @register_reader("studio", "files of a studio", endings=(".studio",))
    def read(file: ClipFile, options: ReadOptions) -> Recording:
        joints = np.full((1, 2, 17, 2), float(file.text), dtype=np.float32)
        return Recording(Clip(joints, name=file.path.stem), load_layout("coco17"))

    for number in range(4):
        (tmp_path / ("wave" if number % 2 else "sit")).mkdir(exist_ok=True)
        (tmp_path / ("wave" if number % 2 else "sit") / f"{number}.studio").write_text(str(number + 1))
    assert read_clip(tmp_path / "wave" / "3.studio").joints[0, 0, 0, 0] == 4
    found = read_set("studio", tmp_path)
    assert sorted(clip.joints[0, 0, 0, 0] for clip in found.clips) == [1, 2, 3, 4] and found.source.layout.name == "coco17"
    assert [path.name for path in clip_files(tmp_path)[0]] == ["0.studio", "2.studio", "1.studio", "3.studio"]
