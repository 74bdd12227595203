"""The report page: whole, escaped, without any resource from elsewhere; what cannot be shown is left out with a reason."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from poseglot.data.store import PackedStore
from poseglot.data.synthetic import ACTIONS
from poseglot.errors import FileError, InputError, PoseglotError
from poseglot.evaluation.scores import SavedScores, load_scores, save_scores
from poseglot.files import write_atomically
from poseglot.models.recognizer import Recognizer, RecognizerSpec, load_recognizer, save_recognizer
from poseglot.report import model_sections, sections
from poseglot.report.page import Page, write_page
from poseglot.report.statistics import similarity
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout
from poseglot.training.recipe import DataRecipe, ModelRecipe, OptimRecipe, Recipe, TextRecipe
from poseglot.training.recipe_io import recipe_yaml
from poseglot.training.run import Run, open_run
from poseglot.training.run_folder import RunFolder
from poseglot.transforms import apply_pipeline as view_of

LAYOUT = load_layout("kinect20")
WIDTH = 6
LEVELS = {"global": tuple(range(20)), **LAYOUT.partition("four")}
VOID = {"meta", "link", "input", "br"}


class Parsed(HTMLParser):
    """Elements must close in order; texts are kept by element, with what each was given as attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def count(self, tag: str, **having: str) -> int:
        return sum(name == tag and all(given.get(key) == value for key, value in having.items()) for name, given in self.tags)

    @property
    def data(self) -> Any:
        (text,) = [text for tag, text in self.texts if tag == "script" and text.startswith("{")]
        return json.loads(text)


def page_of(run: Path, **options: Any) -> tuple[Parsed, Page]:
    page = write_page(run, run / "report.html", **options)
    return Parsed(page.path.read_text()), page


def texts_of(run: object) -> dict[str, Tensor]:
    """A stand-in for what the text encoder says."""
    generator = torch.Generator().manual_seed(1)
    return {level: torch.randn(len(ACTIONS), WIDTH, generator=generator) for level in LEVELS}


@pytest.fixture(autouse=True)
def texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "text_features", property(texts_of))


