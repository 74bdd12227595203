"""`poseglot models`, and names of packaged recognizers in other commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.data.synthetic import ACTIONS
from poseglot.models import pretrained
from poseglot.models.pretrained import describe_recognizer, list_recognizers

Command = Callable[..., Any]
NAME = "nw-ucla"
FACTS = describe_recognizer(NAME)


@pytest.fixture(autouse=True)
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to an empty folder with a clip, as a new process."""
    monkeypatch.chdir(tmp_path)
    pretrained._say.cache_clear()
    np.save("clip.npy", np.random.default_rng(0).normal(size=(1, 30, 20, 3)))
    return Path("clip.npy")


def test_models_lists_what_there_is(poseglot: Command) -> None:
    said = poseglot("models")
    assert (said.status, said.error) == (0, "")
    first = next(line for line in said.out.splitlines() if line.startswith(NAME))
    result = FACTS.results[0]
    for fact in (FACTS.layout, f"{result['correct']}/{result['total']}", FACTS.licence, "MB"):
        assert fact in first
    listed = json.loads(poseglot("models", "--json").out)
    assert [each["name"] for each in listed] == list_recognizers()
    assert poseglot("models", NAME).out == (FACTS.folder / "README.md").read_text()
    refused = poseglot("models", "nw-ukla")
    assert refused.status == 1 and NAME in refused.error


def test_predict_takes_a_name_and_says_the_licence_on_standard_error(poseglot: Command, clip: Path) -> None:
    said = poseglot("predict", NAME, clip, "--json")
    assert said.status == 0
    assert json.loads(said.out)[0]["scores"]
    assert said.error.count(FACTS.notice) == 1
    refused = poseglot("predict", "nw-ukla", clip)
    assert refused.status == 1 and NAME in refused.error


def test_stream_segment_and_batch_take_a_name(poseglot: Command, clip: Path) -> None:
    assert poseglot("stream", NAME, clip).status == 0
    assert poseglot("segment", NAME, clip).status == 0
    assert poseglot("predict", NAME, clip, "--engine", "local", "--out", "batch").status == 0
    assert json.loads(Path("batch/batch.json").read_text())["recognizer"]["path"] == str(FACTS.folder)


def test_nothing_is_written_beside_a_packaged_recognizer(poseglot: Command, clip: Path) -> None:
    before = sorted(FACTS.folder.iterdir())
    pytest.importorskip("onnxscript")
    assert poseglot("export", NAME).status == 0
    assert Path(f"{NAME}.onnx").exists()
    assert json.loads(poseglot("predict", f"{NAME}.onnx", clip, "--json").out)[0]["scores"]
    for command in ("plot", "report", "card", "zero-shot"):
        refused = poseglot(command, NAME)
        assert refused.status == 1 and "packaged" in refused.error, command
    assert sorted(FACTS.folder.iterdir()) == before


def test_evaluate_takes_a_name_and_keeps_no_scores(poseglot: Command, store_path: Path, tmp_path: Path) -> None:
    before = sorted(FACTS.folder.iterdir())
    lines = [f"{label}: {'throw' if label == 'wave one hand' else '-'}\n" for label in ACTIONS]
    (tmp_path / "map.yaml").write_text("".join(lines))
    said = poseglot("evaluate", NAME, "--store", store_path, "--class-map", "map.yaml")
    assert said.status == 0, said.error
    assert "top-1" in said.out and "scores:" not in said.out
    assert sorted(FACTS.folder.iterdir()) == before
