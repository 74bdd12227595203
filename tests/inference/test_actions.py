"""Recognition among given actions: trained ones by the classifier, others by texts that the recognizer brings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax

from poseglot.errors import FileError, NotFoundError, SettingError, as_known
from poseglot.evaluation.zero_shot import cosines
from poseglot.inference.actions import ActionTexts, classify_among, read_action_texts, save_action_texts
from poseglot.inference.predictor import Predictor
from poseglot.models.recognizer import Recognizer, save_recognizer
from poseglot.skeletons.clip import Clip


@pytest.fixture
def folder(recognizer: Recognizer, tmp_path: Path) -> Path:
    save_recognizer(recognizer, tmp_path / "recognizer.safetensors")
    return tmp_path


@pytest.fixture
def texts(recognizer: Recognizer) -> ActionTexts:
    levels = len(recognizer.spec.levels or ())
    return ActionTexts(
        ("swim", recognizer.spec.classes[0], "dive"), np.random.default_rng(0).normal(size=(levels, 3, 16)), 10.0
    )


def a_clip() -> Clip:
    return Clip(np.random.default_rng(1).normal(size=(1, 30, 20, 3)).astype(np.float32), name="clip")


def test_trained_actions_share_their_probability(folder: Path) -> None:
    predictor = Predictor(folder)
    wanted = (predictor.classes[4], predictor.classes[1])
    every = {score.action: score.probability for score in predictor.predict(a_clip(), top=99)[0].scores}
    chosen = predictor.predict(a_clip(), classifier=classify_among(predictor, wanted))[0].scores
    together = sum(every[action] for action in wanted)
    assert {score.action: score.probability for score in chosen} == pytest.approx(
        {action: every[action] / together for action in wanted}, rel=1e-4
    )


def test_case_does_not_matter(folder: Path, texts: ActionTexts) -> None:
    save_action_texts(texts, folder)
    predictor = Predictor(folder)
    trained = predictor.classes[:2]
    assert classify_among(predictor, [action.upper() for action in trained]).classes == trained
    assert classify_among(predictor, ["DIVE", trained[0].title()]).classes == ("dive", trained[0])
    with pytest.raises(SettingError):
        classify_among(predictor, ["swim", "Swim"])


def test_others_are_known_by_their_texts(folder: Path, texts: ActionTexts, recognizer: Recognizer) -> None:
    save_action_texts(texts, folder)
    read = read_action_texts(folder)
    assert read is not None and read.actions == texts.actions and read.logit_scale == 10
    np.testing.assert_allclose(read.features, texts.features, rtol=1e-3)
    predictor = Predictor(folder)
    wanted = ("dive", texts.actions[1])
    scores = predictor.predict(a_clip(), classifier=classify_among(predictor, wanted))[0].scores
    inputs = next(iter(predictor.inputs(a_clip())))[1]
    with torch.inference_mode():
        aligned = recognizer(inputs)["alignment"]
    features = torch.stack([aligned[level] for level in recognizer.spec.levels or ()]).double().numpy()
    expected = softmax(10 * cosines(features, read.of(wanted).features).mean(axis=0)[0])
    assert {score.action: score.probability for score in scores} == pytest.approx(
        dict(zip(wanted, expected, strict=True)), rel=1e-4
    )


def test_cases_of_letters_do_not_matter_where_one_name_is_meant(folder: Path, texts: ActionTexts) -> None:
    assert [as_known(name, ["wave", "bow", "Bow"]) for name in ("WAVE", "Bow", "BOW", "fly")] == ["wave", "Bow", "BOW", "fly"]
    predictor = Predictor(folder, device="cpu")
    one, other = predictor.classes[:2]
    assert classify_among(predictor, [one.upper(), other]).classes == (one, other)
    assert classify_among(predictor, [text.title() for text in texts.actions], texts).classes == texts.actions
    for twice in ([one, one.upper()], [*texts.actions, texts.actions[0].upper()]):
        with pytest.raises(SettingError):
            classify_among(predictor, twice, texts)


def test_what_cannot_be_asked_for(folder: Path, texts: ActionTexts) -> None:
    predictor = Predictor(folder)
    first, second = predictor.classes[:2]
    for actions in ([], [first], [first, first]):
        with pytest.raises(SettingError):
            classify_among(predictor, actions)
    with pytest.raises(NotFoundError):
        classify_among(predictor, [first, "swim"])
    save_action_texts(texts, folder)
    with pytest.raises(NotFoundError) as caught:
        classify_among(predictor, ["swim", "drive"])
    assert caught.value.suggestion == "dive"
    with pytest.raises(SettingError):
        classify_among(predictor, ["swim", "dive"], ActionTexts(texts.actions, texts.features[:1], 10.0))
    assert classify_among(predictor, [first, second]).classes == (first, second)


def test_damaged_texts_are_refused(folder: Path, texts: ActionTexts) -> None:
    save_action_texts(ActionTexts(texts.actions[:2], texts.features, 1.0), folder)
    with pytest.raises(FileError):
        read_action_texts(folder)
