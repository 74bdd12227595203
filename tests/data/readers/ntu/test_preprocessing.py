"""The preparation of NTU RGB+D: the field's own results on real files, each step by hand, and a slow plain reference."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.ntu import read_clip
from poseglot.data.readers.ntu.preprocessing import Track, actors, centre, denoise, flat_frames, preprocess, tracks
from poseglot.data.readers.ntu.text import read_text
from tests.data.readers.ntu.helpers import Frame, Joints, joints_of, real_files, recording_of, text_of


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# --- the recorded results --------------------------------------------------------------------------------------------------


def as_recorded(joints: Joints) -> Joints:
    """(M, T, 25, 3) -> (T, M * 75), person, joint, coordinate."""
    return joints.transpose(1, 0, 2, 3).reshape(joints.shape[1], -1)


def test_the_ten_real_files_after_every_step(shared: Path) -> None:
    with np.load(shared / "golden" / "ntu_chain.npz") as golden:
        files = real_files(shared)
        assert [path.stem for path in files] and sorted(golden["final/names"].tolist()) == sorted(path.stem for path in files)
        for path in files:
            recording = read_text(path.read_bytes(), str(path))
            for step, joints in (
                ("denoised", actors(denoise(tracks(recording)))),
                ("translated", preprocess(recording)),
                ("translated", read_clip(path).joints),
            ):
                wanted = golden[f"{step}/{path.stem}"]
                assert joints.dtype == wanted.dtype == np.float32 and joints.shape == (
                    wanted.shape[1] // 75,
                    len(wanted),
                    25,
                    3,
                )
                np.testing.assert_array_equal(as_recorded(joints), wanted, err_msg=f"{step} {path.stem}")


# --- tracks ----------------------------------------------------------------------------------------------------------------


def test_gaps_of_a_body_are_closed_and_frames_without_bodies_dropped() -> None:
    a, b = joints_of(1), joints_of(2)
    frames: list[Frame] = [{}, {"a": a}, {}, {"a": a + 1, "b": b}, {"b": b + 1}, {}, {"a": a + 2}, {}]
    first, second = tracks(recording_of(frames))
    assert (first.id, first.start, first.end) == ("a", 0, 3)
    np.testing.assert_array_equal(first.joints, [a, a + 1, a + 2])
    assert (second.id, second.start, second.end) == ("b", 1, 3)
    np.testing.assert_array_equal(second.joints, [b, b + 1])


def test_motion_is_the_sum_of_the_variances_of_x_y_and_z() -> None:
    x = np.zeros((2, 25, 3), dtype=np.float32)
    x[0, :, 0], x[1, :, 0] = 1, 3  # variance 1 over frames
    x[:, :5, 1] = 5  # mean 1, variance 4 over joints
    x[..., 2] = 7
    track, still = tracks(recording_of([{"a": x[0], "b": x[0] * 0 + 1}, {"a": x[1], "b": x[0] * 0 + 1}]))
    assert track.motion == pytest.approx(1 + 4 + 0, rel=1e-12) and still.motion == 0


# --- denoise ---------------------------------------------------------------------------------------------------------------


def person(frames: int, *, width: float = 0.5, height: float = 1.0, flat: int = 0, seed: int = 0, swing: float = 0.1) -> Joints:
    """(frames, 25, 3): exactly so wide and high, except that the last `flat` frames are twice as wide as high; it swings."""
    shape = np.random.default_rng(seed).uniform(-0.4, 0.4, (25, 3))
    shape[3], shape[15], shape[7], shape[11] = [0, 0.5, 0], [0, -0.5, 0], [0.5, 0, 0], [-0.5, 0, 0]
    joints = np.tile(shape, (frames, 1, 1)) * [width, height, 0.5] + [0, 0, 3]
    joints[frames - flat :, :, 0] *= 2 * height / width
    joints[..., 2] += swing * np.sin(np.arange(frames))[:, None]
    return joints.astype(np.float32)


def track(name: str, joints: Joints, start: int = 0, motion: float | None = None) -> Track:
    return Track(name, start, joints, plain_motion(joints.tolist()) if motion is None else motion)


def names(found: Sequence[Track]) -> list[str]:
    return [one.id for one in found]


@pytest.mark.parametrize(("frames", "kept"), [(1, False), (10, False), (11, False), (12, True), (13, True)])
def test_a_body_of_eleven_frames_is_noise_and_one_of_twelve_is_not(frames: int, kept: bool) -> None:
    long = track("long", person(40))
    for found in ([long, track("short", person(frames))], [track("short", person(frames)), long]):
        assert ("short" in names(denoise(found))) is kept and "long" in names(denoise(found))


def test_a_lone_body_is_never_judged() -> None:
    for joints in (person(1), person(11), person(20, flat=20), np.zeros((3, 25, 3), dtype=np.float32)):
        (left,) = denoise([track("a", joints, motion=5.0)])
        assert left.id == "a" and left.motion == 5.0 and left.joints is joints


def test_the_last_body_stays_even_if_all_are_short_or_flat() -> None:
    """They are judged in the order in which they appear, so it is the last that stays."""
    short = [track(name, person(5, seed=seed)) for seed, name in enumerate("abc")]
    assert names(denoise(short)) == ["c"]
    flat = [track(name, person(20, flat=20, seed=seed)) for seed, name in enumerate("abc")]
    assert names(denoise(flat)) == ["c"]
    assert names(denoise([*flat[:2], *short[:2]])) == ["b"]
    assert names(denoise([flat[0], short[0]])) == ["a"]  # who is left alone after the first step is not judged in the second


def test_flat_is_wider_than_four_fifths_of_the_height() -> None:
    limit = np.float32(4)  # of 5 m, exactly
    joints = np.zeros((4, 25, 3), dtype=np.float32)
    joints[:, 0, 1] = 5
    joints[:, 1, 0] = [np.nextafter(limit, np.float32(0)), limit, np.nextafter(limit, np.float32(5)), 0]
    assert flat_frames(joints).tolist() == [False, False, True, False]
    # Neither depth plays a part, nor where the body stands.
    joints[..., 2] = np.linspace(0, 9, 25)
    assert flat_frames(joints).tolist() == [False, False, True, False]
    assert flat_frames(person(4, flat=2) + np.array([16, -32, 0], dtype=np.float32)).tolist() == [False, False, True, True]


@pytest.mark.parametrize("frames", [12, 43, 100, 248, 2_000])
def test_share_of_flat_frames_just_below_and_at_the_limit(frames: int) -> None:
    good = track("good", person(frames))
    limit = math.ceil(0.69754 * frames)  # the first number of frames whose share is not below it
    for flat, kept in ((limit - 1, True), (limit, False), (limit + 1, False)):
        assert (flat / frames < 0.69754) is kept
        assert names(denoise([track("noise", person(frames, flat=flat)), good])) == (["noise", "good"] if kept else ["good"])


def test_share_of_exactly_the_limit_is_noise() -> None:
    joints = person(50_000, flat=34_877)
    assert 34_877 / 50_000 == 0.69754
    assert names(denoise([Track("noise", 0, joints, 1.0), track("good", person(12))])) == ["good"]


def test_motion_is_the_smaller_of_all_frames_and_of_the_clean_ones() -> None:
    other = track("other", person(30))
    # The flat frames are wide: without them it moves less.
    wide = track("wide", person(30, flat=10))
    clean = plain_motion(wide.joints[:20].tolist())
    assert clean < wide.motion
    left = {one.id: one for one in denoise([wide, other])}
    assert left["wide"].motion == pytest.approx(clean, rel=1e-6)
    assert left["other"].motion == other.motion
    # Its flat frames are the quiet ones here: it keeps its own.
    joints = person(30, flat=10)
    joints[20:] *= np.float32(0.01)
    assert plain_motion(joints[:20].tolist()) > 0
    quiet = track("quiet", joints, motion=0.0)
    assert {one.id: one.motion for one in denoise([quiet, other])}["quiet"] == 0.0


def test_judging_changes_no_frames_and_no_order() -> None:
    found = [track("a", person(20, flat=4)), track("b", person(5)), track("c", person(15, flat=15)), track("d", person(12))]
    before = [one.joints.copy() for one in found]
    left = denoise(found)
    assert names(left) == ["a", "d"] and left[0].joints is found[0].joints
    for one, joints in zip(found, before, strict=True):
        np.testing.assert_array_equal(one.joints, joints)


# --- actors ----------------------------------------------------------------------------------------------------------------


def mark(value: float, frames: int) -> Joints:
    """(frames, 25, 3): `value` in the first frame, `value` + 0.01 in the next, and so on."""
    return np.tile((value + np.arange(frames) / 100)[:, None, None], (1, 25, 3)).astype(np.float32)


def who(joints: Joints) -> list[list[int]]:
    """Which body (by its whole value) each actor is in each frame."""
    assert np.ptp(joints, axis=(2, 3)).max() == 0
    bodies: list[list[int]] = np.floor(joints[:, :, 0, 0] + 1e-4).astype(int).tolist()
    return bodies


def made(*bodies: tuple[int, int, float]) -> list[Track]:
    """Bodies 1, 2, 3, ... of (start, frames, motion)."""
    return [Track(str(k), start, mark(k, n), motion) for k, (start, n, motion) in enumerate(bodies, start=1)]


def test_one_body_is_one_actor() -> None:
    joints = actors(made((0, 5, 1.0)))
    assert joints.shape == (1, 5, 25, 3) and who(joints) == [[1] * 5]


def test_order_is_by_motion_and_of_equal_ones_by_appearance() -> None:
    assert who(actors(made((0, 3, 1.0), (0, 3, 2.0)))) == [[2] * 3, [1] * 3]
    assert who(actors(made((0, 3, 2.0), (0, 3, 1.0)))) == [[1] * 3, [2] * 3]
    assert who(actors(made((0, 3, 1.0), (0, 3, 1.0)))) == [[1] * 3, [2] * 3]


@pytest.mark.parametrize("order", [(2.0, 1.0), (1.0, 2.0)])
def test_two_bodies_one_after_the_other_are_one_actor(order: tuple[float, float]) -> None:
    joints = actors(made((0, 3, order[0]), (3, 4, order[1])))
    # Two people in shape, the second of whom is nowhere: so the field's arrays have it.
    assert joints.shape == (2, 7, 25, 3) and who(joints) == [[1] * 3 + [2] * 4, [0] * 7]


def test_bodies_that_share_one_frame_are_still_one_actor_and_the_later_in_the_order_has_it() -> None:
    assert who(actors(made((0, 3, 2.0), (2, 3, 1.0)))) == [[1, 1, 2, 2, 2], [0] * 5]
    assert who(actors(made((0, 3, 1.0), (2, 3, 2.0)))) == [[1, 1, 1, 2, 2], [0] * 5]


def test_bodies_that_share_two_frames_are_two_actors() -> None:
    assert who(actors(made((0, 3, 2.0), (1, 3, 1.0)))) == [[1, 1, 1, 0], [0, 2, 2, 2]]
    assert who(actors(made((0, 3, 1.0), (1, 3, 2.0)))) == [[0, 2, 2, 2], [1, 1, 1, 0]]


def test_a_third_body_at_the_same_time_is_left_out() -> None:
    assert who(actors(made((0, 4, 3.0), (0, 4, 2.0), (0, 4, 9.0)))) == [[3] * 4, [1] * 4]
    # Its frames, where nobody else is, go with it.
    assert who(actors(made((0, 4, 3.0), (0, 4, 2.0), (1, 6, 1.0)))) == [[1] * 4, [2] * 4]


def test_a_body_in_a_pause_of_an_actor_is_within_its_time() -> None:
    """Each actor's time is one span; what lies between two of its bodies is taken."""
    joints = actors(made((0, 3, 4.0), (8, 3, 3.0), (4, 3, 2.0)))
    assert who(joints) == [[1] * 3 + [0] * 3 + [2] * 3, [0] * 3 + [3] * 3 + [0] * 3]  # frames 3 and 7 had nobody


