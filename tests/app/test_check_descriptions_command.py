"""`poseglot check-descriptions`, with a small text encoder of random weights, and with MiniLM where it must tell texts apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch

from poseglot.app.encoding import encode_with_progress
from poseglot.models.text import load_text_encoder
from tests.descriptions.test_description_files import SIX, entry, file_of

Command = Callable[..., Any]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, *entries: Any) -> Path:
        path = tmp_path / name
        path.write_text(file_of(*entries))
        return path

    return make


def test_a_packaged_set(poseglot: Command, tiny_bert: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    said = poseglot(
        "check-descriptions", "demo", "--encoder", tiny_bert, "--json", out, "--picture", tmp_path / "demo.png", "--pairs", 3
    )
    assert (said.status, said.error) == (0, "")
    assert said.out.startswith("demo: demo, 12 classes\nmissing: nothing\n")
    assert "identical in several classes (ignoring case and punctuation): " in said.out  # parts at rest
    numbers = json.loads(out.read_text())
    assert [each["level"] for each in numbers["levels"]] == ["names", "paragraph", *SIX, "together"]
    assert all(len(each["pairs"]) == 3 for each in numbers["levels"])
    hand = np.array(numbers["similarity"]["hand"])
    np.fill_diagonal(hand, -1)
    (level,) = (each for each in numbers["levels"] if each["level"] == "hand")
    assert level["nearest"] == pytest.approx(hand.max(axis=1).mean(), abs=1e-4)
    assert f"  hand      {level['nearest']:14.3f}{level['most']:11.3f}{level['typical']:10.3f}" in said.out
    assert {each["name"]: each["limit"] for each in numbers["lengths"]} == {str(tiny_bert): 48, "clip": 77}
    assert matplotlib.image.imread(tmp_path / "demo.png").shape[1] > 1000


def test_encoding_in_batches_gives_each_text_its_feature(tiny_bert: Path) -> None:
    encoder = load_text_encoder(str(tiny_bert))
    texts = [f"{'head ' * (1 + number % 5)}hand {number}" for number in range(70)]
    features = dict(zip(texts, encode_with_progress(encoder)(texts), strict=True))
    with torch.inference_mode():
        for text in (texts[0], texts[69]):
            assert features[text] == pytest.approx(encoder(encoder.tokenize([text]))[0].numpy(), abs=1e-5)


def test_faults_are_listed_and_the_rest_is_looked_at(poseglot: Command, write: Callable[..., Path]) -> None:
    path = write("mine.yaml", entry("hop"), entry("juggle", paragraph=None), entry("crawl", manual=["hip bend"]))
    said = poseglot("check-descriptions", path, "--no-encode")
    assert (said.status, said.error) == (0, "")
    assert "mine, 2 classes" in said.out.splitlines()[0]
    assert "missing or wrong: 1 fault" in said.out
    assert "  class 2 (juggle): paragraph is missing" in said.out
    assert "no list 'manual' in 1 class (hop)" in said.out
    assert "mean nearest" not in said.out
    strict = poseglot("check-descriptions", path, "--no-encode", "--strict")
    assert (strict.status, strict.out) == (1, said.out)
    assert "--strict: something is missing" in strict.error


def test_a_file_of_faults_only_is_no_crash(poseglot: Command, write: Callable[..., Path]) -> None:
    said = poseglot("check-descriptions", write("mine.yaml", entry("hop", parts={}), "juggle"))
    assert (said.status, said.error) == (0, "")
    assert "mine, 0 classes" in said.out
    assert "missing or wrong: 2 faults" in said.out


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 0),
        ({"synonyms": ["HOP first"]}, 1),
        ({"synonyms": ["Hop"]}, 1),
        ({"parts": {part: "Hand of hop." if part == "hand" else part for part in SIX}}, 0),  # parts may do the same
        ({"paragraph": "word " * 80}, 1),
    ],
)
def test_strict(poseglot: Command, write: Callable[..., Path], changes: dict[str, Any], status: int) -> None:
    path = write("mine.yaml", entry("hop"), entry("crawl", **changes))
    said = poseglot("check-descriptions", path, "--no-encode", "--strict")
    assert said.status == status
    assert ("identical in several classes (ignoring case and punctuation): 1 text" in said.out) == (
        bool(changes) and "paragraph" not in changes
    )


def test_classes_of_the_data(poseglot: Command, write: Callable[..., Path], tmp_path: Path, store_path: Path) -> None:
    path = write("mine.yaml", entry("hop"), entry("nod head"), entry("Clap hands"))
    (tmp_path / "labels.txt").write_text("nod head\n\nclap hands\nwave\n")
    said = poseglot("check-descriptions", path, "--no-encode", "--labels", tmp_path / "labels.txt")
    assert said.status == 0
    assert "classes of the data that are not described: 2\n  clap hands   (described is 'Clap hands'" in said.out
    assert "note: described, but not in the data: 2 (hop, Clap hands)" in said.out
    assert poseglot("check-descriptions", path, "--no-encode", "--labels", tmp_path / "labels.txt", "--strict").status == 1
    stored = poseglot("check-descriptions", "demo", "--no-encode", "--store", store_path, "--strict")
    assert stored.status == 0
    assert "classes of the data that are not described: 0" in stored.out


def test_a_pair_side_by_side(poseglot: Command, write: Callable[..., Path]) -> None:
    rest = dict.fromkeys(SIX, "the head tilts")
    path = write("mine.yaml", entry("hop", parts=rest), entry("step", parts={**rest, "foot": "one swings forward and back"}))
    said = poseglot("check-descriptions", path, "--pair", "hop", "step")
    assert said.status == 0
    assert "  foot     similarity 0." in said.out
    assert any(line.split("  ")[-1].strip() == "one swings forward and back" for line in said.out.splitlines())
    assert "most of the difference is in: foot (100%; an even share would be 17%)" in said.out


def test_compare(poseglot: Command, write: Callable[..., Path], tmp_path: Path) -> None:
    a = write("a.yaml", entry("hop"), entry("crawl"), entry("old"))
    b = write(
        "b.yaml", entry("crawl"), entry("hop", parts={part: f"{part} of hop" if part != "leg" else "kick" for part in SIX})
    )
    out = tmp_path / "out.json"
    said = poseglot("check-descriptions", "--compare", a, b, "--json", out, "--picture", tmp_path / "change.png")
    assert (said.status, said.error) == (0, "")
    assert "2 classes in both\nonly in A: 1 (old)\nclasses whose texts differ: 1 (hop)" in said.out
    numbers = json.loads(out.read_text())
    levels = {each["level"]: each for each in numbers["levels"]}
    assert [level for level, each in levels.items() if each["classes"]] == ["leg"]
    change = levels["leg"]["nearest_b"] - levels["leg"]["nearest_a"]
    assert abs(change) > 1e-3
    assert levels["arm"]["nearest_a"] == pytest.approx(levels["arm"]["nearest_b"])
    # Of two classes the only pair moves by what both nearest similarities move by, and by a sixth of it over six parts.
    leg, together = (numbers["moved"][level]["nearer"][0]["similarity"] for level in ("leg", "together"))
    assert leg == pytest.approx(change, abs=1e-6)
    assert together == pytest.approx(change / 6, abs=1e-6)
    assert (tmp_path / "change.png").exists()


def test_comparing_a_set_with_itself_finds_nothing(poseglot: Command, tiny_bert: Path) -> None:
    said = poseglot("check-descriptions", "--compare", "demo", "demo", "--encoder", tiny_bert)
    assert said.status == 0
    assert "classes whose texts differ: 0" in said.out
    assert "nearer in B: no pair" in said.out and "farther apart in B: no pair" in said.out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "one description set, or two with --compare"),
        (["demo", "--compare", "demo", "demo"], "one description set"),
        (["nothing"], "unknown description set 'nothing'"),
        (["absent.yaml"], "could not read"),
        (["demo", "--no-encode", "--picture", "a.png"], "leave --no-encode out"),
        (["demo", "--picture", "a.pdf"], "must end in .png"),
        (["demo", "--json", "a.txt"], "must end in .json"),
        (["demo", "--pairs", "-1"], "number of pairs"),
        (["demo", "--near", "2"], "a cosine above 0"),
        (["demo", "--pair", "bow", "bowing"], "unknown class 'bowing'"),
        (["demo", "--pair", "bow", "bow"], "two classes"),
        (["--compare", "demo", "nw-ucla"], "no class is described by both"),
        (["demo", "--no-encode", "--labels", "absent.txt"], "could not read the class names"),
        (["--compare", "demo", "demo", "--strict"], "go with one description set"),
    ],
)
def test_refusals(poseglot: Command, arguments: list[str], named: str) -> None:
    said = poseglot("check-descriptions", *arguments)
    assert said.status == 1
    assert named in said.error


def test_minilm_finds_opposites_alike(poseglot: Command, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    said = poseglot("check-descriptions", "nw-ucla", "--json", out, "--pairs", 1)
    assert said.status == 0
    (together,) = (each for each in json.loads(out.read_text())["levels"] if each["level"] == "together")
    assert {together["pairs"][0]["a"], together["pairs"][0]["b"]} == {"sit down", "stand up"}
