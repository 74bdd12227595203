"""Batch inference: archives of any size in shards, resumable, on one or many machines.

    batch.json            the recognizer, the settings, the clips and the shards
    shard-000000.jsonl    one line for each clip of the shard, in order: its scores, or its error

A shard is a range of a store's clips, which are read from the memory-mapped store, or a list of files. The division into shards depends
only on the job. A shard's file is written atomically: if it exists, the shard is done. Doing a shard twice writes the same file. Resuming,
and surviving a lost machine, needs nothing more. `predict_locally` does shards in this process, `poseglot.inference.batch_ray` on many
machines.

The format is JSON lines: results are nested, numbers are exact, and everything reads it (`pandas.read_json(lines=True)`, DuckDB, jq).
Writing Parquet would need a package of 170 MB.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from poseglot.data.store import PackedStore, open_store
from poseglot.errors import FileError, PoseglotError, SettingError
from poseglot.files import folder_lock, sha256_of, write_atomically
from poseglot.inference.loading import Engine
from poseglot.inference.prediction import Prediction, check_top
from poseglot.inference.predictor import Predictor
from poseglot.models.pretrained import find_recognizer, recognizer_file
from poseglot.safe_text import json_text
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout

FORMAT = "poseglot-batch/1"
MANIFEST = "batch.json"
SHARD_SIZE = 1024
# Clips that are computed at once. The last bit of a score may depend on it, so it is the same everywhere.
_BATCH_SIZE = 64


@dataclass(frozen=True)
class Shard:
    """A range of clips that are predicted together.

    Attributes:
        number: Its index among all shards.
        first: The index of its first clip in its store, or among all files.
        clips: The number of its clips.
        store: The path of the store; empty for files.
        files: The files, if it has no store.
    """

    number: int
    first: int
    clips: int
    store: str = ""
    files: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The name of the file with its results."""
        return f"shard-{self.number:06}.jsonl"


@dataclass(frozen=True)
class BatchJob:
    """The settings of a batch. Every machine must see its paths under the same names.

    Attributes:
        run: A run's folder, a recognizer's file, or a name that `poseglot.load` knows. An .onnx file runs in ONNX
            Runtime, all others in torch, so that the engine does not depend on the machine.
        out: The folder of the results.
        top, threshold, layout, device, reading: As in `Predictor` and `Predictor.predict`.

    Raises:
        SettingError: `top` is below 1.
    """

    run: str
    out: str
    top: int = 5
    threshold: float = 0.0
    layout: str | None = None
    device: str | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_top(self.top)

    def predictor(self, device: str | None = None) -> Predictor:
        """Load the recognizer, by default onto the device of the job."""
        engine: Engine = "onnx" if Path(self.run).suffix == ".onnx" else "torch"
        return Predictor(self.run, device=device or self.device, engine=engine, threshold=self.threshold, reading=self.reading)


@dataclass(frozen=True)
class BatchResult:
    """Counts of clips.

    Attributes:
        predicted: The number of clips that were predicted.
        failed: The number of clips that were not acceptable.
        warned: The number of predicted clips whose coordinates are unlike the training clips.
        mapped: The reports of layout mappings.
    """

    predicted: int = 0
    failed: int = 0
    mapped: frozenset[str] = frozenset()
    warned: int = 0

    def __add__(self, other: BatchResult) -> BatchResult:
        return BatchResult(
            self.predicted + other.predicted, self.failed + other.failed, self.mapped | other.mapped, self.warned + other.warned
        )