def test_an_actors_time_grows_at_both_ends() -> None:
    assert who(actors(made((5, 5, 4.0), (0, 3, 3.0), (4, 5, 2.0)))) == [[2] * 3 + [0] + [1] * 5, [0] * 3 + [3] * 5 + [0]]
    assert who(actors(made((0, 3, 4.0), (5, 5, 3.0), (1, 5, 2.0)))) == [[1] * 3 + [0] * 2 + [2] * 5, [0] + [3] * 5 + [0] * 4]


def test_the_second_actors_time_before_its_first_body_counts_as_taken() -> None:
    # 1 is there throughout; 2 (frames 6-9) is the second actor, and 3 (frames 0-3), which could be it before, is lost.
    assert who(actors(made((0, 10, 3.0), (6, 4, 2.0), (0, 4, 1.0)))) == [[1] * 10, [0] * 6 + [2] * 4]
    # The other way round it is not.
    assert who(actors(made((0, 10, 3.0), (6, 4, 1.0), (0, 4, 2.0)))) == [[1] * 10, [3] * 4 + [0] * 2 + [2] * 4]
    # For the first actor that is not so.
    assert who(actors(made((6, 4, 2.0), (0, 4, 1.0)))) == [[2] * 4 + [1] * 4, [0] * 8]


