"""Prepare a data set: from what people download (or from nothing, for the demo set) to a packed store.

An unreadable clip does not stop the others. Issues, and clips that were left out on purpose, are listed in the store's
`preparation.json`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from poseglot import __version__
from poseglot.data import synthetic
from poseglot.data.benchmarks import Benchmark, load_benchmark
from poseglot.data.folds import fold_splits
from poseglot.data.ingest import Bar, add_all, fill
from poseglot.data.quality.checks import check_set, check_subsets
from poseglot.data.quality.issues import ClipIssue
from poseglot.data.readers import nw_ucla, open_source, set_formats
from poseglot.data.readers.formats import Source
from poseglot.data.readers.ntu.archive import Index, index_sources, read_members
from poseglot.data.readers.selection import is_of_pictures, third_is_like_scores, unseen_centre
from poseglot.data.store import REPORT_FILE, DType, PackedStore, StoreWriter, open_store, store_info
from poseglot.errors import FileError, InputError, NotFoundError, SettingError
from poseglot.files import folder_written_atomically, resumable_folder, sha256_of, temporary_folder, unfinished_key
from poseglot.safe_text import name_text
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import Layout, load_layout
from poseglot.zips import unpack

SETS = ("nw-ucla", "ntu60", "ntu120", "demo")
# Recordings between two notes of the progress of a preparation; some ten megabytes.
_CHUNK = 256
# Kinds of issue that mean that a file was read as something that it is not.
_MISREAD = ("joint count", "malformed", "body count")
# The score of the centre joint may be 0 in this share of the frames.
_CENTRE_UNSEEN = 0.5


@dataclass(frozen=True)
class CustomDataset:
    """What people say about their own data. What a format says itself need not be given.

    Attributes:
        name: Of the data set.
        layout: Of the joints: a packaged one, or a path ending in .yaml.
        joints: The joints of the files in their order, by the layout's names, if they are not all of them in its order.
        classes: Their names, in the order of the labels.
        test_subjects: The people of the test set, by name or number.
        split: As in `fold_splits`: leave-one-out, none, or the path of a list of folds; None makes one split.
        has_scores: Whether the last number of every joint is the confidence in it.
        names: What the names of files say (`NamePattern`).
        dim_order: As in `ReadOptions`.
        skip: As in `ReadOptions`.
        columns: As in `ReadOptions`.
        scale: As in `ReadOptions`.
        up: As in `ReadOptions`.
        variable: As in `ReadOptions`.
        fps: The frames per second of annotated recordings.
    """

    name: str
    layout: str | None = None
    joints: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    test_subjects: tuple[int | str, ...] | None = None
    split: str | None = None
    has_scores: bool = False
    names: str | None = None
    dim_order: str | None = None
    skip: int = 0
    columns: tuple[int, ...] | None = None
    scale: float = 1.0
    up: str | None = None
    variable: str | None = None
    fps: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", name_text(self.name))  # by default that of a folder

    def reading(self) -> dict[str, Any]:
        """Return what decides how a clip is read, without defaults; a store remembers it."""
        said = {
            "has_scores": self.has_scores or None,
            "dim_order": self.dim_order,
            "skip": self.skip or None,
            "columns": None if self.columns is None else list(self.columns),
            "scale": None if self.scale == 1 else self.scale,
            "up": self.up,
            "variable": self.variable,
        }
        return {option: value for option, value in said.items() if value is not None}


@dataclass(frozen=True)
class Prepared:
    """The result of a preparation.

    Attributes:
        store: Opened.
        split: The first of the store's splits.
        counts: Clips in each subset of it.
        incomplete: A line that says what the complete set has, if these differ; else None.
        issues: What is wrong with files and clips that are not in the store.
        skipped: Reason -> names of clips that were left out on purpose.
        notes: What looks mistaken, or was continued, in sentences.
        seconds: How long it took.
    """

    store: PackedStore
    split: str
    counts: dict[str, int]
    incomplete: str | None
    issues: tuple[ClipIssue, ...]
    skipped: dict[str, list[str]]
    notes: tuple[str, ...]
    seconds: float


class NoBar:
    """A progress bar that shows nothing."""

    def reset(self, total: float | None = None) -> None: ...

    def update(self, n: float | None = 1) -> None: ...


def prepare(
    name: str,
    *,
    source: str | Path | Sequence[str | Path] | None,
    out: str | Path,
    overwrite: bool = False,
    custom: CustomDataset | None = None,
    dtype: DType = "float32",
    workers: int = 1,
    bar: Bar | None = None,
) -> Prepared:
    """Pack a data set into the folder `out`.

    A stopped preparation of NTU RGB+D continues when it is called again with the same arguments.

    Args:
        name: One of `SETS`, or a format of custom data (`readers.set_formats()`).
        source: The zips, folders or files to read; None for the demo set, which is generated.
        out: The folder of the store.
        overwrite: Whether a store there is replaced.
        custom: What is known of custom data; by default a set named like the folder.
        dtype: Of the coordinates in the store.
        workers: Processes that read NTU RGB+D.
        bar: Told of every clip.

    Raises:
        SettingError: The set is unknown, or an option is not valid.
        FileError: The source cannot be read, or `out` is taken.
        InputError: There is nothing to store, or most clips do not fit what was said about them.
    """
    started = time.monotonic()
    out = Path(out)
    sources = [Path(source)] if isinstance(source, (str, Path)) else [Path(each) for each in source or ()]
    bar = NoBar() if bar is None else bar
    formats = set_formats()
    if name not in (*SETS, *formats):
        raise NotFoundError(name, (*SETS, *formats), kind="data set or format")
    if name == "demo" and sources:
        raise SettingError("the demo set is generated; leave out --source.")
    if name != "demo" and not sources:
        raise SettingError(f"preparing {name} needs --source: the files that people download, or the folder of them.")
    if custom is not None and name not in formats:
        raise SettingError(f"{name} has its own layout, classes and splits; options for them go with {', '.join(formats)}.")
    if custom is not None and custom.split and custom.test_subjects:
        raise SettingError("a split and test subjects were both given; either makes the test set.")
    _refuse_to_lose(out, sources, overwrite)
    if name in ("ntu60", "ntu120"):
        benchmark = load_benchmark(name)
        index = index_sources(sources, classes=len(benchmark.classes))
        issues, notes = _write_ntu(benchmark, sources, index, out, overwrite=overwrite, dtype=dtype, workers=workers, bar=bar)
        skipped = index.skipped
    else:
        with _unpacked(name in formats and formats[name].folder, sources, out) as found:
            opened = _open(name, found, custom or CustomDataset(out.name))
            benchmark, skipped, notes = opened.benchmark, dict(opened.skipped), list(opened.notes)
            split = custom.split if custom else None
            issues, more = _write(opened, out, overwrite=overwrite, dtype=dtype, bar=bar, custom=name in formats, split=split)
            benchmark = replace(benchmark, expected={}) if split else benchmark
            notes += more
    store = open_store(out)
    split = next(iter(store.info.splits))
    indices = {subset: np.flatnonzero(store.subset_mask(split, subset)) for subset in ("train", "test")}
    counts = {subset: len(found) for subset, found in indices.items()}
    if name in formats:
        notes += check_set(store) + check_subsets(store, indices["train"], indices["test"])
    incomplete = None
    if benchmark.expected and counts != benchmark.expected:
        whole = " and ".join(f"{count:,} {subset}" for subset, count in benchmark.expected.items())
        incomplete = f"the complete set has {whole} clips ({split})"
    return Prepared(store, split, counts, incomplete, tuple(issues), skipped, tuple(notes), time.monotonic() - started)


def _refuse_to_lose(out: Path, sources: Sequence[Path], overwrite: bool) -> None:
    """Check that nothing but a store is replaced, and no source with it.

    Raises:
        FileError: `out` may not be replaced.
    """
    if not (overwrite and out.exists()):
        return
    if not out.is_dir() or (any(out.iterdir()) and not (out / "store.json").is_file()):
        raise FileError(f"{out} is not a store, so --overwrite does not replace it. Choose another folder.")
    for source in sources:
        if out.resolve() in (source.resolve(), *source.resolve().parents):
            raise FileError(f"{source} lies in {out}, which --overwrite would replace. Choose another folder.")


@contextmanager
def _unpacked(is_folder: bool, sources: Sequence[Path], out: Path) -> Iterator[list[Path]]:
    """Unpack zips of formats that are folders, beside the store and for as long as they are needed; other sources stay as they are.

    Raises:
        FileError: A zip is damaged.
    """
    with ExitStack() as stack:
        found = []
        for source in sources:
            if is_folder and source.suffix.lower() == ".zip" and source.is_file():
                folder = stack.enter_context(temporary_folder(out)) / source.stem
                unpack(source, folder)
                source = folder
            found.append(source)
        yield found


def _open(format: str, sources: Sequence[Path], custom: CustomDataset) -> Source:
    """Open a source that is read from beginning to end."""
    if format in set_formats():
        reading = custom.reading()
        opened = open_source(
            format,
            sources,
            layout=_custom_layout(custom),
            name=custom.name,
            classes=custom.classes,
            test_subjects=custom.test_subjects,
            names=custom.names,
            fps=custom.fps,
            **reading,
        )
        if opened.described.get("dim_order"):  # the order that was found is part of how the clips were read
            reading["dim_order"] = opened.described["dim_order"]
        return replace(opened, described={**opened.described, "format": format, "reading": reading})
    benchmark = load_benchmark(format)
    layout = load_layout(benchmark.layout)
    if format == "demo":
        made = {"synthetic": "poseglot.data.synthetic.make_clips()"}
        return Source(benchmark, layout, False, iter(synthetic.make_clips()), made)
    if len(sources) > 1:
        raise SettingError(f"{format} is one zip or one folder, not {len(sources)}.")
    (source,) = sources
    described = {"file": source.name, **({"sha256": sha256_of(source)} if source.is_file() else {})}
    return Source(benchmark, layout, False, nw_ucla.read_source(source), described)


def _custom_layout(custom: CustomDataset) -> Layout | None:
    """Return the layout of the files' joints; None if none was given.

    Raises:
        SettingError: There is no such layout or joint.
    """
    if custom.layout is None:
        if custom.joints:
            raise SettingError("the order of joints uses a layout's names; give the layout, too (--layout).")
        return None
    layout = load_layout(custom.layout)
    return layout if not custom.joints or custom.joints == layout.joints else layout.select(custom.joints, name=custom.name)


def _write(
    source: Source, out: Path, *, overwrite: bool, dtype: DType, bar: Bar, custom: bool, split: str | None = None
) -> tuple[list[ClipIssue], list[str]]:
    """Store the clips of a source; return issues and notes."""
    unseen: list[float] = []
    absent = 0
    like_scores: list[bool] = []

    def checked() -> Iterator[Clip | ClipIssue]:
        nonlocal absent
        for clip in source.clips:
            if custom and isinstance(clip, Clip):
                like_scores.append(not source.has_scores and third_is_like_scores(clip.joints))
                if source.has_scores:
                    unseen.append(unseen_centre(clip, source.layout))
                found = _without_absent(clip)
                absent += isinstance(found, Clip) and len(found.joints) < len(clip.joints)
                yield found
            else:
                yield clip
            bar.update(1)

    with folder_written_atomically(out, overwrite=overwrite) as folder:
        writer = StoreWriter(folder, joint_count=len(source.layout), class_count=len(source.benchmark.classes), dtype=dtype)
        with closing(writer):
            issues = list(add_all(writer, checked()))
            misread = [issue for issue in issues if issue.kind in _MISREAD]
            if custom and len(misread) > len(writer) > 0:
                raise InputError(
                    f"most files do not fit what was said about them: {len(misread):,} of {len(misread) + len(writer):,} cannot be read "
                    f"as {_form(source)}.{_shown(misread)}"
                )
            if split and len(writer):
                splits = fold_splits(split, writer.table(), source.benchmark.people)
                source = replace(source, benchmark=replace(source.benchmark, splits=splits))
            _finish(writer, folder, source, issues, source.skipped)
    notes = []
    if absent:
        notes.append(f"{absent:,} clips had people who are zero throughout; those people were left out")
    if like_scores and all(like_scores) and is_of_pictures(source.layout):
        notes.append(
            f"the third number of every joint of the layout {source.layout.name} is from 0 to 1, as confidences are, and was read as a "
            "coordinate. If it is a confidence, prepare with --scored, or leave it out: --columns 1-2"
        )
    if unseen and float(np.mean(unseen)) > _CENTRE_UNSEEN:
        notes.append(
            f"the score of the centre joint ({source.layout.centre}) is 0 in {np.mean(unseen):.0%} of the frames, so clips are "
            "centred on an unseen joint. If a score of 0 means an inferred joint here, read the coordinates alone: --columns 1-3"
        )
    return issues, notes


def _without_absent(clip: Clip) -> Clip | ClipIssue:
    """Return the clip without people who are zero throughout; a clip of nobody is an issue."""
    there = clip.joints[..., : clip.joints.shape[-1] - clip.has_scores].any(axis=(1, 2, 3))
    if not there.any():
        return ClipIssue(clip.name, clip.name, "empty", f"{clip.name}: every joint of every frame is zero: nobody is in it.")
    return clip if there.all() else replace(clip, joints=clip.joints[there])


def _form(source: Source) -> str:
    order = source.described.get("dim_order")
    return f"layout {source.layout.name}" + (f", order of dimensions {order}" if order else "")


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
    """Store NTU RGB+D; return issues, and notes on a continued preparation."""
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
        notes.append("an unfinished preparation of other files or with other settings was discarded")
    with resumable_folder(out, key=key, overwrite=overwrite) as folder:
        writer = StoreWriter(folder, joint_count=len(layout), class_count=len(benchmark.classes), dtype=dtype)
        if len(writer):
            notes.append(f"continued an unfinished preparation of {len(writer):,} clips")
        with closing(writer):
            issues = [*index.issues, *fill(writer, read_members, chunks, workers=workers, bar=bar)]
            _finish(writer, folder, source, issues, index.skipped)
    return issues, notes


def _finish(
    writer: StoreWriter, folder: Path, source: Source, issues: Sequence[ClipIssue], skipped: Mapping[str, list[str]]
) -> None:
    if not len(writer) and issues:
        raise InputError(f"none of the {len(issues):,} clips could be read:{_shown(issues)}")
    writer.finish(store_info(source.benchmark, source.layout, source=source.described, has_scores=source.has_scores))
    report = {"stored": len(writer), "skipped": dict(skipped), "issues": [issue.as_dict() for issue in issues]}
    (folder / REPORT_FILE).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _shown(issues: Sequence[ClipIssue]) -> str:
    return "".join(f"\n  {issue.message}" for issue in issues[:5])