def make_shards(
    stores: Sequence[str | PathLike[str]], files: Sequence[str | PathLike[str]], *, size: int = SHARD_SIZE
) -> tuple[Shard, ...]:
    """Return the shards of stores and files, none longer than `size`. Duplicate files are taken once.

    Raises:
        SettingError: The size is below 1, or a store was given twice.
        FileError: A store cannot be opened.
    """
    if size < 1:
        raise SettingError(f"a shard holds at least 1 clip, not {size}.")
    paths = [str(Path(store).resolve()) for store in stores]
    if len(set(paths)) < len(paths):
        raise SettingError(f"a store was given twice, among {', '.join(map(str, stores))}; name each once.")
    shards: list[Shard] = []
    for store in paths:
        count = len(open_store(Path(store)))
        shards += [
            Shard(len(shards) + number, first, min(size, count - first), store=store)
            for number, first in enumerate(range(0, count, size))
        ]
    names = list(dict.fromkeys(str(Path(file).absolute()) for file in files))
    for first in range(0, len(names), size):
        chunk = tuple(names[first : first + size])
        shards.append(Shard(len(shards), first, len(chunk), files=chunk))
    return tuple(shards)


def predict_shard(job: BatchJob, shard: Shard, predictor: Predictor) -> BatchResult:
    """Write the results of a shard, unless they exist."""
    path = Path(job.out) / shard.file
    if path.exists():
        return BatchResult()
    layout = load_layout(job.layout) if job.layout else None
    store = open_store(Path(shard.store)) if shard.store else None
    if store is not None and layout is None:
        layout = load_layout(store.info.layout)
    lines: list[str] = []
    counts = BatchResult()
    origin = {"store": shard.store} if shard.store else {}
    for start in range(0, shard.clips, _BATCH_SIZE):
        indices = range(start, min(start + _BATCH_SIZE, shard.clips))
        clips: list[Clip] | list[str]
        if store is not None:
            clips = [store[shard.first + index] for index in indices]
            names = [clip.name for clip in clips]
        else:
            clips = names = [shard.files[index] for index in indices]
        for name, result in zip(names, predictor.predict_each(clips, top=job.top, layout=layout), strict=True):
            lines.append(json_text({"clip": name, **origin, **_row(result)}))
            counts += _count(result)
    write_atomically(path, "".join(line + "\n" for line in lines))
    return counts


def predict_locally(job: BatchJob, shards: Iterable[Shard]) -> Iterator[tuple[Shard, BatchResult]]:
    """Predict shards one after the other in this process; yield each when it is done."""
    predictor = job.predictor()
    for shard in shards:
        yield shard, predict_shard(job, shard, predictor)


@contextlib.contextmanager
def open_batch(job: BatchJob, shards: Sequence[Shard]) -> Iterator[list[Shard]]:
    """Create or resume the folder of the results, locked for this process.

    Yields:
        The shards that are not done.

    Raises:
        FileError: The folder holds something else or the results of another job, cannot be made, or is in use.
        InputError: The recognizer cannot take a store's clips.
    """
    out, predictor = Path(job.out), job.predictor("cpu")  # this machine need not have the workers' devices
    for store in dict.fromkeys(shard.store for shard in shards if shard.store):
        _check(predictor, open_store(Path(store)), job.layout)
    manifest = _manifest(job, shards, predictor)
    _check_folder(out, manifest)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"could not make the folder {out}: {error.strerror or error}.") from error
    with folder_lock(out):
        _check_folder(out, manifest)  # again: another process may have written it meanwhile
        if not (out / MANIFEST).exists():
            write_atomically(out / MANIFEST, json.dumps(manifest, indent=1) + "\n")
        for partial in out.glob(".shard-*"):  # of killed workers
            partial.unlink(missing_ok=True)
        yield [shard for shard in shards if not (out / shard.file).exists()]


def count_results(job: BatchJob, shards: Iterable[Shard]) -> BatchResult:
    """Return the number of predictions and errors in the files of shards.

    Raises:
        FileError: A shard's file is missing, or has not one line for each clip.
    """
    counts = BatchResult()
    for shard in shards:
        path = Path(job.out) / shard.file
        try:
            with path.open(encoding="utf-8") as file:
                rows = [json.loads(line) for line in file]
            has_error, has_warning = (["error" in row for row in rows], ["warnings" in row for row in rows])
        except (OSError, ValueError) as error:
            raise FileError(f"{path} cannot be read ({error}). Delete it, and run the command again.") from error
        if len(rows) != shard.clips:
            raise FileError(f"{path} has {len(rows)} lines for {shard.clips} clips. Delete it, and run the command again.")
        counts += BatchResult(len(rows) - sum(has_error), sum(has_error), warned=sum(has_warning))
    return counts


