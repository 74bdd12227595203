"""Synthetic sets of raw NTU RGB+D files, and broken files, to test and measure preparation without the real ones.

`raw_ntu_clip` makes a file keyed by (seed, name), so it does not depend on how many others are made, or by how many processes.

    python -m poseglot.data.synthetic.raw_ntu --files 10000 --out raw.zip --seed 0
"""

from __future__ import annotations

import argparse
import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from poseglot.data.ingest import in_order
from poseglot.data.synthetic.raw_ntu_clip import FAULTS, JOINTS, RawBody, RawClip, RawTruth, raw_clip, raw_file
from poseglot.data.synthetic.raw_ntu_people import Take
from poseglot.errors import FileError, NotFoundError, PoseglotError, SettingError
from poseglot.files import file_written_atomically, folder_written_atomically

__all__ = [
    "FAULTS",
    "RawBody",
    "RawClip",
    "RawMember",
    "RawTruth",
    "broken_files",
    "raw_clip",
    "raw_file",
    "raw_names",
    "write_raw_set",
]

_FOR_NAMES = 17  # the second word of the generator's key; those of the other files are smaller
_LEVEL = 4  # of deflate: almost as small as the usual 6, three times as fast
_FOLDER = "nturgb+d_skeletons"  # in the zip, as in the real download


# --- bad input -------------------------------------------------------------------------------------------------------------


def broken_files(seed: int) -> dict[str, bytes]:
    """Return a file of 30 frames and one person, broken in many ways: what is wrong -> the bytes.

    "unbroken" is the file itself. "indefinite depth" does not affect readers of x, y and z; everything else does.
    """
    text = raw_clip("S001C001P001R001A001", seed=seed, faults=(), frames=30).text
    end = b"\r\n" if b"\r\n" in text else b"\n"
    lines = text.split(end)[:-1]
    start = 1 + 12 * (3 + JOINTS)  # the thirteenth frame: bodies, body, joints, then a line for each joint
    bodies, body, count, joint = start, start + 1, start + 2, start + 7
    after = joint - 4 + JOINTS  # of the next frame

    def changed(line: int, text: bytes, column: int | None = None) -> bytes:
        words = lines[line].split(b" ")
        new = text if column is None else b" ".join([*words[:column], text, *words[column + 1 :]])
        return end.join([*lines[:line], new, *lines[line + 1 :], b""])

    before = end.join(lines[:joint]) + end
    words = lines[joint].split(b" ")
    return {
        "unbroken": text,
        "indefinite depth": changed(joint, b"-1.#IND", 3),
        "cut in a number": before + words[0] + b" " + words[1][:-2],
        "cut in a line": before + b" ".join(words[:5]),
        "cut in a frame": before,
        "cut between frames": end.join(lines[:bodies]) + end,
        "cut after the number of frames": lines[0] + end,
        "one body too many": changed(bodies, b"2"),
        "one body too few": changed(bodies, b"0"),
        "an id twice in a frame": end.join([*lines[:bodies], b"2", *2 * lines[body:after], *lines[after:], b""]),
        "one frame too many": changed(0, b"31"),
        "one frame too few": changed(0, b"29"),
        "nan": changed(joint, b"NaN", 0),
        "infinite": changed(joint, b"Infinity", 2),
        "out of range": changed(joint, b"1e400", 1),
        "indefinite x": changed(joint, b"-1.#IND", 0),
        "letters in a joint": changed(joint, b"left", 1),
        "letters for the bodies": changed(bodies, b"one"),
        "letters for the frames": changed(0, b"thirty"),
        "24 joints": end.join([*lines[:count], b"24", *lines[count + 1 : joint], *lines[joint + 1 :], b""]),
        "24 joints said, 25 there": changed(count, b"24"),
        "a value missing in a joint": changed(joint, b" ".join(words[:-1])),
        "a value too many in a joint": changed(joint, lines[joint] + b" 2"),
        "a value missing in a body": changed(body, lines[body].rsplit(b" ", 1)[0]),
        "an empty line": changed(joint, b""),
        "empty file": b"",
        "zero frames": b"0" + end,
        "trailing garbage": text + b"and then some" + end,
        "negative frames": changed(0, b"-30"),
        "negative bodies": changed(bodies, b"-1"),
        "negative joints": changed(count, b"-25"),
        "huge frames": changed(0, b"99999999999999999999"),
        "huge bodies": changed(bodies, b"4000000000"),
        "huge joints": changed(count, b"4000000000"),
        "not text": bytes(range(256)) * 4,
    }


# --- whole sets ------------------------------------------------------------------------------------------------------------


class RawMember(NamedTuple):
    """A file to be written: plain for a folder, deflated for a zip."""

    name: str
    content: bytes
    size: int
    checksum: int


