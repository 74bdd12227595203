"""Unseen classes: nothing of them - no clip, no text, no place in the classifier - is in a training; and by words they are there after."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from poseglot.data.store import PackedStore
from poseglot.descriptions import load_descriptions, make_prompts
from poseglot.errors import FileError, InputError, PoseglotError, SettingError
from poseglot.evaluation.zero_shot import cosines
from poseglot.inference.predictor import Predictor
from poseglot.training.build import build
from poseglot.training.engine import Runtime, train
from poseglot.training.novelty import detect_novelty
from poseglot.training.recipe import LossRecipe, OptimRecipe, Recipe
from poseglot.training.recipe_io import parse_recipe, recipe_yaml
from poseglot.training.run import open_run
from poseglot.training.run_folder import RunFolder
from poseglot.training.subsets import ClassSplit, class_split, eval_indices, left_out, subsets
from poseglot.training.zero_shot import ZeroShotRecognizer
from tests.training.helpers import inputs, small_recipe

UNSEEN = ["clap hands", "squat", "nod head"]


@pytest.fixture
def recipe(store_path: Path, tiny_bert: Path) -> Recipe:
    optim = OptimRecipe(epochs=1, batch_size=24, drop_last=False, warmup_epochs=1, milestones=[])
    recipe = small_recipe(store_path, tiny_bert, optim=optim)
    return replace(recipe, data=replace(recipe.data, unseen_classes=UNSEEN))


@pytest.fixture
def short(recipe: Recipe, few_clips: Path) -> Recipe:
    """The same on few clips, for what trains."""
    return replace(recipe, data=replace(recipe.data, store=str(few_clips)), optim=replace(recipe.optim, batch_size=8))


def labels_of(store: PackedStore, places: np.ndarray) -> set[str]:
    return {store.info.classes[label] for label in store.clips["label"][places]}


@pytest.mark.parametrize("folds", [{}, {"folds": 2, "fold": 1}])
def test_no_clip_and_no_text_of_an_unseen_class_is_in_training(
    recipe: Recipe, small_store: PackedStore, folds: dict[str, int]
) -> None:
    recipe = replace(recipe, data=replace(recipe.data, excluded_classes=["bow"], **folds))  # type: ignore[arg-type]
    built = build(recipe)
    gone = {*UNSEEN, "bow"}
    seen = [label for label in small_store.info.classes if label not in gone]
    for views in (built.train, built.test):
        assert labels_of(small_store, views.indices) == set(seen)
        # Labels are places among the seen classes.
        for place, label in zip(views.indices, views.labels, strict=True):
            assert seen[label] == small_store.info.classes[small_store.clips["label"][place]]
    assert built.prompts is not None and built.task.bank is not None
    theirs = make_prompts(
        load_descriptions("demo").of(sorted(gone)), prompt=recipe.text.prompt, partition=recipe.text.partition
    )
    assert theirs.texts and not set(theirs.texts) & set(built.prompts.texts)
    assert len(built.task.bank.tokens) == len(built.prompts.texts)
    assert built.task.recognizer.spec.classes == tuple(seen)
    assert built.task.recognizer.classifier.out_features == len(seen) == built.prompts.counts.shape[1]


def test_who_is_where_does_not_depend_on_what_is_seen(recipe: Recipe, small_store: PackedStore) -> None:
    everything = replace(recipe.data, unseen_classes=[])
    for folds in ({}, {"folds": 3, "fold": 2}):
        some, whole = replace(recipe.data, **folds), replace(everything, **folds)  # type: ignore[arg-type]
        for ours, all_of_them in zip(subsets(some, small_store), subsets(whole, small_store), strict=True):
            assert ours.tolist() == [
                place for place in all_of_them if labels_of(small_store, np.array([place])).isdisjoint(UNSEEN)
            ]
        assert eval_indices(some, small_store, small_store.info.classes).tolist() == subsets(whole, small_store)[1].tolist()


def test_lists_by_name_and_by_label_and_what_is_refused(recipe: Recipe, small_store: PackedStore) -> None:
    found = class_split(recipe.data, small_store)
    assert found.unseen == ("nod head", "clap hands", "squat")  # in the store's order
    named = replace(recipe.data, unseen_classes="9-3")
    assert class_split(named, small_store).unseen == tuple(
        label for label in small_store.info.classes if label in ("shake head", "punch forward", "march in place")
    )
    assert class_split(replace(recipe.data, unseen_classes=[]), small_store) == ClassSplit(small_store.info.classes, ())
    for unseen, excluded_classes, said in (
        (["sleep"], [], "'sleep', which demo does not have"),
        ("55-5", [], "demo has 9-3"),
        (["bow"], ["bow"], "both have 'bow'"),
        (list(small_store.info.classes[1:]), [], "leaves 1 of the 12"),
    ):
        with pytest.raises(PoseglotError, match=said):
            class_split(replace(recipe.data, unseen_classes=unseen, excluded_classes=excluded_classes), small_store)


def test_ways_of_any_set_leave_every_class_out_equally_often(recipe: Recipe, small_store: PackedStore) -> None:
    classes = [f"class {number}" for number in range(27)]
    ways = [left_out(classes, f"22-5/{number}") for number in range(1, 28)]
    counts = Counter(label for way in ways for label in way)
    assert {len(set(way)) for way in ways} == {5} and set(counts.values()) == {5}  # 27 ways of 5 of 27 classes
    assert len(set(map(tuple, ways))) == 27
    assert ways[2] == left_out(classes, "22-5/3")
    assert left_out(list(range(10)), "8-2/1") == [2, 3]  # type: ignore[arg-type]  # fixed for good
    found = class_split(replace(recipe.data, unseen_classes="10-2/1"), small_store)
    assert len(found.seen) == 10 and list(found.unseen) == left_out(small_store.info.classes, "10-2/1")
    for wrong in ("10-2", "10-2/0", "10-3/1", "9-3/1"):  # 9-3 is a list of its benchmark
        with pytest.raises(SettingError):
            class_split(replace(recipe.data, unseen_classes=wrong), small_store)


def test_a_recipe_keeps_its_unseen_classes_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("data: {store: s, split: a}\n")
    for given, meant in (("55-5", "55-5"), ("7-3/1", "7-3/1"), ("[drop trash, carry]", ["drop trash", "carry"])):
        recipe = parse_recipe(["--config", str(path), "--data.unseen_classes", given])
        assert recipe.data.unseen_classes == meant
        (tmp_path / "written.yaml").write_text(recipe_yaml(recipe))
        assert parse_recipe(["--config", str(tmp_path / "written.yaml")]) == recipe


@pytest.mark.parametrize("freeze", [False, True], ids=["tuned", "frozen"])
@pytest.mark.parametrize("prompt", ["parts", "synonym+parts", "label", "learned", "states"])
def test_words_are_read_as_the_run_left_its_text_encoder(short: Recipe, tmp_path: Path, prompt: str, freeze: bool) -> None:
    partition = "four" if "parts" in prompt else "global"
    words = replace(short.text, prompt=prompt, partition=partition, freeze=freeze, context_length=3, states=2)
    recipe = replace(short, text=words)
    run = RunFolder(tmp_path / "run")
    train(recipe, run.folder, runtime=Runtime("cpu"))
    zero_shot = ZeroShotRecognizer(run.folder)
    assert zero_shot.logit_scale == 10
    found = zero_shot.class_features([*zero_shot.classes, *UNSEEN])
    assert found.shape == (len(zero_shot.levels), 12, 24)
    # Of seen classes the report has the features, too: equal where a class has one text.
    single = [level for level in zero_shot.levels if level != "global" or prompt in ("learned", "states")]
    for level, features in open_run(run.folder).text_features.items():
        if level in single:
            wanted = torch.nn.functional.normalize(features, dim=1)
            torch.testing.assert_close(
                torch.from_numpy(found[zero_shot.levels.index(level), :9]).float(), wanted, rtol=1e-3, atol=1e-4
            )
    assert single or prompt == "label"
    alone = zero_shot.label_features(UNSEEN)
    assert np.allclose(alone, alone[:1])  # one text for every level
    # Read together or alone, a text says the same.
    assert np.allclose(zero_shot.class_features(["squat"])[:, 0], zero_shot.class_features(UNSEEN)[:, 1], atol=1e-4)


def test_the_mean_is_of_normalised_texts(short: Recipe, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    train(short, run.folder, runtime=Runtime("cpu"))
    zero_shot = ZeroShotRecognizer(run.folder)
    description = load_descriptions("demo").classes["squat"]
    texts = [description.label, *description.synonyms]
    with torch.no_grad():
        read = [zero_shot.text_encoder(zero_shot.text_encoder.tokenize([text]))[0].double() for text in texts]
    wanted = torch.stack([feature / feature.norm() for feature in read]).mean(dim=0)
    np.testing.assert_allclose(zero_shot.class_features(["squat"])[0, 0], wanted.numpy(), atol=1e-5)
    built = build(short)
    views = inputs(built.test, torch.arange(4), epoch=None)
    features = zero_shot.features(views)
    with torch.no_grad():
        aligned = zero_shot.recognizer(views)["alignment"]
    np.testing.assert_allclose(features[0], aligned["global"].numpy(), rtol=1e-4, atol=1e-5)
    found = cosines(features, zero_shot.class_features(["squat"]))
    by_hand = [float(torch.cosine_similarity(aligned["global"][2].double(), each, dim=0)) for each in read]
    assert found[0, 2, 0] == pytest.approx(sum(by_hand) / len(by_hand), abs=1e-4)


def test_a_learned_scale_and_a_lost_checkpoint(short: Recipe, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    train(replace(short, loss=LossRecipe(learn_logit_scale=True)), run.folder, runtime=Runtime("cpu"))
    assert ZeroShotRecognizer(run.folder).logit_scale not in (10, 0)
    run.checkpoint.unlink()
    with pytest.raises(FileError, match="checkpoint"):
        ZeroShotRecognizer(run.folder)
    frozen = RunFolder(tmp_path / "frozen")
    train(replace(short, text=replace(short.text, freeze=True)), frozen.folder, runtime=Runtime("cpu"))
    frozen.checkpoint.unlink()
    assert ZeroShotRecognizer(frozen.folder).class_features(UNSEEN).shape == (5, 3, 24)


def test_without_text_nothing_is_recognised_by_words(short: Recipe, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    train(replace(short, text=replace(short.text, prompt="part-classes")), run.folder, runtime=Runtime("cpu"))
    with pytest.raises(SettingError):
        ZeroShotRecognizer(run.folder)


def test_novelty_is_the_auroc_of_left_out_classes(short: Recipe, tmp_path: Path) -> None:
    train(short, tmp_path / "run", runtime=Runtime(accelerator="cpu", loggers=()))
    run = open_run(tmp_path / "run")
    found = detect_novelty(run)
    store, names = run.store, set(UNSEEN)
    tested = store.subset(short.data.split, "test")
    assert found.novel == sum(store.info.classes[label] in names for label in store.clips["label"][tested])
    assert found.known + found.novel == len(tested)
    assert set(found.aurocs) == {"probability", "energy", "distance"}
    # By the predictor, clip by clip.
    predictor = Predictor(run.folder)
    novel = [store.info.classes[store.clips["label"][index]] in names for index in tested]
    top = np.array([predictor.predict_proba(store[int(index)]).max() for index in tested])
    pairs = [(k > n) + 0.5 * (k == n) for k in top[~np.array(novel)] for n in top[np.array(novel)]]
    assert found.aurocs["probability"] == pytest.approx(np.mean(pairs), abs=1e-6)
    with pytest.raises(InputError):
        detect_novelty(replace_unseen(run.folder, tmp_path / "all"))


def replace_unseen(folder: Path, copy: Path) -> Path:
    """Copy a run, whose recipe then has no unseen classes."""
    shutil.copytree(folder, copy)
    recipe = open_run(folder).recipe
    RunFolder(copy).recipe.write_text(recipe_yaml(replace(recipe, data=replace(recipe.data, unseen_classes=[]))))
    return copy
