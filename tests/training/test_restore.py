"""The text features of a finished run: those of its checkpoint's text encoder, the mean over a class's texts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from poseglot.errors import PoseglotError
from poseglot.training.build import build
from poseglot.training.checkpoint import load_weights
from poseglot.training.engine import Runtime, train
from poseglot.training.recipe import OptimRecipe, Recipe
from poseglot.training.restore import text_features
from poseglot.training.run import Run
from tests.training.helpers import small_recipe


@pytest.fixture
def recipe(few_clips: Path, tiny_bert: Path) -> Recipe:
    optim = OptimRecipe(epochs=1, batch_size=8, drop_last=False, warmup_epochs=1, milestones=[])
    return small_recipe(few_clips, tiny_bert, optim=optim)


def test_text_features_are_the_means_of_what_the_tuned_encoder_says(recipe: Recipe, tmp_path: Path) -> None:
    train(recipe, tmp_path / "run", runtime=Runtime("cpu"))
    features = text_features(Run(tmp_path / "run"))
    fresh = build(recipe)
    task, prompts = build(recipe).task, fresh.prompts
    load_weights(Run(tmp_path / "run").checkpoint, task)
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


def test_without_words_there_are_none_and_without_a_checkpoint_it_says_so(recipe: Recipe, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    train(replace(recipe, text=replace(recipe.text, prompt="none")), run.folder, runtime=Runtime("cpu"))
    assert text_features(run) == {}
    spoken = Run(tmp_path / "spoken")
    train(recipe, spoken.folder, runtime=Runtime("cpu"))
    spoken.checkpoint.unlink()
    with pytest.raises(PoseglotError, match=r"checkpoint\.safetensors does not exist"):
        text_features(spoken)
