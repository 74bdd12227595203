"""What a recipe makes of somebody's own data: the store's layout, scores and protocol reach the recognizer and the views."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from poseglot.data.store import PackedStore
from poseglot.errors import PoseglotError
from poseglot.models.recognizer import load_recognizer, save_recognizer
from poseglot.skeletons.transforms import Augmentation, apply_pipeline
from poseglot.training.build import build
from poseglot.training.recipe import DataRecipe, Recipe, TextRecipe
from tests.data.own import TABLE, own_layout, own_store
from tests.training.helpers import small_recipe


@pytest.fixture(scope="module")
def own(small_store: PackedStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own") / "store"
    own_store(path, small_store)
    return path


@pytest.fixture
def recipe(own: Path, tiny_bert: Path) -> Recipe:
    return small_recipe(own, tiny_bert)


def test_layout_scores_and_protocol_of_the_store_reach_the_recognizer(recipe: Recipe, tmp_path: Path) -> None:
    built = build(replace(recipe, data=replace(recipe.data, modality="bone")))
    spec = built.task.recognizer.spec
    assert (spec.layout, spec.pipeline, spec.modality, spec.num_persons, spec.channels) == (TABLE, "image", "bone", 2, 3)
    assert spec.has_scores
    assert spec.levels == {"global": tuple(range(8)), **own_layout().partition("four")}
    save_recognizer(built.task.recognizer, tmp_path / "r.safetensors")
    assert load_recognizer(tmp_path / "r.safetensors").spec == spec

    view = built.test.view(torch.tensor([1]), None, torch.device("cpu"))
    clip = built.test.store[int(built.test.indices[1])]
    alone = apply_pipeline(clip.joints, pipeline="image", modality="bone", layout=own_layout(), has_scores=True)
    torch.testing.assert_close(view[0, : len(alone)], torch.from_numpy(alone))
    training = built.train.view(torch.arange(4), Augmentation(0, 0), torch.device("cpu"))
    assert training.shape[1:] == (2, 64, 8, 3)
    assert built.task.recognizer(training)["logits"].shape == (4, 12)


def test_a_scale_that_the_protocol_does_not_have_is_refused_before_anything_is_trained(recipe: Recipe) -> None:
    data = DataRecipe(recipe.data.store, recipe.data.split, effective_scale=True)
    with pytest.raises(PoseglotError, match=r"protocol image has none.*data\.effective_scale false"):
        build(replace(recipe, data=data, text=TextRecipe(prompt="none")))
