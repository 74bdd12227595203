"""Synthetic sets of raw NTU RGB+D files, so that preparing the real ones can be tested and measured without them; and broken files.

A file is made by `raw_ntu_clip`, keyed by (seed, name), so it does not depend on how many others are made, nor by how many processes.

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
from poseglot.errors import PoseglotError
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
_LEVEL = 4  # of deflate: nearly as small as the usual 6, three times as fast
_FOLDER = "nturgb+d_skeletons"  # in the zip, as in the real download


# --- bad input -------------------------------------------------------------------------------------------------------------


def broken_files(seed: int) -> dict[str, bytes]:
    """One file of 30 frames and one person, broken in many ways: what is wrong -> the bytes.

    "unbroken" is the file itself. "indefinite depth" does no harm to who reads x, y and z only; everything else does.
    """
    text = raw_clip("S001C001P001R001A001", seed=seed, faults=(), frames=30).text
    end = b"\r\n" if b"\r\n" in text else b"\n"
    lines = text.split(end)[:-1]
    start = 1 + 12 * (3 + JOINTS)  # the thirteenth frame: bodies, body, joints, then a line for each joint
    bodies, body, count, joint = start, start + 1, start + 2, start + 7
    after = joint - 4 + JOINTS  # the next frame

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
    """A file on its way into a set: plain for a folder, deflated for a zip."""

    name: str
    content: bytes
    size: int
    checksum: int


def raw_names(files: int, *, seed: int, benchmark: str = "ntu120") -> list[str]:
    """Different names, ascending, spread like those of the real set over setups, cameras, people, replications and actions.

    They are drawn from 56,880 (`ntu60`) or 114,480 (`ntu120`), which is how many recordings the real sets have: setups 1-17 with
    people 1-40 and actions 1-60, setups 18-32 with people 41-106 and actions 61-120, nine to eleven people in a setup. Fewer files
    are a part of more.

    Raises:
        PoseglotError: an unknown benchmark, a number of files below 1 or above those, or a negative seed.
    """
    if benchmark not in ("ntu60", "ntu120"):
        raise PoseglotError(f"unknown benchmark {benchmark!r}; there are ntu60 and ntu120.")
    # Setups, then who is in each: 158 x 360 recordings in the first part, 160 x 360 in the second.
    parts = [(range(1, 18), range(1, 41), 5, 9, range(1, 61)), (range(18, 33), range(41, 107), 10, 10, range(61, 121))]
    takes = []
    for setups, people, larger, smaller, actions in parts[: 1 + (benchmark == "ntu120")]:
        arrived = 0
        for place, setup in enumerate(setups):
            present = [people[(arrived + k) % len(people)] for k in range(smaller + (place < larger))]
            arrived += len(present)
            takes += [(setup, c, p, r, a) for c in (1, 2, 3) for p in present for r in (1, 2) for a in actions]
    if not 1 <= files <= len(takes) or seed < 0:
        raise PoseglotError(
            f"cannot make {files:,} files of seed {seed}; {benchmark} has 1 to {len(takes):,}, a seed is 0 or more."
        )
    drawn = np.random.default_rng([seed, _FOR_NAMES]).permutation(len(takes))[:files]
    return sorted(Take(*takes[place]).name for place in drawn)


def write_raw_set(
    out: Path,
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
        benchmark: `ntu60` or `ntu120`, the names to draw from; see `raw_names`.
        faults: see `raw_clip`.
        workers: processes; the bytes do not depend on them, nor on the time of day.
        progress: wraps the files as they come, to show a bar.

    Returns:
        The names; `raw_clip(name, seed=seed, faults=faults).truth` tells what is in each.

    Raises:
        PoseglotError: a bad number of files, benchmark or fault, `out` is taken, or the disk refused; nothing is left half-written.
    """
    names = raw_names(files, seed=seed, benchmark=benchmark)
    zipped = out.suffix.lower() == ".zip"
    table = dict(faults) if isinstance(faults, Mapping) else dict.fromkeys(faults, 1.0)
    members = progress(_members(names, seed, table, zipped, workers))
    if zipped:
        if out.exists():
            raise PoseglotError(f"{out} already exists. Choose another name, or remove it.")
        with file_written_atomically(out) as file, zipfile.ZipFile(file, "w") as archive:
            for member in members:
                _add(archive, member)
    else:
        with folder_written_atomically(out) as folder:
            for member in members:
                (folder / f"{member.name}.skeleton").write_bytes(member.content)
    return names


def _members(names: list[str], seed: int, faults: Mapping[str, float], zipped: bool, workers: int) -> Iterator[RawMember]:
    """The files in the order of their names."""
    chunks = [names[start : start + 16] for start in range(0, len(names), 16)]
    for members in in_order(partial(_make, seed=seed, faults=faults, zipped=zipped), chunks, workers=workers):
        yield from members


def _make(names: list[str], *, seed: int, faults: Mapping[str, float], zipped: bool) -> list[RawMember]:
    made = []
    for name in names:
        text = raw_file(name, seed=seed, faults=faults)
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)  # as a zip's members are: without a header
        content = packer.compress(text) + packer.flush() if zipped else text
        made.append(RawMember(name, content, len(text), zlib.crc32(text)))
    return made


def _add(archive: zipfile.ZipFile, member: RawMember) -> None:
    """Append a member that is deflated already: `zipfile` itself would do it again, in one process."""
    info = zipfile.ZipInfo(f"{_FOLDER}/{member.name}.skeleton")  # of 1980, as a ZipInfo is unless told otherwise
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
    """Write a set, with a bar; for measuring preparation."""
    from tqdm import tqdm

    parser = argparse.ArgumentParser(prog="raw_ntu", description="Write a synthetic set of raw NTU RGB+D files.")
    parser.add_argument("--files", type=int, required=True, help="how many")
    parser.add_argument("--out", type=Path, required=True, help="a new folder, or a file that ends in .zip")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--benchmark", choices=("ntu60", "ntu120"), default="ntu120")
    parser.add_argument(
        "--faults", nargs="*", choices=tuple(FAULTS), help="plant these in every file; default: all, as often as usual"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    told = parser.parse_args(arguments)
    try:
        write_raw_set(
            told.out,
            files=told.files,
            seed=told.seed,
            benchmark=told.benchmark,
            faults=FAULTS if told.faults is None else told.faults,
            workers=told.workers,
            progress=lambda members: tqdm(members, total=told.files, unit=" files", disable=not sys.stderr.isatty()),
        )
    except PoseglotError as error:
        sys.exit(f"raw_ntu: {error}")


if __name__ == "__main__":
    main()
