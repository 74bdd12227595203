"""The two readers of a `.skeleton` file: they agree on everything, and neither reads anything else than what is written."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.ntu.text import Recording, _read_at_once, read_plainly, read_text
from poseglot.data.synthetic.raw_ntu import FAULTS, broken_files, raw_clip
from tests.data.readers.ntu.helpers import (
    TWIN_IDS,
    Frame,
    assert_same,
    body_lines,
    joined,
    joints_of,
    lines_of,
    real_files,
    recording_of,
    text_of,
)

# Three frames: of one body, of two, of one.
FRAMES: list[Frame] = [
    {TWIN_IDS[0]: joints_of(0)},
    {TWIN_IDS[0]: joints_of(1), TWIN_IDS[1]: joints_of(2)},
    {TWIN_IDS[1]: joints_of(3)},
]
LINES = lines_of(FRAMES)
# Where the number of bodies of each frame stands, and how many lines a body takes.
COUNTS, BODY = (1, 29, 84), 27
FIRST_JOINT = 4  # of the first body


def refused(text: bytes) -> ClipError:
    """What `read_text` raises; the fast reader must have left it to the plain one."""
    assert _read_at_once(text) is None
    with pytest.raises(ClipError, match=r"f\.skeleton") as raised:
        read_text(text, "f.skeleton")
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 300
    return raised.value


def changed(line: int, new: str | None, column: int | None = None) -> bytes:
    """The three frames with one line, or one value of it, replaced, or left out (None)."""
    if column is not None:
        words: list[str | None] = [*LINES[line].split(" ")]
        words[column] = new
        new = " ".join(word for word in words if word is not None)
    return joined([*LINES[:line], *([] if new is None else [new]), *LINES[line + 1 :]])


def read_both(text: bytes) -> Recording | None:
    """What both readers say, None for a refusal; they must agree, except that the fast one may leave a file to the other."""
    fast = _read_at_once(text)
    try:
        plain = read_plainly(text, "f.skeleton")
    except ClipError:
        assert fast is None
        return None
    if fast is not None:
        assert_same(fast, plain)
    return plain


def test_the_lines_are_where_the_tests_think() -> None:
    assert [LINES[line] for line in COUNTS] == ["1", "2", "1"] and len(LINES) == COUNTS[-1] + 1 + BODY
    assert LINES[FIRST_JOINT] == body_lines(TWIN_IDS[0], joints_of(0))[2]


# --- valid files -----------------------------------------------------------------------------------------------------------


def test_real_files_are_read_at_once_and_as_the_plain_reader_does(shared: Path) -> None:
    for path in real_files(shared):
        text = path.read_bytes()
        fast = _read_at_once(text)
        assert fast is not None, path
        assert_same(fast, read_plainly(text, str(path)))
        assert_same(read_text(text, str(path)), fast)


def test_real_files_hold_the_numbers_that_a_naive_reader_finds(shared: Path) -> None:
    for path in real_files(shared)[::3]:
        words = iter(path.read_text().split())
        frames = []
        for _ in range(int(next(words))):
            frame = {}
            for _ in range(int(next(words))):
                name = next(words)
                skipped = [next(words) for _ in range(9)]
                assert len(skipped) == 9 and int(next(words)) == 25
                frame[name] = np.array([[float(next(words)) for _ in range(12)][:3] for _ in range(25)]).astype(np.float32)
            frames.append(frame)
        assert next(words, None) is None
        assert_same(read_text(path.read_bytes(), str(path)), recording_of(frames))


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "no bodies"])
@pytest.mark.parametrize("name", ["S001C001P001R001A001", "S018C002P043R002A106"])
def test_what_was_planted_in_a_synthetic_file_is_found(fault: str, name: str) -> None:
    clip = raw_clip(name, seed=1, faults=(fault,), frames=40)
    found = read_text(clip.text, "f")
    fast = _read_at_once(clip.text)
    assert fast is not None
    assert_same(fast, read_plainly(clip.text, "f"))
    assert found.frames == clip.truth.frames == 40
    truth = {body.id: body for body in clip.truth.bodies}
    assert len(found.bodies) == len(truth)
    for body in found.bodies:
        np.testing.assert_array_equal(body.frames, truth[body.id].frames)
        np.testing.assert_array_equal(body.joints, truth[body.id].joints)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("final", [True, False])
def test_line_ends_do_not_matter(end: str, final: bool) -> None:
    text = text_of(FRAMES, end=end, final=final)
    fast = _read_at_once(text)
    assert fast is not None
    for found in (fast, read_plainly(text, "f")):
        assert_same(found, recording_of(FRAMES))


def test_ids_that_are_equal_as_float64_stay_two_bodies() -> None:
    assert float(TWIN_IDS[0]) == float(TWIN_IDS[1])
    assert [body.id for body in read_text(text_of(FRAMES), "f").bodies] == list(TWIN_IDS)
    # Nor are they numbers at all: these are three.
    frames: list[Frame] = [{"1": joints_of(0), "01": joints_of(1), "1.0": joints_of(2)}]
    assert [body.id for body in read_text(text_of(frames), "f").bodies] == ["1", "01", "1.0"]
    assert [body.id for body in read_plainly(text_of(frames), "f").bodies] == ["1", "01", "1.0"]


def test_bodies_that_change_places_keep_their_ids() -> None:
    frames: list[Frame] = [
        {"a": joints_of(0), "b": joints_of(1)},
        {"b": joints_of(2), "a": joints_of(3)},
        {},
        {"b": joints_of(4)},
    ]
    for found in (read_text(text_of(frames), "f"), read_plainly(text_of(frames), "f")):
        assert_same(found, recording_of(frames))
    assert [body.frames.tolist() for body in found.bodies] == [[0, 1], [0, 1, 3]]


def test_every_form_of_a_number_gives_the_same_float32() -> None:
    for token in (
        "0.1",
        "-0.1",
        "+0.1",
        ".1",
        "1.",
        "1",
        "-0.0",
        "-0",
        "1e-3",
        "-2.5E-05",
        "1e-45",
        "1e-60",
        "99.5",
        "0" * 40 + "1",
    ):
        text = changed(FIRST_JOINT, token, 1)
        fast, plain = _read_at_once(text), read_plainly(text, "f")
        assert fast is not None
        assert_same(fast, plain)
        found = fast.bodies[0].joints[0, 0, 1]
        assert found == np.float32(float(token)) and np.signbit(found) == np.signbit(float(token))


def test_coordinates_are_rounded_once_more_and_only_once() -> None:
    """Through float64 to float32, as numpy does with an array of Python's floats."""
    values = np.random.default_rng(0).uniform(-4, 4, (25, 3))
    lines = [*lines_of([{"1": values}])[:4], *(f"{x!r} {y!r} {z!r}" + " 0" * 9 for x, y, z in values.tolist())]
    for found in (read_text(joined(lines), "f"), read_plainly(joined(lines), "f")):
        np.testing.assert_array_equal(found.bodies[0].joints[0], values.astype(np.float32))


