"""`poseglot zero-shot` and `predict --add-class`, on runs trained for an epoch, against the rooms below."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.store import PackedStore, write_store
from poseglot.evaluation.zero_shot import best_bias, cosines, evaluate, mean_over_levels
from poseglot.files import write_atomically
from poseglot.skeletons.layout import load_layout
from poseglot.training.engine import Runtime, train
from poseglot.training.recipe import OptimRecipe, Recipe
from poseglot.training.recipe_io import recipe_yaml
from poseglot.training.zero_shot import ZeroShotRecognizer
from poseglot.transforms import apply_pipeline as view_of
from tests.training.helpers import small_recipe

Event = Any
Command = Callable[..., Event]
UNSEEN = ("clap hands", "squat")
OTHERS = ("bow", "nod head")


@pytest.fixture(scope="module")
def recipe(store_path: Path, tiny_bert: Path) -> Recipe:
    optim = OptimRecipe(epochs=1, batch_size=24, drop_last=False, warmup_epochs=1, milestones=[])
    recipe = small_recipe(store_path, tiny_bert, optim=optim)
    return replace(recipe, data=replace(recipe.data, unseen_classes=list(UNSEEN)))


@pytest.fixture(scope="module")
def runs(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One with unseen classes, one with others, and one to choose on: without the first's, a fold of the training set."""
    folder = tmp_path_factory.mktemp("runs")
    data = {
        "run": recipe.data,
        "other": replace(recipe.data, unseen_classes=list(OTHERS)),
        "choosing": replace(recipe.data, excluded_classes=list(UNSEEN), unseen_classes=list(OTHERS), folds=2, fold=1),
    }
    for name, each in data.items():
        train(replace(recipe, data=each), folder / name, runtime=Runtime("cpu"))
    return {name: folder / name for name in data}


