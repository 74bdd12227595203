"""How fast NTU RGB+D is prepared, and in how much memory: ours against the field's way (`field_ntu.py`), on generated files.

    python benchmarks/prepare_ntu.py --files 1000 3000 10000 --keep /tmp/raw --out results/ntu-preparation

Three parts, each a table:

    parsing     one core, texts in memory: our reader, our plain one, the field's way, and `split` of every line, which reads no number
    end to end  the commands themselves, from files to what is trained on, in processes of their own: time, memory, what is written
    opening     a store of as many clips as NTU RGB+D 120 has, in a fresh process

Readers and commands take turns, so that what else runs on the machine meets all of them; ratios are taken within a turn. What else ran
(`others`: how many cores it kept busy) is in the tables; processor time hardly depends on it, time on the clock does. Linux only.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import field_ntu
import numpy as np
from measuring import ENVIRONMENT, MB, cost_of, machine, shown, table, write_results
from parsing_ntu import FIELD, LEAN, measure_parsing, readable, texts_of

from poseglot.data.store import PackedStore, open_store
from poseglot.data.synthetic.raw_ntu import raw_names, write_raw_set

WHOLE_SET = 114_480
_OPEN = """
import time; started = time.perf_counter()
from pathlib import Path
from poseglot.data.store import open_store
imported = time.perf_counter(); store = open_store(Path({path!r}))
print(imported - started, time.perf_counter() - imported, len(store))"""


# --- end to end ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A command that prepares a set: `way` is what the tables call it, `out` the folder it makes."""

    way: str
    command: Sequence[str | Path]
    out: Path

    def shown(self) -> str:
        """The command without the folders that its files lie in for the time being."""
        return " ".join(["python", *(part.name if isinstance(part, Path) else part for part in self.command[1:])])


def ours(archive: Path, scratch: Path, workers: int) -> Case:
    out = scratch / f"store-{workers}"
    command = [sys.executable, "-m", "poseglot", "prepare", "ntu120", "--source", archive, "--out", out]
    return Case(f"ours, {workers} worker{'s' * (workers > 1)}", [*command, "--workers", str(workers)], out)


def theirs(archive: Path, scratch: Path, values: int) -> Case:
    out = scratch / f"field-{values}"
    return Case(FIELD if values == 12 else LEAN, [sys.executable, Path(field_ntu.__file__), archive, out, str(values)], out)


def cases(archive: Path, scratch: Path, workers: Sequence[int]) -> list[Case]:
    """All ways to prepare a zip, the field's two first."""
    return [theirs(archive, scratch, 12), theirs(archive, scratch, 3), *(ours(archive, scratch, count) for count in workers)]


def run(case: Case, archive: Path) -> dict[str, Any]:
    """What preparing the files of this zip cost; a row of the table."""
    cost = cost_of(case.command, accepted=(0, 1))  # 1: some recordings hold nobody, which is said at the end
    with zipfile.ZipFile(archive) as opened:
        sizes = [entry.file_size for entry in opened.infolist()]
    return {
        "way": case.way,
        "files": len(sizes),
        "seconds": cost.seconds,
        "processor s": cost.cpu,
        "files/s": len(sizes) / cost.seconds,
        "MB/s": sum(sizes) / 1e6 / cost.seconds,
        "peak MiB": cost.peak_mb,
        "at most MiB": cost.bound_mb,
        "written MB": sum(path.stat().st_size for path in case.out.rglob("*") if path.is_file()) / 1e6,
        "others' cores": cost.others,
        "load": cost.load,
    }


def measure_sample(
    archive: Path, scratch: Path, workers: Sequence[int], repeats: int
) -> tuple[list[list[dict[str, Any]]], dict[str, Any]]:
    """The field's ways and ours on the same files: a row for each way, in each turn; and where the field's time went in the last.

    What they make is the same.
    """
    turns = []
    for _ in range(repeats):
        ways = cases(archive, scratch, workers)
        turns.append([run(case, archive) for case in ways])
        passes = json.loads((ways[0].out / "seconds.json").read_text())
        for field in ways[:2]:
            for store in ways[2:]:
                check_same(field.out / "padded.npz", open_store(store.out))
        for case in ways:
            shutil.rmtree(case.out)
    return turns, passes


