"""`poseglot prepare`: from what people download (or from nothing, for the demo set) to a packed store, checked.

A clip that cannot be read does not stop the others: what is wrong with it, and what was left out on purpose, is in the
store's `preparation.json`.
"""

from __future__ import annotations

import json
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poseglot import __version__
from poseglot.data import synthetic
from poseglot.data.benchmarks import Benchmark, load_benchmark
from poseglot.data.ingest import Bar, add_all, fill
from poseglot.data.quality.checks import check_set, check_subsets
from poseglot.data.quality.issues import ClipIssue
from poseglot.data.readers import FORMATS_OF_SETS, nw_ucla, open_source
from poseglot.data.readers.ntu.archive import Index, index_sources, read_members
from poseglot.data.readers.source import Source
from poseglot.data.store import REPORT_FILE, DType, PackedStore, StoreWriter, open_store, store_info
from poseglot.errors import PoseglotError
from poseglot.files import folder_written_atomically, resumable_folder, sha256_of, unfinished_key
from poseglot.skeletons.layout import Layout, load_layout

SETS = ("nw-ucla", "ntu60", "ntu120", "demo")
# Formats of people's own data that are a folder of files.
FOLDERS = ("npy", "mat", "txt", "bvh", "poses")
# Recordings between two notes of how far a preparation is; some ten megabytes.
_CHUNK = 256


@dataclass(frozen=True)
class CustomDataset:
    """What is to be known of somebody's own data; what a format says itself need not be given.

    Attributes:
        name: of the data set.
        layout: of the joints: a packaged one, or a path ending in .yaml.
        joints: those of the files in their order, if they are not all of the layout in its order; by the layout's names.
        classes: their names, in the order of the labels.
        test_subjects: the people of the test set.
        scored: whether the last number of every joint is the confidence in it.
        names: what the names of files say (`poseglot.data.readers.name_pattern`).
        dim_order, skip: what the axes of arrays are (`poseglot.data.readers.dim_order`).
        variable: of MATLAB files, which holds the joints.
    """

    name: str
    layout: str | None = None
    joints: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    test_subjects: tuple[int, ...] | None = None
    has_scores: bool = False
    names: str | None = None
    dim_order: str | None = None
    skip: int = 0
    variable: str | None = None


@dataclass(frozen=True)
class Prepared:
    """What a preparation made.

    Attributes:
        store: opened.
        split: the first of the store's splits.
        counts: clips in each side of it.
        incomplete: where those differ from the complete set, a line that says so; else None.
        faults: what is wrong with files and clips that should be in the store.
        skipped: why -> names of clips that were left out on purpose.
        notes: what looks mistaken, or was gone on from, in sentences.
        seconds: how long it took.
    """

    store: PackedStore
    split: str
    counts: dict[str, int]
    incomplete: str | None
    faults: tuple[ClipIssue, ...]
    skipped: dict[str, list[str]]
    notes: tuple[str, ...]
    seconds: float


class NoBar:
    """Shows nothing."""

    def reset(self, total: float | None = None) -> None: ...

    def update(self, n: float | None = 1) -> None: ...


