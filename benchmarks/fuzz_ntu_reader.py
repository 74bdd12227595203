"""Damaged NTU RGB+D files for their reader, thousands a minute: none may be misread, and none may stop or stall it.

Valid synthetic files (`poseglot.data.synthetic.raw_ntu`), most of them cut down to a few frames, are changed in one to four ways,
some blind to the format (bytes), some not (numbers, lines, counts, bodies, white space). Of every input is checked:

    refusals   nothing but a `ClipError` is raised, with a short message
    agreement  the fast reader gives what the plain one gives, or leaves the file to it
    meaning    what is accepted has the numbers that a third reader, at the end of this file, finds; what it accepts is accepted
    chain      what is accepted goes through the whole preparation without a warning and comes out finite, or is refused there
    time       no input takes longer than `--limit` seconds

    python benchmarks/fuzz_ntu_reader.py --seconds 600 --seed 0

An input depends on the seed and its number only. Inputs that fail are written into `--out`, one for each thing that went wrong; the exit
status is then 1.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.ntu.preprocessing import preprocess
from poseglot.data.readers.ntu.text import Recording, _read_at_once, read_plainly, read_text
from poseglot.data.synthetic.raw_ntu import FAULTS, raw_clip, raw_names

JOINTS, BODY = 25, 27  # of a body: joints, lines
_LONGEST_MESSAGE = 400
_WHOLE = 0.04  # share of inputs that are whole recordings

Rng = np.random.Generator
Change = Callable[[bytes, Rng], bytes]


# --- valid files -----------------------------------------------------------------------------------------------------------


class File:
    """A valid file, and where its frames begin."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._end = line_end(text)
        self._lines = text.split(self._end)[:-1]
        self._starts, line = [], 1
        while line < len(self._lines):
            self._starts.append(line)
            line += 1 + BODY * int(self._lines[line])

    def excerpt(self, first: int, frames: int) -> bytes:
        """Some of its frames, as a valid file."""
        kept = [*self._starts, len(self._lines)][first : first + frames + 1]
        return self._end.join([b"%d" % (len(kept) - 1), *self._lines[kept[0] : kept[-1]], b""])

    def __len__(self) -> int:
        return len(self._starts)


