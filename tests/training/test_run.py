"""Opened runs: what they give, lazily, and what they say is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import poseglot
from poseglot.errors import FileError, InputError, SettingError
from poseglot.training.build import build
from poseglot.training.checkpoint import load_weights
from poseglot.training.engine import Runtime, train
from poseglot.training.recipe import OptimRecipe, Recipe
from poseglot.training.run import open_run
from poseglot.training.run_folder import RunFolder
from tests.training.helpers import small_recipe


@pytest.fixture
def recipe(few_clips: Path, tiny_bert: Path) -> Recipe:
    optim = OptimRecipe(epochs=1, batch_size=8, drop_last=False, warmup_epochs=1, milestones=[])
    return small_recipe(few_clips, tiny_bert, optim=optim)


def test_text_features_are_the_means_of_what_the_tuned_encoder_says(recipe: Recipe, tmp_path: Path) -> None:
    train(recipe, tmp_path / "run", runtime=Runtime("cpu"))
    features = open_run(tmp_path / "run").text_features
    fresh = build(recipe)
    task, prompts = build(recipe).task, fresh.prompts
    load_weights(RunFolder(tmp_path / "run").checkpoint, task)
    assert prompts is not None
    assert task.bank is not None
    assert task.bank.encoder is not None
    assert list(features) == list(prompts.levels)
    for place, level in enumerate(prompts.levels):
        for label in (0, 5):
            texts = [prompts.texts[t] for t in prompts.candidates[place, label, : int(prompts.counts[place, label])]]
            with torch.no_grad():
                alone = [task.bank.encoder(task.bank.encoder.tokenize([text]))[0] for text in texts]
            torch.testing.assert_close(features[level][label], torch.stack(alone).mean(dim=0), rtol=1e-4, atol=1e-5)
    # Trained: not what the encoder said before.
    assert fresh.task.bank is not None
    with torch.no_grad():
        before = fresh.task.bank(prompts.candidates[1, :, 0])
    assert not torch.allclose(before, features["head"], atol=1e-3)


def test_without_text_there_are_no_features_and_without_a_checkpoint_it_says_so(recipe: Recipe, tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    train(replace(recipe, text=replace(recipe.text, prompt="none")), silent, runtime=Runtime("cpu"))
    assert open_run(silent).prompts is None and open_run(silent).text_features == {}
    with pytest.raises(SettingError):
        _ = open_run(silent).text_encoder
    spoken = tmp_path / "spoken"
    train(recipe, spoken, runtime=Runtime("cpu"))
    RunFolder(spoken).checkpoint.unlink()
    run = open_run(spoken)
    assert run.text_encoder_lost
    with pytest.raises(FileError, match="checkpoint"):
        _ = run.text_features
    assert list(run.encode_prompts(pretrained=True)) == list(run.prompts.levels if run.prompts else ())


def test_an_opened_run_gives_what_was_trained(recipe: Recipe, tmp_path: Path) -> None:
    result = train(recipe, tmp_path / "run", runtime=Runtime("cpu"))
    run = poseglot.open_run(str(tmp_path / "run"), device="cpu")
    assert repr(run) == f"Run('{tmp_path / 'run'}')"
    assert run.recipe == recipe and run.has_recipe and len(run.log) == 1
    assert run.classes == run.spec.classes and run.recognizer.heads and not run.recognizer.training
    assert (len(run.train), len(run.test)) == (32, 8)
    assert run.temperature is None
    with pytest.raises(FileError, match="scores"):
        _ = run.scores
    evaluation = poseglot.evaluate(run)
    assert evaluation.top1.total == 8 == sum(each.total for each in evaluation.per_class.values())
    assert evaluation.top1 == result.last
    assert poseglot.evaluate(tmp_path / "run").top1 == evaluation.top1
    assert evaluation.calibrated is None and not evaluation.in_training.any()
    assert evaluation.coverage(0)[0].percent == 100 and evaluation.coverage(0)[1] == evaluation.top1
    evaluation.save(run.files.scores)
    assert run.scores.names == tuple(run.test.names) == tuple(run.scored.names)
    assert run.scored.indices.tolist() == run.test.indices.tolist()


def test_a_run_without_a_recipe_needs_store_and_split(recipe: Recipe, tmp_path: Path) -> None:
    train(recipe, tmp_path / "run", runtime=Runtime("cpu"))
    RunFolder(tmp_path / "run").recipe.unlink()
    run = poseglot.open_run(tmp_path / "run")
    assert not run.has_recipe
    for use in (lambda: run.recipe, lambda: run.store, lambda: poseglot.evaluate(run)):
        with pytest.raises(FileError, match=r"recipe\.yaml"):
            use()
    assert poseglot.evaluate(run, recipe.data.store, recipe.data.split).top1.total == 8


def test_another_store_is_refused(recipe: Recipe, tmp_path: Path, store_path: Path) -> None:
    unseen = replace(recipe, data=replace(recipe.data, unseen_classes=["bow", "squat"]))
    train(unseen, tmp_path / "run", runtime=Runtime("cpu"))
    RunFolder(tmp_path / "run").recipe.unlink()
    with pytest.raises(InputError, match="knows 10 classes"):
        poseglot.evaluate(tmp_path / "run", store_path, "cross-person")
    with pytest.raises(FileError, match="does not exist"):
        poseglot.open_run(tmp_path / "nothing")


@pytest.mark.parametrize("line", ["{", "[1]", '{"loss": 1}', '"x"', "\xff"])
def test_a_damaged_log_is_refused(line: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.log.write_bytes(b'{"epoch": 1}\n' + line.encode("latin-1") + b"\n")
    with pytest.raises(FileError, match=r"log\.jsonl"):
        folder.read_log()


def test_a_last_line_that_was_cut_short_is_ignored(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.log.write_text('{"epoch": 1}\n{"epo')
    assert folder.read_log() == [{"epoch": 1}]
