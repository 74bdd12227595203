"""benchmarks/speed.py and ways.py: every way is timed and looked at on very little; a way that computes something else is not."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).parent.parent / "benchmarks"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks look at memory in Linux's way")
LITTLE = ["--shapes", "nw-ucla", "--width", "16", "--frames", "8", "--batches", "2", "--seconds", "0", "--threads", "1"]


@pytest.fixture
def speed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import speed

    yield speed
    for name in ("speed", "ways", "plain"):
        sys.modules.pop(name, None)


@pytest.fixture
def ways(speed: Any) -> Any:
    return sys.modules["ways"]


def measured(out: Path, *options: str, **environment: str) -> tuple[dict[str, Any], str]:
    """Numbers and page of a run."""
    command = [sys.executable, str(FOLDER / "speed.py"), *LITTLE, "--out", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return json.loads((out / "table.json").read_text()), (out / "table.md").read_text()


@pytest.mark.slow
def test_all_ways_are_timed_in_turns(tmp_path: Path) -> None:
    data, page = measured(tmp_path, "--ways", "plain", "torch", "--repeats", "3")
    assert [(row["mode"], row["way"]) for row in data["rows"]] == [
        ("train", "plain"), ("train", "torch"), ("infer", "plain"), ("infer", "torch"),
    ]  # fmt: skip
    peak = data["matrix product, GFLOP/s"]
    assert peak["least"] <= peak["median"] <= peak["most"]
    for row in data["rows"]:
        assert row["least"] <= row["ms"] <= row["most"] and row["rounds"] == 2  # no time for the third
        assert row["clips/s"] == pytest.approx(1e3 * row["batch"] / row["ms"])
        assert row["of the peak"] == pytest.approx(row["GFLOP/s"] / peak["median"])
        assert row["way"] != "plain" or row["times plain"] == 1
    training = [row["peak MiB"] for row in data["rows"] if row["mode"] == "train"]
    assert all(1 < mib < 200 for mib in training)
    assert data["left out"] == [] and "## Inference, nw-ucla" in page
    assert (data["threads"], data["seed"]) == (1, 0) and "--width 16" in data["machine"]["command"]
    assert (tmp_path / "speed.png").stat().st_size > 10_000


@pytest.mark.slow
def test_what_is_not_to_be_had_is_said(tmp_path: Path) -> None:
    (tmp_path / "path").mkdir()
    git = shutil.which("git")
    if git is None:
        pytest.skip("there is no git")
    (tmp_path / "path" / "git").symlink_to(git)
    options = ["--modes", "infer", "--repeats", "1", "--ways"]
    data, page = measured(tmp_path, *options, "plain", "ours", PATH=str(tmp_path / "path"), CXX="")
    assert [row["way"] for row in data["rows"]] == ["plain"]
    assert "- nw-ucla, infer, batch 2, ours: not available: no C++ compiler was found" in page


@pytest.mark.slow
def test_the_ways_that_compile_answer_too(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    data, _ = measured(tmp_path, "--ways", "plain", "compiled", "onnxruntime")
    assert [row["way"] for row in data["rows"]] == ["plain", "compiled", "plain", "compiled", "onnxruntime"]


def test_a_step_that_would_take_too_long_is_left_out(speed: Any) -> None:
    given = argparse.Namespace(ways=["plain", "torch"], frames=8, longest=10.0)
    earlier = [{"shape": "ntu", "mode": "train", "batch": 16, "way": "plain", "ms": 3000.0}]
    left_out: list[str] = []
    assert speed.measure("ntu", "train", 64, given, earlier, left_out) == []
    assert left_out == ["ntu, train, batch 64: a step of plain would take longer than 10 s"]


def test_a_way_that_computes_something_else_is_not_timed(speed: Any, ways: Any, tmp_path: Path) -> None:
    shape = ways.Shape("kinect20", 1, 8, 10)
    options = {"width": 16, "device": "cpu", "exports": tmp_path, "dtype": torch.float64}
    said = {way: ways.build(way, shape, "train", 3, **options).answer() for way in ("plain", "torch", "ours")}
    assert len(said["plain"]) == 1 + len(list(ways.networks(shape, 16, heads=True)[1].parameters()))
    speed.check_same("all", speed.CLOSE["exact"], said)
    for name in ("loss", "the gradient of encoder.blocks.4.graph.alpha", "the gradient of heads.hip_head.weight"):
        for factor in (1.001, float("nan")):
            changed = {**said["torch"], name: said["torch"][name] * factor}
            with pytest.raises(SystemExit, match=f"{name} by torch"):
                speed.check_same("all", speed.CLOSE["exact"], {"plain": said["plain"], "torch": changed})


def test_a_network_without_refined_topologies_would_be_noticed(speed: Any, ways: Any) -> None:
    shape = ways.Shape("ntu25", 2, 8, 10)
    plain, ours = (network.eval() for network in ways.networks(shape, 16, heads=False))
    x = ways.batch_of(shape, 2)[0]
    with torch.no_grad():
        wanted = {"logits": plain(x)[0]}
        speed.check_same("both", speed.CLOSE["infer"], {"plain": wanted, "ours": {"logits": ours(x)["logits"]}})
        ours.encoder.blocks[7].graph.alpha.zero_()
        with pytest.raises(SystemExit, match="logits by ours"):
            speed.check_same("both", speed.CLOSE["infer"], {"plain": wanted, "ours": {"logits": ours(x)["logits"]}})


@pytest.mark.parametrize("mode", ["train", "infer"])
def test_operations_are_counted_by_shapes_as_by_computing(ways: Any, mode: str) -> None:
    shape = ways.Shape("kinect20", 1, 32, 10)
    plain, ours = ways.flops_of_a_clip(shape, mode, 16)
    assert (plain, ours) == tuple(ways.flops_of_a_clip(shape, mode, 16, "cpu"))
    assert 0 < ours < plain


def test_memory_is_the_steps_own(speed: Any) -> None:
    """Neither what this process once had, nor what the one that started it had."""
    asked = (
        "import measuring, sys; kept = bytearray(b'x') * (90 * 2**20); del kept; measuring.restart_own_peak(); "
        "before = measuring.own_memory()['now']; kept = bytearray(b'x') * (40 * 2**20); del kept; "
        "print(measuring.own_memory()['most'] - before)"
    )
    held = bytearray(b"x") * (200 * 2**20)
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, cwd=FOLDER, check=True)
    assert 39 < int(done.stdout) / 2**20 < 50 and held


def test_memory_that_is_not_there_is_refused(ways: Any) -> None:
    asked = (
        "import argparse, speed, pathlib; speed.free_memory = lambda: 2**30; "
        "given = argparse.Namespace(width=64, device='cpu', exports=pathlib.Path('.')); "
        "speed.first_step(speed.Shape('ntu25', 2, 64, 10), 'train', 32, 'plain', given, 1)"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, cwd=FOLDER, check=False)
    assert done.returncode == 1 and done.stderr.strip().endswith("MemoryError")