def test_frames_of_zeros_are_dropped_only_with_two_actors() -> None:
    body = mark(1, 6)
    body[2] = 0
    assert actors([Track("1", 0, body, 1.0)]).shape == (1, 6, 25, 3)
    other = mark(2, 6)
    assert actors([Track("1", 0, body, 2.0), Track("2", 0, other, 1.0)]).shape == (2, 6, 25, 3)  # the other is there
    other[2] = 0
    joints = actors([Track("1", 0, body, 2.0), Track("2", 0, other, 1.0)])
    assert who(joints) == [[1] * 5, [2] * 5]
    # One number that is not zero keeps a frame.
    other[2, 24, 2] = 1e-20
    assert actors([Track("1", 0, body, 2.0), Track("2", 0, other, 1.0)]).shape == (2, 6, 25, 3)


# --- centre ----------------------------------------------------------------------------------------------------------------


def test_the_origin_is_the_first_actors_spine_where_it_is_first_seen() -> None:
    joints = np.random.default_rng(0).uniform(1, 2, (2, 5, 25, 3)).astype(np.float32)
    joints[0, :2] = 0
    joints[1, 3:] = 0
    moved = centre(joints)
    spine = joints[0, 2, 1]
    assert moved.dtype == np.float32 and not moved[0, 2, 1].any()
    np.testing.assert_array_equal(moved[0, 2:], joints[0, 2:] - spine)
    np.testing.assert_array_equal(moved[1, :3], joints[1, :3] - spine)
    assert not moved[0, :2].any() and not moved[1, 3:].any()
    # Absent is 0, not -0.
    assert not np.signbit(moved[0, :2]).any() and not np.signbit(moved[1, 3:]).any()