# --- what is wrong, and where ----------------------------------------------------------------------------------------------


def test_the_files_that_the_generator_breaks() -> None:
    """What is wrong with each, in the words of the report."""
    kinds = {
        "cut": "cut short",
        "one body too": "body count",
        "24 joints": "joint count",
        "nan": "not finite",
        "infinite": "not finite",
        "out of range": "not finite",
        "indefinite x": "not finite",
        "empty file": "empty",
        "zero frames": "empty",
        "one frame too many": "cut short",
    }
    files = broken_files(0)
    whole = recording_of_text(files.pop("unbroken"))
    assert_same(recording_of_text(files.pop("indefinite depth")), whole)
    for what, text in files.items():
        error = refused(text)
        wanted = next((kind for start, kind in kinds.items() if what.startswith(start)), None)
        assert wanted in (None, error.kind), (what, str(error))


def recording_of_text(text: bytes) -> Recording:
    fast = _read_at_once(text)
    assert fast is not None
    assert_same(fast, read_plainly(text, "f"))
    return fast


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_cut_anywhere_is_never_misread(end: str) -> None:
    """Cut before any of its bytes a file is refused as cut short, if more than white space is lost."""
    frames: list[Frame] = [
        {"71": np.arange(75).reshape(25, 3) % 7},
        {},
        {"71": np.arange(75).reshape(25, 3) % 5, "72": np.eye(25, 3)},
    ]
    text = text_of(frames, end=end)
    for kept in range(len(text)):
        part = text[:kept]
        if text[kept:].strip():
            assert refused(part).kind == ("cut short" if part.strip() else "empty"), part[-60:]
        else:
            assert_same(read_text(part, "f"), recording_of(frames))


