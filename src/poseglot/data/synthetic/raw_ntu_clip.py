"""One synthetic `.skeleton` file of NTU RGB+D: its bodies, the faults planted in it, and its text.

The format is that of the real files (Kinect v2; Liu et al., TPAMI 2020): the number of frames; per frame the number of bodies; per body a
line of ten values, the number of joints, and a line of twelve values per joint (x y z, depth x y, color x y, orientation w x y z,
tracking state). Numbers have seven digits, with exponents where they are tiny. Ids have 17 digits, which float64 cannot tell apart. Line
ends are of either kind. `FAULTS` are the faults of the real sets, at rates of the right order of magnitude (estimated, not counted). The
planted faults are returned beside the text. People are in `raw_ntu_people`, whole sets in `raw_ntu`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from poseglot.data.synthetic.body import Array
from poseglot.data.synthetic.raw_ntu_people import film, furniture, layouts, parse_take, unsure
from poseglot.errors import NotFoundError, SettingError

JOINTS = 25

# A fault of a recording -> its rate.
FAULTS: Mapping[str, float] = {
    "noise body": 0.06,  # an additional body that is furniture
    "ghost": 0.05,  # a body of at most 11 frames
    "id flickers": 0.04,  # a person continues under another id
    "gap": 0.03,  # a person is missing for up to five frames
    "leaves and returns": 0.01,  # a person is missing for a fifth of the clip or more
    "empty start": 0.02,  # the first frames have no body
    "empty middle": 0.02,  # frames in the middle have no body
    "all noise": 0.002,  # furniture only
    "no bodies": 0.004,  # every frame is empty
}

_FOR_FAULTS = 16  # the second word of a generator's key; 11 to 15 are in raw_ntu_people, 17 is in raw_ntu
_FIRST_ID = 2**56  # 72057594037927936; beyond it, float64 represents every 16th integer

# Joints whose orientation the sensor writes as four zeros.
_UNORIENTED = ("head", "left_foot", "right_foot", "left_hand_tip", "left_thumb", "right_hand_tip", "right_thumb")

Role = Literal["person", "ghost", "noise"]


@dataclass(frozen=True, eq=False)
class RawBody:
    """A body of a file, written under one id.

    Attributes:
        id: As in the text; never a float.
        role: What the body really is.
        person: 0 or 1, the same for all ids of a person; -1 for a ghost and noise.
        frames: (n,) the frames in which it is present, ascending, from 0.
        joints: (n, 25, 3) float32, the x, y, z of the text.
    """

    id: str
    role: Role
    person: int
    frames: npt.NDArray[np.int64]
    joints: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class RawTruth:
    """The true content of a file.

    Attributes:
        frames: The number of frames, including empty ones.
        bodies: In their order within a frame.
        faults: The planted faults, names of `FAULTS`. One of several may hide another; a single one is always visible.
    """

    frames: int
    bodies: tuple[RawBody, ...]
    faults: frozenset[str]


@dataclass(frozen=True, eq=False)
class RawClip:
    """A synthetic file: its name without ending, its bytes, and its true content."""

    name: str
    text: bytes
    truth: RawTruth


@dataclass(frozen=True, eq=False)
class _Body:
    """A body before it is written: joints (T, 25, 3) with the numbers of the text, and (T,) whether it is present."""

    role: Role
    person: int
    joints: Array
    present: npt.NDArray[np.bool_]
    id: str = ""


def raw_file(name: str, *, seed: int, faults: Mapping[str, float] | Iterable[str] = FAULTS) -> bytes:
    """Return the text of one file; see `raw_clip`."""
    return raw_clip(name, seed=seed, faults=faults).text


def raw_clip(
    name: str, *, seed: int, faults: Mapping[str, float] | Iterable[str] = FAULTS, frames: int | None = None
) -> RawClip:
    """Make one file.

    Args:
        name: `SsssCcccPpppRrrrAaaa`; the actions 50-60 and 106-120 have two people.
        seed: The seed of all random numbers.
        faults: The rate of each of `FAULTS` (0 if it is not named), or the names of those to plant; `()` for none.
        frames: The number of frames, at least 30. By default 30 to 300, depending on the action.

    Raises:
        SettingError: A name, seed or number of frames is not acceptable.
        NotFoundError: There is no such fault.
    """
    take = parse_take(name)
    likely = faults if isinstance(faults, Mapping) else dict.fromkeys(faults, 1.0)
    if unknown := sorted(set(likely) - set(FAULTS)):
        raise NotFoundError(unknown[0], FAULTS, kind="fault")
    if seed < 0 or (frames is not None and frames < 30):
        raise SettingError(f"seed {seed} and {frames} frames; a seed is 0 or more, and faults need 30 frames or more.")
    rng = np.random.default_rng([seed, _FOR_FAULTS, *(int(name[at : at + 3]) for at in range(1, 20, 4))])
    # A number is drawn for every fault, so that each is independent of the others.
    planted = frozenset(
        fault for fault, chance in zip(FAULTS, rng.random(len(FAULTS)), strict=True) if chance < likely.get(fault, 0)
    )
    crlf = bool(rng.random() < 0.5)
    people = film(take, seed=seed, frames=frames)
    always = np.ones(len(people[0]), dtype=np.bool_)
    bodies = _plant([_Body("person", number, joints, always) for number, joints in enumerate(people)], planted, rng)
    bodies = [replace(body, joints=_seven_digits(body.joints)) for body in bodies if body.present.any()]
    order = rng.permutation(len(bodies))
    bodies = [replace(bodies[index], id=id_) for index, id_ in zip(order, _ids(len(bodies), rng), strict=True)]
    truth = tuple(
        RawBody(body.id, body.role, body.person, np.flatnonzero(body.present), body.joints[body.present].astype(np.float32))
        for body in bodies
    )
    return RawClip(name, _write(bodies, len(always), rng, crlf=crlf), RawTruth(len(always), truth, planted))


# --- faults ----------------------------------------------------------------------------------------------------------------


def _plant(bodies: list[_Body], faults: frozenset[str], rng: np.random.Generator) -> list[_Body]:
    """Return the bodies of a recording with all of `faults`."""
    frames = len(bodies[0].present)
    if "all noise" in faults:
        bodies = [_noise(frames, rng) for _ in bodies]
    # Each fault has its own part of the clip, as far as there is room.
    if "gap" in faults:
        bodies = _absent(bodies, int(rng.uniform(0.6, 0.65) * frames), int(rng.integers(1, 6)), rng)
    if "leaves and returns" in faults:
        bodies = _absent(bodies, int(rng.uniform(0.25, 0.3) * frames), int(rng.uniform(0.2, 0.35) * frames) + 1, rng)
    if "id flickers" in faults:
        chosen, before = int(rng.integers(len(bodies))), np.arange(frames) < rng.uniform(0.4, 0.6) * frames
        body = bodies[chosen]
        bodies[chosen : chosen + 1] = [replace(body, present=body.present & part) for part in (before, ~before)]
    if "noise body" in faults:
        bodies = bodies + [_noise(frames, rng) for _ in range(1 + (rng.random() < 0.3))]
    if "ghost" in faults:
        start, length = int(rng.uniform(0.6, 0.8) * frames), min(int(rng.integers(2, 12)), frames // 5)
        where = [rng.choice([-1, 1]) * rng.uniform(0.5, 0.9), rng.uniform(-0.2, 0.2), rng.uniform(-0.3, 0.5)]
        joints = bodies[0].joints + where + rng.normal(scale=0.03, size=(frames, JOINTS, 3))
        bodies = [*bodies, _Body("ghost", -1, joints, _span(frames, start, length))]
    if "empty start" in faults:
        bodies = _all_absent(bodies, 0, int(rng.integers(1, min(9, frames // 5))))
    if "empty middle" in faults:
        bodies = _all_absent(bodies, int(rng.uniform(0.35, 0.5) * frames), int(rng.integers(1, 5)))
    if "no bodies" in faults:
        bodies = _all_absent(bodies, 0, frames)
    return bodies


def _noise(frames: int, rng: np.random.Generator) -> _Body:
    """Return furniture that the sensor sees from some frame on, for six tenths of the clip or more."""
    length = int(rng.uniform(0.6, 1) * frames) + 1
    start = int(rng.integers(0, frames - length + 1))
    joints = np.zeros((frames, JOINTS, 3))
    joints[start : start + length] = furniture(length, rng)
    return _Body("noise", -1, joints, _span(frames, start, length))


def _span(frames: int, start: int, length: int) -> npt.NDArray[np.bool_]:
    frame = np.arange(frames)
    return (start <= frame) & (frame < start + length)


def _absent(bodies: list[_Body], start: int, length: int, rng: np.random.Generator) -> list[_Body]:
    """Remove one random body for some frames."""
    chosen = int(rng.integers(len(bodies)))
    return [*bodies[:chosen], *_all_absent(bodies[chosen : chosen + 1], start, length), *bodies[chosen + 1 :]]


def _all_absent(bodies: list[_Body], start: int, length: int) -> list[_Body]:
    return [replace(body, present=body.present & ~_span(len(body.present), start, length)) for body in bodies]


def _ids(count: int, rng: np.random.Generator) -> list[str]:
    """Return different ids that are so close to each other that some are equal as float64."""
    first = _FIRST_ID + int(rng.integers(500, 20000))
    return [str(first + int(step)) for step in np.cumsum(rng.integers(1, 9, count))]


# --- text ------------------------------------------------------------------------------------------------------------------


def _seven_digits(values: Array) -> Array:
    """Round to seven decimal digits, to the float64 that a reader gets from the text of `%.7g`."""
    size = np.abs(values)
    digits = 6 - np.floor(np.log10(np.where(size > 0, size, 1.0))).astype(np.int64)
    # Both operands of the division are exact, so the quotient is the float64 nearest to the decimal number.
    powers = np.array([float(f"1e{power}") for power in range(23)])[np.clip(digits, 0, 22)]
    rounded: Array = np.round(values * powers) / powers + 0.0
    return rounded


def _write(bodies: list[_Body], frames: int, rng: np.random.Generator, *, crlf: bool) -> bytes:
    """Return the text, from one long pattern and one list of numbers."""
    end = b"\r\n" if crlf else b"\n"
    number = b"%.7G" if crlf else b"%.7g"  # Windows writes E-05
    block = b" %s %s 2%s%d%s" % (number, number, end, JOINTS, end) + (b" ".join([number] * 12) + end) * JOINTS
    heads = [_hands(body.id, frames, rng) for body in bodies]
    centres = rng.uniform([254, 207, 956, 538], [263, 210, 964, 568])  # of the depth image and the color image, in pixels
    values = [_numbers(body.joints, centres, rng) for body in bodies]
    pattern, chosen = [b"%d%s" % (frames, end)], []
    for frame in range(frames):
        present = [index for index, body in enumerate(bodies) if body.present[frame]]
        pattern.append(b"%d%s" % (len(present), end))
        for index in present:
            pattern += (heads[index][frame], block)
            chosen.append(values[index][frame])
    return b"".join(pattern) % tuple(np.concatenate(chosen).tolist() if chosen else ())


def _hands(id_: str, frames: int, rng: np.random.Generator) -> list[bytes]:
    """Return the start of a body's line in each frame: id, clipped edges, confidence and state of both hands, restricted or not."""
    stages = 1 + rng.poisson(frames / 40)
    clipped = rng.random(stages) < 0.03
    sure, state = rng.integers(0, 2, (2, stages)), rng.choice(5, (2, stages), p=[0.5, 0.3, 0.08, 0.1, 0.02])
    texts = [
        f"{id_} {8 * clipped[s]:d} {sure[0, s]} {state[0, s]} {sure[1, s]} {state[1, s]} 0".encode() for s in range(stages)
    ]
    return [texts[stage] for stage in np.sort(rng.integers(0, stages, frames))]


