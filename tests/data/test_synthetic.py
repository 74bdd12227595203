"""The synthetic data set: reproducible, anatomically possible, and neither trivial nor hopeless for a simple baseline."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from poseglot.data import synthetic
from poseglot.data.synthetic import ACTIONS, Performance, make_clips
from poseglot.data.synthetic.body import SIDES, limits_of
from poseglot.errors import SettingError
from poseglot.skeletons.clip import Clip, check_joints
from poseglot.skeletons.layout import load_layout

LAYOUT = load_layout("kinect20")
Array = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return make_clips()


@pytest.fixture(scope="module")
def performances() -> dict[str, list[Performance]]:
    """Eight people's, without a sensor."""
    people = [synthetic._make_person(5, number) for number in range(1, 9)]
    return {
        name: [synthetic.perform(person, action, np.random.default_rng([action, i]), LAYOUT) for i, person in enumerate(people)]
        for action, name in enumerate(ACTIONS)
    }


def at(performance: Performance, joint: str) -> Array:
    return performance.joints[:, LAYOUT.index[joint]]


def pace(performance: Performance, joint: str, reference: str) -> float:
    """Mean way per frame of a joint, seen from another joint."""
    offset = at(performance, joint) - at(performance, reference)
    return float(np.linalg.norm(np.diff(offset, axis=0), axis=1).mean())


def ahead(performance: Performance, side: str) -> float:
    """How far a wrist comes before its shoulder, in the direction that the body faces."""
    heading = np.radians(performance.angles["heading"])
    offset = at(performance, f"{side}_wrist") - at(performance, f"{side}_shoulder")
    return float((offset[:, 0] * np.sin(heading) + offset[:, 2] * np.cos(heading)).max())


def tapping(performance: Performance, side: str) -> float:
    """Up and down of the toes against the ankle, less that of the knee against the hip, per frame."""
    toes = at(performance, f"{side}_foot") - at(performance, f"{side}_ankle")
    knee = at(performance, f"{side}_knee") - at(performance, f"{side}_hip")
    return float((np.abs(np.diff(toes[:, 1])) - np.abs(np.diff(knee[:, 1]))).mean())


def both(template: str) -> list[str]:
    return [template.format(side) for side in SIDES]


# --- the set ---------------------------------------------------------------------------------------------------------------


def test_default_set_is_the_full_product_with_right_fields(clips: list[Clip]) -> None:
    assert len(clips) == len({clip.name for clip in clips}) == 12 * 12 * 2 * 3
    expected = {
        f"a{action + 1:02d}_s{subject:02d}_e{repeat:02d}_v{camera:02d}": (action, subject, camera)
        for action in range(12)
        for subject in range(1, 13)
        for repeat in range(2)
        for camera in range(1, 4)
    }
    assert {clip.name: (clip.label, clip.subject, clip.camera) for clip in clips} == expected


def test_clips_are_valid_and_of_varied_length(clips: list[Clip]) -> None:
    for clip in clips:
        assert check_joints(clip.joints, joint_count=20, origin=clip.name).shape[0] == 1
        assert clip.joints.dtype == np.float32 and clip.joints.shape[3] == 3
    lengths = [clip.joints.shape[1] for clip in clips]
    assert min(lengths) >= 18 and max(lengths) <= 60 and len(set(lengths)) > 20


def test_everybody_stands_upright_before_the_camera(clips: list[Clip]) -> None:
    for clip in clips:
        head, ankle = (np.median(clip.joints[0, :, LAYOUT.index[name]], axis=0) for name in ("head", "left_ankle"))
        assert head[1] > ankle[1] + 0.7 and 1.5 < head[2] < 4.5, clip.name
        # Who faces a camera has the left shoulder on its left.
        if clip.camera == 2:
            left, right = (clip.joints[0, 0, LAYOUT.index[name], 0] for name in ("left_shoulder", "right_shoulder"))
            assert left < right, clip.name


def test_deterministic_in_the_seed() -> None:
    first, again, other = (make_clips(persons=2, cameras=1, repeats=1, seed=seed) for seed in (3, 3, 4))
    assert all(np.array_equal(a.joints, b.joints) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a.joints, b.joints) for a, b in zip(first, other, strict=True))


def test_a_clip_does_not_depend_on_the_counts(clips: list[Clip]) -> None:
    whole = {clip.name: clip.joints for clip in clips}
    small = make_clips(persons=2, cameras=2, repeats=1)
    assert len(small) == 12 * 2 * 2
    for clip in small:
        assert np.array_equal(clip.joints, whole[clip.name]), clip.name