def test_cut_before_empty_frames_at_the_end_is_not_misread() -> None:
    text = text_of([{"1": joints_of(0)}, {}, {}])
    assert [refused(text[:-lost]).kind for lost in (2, 3, 4)] == ["cut short"] * 3
    assert read_text(text[:-1], "f").frames == 3


def test_a_number_cut_in_the_last_column_is_not_seen_and_does_no_harm() -> None:
    text = joined([*LINES[:-1], LINES[-1][:-1] + "12"])
    assert_same(read_text(text[:-2], "f"), recording_of(FRAMES))


@pytest.mark.parametrize("frame", [0, 1, 2])
def test_a_body_more_than_there_are(frame: int) -> None:
    line = COUNTS[frame]
    error = refused(changed(line, str(int(LINES[line]) + 1)))
    if frame == 2:  # looks like a file that was cut
        assert error.kind == "cut short" and f"line {len(LINES)}:" in str(error)
    else:
        assert error.kind == "body count" and f"line {COUNTS[frame + 1] + 1}:" in str(error)


@pytest.mark.parametrize("frame", [0, 1, 2])
def test_a_body_less_than_there_are(frame: int) -> None:
    line = COUNTS[frame]
    error = refused(changed(line, str(int(LINES[line]) - 1)))
    left = line + 1 + (int(LINES[line]) - 1) * BODY  # the line that nobody asked for
    if frame == 2:  # a frame less than there are gives the same text
        assert error.kind == "malformed" and "more lines follow" in str(error) and f"line {left}:" in str(error)
    else:
        assert error.kind == "body count" and f"line {left + 1}:" in str(error)


@pytest.mark.parametrize("count", [0, 1, 24, 26, 250, 10**8])
def test_another_number_of_joints(count: int) -> None:
    error = refused(changed(COUNTS[1] + 2, str(count)))
    assert error.kind == "joint count" and f"line {COUNTS[1] + 3}:" in str(error)


def test_another_number_of_joints_that_is_right() -> None:
    for joints, said in ((24, "24"), (26, "26")):
        lines = ["1", "1", *body_lines("1", np.zeros((joints, 3)))]
        lines[3] = said
        error = refused(joined(lines))
        assert error.kind == "joint count" and "line 4:" in str(error) and f"{joints} joints" in str(error)


@pytest.mark.parametrize("count", ["24", "26"])
def test_another_number_of_joints_than_is_said(count: str) -> None:
    joint = COUNTS[1] + 3
    lines = [*LINES[:joint], *LINES[joint + 1 :]] if count == "24" else [*LINES[:joint], LINES[joint], *LINES[joint:]]
    assert f"line {COUNTS[1] + 29 - (count == '24')}:" in str(refused(joined(lines)))


NOT_FINITE = [
    "nan",
    "NaN",
    "-nan",
    "NAN",
    "inf",
    "-inf",
    "Infinity",
    "-Infinity",
    "+INF",
    "1e400",
    "-1e39",
    "9" * 50,
    "-1.#IND",
]
NOT_FINITE += ["1.#QNAN", "1.#INF", "-1.#INF00", "1.#QNAN0", "-1.#J", "nan(ind)", "-nan(ind)", "-nan(snan)"]


@pytest.mark.parametrize("token", NOT_FINITE)
@pytest.mark.parametrize("column", [0, 1, 2])
def test_what_is_not_finite(token: str, column: int) -> None:
    line = COUNTS[1] + 7
    error = refused(changed(line, token, column))
    assert error.kind == "not finite" and f"line {line + 1}:" in str(error) and token[:30] in str(error)


