"""Small `.skeleton` files and recordings for tests: frames in, text or recording out, written plainly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poseglot.data.readers.ntu.text import Body, Recording

Joints = npt.NDArray[np.float32]
# A frame: the id of each body that is there -> its joints (25, 3).
Frame = Mapping[str, npt.ArrayLike]
# Two real ids, of which float64 makes one.
TWIN_IDS = ("72057594037944738", "72057594037944734")
NAME = "S001C002P003R001A011"


def real_files(shared: Path) -> list[Path]:
    """The ten genuine files, the five variants among them."""
    return sorted((shared / "data" / "ntu").glob("raw*/*.skeleton"))


def joints_of(seed: int) -> Joints:
    """(25, 3): somewhere before the sensor, on a grid of 1/64 m, so that few digits write each number exactly."""
    grid = np.random.default_rng(seed).integers(-128, 128, (25, 3))
    return (grid / 64 + [0, 0, 3]).astype(np.float32)


def body_lines(name: str, joints: npt.ArrayLike) -> list[str]:
    """The lines of one body: its values, the number of joints, the joints."""
    rows = np.asarray(joints, dtype=np.float32)
    lines = [f"{name} 0 1 1 1 1 0 -0.25 0.125 2", str(len(rows))]
    return lines + [f"{x:.9g} {y:.9g} {z:.9g} 276.1 190 1032.3 514.1 -0.17 0.04 0.97 -0.16 2" for x, y, z in rows]


def lines_of(frames: Sequence[Frame]) -> list[str]:
    lines = [str(len(frames))]
    for frame in frames:
        lines.append(str(len(frame)))
        for name, joints in frame.items():
            lines += body_lines(name, joints)
    return lines


def text_of(frames: Sequence[Frame], *, end: str = "\n", final: bool = True) -> bytes:
    """The file; `end` is its line end, `final` says whether the last line has one."""
    return joined(lines_of(frames), end=end, final=final)


def joined(lines: Sequence[str], *, end: str = "\n", final: bool = True) -> bytes:
    return (end.join(lines) + (end if final else "")).encode("ascii")


def recording_of(frames: Sequence[Frame]) -> Recording:
    """What a reader should make of `text_of(frames)`."""
    times: dict[str, list[int]] = {}
    rows: dict[str, list[Joints]] = {}
    for time, frame in enumerate(frames):
        for name, joints in frame.items():
            times.setdefault(name, []).append(time)
            rows.setdefault(name, []).append(np.asarray(joints, dtype=np.float32))
    return Recording(len(frames), tuple(Body(name, np.array(times[name]), np.array(rows[name])) for name in times))


def assert_same(found: Recording, expected: Recording) -> None:
    """Frames, ids and their order, and the bits of every number (0 and -0 are different)."""
    assert found.frames == expected.frames
    assert [body.id for body in found.bodies] == [body.id for body in expected.bodies]
    for one, other in zip(found.bodies, expected.bodies, strict=True):
        assert one.frames.dtype == np.int64 and one.frames.tolist() == other.frames.tolist()
        assert one.joints.dtype == np.float32 and one.joints.shape == other.joints.shape == (len(one.frames), 25, 3)
        assert one.joints.tobytes() == other.joints.tobytes()