def _row(result: Prediction | PoseglotError) -> dict[str, Any]:
    if isinstance(result, PoseglotError):
        return {"error": str(result)}
    return result.table()


def _count(result: Prediction | PoseglotError) -> BatchResult:
    if isinstance(result, PoseglotError):
        return BatchResult(failed=1)
    mapped = frozenset() if result.mapping is None else frozenset({result.mapping.report()})
    return BatchResult(predicted=1, mapped=mapped, warned=int(bool(result.warnings)))


def _check(predictor: Predictor, store: PackedStore, layout: str | None) -> None:
    predictor.check_store(store)
    predictor.mapping(load_layout(layout or store.info.layout))


def _manifest(job: BatchJob, shards: Sequence[Shard], predictor: Predictor) -> dict[str, Any]:
    """Return the content of `batch.json`; `fingerprint` identifies everything that the results depend on."""
    table = {
        "recognizer": {
            "path": str(find_recognizer(job.run).absolute()),
            "sha256": sha256_of(recognizer_file(job.run)),
            "temperature": predictor.temperature,
        },
        "settings": {
            "top": job.top,
            "threshold": job.threshold,
            "layout": load_layout(job.layout).described() if job.layout else None,
            **({"reading": dict(job.reading)} if job.reading else {}),
        },
        "clips": sum(shard.clips for shard in shards),
        "contents": _contents(shards),
    }
    listed = [{key: value for key, value in asdict(shard).items() if key != "files"} for shard in shards]
    fingerprint = hashlib.sha256(json.dumps([FORMAT, table, listed], sort_keys=True).encode()).hexdigest()
    return {"format": FORMAT, "fingerprint": fingerprint, **table, "shards": listed}


def _contents(shards: Sequence[Shard]) -> str:
    """Return a hash of the names, sizes and times of the files of the clips, and of the tables of stores."""
    digest = hashlib.sha256()
    for store in dict.fromkeys(shard.store for shard in shards if shard.store):
        for name in ("store.json", "clips.npy"):
            digest.update(sha256_of(Path(store) / name).encode())
        digest.update(_stamp(f"{store}/joints.npy"))  # too large to hash
    for shard in shards:
        for file in shard.files:
            digest.update(_stamp(file))
    return digest.hexdigest()


def _stamp(file: str) -> bytes:
    try:
        status = Path(file).stat()
    except OSError:  # its result will be an error
        return f"{file}\0\n".encode()
    return f"{file}\0{status.st_size} {status.st_mtime_ns}\n".encode()


def _check_folder(out: Path, manifest: dict[str, Any]) -> None:
    """Check that a folder is new, empty, or of the same job."""
    if not out.exists():
        return
    path = out / MANIFEST
    if not path.is_file():
        if not out.is_dir() or any(not entry.name.startswith(".") for entry in out.iterdir()):
            raise FileError(f"{out} holds something else than batch results. Choose another folder with --out.")
        return
    try:
        existing = json.loads(path.read_text(encoding="utf-8"))
        differing = [key for key, value in manifest.items() if existing.get(key) != value]
    except (OSError, ValueError, AttributeError) as error:
        raise FileError(f"{path} is damaged ({error}). Choose another folder with --out.") from error
    if differing:
        keys = ", ".join(key for key in differing if key != "fingerprint") or "clips"
        raise FileError(
            f"{out} holds the results of another job: {keys} differ from {MANIFEST}. Repeat that job's arguments to resume it, or choose "
            "another folder with --out."
        )
