"""The people in synthetic files of NTU RGB+D: their bodies, their movements, and a Kinect v2's view of them.

A recording is named like the real ones (`S001C002P003R001A004`). The action determines a gesture, the same for all people. The person
determines a body and a posture. The three cameras of a setup see one performance. The body is that of the demo set (`synthetic.body`,
layout `kinect20`), extended to the 25 joints of `ntu25`. The gestures have the actions' numbers, not their meanings: the files are for
testing readers and preparation, and a recognizer trained on them has learned nothing about people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from poseglot.data.synthetic.body import ARM, LEG, LENGTHS, SIDES, Angles, Array, entry_of, limits_of, pose
from poseglot.data.synthetic.camera import Camera, look, sense
from poseglot.errors import SettingError
from poseglot.skeletons.layout import Layout, load_layout

TWO_PEOPLE = frozenset({*range(50, 61), *range(106, 121)})  # the actions that two people do
MIN_FRAMES, MAX_FRAMES = 30, 300  # at 30 frames a second
# The median number of frames, and standard deviations of its logarithm.
_TYPICAL, _SPREAD_OF_ACTIONS, _SPREAD_OF_TAKES = 77, 0.32, 0.22
_TOWARDS, _APART, _FOLLOW = 59, 60, 116  # actions in which people walk

# The purpose of a generator: the second word of its key, so that no two purposes share numbers. (16 and 17: `raw_ntu_clip`, `raw_ntu`.)
_FOR_ACTION, _FOR_PERSON, _FOR_PERFORMANCE, _FOR_CAMERA, _FOR_VIEW = 11, 12, 13, 14, 15

# Angles at the height of a gesture; `hand_` and `foot_` are the person's preferred side, `both_` are both.
_GESTURES: tuple[Mapping[str, float], ...] = (
    {"hand_shoulder_flex": 85, "hand_elbow": 35},
    {"hand_shoulder_flex": 35, "hand_elbow": 115, "neck_pitch": -8},
    {"hand_shoulder_abduct": 60, "hand_shoulder_turn": -60, "hand_elbow": 80},
    {"both_shoulder_flex": 60, "both_elbow": 75, "both_shoulder_turn": 30},
    {"trunk_pitch": 50, "both_shoulder_flex": 45, "neck_pitch": 12},
    {"both_hip_flex": 55, "both_knee": 95, "trunk_pitch": 28, "both_shoulder_flex": 35},
    {"foot_hip_flex": 60, "foot_knee": 55, "trunk_pitch": -6},
    {"both_shoulder_flex": 150, "both_elbow": 15},
    {"both_shoulder_abduct": 62, "both_elbow": -10},  # almost as wide as high, like furniture, for some frames
    {"waist_yaw": 35, "neck_yaw": 30, "hand_elbow": 60},
    {"neck_pitch": 30, "both_elbow": 70, "both_shoulder_turn": 35},
)

# Lengths that differ from the demo set's: the head joint is in the middle of the head, the hips are near the spine.
_KINECT_V2: Mapping[str, float] = {"face": 0.03, "neck": 0.19, "hip": 0.055}

# How often the sensor only infers a joint; other joints: never.
_UNSURE: Mapping[str, float] = {
    "elbow": 0.06,
    "wrist": 0.12,
    "hand": 0.16,
    "tip": 0.2,
    "thumb": 0.2,
    "knee": 0.08,
    "ankle": 0.2,
    "foot": 0.3,
}


@dataclass(frozen=True)
class _Gesture:
    """The movement of an action.

    Attributes:
        cycles: The number of repetitions, if the clip is long enough.
        angles: Angle name, its size in degrees, and its delay in cycles.
    """

    cycles: int
    angles: tuple[tuple[str, float, float], ...]

    def scaled(self, by: float) -> _Gesture:
        """Return the gesture scaled by a factor."""
        return _Gesture(self.cycles, tuple((name, by * size, delay) for name, size, delay in self.angles))


@dataclass(frozen=True)
class Take:
    """The five numbers in the name of a file."""

    setup: int
    camera: int
    subject: int
    replication: int
    action: int

    @property
    def name(self) -> str:
        return f"S{self.setup:03d}C{self.camera:03d}P{self.subject:03d}R{self.replication:03d}A{self.action:03d}"


def parse_take(name: str) -> Take:
    """Parse the name of a recording.

    Raises:
        SettingError: It is not of the form SsssCcccPpppRrrrAaaa, or a number does not occur in NTU RGB+D 120.
    """
    match = re.fullmatch(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})", name)
    maxima = (32, 3, 106, 2, 120)
    if match is None or any(not 1 <= int(number) <= maximum for number, maximum in zip(match.groups(), maxima, strict=True)):
        raise SettingError(
            f"{name!r} is not the name of a recording of NTU RGB+D; expected SsssCcccPpppRrrrAaaa (setup 001-032, camera 001-003, "
            "person 001-106, replication 001-002, action 001-120) without an ending."
        )
    return Take(*map(int, match.groups()))


@cache
def layouts() -> tuple[Layout, Layout]:
    """Return the layouts of the body (`kinect20`) and of the files (`ntu25`)."""
    return load_layout("kinect20"), load_layout("ntu25")


def film(take: Take, *, seed: int, frames: int | None = None) -> list[Array]:
    """Record a take: what its camera sees of each of its people.

    Args:
        take: The take.
        seed: The seed of all random numbers.
        frames: The number of frames. By default that of the performance, 30 to 300.

    Returns:
        One or two arrays (T, 25, 3) in the camera's space: metres, y up, z the distance from the sensor.
    """
    performance = (take.setup, take.subject, take.replication, take.action)
    scene = _perform(take, np.random.default_rng([seed, _FOR_PERFORMANCE, *performance]), seed, frames)
    rng = np.random.default_rng([seed, _FOR_CAMERA, take.setup, take.camera])
    height, distance = rng.uniform(0.7, 1.8), rng.uniform(2.5, 3.6)
    pitch = np.degrees(np.arctan2(height - 0.95, distance)) + rng.uniform(-2, 2)  # the hips are near the centre of the image
    camera = Camera(
        (45.0, 0.0, -45.0)[take.camera - 1] + rng.uniform(-6, 6), pitch, height, distance, rng.uniform(0.003, 0.006)
    )
    view = np.random.default_rng([seed, _FOR_VIEW, take.camera, *performance])
    return [sense(look(joints, camera), camera.noise, view, layouts()[1]) for joints in scene]


def unsure(frames: int, rng: np.random.Generator) -> Array:
    """Return tracking states (T, 25): 2 for a joint that the sensor sees, 1 for one that it infers, in runs of some frames."""
    often = np.array([_UNSURE.get(name.split("_")[-1], 0.0) for name in layouts()[1].joints])
    turns = np.arange(frames)[:, None] / rng.uniform(20, 90, often.size) + rng.random(often.size)
    return np.where(turns % 1 < often * rng.uniform(0, 1.6), 1.0, 2.0)


def furniture(frames: int, rng: np.random.Generator) -> Array:
    """Return (T, 25, 3): furniture that the sensor mistakes for a body.

    It is wider than 0.8 times its height in at least nine of ten frames.
    """
    shape = rng.random((25, 3))
    shape = (shape - shape.min(axis=0)) / np.ptp(shape, axis=0) - 0.5
    width = rng.uniform(0.5, 1.1)
    joints = shape * [width, width * rng.uniform(0.3, 0.9), rng.uniform(0.2, 0.6)] + np.zeros((frames, 1, 1))
    slim = int(rng.integers(0, frames // 10 + 1))
    start = int(rng.integers(0, frames - slim + 1))
    joints[start : start + slim, :, 0] *= 0.2
    position = [rng.uniform(-1.5, 1.5), rng.uniform(-0.9, 0.2), rng.uniform(2.5, 4.2)]
    drift = np.stack([_wander(frames, rng) for _ in range(3)], axis=1) * 0.01
    seen: Array = joints + position + drift[:, None] + rng.normal(scale=0.004, size=joints.shape)
    return seen


def _perform(take: Take, rng: np.random.Generator, seed: int, frames: int | None) -> list[Array]:
    """Return (T, 25, 3) in body space for each person: one in front of the sensor, or two who face each other."""
    action = np.random.default_rng([_FOR_ACTION, take.action])  # independent of the seed: an action is always the same
    typical = _TYPICAL * np.exp(action.normal(scale=_SPREAD_OF_ACTIONS))
    length = int(np.clip(round(typical * np.exp(rng.normal(scale=_SPREAD_OF_TAKES))), MIN_FRAMES, MAX_FRAMES))
    length = length if frames is None else frames
    gesture = _gesture(take.action, action)
    if take.action in TWO_PEOPLE:
        return _meet(take, gesture, length, rng, seed)
    alone = _move(take.subject, gesture, length, rng, seed, heading=rng.uniform(-25, 25))
    return [alone + np.array([rng.uniform(-0.25, 0.25), 0, rng.uniform(-0.25, 0.25)])]


def _meet(take: Take, gesture: _Gesture, frames: int, rng: np.random.Generator, seed: int) -> list[Array]:
    """Perform an action of two people about a metre apart. The second moves alike, or less. In three actions they walk."""
    time = np.linspace(0, 1, frames)
    walked = {_TOWARDS: 1 - time, _APART: time}.get(take.action, np.zeros(frames))
    apart = rng.uniform(0.8, 1.1) + walked
    along = 0.8 * (time - 0.5) if take.action == _FOLLOW else np.zeros(frames)
    people = []
    for number, sign in enumerate((1, -1)):
        away = take.action == _APART or (take.action == _FOLLOW and sign == 1)  # whoever turns the back to the other
        joints = _move(
            take.subject if number == 0 else take.subject % 106 + 1,
            gesture if number == 0 or rng.random() < 0.5 else gesture.scaled(0.4),
            frames,
            rng,
            seed,
            heading=rng.uniform(65, 90) * (sign if away else -sign),
            walks=take.action in (_TOWARDS, _APART, _FOLLOW),
        )
        where = np.stack([sign * apart / 2 + along, np.zeros(frames), np.full(frames, rng.uniform(-0.1, 0.1))], axis=1)
        people.append(joints + where[:, None])
    return people


def _gesture(action: int, rng: np.random.Generator) -> _Gesture:
    """Return one of the gestures with a smaller second one that follows a quarter of a cycle later."""
    first, second = _GESTURES[action % len(_GESTURES)], _GESTURES[int(rng.integers(len(_GESTURES)))]
    size, less = rng.uniform(0.75, 1.1), rng.uniform(0.2, 0.5)
    angles = [(name, size * height, 0.0) for name, height in first.items()]
    angles += [(name, less * height, 0.25) for name, height in second.items()]
    return _Gesture(int(rng.integers(1, 4)), tuple(angles))


def _move(
    subject: int, gesture: _Gesture, frames: int, rng: np.random.Generator, seed: int, *, heading: float, walks: bool = False
) -> Array:
    """Return (T, 25, 3): a person stands, sways, and repeats the gesture."""
    person = np.random.default_rng([seed, _FOR_PERSON, subject])
    size = person.uniform(0.8, 1.02)
    lengths = {name: size * person.uniform(0.94, 1.06) * length for name, length in (dict(LENGTHS) | dict(_KINECT_V2)).items()}
    hand, foot = ("right" if person.random() < share else "left" for share in (0.85, 0.75))
    limbs = {"hand": (f"{hand}_",), "foot": (f"{foot}_",), "both": tuple(f"{side}_" for side in SIDES)}
    angles = _stand(frames, person, rng)
    angles["heading"] = angles["heading"] + heading
    for name, course in _beats(gesture, frames, rng):
        whose, _, angle = name.partition("_")
        for limb in limbs.get(whose, ()) or (f"{whose}_",):
            angles[limb + angle] = angles[limb + angle] + course
    if walks:
        _step(angles, frames, rng)
    for leg in SIDES:  # the sole stays level
        angles[f"{leg}_ankle"] = angles[f"{leg}_ankle"] + angles[f"{leg}_knee"] - angles[f"{leg}_hip_flex"]
    angles = {name: np.clip(values, *limits_of(name)) for name, values in angles.items()}
    return _as_ntu25(pose(lengths, angles, layouts()[0]))


def _beats(gesture: _Gesture, frames: int, rng: np.random.Generator) -> list[tuple[str, Array]]:
    """Return (T,) degrees to add to each angle: out and back in every cycle, still at both ends of the clip."""
    progress = np.linspace(0, 1, frames)
    edge = np.clip(8 * np.minimum(progress, 1 - progress), 0, 1)
    phase = min(gesture.cycles, max(1, frames // 30)) * progress + rng.uniform(-0.06, 0.06) * np.sin(2 * np.pi * progress)
    scale = rng.uniform(0.85, 1.1) * edge * edge * (3 - 2 * edge)
    return [(name, size * scale * (0.5 - 0.5 * np.cos(2 * np.pi * (phase - delay)))) for name, size, delay in gesture.angles]


def _step(angles: Angles, frames: int, rng: np.random.Generator) -> None:
    """Add the motion of legs and arms in walking, about one cycle a second."""
    swing = np.sin(2 * np.pi * (np.arange(frames) / rng.uniform(28, 36) + rng.random()))
    for side, sign in SIDES.items():
        lift = np.maximum(sign * swing, 0)
        for name, course in (("hip_flex", 28 * lift), ("knee", 45 * lift), ("shoulder_flex", -14 * sign * swing)):
            angles[f"{side}_{name}"] = angles[f"{side}_{name}"] + course


def _stand(frames: int, person: np.random.Generator, rng: np.random.Generator) -> Angles:
    """Return a person's standing posture with idle motion."""
    names = ["heading", "trunk_pitch", "trunk_roll", "waist_yaw", "neck_pitch", "neck_yaw", "neck_roll", "hip_sway"]
    names += [f"{side}_{name}" for side in SIDES for name in (*ARM, *LEG)]
    angles = {name: rng.uniform(-1, 1) * entry_of(name)[2] + 0.5 * entry_of(name)[2] * _wander(frames, rng) for name in names}
    spread, bent, crouch = person.uniform(0, 8), person.uniform(5, 30), person.uniform(0, 6)
    posture = {"trunk_pitch": person.uniform(-3, 6), "neck_pitch": person.uniform(-5, 12)}
    for side in SIDES:
        posture |= {f"{side}_shoulder_abduct": person.uniform(5, 15), f"{side}_elbow": bent + person.uniform(0, 12)}
        posture |= {f"{side}_hip_spread": spread, f"{side}_hip_flex": crouch, f"{side}_knee": 2 * crouch}
    return {name: values + posture.get(name, 0.0) for name, values in angles.items()}