def check_same(padded: Path, store: PackedStore) -> None:
    """See that the field's arrays hold the clips of a store, to the bit, and nothing else."""
    with np.load(padded) as field:
        assert field["names"].tolist() == store.clips["name"].tolist()
        for place, row in enumerate(field["x"]):
            joints = store[place].joints
            expected = np.zeros_like(row)
            for person, track in enumerate(joints):
                expected[: len(track), 75 * person : 75 * (person + 1)] = track.reshape(len(track), 75)
            assert np.array_equal(row, expected), store.clips["name"][place]


def summed_up(turns: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The middle of the turns, with the quickest and the slowest."""
    rows = []
    for own in zip(*turns, strict=True):
        times = [each["seconds"] for each in own]
        middle = {key: statistics.median(each[key] for each in own) for key in own[0] if key != "way"}
        rows.append({"way": own[0]["way"], **middle, "quickest and slowest s": f"{shown(min(times))} to {shown(max(times))}"})
    return rows


def ratios(turns: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """How many times faster than the field's ways, in the middle of the turns."""
    rows = []
    for own in zip(*turns, strict=True):
        row = {"way": own[0]["way"]}
        for rival, name in enumerate((FIELD, LEAN)):
            for key, unit in (("seconds", "clock"), ("processor s", "processor")):
                times = [turn[rival][key] / each[key] for turn, each in zip(turns, own, strict=True)]
                row[f"times {name}, {unit}"] = statistics.median(times)
        rows.append(row)
    return rows


# --- opening ---------------------------------------------------------------------------------------------------------------


def measure_opening(store: PackedStore, folder: Path, clips: int, repeats: int) -> dict[str, Any]:
    """A store of so many clips, made by repeating the table of another over a file of zeros, opened in fresh processes."""
    folder.mkdir()
    table = np.resize(store.clips, clips)
    table["name"] = raw_names(clips, seed=0)
    rows = table["frames"].astype(np.int64) * table["num_persons"]
    table["offset"] = np.cumsum(rows) - rows
    np.save(folder / "clips.npy", table)
    # Written nowhere, so it takes no place on the disk.
    np.lib.format.open_memmap(folder / "joints.npy", "w+", store.joints.dtype, (int(rows.sum()), *store.joints.shape[1:]))
    shutil.copy(Path(store.joints.filename).parent / "store.json", folder)
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        command = [sys.executable, "-c", _OPEN.format(path=str(folder))]
        said = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout.split()
        assert int(said[2]) == clips
        found.append((time.perf_counter() - started, float(said[0]), float(said[1])))
    whole, importing, opening = (statistics.median(column) for column in zip(*found, strict=True))
    return {
        "clips": clips,
        "GB": int(rows.sum()) * 300 / 1e9,
        "open_store s": opening,
        "importing s": importing,
        "whole process s": whole,
    }


# --- all of it -------------------------------------------------------------------------------------------------------------


def raw_set(folder: Path, files: int, workers: int) -> Path:
    """A zip of so many generated files; one that is there already is taken."""
    path = folder / f"raw-{files}.zip"
    if not path.exists():
        print(f"generating {files:,} files: {path}", flush=True)
        write_raw_set(path, files=files, seed=0, workers=workers)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how NTU RGB+D is prepared.")
    parser.add_argument("--files", type=int, nargs="+", default=[1000, 3000, 10000], help="sizes of the generated sets")
    parser.add_argument("--sample", type=int, default=1000, help="files that the field's way prepares, too")
    parser.add_argument("--texts", type=int, default=60, help="files for parsing alone")
    parser.add_argument("--raw", type=Path, help="a folder of real .skeleton files, for parsing alone")
    parser.add_argument("--workers", type=int, default=2, help="the most processes")
    parser.add_argument("--repeats", type=int, default=3, help="turns")
    parser.add_argument("--clips", type=int, default=WHOLE_SET, help="clips of the store that is opened")
    parser.add_argument("--keep", type=Path, help="keep the generated files here, and take those that are there")
    parser.add_argument("--out", type=Path, default=Path("results/ntu-preparation"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prepare-ntu-") as temporary:
        measure(given, Path(temporary))


def measure(given: argparse.Namespace, scratch: Path) -> None:
    """Everything, and the tables."""
    keep = given.keep or scratch
    archives = {files: raw_set(keep, files, given.workers) for files in sorted({given.sample, *given.files})}
    workers = sorted({1, given.workers})
    generated = texts_of(archives[max(given.files)], given.texts)
    parsing = {"generated files": measure_parsing(generated, given.repeats)}
    if given.raw:
        real = readable([path.read_bytes() for path in sorted(given.raw.glob("*.skeleton"))])
        parsing["real files"] = measure_parsing(real, given.repeats)
    turns, passes = measure_sample(archives[given.sample], scratch, workers, given.repeats)
    growing = []
    for files in sorted(given.files):
        for count in workers:
            case = ours(archives[files], scratch, count)
            shutil.rmtree(case.out, ignore_errors=True)
            growing.append(run(case, archives[files]))
    opening = measure_opening(open_store(case.out), scratch / "whole", given.clips, given.repeats)
    data = {
        "machine": machine(),
        "parsing": parsing,
        "sample, turn by turn": turns,
        "sample": summed_up(turns),
        "ratios": ratios(turns),
        "the field's passes, s": passes,
        "growing": growing,
        "projected": projected(summed_up(turns)[:2], growing),
        "opening": opening,
    }
    commands = [case.shown() for case in cases(archives[given.sample], scratch, workers)]
    write_results(given.out, "table", as_text(data, commands, len(generated)), data)


def projected(field: Sequence[dict[str, Any]], growing: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the whole set would take if time grew with the number of files, and memory as between the two largest sets measured.

    Below some thousand files memory grows faster, until as much is read ahead as ever is. Of the field's memory, the padded array alone.
    """
    padded = WHOLE_SET * field_ntu.FRAMES * 2 * field_ntu.JOINTS * 3 * 4 / MB
    rows = []
    for way in dict.fromkeys(row["way"] for row in (*field, *growing)):
        own = [row for row in (*field, *growing) if row["way"] == way]
        smaller, row = own[-2:][0], own[-1]
        by_file = max(0.0, row["peak MiB"] - smaller["peak MiB"]) / max(row["files"] - smaller["files"], 1)
        each = row["seconds"] / row["files"]
        rows.append(
            {
                "way": way,
                "measured on": row["files"],
                "minutes": each * WHOLE_SET / 60,
                "peak MiB": f"over {padded:,.0f}" if row in field else row["peak MiB"] + by_file * (WHOLE_SET - row["files"]),
                f"times {FIELD}": field[0]["seconds"] / field[0]["files"] / each,
                f"times {LEAN}": field[1]["seconds"] / field[1]["files"] / each,
            }
        )
    return rows


def as_text(data: dict[str, Any], commands: Sequence[str], texts: int) -> str:
    """The page that is written."""
    sections = {
        f"Parsing, one core: {texts} generated files": data["parsing"]["generated files"],
        "Parsing, one core: real files": data["parsing"].get("real files"),
        "From the zip to what is trained on, the same files in turns": data["sample"],
        "How many times faster": data["ratios"],
        "Seconds of the field's passes": [data["the field's passes, s"]],
        "Ours as files grow": data["growing"],
        f"Projected, not measured: {WHOLE_SET:,} files": data["projected"],
        "Opening a store": [data["opening"]],
    }
    parts = [
        "# Preparing NTU RGB+D: time and memory\n",
        "".join(f"- {key}: {value}\n" for key, value in data["machine"].items()),
    ]
    for title, rows in sections.items():
        if rows:
            parts += [f"## {title}\n", table(rows)]
    return "\n".join([*parts, "## The commands\n", *(f"    {command}" for command in commands), ""])


if __name__ == "__main__":
    main()
