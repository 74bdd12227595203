"""Answering for archives: more clips than a machine or an afternoon holds, in shards, each done once.

    archive.json          what was asked, of which recognizer, of which clips; and the shards
    shard-000000.jsonl    a line for each clip of the shard, in order: its answers, or the error of a clip that could not be taken

A shard is a range of the clips of a store, which are read from its memory-mapped file where they are needed, or some of the files.
Which clips are in which shard follows from what is asked and nothing else. A shard's file is written beside its place and renamed when
it is complete: what is there is done, what is not is to be done, whoever was killed in between; and doing a shard twice writes the same
file. That is all that resuming, and losing a machine, needs. `answer_here` does shards in this process, `poseglot.inference.batch_ray` on
many machines.

Lines of JSON because an answer is nested and may be an error, because numbers are kept to the last bit, and because everything reads
them (`pandas.read_json(lines=True)`, DuckDB, jq) while Parquet needs a package of 170 MB to be written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from poseglot.data.store import PackedStore, open_store
from poseglot.errors import PoseglotError
from poseglot.files import exclusive_lock, sha256_of, write_atomically
from poseglot.inference.predictor import Engine, Prediction, Predictor, recognizer_file
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout

FORMAT = "poseglot answers 1"
MANIFEST = "archive.json"
SHARD_SIZE = 1024
# Clips that go through the network at once. The same for all engines, as the last bit of an answer may hang on it.
_BATCH = 64


@dataclass(frozen=True)
class Shard:
    """Some of the clips, which are answered for together.

    Attributes:
        number: among all shards.
        first: the place of its first clip among those of its store, or among all files.
        clips: how many.
        store: where they are; empty if they are files.
        files: the files, if they are.
    """

    number: int
    first: int
    clips: int
    store: str = ""
    files: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The name of the file with its answers."""
        return f"shard-{self.number:06}.jsonl"


@dataclass(frozen=True)
class BatchJob:
    """What is asked of every clip, and where the answers go; every machine must see these places under the same names.

    Attributes:
        run: a run's folder, or the file of a recognizer.
        out: the folder of the answers.
        top, unknown_below, layout, device: as in `Predictor`. A run is answered for by torch, an .onnx file by ONNX Runtime: what is
            chosen must not hang on the machine.

    Raises:
        PoseglotError: fewer answers than one are asked for.
    """

    run: str
    out: str
    top: int = 5
    threshold: float = 0.0
    layout: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        if self.top < 1:
            raise PoseglotError(f"at least one answer must be asked for, not {self.top}.")

    def predictor(self, device: str | None = None) -> Predictor:
        """The recognizer, loaded; by default onto the device that the clips are to be answered on."""
        engine: Engine = "onnx" if Path(self.run).suffix == ".onnx" else "torch"
        return Predictor(self.run, device=device or self.device, engine=engine, threshold=self.threshold)


@dataclass(frozen=True)
class BatchResult:
    """What became of some clips: how many were answered for, how many could not be taken, and how joints of others were mapped."""

    answered: int = 0
    errors: int = 0
    mapped: frozenset[str] = frozenset()

    def __add__(self, other: BatchResult) -> BatchResult:
        return BatchResult(self.answered + other.answered, self.errors + other.errors, self.mapped | other.mapped)


def make_shards(stores: Sequence[Path], files: Sequence[Path], *, size: int = SHARD_SIZE) -> tuple[Shard, ...]:
    """The shards of some stores and files, none longer than `size`; files that are given twice are taken once.

    Raises:
        PoseglotError: a size below 1, a store that cannot be opened, or one given twice.
    """
    if size < 1:
        raise PoseglotError(f"a shard holds one clip or more, not {size}.")
    places = [str(store.resolve()) for store in stores]
    if len(set(places)) < len(places):
        raise PoseglotError(f"a store was given twice, among {', '.join(map(str, stores))}; name each once.")
    shards: list[Shard] = []
    for store in places:
        count = len(open_store(Path(store)))
        shards += [
            Shard(len(shards) + number, first, min(size, count - first), store=store)
            for number, first in enumerate(range(0, count, size))
        ]
    names = list(dict.fromkeys(str(file.absolute()) for file in files))
    for first in range(0, len(names), size):
        some = tuple(names[first : first + size])
        shards.append(Shard(len(shards), first, len(some), files=some))
    return tuple(shards)


def answer_shard(job: BatchJob, shard: Shard, predictor: Predictor) -> BatchResult:
    """Write the answers of a shard, unless that is done."""
    path = Path(job.out) / shard.file
    if path.exists():
        return BatchResult()
    layout = load_layout(job.layout) if job.layout else None
    store = open_store(Path(shard.store)) if shard.store else None
    if store is not None and layout is None:
        layout = load_layout(store.info.layout)
    lines: list[str] = []
    done = BatchResult()
    for start in range(0, shard.clips, _BATCH):
        places = range(start, min(start + _BATCH, shard.clips))
        clips: list[Clip] | list[str]
        if store is not None:
            clips = [store[shard.first + place] for place in places]
            names = [clip.name for clip in clips]
        else:
            clips = names = [shard.files[place] for place in places]
        for name, said in zip(names, predictor.predict_each(clips, top=job.top, layout=layout), strict=True):
            of = {"store": shard.store} if shard.store else {}
            lines.append(json.dumps({"clip": name, **of, **_said(said)}, ensure_ascii=False))
            done += _counted(said)
    write_atomically(path, "".join(line + "\n" for line in lines))
    return done


def answer_here(job: BatchJob, shards: Iterable[Shard]) -> Iterator[tuple[Shard, BatchResult]]:
    """Answer for shards one after the other, in this process; yields each when it is done."""
    predictor = job.predictor()
    for shard in shards:
        yield shard, answer_shard(job, shard, predictor)


