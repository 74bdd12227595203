"""Description files: the packaged sets are complete, and every fault of a user's own file is named with its class."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.synthetic import ACTIONS
from poseglot.descriptions import DescriptionSet, load_descriptions
from poseglot.descriptions.description import parse_descriptions
from poseglot.errors import PoseglotError
from poseglot.files import packaged_yaml
from tests.conftest import ROOT

pytestmark = pytest.mark.base

PACKAGED = ("bandai-2", "demo", "everyday", "nw-ucla", "ntu120", "utd-mhad")
# Words of the sentences of parts at rest, which many classes share.
REST = re.compile(r"\b(still|stay|stays|rest)\b")
SIX = ("head", "hand", "arm", "hip", "leg", "foot")


def entry(label: str, **changes: Any) -> dict[str, Any]:
    """A class without fault, changed; a change to None leaves the key out."""
    whole: dict[str, Any] = {
        "label": label,
        "synonyms": [f"{label} first", f"{label} second"],
        "paragraph": f"The person does {label}.",
        "parts": {part: f"{part} of {label}" for part in SIX},
    }
    whole.update(changes)
    return {key: value for key, value in whole.items() if value is not None}


def file_of(*entries: Any, **changes: Any) -> str:
    table = {"format": "poseglot-descriptions/1", "name": "mine", "about": "made by hand", "classes": list(entries)}
    table.update(changes)
    return yaml.safe_dump(table, sort_keys=False)


def complaint(text: str) -> str:
    with pytest.raises(PoseglotError) as caught:
        parse_descriptions(text, origin="mine.yaml")
    assert str(caught.value).startswith("mine.yaml")
    return str(caught.value)


@pytest.fixture(params=PACKAGED)
def packaged(request: pytest.FixtureRequest) -> DescriptionSet:
    return load_descriptions(request.param)


def test_packaged_set_describes_the_classes_of_its_benchmark(packaged: DescriptionSet) -> None:
    if packaged.name != "everyday":  # the classes of several sets: tests/descriptions/test_everyday.py
        own = ROOT / "src" / "poseglot" / "recipes" / packaged.name / "classes.txt"
        classes = tuple(own.read_text().splitlines()) if own.exists() else load_benchmark(packaged.name).classes
        assert set(packaged.classes) == set(classes)
        assert [description.label for description in packaged.of(classes)] == list(classes)
    assert packaged.about
    assert (
        f"Version {yaml.safe_load(packaged_yaml('poseglot.descriptions', 'sets', packaged.name, kind=''))['version']} "
        in packaged.about
    )
    assert packaged.title == f"{packaged.name}, version {packaged.version}"


def test_demo_set_describes_the_synthetic_actions() -> None:
    assert set(load_descriptions("demo").classes) == set(ACTIONS)


def test_packaged_classes_are_fully_described(packaged: DescriptionSet) -> None:
    for label, description in packaged.classes.items():
        assert description.label == label
        assert len(description.synonyms) >= 10
        assert label not in description.synonyms
        assert len({synonym.casefold() for synonym in description.synonyms}) == len(description.synonyms)
        assert set(description.parts) == set(SIX)
        texts = [*description.synonyms, description.paragraph, *description.parts.values()]
        assert all(text and text == text.strip() and "\n" not in text for text in texts), label


def test_no_name_or_paragraph_of_a_packaged_set_serves_two_classes(packaged: DescriptionSet) -> None:
    names = Counter(
        name.casefold() for description in packaged.classes.values() for name in (description.label, *description.synonyms)
    )
    paragraphs = Counter(description.paragraph for description in packaged.classes.values())
    assert [text for text, count in (names + paragraphs).items() if count > 1] == []


def test_classes_of_a_packaged_set_may_share_what_rests_but_not_what_moves(packaged: DescriptionSet) -> None:
    """A leg that stands still is described alike in many classes; no two have the same head, hand and arm."""
    upper = Counter(tuple(each.parts[part] for part in ("head", "hand", "arm")) for each in packaged.classes.values())
    shared = Counter(each.parts[part] for each in packaged.classes.values() for part in set(each.parts))
    assert max(upper.values()) == 1
    # What many classes share is rest: none of these sentences has a movement in it.
    assert [text for text, count in shared.items() if count > 3 and not REST.search(text)] == []


def test_reads_a_users_file_from_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(file_of(entry("juggle"), entry("crawl", paragraph="  Low down.\n")))
    mine = load_descriptions(str(path))
    assert (mine.name, mine.about) == ("mine", "made by hand")
    crawl, juggle = mine.of(["crawl", "juggle"])
    assert crawl.label == "crawl"
    assert crawl.paragraph == "Low down."
    assert juggle.synonyms == ("juggle first", "juggle second")
    assert juggle.parts == {part: f"{part} of juggle" for part in SIX}


def test_sides_are_optional_and_checked() -> None:
    mine = parse_descriptions(file_of(entry("juggle", sides={"left_arm": " up "}), entry("crawl")), origin="mine.yaml")
    assert mine.classes["juggle"].sides == {"left_arm": "up"}
    assert mine.classes["crawl"].sides == {}
    for sides in ({"left_wing": "flaps"}, {"left_arm": ""}, ["left_arm"], {"left_arm": ["up", "down"]}, None):
        text = file_of({**entry("juggle"), "sides": sides})
        assert "sides takes a text for any of left_arm" in complaint(text)


def test_several_texts_are_samples(tmp_path: Path) -> None:
    parts = {**{part: f"{part} always" for part in SIX}, "hand": ["up", " down ", "up"], "leg": ["bent", "straight"]}
    mine = parse_descriptions(file_of(entry("juggle", paragraph=["One.", "Two.\n"], parts=parts)), origin="mine.yaml")
    juggle = mine.classes["juggle"]
    assert (juggle.paragraph, juggle.more_paragraphs) == ("One.", ("Two.",))
    samples = (juggle.parts, *juggle.more_parts)
    assert [(sample["head"], sample["hand"], sample["leg"]) for sample in samples] == [
        ("head always", "up", "bent"),
        ("head always", "down", "straight"),
        ("head always", "up", "bent"),
    ]
    one = {part: [text] if isinstance(text, str) else text[0] for part, text in parts.items()}
    same = parse_descriptions(file_of(entry("juggle", paragraph=["One."], parts=one)), origin="mine.yaml").classes["juggle"]
    assert (same.parts, same.paragraph, same.more_parts, same.more_paragraphs) == (juggle.parts, "One.", (), ())


@pytest.mark.parametrize("texts", [[], ["", "up"], ["up", 3], [["up"]]])
def test_samples_must_be_texts(texts: list[Any]) -> None:
    assert "paragraph must be a text, or a list of texts" in complaint(file_of(entry("juggle", paragraph=texts)))
    parts = {**{part: part for part in SIX}, "arm": texts}
    assert "parts has no text for arm" in complaint(file_of(entry("juggle", parts=parts)))


def test_of_names_every_missing_class() -> None:
    mine = parse_descriptions(file_of(entry("juggle")), origin="mine.yaml")
    with pytest.raises(PoseglotError, match=r"mine.*2 classes.*'Juggle'.*'crawl'"):
        mine.of(["Juggle", "juggle", "crawl"])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"parts": {part: "moves" for part in SIX if part != "leg"}}, ["parts", "leg"]),
        ({"parts": dict.fromkeys((*SIX, "tail"), "moves")}, ["parts", "nothing else"]),
        ({"parts": {**dict.fromkeys(SIX, "moves"), "hip": ""}}, ["parts", "text"]),
        ({"parts": {**dict.fromkeys(SIX, "moves"), "hip": [3]}}, ["parts", "text"]),
        ({"parts": "moves"}, ["parts"]),
        ({"parts": None}, ["parts is missing"]),
        ({"synonyms": None}, ["synonyms is missing"]),
        ({"synonyms": []}, ["synonyms", "at least one"]),
        ({"synonyms": "keep balls up"}, ["synonyms", "list"]),
        ({"synonyms": ["keep balls up", 10]}, ["synonyms", "quotes"]),
        ({"synonyms": ["keep balls up", " "]}, ["synonyms"]),
        ({"synonyms": ["keep balls up", "keep balls up"]}, ["synonym", "twice"]),
        ({"paragraph": None}, ["paragraph is missing"]),
        ({"manual": []}, ["manual must be a list of atomic movements"]),
        ({"manual": "hip bend"}, ["manual must be a list of atomic movements"]),
        ({"paragraph": "  "}, ["paragraph must be a text"]),
        ({"paragraph": 3}, ["paragraph must be a text", "3"]),
        ({"synonims": ["keep balls up"]}, ["unknown key 'synonims'", "synonyms"]),
    ],
)
def test_a_fault_is_named_with_its_class(changes: dict[str, Any], named: list[str]) -> None:
    message = complaint(file_of(entry("crawl"), entry("juggle", **changes)))
    assert "class 2 (juggle): " in message
    assert "crawl" not in message
    for words in named:
        assert words in message


@pytest.mark.parametrize("word", ["yes", "no", "on", "10", "~"])
def test_a_word_that_yaml_takes_for_something_else_is_a_fault(word: str) -> None:
    fine = file_of(entry("juggle", synonyms=["keep balls up", "PLACE"]))
    assert parse_descriptions(fine.replace("PLACE", f"'{word}'"), origin="").classes["juggle"].synonyms[1] == word
    assert "class 1 (juggle): synonyms" in complaint(fine.replace("PLACE", word))


@pytest.mark.parametrize("label", [None, "", True, ["juggle"]])
def test_a_class_without_a_usable_label_is_named_by_its_number(label: Any) -> None:
    faulty = entry("x")
    if label is None:
        del faulty["label"]
    else:
        faulty["label"] = label
    message = complaint(file_of(entry("crawl"), faulty))
    assert "class 2" in message
    assert "label" in message


def test_a_class_that_is_no_mapping_is_named_by_its_number() -> None:
    message = complaint(file_of(entry("crawl"), "juggle"))
    assert "class 2: " in message
    assert "'juggle'" in message


def test_a_label_twice_is_a_fault() -> None:
    assert "class 3 (juggle): the label appears twice" in complaint(file_of(entry("juggle"), entry("crawl"), entry("juggle")))


def test_all_faults_are_reported_together() -> None:
    message = complaint(
        file_of(
            entry("juggle", paragraph=None, synonyms=[], speed="fast"), entry("crawl"), entry("hop", parts={}), entry("crawl")
        )
    )
    assert "5 faults" in message
    assert [line.split(": ")[0].strip() for line in message.splitlines()[1:]] == [
        *["class 1 (juggle)"] * 3,
        "class 3 (hop)",
        "class 4 (crawl)",
    ]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("classes: [unclosed", "not valid YAML"),
        ("", "format: poseglot-descriptions/1"),
        ("- juggle\n", "format: poseglot-descriptions/1"),
        (file_of(entry("juggle"), format="poseglot-descriptions/2"), "format: poseglot-descriptions/1"),
        (file_of(entry("juggle"), format=None), "format: poseglot-descriptions/1"),
        (file_of(classes={"juggle": entry("juggle")}), "list 'classes'"),
    ],
)
def test_another_kind_of_file_is_refused(text: str, named: str) -> None:
    assert named in complaint(text)


def test_unknown_name_and_missing_path_say_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(PoseglotError, match=r"'nwucla'.*demo, everyday, ntu120, nw-ucla"):
        load_descriptions("nwucla")
    with pytest.raises(PoseglotError, match=r"absent\.yaml"):
        load_descriptions(str(tmp_path / "absent.yaml"))
