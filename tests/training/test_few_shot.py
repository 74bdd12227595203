"""Few-shot recognition with runs: with text and without, from Python and by `predict --examples`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from poseglot.app.cli import main
from poseglot.errors import InputError, SettingError
from poseglot.evaluation.few_shot import unit
from poseglot.inference.predictor import Predictor
from poseglot.training.engine import Runtime, train
from poseglot.training.few_shot import FewShotRecognizer, draw_per_class, evaluate_few_shot
from poseglot.training.recipe import OptimRecipe, TextRecipe
from poseglot.training.run import Run, open_run
from tests.training.helpers import small_recipe

UNSEEN = ["clap hands", "squat", "nod head"]


@pytest.fixture(scope="module", params=["text", "none"])
def run(request: pytest.FixtureRequest, few_clips: Path, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    optim = OptimRecipe(epochs=1, batch_size=8, drop_last=False, warmup_epochs=1, milestones=[])
    recipe = small_recipe(few_clips, tiny_bert, optim=optim)
    recipe = replace(recipe, data=replace(recipe.data, unseen_classes=UNSEEN))
    if request.param == "none":
        recipe = replace(recipe, text=TextRecipe(prompt="none"))
    folder = tmp_path_factory.mktemp("few-shot") / "run"
    train(recipe, folder, runtime=Runtime(accelerator="cpu", loggers=()))
    return open_run(folder)


def rows_of(run: Run, label: str) -> list[int]:
    """Return the clips of a class in the run's store."""
    store = run.store
    return [index for index in range(len(store)) if store.classes[store.clips["label"][index]] == label]


def test_a_class_is_recognised_by_its_example(run: Run) -> None:
    predictor = Predictor(run.folder, engine="torch")
    clip = run.store[rows_of(run, "squat")[0]]
    ((_, inputs),) = predictor.inputs([clip])
    recognizer = FewShotRecognizer(run, per_class=2)
    classifier = recognizer.classifier({"squat": inputs})
    assert classifier.classes == (*run.classes, "squat")
    features = recognizer.features(inputs)
    np.testing.assert_allclose(features, unit(recognizer._raw(inputs), recognizer.centre))
    scores = classifier.logits(inputs)[0] / classifier.logit_scale
    if run.recipe.with_text:  # half of the prototype is the text
        assert scores[-1] > 0.5
    else:  # the prototype is the clip
        assert scores[-1] == pytest.approx(1)
        assert predictor.predict(clip, classifier=classifier, top=1)[0].action == "squat"


def test_without_examples_a_class_needs_text(run: Run) -> None:
    recognizer = FewShotRecognizer(run, per_class=1)
    nothing = run.dataset(run.train.indices[:1]).inputs(torch.tensor([0]), None)[:0]
    if run.recipe.with_text:
        assert recognizer.classifier({"never shown": nothing}).classes[-1] == "never shown"
    else:
        with pytest.raises(SettingError):
            recognizer.classifier({"never shown": nothing})


def test_evaluation_counts_every_test_clip(run: Run) -> None:
    results = evaluate_few_shot(run, shots=(1, 2), draws=2)
    assert [result.shots for result in results] == [1, 1, 2, 2]
    store = run.store
    tested = store.subset(run.recipe.data.split, "test")
    novel = sum(store.classes[label] in UNSEEN for label in store.clips["label"][tested])
    for result in results:
        assert result.unseen.total == result.among_unseen.total == novel
        assert result.seen.total == len(tested) - novel
        assert result.unseen.correct <= result.among_unseen.correct
    assert evaluate_few_shot(run, shots=(1,), draws=1) == evaluate_few_shot(run, shots=(1,), draws=1)
    with pytest.raises(InputError):
        evaluate_few_shot(run, shots=(1000,))


def test_predict_with_a_folder_of_examples(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    examples = tmp_path / "examples" / "squat"
    examples.mkdir(parents=True)
    for index in rows_of(run, "squat")[:2]:
        np.save(examples / f"{index}.npy", run.store[index].joints)
    clip = next(examples.iterdir())
    assert main(["predict", str(run.folder), str(clip), "--examples", str(tmp_path / "examples"), "--json", "--top", "99"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert {score["action"] for score in row["scores"]} == {*run.classes, "squat"}
    assert main(["predict", str(run.folder), str(clip), "--examples", str(examples)]) == 1  # no folders in it


def test_draws_are_of_every_class() -> None:
    labels = np.array([0, 0, 0, 2, 2, 5])
    drawn = draw_per_class(labels, 2, 0)
    assert sorted(labels[drawn]) == [0, 0, 2, 2, 5]
    assert (draw_per_class(labels, 2, 0) == drawn).all()
    assert len(draw_per_class(labels, 0, 0)) == 0


def test_examples_unlike_the_training_clips_are_said(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of all folders together, once: two clips with z up, one as in training."""
    for name, index, turn in (("squat/a", 0, 1), ("wave/b", 1, 1), ("wave/c", 2, 0)):
        (tmp_path / "examples" / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "examples" / f"{name}.npy", np.roll(run.store[index].joints, turn, axis=-1))
    clip = tmp_path / "examples" / "wave" / "c.npy"
    assert main(["predict", str(run.folder), str(clip), "--examples", str(tmp_path / "examples")]) == 0
    (note,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("note: "))
    assert note.startswith("note: a: ") and "along +z" in note and note.endswith("(and 1 more clips).")