def test_a_missing_joint_of_somebody_who_is_there_moves_along() -> None:
    """The field keeps whole frames at zero, not joints."""
    joints = np.random.default_rng(0).uniform(1, 2, (1, 3, 25, 3)).astype(np.float32)
    joints[0, 1, 7] = 0
    np.testing.assert_array_equal(centre(joints)[0, 1, 7], -joints[0, 0, 1])


def test_centring_leaves_its_argument_alone() -> None:
    joints = np.random.default_rng(0).uniform(1, 2, (1, 3, 25, 3)).astype(np.float32)
    before = joints.copy()
    centre(joints)
    np.testing.assert_array_equal(joints, before)
    recording = recording_of([{"1": frame} for frame in joints[0]])
    preprocess(recording)
    np.testing.assert_array_equal(recording.bodies[0].joints, before[0])


# --- what can come of odd but well-formed files ----------------------------------------------------------------------------


def chain_of(frames: Sequence[Frame]) -> Joints | ClipError:
    """All steps, from the text; a refusal with a reason is an answer too."""
    try:
        return preprocess(read_text(text_of(frames), "f.skeleton"))
    except ClipError as error:
        return error


@pytest.mark.parametrize("bodies", [1, 2, 3])
def test_bodies_that_are_zeros_throughout(bodies: int) -> None:
    found = chain_of([{str(k): np.zeros((25, 3)) for k in range(bodies)}] * 15)
    if not isinstance(found, ClipError):
        assert found.shape[1] > 0 and not found.any()


def test_zeros_beside_a_person_are_nobody() -> None:
    frames: list[Frame] = [{"1": np.zeros((25, 3)), "2": frame} for frame in person(15)]
    found = chain_of(frames)
    assert not isinstance(found, ClipError)
    np.testing.assert_array_equal(found[0], person(15) - person(15)[0, 1])
    assert not found[1:].any()


@pytest.mark.parametrize("bodies", [1, 2])
@pytest.mark.parametrize("size", [1e4, 1e10, 1e20, 3.4e38])
def test_far_away_is_finite_or_refused(bodies: int, size: float) -> None:
    rng = np.random.default_rng(0)
    found = chain_of([{str(k): rng.uniform(-size, size, (25, 3)) for k in range(bodies)} for _ in range(15)])
    if isinstance(found, ClipError):
        assert found.kind == "not finite"
    else:
        assert np.isfinite(found).all()


def test_one_frame() -> None:
    found = chain_of([{"1": joints_of(0)}])
    assert not isinstance(found, ClipError) and found.shape == (1, 1, 25, 3)
    found = chain_of([{"1": joints_of(0), "2": joints_of(1)}])
    assert not isinstance(found, ClipError) and found.shape == (1, 1, 25, 3)  # two short bodies: the last stays


# --- against a slow plain reference ----------------------------------------------------------------------------------------

Pose = list[list[float]]


def plain_motion(frames: list[Pose]) -> float:
    total = 0.0
    for axis in range(3):
        values = [joint[axis] for frame in frames for joint in frame]
        mean = math.fsum(values) / len(values)
        total += math.fsum((value - mean) ** 2 for value in values) / len(values)
    return total