def prepare(
    name: str,
    *,
    source: Path | Sequence[Path] | None,
    out: Path,
    overwrite: bool = False,
    own: CustomDataset | None = None,
    dtype: DType = "float32",
    workers: int = 1,
    bar: Bar | None = None,
) -> Prepared:
    """Pack a data set into the folder `out`.

    A preparation of NTU RGB+D that was stopped goes on where it was when it is called again with the same arguments.

    Args:
        name: one of `SETS`, or of the formats of people's own data (`FORMATS_OF_SETS`).
        source: the zips, folders or files to read; None for the demo set, which is made here.
        own: what is to be known of data in one of `FORMATS_OF_SETS`; by default a set called like the folder.
        dtype: of the coordinates in the store.
        workers: processes that read NTU RGB+D.
        bar: is told of every clip.

    Raises:
        PoseglotError: unknown set, bad source, nothing to store, or `out` is taken.
    """
    started = time.monotonic()
    sources = [source] if isinstance(source, Path) else list(source or ())
    bar = NoBar() if bar is None else bar
    if name not in (*SETS, *FORMATS_OF_SETS):
        raise PoseglotError(f"cannot prepare {name!r}; there are {', '.join((*SETS, *FORMATS_OF_SETS))}.")
    if name == "demo" and sources:
        raise PoseglotError("the demo set is made here; leave out --source.")
    if name != "demo" and not sources:
        raise PoseglotError(f"preparing {name} needs --source: the files that people download, or the folder of them.")
    if own is not None and name not in FORMATS_OF_SETS:
        raise PoseglotError(
            f"{name} has its own layout, classes and splits; options for them go with {', '.join(FORMATS_OF_SETS)}."
        )
    _refuse_to_lose(out, sources, overwrite)
    if name in ("ntu60", "ntu120"):
        benchmark = load_benchmark(name)
        index = index_sources(sources, classes=len(benchmark.classes))
        faults, notes = _write_ntu(benchmark, sources, index, out, overwrite=overwrite, dtype=dtype, workers=workers, bar=bar)
        skipped = index.skipped
    else:
        with _unpacked(name, sources) as found:
            opened = _open(name, found, own or CustomDataset(out.name))
            benchmark, skipped, notes = opened.benchmark, dict(opened.skipped), list(opened.notes)
            faults = _write(opened, out, overwrite=overwrite, dtype=dtype, bar=bar)
    store = open_store(out)
    split = next(iter(benchmark.splits))
    places = {subset: np.flatnonzero(store.subset_mask(split, subset)) for subset in ("train", "test")}
    counts = {subset: len(found) for subset, found in places.items()}
    if name in FORMATS_OF_SETS:
        notes += check_set(store) + check_subsets(store, places["train"], places["test"])
    incomplete = None
    if benchmark.expected and counts != benchmark.expected:
        whole = " and ".join(f"{count:,} {subset}" for subset, count in benchmark.expected.items())
        incomplete = f"the complete set has {whole} clips ({split})"
    return Prepared(store, split, counts, incomplete, tuple(faults), skipped, tuple(notes), time.monotonic() - started)


def _refuse_to_lose(out: Path, sources: Sequence[Path], overwrite: bool) -> None:
    """See that nothing but a store is replaced, and no source with it.

    Raises:
        PoseglotError: `out` may not be replaced.
    """
    if not (overwrite and out.exists()):
        return
    if not out.is_dir() or (any(out.iterdir()) and not (out / "store.json").is_file()):
        raise PoseglotError(f"{out} is not a store, so --overwrite does not replace it. Choose another folder.")
    for source in sources:
        if out.resolve() in (source.resolve(), *source.resolve().parents):
            raise PoseglotError(f"{source} lies in {out}, which --overwrite would replace. Choose another folder.")


@contextmanager
def _unpacked(format: str, sources: Sequence[Path]) -> Iterator[list[Path]]:
    """The sources; of formats that are folders, zips as folders that are gone afterwards.

    Raises:
        PoseglotError: a zip is damaged.
    """
    with ExitStack() as stack:
        found = []
        for source in sources:
            if format in FOLDERS and source.suffix.lower() == ".zip" and source.is_file():
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="poseglot-"))) / source.stem
                try:
                    with zipfile.ZipFile(source) as archive:
                        archive.extractall(folder)
                except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError, zlib.error) as error:
                    raise PoseglotError(f"could not unpack {source}: {error}. Unpack it, and give the folder.") from error
                source = folder
            found.append(source)
        yield found