def test_cameras_see_one_performance_from_their_own_places(clips: list[Clip]) -> None:
    by_name = {clip.name: clip.joints[0] for clip in clips}
    back, neck = LAYOUT.index["hip_centre"], LAYOUT.index["shoulder_centre"]
    for take in {name[:-4] for name in by_name}:
        views = [by_name[f"{take}_v{camera:02d}"] for camera in (1, 2, 3)]
        assert len({len(view) for view in views}) == 1
        # The trunk is as long from everywhere, up to noise; the joints are elsewhere.
        lengths = [np.linalg.norm(view[:, neck] - view[:, back], axis=1) for view in views]
        assert np.ptp([np.median(length) for length in lengths]) < 0.05, take
        assert all(np.abs(views[a] - views[b]).max() > 0.1 for a, b in ((0, 1), (1, 2), (0, 2)))


@pytest.mark.parametrize("bad", [{"persons": 0}, {"cameras": 0}, {"repeats": -1}, {"seed": -1}])
def test_impossible_counts_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(SettingError, match=next(iter(bad))):
        make_clips(**bad)


# --- the body --------------------------------------------------------------------------------------------------------------


def test_limbs_keep_their_length_and_are_as_long_on_both_sides(performances: dict[str, list[Performance]]) -> None:
    bones = {child: (LAYOUT.index[child], LAYOUT.index[parent]) for child, parent in LAYOUT.bones.items()}
    for shown in (one for many in performances.values() for one in many):
        lengths = {name: np.linalg.norm(shown.joints[:, a] - shown.joints[:, b], axis=1) for name, (a, b) in bones.items()}
        for name, length in lengths.items():
            assert length.min() > 0.05 and np.ptp(length) < 1e-5, name
        for left, right in LAYOUT.mirror.items():
            assert lengths[left][0] == pytest.approx(lengths[right][0], abs=1e-5)


def test_angles_stay_within_their_limits(performances: dict[str, list[Performance]]) -> None:
    for shown in (one for many in performances.values() for one in many):
        for name, values in shown.angles.items():
            low, high = limits_of(name)
            assert low <= values.min() and values.max() <= high, name


def test_angles_beyond_the_limits_are_clipped() -> None:
    person = synthetic._make_person(0, 1)
    stiff = {**person.posture, "neck_yaw": 400.0, "left_elbow": -90.0}
    shown = synthetic.perform(synthetic.Person(**{**vars(person), "posture": stiff}), 8, np.random.default_rng(0), LAYOUT)
    assert (shown.angles["neck_yaw"] == limits_of("neck_yaw")[1]).all()
    assert (shown.angles["left_elbow"] == limits_of("left_elbow")[0]).all()


def test_elbows_and_knees_in_space_bend_as_the_angles_say(performances: dict[str, list[Performance]]) -> None:
    """Measured on the joints, so that the limits hold for the skeleton and not only for the table."""
    for shown in (one for many in performances.values() for one in many):
        for side in SIDES:
            for upper, bent, lower in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")):
                first = at(shown, f"{side}_{bent}") - at(shown, f"{side}_{upper}")
                second = at(shown, f"{side}_{lower}") - at(shown, f"{side}_{bent}")
                cosine = (first * second).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
                measured = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
                np.testing.assert_allclose(measured, shown.angles[f"{side}_{bent}"], atol=1e-3)


def test_the_lowest_foot_is_on_the_floor(performances: dict[str, list[Performance]]) -> None:
    soles = [LAYOUT.index[name] for name in (*both("{}_ankle"), *both("{}_foot"))]
    for shown in (one for many in performances.values() for one in many):
        np.testing.assert_allclose(shown.joints[:, soles, 1].min(axis=1), 0, atol=1e-6)
        assert shown.joints[..., 1].min() > -1e-6


@pytest.mark.parametrize("action", ["bow", "squat", "clap hands"])
def test_carrying_feet_stay_where_they_are(performances: dict[str, list[Performance]], action: str) -> None:
    """The feet stay while the head goes down by decimetres; only a distractor (a lifted foot, a turn) moves one a little."""
    for shown in performances[action]:
        middle = sum(at(shown, ankle) for ankle in both("{}_ankle")) / 2
        assert np.ptp(middle, axis=0)[[0, 2]].max() < 0.2
    resample_fps = [
        np.ptp(sum(at(shown, ankle) for ankle in both("{}_ankle")), axis=0).max() / 2 for shown in performances[action]
    ]
    assert np.median(resample_fps) < 0.06


