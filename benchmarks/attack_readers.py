"""Damaged files of every format, by the thousand: each is read, refused by a typed error, or it is a fault of ours.

Small valid files are changed in one to four ways: bits flipped, cut, parts of it or of another file put in, numbers replaced by lies
(huge, negative, not a number, none). They are read in a child process (`poseglot.child`) with a limit of time and memory, which is
started again after a fault. The outcomes:

    read      the reader gave something; what it gives of a clip is finite and not larger than the memory limit
    refused   a `PoseglotError`
    defect    any other exception
    hang      longer than `--limit` seconds
    crash     the process ended, or took too much memory

    python benchmarks/attack_readers.py --inputs 1000000 --seed 0

An input depends on the seed, its kind and its number only. Inputs with one of the last three outcomes are written into `--failures`; the
exit status is then 1.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import pickle
import random
import re
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from measuring import machine, table, write_results

from poseglot.child import Child
from poseglot.errors import InputError, PoseglotError

BATCH = 100
MEMORY = 2**30
LIES = [
    b"-1",
    b"0",
    b"1e999",
    b"nan",
    b"",
    b"9" * 30,
    b"99999999",
    b"1e-400",
    b"0x10",
    b"2020-01-01",
    b"1" * 5000,
    b"true",
    b"[]",
]
EXTREMES = [b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0" * 4, b"\xff" * 8, b"\0\0\0\x80", b"\xff" * 7 + b"\x7f"]


@dataclass(frozen=True)
class Kind:
    """A kind of file: its name on disk, valid files, and how it is read."""

    file: str
    contents: Sequence[bytes]
    read: Callable[[Path], Any]


@dataclass
class Tally:
    """What became of the inputs of a kind; `faults` are (number, outcome, message)."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[int, str, str]] = field(default_factory=list)
    slowest: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="of all kinds together (1000000)")
    parser.add_argument("--kinds", nargs="+", choices=sorted(kinds()), default=sorted(kinds()))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=10.0, help="seconds for one input (10)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--out", type=Path, default=Path("results/attacks"))
    parser.add_argument("--failures", type=Path, default=Path("attack-failures"))
    parsed = parser.parse_args()
    began, each = time.monotonic(), max(1, parsed.inputs // len(parsed.kinds))
    tallies = {}
    with Victim() as victim:
        for place, name in enumerate(parsed.kinds, start=1):
            end = began + parsed.seconds * place / len(parsed.kinds)
            tallies[name] = attack(name, each, victim, seed=parsed.seed, limit=parsed.limit, end=end)
            keep(name, parsed.seed, tallies[name], parsed.failures)
    rows = [
        {"kind": name, "inputs": tally.outcomes.total()}
        | {outcome: tally.outcomes[outcome] for outcome in ("read", "refused", "defect", "hang", "crash")}
        | {"slowest, s": tally.slowest}
        for name, tally in tallies.items()
    ]
    sums = {key: sum(row[key] for row in rows) for key in rows[0] if key not in ("kind", "slowest, s")}
    rows.append({"kind": "all", **sums, "slowest, s": max(tally.slowest for tally in tallies.values())})
    about = machine()
    seconds = time.monotonic() - began
    text = f"# Damaged files\n\n`{about['command']}`: {sums['inputs']:,} inputs in {seconds:,.0f} s.\n\n{table(rows)}"
    write_results(parsed.out, "readers", text, {"machine": about, "seconds": seconds, "rows": rows})
    faults = [(name, *fault) for name, tally in tallies.items() for fault in tally.faults]
    for name, number, outcome, message in faults[:20]:
        print(f"{name} {number}: {outcome}\n{message}", file=sys.stderr)
    sys.exit(1 if faults else 0)


class Victim:
    """A child that reads, and is started again after a fault."""

    def __init__(self) -> None:
        self._child = Child()

    def __enter__(self) -> Victim:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.end()

    def call(self, function: Callable[..., Any], *args: Any, seconds: float) -> Any:
        """The result of a function, or `hang` or `crash`."""
        try:
            return self._child.call(function, *args, deadline=time.monotonic() + seconds, memory=MEMORY)
        except (TimeoutError, InputError) as error:
            self._child.end()
            self._child = Child()
            return "hang" if isinstance(error, TimeoutError) else "crash"


def attack(name: str, inputs: int, victim: Victim, *, seed: int = 0, limit: float = 10.0, end: float = float("inf")) -> Tally:
    """Read many damaged files of a kind; stop at `end` of the clock."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:

        def ask(numbers: range) -> bool:
            found = victim.call(read_batch, name, folder, seed, numbers, seconds=limit * len(numbers) ** 0.5)
            if isinstance(found, str):
                warm_up()
                if len(numbers) > 1:
                    return False
                found = Counter([found]), [(numbers[0], found, "")], 0.0
            tally.outcomes += found[0]
            tally.faults += found[1]
            tally.slowest = max(tally.slowest, found[2])
            return True

        def warm_up() -> None:
            if victim.call(warm, name, seconds=300):
                raise AssertionError(f"the valid files of {name} are not read")

        warm_up()
        for first in range(0, inputs, BATCH):
            if time.monotonic() > end:
                break
            numbers = range(first, min(first + BATCH, inputs))
            if not ask(numbers):  # one of them ended the child: which?
                for number in numbers:
                    ask(range(number, number + 1))
    return tally


def keep(name: str, seed: int, tally: Tally, folder: Path) -> None:
    """Write the inputs of the faults into a folder."""
    for number, _, message in tally.faults:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}-{seed}-{number}").write_bytes(mutated(name, seed, number))
        (folder / f"{name}-{seed}-{number}.txt").write_text(message)


def warm(name: str) -> None:
    """Read the valid files of a kind, so that everything is imported; each must be read."""
    warnings.simplefilter("ignore")
    kind = kinds()[name]
    with tempfile.TemporaryDirectory() as folder:
        for content in kind.contents:
            path = Path(folder) / kind.file
            path.write_bytes(content)
            kind.read(path)


def read_batch(name: str, folder: str, seed: int, numbers: range) -> tuple[Counter[str], list[tuple[int, str, str]], float]:
    """Read some damaged files of a kind, in the child."""
    kind, outcomes, faults, slowest = kinds()[name], Counter[str](), list[tuple[int, str, str]](), 0.0
    path = Path(folder) / kind.file
    for number in numbers:
        path.write_bytes(mutated(name, seed, number))
        began = time.monotonic()
        try:
            kind.read(path)
            outcome = "read"
        except PoseglotError:
            outcome = "refused"
        except MemoryError:
            outcome = "crash"
            faults.append((number, outcome, traceback.format_exc()[-2000:]))
        except Exception:
            outcome = "defect"
            faults.append((number, outcome, traceback.format_exc()[-2000:]))
        outcomes[outcome] += 1
        slowest = max(slowest, time.monotonic() - began)
    return outcomes, faults, slowest


def mutated(name: str, seed: int, number: int) -> bytes:
    """The damaged file of a number."""
    draw = random.Random(f"{name} {seed} {number}")
    kind = kinds()[name]
    content = bytearray(draw.choice(kind.contents))
    for _ in range(draw.randint(1, 4)):
        change = draw.choice((flip, cut, splice, lie, lie, extreme))
        change(content, draw, kind.contents)
    return bytes(content)


def flip(content: bytearray, draw: random.Random, others: Sequence[bytes]) -> None:
    for _ in range(draw.choice((1, 1, 8))):
        if content:
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def cut(content: bytearray, draw: random.Random, others: Sequence[bytes]) -> None:
    first, last = sorted(draw.randint(0, len(content)) for _ in range(2))
    if draw.random() < 0.5:
        last = min(last, first + 16)
    del content[first:last]


def splice(content: bytearray, draw: random.Random, others: Sequence[bytes]) -> None:
    source = bytes(content) if draw.random() < 0.7 else draw.choice(others)
    first = draw.randint(0, len(source))
    piece = source[first : first + draw.choice((1, 10, 100, 1000))] * draw.choice((1, 1, 1, 50))
    place = draw.randint(0, len(content))
    content[place:place] = piece


def lie(content: bytearray, draw: random.Random, others: Sequence[bytes]) -> None:
    found = list(re.finditer(rb"-?\d+(\.\d+)?", bytes(content[:20_000])))
    if found:
        number = draw.choice(found)
        content[number.start() : number.end()] = draw.choice(LIES)


def extreme(content: bytearray, draw: random.Random, others: Sequence[bytes]) -> None:
    piece = draw.choice(EXTREMES)
    place = draw.randint(0, len(content))
    content[place : place + len(piece)] = piece


# What is attacked


@cache
def kinds() -> dict[str, Kind]:
    """All kinds, by name. Made once a process; the same in every one."""
    return {**_clips(), **_tables(), **_stored()}


def _read_clip(path: Path) -> None:
    from poseglot.data.readers import read_clip

    joints = read_clip(path).joints
    if not np.isfinite(joints).all():
        raise AssertionError(f"not finite: {joints.shape}")


def _read_wide(path: Path) -> None:
    from poseglot.data.readers import read_clip

    read_clip(path, joint_count=20, dim_order="t,v,c")


def _numbers(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).round(3)


def _saved(save: Callable[..., Any], *args: Any, **named: Any) -> bytes:
    file = io.BytesIO()
    save(file, *args, **named)
    return file.getvalue()


def _clips() -> dict[str, Kind]:
    from poseglot.data.synthetic.raw_ntu import raw_clip

    joints = _numbers(6, 20, 3)
    rows = [f"{frame},{joint},{','.join(map(str, joints[frame, joint]))}" for frame in range(6) for joint in range(20)]
    long = "\n".join(["frame,joint,x,y,z", *rows]).encode()
    coco = [
        {"image_id": number, "category_id": 1, "keypoints": [*_numbers(51)], "score": 0.5, "bbox": [0, 0, 9, 9]}
        for number in range(4)
    ]
    openpose = {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": [*abs(_numbers(75))]}]}
    nw_ucla = {"file_name": "a01_s01_e00_v01", "skeletons": joints.tolist(), "label": 1}
    names = " ".join(f"j{joint}_{axis}" for joint in range(20) for axis in "xyz")
    wide = "\n".join([names, *(" ".join(map(str, row)) for row in joints.reshape(6, -1))]).encode()
    bvh = (
        "HIERARCHY\nROOT Hips\n{\nOFFSET 0 0 0\nCHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation\n"
        "JOINT Spine\n{\nOFFSET 0 10 0\nCHANNELS 3 Zrotation Xrotation Yrotation\nEnd Site\n{\nOFFSET 0 5 0\n}\n}\n}\n"
        "MOTION\nFrames: 3\nFrame Time: 0.033\n" + "\n".join(" ".join(map(str, row)) for row in _numbers(3, 9))
    )
    markers = [f"{frame}\t{frame / 30:.3f}\t" + "\t".join(map(str, _numbers(6))) for frame in range(1, 4)]
    trc = (
        "PathFileType\t4\t(X/Y/Z)\ta.trc\nDataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\t"
        "OrigNumFrames\n30\t30\t3\t2\tm\t30\t1\t3\nFrame#\tTime\tA\t\t\tB\t\t\n\t\tX1\tY1\tZ1\tX2\tY2\tZ2\n\n"
        + "\n".join(markers)
    )
    raw = raw_clip("S001C001P001R001A001", seed=0, faults=()).text
    raw = raw.encode() if isinstance(raw, str) else raw
    lines = raw.split(b"\n")
    short = b"\n".join([b"2", *lines[1:29], *lines[1:29], b""])
    found = {
        "npy": Kind("a.npy", [_saved(np.save, joints.astype(np.float32)), _saved(np.save, _numbers(4, 1, 6, 56))], _read_clip),
        "json-nw-ucla": Kind("a.json", [json.dumps(nw_ucla).encode()], _read_clip),
        "json-coco": Kind("a.json", [json.dumps(coco).encode()], _read_clip),
        "json-openpose": Kind("a_000000000001_keypoints.json", [json.dumps(openpose).encode()], _read_clip),
        "csv": Kind("a.csv", [long], _read_clip),
        "csv-gz": Kind("a.csv.gz", [gzip.compress(long, mtime=0)], _read_clip),
        "txt": Kind("a.txt", [wide, wide.replace(b" ", b";").replace(b".", b",")], _read_wide),
        "bvh": Kind("a.bvh", [bvh.encode()], _read_clip),
        "trc": Kind("a.trc", [trc.encode()], _read_clip),
        "skeleton": Kind("S001C001P001R001A001.skeleton", [short], _read_clip),
        "npz-rtmlib": Kind(
            "a.npz",
            [
                _saved(save, keypoints=_numbers(4, 1, 17, 2), scores=abs(_numbers(4, 1, 17)))
                for save in (np.savez, np.savez_compressed)
            ],
            _read_clip,
        ),
        "npz-poses": Kind("a.npz", [_poses()], _read_clip),
        "pickle": Kind("a.pkl", [pickle.dumps(_pyskl(), protocol) for protocol in range(6)], _read_pickle),
    }
    try:
        from scipy.io import savemat

        found["mat"] = Kind(
            "a.mat", [_saved(savemat, {"joints": joints}, do_compression=packed) for packed in (False, True)], _read_mat
        )
    except ImportError:
        pass
    return found


def _poses() -> bytes:
    from poseglot.data.readers.poses import Poses, write_poses
    from poseglot.skeletons.layout import load_layout

    pixels = _numbers(1, 4, 17, 2).astype(np.float32)
    poses = Poses(load_layout("coco17"), pixels, np.ones((1, 4, 17), np.float32), 30.0, (64, 48))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npz"
        write_poses(poses, path)
        return path.read_bytes()


def _pyskl() -> Any:
    entry = {"frame_dir": "a", "label": 1, "img_shape": (48, 64), "total_frames": 4, "keypoint": _numbers(1, 4, 17, 2)}
    return {"split": {"train": ["a"], "val": []}, "annotations": [entry]}


def _read_pickle(path: Path) -> None:
    from poseglot.data.readers.unpickle import load_plain

    load_plain(path)


def _read_mat(path: Path) -> None:
    # Not through the reader, whose own child would hide what ends the process; a fault there is one here if it leaves this child hanging.
    from poseglot.data.readers.matlab import load_variable

    load_variable(path)


def _tables() -> dict[str, Kind]:
    from poseglot.skeletons.layout import load_layout
    from poseglot.training.recipe import DataRecipe, Recipe
    from poseglot.training.recipe_io import read_recipe, recipe_yaml
    from poseglot.transforms import load_pipeline

    def packaged(*parts: str) -> bytes:
        import poseglot

        return (Path(poseglot.__file__).parent.joinpath(*parts)).read_bytes()

    def descriptions(path: Path) -> None:
        from poseglot.descriptions import load_descriptions

        load_descriptions(str(path))

    def study(path: Path) -> None:
        from poseglot.studies.study import load_study

        load_study(str(path))

    recipe = recipe_yaml(Recipe(DataRecipe("store", "split"))).encode()
    layout = packaged("skeletons", "layouts", "kinect20.yaml").replace(b"kinect20", b"mine")
    pipeline = packaged("transforms", "pipelines", "nw-ucla.yaml").replace(b"nw-ucla", b"mine")
    small = packaged("descriptions", "sets", "demo.yaml")
    return {
        "yaml-recipe": Kind("a.yaml", [recipe], read_recipe),
        "yaml-layout": Kind("a.yaml", [layout], lambda path: load_layout(str(path))),
        "yaml-pipeline": Kind("a.yaml", [pipeline], lambda path: load_pipeline(str(path))),
        "yaml-descriptions": Kind("a.yaml", [small], descriptions),
        "yaml-study": Kind("a.yaml", [packaged("studies", "library", "nw-ucla-live.yaml")], study),
    }


def _stored() -> dict[str, Kind]:
    from poseglot.data.benchmarks import load_benchmark
    from poseglot.data.store import open_store, write_store
    from poseglot.evaluation.scores import SavedScores, load_scores, save_scores
    from poseglot.models.recognizer import RecognizerSpec, load_recognizer, new_recognizer, save_recognizer
    from poseglot.skeletons.clip import Clip
    from poseglot.skeletons.layout import load_layout
    from poseglot.training.run_folder import RunFolder

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spec = RecognizerSpec("kinect20", ("wave", "kick"), encoder="st-gcn", encoder_kwargs={"base_channels": 8})
        save_recognizer(new_recognizer(spec, seed=0), folder / "recognizer")
        scores = SavedScores(("a", "b"), np.array([0, 1]), _numbers(2, 3), ("x", "y", "z"), "joint", "demo", "split")
        save_scores(scores, folder / "scores")
        clips = [Clip(_numbers(1, 5, 20, 3).astype(np.float32), name=each, label=0, subject=1) for each in "ab"]
        write_store(folder / "store", clips, benchmark=load_benchmark("demo"), layout=load_layout("kinect20"), source={})
        store = {file.name: file.read_bytes() for file in (folder / "store").iterdir()}
        recognizer, saved = (folder / "recognizer").read_bytes(), (folder / "scores").read_bytes()

    def read_store(path: Path) -> None:
        for other, content in store.items():
            if other != path.name:
                (path.parent / other).write_bytes(content)
        for clip in open_store(path.parent):
            assert clip.joints.ndim == 4

    entry = {"epoch": 1, "loss": 0.5, "train": {"correct": 1, "total": 2}}
    log = b"".join(json.dumps({**entry, "epoch": epoch}).encode() + b"\n" for epoch in range(1, 4))
    return {
        **{f"store-{file}": Kind(file, [store[file]], read_store) for file in ("store.json", "clips.npy", "joints.npy")},
        "recognizer": Kind("recognizer.safetensors", [recognizer], load_recognizer),
        "scores": Kind("scores.npz", [saved], load_scores),
        "log": Kind("log.jsonl", [log], lambda path: RunFolder(path.parent).read_log()),
    }


if __name__ == "__main__":
    import attack_readers  # under its own name, by which children find its functions

    attack_readers.main()
