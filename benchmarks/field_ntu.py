"""Preparing NTU RGB+D the way the field does it: what `prepare_ntu.py` measures ours against.

Written from the description of those scripts, not from their source, in plain Python and numpy. The zip is unpacked; then come three
passes over the whole set, each of which holds all of it in memory and leaves a file for the next:

    bodies      every text file line by line; an array for each joint, stacked for each frame, the frames stacked for each body
    denoised    the noise rules, and one or two actors of each recording
    padded      the origin moved to the first actor's spine, all clips filled up with zeros to 300 frames, one .npz

What such scripts keep of a joint differs: all `values` = 12 numbers, or some. `values` = 3 (x, y and z alone) is the least that they
could do, and so the fastest. What else the description leaves open is chosen to be fast: one .npz, not one for each split.

    python benchmarks/field_ntu.py ZIP OUT VALUES
"""

from __future__ import annotations

import json
import pickle
import sys
import time
import zipfile
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from poseglot.data.readers.ntu.names import known_incomplete

JOINTS, FRAMES = 25, 300
SHORTEST, FLATNESS, FLAT_SHARE = 11, 0.8, 0.69754
Array = npt.NDArray[np.float32]
# A body: `joints` (n, 25, 3), one frame after the other; `start`, the frame in which it appears; `motion`.
Body = dict[str, Any]


def read_bodies(file: TextIO, *, values: int) -> dict[str, Body]:
    """The bodies of a recording by their ids, in the order in which they appear; frames without a body are not counted.

    Args:
        values: how many of a joint's twelve become numbers.
    """
    lines = file.readlines()
    place, frame = 1, 0
    bodies: dict[str, Body] = {}
    for _ in range(int(lines[0])):
        count = int(lines[place])
        place += 1
        if count == 0:
            continue
        for _ in range(count):
            name = lines[place].split()[0]
            place += 2
            joints = []
            for line in lines[place : place + JOINTS]:
                numbers = [float(word) for word in line.split()[:values]]
                joints.append(np.array(numbers, dtype=np.float32))
            place += JOINTS
            stacked = np.stack(joints)[None, :, :3]
            if name not in bodies:
                bodies[name] = {"joints": stacked, "start": frame}
            else:
                bodies[name]["joints"] = np.vstack([bodies[name]["joints"], stacked])
        frame += 1
    return bodies


def motion_of(joints: Array) -> float:
    """(n, 25, 3) -> the variances of x, y and z, added."""
    return float(sum(np.var(joints[:, :, axis].astype(np.float64)) for axis in range(3)))


def denoise(bodies: dict[str, Body]) -> dict[str, Body]:
    """Without bodies that are short, or too often wider than they are high; one always stays."""
    left = dict(bodies)
    for name, body in bodies.items():
        if len(left) > 1 and len(body["joints"]) <= SHORTEST:
            del left[name]
    for name, body in list(left.items()):
        if len(left) == 1:
            break
        clean = []
        for joints in body["joints"]:
            x, y = joints[:, 0], joints[:, 1]
            if x.max() - x.min() <= FLATNESS * (y.max() - y.min()):
                clean.append(joints)
        if 1 - len(clean) / len(body["joints"]) >= FLAT_SHARE:
            del left[name]
        else:
            left[name] = {**body, "motion": min(body["motion"], motion_of(np.stack(clean)))}
    return left


def actors_of(bodies: dict[str, Body]) -> list[Array]:
    """One or two actors, (T, 25, 3) each."""
    ordered = sorted(bodies.values(), key=lambda body: -body["motion"])
    if len(ordered) == 1:
        return [ordered[0]["joints"]]
    length = max(body["start"] + len(body["joints"]) for body in ordered)
    actors = [np.zeros((length, JOINTS, 3), dtype=np.float32) for _ in range(2)]
    spans = [[ordered[0]["start"], 0], [ordered[0]["start"], 0]]
    for body in ordered:
        first, last = body["start"], body["start"] + len(body["joints"]) - 1
        for actor, span in zip(actors, spans, strict=True):
            if min(last, span[1]) - max(first, span[0]) <= 0:
                actor[first : last + 1] = body["joints"]
                span[0], span[1] = min(first, span[0]), max(last, span[1])
                break
    kept = [frame for frame in range(length) if actors[0][frame].any() or actors[1][frame].any()]
    return [actor[kept] for actor in actors]


def centred(actors: list[Array]) -> list[Array]:
    """The middle of the first actor's spine, where it is first there, becomes the origin; absent frames stay zero."""
    origin = next(frame[1] for frame in actors[0] if frame.any()).copy()
    return [np.stack([frame - origin if frame.any() else frame for frame in actor]) for actor in actors]


def read_all(folder: Path, *, values: int) -> list[dict[str, Any]]:
    """The first pass: the bodies of every recording that has any, without those known to be incomplete."""
    incomplete = known_incomplete()
    recordings = []
    for path in sorted(folder.rglob("*.skeleton")):
        if path.stem in incomplete:
            continue
        with path.open() as file:
            bodies = read_bodies(file, values=values)
        for body in bodies.values():
            body["motion"] = motion_of(body["joints"])
        if bodies:
            recordings.append({"name": path.stem, "bodies": bodies})
    return recordings


def pad(denoised: list[dict[str, Any]]) -> Array:
    """The third pass: (N, 300, 150)."""
    padded = np.zeros((len(denoised), FRAMES, 2 * JOINTS * 3), dtype=np.float32)
    for clip, each in zip(padded, denoised, strict=True):
        for person, actor in enumerate(centred(each["actors"])):
            clip[: len(actor), person * 75 : (person + 1) * 75] = actor.reshape(len(actor), -1)
    return padded


def through_file(path: Path, recordings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Between two passes: written by one, read by the next."""
    path.write_bytes(pickle.dumps(recordings))
    return pickle.loads(path.read_bytes())


def prepare(archive: Path, out: Path, *, values: int) -> None:
    """Everything in this one process: OUT/padded.npz with `names` (N,) and `x` (N, 300, 150); OUT/seconds.json: what each pass took."""
    out.mkdir(parents=True)
    marks = [time.perf_counter()]
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(out / "texts")
    marks.append(time.perf_counter())
    recordings = through_file(out / "bodies.pkl", read_all(out / "texts", values=values))
    marks.append(time.perf_counter())
    denoised = [{"name": each["name"], "actors": actors_of(denoise(each["bodies"]))} for each in recordings]
    denoised = through_file(out / "denoised.pkl", denoised)
    marks.append(time.perf_counter())
    np.savez(out / "padded.npz", names=[each["name"] for each in denoised], x=pad(denoised))
    marks.append(time.perf_counter())
    passes = ("unpacking", "bodies", "denoised", "padded")
    spent = {name: end - start for name, start, end in zip(passes, marks, marks[1:], strict=False)}
    (out / "seconds.json").write_text(json.dumps(spent))


if __name__ == "__main__":
    prepare(Path(sys.argv[1]), Path(sys.argv[2]), values=int(sys.argv[3]))
