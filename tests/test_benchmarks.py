"""The scripts in benchmarks/: each runs, on very little, and writes its tables; and what they measure against is right."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from poseglot.data.prepare import prepare
from poseglot.data.store import open_store
from poseglot.data.synthetic.raw_ntu import write_raw_set
from poseglot.models.recognizer import RecognizerSpec, new_recognizer, save_recognizer

FOLDER = Path(__file__).parent.parent / "benchmarks"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks look at memory in Linux's way")


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The scripts as modules."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import field_ntu
    import measuring
    import prepare_ntu

    return {"field_ntu": field_ntu, "measuring": measuring, "prepare_ntu": prepare_ntu}


def run(script: str, out: Path, *options: str) -> None:
    command = [sys.executable, str(FOLDER / script), "--out", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def chain_of(field_ntu: ModuleType, text: bytes) -> list[Any]:
    """The field's way for one file: the actors, (T, 25, 3) each."""
    bodies = field_ntu.read_bodies(io.TextIOWrapper(io.BytesIO(text), encoding="ascii"), values=12)
    for body in bodies.values():
        body["motion"] = field_ntu.motion_of(body["joints"])
    return list(field_ntu.centred(field_ntu.actors_of(field_ntu.denoise(bodies))))


def test_prepare_ntu_measures_every_way(tmp_path: Path) -> None:
    options = ["--files", "5", "--sample", "5", "--texts", "2", "--workers", "1", "--repeats", "1", "--clips", "1000"]
    run("prepare_ntu.py", tmp_path / "out", *options, "--keep", str(tmp_path))
    data = json.loads((tmp_path / "out" / "table.json").read_text())
    assert [row["way"] for row in data["sample"]] == ["field", "field, x y z only", "ours, 1 worker"]
    assert {row["files"] for row in data["sample"] + data["growing"]} == {5}
    assert all(row["peak MiB"] > 10 and row["seconds"] > 0 for row in data["sample"])
    field, lean, ours = (row["seconds"] for row in data["sample"])
    assert data["ratios"][2]["times field, clock"] == pytest.approx(field / ours)
    assert data["ratios"][2]["times field, x y z only, clock"] == pytest.approx(lean / ours)
    assert data["projected"][0]["minutes"] == pytest.approx(field / 5 * 114_480 / 60)
    assert data["opening"]["clips"] == 1000
    page = (tmp_path / "out" / "table.md").read_text()
    assert "## Parsing, one core: 2 generated files" in page and "| split of every line |" in page
    assert "poseglot prepare ntu120 --source" in page


def test_feed_ntu_measures_every_stream(tmp_path: Path) -> None:
    run("feed_ntu.py", tmp_path, *["--clips", "40", "--batch", "8", "--batches", "2", "--threads", "1", "--needed", "1000"])
    data = json.loads((tmp_path / "feeding.json").read_text())
    kinds = {(row["view"], row["modality"]) for row in data["views"]}
    assert len(kinds) == len(data["views"]) == 8
    assert {(row["dtype"], row["file"]) for row in data["reading"]} == {
        (dtype, file) for dtype in ("float32", "float16") for file in ("cached", "on disk")
    }
    for row in data["views"]:
        assert row["cores at 1,000 clips/s"] * row["clips/s a core"] == pytest.approx(1000)
    assert "1,000 clips/s take" in (tmp_path / "feeding.md").read_text()


def test_the_fields_way_gives_the_recorded_arrays(shared: Path, scripts: dict[str, ModuleType]) -> None:
    files = sorted((shared / "data" / "ntu").glob("raw*/*.skeleton"))
    assert len(files) == 10
    with np.load(shared / "golden" / "ntu_chain.npz") as golden:
        for path in files:
            actors = chain_of(scripts["field_ntu"], path.read_bytes())
            flat = np.concatenate([actor.reshape(len(actor), 75) for actor in actors], axis=1)
            np.testing.assert_allclose(flat, golden[f"translated/{path.stem}"], atol=1e-6, err_msg=path.name)


def test_a_difference_from_the_fields_arrays_is_noticed(tmp_path: Path, scripts: dict[str, ModuleType]) -> None:
    write_raw_set(tmp_path / "raw.zip", files=12, seed=3, faults=["noise body"])
    prepare("ntu120", source=tmp_path / "raw.zip", out=tmp_path / "store")
    scripts["field_ntu"].prepare(tmp_path / "raw.zip", tmp_path / "field", values=3)
    store, check_same = open_store(tmp_path / "store"), scripts["prepare_ntu"].check_same
    check_same(tmp_path / "field" / "padded.npz", store)
    with np.load(tmp_path / "field" / "padded.npz") as made:
        names, x = made["names"], made["x"]
    last = store.clips[11]
    for place in ((11, 0, 0), (11, last["frames"] - 1, 74), (11, last["frames"], 0)):
        changed = x.copy()
        changed[place] = np.nextafter(changed[place], np.float32(9))
        np.savez(tmp_path / "changed.npz", names=names, x=changed)
        with pytest.raises(AssertionError):
            check_same(tmp_path / "changed.npz", store)
    np.savez(tmp_path / "fewer.npz", names=names[:11], x=x[:11])
    with pytest.raises(AssertionError):
        check_same(tmp_path / "fewer.npz", store)