@pytest.mark.parametrize("token", [*NOT_FINITE, "left", "1_000", "0x1", "#", "\x00", "1,5", "."])
@pytest.mark.parametrize("column", [3, 7, 11])
def test_the_other_columns_may_hold_anything(token: str, column: int) -> None:
    found = read_both(changed(COUNTS[1] + 7, token, column))
    assert found is not None
    assert_same(found, recording_of(FRAMES))


@pytest.mark.parametrize(
    "token", ["left", "1_000", "0x1", "1.2.3", "--1", "1,5", ".", "-", "1e", "1.#", "\u0663", "\x00", "1\x00"]
)
@pytest.mark.parametrize("line", [FIRST_JOINT, COUNTS[1] + 7])
def test_what_is_no_number_at_all(token: str, line: int) -> None:
    words = LINES[line].split(" ")
    text = "\n".join([*LINES[:line], " ".join([words[0], token, *words[2:]]), *LINES[line + 1 :], ""]).encode()
    error = refused(text)
    assert error.kind == "malformed" and f"line {line + 1}:" in str(error)


def test_one_body_twice_in_a_frame() -> None:
    error = refused(changed(COUNTS[1] + 1 + BODY, TWIN_IDS[0], 0))
    assert error.kind == "malformed" and f"line {COUNTS[1] + 2 + BODY}:" in str(error) and TWIN_IDS[0] in str(error)


def test_one_body_twice_with_a_very_long_id_has_a_short_message() -> None:
    lines = ["1", "2", *body_lines("7" * 5000, joints_of(0)), *body_lines("7" * 5000, joints_of(1))]
    assert refused(joined(lines)).kind == "malformed"


def test_very_long_coordinate_has_a_short_message() -> None:
    assert refused(changed(FIRST_JOINT, "9" * 5000, 0)).kind == "not finite"


@pytest.mark.parametrize("count", ["-1", "-25", "+1", "1.0", "1e0", "one", "", "1 1", "\u0661", "0x1", "1_0", "#"])
@pytest.mark.parametrize("line", [0, COUNTS[0], COUNTS[0] + 2, COUNTS[2], COUNTS[2] + 2])
def test_a_count_that_is_none(count: str, line: int) -> None:
    text = "\n".join([*LINES[:line], count, *LINES[line + 1 :], ""]).encode()
    error = refused(text)
    assert error.kind in ("malformed", "body count") and f"line {line + 1}:" in str(error)


@pytest.mark.parametrize("digits", [10, 20, 4300, 4301, 100_000])
@pytest.mark.parametrize("line", [0, COUNTS[0], COUNTS[0] + 2, COUNTS[2]])
def test_a_huge_count(digits: int, line: int) -> None:
    """Python itself refuses to make an integer of more than 4300 digits."""
    refused(changed(line, "9" * digits))


@pytest.mark.parametrize(("line", "more"), [(COUNTS[0] + 1, -1), (COUNTS[0] + 1, 1), (FIRST_JOINT, -1), (FIRST_JOINT, 1)])
def test_a_line_with_a_value_more_or_less(line: int, more: int) -> None:
    error = refused(changed(line, LINES[line] + " 2" if more > 0 else LINES[line].rsplit(" ", 1)[0]))
    assert f"line {line + 1}:" in str(error)


def test_a_value_that_moved_to_the_next_line_is_seen() -> None:
    """The sums are right in both: of lines, and of the spaces between them."""
    first, second = FIRST_JOINT + 3, FIRST_JOINT + 4
    words = LINES[first].split(" ")
    for lines in (
        [*LINES[:first], " ".join(words[:-1]), words[-1] + " " + LINES[second], *LINES[second + 1 :]],
        [
            *LINES[:first],
            LINES[first] + " " + LINES[second].split(" ")[0],
            " ".join(LINES[second].split(" ")[1:]),
            *LINES[second + 1 :],
        ],
    ):
        assert len(joined(lines).split()) == len(joined(LINES).split())
        error = refused(joined(lines))
        assert error.kind == "malformed" and f"line {first + 1}:" in str(error)