def scores_by_hand(run: Path, store: PackedStore, classes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Clip by clip of the test people: (levels, clips, classes), and labels."""
    zero_shot, found, labels = ZeroShotRecognizer(run), [], []
    words = zero_shot.class_features(classes)
    for place in range(len(store)):
        clip = store[place]
        if clip.subject >= 9:
            view = torch.from_numpy(view_of(clip.joints, pipeline="nw-ucla", modality="joint"))[None]
            found.append(cosines(zero_shot.features(view), words))
            labels.append(classes.index(store.info.classes[clip.label]))
    return np.concatenate(found, axis=1), np.array(labels)


def test_it_counts_what_the_cosines_say(poseglot: Command, runs: dict[str, Path], small_store: PackedStore) -> None:
    said = poseglot("zero-shot", runs["run"], "--device", "cpu")
    assert said.status == 0, said.error
    seen = [label for label in small_store.info.classes if label not in UNSEEN]
    scores, labels = scores_by_hand(runs["run"], small_store, [*seen, *UNSEEN])
    wanted = evaluate(scores, labels, classes=[*seen, *UNSEEN], unseen=UNSEEN, levels=ZeroShotRecognizer(runs["run"]).levels)
    assert wanted.zero_shot.total == 4 and wanted.seen.total == 20
    first, words, zero, _levels, _classes, general, *_ = said.out.splitlines()
    assert "10 classes seen in training, 2 unseen (clap hands, squat)" in first and words == "  by descriptions"
    assert zero == f"    unseen classes among themselves  {wanted.zero_shot}, chance 50.00 %"
    assert general == (
        f"    among all classes  seen {wanted.seen}, unseen {wanted.unseen}, harmonic mean {wanted.harmonic_mean:.2f} %"
    )
    assert "by class names alone" in said.out
    written = json.loads((runs["run"] / "zero-shot.json").read_text())
    assert written["results"]["descriptions"]["zero_shot"]["correct"] == wanted.zero_shot.correct
    assert written["unseen"] == list(UNSEEN) and written["seen"] == seen
    assert "90% of training clips" in written["bias_source"] and "the same, bias" in said.out
    assert "bias" not in poseglot("zero-shot", runs["run"], "--bias", 0, "--device", "cpu").out


def test_the_run_itself_is_evaluated_on_its_seen_classes(poseglot: Command, runs: dict[str, Path]) -> None:
    said = poseglot("evaluate", runs["run"])
    assert said.status == 0, said.error
    assert re.search(r"top-1  \d+/20 ", said.out)
    assert "clap hands" not in said.out and "  bow  " in said.out
    store = json.loads((runs["run"] / "machine.json").read_text())
    assert store["learned_from"] is not None and said.error == ""


def test_of_several_runs_the_mean_and_a_page(poseglot: Command, runs: dict[str, Path], tmp_path: Path) -> None:
    said = poseglot("zero-shot", runs["run"], runs["other"], "--out", tmp_path / "page", "--device", "cpu")
    assert said.status == 0, said.error
    assert "mean ± standard deviation of 2 runs, chance 50.00 %" in said.out
    percents = [float(found) for found in re.findall(r"among themselves  \d+/4 = ([\d.]+) %", said.out)]
    mean, deviation = np.mean(percents[::2]), np.std(percents[::2], ddof=1)
    page = (tmp_path / "page" / "table.md").read_text()
    assert f"**{mean:.2f} ± {deviation:.2f} %**" in page and f"zero-shot {mean:.2f} ± {deviation:.2f} %" in said.out
    assert page.count("`" + str(runs["run"]) + "`") == 1
    rows = json.loads((tmp_path / "page" / "table.json").read_text())
    assert [row["unseen"] for row in rows] == [["clap hands", "squat"], ["nod head", "bow"]]


def test_a_bias_is_found_elsewhere_or_not_at_all(poseglot: Command, runs: dict[str, Path], small_store: PackedStore) -> None:
    said = poseglot("zero-shot", runs["run"], "--bias-from", runs["choosing"], "--device", "cpu")
    assert said.status == 0, said.error
    poseglot("zero-shot", runs["choosing"], "--device", "cpu")
    written = json.loads((runs["run"] / "zero-shot.json").read_text())
    assert written["bias_source"] == f"found on {runs['choosing']}"
    for words, judged in written["biased"].items():
        assert 0 <= judged["bias"] <= 1, words
    refused = poseglot("zero-shot", runs["run"], "--bias-from", runs["other"])
    assert refused.status == 1 and "chosen on the answer" in refused.error
    given = poseglot("zero-shot", runs["run"], "--bias", 2, "--device", "cpu")
    assert "bias 2 (given)  seen 0/20" in given.out and "among all classes  seen" in given.out


def test_the_bias_is_that_of_the_clips_it_is_found_on(
    poseglot: Command, runs: dict[str, Path], small_store: PackedStore
) -> None:
    from poseglot.data.splits import split_fold

    poseglot("zero-shot", runs["run"], "--bias-from", runs["choosing"], "--device", "cpu")
    zero_shot = ZeroShotRecognizer(runs["choosing"])
    classes = [*zero_shot.classes, *(label for label in small_store.info.classes if label in OTHERS)]
    _, held = split_fold(small_store, small_store.subset("cross-person", "train"), folds=2, fold=1)
    clips = [clip for clip in (small_store[int(row)] for row in held) if small_store.info.classes[clip.label] in classes]
    views = torch.from_numpy(np.stack([view_of(clip.joints, pipeline="nw-ucla", modality="joint") for clip in clips]))
    scores = cosines(zero_shot.features(views), zero_shot.class_features(classes))
    labels = np.array([classes.index(small_store.info.classes[clip.label]) for clip in clips])
    wanted = best_bias(scores, labels, classes=classes, unseen=OTHERS)
    written = json.loads((runs["run"] / "zero-shot.json").read_text())
    assert written["biased"]["descriptions"]["bias"] == wanted


def test_twins_of_unseen_clips_among_the_learned_are_a_leak(
    poseglot: Command, runs: dict[str, Path], recipe: Recipe, small_store: PackedStore, tmp_path: Path
) -> None:
    clips = [small_store[place] for place in range(len(small_store))]
    unseen = next(n for n, clip in enumerate(clips) if clip.subject >= 9 and small_store.info.classes[clip.label] == "squat")
    learned = next(n for n, clip in enumerate(clips) if clip.subject < 9 and small_store.info.classes[clip.label] == "bow")
    clips[learned] = replace(clips[learned], joints=clips[unseen].joints)
    write_store(
        tmp_path / "twins",
        clips,
        benchmark=load_benchmark("demo"),
        layout=load_layout("kinect20"),
        source={"synthetic": "here"},
    )
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("recognizer.safetensors", "checkpoint.safetensors"):
        (copy / name).symlink_to(runs["run"] / name)
    moved = replace(recipe, data=replace(recipe.data, store=str(tmp_path / "twins")))
    write_atomically(copy / "recipe.yaml", recipe_yaml(moved))
    said = poseglot("zero-shot", copy)
    assert said.status == 1 and "1 clips of unseen classes" in said.error and "training clips" in said.error


def test_what_zero_shot_refuses(
    poseglot: Command, runs: dict[str, Path], make_run: Callable[..., Path], tmp_path: Path
) -> None:
    assert "trained without text" in poseglot("zero-shot", make_run(tmp_path / "silent")).error
    assert "does not exist" in poseglot("zero-shot", tmp_path / "absent").error
    assert "one for each" in poseglot("zero-shot", runs["run"], runs["other"], "--bias-from", runs["choosing"]).error


def test_predict_adds_classes_by_their_words(
    poseglot: Command, runs: dict[str, Path], small_store: PackedStore, tmp_path: Path
) -> None:
    run, clip = runs["run"], small_store[75]
    np.save(tmp_path / "clip.npy", clip.joints)
    sets = Path(__file__).parents[2] / "src" / "poseglot" / "descriptions" / "sets" / "demo.yaml"
    import yaml

    table = yaml.safe_load(sets.read_text())
    table["classes"] = [entry for entry in table["classes"] if entry["label"] == "squat"]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(table))
    said = poseglot(
        "predict", run, tmp_path / "clip.npy", "--add-class", "doing push-ups", "--add-class-descriptions", tmp_path / "mine.yaml",
        "--json", "--top", 20, "--device", "cpu", "--add-class-bias", 0,
    )  # fmt: skip
    assert said.status == 0, said.error
    answers = {answer["action"]: answer["probability"] for answer in json.loads(said.out)[0]["scores"]}
    zero_shot = ZeroShotRecognizer(run)
    assert sorted(answers) == sorted([*zero_shot.classes, "squat", "doing push-ups"])
    view = torch.from_numpy(view_of(clip.joints, pipeline="nw-ucla", modality="joint"))[None]
    words = np.concatenate(
        [zero_shot.class_features([*zero_shot.classes, "squat"]), zero_shot.label_features(["doing push-ups"])], axis=1
    )
    scores = 10 * mean_over_levels(cosines(zero_shot.features(view), words))[0]
    wanted = np.exp(scores) / np.exp(scores).sum()
    names = [*zero_shot.classes, "squat", "doing push-ups"]
    assert answers == pytest.approx(dict(zip(names, wanted, strict=True)), rel=1e-3)
    (best,) = json.loads(
        poseglot("predict", run, tmp_path / "clip.npy", "--add-class", "fly", "--add-class-bias", 2, "--top", 1, "--json").out
    )[0]["scores"]
    assert best["action"] == "fly"


def test_an_added_class_may_take_a_tenth_of_the_training_clips(
    poseglot: Command, runs: dict[str, Path], recipe: Recipe, small_store: PackedStore, tmp_path: Path
) -> None:
    """The bias of --add-class by a plain count, and what is said where the training clips are gone."""
    run, clip = runs["run"], tmp_path / "clip.npy"
    np.save(clip, small_store[75].joints)
    zero_shot = ZeroShotRecognizer(run)
    classifier = zero_shot.classifier(labels=["fly"], bias=None)
    trained = zero_shot.run.train
    found = np.concatenate([classifier.logits(inputs) for inputs in trained.eval_inputs(64, zero_shot.run.device)])
    assert zero_shot.classifier(bias=None).bias == 0  # nothing was added
    taken = (found.argmax(axis=1) == len(zero_shot.classes)).sum()
    assert len(found) <= 32 * len(zero_shot.classes)  # all of them are asked
    assert abs(taken - 0.1 * len(found)) <= 1
    asked = ("predict", run, clip, "--add-class", "fly", "--json", "--top", 20, "--device", "cpu")
    answers = {each["action"]: each["probability"] for each in json.loads(poseglot(*asked).out)[0]["scores"]}
    logits = classifier.logits(torch.from_numpy(view_of(np.load(clip), pipeline="nw-ucla", modality="joint"))[None])[0]
    wanted = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert answers == pytest.approx(dict(zip(classifier.classes, wanted, strict=True)), rel=1e-3)
    gone = tmp_path / "gone"
    gone.mkdir()
    for name in ("recognizer.safetensors", "checkpoint.safetensors"):
        (gone / name).symlink_to(run / name)
    write_atomically(gone / "recipe.yaml", recipe_yaml(replace(recipe, data=replace(recipe.data, store=str(tmp_path / "no")))))
    said = poseglot("predict", gone, clip, "--add-class", "fly")
    assert said.status == 0 and "rarely comes first" in said.error


def test_what_adding_classes_refuses(
    poseglot: Command, runs: dict[str, Path], make_run: Callable[..., Path], tmp_path: Path
) -> None:
    run, clip = runs["run"], tmp_path / "clip.npy"
    np.save(clip, np.random.default_rng(0).normal(size=(1, 9, 20, 3)))
    assert "'bow' would be there twice" in poseglot("predict", run, clip, "--add-class", "bow").error
    assert "'fly' would be" in poseglot("predict", run, clip, "--add-class", "fly", "--add-class", "fly").error
    assert "trained without text" in poseglot("predict", make_run(tmp_path / "silent"), clip, "--add-class", "fly").error
    alone = poseglot("predict", run / "recognizer.safetensors", clip, "--add-class", "fly")
    assert alone.status == 1 and "is not a folder" in alone.error
    assert poseglot("predict", run, clip, "--add-class", "fly", "--top", 0).status == 1
