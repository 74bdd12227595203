"""Small faults of a command line: each a message, none a traceback."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poseglot.app.cli import build_parser
from poseglot.data.store import open_store
from poseglot.models.recognizer import Recognizer, RecognizerSpec, load_recognizer, save_recognizer
from poseglot.models.tensor_file import read_tensors, write_tensors
from tests.models.test_recognizer import build


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    """A folder with a recognizer and nothing else, as `import-weights` leaves it."""
    save_recognizer(build(num_persons=1), tmp_path / "run" / "recognizer.safetensors")
    return tmp_path / "run"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    np.save(tmp_path / "clip.npy", np.random.default_rng(0).normal(size=(9, 20, 3)))
    return tmp_path / "clip.npy"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "nonsense"], "cannot run on device 'nonsense'"),
        (["--device", "cuda"], "cannot run on device 'cuda'"),
        (["--top", "-1"], "at least 1"),
        (["--top", "0"], "at least 1"),
    ],
)
def test_predict_refuses_with_a_message(
    poseglot: Callable[..., Any], imported: Path, clip: Path, arguments: list[str], message: str
) -> None:
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    said = poseglot("predict", imported, clip, *arguments)
    assert said.status == 1
    assert message in said.error


def test_export_clip_writes_the_file_it_names(poseglot: Callable[..., Any], store_path: Path, tmp_path: Path) -> None:
    name = "a03_s10_e00_v01"
    said = poseglot("export-clip", store_path, name, "--out", tmp_path / "clip.dat")
    assert said.status == 1
    assert "must end in .npy" in said.error
    (tmp_path / "file").write_text("")
    said = poseglot("export-clip", store_path, name, "--out", tmp_path / "file" / "clip.npy")
    assert said.status == 1
    assert "could not write" in said.error


def test_evaluate_wants_a_folder(poseglot: Callable[..., Any], imported: Path) -> None:
    said = poseglot("evaluate", imported / "recognizer.safetensors")
    assert said.status == 1
    assert "is not a folder" in said.error


def test_imported_weights_are_drawn_without_a_curve(poseglot: Callable[..., Any], store_path: Path, tmp_path: Path) -> None:
    classes = open_store(store_path).info.classes
    save_recognizer(
        Recognizer(RecognizerSpec("kinect20", classes, encoder_kwargs={"base_channels": 8})),
        tmp_path / "run" / "recognizer.safetensors",
    )
    assert poseglot("evaluate", tmp_path / "run", "--store", store_path, "--split", "cross-person").status == 0
    said = poseglot("plot", tmp_path / "run")
    assert said.status == 0
    assert sorted(path.name for path in (tmp_path / "run" / "pictures").iterdir()) == ["confusion.png"]


def test_metadata_that_does_not_say_enough_is_refused(poseglot: Callable[..., Any], imported: Path, clip: Path) -> None:
    path = imported / "recognizer.safetensors"
    described, tensors = read_tensors(path)
    for missing in ("layout_table", "classes", "levels"):
        less = {key: value for key, value in described.items() if key != missing}
        write_tensors(path, tensors, less)
        said = poseglot("predict", imported, clip)
        assert said.status == 1
        assert "does not say how to build its recognizer" in said.error
    write_tensors(path, tensors, described)
    assert load_recognizer(path).spec.num_persons == 1


def test_ctrl_c_is_one_line(poseglot: Callable[..., Any], imported: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("poseglot.inference.Predictor.predict_each", interrupted)
    said = poseglot("predict", imported, clip)
    assert said.status == 130
    assert said.error.count("\n") == 1
    assert "--resume" in said.error


def test_what_makes_no_sense_is_refused(poseglot: Callable[..., Any], tmp_path: Path) -> None:
    assert "leave out --source" in poseglot("prepare", "demo", "--source", tmp_path, "--out", tmp_path / "store").error
    assert poseglot("ensemble", tmp_path).status == 1
    assert "does not exist" in poseglot("evaluate", tmp_path / "nowhere").error


def test_a_reader_that_has_read_enough_is_no_fault() -> None:
    listed = f"{sys.executable} -m poseglot train --help | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", listed], capture_output=True, text=True)
    assert done.stdout.startswith("usage: poseglot train")
    assert (done.returncode, done.stderr) == (0, "")


# --- help and suggestions ----------------------------------------------------------------------------------------------------


def test_help_lists_every_command_in_a_group(poseglot: Callable[..., Any]) -> None:
    shown = poseglot("--help")
    assert shown.status == 0
    listed = re.findall(r"^  ([a-z-]+)  +\S", shown.out, re.M)
    commands = build_parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    assert sorted(listed) == sorted(commands)  # type: ignore[arg-type]
    assert re.findall(r"^(\S[^:\n]*):$", shown.out, re.M)[-6:] == [
        "Data",
        "Text",
        "Train",
        "Evaluate",
        "Predict",
        "Serve & export",
    ]


@pytest.mark.parametrize(
    ("arguments", "usage", "suggestion"),
    [
        (["trian"], "usage: poseglot COMMAND", "train"),
        (["predict", "RUN", "clip.npy", "--tpo", "3"], "usage: poseglot predict", "--top"),
        (["predict", "RUN", "clip.npy", "--engine", "tourch"], "usage: poseglot predict", "torch"),
        (["serve", "RUN", "--tokn=x"], "usage: poseglot serve", "--token"),
        (["prepare", "demo"], "usage: poseglot prepare", "--out"),
    ],
    ids=["command", "flag", "value", "flag with value", "missing"],
)
def test_wrong_usage_shows_the_commands_usage_and_suggests(
    poseglot: Callable[..., Any], arguments: list[str], usage: str, suggestion: str
) -> None:
    shown = poseglot(*arguments)
    assert shown.status == 2
    assert shown.error.startswith(usage) and suggestion in shown.error.splitlines()[-1]


def test_flags_have_dashes_only() -> None:
    commands = build_parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    for name, parser in commands.items():  # type: ignore[union-attr]
        flags = [flag for action in parser._actions for flag in action.option_strings]
        assert not [flag for flag in flags if "_" in flag], name


def test_a_plugin_is_imported_from_the_current_folder(
    poseglot: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_plugin.py").write_text("print('plugged in')")
    assert "plugged in" in poseglot("info", tmp_path, "--plugin", "my_plugin").out
    missing = poseglot("info", tmp_path, "--plugin", "no_plugin")
    assert missing.status == 1 and "no_plugin" in missing.error


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_commands_and_flags(poseglot: Callable[..., Any], shell: str) -> None:
    pytest.importorskip("shtab")
    shown = poseglot("completion", shell)
    assert shown.status == 0
    assert "extract-poses" in shown.out and "--min-duration" in shown.out


def run_poseglot(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "poseglot", *map(str, arguments)]
    return subprocess.run(command, text=True, timeout=120, check=False, stderr=subprocess.PIPE, **options)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_an_output_that_is_full_is_said(imported: Path, clip: Path) -> None:
    with open("/dev/full", "w") as full:
        done = run_poseglot("predict", imported, clip, "--device", "cpu", stdout=full)
    assert done.returncode == 1 and "No space left" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["info", "--help"]], ids=" ".join)
def test_help_that_cannot_be_written_is_an_error(arguments: list[str], unbuffered: str) -> None:
    with open("/dev/full", "w") as full:
        done = run_poseglot(*arguments, stdout=full, env=os.environ | {"PYTHONUNBUFFERED": unbuffered})
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "could not be written" in done.stderr


def test_a_closed_output_is_no_error() -> None:
    command = 'exec "$0" -m poseglot --version >&-'
    done = subprocess.run(["sh", "-c", command, sys.executable], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and not done.stderr


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux")
def test_names_that_an_ascii_locale_cannot_decode_are_read_or_refused(tmp_path: Path, clip: Path) -> None:
    for name in ("größe/ä1", "größe/ä2", "b/b1", "b/b2"):
        (tmp_path / "clips" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, tmp_path / "clips" / f"{name}.npy")
    told = ["npy", "--layout", "kinect20", "--source", tmp_path / "clips", "--out"]
    done = run_poseglot("prepare", *told, tmp_path / "store", env=os.environ | ASCII)
    assert done.returncode == 0, done.stderr
    store = open_store(tmp_path / "store")
    assert store.classes == ("b", "größe") and set(store.clips["name"]) == {"größe/ä1", "größe/ä2", "b/b1", "b/b2"}
    assert sum(store.subset_mask("by-clip", subset).sum() for subset in ("train", "test")) == 4
    done = run_poseglot("prepare", *told, tmp_path / "größe", env=os.environ | ASCII)
    assert done.returncode == 1 and "LC_ALL" in done.stderr and len(done.stderr.splitlines()) == 1


def test_an_ascii_locale_shows_what_it_can(tmp_path: Path, clip: Path) -> None:
    spec = RecognizerSpec("kinect20", ("größe ✓", "b"), encoder_kwargs={"base_channels": 8})
    save_recognizer(Recognizer(spec), tmp_path / "run" / "recognizer.safetensors")
    locale = {**ASCII, "PYTHONIOENCODING": "ascii"}
    done = run_poseglot("predict", tmp_path / "run", clip, stdout=subprocess.PIPE, env=os.environ | locale)
    assert done.returncode == 0 and r"gr\xf6\xdfe \u2713" in done.stdout, done.stderr


def test_ctrl_c_while_loading_ends_without_a_traceback() -> None:
    program = (
        "import sys, builtins, poseglot.__main__ as program\n"
        "load = builtins.__import__\n"
        "def interrupted(name, *rest):\n"
        "    if name == 'poseglot.app.cli': raise KeyboardInterrupt\n"
        "    return load(name, *rest)\n"
        "builtins.__import__ = interrupted\n"
        "sys.exit(program.main())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 130 and "Traceback" not in done.stderr and "interrupted" in done.stderr


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_out_of_range_is_refused(seed: int, poseglot: Callable[..., Any], store_path: Path, tmp_path: Path) -> None:
    said = poseglot("train", "--config", "demo", "--data.store", store_path, "--seed", seed, "--out", tmp_path / "run")
    assert said.status == 1 and "seed" in said.error and not (tmp_path / "run").exists()