def _open(format: str, sources: Sequence[Path], own: CustomDataset) -> Source:
    """A source that is read from beginning to end."""
    if format in FORMATS_OF_SETS:
        return open_source(
            format,
            sources,
            layout=_own_layout(own),
            name=own.name,
            classes=own.classes,
            test_subjects=own.test_subjects,
            has_scores=own.has_scores,
            names=own.names,
            dim_order=own.dim_order,
            skip=own.skip,
            variable=own.variable,
        )
    benchmark = load_benchmark(format)
    layout = load_layout(benchmark.layout)
    if format == "demo":
        made = {"synthetic": "poseglot.data.synthetic.make_clips()"}
        return Source(benchmark, layout, False, iter(synthetic.make_clips()), made)
    if len(sources) > 1:
        raise PoseglotError(f"{format} is one zip or one folder, not {len(sources)}.")
    (source,) = sources
    described = {"file": source.name, **({"sha256": sha256_of(source)} if source.is_file() else {})}
    return Source(benchmark, layout, False, nw_ucla.read_source(source), described)


def _own_layout(own: CustomDataset) -> Layout | None:
    """What the joints of the files are; None if nobody said.

    Raises:
        PoseglotError: no such layout or joint.
    """
    if own.layout is None:
        if own.joints:
            raise PoseglotError("the order of joints goes by a layout's names; name the layout, too (--layout).")
        return None
    layout = load_layout(own.layout)
    return layout if not own.joints or own.joints == layout.joints else layout.select(own.joints, name=own.name)


def _write(source: Source, out: Path, *, overwrite: bool, dtype: DType, bar: Bar) -> list[ClipIssue]:
    def counted() -> Iterator[Any]:
        for clip in source.clips:
            yield clip
            bar.update(1)

    with folder_written_atomically(out, overwrite=overwrite) as folder:
        writer = StoreWriter(folder, joint_count=len(source.layout), class_count=len(source.benchmark.classes), dtype=dtype)
        with closing(writer):
            faults = list(add_all(writer, counted()))
            _finish(writer, folder, source, faults, source.skipped)
    return faults


def _write_ntu(
    benchmark: Benchmark,
    sources: Sequence[Path],
    index: Index,
    out: Path,
    *,
    overwrite: bool,
    dtype: DType,
    workers: int,
    bar: Bar,
) -> tuple[list[ClipIssue], list[str]]:
    """What is wrong with files, and how an earlier preparation was taken up."""
    layout = load_layout(benchmark.layout)
    described = {
        "files": [source.name for source in sources],
        "recordings": len(index.members),
        "fingerprint": index.fingerprint,
    }
    source = Source(benchmark, layout, False, iter(()), described)
    chunks = [index.members[start : start + _CHUNK] for start in range(0, len(index.members), _CHUNK)]
    key = json.dumps([__version__, benchmark.name, dtype, _CHUNK, index.fingerprint])
    notes = []
    if unfinished_key(out) not in (None, key):
        notes.append("an unfinished preparation of other files or with other settings was thrown away")
    with resumable_folder(out, key=key, overwrite=overwrite) as folder:
        writer = StoreWriter(folder, joint_count=len(layout), class_count=len(benchmark.classes), dtype=dtype)
        if len(writer):
            notes.append(f"went on from an unfinished preparation of {len(writer):,} clips")
        with closing(writer):
            faults = [*index.faults, *fill(writer, read_members, chunks, workers=workers, bar=bar)]
            _finish(writer, folder, source, faults, index.skipped)
    return faults, notes


def _finish(
    writer: StoreWriter, folder: Path, source: Source, faults: Sequence[ClipIssue], skipped: Mapping[str, list[str]]
) -> None:
    if not len(writer) and faults:
        shown = "".join(f"\n  {fault.message}" for fault in faults[:5])
        raise PoseglotError(f"none of the {len(faults):,} clips could be read:{shown}")
    writer.finish(store_info(source.benchmark, source.layout, source=source.described, has_scores=source.has_scores))
    report = {"stored": len(writer), "skipped": dict(skipped), "faults": [fault.as_dict() for fault in faults]}
    (folder / REPORT_FILE).write_text(json.dumps(report, indent=1) + "\n")
