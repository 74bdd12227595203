"""Numbers from text: bit for bit what Python's `float` gives, and nothing that is not written in digits."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poseglot.data.readers.ntu.decimals import WINDOW, read_decimal, read_decimals
from tests.data.readers.ntu.helpers import real_files

quick = settings(derandomize=True, deadline=None, max_examples=80)


def read(
    tokens: Sequence[bytes], *, before: bytes = b" " * WINDOW, between: bytes = b" ", after: bytes = b""
) -> npt.NDArray[np.float64]:
    """`read_decimals` of these tokens, written one after the other."""
    lengths = np.array([len(token) for token in tokens])
    starts = len(before) + np.cumsum(lengths + len(between)) - lengths - len(between)
    return read_decimals(before + between.join(tokens) + after, starts, starts + lengths)


def expected(token: bytes) -> float | None:
    """What a token stands for, None if it is no number: `float` decides, where only characters of decimal numbers are used."""
    if not token or token.strip(b"0123456789+-.eE"):
        return None
    try:
        return float(token)
    except ValueError:
        return None


def assert_bits(found: npt.NDArray[np.float64], wanted: Sequence[float]) -> None:
    assert found.dtype == np.float64
    differ = np.flatnonzero(found.view(np.int64) != np.array(wanted, dtype=np.float64).view(np.int64))
    assert not differ.size, [(found[place], wanted[place]) for place in differ[:5]]


# --- what is a number ------------------------------------------------------------------------------------------------------


def test_every_number_of_real_files(shared: Path) -> None:
    for path in real_files(shared):
        # The whole file, counts and ids too; only the very first can lie too near to the beginning.
        tokens = path.read_bytes().split()
        assert_bits(read(tokens), [float(token) for token in tokens])


def sign() -> st.SearchStrategy[str]:
    return st.sampled_from(["", "-", "+"])


def digits(least: int, most: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=least, max_size=most)


def concat(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    return st.tuples(*parts).map("".join).map(str.encode)


exponent = st.one_of(st.just(""), st.integers(-400, 400).map("e{}".format), st.integers(-30, 30).map("E{:+03d}".format))
FORMS = {
    "as Kinect writes": concat(st.sampled_from(["", "-"]), digits(1, 1), st.just("."), digits(1, 14)),
    "any": concat(sign(), digits(1, 25), st.just("."), digits(0, 25), exponent),
    "no point": concat(sign(), digits(1, 25), exponent),
    "nothing before the point": concat(sign(), st.just("."), digits(1, 25), exponent),
    "subnormal": concat(sign(), digits(1, 1), st.just("."), digits(1, 17), st.integers(-326, -305).map("e{}".format)),
    "huge": concat(sign(), digits(1, 1), st.just("."), digits(1, 17), st.integers(300, 312).map("e{}".format)),
    "shortest form of a float64": st.floats(allow_nan=False, allow_infinity=False).map(lambda value: repr(value).encode()),
    "seven digits of a float32": st.floats(width=32, allow_nan=False, allow_infinity=False).map(lambda v: f"{v:.7g}".encode()),
    "many digits": st.integers(-(10**400), 10**400).map(lambda value: f"{value}.{value**2}".encode()),
}


@pytest.mark.parametrize("form", FORMS)
def test_random_decimals(form: str) -> None:
    @quick
    @given(st.lists(FORMS[form], min_size=1, max_size=8))
    def check(tokens: list[bytes]) -> None:
        wanted = [float(token) for token in tokens]
        assert_bits(read(tokens), wanted)
        assert_bits(np.array([read_decimal(token) for token in tokens]), wanted)

    check()


def test_numbers_halfway_between_two_floats_are_rounded_as_float_does() -> None:
    """The middle itself, and what is left of it when it is cut after some digits: just below, or just above with one more."""
    tokens = []
    with localcontext(prec=80):
        for value in np.random.default_rng(0).uniform(0, 10, 500).tolist():
            middle = str((Decimal(value) + Decimal(math.nextafter(value, 11))) / 2)
            cut = [middle[:length] for length in (15, 16, 17, 18, 30)]
            tokens += [middle, *cut, *(f"{text[:-1]}9" for text in cut)]
    assert_bits(read([token.encode() for token in tokens]), [float(token) for token in tokens])


@pytest.mark.parametrize("length", range(1, 20))
def test_every_length_with_the_largest_and_smallest_digits(length: int) -> None:
    tokens = []
    for unit in "059":
        for fraction in ("0" * length, "9" * length, "0" * (length - 1) + "1", "5" + "0" * (length - 1)):
            tokens += [f"{sign}{unit}.{fraction}".encode() for sign in ("", "-", "+")]
    assert_bits(read(tokens), [float(token) for token in tokens])


def test_minus_zero_keeps_its_sign() -> None:
    for token in (b"-0.0", b"-0", b"-.0", b"-0.00000000000000", b"-0e5"):
        assert math.copysign(1, read([token])[0]) == math.copysign(1, read_decimal(token)) == -1


@quick
@given(before=st.binary(min_size=WINDOW, max_size=WINDOW), after=st.binary(max_size=20), token=FORMS["as Kinect writes"])
def test_what_stands_around_a_number_does_not_matter(before: bytes, after: bytes, token: bytes) -> None:
    assert_bits(read([token], before=before, after=after), [float(token)])


def test_number_at_the_very_beginning_and_end_of_a_text() -> None:
    token = b"0.12345678901234"
    assert len(token) == WINDOW
    assert_bits(read([token], before=b""), [float(token)])
    assert_bits(read([token, b"1.5"], before=b"", between=b"\r\n"), [float(token), 1.5])


def test_no_numbers() -> None:
    none = np.array([], dtype=np.int64)
    assert read_decimals(b" " * 32, none, none).shape == (0,)


# --- what is none ----------------------------------------------------------------------------------------------------------

NO_NUMBERS = [
    *(b"nan", b"-nan", b"NaN", b"inf", b"-inf", b"Infinity", b"-1.#IND", b"1.#QNAN", b"1.#INF"),
    *(b"1_000", b"1_0.5", b"0x1", b"0x1p3", b"0b1", b"1j", b"1L", b"1.5f", b"1,5", b"1'000"),
    *(b"", b".", b"+", b"-", b"+.", b"-.", b"e", b"e5", b".e5", b"1e", b"1e+", b"1.5e", b"1e5.0", b"1e5e5"),
    *(b"1.2.3", b"1..2", b"..1", b"+-1", b"--1", b"-+1.5", b"1-", b"1+1", b"1.5-", b"-1.-5"),
    *(
        "\u0663.\u0665".encode(),
        "1.\u0665".encode(),
        "\uff11.\uff15".encode(),
        b"1.\xb2",
        b"\xa01.5",
        b"1.5\xa0",
        "\u22121.5".encode(),
    ),
    *(b"\x001.5", b"1.5\x00", b"1.\x005", b"1\x00.5", b"1.5\x1f", b"\x7f1.5", b"1.\x155", b" 1.5", b"1.5 ", b"1.5\n", b"\t1.5"),
    *(b"left", b"0.1234567a", b"a.1234567", b"0:1234567", b"0/1234567", b"0.12345678901234x", b"0.1234567\xff901234"),
]


@pytest.mark.parametrize("token", NO_NUMBERS, ids=repr)
def test_what_is_no_number_is_refused(token: bytes) -> None:
    with pytest.raises(ValueError, match=r"is not a number"):
        read_decimal(token)
    good = b"0.7812345"
    for tokens in ([token, good, good], [good, token, good], [good, good, token, b"1"]):
        with pytest.raises(ValueError, match=r"is not a number"):
            read(tokens)


@pytest.mark.parametrize("length", range(3, 19))
def test_every_character_at_every_place_of_a_number(length: int) -> None:
    """A number with one character replaced is read as `float` reads it, or refused, wherever in the window it stands."""
    token = b"7." + b"1234567890123456"[: length - 2]
    characters = range(256) if length in (9, 10, WINDOW) else b"\x00\x0f\x10 +-./09:?@_eEx\x7f\x80\xb0\xff"
    accepted = []
    for place in range(length):
        for character in characters:
            changed = token[:place] + bytes([character]) + token[place + 1 :]
            if expected(changed) is not None:
                accepted.append(changed)
                continue
            with pytest.raises(ValueError, match=r"is not a number"):
                read([b"0.5", changed, b"0.25"])
    assert_bits(read(accepted), [float(token) for token in accepted])


@quick
@given(st.lists(st.text("0123456789+-.eE", max_size=20) | st.text(string.printable, max_size=18), min_size=1, max_size=4))
def test_random_tokens_are_read_as_float_does_or_refused(texts: list[str]) -> None:
    tokens = [text.encode() for text in texts]
    wanted = [expected(token) for token in tokens]
    if None in wanted:
        with pytest.raises(ValueError, match=r"is not a number"):
            read([*tokens, b"0.5"])
    else:
        assert_bits(read([*tokens, b"0.5"]), [*(value for value in wanted if value is not None), 0.5])


@pytest.mark.timeout(30)
@pytest.mark.parametrize("ending", ["x", ".5x", "..", "e5"])
def test_very_long_token_is_judged_without_trying_every_way_to_split_it(ending: str) -> None:
    """It took half a minute for 40,000 digits when the pattern could divide them in as many ways."""
    token = b"1" * 100_000 + ending.encode()
    wanted = expected(token)
    if wanted is None:
        with pytest.raises(ValueError, match=r"is not a number"):
            read_decimal(token)
    else:
        assert read_decimal(token) == wanted
