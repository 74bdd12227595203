"""Model cards of runs: numbers are those of the evaluation, what is missing is said, and published folders are whole."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import poseglot
from poseglot.errors import FileError, InputError
from poseglot.evaluation.temperature import CALIBRATION_FILE, temperature_of
from poseglot.files import sha256_of, write_atomically
from poseglot.inference.actions import read_action_texts
from poseglot.models.card import Licence
from poseglot.models.pretrained import SEGMENTER_FILE, read_front_matter
from poseglot.models.recognizer import Recognizer, RecognizerSpec, load_recognizer, save_recognizer
from poseglot.models.segmenter import Segmenter, SegmenterSpec, load_segmenter, save_segmenter
from poseglot.report.card import run_card, training_command
from poseglot.report.publish import publish_run
from poseglot.skeletons.layout import GLOBAL, load_layout
from poseglot.training.recipe import DataRecipe, ModelRecipe, OptimRecipe, Recipe, TextRecipe
from poseglot.training.recipe_io import read_recipe, recipe_yaml
from poseglot.training.run import open_run
from poseglot.training.run_folder import RunFolder
from poseglot.training.zero_shot import ZeroShotRecognizer

MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(few_clips: Path, tiny_bert: Path, tmp_path: Path) -> MakeRun:
    """Writes a run with text: random weights, its recipe, a log of one epoch."""

    def make(name: str, *, seed: int = 0, freeze: bool = True, epochs: int = 1) -> Path:
        classes = poseglot.open_store(few_clips).info.classes
        layout = load_layout("kinect20")
        levels = {GLOBAL: tuple(range(20)), **layout.partition("four")}
        kwargs = {"base_channels": 8}
        torch.manual_seed(seed)
        recognizer = Recognizer(RecognizerSpec("kinect20", classes, encoder_kwargs=kwargs, levels=levels, embed_dim=24))
        run = RunFolder(tmp_path / name)
        save_recognizer(recognizer.eval(), run.recognizer)
        text = TextRecipe(prompt="synonym+parts", partition="four", descriptions="demo", encoder=str(tiny_bert), freeze=freeze)
        data = DataRecipe(str(few_clips), "cross-person")
        recipe = Recipe(data, ModelRecipe(base_channels=8), text, optim=OptimRecipe(epochs=epochs, milestones=[]), seed=seed)
        write_atomically(run.recipe, recipe_yaml(recipe))
        run.add_to_log({"epoch": 1, "test": {"correct": seed, "total": 8}, "elapsed": 120.0})
        write_atomically(run.machine, json.dumps({"poseglot": "0.1.0", "commit": "abc123", "torch": "2", "device": "cpu (X)"}))
        return run.folder

    return make


def test_the_numbers_are_those_of_the_evaluation(make_run: MakeRun) -> None:
    run = make_run("first", seed=1)
    evaluation = poseglot.evaluate(run)
    card = run_card(open_run(run, device="cpu"), seeds=[make_run("second", seed=2)], licence=Licence("apache-2.0"))
    assert f"| {evaluation.top1} |" in card
    assert f"{evaluation.reliability.ece:.2%} on {evaluation.top1.total} test clips" in card
    assert "Not calibrated" in card
    assert "abc123" in card and "2 minutes" in card
    assert "Seed 1, last epoch of its log: 1/8" in card and "Seed 2, last epoch of its log: 2/8" in card
    for name, count in evaluation.per_class.items():
        assert f"{name} {count.correct}/{count.total}" in card
    write_atomically(run / "README.md", card)
    front = read_front_matter(run / "README.md")
    assert front["license"] == "apache-2.0"
    assert front["poseglot"]["results"][0]["correct"] == evaluation.top1.correct
    assert front["model-index"][0]["results"][0]["metrics"][0]["value"] == pytest.approx(
        evaluation.top1.percent / 100, abs=1e-4
    )


def test_cost_is_counted(make_run: MakeRun) -> None:
    run = open_run(make_run("first"), device="cpu")
    card = run_card(run)
    bare = run.recognizer.drop_heads().num_parameters
    assert f"{bare:,} parameters run at test time" in card
    assert f"{run.recognizer.num_parameters:,} parameters" in card
    assert sha256_of(run.files.recognizer) in card
    operations = re.search(r"([\d.]+) G multiply-adds for a clip of 52 frames", card)
    latency = re.search(r"([\d.]+) ms for one clip", card)
    assert operations and float(operations[1]) > 0 and latency and float(latency[1]) > 0


def test_without_the_store_nothing_is_made_up(make_run: MakeRun) -> None:
    run = make_run("first", seed=3)
    recipe = read_recipe(run / "recipe.yaml")
    write_atomically(run / "recipe.yaml", recipe_yaml(replace(recipe, data=replace(recipe.data, store="nowhere"))))
    card = run_card(open_run(run, device="cpu"))
    assert card.count("Not measured.") == 2 and "nowhere" in card
    assert "Last epoch of the training's log: 3/8" in card
    write_atomically(run / "README.md", card)
    assert read_front_matter(run / "README.md")["poseglot"]["results"] == []


def test_runs_of_another_recipe_are_no_other_seeds(make_run: MakeRun) -> None:
    with pytest.raises(InputError):
        run_card(make_run("first"), seeds=[make_run("longer", seed=1, epochs=2)])


def test_the_command_names_the_nearest_recipe(make_run: MakeRun) -> None:
    run = make_run("first")
    assert training_command(open_run(run)).startswith("poseglot train --config recipe.yaml")
    recipe = read_recipe("nw-ucla/fast")
    near = replace(recipe, data=replace(recipe.data, modality="bone"), seed=4)
    write_atomically(run / "recipe.yaml", recipe_yaml(near))
    assert training_command(open_run(run)) == "poseglot train --config nw-ucla/fast --data.modality bone --seed 4 --out RUN"


def test_a_published_folder_is_whole(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("first")
    table = {"temperature": 1.5, "recognizer": sha256_of(run / "recognizer.safetensors")}
    write_atomically(run / CALIBRATION_FILE, json.dumps(table))
    spec = SegmenterSpec(open_run(run).classes, 64, (1.0, 2.0), 0.2, recognizer=table["recognizer"])
    save_segmenter(Segmenter(spec), run / SEGMENTER_FILE)
    folder = publish_run(
        run, tmp_path / "published", name="mine", licence=Licence("other", "Mine", "Ask."), licence_text="Mine.\n"
    )
    names = {
        "README.md",
        "LICENSE",
        "recipe.yaml",
        "machine.json",
        CALIBRATION_FILE,
        "recognizer.safetensors",
        "texts.safetensors",
        SEGMENTER_FILE,
    }
    assert {path.name for path in folder.iterdir()} == names
    texts = read_action_texts(folder)
    assert texts is not None
    np.testing.assert_allclose(texts.features, ZeroShotRecognizer(open_run(run)).class_features(texts.actions), atol=1e-3)
    assert load_segmenter(folder / SEGMENTER_FILE, folder / "recognizer.safetensors").spec.windows == (1.0, 2.0)
    assert temperature_of(folder / "recognizer.safetensors") == 1.5
    assert "data/demo" in (folder / "recipe.yaml").read_text()
    assert read_recipe(run / "recipe.yaml").data.store not in (folder / "recipe.yaml").read_text()
    assert set(load_recognizer(folder / "recognizer.safetensors").spec.levels or ()) == {
        "global",
        "head",
        "hand",
        "hip",
        "foot",
    }
    card = (folder / "README.md").read_text()
    assert sha256_of(folder / "recognizer.safetensors") in card and "half precision" in card and "Temperature 1.5000" in card
    assert read_front_matter(folder / "README.md")["license_name"] == "Mine"
    with pytest.raises(FileError):
        publish_run(run, folder, name="mine")


def test_a_published_recipe_names_no_path_of_this_machine(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("first")
    recipe = read_recipe(run / "recipe.yaml")
    own = tmp_path / "own.yaml"
    own.write_bytes((Path(poseglot.__file__).parent / "descriptions" / "sets" / "demo.yaml").read_bytes())
    recipe = replace(recipe, text=replace(recipe.text, descriptions=str(own)), model=replace(recipe.model, weights=str(run)))
    write_atomically(run / "recipe.yaml", recipe_yaml(recipe))
    folder = publish_run(run, tmp_path / "published", name="mine")
    assert str(tmp_path) not in (folder / "recipe.yaml").read_text()
    assert (folder / "descriptions.yaml").read_bytes() == own.read_bytes()
    assert open_run(folder).recipe.text.descriptions == str(folder / "descriptions.yaml")


def test_heads_without_their_text_encoder_are_not_published(make_run: MakeRun, tmp_path: Path) -> None:
    folder = publish_run(make_run("tuned", freeze=False), tmp_path / "published", name="mine", half=False)
    assert load_recognizer(folder / "recognizer.safetensors").spec.levels is None
