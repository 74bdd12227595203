"""Prompts: the exact texts of each level, and which of them a clip gets."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch

from poseglot.data.benchmarks import load_benchmark
from poseglot.descriptions import Description, PromptTable, load_descriptions, make_prompts
from poseglot.errors import PoseglotError, SettingError
from poseglot.random import Purpose

pytestmark = pytest.mark.base

SIX = ("head", "hand", "arm", "hip", "leg", "foot")
SHOE = Description(
    "put on a shoe",
    ("lace up", "slip on", "don"),
    "paragraph one",
    {"head": "H1", "hand": "A1", "arm": "B1", "hip": "C1", "leg": "L1", "foot": "F1"},
)
# Its name and one of its synonyms are as well synonyms of the other, so that texts repeat.
DRESS = Description("don", ("lace up",), "paragraph two", {part: f"{part} two" for part in SIX})
NOD = Description("nod", ("dip the head", "agree"), "paragraph three", {part: f"{part} three" for part in SIX})
CLASSES = (SHOE, DRESS, NOD)


def texts_of(table: PromptTable, level: str, label: int) -> list[str]:
    """The real candidates of a level and class, spelled out."""
    place = table.levels.index(level)
    count = int(table.counts[place, label])
    return [table.texts[number] for number in table.candidates[place, label, :count].tolist()]


def plain_uniform(seed: int, epoch: int, index: int, purpose: int, counter: int) -> float:
    """SplitMix64's finaliser chained over the key, in Python's own integers."""
    mask, golden = 2**64 - 1, 0x9E3779B97F4A7C15

    def mix(x: int) -> int:
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
        return x ^ (x >> 31)

    key = seed & mask
    for part in (epoch, index, purpose):
        key = mix((key + golden) & mask) ^ part
    return (mix((mix((key + golden) & mask) + counter * golden) & mask) >> 11) * 2.0**-53


@pytest.mark.parametrize(
    ("partition", "parts"),
    [
        ("global", {}),
        ("two", {"upper": "put on a shoe, H1, A1, B1", "lower": "put on a shoe, C1, L1, F1"}),
        (
            "four",
            {
                "head": "put on a shoe, H1",
                "hand": "put on a shoe, A1, B1",
                "hip": "put on a shoe, C1",
                "foot": "put on a shoe, L1, F1",
            },
        ),
        (
            "six",
            {
                "head": "put on a shoe, H1",
                "hand": "put on a shoe, A1",
                "arm": "put on a shoe, B1",
                "hip": "put on a shoe, C1",
                "leg": "put on a shoe, L1",
                "foot": "put on a shoe, F1",
            },
        ),
    ],
)
def test_texts_of_each_partition(partition: str, parts: dict[str, str]) -> None:
    table = make_prompts(CLASSES, prompt="synonym+parts", partition=partition)
    assert table.levels == ("global", *parts)
    assert texts_of(table, "global", 0) == ["put on a shoe", "lace up", "slip on", "don"]
    assert texts_of(table, "global", 1) == ["don", "lace up"]
    assert {part: texts_of(table, part, 0) for part in parts} == {part: [text] for part, text in parts.items()}


def test_sides_have_their_own_sentences_or_those_of_their_part() -> None:
    own = replace(CLASSES[0], sides={"left_arm": "rests", "right_leg": "kicks"})
    table = make_prompts([own, CLASSES[1]], prompt="parts", partition="sides")
    assert table.levels == ("global", "head", "left_arm", "right_arm", "hip", "left_leg", "right_leg")
    assert texts_of(table, "left_arm", 0) == ["put on a shoe, rests"]
    assert texts_of(table, "right_arm", 0) == ["put on a shoe, A1, B1"]
    assert texts_of(table, "left_leg", 0) == ["put on a shoe, L1, F1"]
    assert texts_of(table, "right_leg", 0) == ["put on a shoe, kicks"]
    assert texts_of(table, "left_arm", 1) == texts_of(table, "right_arm", 1)
    named = make_prompts([own], prompt="parts", partition="sides", name_parts=True)
    assert texts_of(named, "left_arm", 0) == ["put on a shoe, the left arm: rests"]
    plain = make_prompts([own], prompt="parts", partition="sides", name_class=False)
    assert [texts_of(plain, level, 0)[0] for level in plain.levels] == [
        "put on a shoe",
        "H1",
        "rests",
        "A1, B1",
        "C1",
        "L1, F1",
        "kicks",
    ]
    assert "rests" in table.sentences  # without the class name, so that equal sentences of classes are found


@pytest.mark.parametrize("partition", ["two", "four", "six"])
def test_official_format_drops_only_the_comma_after_the_label_of_hand(partition: str) -> None:
    ours = make_prompts(CLASSES, prompt="synonym+parts", partition=partition)
    official = make_prompts(CLASSES, prompt="synonym+parts", partition=partition, official_format=True)
    for level in ours.levels:
        for label in range(len(CLASSES)):
            if level != "hand":
                assert texts_of(official, level, label) == texts_of(ours, level, label)
    if partition == "four":
        assert texts_of(official, "hand", 0) == ["put on a shoe A1, B1"]
        assert texts_of(official, "hand", 2) == ["nod hand three, arm three"]
    if partition == "six":
        assert texts_of(official, "hand", 0) == ["put on a shoe A1"]


def test_each_distinct_text_is_numbered_once() -> None:
    table = make_prompts(CLASSES, prompt="synonym+parts", partition="six")
    assert len(set(table.texts)) == len(table.texts)
    used = {text for level in table.levels for label in range(3) for text in texts_of(table, level, label)}
    assert used == set(table.texts)
    assert len(table.texts) == 4 + 0 + 3 + 3 * 6
    assert int(table.candidates.min()) == 0
    assert int(table.candidates.max()) == len(table.texts) - 1


@pytest.mark.parametrize("name", ["demo", "nw-ucla"])
def test_packaged_sets_give_one_text_per_class_and_part(name: str) -> None:
    classes = load_benchmark(name).classes
    descriptions = load_descriptions(name).of(classes)
    table = make_prompts(descriptions, prompt="synonym+parts", partition="four")
    assert table.counts.shape == (5, len(classes))
    assert table.counts[0].tolist() == [1 + len(description.synonyms) for description in descriptions]
    assert table.counts[1:].eq(1).all()
    place = classes.index(classes[-1])
    parts = descriptions[place].parts
    assert texts_of(table, "foot", place) == [f"{classes[place]}, {parts['leg']}, {parts['foot']}"]
    assert len(table.texts) == int(table.counts.sum()), "no text of a packaged set serves twice"


def test_drawn_texts_equal_a_plain_computation_for_each_sample() -> None:
    table = make_prompts(CLASSES, prompt="synonym+parts", partition="two")
    labels = torch.tensor([0, 1, 2, 0, 0, 2, 1, 0])
    index = torch.tensor([0, 1, 2, 3, 1019, 7, 2**40, 5])
    for seed, epoch in ((0, 0), (3, 17), (-1, 2)):
        drawn = table.draw(labels, seed=seed, epoch=epoch, index=index)
        assert drawn.shape == (3, 8)
        for sample, (label, place) in enumerate(zip(labels.tolist(), index.tolist(), strict=True)):
            for level, name in enumerate(table.levels):
                candidates = texts_of(table, name, label)
                chosen = int(plain_uniform(seed, epoch, place, Purpose.TEXT, level + 1) * len(candidates))
                assert table.texts[drawn[level, sample]] == candidates[chosen]


def test_a_clips_text_does_not_depend_on_its_batch() -> None:
    table = make_prompts(CLASSES, prompt="synonym+parts", partition="four")
    index = torch.arange(60)
    labels = index % 3
    whole = table.draw(labels, seed=1, epoch=4, index=index)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    assert torch.equal(table.draw(labels[order], seed=1, epoch=4, index=index[order]), whole[:, order])
    for start in (0, 7, 41):
        some = slice(start, start + 13)
        assert torch.equal(table.draw(labels[some], seed=1, epoch=4, index=index[some]), whole[:, some])


def test_label_and_synonyms_are_drawn_about_equally_often() -> None:
    descriptions = load_descriptions("demo").of(load_benchmark("demo").classes)
    table = make_prompts(descriptions, prompt="synonym+parts", partition="global")
    names = [descriptions[3].label, *descriptions[3].synonyms]
    each = 400
    drawn = table.draw(torch.full((each * len(names),), 3), seed=0, epoch=0, index=torch.arange(each * len(names)))[0].tolist()
    seen = Counter(table.texts[number] for number in drawn)
    assert set(seen) == set(names)
    chi_squared = sum((seen[name] - each) ** 2 / each for name in names)
    assert chi_squared < 2.75 * len(names), "13 names: beyond 36 with a chance of 1 in 3,000"


def test_epochs_and_seeds_draw_anew() -> None:
    table = make_prompts(CLASSES, prompt="synonym+parts", partition="global")
    labels, index = torch.zeros(400, dtype=torch.int64), torch.arange(400)
    first = table.draw(labels, seed=0, epoch=0, index=index)
    assert torch.equal(first, table.draw(labels, seed=0, epoch=0, index=index))
    for seed, epoch in ((0, 1), (1, 0), (0, 2)):
        same = (first == table.draw(labels, seed=seed, epoch=epoch, index=index)).double().mean()
        assert 0.15 < float(same) < 0.35, "four texts: independent draws agree on a quarter"


def test_without_a_partition_there_are_no_levels() -> None:
    table = make_prompts(CLASSES, prompt="synonym+parts", partition="none")
    assert table.levels == ()
    assert table.texts == ()
    assert table.candidates.shape[0] == table.counts.shape[0] == 0


def test_unknown_prompt_and_partition_are_refused_by_name() -> None:
    with pytest.raises(PoseglotError, match=r"'poem'.*paragraph.*synonym\+parts"):
        make_prompts(CLASSES, prompt="poem", partition="four")
    with pytest.raises(PoseglotError, match=r"'three'.*two.*four.*six"):
        make_prompts(CLASSES, prompt="synonym+parts", partition="three")
    with pytest.raises(PoseglotError, match="'three'"):
        make_prompts(CLASSES, prompt="label", partition="three")


MANUAL = tuple(replace(each, manual=(f"hip bend {each.label}", "hand put on")) for each in CLASSES)


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        (
            "label",
            [
                '"put on a shoe", a video of action',
                '"put on a shoe", this is an action',
                'This is "put on a shoe", a video of action',
                'Human action of "put on a shoe"',
                'Playing a kind of action, "put on a shoe"',
            ],
        ),
        ("synonym", ["put on a shoe", "lace up", "slip on", "don"]),
        ("paragraph", ["put on a shoe: paragraph one"]),
        ("manual", ["put on a shoe: hip bend put on a shoe, hand put on"]),
        ("states", ["put on a shoe: foot stand on, hand put on"]),
        ("learned", ["put on a shoe"]),
    ],
)
def test_texts_of_prompts_for_the_whole_body(prompt: str, texts: list[str]) -> None:
    states = [["foot stand on", "hand put on"], ["hand wear"], ["head inspect"]]
    table = make_prompts(MANUAL, prompt=prompt, partition="global", states=states)
    assert table.levels == ("global",)
    assert texts_of(table, "global", 0) == texts
    for partition in ("two", "four", "six"):
        with pytest.raises(SettingError, match=r"--text\.partition global"):
            make_prompts(MANUAL, prompt=prompt, partition=partition, states=states)


@pytest.mark.parametrize("partition", ["two", "four", "six"])
def test_parts_are_synonym_and_parts_with_the_label_for_the_whole_body(partition: str) -> None:
    both = make_prompts(CLASSES, prompt="synonym+parts", partition=partition)
    parts = make_prompts(CLASSES, prompt="parts", partition=partition)
    assert both.levels == parts.levels
    assert [texts_of(parts, "global", k) for k in range(3)] == [[each.label] for each in CLASSES]
    for level in parts.levels[1:]:
        assert [texts_of(parts, level, k) for k in range(3)] == [texts_of(both, level, k) for k in range(3)]


def test_parts_of_the_whole_body_are_all_six_sentences() -> None:
    table = make_prompts(CLASSES, prompt="parts", partition="global")
    assert table.levels == ("global",)
    assert texts_of(table, "global", 0) == ["put on a shoe, H1, A1, B1, C1, L1, F1"]


def test_parts_may_be_named_in_their_sentences() -> None:
    table = make_prompts(CLASSES, prompt="synonym+parts", partition="four", name_parts=True)
    assert texts_of(table, "head", 0) == ["put on a shoe, the head: H1"]
    assert texts_of(table, "foot", 0) == ["put on a shoe, the leg: L1, the foot: F1"]
    assert texts_of(table, "global", 1) == ["don", "lace up"]


def test_sentences_are_the_texts_without_the_class_name() -> None:
    classes = [replace(each, parts={**each.parts, "head": "is still"}) for each in CLASSES]
    table = make_prompts(classes, prompt="synonym+parts", partition="four")
    assert len(table.sentences) == len(table.texts)
    said = dict(zip(table.texts, table.sentences, strict=True))
    assert {said[texts_of(table, "head", label)[0]] for label in range(3)} == {"is still"}
    assert said["put on a shoe, A1, B1"] == "A1, B1"
    assert said["lace up"] == "lace up"


def test_samples_are_candidates_and_are_not_mixed() -> None:
    second, third = ({part: f"{part} {take}" for part in SIX} for take in (2, 3))
    sampled = replace(SHOE, more_paragraphs=("p2", "paragraph one"), more_parts=(second, {**third, "head": "H1"}))
    classes = (sampled, *CLASSES[1:])
    paragraphs = make_prompts(classes, prompt="paragraph", partition="global")
    assert texts_of(paragraphs, "global", 0) == ["put on a shoe: paragraph one", "put on a shoe: p2"]
    table, single = (make_prompts(each, prompt="synonym+parts", partition="four") for each in (classes, CLASSES))
    assert texts_of(table, "hand", 0) == [
        "put on a shoe, A1, B1",
        "put on a shoe, hand 2, arm 2",
        "put on a shoe, hand 3, arm 3",
    ]
    assert texts_of(table, "head", 0) == ["put on a shoe, H1", "put on a shoe, head 2"], "a text twice is one candidate"
    assert [texts_of(table, level, 1) for level in table.levels] == [texts_of(single, level, 1) for level in single.levels]
    drawn = table.draw(torch.zeros(300, dtype=torch.int64), seed=0, epoch=0, index=torch.arange(300))
    for place, level in enumerate(table.levels):
        assert {table.texts[number] for number in drawn[place].tolist()} == set(texts_of(table, level, 0))
    hand, foot = (drawn[table.levels.index(level)] for level in ("hand", "foot"))
    pairs = set(zip(hand.tolist(), foot.tolist(), strict=True))
    assert len(pairs) == 9, "each level draws on its own"


def test_manual_names_the_classes_that_lack_it() -> None:
    with pytest.raises(PoseglotError, match="'don', 'nod' has none"):
        make_prompts([MANUAL[0], *CLASSES[1:]], prompt="manual", partition="global")


@pytest.mark.parametrize("name", ["demo", "nw-ucla"])
def test_packaged_sets_have_every_prompt(name: str) -> None:
    descriptions = load_descriptions(name).of(load_benchmark(name).classes)
    for prompt in ("label", "paragraph", "manual"):
        assert len(make_prompts(descriptions, prompt=prompt, partition="global").texts) >= len(descriptions)
