"""`poseglot stream`: a file or frames from another program, a line for each."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.data.store import PackedStore
from poseglot.inference import StreamingRecognizer

Poseglot = Callable[..., Any]


@pytest.fixture
def clip(small_store: PackedStore) -> Any:
    return small_store[0].joints


def test_a_file_frame_by_frame(poseglot: Poseglot, make_run: Callable[..., Path], clip: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    np.save(tmp_path / "clip.npy", clip)
    said = poseglot("stream", run, tmp_path / "clip.npy", "--json", "--top", 2, "--every", 4)
    assert said.status == 0, said.error
    assert not said.error
    recognizer, wanted = StreamingRecognizer(run), []
    for frame in clip.swapaxes(0, 1):
        recognizer.step(frame)
        wanted.append([(answer.action, pytest.approx(answer.probability, abs=1e-5)) for answer in recognizer.best(2)])
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert [line["frame"] for line in lines] == list(range(0, clip.shape[1], 4))
    for line in lines:
        assert [(answer["action"], answer["probability"]) for answer in line["scores"]] == wanted[line["frame"]]
    by_frame = poseglot("stream", run, tmp_path / "clip.npy", "--json", "--method", "frame")
    assert "note: people are placed by the bounding box of the frames so far" in by_frame.error and by_frame.out != said.out
    table = poseglot("stream", run, tmp_path / "clip.npy", "--top", 1)
    assert len(table.out.splitlines()) == clip.shape[1]
    assert wanted[-1][0][0] in table.out.splitlines()[-1]


def test_frames_from_another_program(
    poseglot: Poseglot, make_run: Callable[..., Path], clip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run")
    frames = [json.dumps(frame.tolist()) for frame in clip[0, :5]]

    def said(lines: list[str]) -> Any:
        monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines) + "\n"))
        return poseglot("stream", run, "-", "--json")

    twice = said([*frames, "", *frames])
    assert twice.status == 0, twice.error
    lines = twice.out.splitlines()
    assert len(lines) == 10 and lines[:5] == lines[5:], "an empty line forgets everything"
    for wrong, message in (
        ("[[1, 2", "line 2 of the input is not JSON"),
        ("[[1, 2, 3]]", "line 2: frame 1: 1 joints in a frame"),
        ("[[1, 2, 3], [1, 2]]", "line 2: frame 1"),
        ("null", "line 2 of the input is null"),
    ):
        refused = said([frames[0], wrong])
        assert refused.status == 1 and message in refused.error and len(refused.out.splitlines()) == 1
    assert poseglot("stream", run, "-", "--every", 0).status == 1