def test_a_value_that_moved_between_two_bodies_is_seen() -> None:
    """Of the second body's line only the id is looked at, and the line before it belongs to the first body."""
    line = COUNTS[1] + 1 + BODY
    words = LINES[line].split(" ")
    last = LINES[line - 1].split(" ")
    for before, after in (
        ([*last, words[0]], words[1:]),
        ([*last, "2"], words[:-1]),
        (last[:-1], [last[-1], *words]),
        (last[:-1], [*words, "2"]),
        (last, ["", *words[:-1]]),  # as many spaces as there should be
        (last, [*words[:-1], ""]),
        (["", *last[:-1]], words),
        ([*last[:-1], ""], words),
    ):
        error = refused(joined([*LINES[: line - 1], " ".join(before), " ".join(after), *LINES[line + 1 :]]))
        assert f"line {line}:" in str(error) or f"line {line + 1}:" in str(error)


@pytest.mark.parametrize(
    ("extra", "kind"), [("0", "malformed"), ("and then some", "malformed"), (LINES[-1], "malformed"), ("\x00", "malformed")]
)
def test_lines_behind_the_last_frame(extra: str, kind: str) -> None:
    error = refused(joined([*LINES, extra]))
    assert error.kind == kind and "more lines follow" in str(error)
    assert refused(joined([*LINES, "", extra])).kind == kind


@pytest.mark.parametrize(
    "text", [b"", b"\n", b"  \r\n\t\n", b"0", b"0\n", b"3\n0\n0\n0\n", b"3\r\n0\r\n0\r\n0", b"20\n" + b"0\n" * 20], ids=repr
)
def test_nothing_in_it(text: bytes) -> None:
    assert refused(text).kind == "empty"


@pytest.mark.parametrize(
    "text",
    [
        b"\x00" * 100,
        b"\xff" * 100,
        b"\xef\xbb\xbf" + joined(LINES),
        joined(LINES).decode().encode("utf-16"),
        b"PK\x03\x04" + bytes(range(256)),
        b"\n" + joined(LINES),
        joined(LINES).replace(b"\n", b"\r"),
        b"<html><body>404 Not Found</body></html>\n",
        b"1 " * 1000,
        b"1\n" * 1000,
        b"25\n" * 1000,
    ],
    ids=[
        "zeros",
        "ones",
        "UTF-8 mark",
        "UTF-16",
        "zip",
        "blank first line",
        "CR",
        "HTML",
        "one line",
        "lines of 1",
        "lines of 25",
    ],
)
def test_files_of_another_kind(text: bytes) -> None:
    assert "line 1" in str(refused(text)) or b"1\n" in text or b"25\n" in text


# --- white space: both readers judge it alike ------------------------------------------------------------------------------

SPACES: dict[str, Callable[[bytes], bytes]] = {
    "tabs": lambda text: text.replace(b" ", b"\t"),
    "one tab": lambda text: text.replace(b" ", b"\t", 40),
    "double spaces": lambda text: text.replace(b" ", b"  "),
    "one double space": lambda text: text.replace(b" ", b"  ", 1),
    "form feeds": lambda text: text.replace(b" ", b"\f"),
    "vertical tabs": lambda text: text.replace(b" ", b"\v"),
    "spaces at the ends": lambda text: text.replace(b"\n", b" \n"),
    "spaces at the beginnings": lambda text: b" " + text.replace(b"\n", b"\n ").rstrip(b" "),
    "a space behind a count": lambda text: text.replace(b"\n25\n", b"\n25 \n", 1),
    "a space before a count": lambda text: text.replace(b"\n25\n", b"\n 25\n", 1),
    "CRLF here and there": lambda text: text.replace(b"\n", b"\r\n", 7),
    "CR CR LF": lambda text: text.replace(b"\n", b"\r\r\n"),
    "a lone CR": lambda text: text.replace(b" ", b"\r", 1),
    "blank lines at the end": lambda text: text + b"\r\n\n \n",
    "leading zeros in counts": lambda text: text.replace(b"\n25\n", b"\n0025\n"),
}


@pytest.mark.parametrize("change", SPACES)
def test_other_white_space_is_read_all_the_same(change: str) -> None:
    text = SPACES[change](text_of(FRAMES))
    for found in (read_both(text), read_text(text, "f")):
        assert found is not None
        assert_same(found, recording_of(FRAMES))


