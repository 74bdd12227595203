"""What a recipe makes of somebody's own data: the store's layout, scores and protocol reach the recognizer and the views."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from poseglot.data.store import PackedStore
from poseglot.errors import SettingError
from poseglot.models.recognizer import load_recognizer, new_recognizer, save_recognizer
from poseglot.training.build import _augmented, build
from poseglot.training.recipe import Recipe, TextRecipe
from poseglot.transforms import PipelineError, apply_pipeline, load_pipeline
from tests.data.own import TABLE, own_layout, own_store
from tests.training.helpers import inputs, small_recipe


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

    view = inputs(built.test, torch.tensor([1]), epoch=None)
    clip = built.test.store[int(built.test.indices[1])]
    alone = apply_pipeline(clip.joints, pipeline="image", modality="bone", layout=own_layout(), has_scores=True)
    torch.testing.assert_close(view[0, : len(alone)], torch.from_numpy(alone))
    training = inputs(built.train, torch.arange(4))
    assert training.shape[1:] == (2, 64, 8, 3)
    assert built.task.recognizer(training)["logits"].shape == (4, 12)


def test_augmentations_change_training_clips_alone(recipe: Recipe) -> None:
    augment: list[Any] = [{"joint-drop": {"probability": 0.5}}, "axis-drop"]
    plain, changed = build(recipe), build(replace(recipe, data=replace(recipe.data, augment=augment)))
    index = torch.arange(8)
    for epoch in (0, 1):
        before, after = inputs(plain.train, index, epoch=epoch), inputs(changed.train, index, epoch=epoch)
        gone = (after == 0) & (before != 0)
        assert 0.3 < gone.sum() / (before != 0).sum() < 0.8
    assert torch.equal(inputs(plain.test, index, epoch=None), inputs(changed.test, index, epoch=None))
    assert changed.task.recognizer.spec == plain.task.recognizer.spec


def test_what_cannot_be_augmented_is_refused(recipe: Recipe, small_store: PackedStore, tmp_path: Path) -> None:
    def data(*augment: Any) -> Recipe:
        return replace(recipe, data=replace(recipe.data, augment=list(augment)), text=TextRecipe(prompt="none"))

    with pytest.raises(PipelineError, match="mirror"):
        build(data("miror"))
    with pytest.raises(PipelineError, match="probability"):
        build(data({"mirror": {"probability": 3}}))
    assert build(data("mirror"))  # no class of the demo set names a side
    with pytest.raises(SettingError, match="swipe left"):
        _augmented(load_pipeline("nw-ucla"), ["mirror"], ["walk", "swipe left"])


def test_a_pipeline_of_ones_own_goes_with_the_recognizer(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\ntransforms: [centre, {resize: {frames: 9}}]\n")
    built = build(replace(recipe, data=replace(recipe.data, pipeline=str(path))))
    assert inputs(built.train, torch.arange(2)).shape[2] == 9
    save_recognizer(built.task.recognizer, tmp_path / "r.safetensors")
    path.unlink()
    assert load_pipeline(load_recognizer(tmp_path / "r.safetensors").spec.pipeline).frames == 9


def test_tokens_that_are_cut_off_are_counted(recipe: Recipe, caplog: pytest.LogCaptureFixture) -> None:
    long = replace(recipe, text=replace(recipe.text, prompt="paragraph", partition="global"))
    build(recipe)
    assert caplog.text == ""
    tokenizer = build(long).task.bank.encoder.tokenizer  # type: ignore[union-attr]
    prompts = build(long).prompts
    assert prompts is not None
    lengths = [len(ids) for ids in tokenizer(list(prompts.texts))["input_ids"]]
    cut = [length - 48 for length in lengths if length > 48]
    assert cut and f"{len(cut)} of {len(lengths)} texts" in caplog.text and f"{sum(cut)} tokens" in caplog.text


@pytest.mark.parametrize("label", ["swipe left", "swipe_left", "left-swipe", "swipeLeft", "step (right)"])
def test_mirror_is_refused_where_a_class_names_a_side(label: str) -> None:
    with pytest.raises(SettingError, match="mirror"):
        _augmented(load_pipeline("nw-ucla"), ["mirror"], ["walk", label])


def test_mirror_is_refused_where_the_texts_tell_sides_apart() -> None:
    with pytest.raises(SettingError, match="mirror"):
        _augmented(load_pipeline("nw-ucla"), ["mirror"], ["walk"], "sides")
    assert _augmented(load_pipeline("nw-ucla"), ["mirror"], ["walk"], "four")


@pytest.mark.parametrize("entry", ["min-max", "centre", "fit-box", "drop-empty-frames"])
def test_what_acts_in_evaluation_is_no_augmentation(entry: str) -> None:
    """Training clips would be prepared otherwise than those of evaluation and prediction."""
    with pytest.raises(SettingError, match=entry):
        _augmented(load_pipeline("metric"), [entry], ["walk"])
    assert _augmented(load_pipeline("metric"), ["joint-drop"], ["walk"]).transforms[-1].augments


def test_shuffled_descriptions_are_those_of_other_classes(recipe: Recipe) -> None:
    plain, shuffled = build(recipe).prompts, build(replace(recipe, text=replace(recipe.text, shuffle=True))).prompts
    assert plain is not None and shuffled is not None
    assert set(plain.texts) == set(shuffled.texts)
    firsts = [[table.texts[row] for row in table.candidates[0, :, 0]] for table in (plain, shuffled)]
    assert sorted(firsts[0]) == sorted(firsts[1])
    assert all(before != after for before, after in zip(*firsts, strict=True))


def test_random_vectors_are_not_fine_tuned(recipe: Recipe) -> None:
    with pytest.raises(SettingError):
        build(replace(recipe, text=replace(recipe.text, encoder="random", freeze=False)))
    assert (
        build(replace(recipe, text=replace(recipe.text, encoder="random", freeze=True))).task.recognizer.spec.embed_dim == 384
    )


def test_training_starts_from_a_trained_recognizer(recipe: Recipe, tmp_path: Path) -> None:
    first = build(recipe).task.recognizer
    path = tmp_path / "recognizer.safetensors"
    fewer = replace(recipe, data=replace(recipe.data, excluded_classes=[first.spec.classes[0]]), seed=5)
    save_recognizer(build(fewer).task.recognizer, path)
    trained, fresh = load_recognizer(path), first.state_dict()
    started = build(replace(recipe, model=replace(recipe.model, weights=str(path)))).task.recognizer.state_dict()
    for name, tensor in trained.state_dict().items():
        if not name.startswith("classifier."):
            assert torch.equal(started[name], tensor), name
    for part in ("classifier.weight", "classifier.bias"):
        assert torch.equal(started[part][0], fresh[part][0])
        assert torch.equal(started[part][1:], trained.state_dict()[part])
    assert not torch.equal(started["classifier.weight"][1:], fresh["classifier.weight"][1:])


def test_weights_of_another_body_are_refused(recipe: Recipe, tmp_path: Path) -> None:
    spec = replace(build(recipe).task.recognizer.spec, layout="kinect20", levels=None, embed_dim=0)
    path = tmp_path / "recognizer.safetensors"
    save_recognizer(new_recognizer(spec, seed=0), path)
    with pytest.raises(SettingError, match="layout"):
        build(replace(recipe, model=replace(recipe.model, weights=str(path))))
    save_recognizer(new_recognizer(replace(spec, encoder_kwargs={"base_channels": 16}), seed=0), path)
    with pytest.raises(SettingError):
        build(replace(recipe, model=replace(recipe.model, weights=str(path))))
