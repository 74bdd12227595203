"""Packaged recognizers by name, own ones by path; half precision on disk."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import poseglot
from poseglot.errors import FileError, NotFoundError, PoseglotError, SettingError
from poseglot.files import sha256_of
from poseglot.models import pretrained
from poseglot.models.pretrained import describe_recognizer, find_recognizer, is_packaged, list_recognizers, recognizer_file
from poseglot.models.recognizer import Recognizer, RecognizerSpec, load_recognizer, new_recognizer, save_recognizer
from poseglot.models.tensor_file import read_tensors
from tests.conftest import ROOT

NAME = "nw-ucla"
SPEC = RecognizerSpec("kinect20", ("wave", "bow", "squat"), encoder_kwargs={"base_channels": 8})


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    pretrained._say.cache_clear()
    yield
    pretrained._say.cache_clear()


@pytest.mark.parametrize("name", list_recognizers())
def test_a_packaged_recognizer_is_what_its_card_says(name: str) -> None:
    facts = describe_recognizer(name)
    recognizer = Recognizer.from_pretrained(name)
    assert (recognizer.layout.name, len(recognizer.spec.classes)) == (facts.layout, facts.classes)
    assert facts.size <= 10e6 and facts.notice and facts.results
    assert all(0 < result["correct"] <= result["total"] for result in facts.results)
    assert facts.licence in (facts.folder / "LICENSE").read_text()
    assert facts.licence in (ROOT / "pyproject.toml").read_text()
    assert sha256_of(facts.folder / "recognizer.safetensors") in (facts.folder / "README.md").read_text()
    assert not recognizer.training
    assert {parameter.dtype for parameter in recognizer.parameters()} == {torch.float32}


def test_all_weights_of_the_package_are_small() -> None:
    assert NAME in list_recognizers() == poseglot.list_recognizers()
    assert sum(describe_recognizer(name).size for name in list_recognizers()) <= 25e6


def test_a_packaged_recognizer_predicts_by_name_and_says_its_licence_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        predictor = poseglot.load(NAME, device="cpu")
        poseglot.load(NAME, device="cpu")
    probabilities = predictor.predict_proba(torch.rand(1, 40, 20, 3).numpy())
    assert probabilities.shape == (1, 10)
    notes = [record.message for record in caplog.records if record.name == "poseglot.models"]
    assert notes == [f"{NAME}: {describe_recognizer(NAME).notice}"]


def test_a_packaged_recognizer_opens_as_a_run_with_its_texts() -> None:
    run = poseglot.open_run(NAME, device="cpu")
    assert is_packaged(run.folder)
    assert run.prompts is not None and tuple(run.prompts.levels) == tuple(run.spec.levels or ())


def test_a_folder_of_the_name_is_taken_if_it_is_a_recognizer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / NAME).mkdir()
    assert is_packaged(find_recognizer(NAME))
    assert str(tmp_path / NAME) in caplog.messages[0]
    save_recognizer(new_recognizer(SPEC, seed=0), tmp_path / NAME / "recognizer.safetensors")
    caplog.clear()
    assert find_recognizer(NAME) == Path(NAME) and not is_packaged(find_recognizer(NAME))
    assert str(tmp_path / NAME) in caplog.messages[0]
    assert Recognizer.from_pretrained(NAME).spec.classes == SPEC.classes


def test_unknown_names_and_missing_paths_are_told_apart(tmp_path: Path) -> None:
    for door in (find_recognizer, poseglot.load, poseglot.open_run, Recognizer.from_pretrained, describe_recognizer):
        with pytest.raises(NotFoundError) as caught:
            door("nw-ukla")
        assert caught.value.suggestion == NAME
    for missing in (tmp_path / "run", "runs/first", "mine.safetensors"):
        with pytest.raises(FileError):
            poseglot.load(missing)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError):
        recognizer_file("empty")


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    recognizer = new_recognizer(SPEC, seed=3)
    folder = recognizer.save_pretrained(tmp_path / "people" / "mine")
    for given in (folder, "people/mine", folder / "recognizer.safetensors"):  # a folder comes before a repository of the Hub
        loaded = Recognizer.from_pretrained(given)
        assert loaded.spec == recognizer.spec
        assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in recognizer.state_dict().items())
    card = pretrained.read_front_matter(folder / "README.md")
    assert card["library_name"] == "poseglot" and "license" not in card
    assert card["poseglot"]["classes"] == 3 and "Not measured" in (folder / "README.md").read_text()


def test_half_precision_is_on_disk_only(tmp_path: Path) -> None:
    recognizer = new_recognizer(SPEC, seed=3)
    with torch.no_grad():
        for buffer in recognizer.buffers():
            if buffer.dim() == 1 and buffer.is_floating_point():
                buffer.fill_(1e-9)  # a variance that float16 would make 0
    full, half = tmp_path / "full.safetensors", tmp_path / "half.safetensors"
    save_recognizer(recognizer, full)
    save_recognizer(recognizer, half, half=True)
    assert half.stat().st_size < 0.65 * full.stat().st_size
    table, stored = read_tensors(half)
    assert table["stored"] == "float16" and any(tensor.dtype == torch.float16 for tensor in stored.values())
    loaded = load_recognizer(half)
    for name, tensor in recognizer.state_dict().items():
        found = loaded.state_dict()[name]
        assert found.dtype == tensor.dtype
        assert torch.equal(found, tensor.half().float() if tensor.dim() > 1 else tensor), name

    # A changed bit is found as in any other file.
    content = bytearray(half.read_bytes())
    content[-7] ^= 1
    half.write_bytes(content)
    with pytest.raises(FileError):
        load_recognizer(half)


def test_weights_too_large_for_half_precision_are_refused(tmp_path: Path) -> None:
    recognizer = new_recognizer(replace(SPEC, classes=("wave", "bow")), seed=0)
    with torch.no_grad():
        recognizer.classifier.weight[0, 0] = 1e6
    with pytest.raises(SettingError):
        save_recognizer(recognizer, tmp_path / "half.safetensors", half=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["no card", "---\n- a list\n---\n", "---\nunclosed: [\n---\n"])
def test_a_card_without_front_matter_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(text)
    with pytest.raises(PoseglotError):
        pretrained.read_front_matter(tmp_path / "README.md")