def _wander(frames: int, rng: np.random.Generator) -> Array:
    """Return (T,): slow aperiodic motion of about unit size."""
    time = np.arange(frames)
    waves = [np.sin(2 * np.pi * (time / rng.uniform(*band) + rng.random())) for band in ((30, 60), (60, 180))]
    return np.asarray(sum(waves), dtype=np.float64)


def _as_ntu25(joints: Array) -> Array:
    """Map `kinect20` (T, 20, 3) to `ntu25` (T, 25, 3): adds a neck, and a tip and a thumb of each hand."""
    old, new = layouts()
    points = {name: joints[:, index] for name, index in old.index.items()}
    chest = points["shoulder_centre"]
    points["spine_base"], points["spine_shoulder"] = points["hip_centre"], chest
    points["spine_middle"] = points["spine"] + 0.5 * (chest - points["spine"])
    points["neck"] = chest + 0.35 * (points["head"] - chest)
    across = points["left_shoulder"] - points["right_shoulder"]
    across = across / np.linalg.norm(across, axis=1, keepdims=True)
    ahead = np.cross(across, [0, 1, 0])
    for side, sign in SIDES.items():
        hand = points[f"{side}_hand"]
        along = hand - points[f"{side}_wrist"]
        points[f"{side}_hand_tip"] = hand + 0.9 * along
        points[f"{side}_thumb"] = hand + 0.4 * along + 0.035 * ahead - 0.02 * sign * across
    return np.stack([points[name] for name in new.joints], axis=1)