def make_files(seed: int) -> list[File]:
    """Recordings with every fault that is planted, of one and of two people."""
    names = raw_names(2 * len(FAULTS), seed=seed)
    return [File(raw_clip(name, seed=seed, faults=(list(FAULTS)[place // 2],)).text) for place, name in enumerate(names)]


def line_end(text: bytes) -> bytes:
    return b"\r\n" if b"\r\n" in text else b"\n"


# --- changes that know nothing of the format -------------------------------------------------------------------------------

_LIKELY = b"0123456789.-+eE \n\r\t"


def part(text: bytes, rng: Rng, longest: int = 200) -> tuple[int, int]:
    """A range of a text, short ones most often."""
    start = int(rng.integers(len(text) + 1))
    return start, min(len(text), start + int(longest ** rng.random()))


def some_bytes(text: bytes, rng: Rng) -> bytes:
    changed = bytearray(text or b" ")
    for _ in range(int(rng.integers(1, 5))):
        changed[int(rng.integers(len(changed)))] = (
            int(rng.integers(256)) if rng.random() < 0.5 else int(rng.choice(list(_LIKELY)))
        )
    return bytes(changed)


def bit(text: bytes, rng: Rng) -> bytes:
    changed = bytearray(text or b" ")
    changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def cut_out(text: bytes, rng: Rng) -> bytes:
    start, end = part(text, rng)
    return text[:start] + text[end:]


def cut_off(text: bytes, rng: Rng) -> bytes:
    return text[: int(rng.integers(len(text) + 1))]


def put_in(text: bytes, rng: Rng) -> bytes:
    place, count = int(rng.integers(len(text) + 1)), int(rng.integers(1, 9))
    new = rng.bytes(count) if rng.random() < 0.3 else bytes(rng.choice(list(_LIKELY), count).astype(np.uint8))
    return text[:place] + new + text[place:]


def repeat(text: bytes, rng: Rng) -> bytes:
    start, end = part(text, rng, 3000)
    return text[:end] + text[start:]


def exchange(text: bytes, rng: Rng) -> bytes:
    a, b, c, d = sorted(int(place) for place in rng.integers(len(text) + 1, size=4))
    return text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:]


# --- changes that know it --------------------------------------------------------------------------------------------------

_ODD = [
    b"",
    b"0",
    b"-0.0",
    b"1",
    b"2",
    b"25",
    b"24",
    b"026",
    b"-1",
    b"+1",
    b"1.0",
    b"nan",
    b"inf",
    b"-1.#IND",
    b"1.#QNAN",
    b"Infinity",
]
_ODD += [
    b"1e400",
    b"-1e400",
    b"1e-400",
    b"3.4e38",
    b"3.5e38",
    b"5e-324",
    b".",
    b"-",
    b"-.5",
    b"5.",
    b"1_0",
    b"0x1",
    b"1e",
    b"1,5",
    b"left",
]
_ODD += [
    b"99999999999999999999",
    b"9" * 5000,
    b"0." + b"3" * 5000,
    b"7" * 40_000 + b"x",
    b"\xd9\xa3",
    b"\x00",
    b"#",
    b"72057594037944738",
]
_BLANKS = [b"  ", b"\t", b"\f", b"\v", b"\r", b"\x00", b"\xa0", b"\x1c", b" \t ", b"\n", b""]


def on_lines(change: Callable[[list[bytes], int, Rng], None]) -> Change:
    """A change of the lines at and after a random one."""

    def changed(text: bytes, rng: Rng) -> bytes:
        lines = text.split(b"\n")
        change(lines, int(rng.integers(len(lines))), rng)
        return b"\n".join(lines)

    changed.__name__ = change.__name__
    return changed


@on_lines
def line_out(lines: list[bytes], at: int, rng: Rng) -> None:
    del lines[at]


@on_lines
def line_twice(lines: list[bytes], at: int, rng: Rng) -> None:
    lines.insert(at, lines[at])


@on_lines
def lines_swapped(lines: list[bytes], at: int, rng: Rng) -> None:
    other = int(rng.integers(len(lines)))
    lines[at], lines[other] = lines[other], lines[at]


@on_lines
def lines_joined(lines: list[bytes], at: int, rng: Rng) -> None:
    lines[at : at + 2] = [b" ".join(line.rstrip(b"\r") for line in lines[at : at + 2])]


@on_lines
def odd_line(lines: list[bytes], at: int, rng: Rng) -> None:
    lines[at] = _ODD[int(rng.integers(len(_ODD)))]


@on_lines
def body_out(lines: list[bytes], at: int, rng: Rng) -> None:
    del lines[at : at + BODY]


@on_lines
def body_twice(lines: list[bytes], at: int, rng: Rng) -> None:
    lines[at:at] = lines[at : at + BODY]


@on_lines
def value(lines: list[bytes], at: int, rng: Rng) -> None:
    """Replaced, left out, put in, moved, or exchanged with one of another line."""
    words = lines[at].split(b" ")
    place, other = int(rng.integers(len(words))), int(rng.integers(len(lines)))
    odd = _ODD[int(rng.integers(len(_ODD)))]
    match int(rng.integers(5)):
        case 0:
            words[place] = odd
        case 1:
            del words[place]
        case 2:
            words.insert(place, odd)
        case 3:
            lines[other] += b" " + words.pop(place)
        case _:
            others = lines[other].split(b" ")
            swap = int(rng.integers(len(others)))
            words[place], others[swap] = others[swap], words[place]
            if other != at:
                lines[other] = b" ".join(others)
    lines[at] = b" ".join(words)


@on_lines
def spelling(lines: list[bytes], at: int, rng: Rng) -> None:
    """A number written otherwise; most ways of writing it are numbers too."""
    words = lines[at].split(b" ")
    place = int(rng.integers(min(3, len(words))))
    word = words[place]
    ways = [
        word + b"0" * int(rng.integers(1, 20)),
        word + bytes(rng.choice(list(b"0123456789"), int(rng.integers(1, 20))).astype(np.uint8)),
        b"+" + word,
        b"-" + word,
        b"00" + word,
        word + b"e0",
        word + b"E-%d" % rng.integers(400),
        word + b"e+%02d" % rng.integers(40),
        word.replace(b".", b""),
        word.replace(b"0.", b"."),
        word.replace(b".", b".."),
        b"%.17g" % rng.normal(),
        b"%.15f" % rng.normal(),
        b"%.9e" % (rng.normal() * 10.0 ** rng.integers(-45, 40)),
    ]
    words[place] = ways[int(rng.integers(len(ways)))]
    lines[at] = b" ".join(words)


@on_lines
def count(lines: list[bytes], at: int, rng: Rng) -> None:
    """The next line that is a single number, one more or less, or any."""
    for place in [*range(at, len(lines)), *range(at)]:
        if lines[place].strip().isdigit() and len(lines[place]) < 20:
            number = int(lines[place])
            new = [number + 1, number - 1, 0, 2 * number, int(rng.integers(1000)), 10**18][int(rng.integers(6))]
            lines[place] = lines[place].replace(lines[place].strip(), b"%d" % new)
            return


@on_lines
def body_id(lines: list[bytes], at: int, rng: Rng) -> None:
    """A body gets the id of another one, or one of its own."""
    heads = [place for place, line in enumerate(lines) if line.count(b" ") == 9]
    if heads:
        one, other = (heads[int(place)] for place in rng.integers(len(heads), size=2))
        name = lines[other].split(b" ")[0] if rng.random() < 0.6 else b"%d" % rng.integers(100)
        lines[one] = b" ".join([name, *lines[one].split(b" ")[1:]])


def blanks(text: bytes, rng: Rng) -> bytes:
    """Other white space in one place or in all, or what is none."""
    old = b" " if rng.random() < 0.7 else line_end(text)
    new = _BLANKS[int(rng.integers(len(_BLANKS)))]
    if rng.random() < 0.3:
        return text.replace(old, new + old if rng.random() < 0.5 else new)
    parts = text.split(old)
    place = int(rng.integers(len(parts)))
    return old.join(parts[:place]) + new + old.join(parts[place:])


def line_ends(text: bytes, rng: Rng) -> bytes:
    ways = [
        text.replace(b"\r\n", b"\n"),
        text.replace(b"\n", b"\r\n"),
        text.replace(b"\n", b"\r"),
        text.rstrip(),
        text + b"\r\n \n",
    ]
    return ways[int(rng.integers(len(ways)))]


BLIND: list[Change] = [some_bytes, bit, cut_out, cut_off, put_in, repeat, exchange]
KNOWING: list[Change] = [
    line_out,
    line_twice,
    lines_swapped,
    lines_joined,
    odd_line,
    body_out,
    body_twice,
    count,
    body_id,
    blanks,
    line_ends,
]
KNOWING += [value, value, *[spelling] * 6]


def make_input(number: int, seed: int, files: list[File]) -> tuple[bytes, list[str]]:
    """An input and the names of what was done to it."""
    rng = np.random.default_rng([seed, number])
    file, frames = files[int(rng.integers(len(files)))], int(rng.integers(1, 5))
    text = file.text if rng.random() < _WHOLE else file.excerpt(int(rng.integers(len(file) - frames + 1)), frames)
    changes = BLIND if rng.random() < 0.35 else KNOWING
    done = []
    for _ in range(int(rng.choice([1, 1, 1, 2, 2, 3, 4]))):
        change = changes[int(rng.integers(len(changes)))]
        text = change(text, rng)
        done.append(change.__name__)
    return text, done


# --- what must hold --------------------------------------------------------------------------------------------------------


class WrongError(Exception):
    """What the reader did to an input, and should not."""


def evaluate(text: bytes, limit: float) -> tuple[str, bool, float]:
    """Everything in the list above.

    Returns:
        "accepted" or the kind of the refusal, whether the fast reader read it, and how many seconds `read_text` and the chain took.

    Raises:
        WrongError, or whatever the reader raises that is no `ClipError`.
    """
    started = time.perf_counter()
    outcome, found = "accepted", None
    try:
        found = read_text(text, "f.skeleton")
        check_chain(found)
    except ClipError as error:
        outcome = error.kind
        if "\n" in str(error) or len(str(error)) > _LONGEST_MESSAGE or not str(error).startswith("f.skeleton"):
            raise WrongError("unfit message") from error
    seconds = time.perf_counter() - started
    if seconds > limit:
        raise WrongError("too slow")
    fast = _read_at_once(text)
    try:
        plain = read_plainly(text, "f.skeleton")
    except ClipError:
        plain = None
    if (plain is None) is not (found is None) or (fast is not None and plain is None):
        raise WrongError("accepted by one reader and refused by another")
    expected = read_by_hand(text)
    if plain is None:
        if expected is not None:
            raise WrongError(f"refused as {outcome}, but it is well-formed")
        return outcome, False, seconds
    if expected is None:
        raise WrongError("accepted, but it is not well-formed")
    for reading, name in ((plain, "plain"), (fast, "fast")):
        if reading is not None and bodies_of(reading) != expected:
            raise WrongError(f"misread by the {name} reader")
    return outcome, fast is not None, seconds


def check_chain(recording: Recording) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        joints = preprocess(recording)
    if joints.dtype != np.float32 or joints.ndim != 4 or joints.shape[0] not in (1, 2) or joints.shape[2:] != (JOINTS, 3):
        raise WrongError(f"the chain's result has shape {joints.shape} and type {joints.dtype}")
    if not joints.shape[1] or not np.isfinite(joints).all():
        raise WrongError("the chain's result is empty or not finite")


Bodies = tuple[int, dict[str, list[tuple[int, bytes]]]]


def bodies_of(recording: Recording) -> Bodies:
    """Frames; id -> (frame, the bits of its 75 numbers), in the order of first appearance (which `==` does not see; ids do)."""
    return recording.frames, {
        f"{place} {body.id}": [(int(frame), joints.tobytes()) for frame, joints in zip(body.frames, body.joints, strict=True)]
        for place, body in enumerate(recording.bodies)
    }


# --- a third reader --------------------------------------------------------------------------------------------------------

_VALUES = re.compile(rb"[^ \t\r\f\v]+")


class _MalformedError(Exception):
    pass


def read_by_hand(text: bytes) -> Bodies | None:
    """The same from the description of the format alone, None if it is not of it.

    Lines end with a line feed; white space separates their values and may stand at both ends; after the last line there may be more
    white space. Counts are written in at most nine digits; coordinates as `float` reads them, but in digits, and within 1,000 km.
    """
    lines = [_VALUES.findall(line) for line in text.rstrip(b" \t\r\n\f\v").split(b"\n")]
    lines.reverse()

    def line(values: int) -> list[bytes]:
        if not lines or len(lines[-1]) != values:
            raise _MalformedError
        return lines.pop()

    def number_of() -> int:
        (digits,) = line(1)
        if digits.strip(b"0123456789") or len(digits) > 9:
            raise _MalformedError
        return int(digits)

    def coordinate(word: bytes) -> float:
        if word.strip(b"0123456789+-.eE"):
            raise _MalformedError
        number = float(word)
        if not abs(number) <= 1e6:
            raise _MalformedError
        return number

    try:
        frames = number_of()
        order: list[str] = []
        seen: dict[str, list[tuple[int, bytes]]] = {}
        for frame in range(frames):
            for _ in range(number_of()):
                name = line(10)[0].decode("latin-1").encode("ascii", "backslashreplace").decode()
                if number_of() != JOINTS:
                    raise _MalformedError
                rows = [[coordinate(word) for word in line(12)[:3]] for _ in range(JOINTS)]
                if name not in seen:
                    seen[name] = []
                    order.append(name)
                if seen[name] and seen[name][-1][0] == frame:
                    raise _MalformedError
                seen[name].append((frame, np.array(rows, dtype=np.float64).astype(np.float32).tobytes()))
    except (_MalformedError, ValueError):
        return None
    if lines or not seen:
        return None
    return frames, {f"{place} {name}": seen[name] for place, name in enumerate(order)}


# --- the run ---------------------------------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--seconds", type=float, help="how long to go on")
    length.add_argument("--inputs", type=int, help="how many to try")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=10.0, help="seconds that an input may take")
    parser.add_argument("--out", type=Path, default=Path("fuzz-failures"), help="where inputs that fail are written")
    told = parser.parse_args()

    outcomes: Counter[str] = Counter()
    fast_ones, total, slowest, failures = 0, 0, (0.0, 0, 0), dict[str, Path]()
    files = make_files(told.seed)
    started = time.monotonic()
    with tqdm(total=told.inputs or round(told.seconds), unit="input" if told.inputs else "s", disable=None) as bar:
        number = 0
        while number < told.inputs if told.inputs else time.monotonic() - started < told.seconds:
            text, done = make_input(number, told.seed, files)
            try:
                outcome, fast, seconds = evaluate(text, told.limit)
            except Exception as error:
                outcome, fast, seconds = "FAILED", False, 0.0
                where = traceback.extract_tb(error.__traceback__)[-1]
                what = f"{type(error).__name__}: {error}"[:120] + f" ({Path(where.filename).name}, {where.name})"
                if what not in failures:
                    told.out.mkdir(parents=True, exist_ok=True)
                    failures[what] = told.out / f"{told.seed}-{number}.skeleton"
                    failures[what].write_bytes(text)
                    tqdm.write(f"input {number} ({', '.join(done)}): {what}\n  written to {failures[what]}", file=sys.stderr)
            outcomes[outcome] += 1
            fast_ones += fast
            total += len(text)
            slowest = max(slowest, (seconds, number, len(text)))
            number += 1
            bar.update(1 if told.inputs else round(time.monotonic() - started) - bar.n)
    took = time.monotonic() - started
    print(f"{number:,} inputs, {total / 1e6:,.1f} MB, in {took:,.0f} s, seed {told.seed}")
    print(f"accepted {outcomes['accepted']:,} ({fast_ones:,} of them by the fast reader)")
    print("refused  " + ", ".join(f"{kind} {n:,}" for kind, n in outcomes.most_common() if kind not in ("accepted", "FAILED")))
    print(f"slowest  {slowest[0] * 1000:,.0f} ms (input {slowest[1]}, {slowest[2]:,} bytes)")
    print(f"failed   {outcomes['FAILED']:,}" + "".join(f"\n  {what}: {path}" for what, path in failures.items()))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