@pytest.fixture(scope="module")
def finished(small_store: PackedStore, store_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with text as training and evaluation leave it; clip 0 was predicted as class 3, and so on."""
    run = RunFolder(tmp_path_factory.mktemp("runs") / "finished")
    torch.manual_seed(0)
    spec = RecognizerSpec("kinect20", ACTIONS, encoder_kwargs={"base_channels": 8}, levels=LEVELS, embed_dim=WIDTH)
    save_recognizer(Recognizer(spec), run.recognizer)
    recipe = Recipe(
        data=DataRecipe(store=str(store_path), split="cross-person"),
        model=ModelRecipe(base_channels=8),
        text=TextRecipe(descriptions="demo"),
        optim=OptimRecipe(epochs=3),
    )
    write_atomically(run.recipe, recipe_yaml(recipe))
    write_atomically(run.machine, json.dumps({"device": "cpu", "torch": "2.6"}))
    for epoch in (1, 2, 3):
        entry = {"epoch": epoch, "classification": 2 / epoch, "alignment": 1 / epoch, "train": {"correct": epoch, "total": 96}}
        run.add_to_log({**entry, **({"test": {"correct": 4, "total": 24}} if epoch == 3 else {})})
    places = small_store.subset("cross-person", "test")
    labels = small_store.clips["label"][places].astype(np.int64)
    logits = np.random.default_rng(0).normal(size=(len(labels), len(ACTIONS)))
    names = tuple(map(str, small_store.clips["name"][places]))
    save_scores(SavedScores(names, labels, logits, ACTIONS, "joint", "demo", "cross-person"), run.scores)
    return run.folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def rescored(run: Path, change: Callable[[SavedScores], SavedScores]) -> None:
    save_scores(change(load_scores(run / "scores.npz")), run / "scores.npz")


def test_the_page_has_every_section_and_needs_nothing_from_elsewhere(finished: Path, tmp_path: Path) -> None:
    page = write_page(finished, tmp_path / "new" / "page.html", clips=12)
    html = page.path.read_text()
    assert page.left_out == {}
    assert page.size == len(html.encode()) < 1_000_000
    parsed = Parsed(html)
    assert [given["id"] for tag, given in parsed.tags if tag == "section"] == [
        "curves",
        "classes",
        "pairs",
        "alignment",
        "topologies",
        "clips",
    ]
    assert "http" not in html.replace("http-equiv", "")
    for tag, given in parsed.tags:
        assert tag not in ("img", "iframe", "object")
        assert "src" not in given
        assert (given.get("href") or "#").startswith(("#", "data:"))
    assert "@import" not in html and "url(" not in html
    assert parsed.count("canvas") == 12
    assert list(parsed.data["grids"]) == ["confusion", "layer-1", "layer-5", "layer-10"]


def test_head_and_curves_say_what_the_run_says(run: Path) -> None:
    parsed, _ = page_of(run)
    scores = load_scores(run / "scores.npz")
    right = int((scores.logits.argmax(axis=1) == scores.labels).sum())
    texts = [text for _, text in parsed.texts]
    assert f"{right}/24 = {100 * right / 24:.2f} %" in texts
    for fact in (
        "demo",
        "cross-person, test",
        "joint",
        "synonym+parts of demo, partition four, text encoder minilm (fine-tuned)",
        "cpu",
    ):
        assert fact in texts
    assert "epoch 3: 4/24 = 16.67 %" in texts
    assert "optim.epochs" in texts
    loss, accuracy = parsed.data["charts"]["loss"], parsed.data["charts"]["accuracy"]
    assert loss["epochs"] == [1, 2, 3]
    assert loss["curves"] == [
        {"name": "classification", "values": [2, 1, 0.6667]},
        {"name": "alignment", "values": [1, 0.5, 0.3333]},
    ]
    assert accuracy["curves"][1] == {"name": "test", "values": [None, None, 16.67]}


def test_the_matrix_is_the_confusion_of_the_scores(run: Path) -> None:
    parsed, _ = page_of(run)
    scores = load_scores(run / "scores.npz")
    grid = parsed.data["grids"]["confusion"]
    counts = np.zeros((12, 12), dtype=int)
    for row, column, count in grid["values"]:
        counts[row, column] = count
    expected = np.zeros((12, 12), dtype=int)
    for label, row in zip(scores.labels, scores.logits, strict=True):
        expected[label, row.argmax()] += 1
    assert np.array_equal(counts, expected)
    assert grid["rows"] == grid["columns"] == list(ACTIONS)
    assert grid["totals"] == [2] * 12


def test_bars_have_the_hardest_class_first_and_those_without_clips_last(run: Path) -> None:
    rescored(run, lambda scores: replace(scores, labels=np.where(scores.labels == 5, 4, scores.labels)))
    bars = sections.classes(open_run(run)).bars
    percents = [count.percent for _, count in bars[:-1]]
    assert percents == sorted(percents)
    assert bars[-1] == (ACTIONS[5], bars[-1][1])
    assert bars[-1][1].total == 0
    assert ("td", "no clips") in page_of(run)[0].texts


def test_pairs_show_what_is_said_of_both(run: Path) -> None:
    def confuse(scores: SavedScores) -> SavedScores:
        logits = np.eye(12)[scores.labels] * 5
        logits[scores.labels == 2] = np.eye(12)[4] * 5
        return replace(scores, logits=logits)

    rescored(run, confuse)
    (pair,) = sections.pairs(open_run(run)).pairs
    assert (pair.true, pair.predicted, pair.confused.count, pair.confused.total) == (ACTIONS[2], ACTIONS[4], 2, 2)
    assert [what for what, *_ in pair.lines][:7] == ["label", "head", "hand", "arm", "hip", "leg", "foot"]
    parsed, _ = page_of(run)
    assert ("mark", "wave") in parsed.texts
    assert parsed.count("canvas") == 2  # the only mistakes


def test_similarity_on_the_page_is_that_of_features_clip_by_clip(run: Path, small_store: PackedStore) -> None:
    scores, recognizer = load_scores(run / "scores.npz"), load_recognizer(run / "recognizer.safetensors")
    where = {str(name): place for place, name in enumerate(small_store.clips["name"])}
    features: dict[str, list[Any]] = {level: [] for level in LEVELS}
    with torch.no_grad():
        for name in scores.names:
            view = torch.from_numpy(view_of(small_store[where[name]].joints, pipeline="nw-ucla", modality="joint"))[None]
            for level, feature in recognizer(view)["alignment"].items():
                features[level].append(feature[0].numpy())
    found = model_sections.alignment(open_run(run))
    assert [level for level, _ in found.levels] == list(LEVELS)
    assert (found.clips, found.all_clips) == (24, 24)
    for place, level in enumerate(LEVELS):
        expected = similarity(np.stack(features[level]), scores.labels, texts_of(run)[level].numpy())
        for label, (name, clips, cells) in enumerate(found.rows[:-1]):
            assert (name, clips) == (ACTIONS[label], 2)
            assert cells[place].own == pytest.approx(expected.own[label], abs=2e-4)
            assert cells[place].margin == pytest.approx(expected.margin[label], abs=2e-4)
            assert cells[place].rival == ACTIONS[expected.rival[label]]
        assert found.rows[-1][2][place].own == pytest.approx(sum(expected.own) / 12, abs=2e-4)


def test_large_test_sides_are_sampled(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_sections, "CLIPS_OF_A_CLASS", 1)
    found = model_sections.alignment(open_run(run))
    assert (found.clips, found.all_clips) == (12, 24)
    assert "12 of 24 clips, evenly spaced within each class" in page_of(run)[1].path.read_text()


def test_a_page_about_a_run_whose_text_encoder_is_gone(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(run: object) -> dict[str, Tensor]:
        raise PoseglotError("checkpoint.safetensors does not exist")

    monkeypatch.setattr(Run, "text_features", property(gone))
    parsed, page = page_of(run)
    assert list(page.left_out) == ["alignment"]
    assert any("checkpoint.safetensors does not exist" in text for _, text in parsed.texts)


def test_a_page_about_part_classifiers_says_that_there_are_no_texts(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their recognizer has levels, as one with text has."""
    monkeypatch.setattr(Run, "text_features", property(lambda run: {}))
    _, page = page_of(run)
    assert page.left_out == {"alignment": "the run's parts were trained on class labels, not on text."}


class Chain(nn.Module):
    """An encoder whose topologies are known: each of three layers takes joint 7 into joint 3, more and more."""

    features = 4

    def topologies(self, x: Tensor) -> list[Tensor]:
        assert x.shape[1:] == (1, 52, 20, 3)
        layers = []
        for layer in (1, 2, 3):
            matrix = torch.eye(20)
            matrix[3, 7], matrix[3, 2], matrix[0, 5] = -0.1 * layer, 0.9, math.nan
            layers.append(matrix)
        return layers


def test_topologies_of_chosen_layers(run: Path) -> None:
    opened = open_run(run)
    opened.recognizer.encoder = Chain()
    assert [layer.number for layer in model_sections.topologies(opened, None).layers] == [1, 2, 3]
    found = model_sections.topologies(opened, [3, 1, 3])
    assert [layer.number for layer in found.layers] == [3, 1]
    assert found.count == 3
    # From the 8th joint to the 4th; the bone between head and shoulder centre is no link, and NaN is none either.
    assert found.layers[0].links == [("left hand", "head", pytest.approx(-0.3))]
    (line,) = found.layers[0].skeleton.links
    assert line.below
    for wrong in (0, 4):
        with pytest.raises(model_sections.NoSuchLayerError, match=f"no layer {wrong}"):
            model_sections.topologies(opened, [1, wrong])


def test_an_encoder_without_topologies(run: Path) -> None:
    opened = open_run(run)
    opened.recognizer.encoder = nn.Identity()
    with pytest.raises(InputError):
        model_sections.topologies(opened, None)


def test_clips_are_the_surest_mistakes_and_move_as_stored(run: Path, small_store: PackedStore) -> None:
    parsed, _ = page_of(run, clips=5)
    shown = sections.clips(open_run(run), 5)
    sure = [clip.probability or 0 for clip in shown.clips]
    assert sure == sorted(sure, reverse=True)
    assert all(clip.true != clip.predicted for clip in shown.clips)
    names = [text for tag, text in parsed.texts if tag == "span" and text in load_scores(run / "scores.npz").names]
    assert names == [clip.name for clip in shown.clips]
    where = {str(name): place for place, name in enumerate(small_store.clips["name"])}
    joints = small_store[where[names[0]]].joints
    drawn = np.array(parsed.data["clips"]["shown"][0]["people"]).reshape(1, -1, 20, 3)
    assert drawn.shape[1] == min(joints.shape[1], 48)
    scale = 1000 / np.ptp(joints.reshape(-1, 3), axis=0).max() * np.array([-1, 1, -1])  # seen from the sensor
    np.testing.assert_allclose(drawn[0, 0] - drawn[0, 0, :1], (joints[0, 0] - joints[0, 0, :1]) * scale, atol=2)
    assert np.abs(drawn).max() <= 500


def test_moving_people_may_come_late_and_clips_may_be_long() -> None:
    layout = load_layout("coco17")
    joints = np.random.default_rng(0).normal(size=(2, 300, 17, 2)).astype(np.float32)
    joints[1, :150] = 0
    joints[0, 299] = 0
    joints[0, 0, 3:5] = 0  # two joints that were not seen
    found = sections.moving(Clip(joints, "late"), layout)
    first, second = found["people"]
    assert len(first) == len(second) == 48
    assert second[0] is None
    assert second[-1] is not None
    assert first[-1] is None
    assert [value is None for value in first[0]] == [9 <= place < 15 for place in range(51)]
    assert first[0][2:9:3] == [0] * 3
    assert found["seconds"] == 6
    still = sections.moving(Clip(np.zeros((1, 1, 17, 3), dtype=np.float32), "still"), layout)
    assert still["people"] == [[None]]


def test_without_mistakes_correct_clips_are_shown(run: Path) -> None:
    rescored(run, lambda scores: replace(scores, logits=np.eye(12)[scores.labels] * 3))
    parsed, _ = page_of(run, clips=4)
    texts = [text for _, text in parsed.texts]
    assert "All clips are correct; these are the most probable ones." in texts
    assert "No confusions: every clip is correct." in texts
    assert parsed.count("canvas") == 4
    assert page_of(run, clips=0)[0].count("canvas") == 0


def test_a_store_that_is_gone_takes_its_sections_along(run: Path, tmp_path: Path) -> None:
    recipe = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(re.sub(r"store: .*", f"store: {tmp_path / 'moved'}", recipe))
    parsed, page = page_of(run)
    assert list(page.left_out) == ["alignment", "topologies", "clips"]
    assert all("moved" in reason for reason in page.left_out.values())
    assert sum(str(tmp_path / "moved") in text for tag, text in parsed.texts if tag == "p") == 3


def test_scores_of_other_clips_than_the_recipes(run: Path) -> None:
    rescored(run, lambda scores: replace(scores, names=tuple(f"other {name}" for name in scores.names)))
    _, page = page_of(run)
    assert list(page.left_out) == ["alignment", "topologies", "clips"]
    assert "lacks 24 of the 24" in page.left_out["clips"]


def test_imported_weights_have_neither_log_nor_recipe(run: Path) -> None:
    for name in ("recipe.yaml", "log.jsonl", "machine.json"):
        (run / name).unlink()
    parsed, page = page_of(run)
    assert list(page.left_out) == ["curves", "alignment", "topologies", "clips"]
    assert parsed.count("details") == parsed.count("section") == 6  # no settings, no machine
    (run / "recognizer.safetensors").unlink()
    _, page = page_of(run)
    assert "does not exist" in page.left_out["clips"]


def test_a_run_without_text_still_shows_descriptions_that_fit(run: Path) -> None:
    torch.manual_seed(0)
    save_recognizer(
        Recognizer(RecognizerSpec("kinect20", ACTIONS, encoder_kwargs={"base_channels": 8})), run / "recognizer.safetensors"
    )
    _, page = page_of(run)
    assert page.left_out == {"alignment": "the run was trained without text."}
    assert sections.pairs(open_run(run)).origin == "demo"
    recipe = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(recipe.replace("descriptions: demo", "descriptions: nw-ucla"))
    found = sections.pairs(open_run(run))
    assert found.origin == ""
    assert "not 12 classes" in found.reason
    assert found.pairs and not found.pairs[0].lines


def test_names_are_text_wherever_they_stand(run: Path) -> None:
    evil = "</script><script>alert('x')</script><b>\"bold\" & {{ 7 * 7 }}"
    names = (evil, *ACTIONS[1:])
    recognizer = load_recognizer(run / "recognizer.safetensors")
    recognizer.spec = replace(recognizer.spec, classes=names)
    save_recognizer(recognizer, run / "recognizer.safetensors")

    def rename(scores: SavedScores) -> SavedScores:
        logits = np.eye(12)[(scores.labels + 1) % 12] * 2
        return replace(scores, classes=names, logits=logits, dataset="<i>demo</i>", split="<script>")

    rescored(run, rename)
    clean, _ = page_of(run)
    html = (run / "report.html").read_text()
    assert html.count("<script") == 2
    assert html.count("</script>") == 2
    assert clean.data["grids"]["confusion"]["rows"][0] == evil
    texts = [text for _, text in clean.texts]
    assert texts.count(evil) >= 3
    assert "<i>demo</i>" in texts
    assert "49" not in texts
    assert clean.count("i", **{"class": None}) == 0  # type: ignore[arg-type]


def test_scores_and_logs_that_are_not_numbers(run: Path) -> None:
    log = (run / "log.jsonl").read_text()
    (run / "log.jsonl").write_text(log.replace('"classification": 1.0', '"classification": NaN'))
    parsed, _ = page_of(run, clips=24)
    assert parsed.data["charts"]["loss"]["curves"][0]["values"] == [2, None, 0.6667]
    with np.load(run / "scores.npz") as arrays:
        damaged = {**arrays, "logits": np.full_like(arrays["logits"], np.nan)}
    np.savez(run / "scores.npz", **damaged)
    with pytest.raises(FileError):
        page_of(run)


def test_a_hundred_and_twenty_classes(run: Path) -> None:
    for name in ("recipe.yaml", "recognizer.safetensors"):
        (run / name).unlink()
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(120), 20)
    logits = random.normal(size=(2400, 120)) + 2 * np.eye(120)[labels]
    names = tuple(f"clip {number}" for number in range(2400))
    classes = tuple(f"A{number:03d} an action with a name" for number in range(120))
    save_scores(SavedScores(names, labels, logits, classes, "joint", "ntu120", "xsub"), run / "scores.npz")
    parsed, page = page_of(run)
    assert page.size < 1_000_000
    assert len(parsed.data["grids"]["confusion"]["values"]) > 500
    assert not [tag for tag, given in parsed.tags if tag == "text" and given.get("class") == "name"]


def test_a_run_that_was_not_evaluated(run: Path) -> None:
    (run / "scores.npz").unlink()
    with pytest.raises(FileError, match="scores"):
        write_page(run, run / "report.html")
    assert not (run / "report.html").exists()


def test_a_report_changes_nothing_else(finished: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    write_page(finished, tmp_path / "page.html", clips=1)
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before