def plain_is_flat(frame: Pose) -> bool:
    x, y = [joint[0] for joint in frame], [joint[1] for joint in frame]
    return max(x) - min(x) > 0.8 * (max(y) - min(y))


def plain_chain(frames: Sequence[dict[str, Pose]]) -> list[list[Pose]]:
    """The whole preparation from its description: person -> time -> joint -> x, y, z."""
    frames = [frame for frame in frames if frame]
    start: dict[str, int] = {}
    seen: dict[str, list[Pose]] = {}
    for time, frame in enumerate(frames):
        for name, joints in frame.items():
            start.setdefault(name, time)
            seen.setdefault(name, []).append(joints)
    motion = {name: plain_motion(seen[name]) for name in seen}

    remaining = list(seen)
    for name in list(seen):
        if len(remaining) > 1 and len(seen[name]) <= 11:
            remaining.remove(name)
    for name in list(remaining):
        if len(remaining) > 1:
            clean = [frame for frame in seen[name] if not plain_is_flat(frame)]
            if 1 - len(clean) / len(seen[name]) >= 0.69754:
                remaining.remove(name)
            else:
                motion[name] = min(motion[name], plain_motion(clean))

    nobody: Pose = [[0.0] * 3] * 25
    if len(remaining) == 1:
        people = [dict(enumerate(seen[remaining[0]]))]
        times = sorted(people[0])
    else:
        people = [{}, {}]
        spans: list[tuple[int, int] | None] = [None, (0, 0)]
        while remaining:
            name = max(remaining, key=lambda name: motion[name])
            remaining.remove(name)
            own = (start[name], start[name] + len(seen[name]) - 1)
            for person in range(2):
                span = spans[person]
                if span is None or min(span[1], own[1]) - max(span[0], own[0]) <= 0:
                    people[person].update({own[0] + k: joints for k, joints in enumerate(seen[name])})
                    spans[person] = own if span is None else (min(span[0], own[0]), max(span[1], own[1]))
                    break
        times = sorted(set(people[0]) | set(people[1]))
    origin = people[0][min(people[0])][1]
    return [
        [
            [
                [float(np.float32(value) - np.float32(zero)) for value, zero in zip(joint, origin, strict=True)]
                for joint in person[time]
            ]
            if time in person
            else nobody
            for time in times
        ]
        for person in people
    ]


def random_frames(seed: int) -> list[dict[str, Joints]]:
    """A small recording: one to five bodies with their own times, gaps, width and motion."""
    rng = np.random.default_rng(seed)
    length, relay = int(rng.integers(14, 46)), rng.random() < 0.15  # in a relay one body begins where another ends
    end = 0
    frames: list[dict[str, Joints]] = [{} for _ in range(length)]
    for body in range(int(rng.integers(1, 6))):
        start = min(end, length - 1) if relay else int(rng.integers(0, length)) if rng.random() < 0.6 else 0
        end = int(rng.integers(start, length)) + 1 if rng.random() < 0.6 else length
        shape = rng.uniform(-0.5, 0.5, (25, 3)) * [rng.uniform(0.2, 0.7), rng.uniform(0.6, 1.2), 0.4]
        flat, gaps = rng.choice([0, 0, 0.4, 0.69, 0.71, 1]), rng.choice([0, 0, 0.2])
        place, speed = rng.uniform([-1, -1, 2], [1, 1, 4]), rng.normal(size=3) * rng.choice([0, 0.001, 0.01])
        for time in range(start, end):
            if rng.random() < gaps:
                continue
            wide = [6, 1, 1] if rng.random() < flat else [1, 1, 1]
            joints = shape * wide + place + speed * time + rng.normal(scale=0.005, size=(25, 3))
            frames[time][f"{7 * body % 5}"] = joints.astype(np.float32)
    for time in range(length):
        if rng.random() < 0.05:
            frames[time] = {}
    return frames if any(frames) else random_frames(seed + 100_000)


def test_random_recordings_as_the_plain_reference_has_them() -> None:
    kinds: Counter[tuple[int, bool]] = Counter()
    for seed in range(200):
        frames = random_frames(seed)
        found = preprocess(recording_of(frames))
        wanted: npt.NDArray[np.float64] = np.array(plain_chain([{k: v.tolist() for k, v in frame.items()} for frame in frames]))
        assert found.dtype == np.float32 and found.shape == wanted.shape, seed
        np.testing.assert_array_equal(found, wanted, err_msg=f"seed {seed}")
        kinds[len(found), bool(found[-1].any())] += 1
    # All kinds came up: one actor, two, and two of whom the second is never there.
    assert kinds[1, True] > 20 and kinds[2, True] > 20 and kinds[2, False] > 3
