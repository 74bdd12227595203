"""How fast the text of `.skeleton` files becomes numbers, on one core, from memory: our readers, the field's way, and mere `split`."""

from __future__ import annotations

import io
import statistics
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import field_ntu
import numpy as np
from measuring import shown

from poseglot.data.readers.ntu.text import read_plainly, read_text
from poseglot.errors import PoseglotError

# The field's two ways: all values of a joint become numbers, or x, y and z alone.
FIELD, LEAN = "field", "field, x y z only"
SPLIT = "split of every line"


def readers() -> dict[str, Callable[[bytes], Any]]:
    """What is compared: text in, anything out."""

    def field(values: int) -> Callable[[bytes], Any]:
        return lambda text: field_ntu.read_bodies(io.TextIOWrapper(io.BytesIO(text), encoding="ascii"), values=values)

    return {
        "ours": lambda text: read_text(text, ""),
        "ours, plain": lambda text: read_plainly(text, ""),
        FIELD: field(12),
        LEAN: field(3),
        SPLIT: split,
    }


def split(text: bytes) -> None:
    """Every line in words, which are thrown away at once: keeping them all takes up to twice as long."""
    for line in text.split(b"\n"):
        line.split()


def measure_parsing(texts: Sequence[bytes], repeats: int) -> list[dict[str, Any]]:
    """A row for each reader."""
    check_readers(texts)
    size = sum(map(len, texts)) / 1e6
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in readers()}
    for _ in range(repeats):
        for name, read in readers().items():
            cpu, clock = time.process_time(), time.perf_counter()
            for text in texts:
                read(text)
            spent[name].append((time.process_time() - cpu, time.perf_counter() - clock))
    rows = []
    for name, times in spent.items():
        cpu = [one for one, _ in times]
        row = {
            "reader": name,
            "MB/s a core": size / statistics.median(cpu),
            "files/s a core": len(texts) / statistics.median(cpu),
        }
        row["spread"] = f"{shown(size / max(cpu))} to {shown(size / min(cpu))} MB/s"
        row["MB/s by the clock"] = size / statistics.median(clock for _, clock in times)
        for rival in (FIELD, LEAN, SPLIT):
            row[f"times {rival}"] = statistics.median(theirs / own for own, (theirs, _) in zip(cpu, spent[rival], strict=True))
        rows.append(row)
    return rows


def check_readers(texts: Sequence[bytes]) -> None:
    """See that all readers give the same numbers."""
    for text in texts:
        ours, plain = read_text(text, ""), read_plainly(text, "")
        assert [(body.id, body.joints.tobytes()) for body in ours.bodies] == [(b.id, b.joints.tobytes()) for b in plain.bodies]
        for name in (FIELD, LEAN):
            bodies = readers()[name](text)
            assert list(bodies) == [body.id for body in ours.bodies]
            assert all(np.array_equal(bodies[body.id]["joints"], body.joints) for body in ours.bodies)


def texts_of(archive: Path, count: int) -> list[bytes]:
    """Some files, evenly spaced over a zip, that can be read."""
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
        return readable([opened.read(names[place]) for place in np.linspace(0, len(names) - 1, count).astype(int)])


def readable(texts: Sequence[bytes]) -> list[bytes]:
    """Without recordings that hold nobody: only ours has something to say of those."""
    found = []
    for text in texts:
        try:
            read_text(text, "")
        except PoseglotError:
            continue
        found.append(text)
    return found
