"""The built-in synthetic data set: a jointed body performs twelve simple movements in front of simulated depth cameras.

The whole pipeline can be tried, tested and demonstrated with it, without a download. A performance is a table of joint angles over time:
idle sway, the movement, and small distractor movements. Angles are clipped to human limits and turned into the joints of layout `kinect20`
by forward kinematics. A camera sees the performance from its position, with the noise and the lost joints of a depth sensor. Some
performances are hard on purpose (small movements, noisy sensors), so that a good model scores well, not perfectly.

The body is in `synthetic.body`, the cameras are in `synthetic.camera`; people, movements and the set are here. Every random generator is
keyed by its purpose (the person, the performance, the view), so a clip does not depend on how many others are made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from poseglot.data.synthetic.body import ANGLES, ARM, LEG, LENGTHS, SIDES, Angles, Array, entry_of, limits_of, pose
from poseglot.data.synthetic.camera import look, place_camera, sense
from poseglot.errors import SettingError
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import Layout, load_layout

MIN_FRAMES, MAX_FRAMES = 18, 60  # of a clip, at about 15 frames a second

# The purpose of a generator: the second word of its key, so that no two purposes share numbers.
_FOR_PERSON, _FOR_PERFORMANCE, _FOR_CAMERA, _FOR_VIEW = 1, 2, 3, 4


@dataclass(frozen=True)
class Person:
    """The properties of a person that all performances share.

    Attributes:
        lengths: The lengths of the limbs; keys as in `LENGTHS`.
        posture: The angles when standing.
        sway: The size of idle motion; 1 is usual.
        speed, amplitude: Of movements; 1 is usual.
        side: The preferred hand and foot.
        haste: How short the idle time around a movement is, 0 to 1.
        traits: Three habits in [0, 1) that an action may turn into a style.
    """

    lengths: Mapping[str, float]
    posture: Mapping[str, float]
    sway: float
    speed: float
    amplitude: float
    side: str
    haste: float
    traits: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Performance:
    """A movement without any sensor.

    Attributes:
        angles: Name -> (T,), within `limits_of(name)`.
        joints: (T, 20, 3) in body space.
    """

    angles: Angles
    joints: Array


@dataclass(frozen=True, eq=False)
class _Stage:
    """A performance in the making, to which an action adds its angles.

    Attributes:
        person: The person.
        angles: Name -> (T,), so far.
        envelope: (T,), 0 when idle, 1 in the movement.
        phase: (T,), cycles of the movement so far.
        gain: The size of the movement; 1 is usual.
        side: The hand or foot that one-sided movements use.
        rng: The performance's generator.
    """

    person: Person
    angles: Angles
    envelope: Array
    phase: Array
    gain: float
    side: str
    rng: np.random.Generator

    @property
    def swing(self) -> Array:
        """(T,): from 0 to 1 to -1 and back in every cycle."""
        return self.envelope * np.sin(2 * np.pi * self.phase)

    @property
    def beat(self) -> Array:
        """(T,): from 0 to 1 and back in every cycle."""
        return self.envelope * (0.5 - 0.5 * np.cos(2 * np.pi * self.phase))

    def add(self, name: str, values: Array) -> None:
        """Add to an angle."""
        self.angles[name] = self.angles[name] + values

    def hold(self, name: str, target: Array | float) -> None:
        """Move an angle from its idle value to `target` while the movement lasts."""
        self.angles[name] = self.angles[name] * (1 - self.envelope) + target * self.envelope


def _nod(stage: _Stage) -> None:
    stage.add("neck_pitch", 28 * stage.gain * stage.beat)


def _shake(stage: _Stage) -> None:
    stage.add("neck_yaw", 48 * stage.gain * stage.swing)
    stage.add("neck_roll", -6 * stage.gain * stage.swing)


def _wave(stage: _Stage) -> None:
    arm, style = stage.side, stage.person.traits
    stage.hold(f"{arm}_shoulder_abduct", 45 + 45 * style[0])
    stage.hold(f"{arm}_shoulder_flex", 35 * style[1])
    stage.hold(f"{arm}_shoulder_turn", -85 + 20 * style[2])
    stage.hold(f"{arm}_elbow", 95.0)
    stage.add(f"{arm}_elbow", 34 * stage.gain * stage.swing)
    stage.add(f"{arm}_wrist", 15 * stage.gain * stage.swing)


def _clap(stage: _Stage) -> None:
    lengths, style = stage.person.lengths, stage.person.traits
    bend = 70 + 25 * style[0]
    # The upper arms hang from the shoulders in parallel planes; turned inward by this much, the hands meet at the midline.
    reach = (lengths["forearm"] + lengths["hand"]) * np.sin(np.radians(bend))
    meet = np.degrees(np.arcsin(np.clip((lengths["shoulder"] - 0.02) / reach, -1, 1)))
    for arm in SIDES:
        stage.hold(f"{arm}_shoulder_flex", 10 + 28 * style[1])
        stage.hold(f"{arm}_shoulder_abduct", 0.0)
        stage.hold(f"{arm}_elbow", bend)
        stage.hold(f"{arm}_shoulder_turn", meet - 38 * stage.gain * (1 - stage.beat))


def _punch(stage: _Stage) -> None:
    arm, drive = stage.side, stage.beat**1.5
    stage.hold(f"{arm}_shoulder_flex", 5 + (78 * min(stage.gain + 0.15, 1.05)) * drive)
    stage.hold(f"{arm}_elbow", 125 - 120 * min(stage.gain, 1.0) * drive)
    stage.hold(f"{arm}_shoulder_turn", 25 * (1 - drive))
    stage.add("waist_yaw", -14 * SIDES[arm] * stage.gain * drive)
    if stage.person.traits[0] > 0.5:  # the other hand guards
        stage.hold(f"{_opposite(arm)}_elbow", 105.0)
        stage.hold(f"{_opposite(arm)}_shoulder_flex", 20.0)


def _raise(stage: _Stage) -> None:
    top = 165 * min(stage.gain + 0.1, 1.05)
    way, still = ("abduct", "flex") if stage.person.traits[0] > 0.55 else ("flex", "abduct")
    for arm in SIDES:
        stage.add(f"{arm}_shoulder_{way}", top * stage.beat)
        stage.hold(f"{arm}_shoulder_{still}", 8.0)
        stage.hold(f"{arm}_shoulder_turn", 0.0)
        stage.hold(f"{arm}_elbow", 5 + 25 * stage.person.traits[1])


def _bow(stage: _Stage) -> None:
    fold = 65 * stage.gain * stage.beat
    stage.add("trunk_pitch", fold)
    for side in SIDES:
        stage.add(f"{side}_hip_flex", 0.09 * fold)
        stage.add(f"{side}_shoulder_flex", fold * stage.person.traits[0])  # from arms along the trunk to arms hanging


def _twist(stage: _Stage) -> None:
    stage.add("waist_yaw", 48 * stage.gain * stage.swing)
    stage.add("neck_yaw", 8 * stage.gain * stage.swing)
    for arm in SIDES:
        stage.hold(f"{arm}_shoulder_abduct", 12 + 40 * stage.person.traits[0])
        stage.hold(f"{arm}_elbow", 15 + 70 * stage.person.traits[1])


def _squat(stage: _Stage) -> None:
    bend = 92 * stage.gain * stage.beat
    stage.add("trunk_pitch", 0.3 * bend)
    for side in SIDES:
        stage.add(f"{side}_knee", bend)
        stage.add(f"{side}_hip_flex", 0.57 * bend)
        if stage.person.traits[0] > 0.5:
            stage.add(f"{side}_shoulder_flex", 80 * stage.beat)


def _kick(stage: _Stage) -> None:
    leg, beat = stage.side, stage.beat
    stage.add(f"{leg}_hip_flex", 75 * stage.gain * beat)
    # The knee folds on the way up and opens at the top.
    stage.add(f"{leg}_knee", 130 * stage.gain * beat * (1 - beat))
    stage.add("hip_sway", -4 * SIDES[leg] * beat)
    stage.add("trunk_pitch", -9 * stage.gain * beat)
    for arm in SIDES:
        stage.add(f"{arm}_shoulder_abduct", 18 * beat)


def _march(stage: _Stage) -> None:
    swing = stage.swing * SIDES[stage.side]
    for leg, sign in SIDES.items():
        lift = np.maximum(sign * swing, 0)
        stage.add(f"{leg}_hip_flex", 68 * stage.gain * lift)
        stage.add(f"{leg}_knee", 80 * stage.gain * lift)
        stage.add(f"{leg}_shoulder_flex", -28 * stage.gain * sign * swing)
        stage.add(f"{leg}_elbow", 35 * stage.person.traits[0] * stage.envelope)
    stage.add("hip_sway", -3 * swing)


def _tap(stage: _Stage) -> None:
    ahead = 6 + 10 * stage.person.traits[0]  # the tapping foot rests a little in front
    stage.hold(f"{stage.side}_hip_flex", ahead)
    stage.add(f"{stage.side}_ankle", 33 * min(stage.gain + 0.1, 1.2) * stage.beat)


# Action -> its movement, frames in a cycle, number of cycles; in the order of the labels.
_MOVES: Mapping[str, tuple[Callable[[_Stage], None], tuple[float, float], tuple[int, int]]] = {
    "nod head": (_nod, (8, 13), (2, 4)),
    "shake head": (_shake, (8, 13), (2, 4)),
    "wave one hand": (_wave, (8, 12), (3, 4)),
    "clap hands": (_clap, (7, 11), (3, 5)),
    "punch forward": (_punch, (12, 20), (1, 3)),
    "raise both arms": (_raise, (20, 34), (1, 1)),
    "bow": (_bow, (20, 36), (1, 1)),
    "twist waist": (_twist, (13, 22), (2, 3)),
    "squat": (_squat, (18, 30), (1, 2)),
    "kick forward": (_kick, (14, 22), (1, 2)),
    "march in place": (_march, (12, 20), (2, 3)),
    "tap foot": (_tap, (7, 11), (3, 5)),
}

ACTIONS: tuple[str, ...] = tuple(_MOVES)  # label i is ACTIONS[i]


def make_clips(*, persons: int = 12, cameras: int = 3, repeats: int = 2, seed: int = 0) -> list[Clip]:
    """Make the data set: one clip per action, person, repeat and camera, in that order.

    The cameras see the same performance. The usual split is by person: 1 to 8 for training, 9 to 12 for testing.

    Args:
        persons, cameras, repeats: The number of each. A clip does not depend on how many others there are.
        seed: The seed of all random numbers.

    Returns:
        Clips of joints (1, T, 20, 3) in the camera's space, as the Kinect's: y up, z the distance from the sensor. A person who faces the
        sensor has the left hand at smaller x. Names are like `a01_s03_e00_v02`: the label plus one, the person, the repeat (from 0), and
        the camera.

    Raises:
        SettingError: A count is below 1, or the seed is negative.
    """
    for name, value, minimum in (("persons", persons, 1), ("cameras", cameras, 1), ("repeats", repeats, 1), ("seed", seed, 0)):
        if value < minimum:
            raise SettingError(f"synthetic data: {name} is {value}; it must be at least {minimum}.")
    layout = load_layout("kinect20")
    people = {number: _make_person(seed, number) for number in range(1, persons + 1)}
    sensors = {number: place_camera(number, _generator(seed, _FOR_CAMERA, number)) for number in range(1, cameras + 1)}
    clips = []
    for action in range(len(ACTIONS)):
        for number, person in people.items():
            for repeat in range(repeats):
                shown = perform(person, action, _generator(seed, _FOR_PERFORMANCE, action, number, repeat), layout)
                for view, camera in sensors.items():
                    rng = _generator(seed, _FOR_VIEW, action, number, repeat, view)
                    joints = sense(look(shown.joints, camera), camera.noise, rng, layout)
                    name = f"a{action + 1:02d}_s{number:02d}_e{repeat:02d}_v{view:02d}"
                    clips.append(Clip(joints[None].astype(np.float32), name, label=action, subject=number, camera=view))
    return clips


def perform(person: Person, action: int, rng: np.random.Generator, layout: Layout) -> Performance:
    """Perform an action, without any sensor. Bones keep their lengths, angles stay within limits, and a foot stays on the floor."""
    move, period, cycles = _MOVES[ACTIONS[action]]
    stage = _set_stage(person, period, cycles, rng)
    move(stage)
    _distract(stage)
    angles = stage.angles
    for side in SIDES:  # the sole stays level, unless the action bends the ankle
        angles[f"{side}_ankle"] = angles[f"{side}_ankle"] + angles[f"{side}_knee"] - angles[f"{side}_hip_flex"]
    angles = {name: np.clip(values, *limits_of(name)) for name, values in angles.items()}
    return Performance(angles, pose(person.lengths, angles, layout))


def _opposite(side: str) -> str:
    return "right" if side == "left" else "left"


def _generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng([seed, *key])


def _make_person(seed: int, number: int) -> Person:
    rng = _generator(seed, _FOR_PERSON, number)
    size = rng.uniform(0.86, 1.12)
    trunk = [name for name in ANGLES if name not in (*ARM, *LEG)]
    posture = dict.fromkeys([*trunk, *(f"{side}_{name}" for side in SIDES for name in (*ARM, *LEG))], 0.0)
    posture |= {
        "heading": rng.uniform(-10, 10),
        "trunk_pitch": rng.uniform(-3, 8),
        "neck_pitch": rng.uniform(-8, 12),
        "neck_roll": rng.uniform(-4, 4),
    }
    spread, bent, crouch = rng.uniform(0, 10), rng.uniform(5, 40), rng.uniform(0, 8)
    for side in SIDES:
        posture[f"{side}_shoulder_abduct"] = rng.uniform(4, 18)
        posture[f"{side}_elbow"] = bent + rng.uniform(0, 15)
        posture[f"{side}_hip_spread"] = spread
        posture[f"{side}_hip_flex"] = crouch
        posture[f"{side}_knee"] = 2 * crouch
    return Person(
        lengths={name: length * size * rng.uniform(0.92, 1.08) for name, length in LENGTHS.items()},
        posture=posture,
        sway=rng.uniform(0.6, 1.6),
        speed=rng.uniform(0.8, 1.25),
        amplitude=rng.uniform(0.8, 1.1),
        side="right" if rng.random() < 0.75 else "left",
        haste=rng.random(),
        traits=(rng.random(), rng.random(), rng.random()),
    )


def _set_stage(person: Person, period: tuple[float, float], cycles: tuple[int, int], rng: np.random.Generator) -> _Stage:
    """Draw the timing of a performance, and the person's idle motion for its length."""
    count = int(rng.integers(cycles[0], cycles[1] + 1))
    active = float(np.clip(count * rng.uniform(*period) / person.speed, MIN_FRAMES - 6, MAX_FRAMES - 8))
    before = int(rng.integers(0, 5 + round(9 * (1 - person.haste))))
    frames = int(np.clip(before + active + rng.integers(0, 13), MIN_FRAMES, MAX_FRAMES))
    before = min(before, int(frames - active))
    time = (np.arange(frames) - before) / active
    ramp = min(0.15, 4 / active)
    envelope = _smooth(time / ramp) * _smooth((1 - time) / ramp)
    progress = np.clip(time, 0, 1)
    warp = rng.uniform(-0.08, 0.08) * np.sin(2 * np.pi * progress)  # people do not keep time exactly
    gain = person.amplitude * rng.uniform(0.8, 1.1) * (0.5 if rng.random() < 0.1 else 1)
    side = person.side if rng.random() < 0.9 else _opposite(person.side)
    angles = {name: value + np.zeros(frames) for name, value in person.posture.items()}
    for name in angles:
        angles[name] = angles[name] + person.sway * entry_of(name)[2] * (rng.uniform(-1.5, 1.5) + _wander(frames, rng))
    _vary_posture(angles, rng)
    return _Stage(person, angles, envelope, count * (progress + warp), float(np.clip(gain, 0.35, 1.15)), side, rng)