def raw_names(files: int, *, seed: int, benchmark: str = "ntu120") -> list[str]:
    """Draw different names, ascending, distributed like the real set over setups, cameras, people, replications and actions.

    They are drawn from 56,880 (`ntu60`) or 114,480 (`ntu120`) names, the numbers of recordings in the real sets: setups 1-17 with people
    1-40 and actions 1-60, setups 18-32 with people 41-106 and actions 61-120, nine to eleven people in a setup. The names of a smaller
    set are among those of a larger one.

    Raises:
        NotFoundError: There is no such benchmark.
        SettingError: The number of files is out of range, or the seed is negative.
    """
    if benchmark not in ("ntu60", "ntu120"):
        raise NotFoundError(benchmark, ("ntu60", "ntu120"), kind="benchmark")
    # Setups, people, how many setups are larger, people in the smaller ones, actions. 158 x 360 and 160 x 360 recordings.
    parts = [(range(1, 18), range(1, 41), 5, 9, range(1, 61)), (range(18, 33), range(41, 107), 10, 10, range(61, 121))]
    takes = []
    for setups, people, larger, smaller, actions in parts[: 1 + (benchmark == "ntu120")]:
        arrived = 0
        for index, setup in enumerate(setups):
            present = [people[(arrived + k) % len(people)] for k in range(smaller + (index < larger))]
            arrived += len(present)
            takes += [(setup, c, p, r, a) for c in (1, 2, 3) for p in present for r in (1, 2) for a in actions]
    if not 1 <= files <= len(takes) or seed < 0:
        raise SettingError(
            f"cannot make {files:,} files with seed {seed}; {benchmark} has 1 to {len(takes):,} files, and a seed is 0 or more."
        )
    drawn = np.random.default_rng([seed, _FOR_NAMES]).permutation(len(takes))[:files]
    return sorted(Take(*takes[index]).name for index in drawn)


def write_raw_set(
    out: str | Path,
    *,
    files: int,
    seed: int,
    benchmark: str = "ntu120",
    faults: Mapping[str, float] | Iterable[str] = FAULTS,
    workers: int = 1,
    progress: Callable[[Iterable[RawMember]], Iterable[RawMember]] = lambda members: members,
) -> list[str]:
    """Write a synthetic set into a new folder, or into a zip (under `nturgb+d_skeletons/`, like the download) if `out` ends in .zip.

    Args:
        out: The folder or zip.
        files: The number of files.
        seed: The seed of all random numbers.
        benchmark: `ntu60` or `ntu120`, the names to draw from; see `raw_names`.
        faults: See `raw_clip`.
        workers: The number of processes. The bytes do not depend on it, or on the time of day.
        progress: Wraps the files as they come, to show a bar.

    Returns:
        The names. `raw_clip(name, seed=seed, faults=faults).truth` is the content of each.

    Raises:
        SettingError: A number of files, benchmark, seed or fault is not acceptable.
        FileError: `out` exists, or the disk refused. Nothing is left half-written.
    """
    names = raw_names(files, seed=seed, benchmark=benchmark)
    out = Path(out)
    zipped = out.suffix.lower() == ".zip"
    table = dict(faults) if isinstance(faults, Mapping) else dict.fromkeys(faults, 1.0)
    members = progress(_members(names, seed, table, zipped, workers))
    if zipped:
        if out.exists():
            raise FileError(f"{out} already exists. Choose another name, or remove it.")
        with file_written_atomically(out) as file, zipfile.ZipFile(file, "w") as archive:
            for member in members:
                _add(archive, member)
    else:
        with folder_written_atomically(out) as folder:
            for member in members:
                (folder / f"{member.name}.skeleton").write_bytes(member.content)
    return names


def _members(names: list[str], seed: int, faults: Mapping[str, float], zipped: bool, workers: int) -> Iterator[RawMember]:
    """Make the files, in the order of their names."""
    chunks = [names[start : start + 16] for start in range(0, len(names), 16)]
    for members in in_order(partial(_make, seed=seed, faults=faults, zipped=zipped), chunks, workers=workers):
        yield from members


def _make(names: list[str], *, seed: int, faults: Mapping[str, float], zipped: bool) -> list[RawMember]:
    made = []
    for name in names:
        text = raw_file(name, seed=seed, faults=faults)
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)  # raw, without a header, as in a zip
        content = packer.compress(text) + packer.flush() if zipped else text
        made.append(RawMember(name, content, len(text), zlib.crc32(text)))
    return made


def _add(archive: zipfile.ZipFile, member: RawMember) -> None:
    """Append a member that is already deflated; `zipfile` would deflate it again, in one process."""
    info = zipfile.ZipInfo(f"{_FOLDER}/{member.name}.skeleton")  # dated 1980, the default
    info.create_system, info.external_attr = 3, 0o100644 << 16
    info.compress_type, info.CRC = zipfile.ZIP_DEFLATED, member.checksum
    info.file_size, info.compress_size = member.size, len(member.content)
    assert archive.fp is not None
    info.header_offset = archive.fp.tell()
    archive.fp.write(info.FileHeader() + member.content)
    archive.filelist.append(info)
    archive.NameToInfo[info.filename] = info
    archive.start_dir = archive.fp.tell()


def main(arguments: list[str] | None = None) -> None:
    """Write a set with a progress bar, to measure preparation."""
    from tqdm import tqdm

    parser = argparse.ArgumentParser(prog="raw_ntu", description="Write a synthetic set of raw NTU RGB+D files.")
    parser.add_argument("--files", type=int, required=True, help="how many")
    parser.add_argument("--out", type=Path, required=True, help="a new folder, or a file that ends in .zip")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--benchmark", choices=("ntu60", "ntu120"), default="ntu120")
    parser.add_argument(
        "--faults", nargs="*", choices=tuple(FAULTS), help="plant these in every file; by default all, at their usual rates"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    given = parser.parse_args(arguments)
    try:
        write_raw_set(
            given.out,
            files=given.files,
            seed=given.seed,
            benchmark=given.benchmark,
            faults=FAULTS if given.faults is None else given.faults,
            workers=given.workers,
            progress=lambda members: tqdm(members, total=given.files, unit=" files", disable=not sys.stderr.isatty()),
        )
    except PoseglotError as error:
        sys.exit(f"raw_ntu: {error}")


if __name__ == "__main__":
    main()