def test_accuracy_trains_both_ways_alike(tmp_path: Path, few_clips: Path) -> None:
    command = [sys.executable, str(FOLDER / "accuracy.py"), str(few_clips), "--split", "cross-person", "--seeds", "3"]
    done = subprocess.run([*command, "--epochs", "1", "--width", "8", "--out", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    plain, ours = json.loads((tmp_path / "table.json").read_text())["runs"]
    assert ours["loss"] == pytest.approx(plain["loss"], rel=0.05)


def test_memory_is_that_of_all_processes(scripts: dict[str, ModuleType]) -> None:
    held = "import time; kept = bytearray(b'x') * (60 * 2**20); time.sleep(0.5)"
    both = f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {held!r}]); {held}; child.wait()"
    cost_of = scripts["measuring"].cost_of
    assert 60 < cost_of([sys.executable, "-c", held]).peak_mb < 100
    cost = cost_of([sys.executable, "-c", both])
    assert 120 < cost.peak_mb < 180 and cost.bound_mb >= cost.peak_mb


def test_a_command_that_fails_is_not_measured(scripts: dict[str, ModuleType]) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such set')"]
    with pytest.raises(SystemExit, match=r"ended with 1:\nno such set"):
        scripts["measuring"].cost_of(command)
    scripts["measuring"].cost_of(command, accepted=(0, 1))


@pytest.mark.slow
def test_text_cost_times_every_way_and_counts_what_it_reads(tmp_path: Path) -> None:
    run("text_cost.py", tmp_path, *["--batch", "3", "--clips", "2", "--classes", "3", "--repeats", "1", "--width", "8"])
    data = json.loads((tmp_path / "table.json").read_text())
    without, plain, ours, frozen = data["rows"]
    assert [row["words"] for row in data["rows"]] == ["without", "plain", "ours", "frozen"]
    assert (without["texts"], plain["texts"], frozen["texts"]) == (0, 3 * 5, 0)
    assert 0 < ours["texts"] <= plain["texts"] and ours["without padding"] <= ours["tokens read"] <= plain["tokens read"]
    assert plain["without padding"] <= plain["tokens read"]
    alone = 1.5 * data["seconds"]["whole, without"][0]
    for row in (plain, ours, frozen):
        (words,) = data["seconds"][f"words, {row['words']}"]
        assert row["step, s"] == pytest.approx(alone + words)
        assert row["share"] == f"{words / (alone + words):.1%}"
    ratio = data["seconds"]["words, plain"][0] / data["seconds"]["words, ours"][0]
    assert data["found"]["plain / ours, words"] == pytest.approx(ratio)
    page = (tmp_path / "table.md").read_text()
    assert f"The plain way's words take {ratio:.2f} times ours" in page and "## Do they add up?" in page


def test_describe_faults_counts_what_it_injects_and_loses_nothing(tmp_path: Path) -> None:
    pytest.importorskip("openai")
    run("describe_faults.py", tmp_path, *["--classes", "6", "--broken-off", "5"])
    data = json.loads((tmp_path / "table.json").read_text())
    result, (first, *others) = data["result"], data["runs"]
    assert (result["classes asked"], result["questions"], result["classes complete"], result["equal, text by text"]) == (
        6,
        18,
        6,
        6,
    )
    assert (result["lost"], result["answers asked for twice"]) == (0, 0)
    assert result["faults injected"] == sum(fault["injected"] for fault in data["faults"]) > 0
    assert first["exit status"] == 1 and first["refused as revoked"] > 0 and 5 <= first["answers kept"] < 18
    assert others[-1]["exit status"] == 0 and others[-1]["answers kept"] == 18


def test_shares_of_a_step_are_of_the_whole(tmp_path: Path) -> None:
    run("shares.py", tmp_path, "--width", "16", "--batches", "1", "--steps", "1")
    rows = json.loads((tmp_path / "shares.json").read_text())["rows"]
    assert [row["mode"] for row in rows] == ["train", "infer"]
    for row in rows:
        parts = [int(row[name].rstrip("%")) for name in ("aggregate", "temporal", "BatchNorm", "products and all else")]
        assert 98 <= sum(parts) <= 102 and min(parts[0], parts[1], parts[3]) > 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="its victims are forks")
def test_killed_writers_go_on_to_the_same_bits(tmp_path: Path) -> None:
    run("attack_kills.py", tmp_path, "--kills", "30")
    rows = json.loads((tmp_path / "kills.json").read_text())["rows"]
    assert [row["what"] for row in rows] == ["training", "preparation", "batch"]
    assert all(row["kills"] >= 10 and row["equal"] == row["finished"] > 0 for row in rows)


@pytest.mark.slow
def test_streaming_measures_both_methods(real_store: Path, tmp_path: Path) -> None:
    spec = RecognizerSpec("kinect20", open_store(real_store).classes, encoder_kwargs={"base_channels": 8}, pipeline="nw-ucla")
    save_recognizer(new_recognizer(spec, seed=0), tmp_path / "usual-seed0" / "recognizer.safetensors")
    options = ["--skip", "200", "--widths", "8", "--turns", "1"]
    run("streaming.py", tmp_path / "out", str(real_store), str(tmp_path / "usual-seed0"), *options)
    data = json.loads((tmp_path / "out" / "table.json").read_text())
    assert [row["method"] for row in data["means"]] == ["window", "frame"]
    assert [row["encoder"] for row in data["costs"]] == ["causal", "usual, an answer every 4 frames"]
