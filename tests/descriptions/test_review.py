"""Looking at description sets, on texts and features made by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from poseglot.descriptions import load_descriptions, make_prompts
from poseglot.descriptions.checks import (
    LEVELS,
    level_changes,
    level_texts,
    min_clip_tokens,
    prompt_lengths,
    shared_texts,
    texts_of,
    undescribed,
)
from poseglot.descriptions.description import Description, parse_descriptions, read_descriptions
from poseglot.descriptions.similarity import (
    TOGETHER,
    Pair,
    astray_names,
    extreme_pairs,
    near_texts,
    nearest,
    part_differences,
    similarities,
    spread,
)
from tests.descriptions.test_description_files import SIX, entry, file_of


def described(label: str, **parts: str) -> Description:
    sentences = {part: parts.get(part, f"{part} moves in {label}") for part in SIX}
    return Description(label, (f"{label} again",), f"someone does {label}", sentences)


def random_features(texts: set[str]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {text: rng.normal(size=5).astype(np.float32) for text in sorted(texts)}


def test_a_file_with_faults_is_read_as_far_as_it_goes() -> None:
    text = file_of(entry("hop"), entry("juggle", paragraph=None, synonyms=[]), entry("crawl"))
    read, faults = read_descriptions(text, origin="mine.yaml")
    assert list(read.classes) == ["hop", "crawl"]
    assert [fault.split(":")[0] for fault in faults] == ["class 2 (juggle)"] * 2
    whole = file_of(entry("hop"), entry("crawl"))
    assert read_descriptions(whole, origin="mine.yaml") == (parse_descriptions(whole, origin="mine.yaml"), [])


@pytest.mark.parametrize(
    ("level", "prompt", "partition"),
    [("names", "synonym", "global"), ("paragraph", "paragraph", "global"), *[(part, "parts", "six") for part in SIX]],
)
def test_texts_with_label_are_those_that_training_reads(level: str, prompt: str, partition: str) -> None:
    descriptions = list(load_descriptions("nw-ucla").classes.values())
    table = make_prompts(descriptions, prompt=prompt, partition=partition)
    row = table.levels.index(level if prompt == "parts" else "global")
    for place, each in enumerate(descriptions):
        read = [table.texts[at] for at in table.candidates[row, place, : table.counts[row, place]]]
        assert list(texts_of(each, level, with_label=True)) == read


def test_texts_without_label_are_the_sentences_as_written() -> None:
    each = described("hop", leg="both push off")
    assert texts_of(each, "leg") == ("both push off",)
    assert texts_of(each, "paragraph") == ("someone does hop",)
    assert texts_of(each, "names") == ("hop", "hop again")


def test_undescribed_classes_come_with_the_label_that_may_be_meant() -> None:
    assert undescribed(["Hop", "crawl", "stand up"], ["hop", "crawl", "wave", "stand-up"]) == {
        "hop": "Hop",
        "wave": None,
        "stand-up": "stand up",
    }


def test_shared_texts_are_compared_without_capitals_and_punctuation() -> None:
    texts = [("Both push off.", "hop"), ("both, push off",), ("one pushes off", "one pushes off"), ("HOP",)]
    found = shared_texts(["a", "b", "c", "d"], "leg", texts)
    assert [(each.text, each.classes) for each in found] == [("Both push off.", ("a", "b")), ("hop", ("a", "d"))]


def test_near_texts_leave_out_identical_ones_and_those_of_one_class() -> None:
    features = {
        "up": np.array([1.0, 0.0]),
        "upwards": np.array([3.0, 0.3]),
        "Up": np.array([2.0, 0.0]),
        "rise": np.array([0.8, 0.6]),
        "down": np.array([-1.0, 0.0]),
    }
    texts = [("up", "upwards"), ("Up", "rise"), ("down",)]
    (found,) = near_texts(["a", "b", "c"], "hand", texts, features, threshold=0.9)
    assert (found.a, found.text_a, found.b, found.text_b) == ("a", "upwards", "b", "Up")
    assert found.similarity == pytest.approx(3 / np.hypot(3, 0.3))
    assert len(near_texts(["a", "b", "c"], "hand", texts, features, threshold=0.79)) == 3


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("hop", 3), ("jump up", 4), ("rock-paper-scissors", 7), ("the person's arm, 12 times", 10), ("", 2), ("it...", 4)],
)
def test_min_clip_tokens(text: str, tokens: int) -> None:
    assert min_clip_tokens(text) == tokens


def test_prompt_lengths_find_what_is_cut() -> None:
    descriptions = [described("hop"), described("crawl", leg=" ".join(["word"] * 30))]
    found = {
        (each.prompt, each.partition): each for each in prompt_lengths(descriptions, lambda text: len(text.split()), limit=30)
    }
    assert ("manual", "global") not in found  # neither has one
    six = found["parts", "six"]
    assert (six.longest, six.label) == (31, "crawl")
    assert [(each.label, each.level, each.tokens) for each in six.too_long] == [("crawl", "leg", 31)]
    assert [each.label for each in found["parts", "two"].too_long] == ["crawl"]
    assert found["paragraph", "global"].too_long == ()
    # crawl, and five sentences of four words and one of 30; an exact fit is not too long.
    assert found["parts", "global"].longest == 1 + 5 * 4 + 30
    assert not any(each.too_long for each in prompt_lengths(descriptions, lambda text: len(text.split()), limit=51))


def test_similarities_equal_a_plain_reference() -> None:
    descriptions = [described(label) for label in ("hop", "crawl", "wave", "bow")]
    texts = level_texts(descriptions)
    features = random_features({text for several in texts.values() for own in several for text in own})
    found = similarities(texts, features)
    assert set(found) == {*LEVELS, TOGETHER}
    for level, (one, other) in itertools.product(LEVELS, itertools.combinations(range(4), 2)):
        means = []
        for place in (one, other):
            own = [features[text].astype(float) for text in texts[level][place]]
            means.append(sum(row / np.linalg.norm(row) for row in own) / len(own))
        cosine = means[0] @ means[1] / np.linalg.norm(means[0]) / np.linalg.norm(means[1])
        assert found[level][one, other] == pytest.approx(cosine, abs=1e-12)
    assert found[TOGETHER] == pytest.approx(sum(found[part] for part in SIX) / 6)


def test_spread_and_pairs() -> None:
    values = np.array([[1.0, 0.2, 0.7], [0.2, 1.0, -0.4], [0.7, -0.4, 1.0]])
    assert nearest(values).tolist() == [0.7, 0.2, 0.7]
    assert values[0, 0] == 1  # left as it was
    found = spread(["a", "b", "c"], "hand", values, pairs=2)
    assert found.nearest == pytest.approx(1.6 / 3)
    assert (found.most, found.typical) == (0.7, pytest.approx(0.5 / 3))
    assert found.pairs == (Pair("a", "c", 0.7), Pair("a", "b", 0.2))
    assert extreme_pairs(["a", "b", "c"], -values, 1) == [Pair("b", "c", 0.4)]


def test_the_part_that_differs_carries_the_difference() -> None:
    same = {part: f"{part} rests" for part in SIX}
    hop, step = described("hop", **same), described("step", **{**same, "leg": "one swings"})
    texts = level_texts([hop, step, described("bow")])
    features = random_features({text for several in texts.values() for own in several for text in own})
    similarity = similarities(texts, features)
    found = {each.part: each for each in part_differences(texts, similarity, 0, 1)}
    assert found["leg"].share == pytest.approx(1)
    assert (found["leg"].texts_a, found["leg"].texts_b) == (("leg rests",), ("one swings",))
    assert found["leg"].similarity == pytest.approx(similarity["leg"][0, 1])
    assert found["arm"].typical == pytest.approx((1 + 2 * similarity["arm"][0, 2]) / 3)
    twin = level_texts([hop, described("leap", **same)])
    assert [
        each.share
        for each in part_differences(
            twin,
            similarities(twin, features | random_features({*map(str, twin["names"][1]), *map(str, twin["paragraph"][1])})),
            0,
            1,
        )
    ] == [0] * 6


def test_level_changes_count_texts_and_name_classes() -> None:
    before = [described("hop"), described("crawl")]
    after = [described("hop", leg="both push off"), Description("crawl", ("creep", "crawl again"), "", before[1].parts)]
    found = {each.level: each for each in level_changes(["hop", "crawl"], level_texts(before), level_texts(after))}
    assert {level for level, each in found.items() if each.classes} == {"leg", "names", "paragraph"}
    assert (found["leg"].classes, found["leg"].gone, found["leg"].new) == (("hop",), 1, 1)
    assert (found["names"].classes, found["names"].gone, found["names"].new) == (("crawl",), 0, 1)


def test_synonyms_nearer_to_another_class() -> None:
    features = {"a": [1, 0], "a1": [1, 0.1], "a2": [0.1, 1], "b": [0, 1], "b1": [0.1, 1], "c": [-1, 0]}
    arrays = {name: np.array(values, dtype=np.float32) for name, values in features.items()}
    (found,) = astray_names(["a", "b", "c"], [("a", "a1", "a2"), ("b", "b1"), ("c",)], arrays)
    assert (found.label, found.text, found.nearest) == ("a", "a2", "b")

    def cosine(one: str, others: list[str]) -> float:
        mean = np.mean([arrays[name] / np.linalg.norm(arrays[name]) for name in others], axis=0)
        return float(arrays[one] @ mean / np.linalg.norm(arrays[one]) / np.linalg.norm(mean))

    assert found.excess == pytest.approx(cosine("a2", ["b", "b1"]) - cosine("a2", ["a", "a1"]), abs=1e-6)


def test_resting_parts_of_packaged_sets_have_one_wording() -> None:
    """A sentence that says nothing but that legs or feet rest is the same in all classes that it is true of."""
    for name, wordings in {
        "ntu120": {"stand straight and still", "stay still, straight in standing or bent on a seat"},
        "utd-mhad": {"stand straight and still"},
        "everyday": {"stand straight and still", "stay still, straight in standing or bent on a seat"},
    }.items():
        classes = load_descriptions(name).classes.values()
        still = {each.parts["leg"] for each in classes if "still" in each.parts["leg"] and "person's" not in each.parts["leg"]}
        assert still <= wordings | {"both people's legs stand straight and still"}, name
        flat = [each.parts["foot"] for each in classes if each.parts["foot"].startswith(("stay flat", "rest flat"))]
        assert flat.count("stay flat on the floor side by side") >= len(flat) - 4, name
