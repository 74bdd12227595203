"""Descriptions that learn from mistakes: the worst pairs are found, asked about with both sentences, and nothing else is changed."""

from __future__ import annotations

import numpy as np
import pytest

from poseglot.descriptions import load_descriptions
from poseglot.descriptions.confusions import ConfusedPair, confused_pairs, sharpened, sharpening_questions
from poseglot.descriptions.description import parse_descriptions
from poseglot.descriptions.questions import Form
from poseglot.errors import InputError
from poseglot.skeletons.layout import PARTS

DEMO = load_descriptions("demo")
ONE, OTHER, THIRD, *_ = DEMO.classes


def test_the_worst_pairs_come_first() -> None:
    counts = np.array([[8, 2, 0], [0, 10, 0], [5, 1, 14]])
    assert confused_pairs(counts, ["a", "b", "c"], 9) == [
        ConfusedPair("a", "c", 5, 30),
        ConfusedPair("a", "b", 2, 20),
        ConfusedPair("b", "c", 1, 30),
    ]
    assert len(confused_pairs(counts, ["a", "b", "c"], 2)) == 2
    assert confused_pairs(np.diag([3, 3]), ["a", "b"], 5) == []


def test_a_class_is_asked_about_once_with_all_that_it_is_taken_for() -> None:
    pairs = [ConfusedPair(ONE, OTHER, 5, 20), ConfusedPair(ONE, THIRD, 2, 20)]
    questions = sharpening_questions(DEMO, pairs, Form(samples=2))
    assert [(each.label, each.sample) for each in questions] == [(x, y) for x in (ONE, OTHER, THIRD) for y in (0, 1)]
    text = questions[0].text
    assert all(sentence in text for label in (ONE, OTHER, THIRD) for sentence in DEMO.classes[label].parts.values())
    assert text.split("\n")[-1].startswith('The form: {"parts"')
    assert not any(
        sentence in questions[2].text for sentence in set(DEMO.classes[THIRD].parts.values()) - _sentences(ONE, OTHER)
    )
    with pytest.raises(InputError):
        sharpening_questions(DEMO, [], Form())
    with pytest.raises(InputError):
        sharpening_questions(DEMO, [ConfusedPair(ONE, "fly", 1, 2)], Form())


def test_only_the_sentences_that_were_asked_about_change() -> None:
    questions = sharpening_questions(DEMO, [ConfusedPair(ONE, OTHER, 5, 20)], Form())
    answers = {each: {part: f"{part} of {each.label}" for part in PARTS} for each in questions}
    found = parse_descriptions(sharpened(DEMO, questions, answers, name="sharp", about="by hand"), origin="sharp")  # type: ignore[arg-type]
    assert list(found.classes) == list(DEMO.classes)
    for label, own in DEMO.classes.items():
        new = found.classes[label]
        assert (new.synonyms, new.paragraph, new.manual) == (own.synonyms, own.paragraph, own.manual)
        assert new.parts == ({part: f"{part} of {label}" for part in PARTS} if label in (ONE, OTHER) else own.parts)


def test_sides_of_other_classes_are_kept_and_old_ones_do_not_contradict() -> None:
    bandai = load_descriptions("bandai-2")
    one, other, third, *_ = bandai.classes
    questions = sharpening_questions(bandai, [ConfusedPair(one, other, 5, 20)], Form())
    answers = {each: {part: f"{part} of {each.label}" for part in PARTS} for each in questions}
    found = parse_descriptions(sharpened(bandai, questions, answers, name="sharp", about=""), origin="sharp")  # type: ignore[arg-type]
    assert found.classes[one].sides == found.classes[other].sides == {}
    assert found.classes[third].sides == bandai.classes[third].sides


def _sentences(*labels: str) -> set[str]:
    return {sentence for label in labels for sentence in DEMO.classes[label].parts.values()}