def _numbers(joints: Array, centres: Array, rng: np.random.Generator) -> Array:
    """Return (T, 302): the lean to the side and forward, then the twelve values of each joint."""
    layout, frames = layouts()[1], len(joints)
    base, top = (joints[:, layout.index[name]] for name in ("spine_base", "spine_shoulder"))
    upright = np.maximum(np.abs(top[:, 1] - base[:, 1]), 0.1)
    lean = np.clip((top - base)[:, [0, 2]] / upright[:, None] * [1, -1], -1, 1)
    rows = np.empty((frames, JOINTS, 12))
    rows[..., :3] = joints
    # Pinhole cameras: the depth sensor in the origin, the color sensor five centimetres beside it. (Absent noise has z = 0.)
    ray = joints[..., :2] / np.maximum(joints[..., 2:], 0.1)
    rows[..., 3:5] = ray * [366.5, -366.6] + centres[:2]
    rows[..., 5:7] = ray * [1058.0, -1058.0] + centres[2:]
    rows[..., 5] += 52 / np.maximum(joints[..., 2], 0.1)
    rows[..., 7:11] = _orientations(joints)
    rows[..., 11] = unsure(frames, rng)
    return (
        np.concatenate([lean, rows.reshape(frames, -1)], axis=1) + 0.0
    )  # without -0, which the sensor's program does not write


