"""Descriptions from the packaged sets: by label, by synonym, by nearness, and never twice."""

from __future__ import annotations

import yaml

from poseglot.descriptions import load_descriptions
from poseglot.descriptions.borrow import borrow_descriptions, borrowed_notes
from poseglot.descriptions.description import read_descriptions
from poseglot.descriptions.questions import template


def test_a_name_is_found_in_any_spelling() -> None:
    found = borrow_descriptions(["Sit-Down", "shakingHands", "jogging", "drawX", "swim"])
    assert {label: (each.original, each.exact) for label, each in found.items()} == {
        "Sit-Down": ("sit down", True),
        "shakingHands": ("shake hands", True),
        "jogging": ("jog", True),
        "drawX": ("draw x", True),
    }
    own = load_descriptions("utd-mhad").classes["jog"]
    assert found["jogging"].description.label == "jogging" and found["jogging"].description.parts == own.parts


def test_a_near_name_is_marked_and_no_text_is_given_twice() -> None:
    found = borrow_descriptions(["hand catch", "catch"])
    assert list(found) == ["catch"] and found["catch"].exact
    found = borrow_descriptions(["hand catch", "swim"])
    assert not found["hand catch"].exact and "swim" not in found
    notes = borrowed_notes(["hand catch", "swim"], found)
    assert "1 of 2" in notes[0] and "'catch'" in notes[1]
    assert borrowed_notes(["swim"], {}) == []


def test_a_file_of_borrowed_texts_alone_has_no_fault() -> None:
    labels = ["sit down", "hand catch"]
    text = template(labels, synonyms=3, borrowed=borrow_descriptions(labels))
    described, faults = read_descriptions(text, origin="mine.yaml")
    assert not faults and list(described.classes) == labels
    assert "read it" in text.split("hand catch")[0]
    mixed = yaml.safe_load(template([*labels, "swim"], synonyms=3, borrowed=borrow_descriptions(labels)))
    assert [entry["label"] for entry in mixed["classes"]] == [*labels, "swim"] and not mixed["classes"][2]["paragraph"]