def _vary_posture(angles: Angles, rng: np.random.Generator) -> None:
    """Vary heading and rest posture of a performance; sometimes an arm is bent, or held sideways or forward."""
    angles["heading"] = angles["heading"] + rng.uniform(-38, 38)
    angles["trunk_pitch"] = angles["trunk_pitch"] + rng.uniform(-4, 8)
    for side in SIDES:
        for name, maximum in (("elbow", 85), ("shoulder_flex", 30), ("shoulder_abduct", 30)):
            if rng.random() < 0.4:
                angles[f"{side}_{name}"] = angles[f"{side}_{name}"] + rng.uniform(0, maximum)


def _wander(frames: int, rng: np.random.Generator) -> Array:
    """Return (T,): slow aperiodic motion of about unit size."""
    time = np.arange(frames)
    waves = [np.sin(2 * np.pi * (time / rng.uniform(*band) + rng.random())) for band in ((14, 30), (30, 90))]
    return np.asarray(sum(waves), dtype=np.float64)


def _smooth(x: Array) -> Array:
    """Rise smoothly from 0 at x = 0 to 1 at x = 1; constant outside."""
    inside = np.clip(x, 0, 1)
    return np.asarray(inside * inside * (3 - 2 * inside), dtype=np.float64)


def _distract(stage: _Stage) -> None:
    """Add one to four small movements unrelated to the class. Each happens once, and is undone or stays."""
    rng, frames = stage.rng, len(stage.phase)
    hand, foot = (str(side) for side in rng.choice(list(SIDES), 2))
    sign = rng.choice([-1, 1])
    choices: list[dict[str, float]] = [
        {"neck_yaw": 35 * sign},
        {"neck_pitch": 22},
        {f"{hand}_elbow": 65, f"{hand}_shoulder_flex": 18},
        {f"{hand}_shoulder_abduct": 30, f"{hand}_elbow": 25},
        {"hip_sway": 6 * sign, "trunk_roll": 3 * sign},
        {"heading": 18 * sign},
        {"waist_yaw": 16 * sign},
        {"trunk_pitch": 14},
        {f"{foot}_hip_flex": 20, f"{foot}_knee": 34},
    ]
    for place in rng.choice(len(choices), size=int(rng.integers(1, 5)), replace=False):
        length = rng.uniform(10, 24)
        time = (np.arange(frames, dtype=np.float64) - rng.uniform(-0.3, 0.9) * frames) / length
        stays = rng.random() < 0.5 and place != len(choices) - 1  # a lifted foot comes down again
        course = _smooth(time) if stays else _smooth(2 * time) * _smooth(2 - 2 * time)
        for name, size in choices[place].items():
            stage.add(name, size * rng.uniform(0.6, 1.4) * course)
