"""`poseglot prepare`: from what people download (or from nothing, for the demo set) to a packed store, checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poseglot.errors import PoseglotError
from poseglot.files import sha256_of
from poseglot.skeletons import synthetic
from poseglot.skeletons.benchmarks import load_benchmark
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.formats import nw_ucla
from poseglot.skeletons.layout import load_layout
from poseglot.skeletons.store import PackedStore, write_store

Progress = Callable[[Iterable[Clip]], Iterable[Clip]]
SETS = ("nw-ucla", "demo")


@dataclass(frozen=True)
class Prepared:
    """What a preparation made.

    Attributes:
        store: opened.
        counts: clips in each side of the benchmark's first split.
        incomplete: where those differ from the complete set, a line that says so; else None.
        seconds: how long it took.
    """

    store: PackedStore
    counts: dict[str, int]
    incomplete: str | None
    seconds: float


def prepare(
    name: str, *, source: Path | None, out: Path, overwrite: bool = False, progress: Progress = lambda clips: clips
) -> Prepared:
    """Pack one of `SETS` into the folder `out`.

    Args:
        name: `nw-ucla` (its zip or folder is the source) or `demo` (made here, no source).
        progress: wraps the clips as they come, to show a bar.

    Raises:
        PoseglotError: unknown set, bad source, or `out` is taken; nothing is left half-written.
    """
    started = time.monotonic()
    if name not in SETS:
        raise PoseglotError(f"cannot prepare {name!r}; there are {', '.join(SETS)}.")
    benchmark = load_benchmark(name)
    described: dict[str, Any]
    if name == "demo" and source is not None:
        raise PoseglotError("the demo set is made here; leave out --source.")
    if name == "demo":
        clips: Iterable[Clip] = synthetic.make_clips()
        described = {"synthetic": "poseglot.skeletons.synthetic.make_clips()"}
    elif source is None:
        raise PoseglotError(f"preparing {name} needs --source: the zip that people download, or the folder in it.")
    else:
        clips = nw_ucla.read_source(source)
        described = {"file": source.name, **({"sha256": sha256_of(source)} if source.is_file() else {})}
    store = write_store(
        out, progress(clips), benchmark=benchmark, layout=load_layout(benchmark.layout), source=described, overwrite=overwrite
    )
    split = next(iter(benchmark.splits))
    counts = {side: int(store.belongs(split, side).sum()) for side in ("train", "test")}
    incomplete = None if counts == benchmark.expected else f"the complete set has {dict(benchmark.expected)}, here are {counts}"
    return Prepared(store, counts, incomplete, time.monotonic() - started)