@contextlib.contextmanager
def opened(job: BatchJob, shards: Sequence[Shard]) -> Iterator[list[Shard]]:
    """The folder of the answers, held by this process alone: begun, or gone on with.

    Yields:
        The shards that are not done.

    Raises:
        PoseglotError: the folder holds something else, or answers to something else that was asked; it cannot be made; another process
            is at it; or the recognizer cannot take a store's clips.
    """
    out, predictor = Path(job.out), job.predictor("cpu")  # this machine need not have what the workers have
    for store in dict.fromkeys(shard.store for shard in shards if shard.store):
        _check(predictor, open_store(Path(store)), job.layout)
    asked = _manifest(job, shards, predictor)
    _check_folder(out, asked)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PoseglotError(f"could not make the folder {out}: {error.strerror or error}.") from error
    with (out / ".lock").open("a", encoding="utf-8") as lock, exclusive_lock(lock, out):
        _check_folder(out, asked)  # once more: another process may have filled it meanwhile
        if not (out / MANIFEST).exists():
            write_atomically(out / MANIFEST, json.dumps(asked, indent=1) + "\n")
        for left in out.glob(".shard-*"):  # of workers that were killed
            left.unlink(missing_ok=True)
        yield [shard for shard in shards if not (out / shard.file).exists()]


def count_answers(job: BatchJob, shards: Iterable[Shard]) -> BatchResult:
    """The answers and errors in the files of shards, counted.

    Raises:
        PoseglotError: a shard's file is not there, or has not one line for each of its clips.
    """
    answered = errors = 0
    for shard in shards:
        path = Path(job.out) / shard.file
        try:
            with path.open(encoding="utf-8") as file:
                failed = ["error" in json.loads(line) for line in file]
        except (OSError, ValueError) as error:
            raise PoseglotError(f"{path} cannot be read ({error}). Delete it, and run the command again.") from error
        if len(failed) != shard.clips:
            raise PoseglotError(
                f"{path} has {len(failed)} lines for {shard.clips} clips. Delete it, and run the command again."
            )
        errors += sum(failed)
        answered += len(failed) - sum(failed)
    return BatchResult(answered, errors)


def _said(said: Prediction | PoseglotError) -> dict[str, Any]:
    if isinstance(said, PoseglotError):
        return {"error": str(said)}
    answers = [{"action": answer.action, "probability": answer.probability} for answer in said.answers]
    return {"action": said.action, "unknown": said.unknown, "answers": answers}


def _counted(said: Prediction | PoseglotError) -> BatchResult:
    if isinstance(said, PoseglotError):
        return BatchResult(errors=1)
    return BatchResult(answered=1, mapped=frozenset() if said.mapping is None else frozenset({said.mapping.report()}))


def _check(predictor: Predictor, store: PackedStore, layout: str | None) -> None:
    predictor.check_store(store)
    predictor.mapping(load_layout(layout or store.info.layout))


def _manifest(job: BatchJob, shards: Sequence[Shard], predictor: Predictor) -> dict[str, Any]:
    """What `archive.json` says; `fingerprint` stands for all that the answers hang on."""
    asked = {
        "recognizer": {
            "path": str(Path(job.run).absolute()),
            "sha256": sha256_of(recognizer_file(Path(job.run))),
            "temperature": predictor.temperature,
        },
        "settings": {
            "top": job.top,
            "unknown_below": job.threshold,
            "layout": load_layout(job.layout).described() if job.layout else None,
        },
        "clips": sum(shard.clips for shard in shards),
        "contents": _contents(shards),
    }
    listed = [{key: value for key, value in asdict(shard).items() if key != "files"} for shard in shards]
    fingerprint = hashlib.sha256(json.dumps([FORMAT, asked, listed], sort_keys=True).encode()).hexdigest()
    return {"format": FORMAT, "fingerprint": fingerprint, **asked, "shards": listed}


def _contents(shards: Sequence[Shard]) -> str:
    """A hash of the names, sizes and times of the files that the clips are in; of stores also of the table."""
    digest = hashlib.sha256()
    for store in dict.fromkeys(shard.store for shard in shards if shard.store):
        for name in ("store.json", "clips.npy"):
            digest.update(sha256_of(Path(store) / name).encode())
        digest.update(_stamp(f"{store}/joints.npy"))  # too large to be read twice
    for shard in shards:
        for file in shard.files:
            digest.update(_stamp(file))
    return digest.hexdigest()


def _stamp(file: str) -> bytes:
    try:
        status = Path(file).stat()
    except OSError:  # answered by an error
        return f"{file}\0\n".encode()
    return f"{file}\0{status.st_size} {status.st_mtime_ns}\n".encode()


def _check_folder(out: Path, asked: dict[str, Any]) -> None:
    """See that a folder is new, empty, or holds answers to the same question."""
    if not out.exists():
        return
    path = out / MANIFEST
    if not path.is_file():
        if not out.is_dir() or any(not left.name.startswith(".") for left in out.iterdir()):
            raise PoseglotError(f"{out} holds something else than answers. Choose another folder with --out.")
        return
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        other = [key for key, value in asked.items() if there.get(key) != value]
    except (OSError, ValueError, AttributeError) as error:
        raise PoseglotError(f"{path} is damaged ({error}). Choose another folder with --out.") from error
    if other:
        what = ", ".join(key for key in other if key != "fingerprint") or "clips"
        raise PoseglotError(
            f"{out} holds answers to something else: {what} differ from what {MANIFEST} there says. Give what was given then to go on, or "
            "another folder with --out."
        )
