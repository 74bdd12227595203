"""Text for terminals, spreadsheets and JSON."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest

from poseglot.safe_text import ShownStream, csv_cell, from_csv_cell, is_whole_number, json_text, name_text, parse_json, shown

pytestmark = pytest.mark.base


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("wave hand", "wave hand"),
        ("挥手\tä\n", "挥手\tä\n"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\u202eb", "a\\u202eb"),
        ("\udcff", "\\udcff"),
        ("\r\x9b", "\\r\\x9b"),
    ],
)
def test_only_what_steers_a_terminal_is_escaped(text: str, safe: str) -> None:
    stream = io.StringIO()
    print(text, file=ShownStream(stream), end="")  # type: ignore[arg-type]
    assert stream.getvalue() == shown(text) == safe


@pytest.mark.parametrize("text", ["=1+1", "@cmd", "+cmd|x", "-x", "\t=1", "'=1", "plain", "'tis", ""])
def test_formulas_are_texts_and_come_back(text: str) -> None:
    cell = str(csv_cell(text))
    assert cell[:1] not in ("=", "+", "-", "@", "\t")
    assert from_csv_cell(cell) == text or text == "'=1"
    assert csv_cell(-1.5) == -1.5 and csv_cell("-1.5e3") == "-1.5e3"


def test_json_has_no_nan() -> None:
    value = {"a": [1.5, math.nan, (math.inf, "ä\udcff")], "b": None}

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert json.loads(json_text(value), parse_constant=refuse) == {"a": [1.5, None, [None, "ä\udcff"]], "b": None}
    assert json_text(value).isascii()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("wave", "wave"),
        ("größe ✓", "größe ✓"),
        ("gr\udcc3\udcb6\udcc3\udc9fe", "größe"),
        ("a\udcff", "a\\xff"),
        ("ä\ud800", "ä\\ud800"),
    ],
    ids=ascii,
)
def test_names_that_the_locale_could_not_decode_are_text(name: str, text: str) -> None:
    assert name_text(name) == text == name_text(text)
    text.encode()


@pytest.mark.parametrize(("text", "is_one"), [("0", True), ("007", True), ("123456789", True), ("1" * 10, False), ("1" * 5000, False),
                                              ("-1", False), ("\u00b2", False), ("\u0663", False), ("", False)],
                         ids=range(9))  # fmt: skip
def test_whole_numbers_are_those_that_python_and_numpy_take(text: str, is_one: bool) -> None:
    assert is_whole_number(text) == is_one


@pytest.mark.parametrize(
    "digits", ["0", "-7", "9" * 18, "-" + "9" * 18, "9" * 19, "9" * 400, "-" + "9" * 400, "1" * 5000], ids=range(8)
)
def test_numbers_of_json_are_taken_by_numpy(digits: str) -> None:
    (number,) = parse_json(f"[{digits}]")
    assert np.array([number], dtype=np.float64)[0] == float("1" * 400 if len(digits) > 4300 else digits)
    assert isinstance(number, int) == (len(digits.lstrip("-")) < 19)
