"""The Hugging Face Hub: a recognizer goes up and comes down again through huggingface_hub, from a hub on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from poseglot.errors import FileError, MissingPackageError
from poseglot.models import hub
from poseglot.models.pretrained import FILES, push_to_hub
from poseglot.models.recognizer import Recognizer, RecognizerSpec, new_recognizer
from tests.models.loopback_hub import Hub, loopback_hub

pytest.importorskip("huggingface_hub")
SPEC = RecognizerSpec("kinect20", ("wave", "bow", "squat"), encoder_kwargs={"base_channels": 8})
PUSH = """
import sys
from poseglot.models.recognizer import load_recognizer
print(load_recognizer(sys.argv[1]).push_to_hub("people/mine", token="hf_token"))
"""
PUSH_FOLDER = """
import sys
from poseglot.models.pretrained import push_to_hub
push_to_hub(sys.argv[1], "people/mine", token="hf_token")
"""
LOAD = """
import sys
import torch
import poseglot
from poseglot.errors import FileError, SettingError

recognizer = poseglot.Recognizer.from_pretrained("people/mine")
torch.save(recognizer.state_dict(), sys.argv[1])
print(poseglot.load("hf-hub:people/mine", device="cpu").classes)
for name, kind in (("people/nobody", FileError), ("people/my model", SettingError)):
    try:
        poseglot.load(f"hf-hub:{name}")
    except kind as error:
        print("refused", name)
"""


@pytest.fixture
def served() -> Iterator[Hub]:
    with loopback_hub() as running:
        yield running


def run(code: str, argument: Path, home: Path, address: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter of its own: huggingface_hub reads its environment when it is imported."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_ENDPOINT": address, "HF_HOME": str(home), "OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-c", code, str(argument)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)


def test_a_recognizer_goes_up_and_comes_down(served: Hub, tmp_path: Path) -> None:
    recognizer = new_recognizer(SPEC, seed=1)
    folder = recognizer.save_pretrained(tmp_path / "mine")
    pushed = run(PUSH, folder / "recognizer.safetensors", tmp_path / "home", served.address)
    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stdout.startswith(f"{served.address}/people/mine/commit/")
    held = served.repositories["people/mine"]
    assert set(held) - {".gitattributes"} == {"recognizer.safetensors", "README.md"}
    assert held["recognizer.safetensors"] == (folder / "recognizer.safetensors").read_bytes()

    held["evil.pkl"] = b"never fetched"
    loaded = run(LOAD, tmp_path / "state.pt", tmp_path / "home", served.address)
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.splitlines() == [repr(SPEC.classes), "refused people/nobody", "refused people/my model"]
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert all(torch.equal(state[name], tensor) for name, tensor in recognizer.state_dict().items())
    fetched = {each.split("/")[-1] for each in served.requests if "/resolve/" in each}
    assert "recognizer.safetensors" in fetched and fetched <= set(FILES)


def test_a_whole_folder_goes_up_without_strange_files(served: Hub, tmp_path: Path) -> None:
    folder = new_recognizer(SPEC, seed=1).save_pretrained(tmp_path / "mine")
    for name in ("calibration.json", "texts.safetensors", "LICENSE", "checkpoint.safetensors", "notes.pkl"):
        (folder / name).write_text("x")
    pushed = run(PUSH_FOLDER, folder, tmp_path / "home", served.address)
    assert pushed.returncode == 0, pushed.stderr
    wanted = {"recognizer.safetensors", "README.md", "calibration.json", "texts.safetensors", "LICENSE"}
    assert set(served.repositories["people/mine"]) - {".gitattributes"} == wanted
    with pytest.raises(FileError):
        push_to_hub(tmp_path, "people/mine")
    (folder / "log.jsonl").touch()  # a run, whose recipe names paths of this machine
    with pytest.raises(FileError):
        push_to_hub(folder, "people/mine")


def test_a_hub_that_is_away_is_an_error_of_ours(tmp_path: Path) -> None:
    folder = new_recognizer(SPEC, seed=1).save_pretrained(tmp_path / "mine")
    for code in (PUSH, LOAD):
        done = run(code, folder / "recognizer.safetensors", tmp_path / "home", "http://127.0.0.1:9")
        assert "poseglot.errors.FileError" in done.stderr.splitlines()[-1], done.stderr


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingPackageError, match=r"poseglot\[hub\]"):
        Recognizer.from_pretrained("people/mine")
    with pytest.raises(MissingPackageError, match=r"poseglot\[hub\]"):
        hub.upload(Path(), "people/mine", files=FILES)
