"""`poseglot export` and `poseglot predict` on what it wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

Poseglot = Callable[..., Any]


def test_wrong_calls_are_answered_in_words(poseglot: Poseglot, make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert "must end in .onnx" in poseglot("export", run, "--out", tmp_path / "r.pt").error
    (tmp_path / "r.onnx").touch()
    assert "exists" in poseglot("export", run, "--out", tmp_path / "r.onnx").error
    alone = run / "recognizer.safetensors"
    assert "give a run's folder" in poseglot("export", alone, "--out", tmp_path / "s.onnx", "--int8", "static").error
    assert "recognizer.safetensors" in poseglot("export", tmp_path, "--out", tmp_path / "s.onnx").error
    assert "add --raw" in poseglot("export", run, "--out", tmp_path / "s.onnx", "--layout", "ntu25").error
    assert "--int8" in poseglot("export", run, "--out", tmp_path / "s.onnx", "--raw", "--int8", "dynamic").error
    assert "coordinates" in poseglot("export", run, "--out", tmp_path / "s.onnx", "--raw", "--dims", 2).error
    assert "--layout" in poseglot("export", "everyday", "--out", tmp_path / "s.onnx", "--raw", "--dims", 2).error
    assert not (tmp_path / "s.onnx").exists()


@pytest.mark.slow
def test_a_run_is_exported_and_its_file_predicts(poseglot: Poseglot, make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    np.save(tmp_path / "clip.npy", np.random.default_rng(0).normal(size=(40, 20, 3)).astype(np.float32))
    said = poseglot("export", run, "--out", tmp_path / "r.onnx")
    assert said.status == 0, said.error
    assert "logits equal torch's" in said.out
    ours, theirs = (poseglot("predict", path, tmp_path / "clip.npy").out for path in (run, tmp_path / "r.onnx"))
    assert ours == theirs
    said = poseglot("export", run, "--raw")
    assert said.status == 0, said.error
    assert "probabilities equal torch's" in said.out
    assert poseglot("predict", run / "recognizer-raw.onnx", tmp_path / "clip.npy").out == ours
    for int8 in ("dynamic", "static"):
        said = poseglot("export", run, "--out", tmp_path / f"{int8}.onnx", "--int8", int8, "--calibrate-on", 16)
        assert said.status == 0, said.error
        assert "top-1 before" in said.out and "top-1 after" in said.out
