"""`poseglot predict --engine local`: an archive from the command line. (Ray: tests/inference/test_on_ray.py.)"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from poseglot.data.store import PackedStore
from tests.app.conftest import Outcome

Poseglot = Callable[..., Outcome]


def test_a_store_a_folder_and_a_list(
    poseglot: Poseglot,
    make_run: Callable[..., Path],
    store_path: Path,
    small_store: PackedStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "run")
    for place, name in enumerate(["folder/a.npy", "folder/b.npy", "listed.npy"]):
        Path(name).parent.mkdir(exist_ok=True)
        np.save(name, small_store[place].joints)
    Path("folder/c.npy").write_bytes(b"")
    Path("clips.list").write_text("listed.npy\n\nlisted.npy\nmissing.npy\n")
    asked = ["predict", "run", "folder", store_path, "@clips.list", "--engine", "local", "--out", "answers", "--shard-size", 50]
    said = poseglot(*asked, "--top", 2)
    assert said.status == 0, said.error
    assert said.out == "125 clips: 123 predicted, 2 failed; in answers/shard-*.jsonl\n"
    assert 'Lines with "error" say why' in said.error
    lines = [json.loads(line) for path in sorted(Path("answers").glob("*.jsonl")) for line in path.read_text().splitlines()]
    assert [Path(line["clip"]).name for line in lines[120:]] == ["a.npy", "b.npy", "c.npy", "listed.npy", "missing.npy"]
    for same, answer in zip(lines[120]["scores"], lines[0]["scores"], strict=True):
        assert same == {**answer, "probability": pytest.approx(answer["probability"], abs=1e-6)}
    assert len(lines[0]["scores"]) == 2
    again = poseglot(*asked, "--top", 2)
    assert again.out == said.out and "125 of 125 clips" in again.error
    other = poseglot(*asked, "--top", 3)
    assert other.status == 1 and "settings differ" in other.error


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--engine", "local"], "name it with --out"),
        (["--out", "x"], "--out"),
        (["--workers", "2"], "--workers"),
        (["--engine", "local", "--out", "x", "--pose", "rtmpose"], "`poseglot extract-poses`"),
        (["--engine", "local", "--out", "x", "--top", "0"], "not 0"),
        (["--engine", "local", "--out", "x", "--json"], "do not go with --engine local"),
        (["--engine", "ray", "--out", "x", "--add-class", "jumping"], "do not go with --engine ray"),
        (["--engine", "local", "--out", "x", "--workers", "2"], "are for --engine ray"),
        (["--engine", "ray", "--out", "x", "--workers", "0"], "--workers"),
        (["wave.mp4", "--engine", "local", "--out", "x"], "wave.mp4 is a video"),
        (["@no.list", "--engine", "local", "--out", "x"], "could not read the list of clips"),
    ],
)
def test_what_does_not_go_together_is_refused(
    poseglot: Poseglot, store_path: Path, options: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = poseglot("predict", tmp_path / "run", store_path, *options)
    assert said.status == 1 and reason in said.error
    assert not Path("x").exists()


def test_a_list_without_clips_is_refused(poseglot: Poseglot, tmp_path: Path) -> None:
    (tmp_path / "empty.list").write_text("\n")
    said = poseglot("predict", tmp_path / "run", f"@{tmp_path / 'empty.list'}", "--engine", "local", "--out", tmp_path / "x")
    assert said.status == 1 and "no clip" in said.error


def test_where_no_clip_can_be_taken_the_command_fails(
    poseglot: Poseglot, make_run: Callable[..., Path], tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run")
    (tmp_path / "broken.npy").write_bytes(b"")
    said = poseglot("predict", run, tmp_path / "broken.npy", "--engine", "local", "--out", tmp_path / "x")
    assert said.status == 1 and "no clip" in said.error
    assert "0 predicted, 1 failed" in said.out
