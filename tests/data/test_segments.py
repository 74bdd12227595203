"""Files of segments: read again as they were, and valid where others read them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path

import pytest

from poseglot.data.segments import Segment, read_segments, to_eaf, to_vtt, write_segments
from poseglot.errors import FileError, SettingError


def _json(row: str) -> str:
    return f'{{"format": "poseglot-segments-1", "segments": [{{{row}}}]}}'


AWKWARD = 'pick "up" <b> & put, down -->\n\nNOTE \x01'
SEGMENTS = [
    Segment(0.0, 1.25, "sit down", 0.875, 1),
    Segment(1.25, 3725.5, AWKWARD, 0.5, 1),
    Segment(0.5, 2.0, "héllo", 0.25, 2),
]


@pytest.mark.parametrize("ending", [".csv", ".json"])
def test_what_is_written_is_read_again(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"s{ending}"
    write_segments(SEGMENTS, path)
    assert read_segments(path) == SEGMENTS
    write_segments([], path)
    assert read_segments(path) == []


def test_an_annotators_table_needs_three_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("action,start,end\nwave,0.5,2\n")
    assert read_segments(tmp_path / "t.csv") == [Segment(0.5, 2.0, "wave")]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("s.csv", "start,end\n0,1\n", "'action' is missing"),
        ("s.csv", "start,end,action\n2,1,a\n", "segment 1"),
        ("s.csv", "start,end,action\n0,nan,a\n", "segment 1"),
        ("s.csv", "start,end,action\n0\n", "does not hold segments"),
        ("s.json", "[", "does not hold segments"),
        ("s.json", '{"format": "other"}', "'other'"),
        ("s.json", "[" * 100_000, "does not hold segments"),
        ("s.json", _json(f'"start": 0, "end": {"9" * 400}, "action": "a"'), "segment 1"),
        ("s.json", _json('"start": 0, "end": 1, "action": "a", "person": Infinity'), "segment 1"),
        ("s.json", _json('"start": 0, "end": 1, "action": "a", "score": NaN'), "segment 1"),
        ("s.json", _json('"start": 0, "end": 1, "action": null'), "segment 1"),
        ("s.csv", f"start,end,action\n0,1,{'a' * 200_000}\n", "does not hold segments"),
        ("s.csv", "start,end,action\n0,1,a\n1,2,\n", "segment 2"),
        ("s.csv", "start,end,action,score,person\n0,1,a,1,1\n1,2,a,1,-1\n", "segment 2"),
        ("s.csv", "start,end,action,person\n0,1,a,1.5\n", "segment 1"),
        ("s.csv", "start,end,action,score\n0,1,a,87\n", "segment 1"),
        ("s.csv", "start,end,action\n1700000000,1700000001,a\n", "segment 1"),
        ("s.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n\n00:03.000 --> 00:04.000\nwave\n", "segment 1 has no action"),
        ("s.vtt", "WEBVTT\n\n0:01 --> 0:02\nwave\n", "line 3"),
        ("s.vtt", "00:00.000 --> 00:01.000\na\n", "WEBVTT"),
        ("s.vtt", "WEBVTT\n\n00:02.000 --> 00:01.000\na\n", "segment 1"),
        ("s.eaf", "<ANNOTATION_DOCUMENT>", "does not hold segments"),
        ("s.eaf", '<!DOCTYPE a [<!ENTITY b "c">]><a/>', "entities"),
        ("s.txt", "", "read from .csv, .json, .vtt, .eaf"),
    ],
)
def test_what_are_no_segments_is_refused(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(FileError, match=re.escape(said)):
        read_segments(tmp_path / name)


@pytest.mark.parametrize("ending", [".vtt", ".eaf"])
def test_players_and_annotators_files_are_read_again(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"s{ending}"
    segments = [
        Segment(0.0, 1.25, "sit down", 1.0, 1),
        Segment(1.25, 3725.5, "pick up & put (twice)", 1.0, 1),
        Segment(0.5, 2.0, "héllo", 1.0, 3),
        Segment(3.0, 4.0, "all together", 1.0, 0),
    ]
    write_segments(segments, path)
    assert sorted(read_segments(path), key=lambda s: (s.person, s.start)) == sorted(segments, key=lambda s: (s.person, s.start))
    write_segments([], path)
    assert read_segments(path) == []


def test_subtitles_of_others_are_read(tmp_path: Path) -> None:
    text = "WEBVTT - mine\r\n\r\nNOTE by hand\r\n\r\n1\r\n00:01.500 --> 00:03.000 align:start\r\n<v Ann>wave\r\n\r\n"
    text += "2\r\n01:00:00.000 --> 01:00:01.000\r\n<v Bob>walk\r\nslowly (50%)\r\n"
    (tmp_path / "s.vtt").write_bytes(text.encode())
    assert read_segments(tmp_path / "s.vtt") == [
        Segment(1.5, 3.0, "wave", 1.0, 1),
        Segment(3600.0, 3601.0, "walk slowly", 0.5, 2),
    ]


def test_cues_end_at_lines_of_spaces_and_have_decimal_commas(tmp_path: Path) -> None:
    text = "WEBVTT\n\n00:01.000 --> 00:02.000\nwalk\n \n2\n00:00:03,000 --> 00:00:04,500\nwave\n00:05.000 --> 00:06.000\nsit\n"
    (tmp_path / "s.vtt").write_text(text)
    assert read_segments(tmp_path / "s.vtt") == [Segment(1, 2, "walk"), Segment(3, 4.5, "wave"), Segment(5, 6, "sit")]


def test_numbered_and_named_people_are_told_apart(tmp_path: Path) -> None:
    head = "Subject,Behavior,Start (s),Stop (s)\n"
    (tmp_path / "b.csv").write_text(head + "Ann,a,0,1\nBob,a,0,1\nperson 2,a,0,1\nall,a,0,1\nAnn,b,2,3\n")
    assert [segment.person for segment in read_segments(tmp_path / "b.csv")] == [1, 3, 2, 0, 1]


def test_a_score_of_0_stays_and_people_may_be_written_as_decimals(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(_json('"start": 0, "end": 1, "action": "a", "score": 0, "person": 2.0'))
    assert read_segments(tmp_path / "s.json") == [Segment(0, 1, "a", 0.0, 2)]


@pytest.mark.parametrize("text", ["Start;End;Action\n0,5;2,25;wave, twice\n", "start\tend\taction\n0.5\t2.25\twave, twice\n"])
def test_tables_of_spreadsheets_are_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8-sig")
    assert read_segments(tmp_path / "t.csv") == [Segment(0.5, 2.25, "wave, twice")]


def test_a_table_of_boris_is_read(tmp_path: Path) -> None:
    head = "Observation id,Subject,Behavior,Behavioral category,Behavior type,Start (s),Stop (s),Duration (s)\n"
    (tmp_path / "b.csv").write_text(head + "o,Ann,wave,,STATE,1.5,3,1.5\no,Bob,walk,,STATE,2,4,2\no,Ann,sit,,STATE,5,6,1\n")
    assert read_segments(tmp_path / "b.csv") == [
        Segment(1.5, 3.0, "wave", 1.0, 1),
        Segment(2.0, 4.0, "walk", 1.0, 2),
        Segment(5.0, 6.0, "sit", 1.0, 1),
    ]


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError):
        write_segments(SEGMENTS, tmp_path / "s.srt")
    with pytest.raises(FileError):
        read_segments(tmp_path / "none.csv")


def test_webvtt_cues_are_valid_escaped_and_in_order() -> None:
    header, *cues, last = to_vtt(SEGMENTS).split("\n\n")
    assert header == "WEBVTT"
    cues.append(last.rstrip("\n"))
    assert len(cues) == 3
    clock = r"\d\d:[0-5]\d:[0-5]\d\.\d{3}"
    for cue in cues:
        times, text = cue.split("\n")
        assert re.fullmatch(f"{clock} --> {clock}", times)
        voice, said = re.fullmatch(r"<v (person \d)>(.*)", text).groups()  # type: ignore[union-attr]
        assert voice in ("person 1", "person 2")
        assert not re.search(r"[<>]|&(?!(amp|lt|gt);)", said)
    assert [cue.split(" --> ")[0] for cue in cues] == ["00:00:00.000", "00:00:00.500", "00:00:01.250"]
    assert cues[2].startswith('00:00:01.250 --> 01:02:05.500\n<v person 1>pick "up" &lt;b&gt; &amp; put, down --&gt; NOTE')
    assert to_vtt([Segment(1.0, 1.0001, "a")]).split("\n")[2] == "00:00:01.000 --> 00:00:01.001", "a cue ends after it begins"


def test_eaf_has_the_structure_of_version_3() -> None:
    """What the schema EAFv3.0.xsd asks for, by hand: elements in their order, attributes that must be there, ids that mean something."""
    text = to_eaf(SEGMENTS, date=datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC))
    document = ET.fromstring(text.split("\n", 1)[1])
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n')
    assert document.tag == "ANNOTATION_DOCUMENT"
    schema = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
    assert {key: document.get(key) for key in ("AUTHOR", "DATE", "FORMAT", "VERSION", schema)} == {
        "AUTHOR": "poseglot", "DATE": "2024-05-06T07:08:09+00:00", "FORMAT": "3.0", "VERSION": "3.0",
        schema: "http://www.mpi.nl/tools/elan/EAFv3.0.xsd",
    }  # fmt: skip
    assert [child.tag for child in document] == ["HEADER", "TIME_ORDER", "TIER", "TIER", "LINGUISTIC_TYPE"]
    header, order, *tiers, kind = document
    assert header.get("TIME_UNITS") == "milliseconds"
    slots = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE") or -1) for slot in order}
    assert list(slots.values()) == sorted({0, 1250, 3725500, 500, 2000})
    assert kind.get("TIME_ALIGNABLE") == "true"
    ids: list[str | None] = [*slots]
    found = {}
    for tier in tiers:
        assert tier.get("LINGUISTIC_TYPE_REF") == kind.get("LINGUISTIC_TYPE_ID")
        for annotation in tier:
            assert annotation.tag == "ANNOTATION"
            (aligned,) = annotation
            assert aligned.tag == "ALIGNABLE_ANNOTATION"
            ids.append(aligned.get("ANNOTATION_ID"))
            (value,) = aligned
            assert value.tag == "ANNOTATION_VALUE"
            times = slots[aligned.get("TIME_SLOT_REF1")], slots[aligned.get("TIME_SLOT_REF2")]
            found.setdefault(tier.get("TIER_ID"), []).append((*times, value.text))
    assert found == {
        "person 1": [(0, 1250, "sit down"), (1250, 3725500, AWKWARD.replace("\x01", "\ufffd"))],
        "person 2": [(500, 2000, "héllo")],
    }
    assert all(name and re.fullmatch(r"[A-Za-z_][\w.-]*", name) for name in ids) and len(set(ids)) == len(ids)
