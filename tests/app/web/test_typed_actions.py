"""Actions that somebody types: what the page and /predict say of them is what their texts say, and what is no list is refused."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.app.action_lists import ActionLists, split_names
from poseglot.app.web.limits import MAX_ACTIONS
from poseglot.errors import SettingError
from poseglot.evaluation.zero_shot import cosines, mean_over_levels
from poseglot.inference import Predictor
from poseglot.training.zero_shot import ZeroShotRecognizer
from tests.app.web.conftest import Client

TYPED = ["stand on one leg", "Jump", "fly a kite"]


def clip(people: int = 1, frames: int = 40) -> Any:
    return np.random.default_rng(0).normal(size=(people, frames, 20, 3)).round(3)


def upload(app: Any, actions: str) -> Any:
    file = io.BytesIO()
    np.save(file, clip())
    return app.post("/clips", files={"file": ("a.npy", file.getvalue())}, data={"actions": actions})


def by_text(run: Path, actions: list[str]) -> dict[str, float]:
    """The softmax over scaled cosines with the texts, as plain code."""
    recognizer = ZeroShotRecognizer(run)
    ((_, inputs),) = Predictor(run, device="cpu").inputs([clip()])
    scores = mean_over_levels(cosines(recognizer.features(inputs), recognizer.action_features(actions)))[0]
    shares = np.exp(recognizer.logit_scale * (scores - scores.max()))
    return dict(zip(actions, (shares / shares.sum()).tolist(), strict=True))


@pytest.fixture(scope="module")
def trained(worded: Path) -> tuple[str, ...]:
    return Predictor(worded, device="cpu").classes


def test_typed_actions_are_compared_by_their_texts(client: Client, worded: Path) -> None:
    app = client()
    result = upload(app, ", ".join(TYPED)).json()["results"][0]
    wanted = by_text(worded, ["stand on one leg", "jump" if "jump" in result["actions"] else "Jump", "fly a kite"])
    assert {score["action"]: score["probability"] for score in result["scores"]} == pytest.approx(wanted, abs=1e-4)
    assert result["actions"] == list(wanted) and result["error"] == ""
    assert any("'fly a kite' is not described" in note for note in result["notes"])
    assert set(result["over_time"]["probabilities"]) == set(wanted)
    sums = np.sum(list(result["over_time"]["probabilities"].values()), axis=0)
    np.testing.assert_allclose(sums, 1, atol=1e-3)
    assert result["text"]["state"] == "none" and "own actions" in result["text"]["note"]
    alone = app.post("/predict", json={"joints": clip().tolist(), "actions": TYPED, "top": 3}).json()
    assert alone["scores"] == result["scores"]


def test_of_trained_actions_the_classifier_chooses_and_their_sentences_are_shown(
    client: Client, worded: Path, trained: tuple[str, ...]
) -> None:
    app, some = client(), list(trained[2:5])
    result = app.get("/api/examples/0", params={"actions": ",".join(name.upper() for name in some)}).json()["results"][0]
    own = app.get("/api/examples/0").json()["results"][0]
    assert result["actions"] == some and result["notes"] == [] and own["actions"] == []
    assert sum(score["probability"] for score in result["scores"]) == pytest.approx(1, abs=1e-4)
    assert result["text"]["state"] == "ready" and set(result["text"]["classes"]) == set(some)
    everything = app.post("/predict", json={"joints": clip().tolist(), "top": 99}).json()["scores"]
    among = app.post("/predict", json={"joints": clip().tolist(), "actions": some}).json()["scores"]
    whole = {score["action"]: score["probability"] for score in everything if score["action"] in some}
    assert {score["action"]: score["probability"] * sum(whole.values()) for score in among} == pytest.approx(whole, abs=1e-4)


def test_a_model_without_text_says_so_while_the_other_goes_on(client: Client, worded: Path, pairs: Path) -> None:
    with_text, without = upload(client(worded, pairs), "fly a kite, jump").json()["results"]
    assert with_text["scores"] and not with_text["error"]
    assert "without text" in without["error"] and without["actions"] == ["fly a kite", "jump"]


@pytest.mark.parametrize(
    ("actions", "said"),
    [
        ("jump", "at least two"),
        ("jump, JUMP", "at least two"),
        (",".join(map(str, range(51))), "at most 50"),
        ("a" * 101, "at most"),
    ],
)
def test_what_is_no_list_is_refused(client: Client, actions: str, said: str) -> None:
    app = client()
    answer = upload(app, actions)
    error = answer.json()["error"] if answer.status_code != 200 else answer.json()["results"][0]["error"]
    assert said in error and answer.status_code in (200, 413)
    listed = app.post("/predict", json={"joints": clip().tolist(), "actions": split_names(actions)})
    assert listed.status_code == 422 and listed.json()["error"]


def test_blanks_around_names_are_nothing(client: Client) -> None:
    app = client()
    one = app.post("/predict", json={"joints": clip().tolist(), "actions": ["fly a kite ", " jump"]}).json()
    other = app.post("/predict", json={"joints": clip().tolist(), "actions": ["fly a kite", "jump"]}).json()
    assert one == other and one["scores"]
    assert app.post("/predict", json={"joints": clip().tolist(), "actions": [" ", "jump"]}).status_code == 422
    assert upload(app, " , ,").json()["results"][0]["actions"] == []


def test_half_a_character_in_a_name_is_refused_as_json(client: Client) -> None:
    body = '{"joints": [[[[1, 2, 3]]]], "actions": ["jump", "\\ud800"]}'
    answer = client().post("/predict", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422 and "JSON" in answer.json()["error"]


def test_many_threads_get_what_one_gets_and_few_lists_are_kept(worded: Path) -> None:
    predictor = Predictor(worded, device="cpu")
    lists, wanted = ActionLists(predictor), [[f"do thing {number}", "jump"] for number in range(20)]
    (_, inputs), *_ = predictor.inputs([clip()])
    found: dict[int, Any] = {}

    def ask(number: int) -> None:
        found[number] = lists.choose(wanted[number]).classifier.logits(inputs)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in (0, 7, 19):
        np.testing.assert_array_equal(found[number], ActionLists(predictor).choose(wanted[number]).classifier.logits(inputs))
    assert lists.choose(wanted[3]) is lists.choose(wanted[3])
    assert len(lists._chosen) <= 16


def test_a_list_is_refused_before_texts_are_encoded(worded: Path) -> None:
    lists = ActionLists(Predictor(worded, device="cpu"))
    for actions in ([], ["jump"], ["jump", "Jump", "jump"]):
        with pytest.raises(SettingError):
            lists.choose(actions)
    assert MAX_ACTIONS == 50