@pytest.mark.parametrize("byte", [b"\x00", b"\x1c", b"\x1f", b"\x7f", b"\x85", b"\xa0", b"\xff", b",", b";"], ids=repr)
def test_what_is_no_white_space_separates_nothing(byte: bytes) -> None:
    text = text_of(FRAMES)
    assert read_both(text.replace(b" ", byte)) is None
    assert read_both(text.replace(b"\n", byte)) is None
    second = text.index(b" ", text.index(b"\n25\n"))  # the first separator of a joint's line
    assert read_both(text[:second] + byte + text[second + 1 :]) is None


# --- hostile files ---------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(30)
def test_a_very_long_run_of_digits_is_judged_quickly() -> None:
    assert refused(changed(FIRST_JOINT, "1" * 100_000 + "x", 1)).kind == "malformed"


def test_a_file_that_announces_much_takes_no_more_memory_than_it_has() -> None:
    for text in (b"9999999999\n0\n1\n", b"1\n9999999999\n" + joined(LINES)[5:], changed(0, "9" * 30)):
        tracemalloc.start()
        refused(text)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 2**20


# --- changes at random -----------------------------------------------------------------------------------------------------

SMALL = text_of([{TWIN_IDS[0]: joints_of(0)}, {TWIN_IDS[0]: joints_of(1), "2": joints_of(2)}])
ODD = [
    "",
    "0",
    "1",
    "2",
    "3",
    "25",
    "24",
    "-1",
    "nan",
    "inf",
    "-1.#IND",
    "1e400",
    "1e-400",
    ".",
    "-",
    "-.5",
    "+1",
    "1_0",
    "0x1",
    "a",
    "\x00",
]
ODD += [
    " ",
    "  ",
    "\t",
    "\f",
    "\r",
    "\n",
    "\r\n",
    "\n\n",
    "0.123456789012345678",
    "12.5",
    "5.",
    "1e5",
    "99999999999999999999",
    TWIN_IDS[0],
]


CHANGES = ["digit", "more", "byte", "odd", "cut out", "put in", "twice", "end", "line", "lines", "word", "words", "no line"]


@st.composite
def mutated(draw: st.DrawFn, text: bytes = SMALL) -> bytes:
    """A valid file after one to three changes."""
    if draw(st.booleans()):
        text = text.replace(b"\n", b"\r\n")
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(text)))
        end = min(len(text), place + draw(st.integers(0, 40)))
        lines, words = text.split(b"\n"), text.split(b" ")
        line, other = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        word, another = (draw(st.integers(0, len(words) - 1)) for _ in range(2))
        how = draw(st.sampled_from(CHANGES))
        if how in ("digit", "more"):
            digit = draw(st.sampled_from("0123456789.-+e ")).encode()
            text = text[:place] + digit + text[place + (how == "digit") :]
        elif how == "byte":
            text = text[:place] + draw(st.binary(min_size=1, max_size=1)) + text[place + 1 :]
        elif how == "odd":
            text = text[:place] + draw(st.sampled_from(ODD)).encode() + text[end:]
        elif how == "cut out":
            text = text[:place] + text[end:]
        elif how == "put in":
            text = text[:place] + draw(st.binary(max_size=8)) + text[place:]
        elif how == "twice":
            text = text[:end] + text[place:]
        elif how == "end":
            text = text[:place]
        elif how == "line":
            lines[line] = draw(st.sampled_from(ODD)).encode()
            text = b"\n".join(lines)
        elif how == "lines":
            lines[line], lines[other] = lines[other], lines[line]
            text = b"\n".join(lines)
        elif how == "word":
            words[word] = draw(st.sampled_from(ODD)).encode()
            text = b" ".join(words)
        elif how == "words":
            words[word], words[another] = words[another], words[word]
            text = b" ".join(words)
        else:
            text = b"\n".join([*lines[:line], *lines[line + 1 :]])
    return text


@settings(derandomize=True, deadline=None, max_examples=600)
@given(mutated())
def test_changed_files_are_refused_or_read_alike(text: bytes) -> None:
    plain = read_both(text)
    if plain is None:
        with pytest.raises(ClipError, match=r"f\.skeleton"):
            read_text(text, "f.skeleton")
    else:
        assert_same(read_text(text, "f.skeleton"), plain)