# --- the actions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "moving", "reference", "still", "still_reference"),
    [
        ("nod head", ["head"], "shoulder_centre", both("{}_foot"), "hip_centre"),
        ("shake head", ["head"], "shoulder_centre", both("{}_foot"), "hip_centre"),
        ("wave one hand", both("{}_wrist"), "shoulder_centre", both("{}_foot"), "hip_centre"),
        ("raise both arms", both("{}_wrist"), "shoulder_centre", ["head"], "shoulder_centre"),
        ("bow", ["head"], "hip_centre", both("{}_foot"), "hip_centre"),
        ("squat", both("{}_knee"), "hip_centre", ["head"], "shoulder_centre"),
        ("kick forward", both("{}_foot"), "hip_centre", ["head"], "shoulder_centre"),
        ("march in place", both("{}_foot"), "hip_centre", ["head"], "shoulder_centre"),
    ],
)
def test_the_part_that_should_move_moves_most(
    performances: dict[str, list[Performance]],
    action: str,
    moving: list[str],
    reference: str,
    still: list[str],
    still_reference: str,
) -> None:
    shown = performances[action]
    active = np.median([max(pace(one, joint, reference) for joint in moving) for one in shown])
    quiet = np.median([max(pace(one, joint, still_reference) for joint in still) for one in shown])
    assert active > 1.3 * quiet


def test_each_action_does_what_its_name_says(performances: dict[str, list[Performance]]) -> None:
    """One measure per class, in which its own performances lead all others on average."""
    measures: dict[str, Callable[[Performance], float]] = {
        "clap hands": lambda one: -np.linalg.norm(at(one, "left_hand") - at(one, "right_hand"), axis=1).min(),
        "punch forward": lambda one: abs(ahead(one, "left") - ahead(one, "right")),
        "wave one hand": lambda one: np.abs((at(one, "left_hand") - at(one, "right_hand"))[:, 1]).mean(),
        "raise both arms": lambda one: min((at(one, f"{side}_hand") - at(one, "head"))[:, 1].max() for side in SIDES),
        "bow": lambda one: -(at(one, "head") - at(one, "hip_centre"))[:, 1].min(),
        "twist waist": lambda one: np.ptp(one.angles["waist_yaw"]),
        "squat": lambda one: -at(one, "hip_centre")[:, 1].min(),
        "kick forward": lambda one: max(at(one, f"{side}_foot")[:, 1].max() for side in SIDES),
        "march in place": lambda one: min(at(one, f"{side}_foot")[:, 1].max() for side in SIDES),
        "shake head": lambda one: np.abs(np.diff(one.angles["neck_yaw"])).mean(),
        "nod head": lambda one: np.abs(np.diff(one.angles["neck_pitch"])).mean(),
        "tap foot": lambda one: max(tapping(one, side) for side in SIDES),
    }
    assert set(measures) == set(ACTIONS)
    for name, measure in measures.items():
        means = {action: np.mean([measure(one) for one in many]) for action, many in performances.items()}
        assert max(means, key=lambda action: means[action]) == name, (name, means)


# --- how hard it is --------------------------------------------------------------------------------------------------------


def nearest_neighbour_view(clip: Clip, frames: int = 16) -> Array:
    joints = clip.joints[0].astype(np.float64)
    joints = joints - joints[0, LAYOUT.centre_index]
    low, high = joints.min(axis=(0, 1)), joints.max(axis=(0, 1))
    joints = 2 * (joints - low) / (high - low) - 1
    place = np.linspace(0, len(joints) - 1, frames)
    before = np.minimum(place.astype(int), len(joints) - 2)
    weight = (place - before)[:, None, None]
    return np.ravel(joints[before] * (1 - weight) + joints[before + 1] * weight)


def test_nearest_neighbour_is_neither_hopeless_nor_enough(clips: list[Clip]) -> None:
    """Subjects 1 to 8 against 9 to 12; chance is 24 of 288. A trained network must have room above, and a signal to find."""
    train, test = ([clip for clip in clips if (clip.subject <= 8) is side] for side in (True, False))
    known, asked = (np.stack([nearest_neighbour_view(clip) for clip in group]) for group in (train, test))
    distance = (known**2).sum(axis=1) - 2 * asked @ known.T
    right = sum(train[nearest].label == clip.label for nearest, clip in zip(distance.argmin(axis=1), test, strict=True))
    assert len(test) == 288
    assert 0.45 * 288 <= right <= 0.70 * 288, right