def _orientations(joints: Array) -> Array:
    """Return unit quaternions (T, 25, 4), w x y z: the body's turn, then from straight up or down to the bone that ends in the joint."""
    layout = layouts()[1]
    bone = joints - joints[:, layout.parents]
    # The sensor's root is at the hips, the layout's is not.
    root, below = layout.index["spine_shoulder"], layout.index["spine_middle"]
    bone[:, root] = joints[:, root] - joints[:, below]
    bone = bone / np.maximum(np.linalg.norm(bone, axis=-1, keepdims=True), 1e-6)
    x, y, z = np.moveaxis(bone, -1, 0)
    up = np.where(y < 0, -1, 1)
    bend = np.stack([1 + up * y, up * z, -up * x], axis=-1)
    w, i, k = np.moveaxis(bend / np.linalg.norm(bend, axis=-1, keepdims=True), -1, 0)
    across = joints[:, layout.index["left_shoulder"]] - joints[:, layout.index["right_shoulder"]]
    half = np.arctan2(-across[:, 2], across[:, 0])[:, None] / 2
    turned = np.stack(
        [w * np.cos(half), i * np.cos(half) - k * np.sin(half), w * np.sin(half), k * np.cos(half) + i * np.sin(half)], axis=-1
    )
    turned[:, [layout.index[name] for name in _UNORIENTED]] = 0
    return turned
