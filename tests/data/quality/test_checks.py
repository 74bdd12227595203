"""Quality checks: planted errors are found under their name and nothing else; clean clips and sets give no findings."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from poseglot.data import synthetic
from poseglot.data.benchmarks import Benchmark, load_benchmark
from poseglot.data.quality.checks import CHECKS, Finding, check_centre, check_clips, check_set, check_subsets
from poseglot.data.quality.summary import trained_and_tested
from poseglot.data.store import PackedStore, open_store, write_store
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout

LAYOUT = load_layout("kinect20")
DEMO = load_benchmark("demo")
NTU = replace(load_benchmark("ntu60"), layout="kinect20")
Joints = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def clean() -> list[Clip]:
    return [clip for clip in synthetic.make_clips(persons=4, cameras=1, repeats=1) if clip.joints.shape[1] >= 30]


@pytest.fixture
def inspect(tmp_path: Path) -> Callable[..., list[Finding]]:
    def found(clips: list[Clip], benchmark: Benchmark = DEMO, **options: Any) -> list[Finding]:
        store = write_store(tmp_path / "store", clips, benchmark=benchmark, layout=LAYOUT, source={}, **options)
        return check_clips(store)

    return found


def jump(joints: Joints) -> Joints:
    joints[0, 10, LAYOUT.index["left_hand"]] += 1.5
    return joints


def still(joints: Joints) -> Joints:
    frames = joints.shape[1]
    joints[:, frames // 4 : frames // 4 + frames // 3] = joints[:, frames // 4, None]
    return joints


def stuck(joints: Joints) -> Joints:
    joints[0, :, LAYOUT.index["right_foot"]] = joints[0, 0, LAYOUT.index["right_foot"]]
    return joints


def collapsed(joints: Joints) -> Joints:
    centre = joints[:, 12:15].mean(axis=2, keepdims=True)
    joints[:, 12:15] = centre + 0.01 * (joints[:, 12:15] - centre)
    return joints


def absent(joints: Joints) -> Joints:
    joints[:, 3 : 4 + joints.shape[1] // 4] = 0
    return joints


def half_seen(joints: Joints) -> Joints:
    joints[:, 3 : 4 + joints.shape[1] // 4, :11] = 0
    return joints


def bones(joints: Joints) -> Joints:
    growth = np.linspace(0.4, 1.6, joints.shape[1], dtype=np.float32)
    return joints * growth[:, None, None]


def shuffled(joints: Joints) -> Joints:
    ends = joints[:, :: joints.shape[1] // 2][:, :2]
    return np.repeat(np.stack([ends[:, 0], ends[:, 1] + [1.2, 0, 0]], axis=1), 20, axis=1)[:, np.arange(40) * 20 % 39]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (jump, {"jump"}),
        (still, {"still"}),
        (stuck, {"stuck_joints"}),
        (collapsed, {"collapsed", "bones"}),
        (absent, {"absent"}),
        (half_seen, {"absent"}),
        (bones, {"bones"}),
        (shuffled, {"speed_outlier", "jump"}),
        (lambda joints: joints[:, :7], {"short"}),
        (lambda joints: joints * 100, {"size"}),
        (lambda joints: joints / 1000, {"size", "collapsed", "still"}),
        (lambda joints: np.concatenate([joints, joints]), {"duplicate_person"}),
        (lambda joints: np.concatenate([joints, joints + np.float32(0.02)]), {"duplicate_person"}),
        (lambda joints: np.concatenate([joints, joints + np.float32(1)]), set()),
        (lambda joints: np.concatenate([joints, 0 * joints]), set()),
        (lambda joints: np.zeros_like(joints), {"absent"}),
    ],
    ids=[
        *("jump", "still", "stuck", "collapsed", "absent", "half seen", "bones", "shuffled", "short", "large", "small"),
        *("twice", "nearly twice", "two people", "an empty person", "zeros"),
    ],
)
def test_a_planted_error_is_found_and_no_other(
    clean: list[Clip],
    inspect: Callable[..., list[Finding]],
    dtype: str,
    plant: Callable[[Joints], Joints],
    expected: set[str],
) -> None:
    joints = np.ascontiguousarray(plant(clean[7].joints.copy()), dtype=np.float32)
    findings = inspect([*clean[:7], replace(clean[7], joints=joints), *clean[8:]], dtype=dtype)
    allowed = {"size"} if expected == {"bones"} else set()  # it also ends large
    assert {finding.clip for finding in findings} <= {clean[7].name}
    assert expected <= {finding.check for finding in findings} <= expected | allowed
    for finding in findings:
        assert finding.limit == CHECKS[finding.check].limit
        assert (finding.value < finding.limit) == CHECKS[finding.check].below


def test_a_jump_names_person_frame_and_joint(clean: list[Clip], inspect: Callable[..., list[Finding]]) -> None:
    alone, beside = clean[3].joints.copy(), clean[5].joints + np.float32(1)
    two = np.concatenate([beside, jump(beside.copy())])
    two[1] += np.float32(1)
    findings = inspect([*clean[:3], replace(clean[3], joints=jump(alone)), clean[4], replace(clean[5], joints=two), *clean[6:]])
    found = {finding.clip: finding for finding in findings}
    assert set(found) == {clean[3].name, clean[5].name}
    for name, person, where in ((clean[3].name, 0, ""), (clean[5].name, 2, "person 2, ")):
        assert (found[name].check, found[name].person, found[name].joint) == ("jump", person, "left_hand")
        assert found[name].frame in (11, 12)  # there, and back
        assert found[name].where == f"{where}frame {found[name].frame}, left_hand"
    height = float(np.median(np.linalg.norm(np.ptp(alone[0], axis=1), axis=-1)))
    assert found[clean[3].name].value == pytest.approx(1.5 * 3**0.5 / height, rel=0.1)


def test_the_worst_comes_first(clean: list[Clip], inspect: Callable[..., list[Finding]]) -> None:
    clips = list(clean)
    for index, strength in ((2, 1), (6, 3), (9, 2)):
        joints = clips[index].joints.copy()
        joints[0, 10, 7, 0] += 2 * strength
        clips[index] = replace(clips[index], joints=joints)
    assert [finding.clip for finding in inspect(clips)] == [clean[index].name for index in (6, 9, 2)]


def test_same_content_is_one_finding_that_names_the_others(clean: list[Clip], inspect: Callable[..., list[Finding]]) -> None:
    twins = [replace(clean[place], name=f"copy {copy} of {place}", label=3) for place in (2, 4) for copy in range(place // 2)]
    findings = inspect([*clean, *twins])
    assert [(finding.check, finding.clip, finding.value, finding.others) for finding in findings] == [
        ("same_content", clean[4].name, 3, ("copy 0 of 4", "copy 1 of 4")),
        ("same_content", clean[2].name, 2, ("copy 0 of 2",)),
    ]
    assert findings[0].where == "as copy 0 of 4, copy 1 of 4"


def test_the_same_numbers_in_another_form_are_another_content(clean: list[Clip], inspect: Callable[..., list[Finding]]) -> None:
    joints = clean[0].joints[:, :20]
    two = np.concatenate([joints[:, :10], joints[:, 10:]])
    findings = inspect([*clean, Clip(joints, name="one"), Clip(two, name="two")])
    assert "same_content" not in {finding.check for finding in findings}


def test_people_are_counted_where_the_class_says_how_many(clean: list[Clip], inspect: Callable[..., list[Finding]]) -> None:
    def people(number: int, label: int) -> Clip:
        joints = np.concatenate([clean[label % 20].joints + np.float32(person) for person in range(number)])
        return Clip(joints, name=f"{number} as {label + 1}", label=label)

    ghost = Clip(np.concatenate([clean[0].joints, 0 * clean[0].joints]), name="a ghost", label=50)
    clips = [people(number, label) for number in (1, 2) for label in (48, 49, 59, -1)]
    found = {(finding.check, finding.clip, finding.value) for finding in inspect([*clips, ghost], NTU)}
    expected = {
        ("missing_person", "1 as 50", 1),
        ("missing_person", "1 as 60", 1),
        ("missing_person", "a ghost", 1),
        ("extra_person", "2 as 49", 2),
    }
    assert {finding for finding in found if finding[0] in ("missing_person", "extra_person")} == expected


def test_people_are_not_counted_in_other_sets(clean: list[Clip], inspect: Callable[..., list[Finding]]) -> None:
    assert inspect(clean, replace(NTU, name="mine")) == []


def test_what_is_not_finite_is_counted(clean: list[Clip], inspect: Callable[..., list[Finding]], tmp_path: Path) -> None:
    inspect(clean)
    store = open_store(tmp_path / "store")
    joints = np.array(store.joints)
    begin = int(store.clips["offset"][5])
    joints[begin + 3, 4, 1], joints[begin + 5, :2] = np.nan, np.inf
    findings = check_clips(PackedStore(store.info, store.clips, joints))
    assert [(finding.clip, finding.check, finding.value) for finding in findings] == [(clean[5].name, "not_finite", 7)]


def test_a_joint_of_low_score_may_be_anywhere(tmp_path: Path) -> None:
    numbers, layout = np.random.default_rng(0), load_layout("coco17")
    pose = numbers.uniform(100, 500, size=(17, 2))

    def clip(number: int, score: float) -> Clip:
        joints = np.ones((1, 40, 17, 3), dtype=np.float32)
        joints[..., :2] = pose + 10 * number + numbers.normal(size=(40, 17, 2)).cumsum(axis=0)
        joints[0, 5, 3] = (2000, 2000, score)
        return Clip(joints, name=str(number), label=0, has_scores=True)

    clips = [clip(number, 0.8 if number == 17 else 0.1) for number in range(40)]
    benchmark = replace(load_benchmark("demo"), layout="coco17")
    store = write_store(tmp_path / "store", clips, benchmark=benchmark, layout=layout, source={}, has_scores=True)
    assert {(finding.clip, finding.check) for finding in check_clips(store)} <= {("17", "jump"), ("17", "size")}
    assert "jump" in {finding.check for finding in check_clips(store)}


def test_the_demo_set_is_clean(small_store: PackedStore) -> None:
    assert check_clips(small_store) == []


def test_every_check_says_its_limit_and_fits_a_line() -> None:
    for name, check in CHECKS.items():
        assert len(check.meaning) <= 90, name
        assert "{" not in check.meaning
        if name not in ("not_finite", "stuck_joints", "collapsed", "same_content", "missing_person", "extra_person"):
            assert f"{check.limit:g}" in check.meaning


def test_nw_ucla(real_store: Path, shared: Path) -> None:
    """Few clips are flagged; those with the content of another are those whose files say the same."""
    store = open_store(real_store)
    findings = check_clips(store)
    of_content = defaultdict(list)
    with zipfile.ZipFile(shared / "data" / "nw-ucla" / "all_sqe.zip") as archive:
        for member in archive.namelist():
            if member.endswith(".json") and "MACOSX" not in member:
                content = json.dumps(json.loads(archive.read(member))["skeletons"]).encode()
                of_content[hashlib.sha256(content).digest()].append(Path(member).stem)
    twins = {frozenset(names) for names in of_content.values() if len(names) > 1}
    same = [finding for finding in findings if finding.check == "same_content"]
    assert {frozenset((finding.clip, *finding.others)) for finding in same} == twins
    assert len(same) == len(twins) == 95

    others = {finding.clip for finding in findings if finding.check != "same_content"}
    assert {"a02_s09_e04_v02", "a02_s09_e04_v03", "a04_s01_e01_v01"} <= others  # one frame, one frame, a leg across the room
    assert len(others) < 0.05 * len(store)
    assert trained_and_tested(store, "cross-view", findings) == sorted(
        name for names in twins for name in names if name.endswith("v03")
    )


# --- a set as a whole ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def metres() -> list[Joints]:
    """Clips of people in metres, in front of a camera."""
    return [clip.joints for clip in synthetic.make_clips(persons=2, cameras=1, repeats=1)]


def stored(path: Path, clips: list[Joints], *, pipeline: str, has_scores: bool = False) -> PackedStore:
    splits = {"all": {"train": {"label": [0]}, "test": {"label": [0]}}}
    return write_store(
        path,
        [Clip(joints, name=str(number), label=0, has_scores=has_scores) for number, joints in enumerate(clips)],
        benchmark=Benchmark("own", "kinect20", pipeline, ("class 0",), splits, {}),
        layout=load_layout("kinect20"),
        source={"synthetic": "here"},
        has_scores=has_scores,
    )


def pixels(clips: list[Joints]) -> list[Joints]:
    """x and y as in a picture of 640 x 480, and a confidence."""
    rng = np.random.default_rng(0)
    score = [rng.uniform(0.2, 1, (*joints.shape[:-1], 1)).astype(np.float32) for joints in clips]
    return [
        np.concatenate([[320, 240] + joints[..., :2] * [200, -200], own], axis=-1, dtype=np.float32)
        for joints, own in zip(clips, score, strict=True)
    ]


def test_metres_and_scored_pixels_give_no_warning(metres: list[Joints], tmp_path: Path) -> None:
    assert check_set(stored(tmp_path / "a", metres, pipeline="metric")) == []
    assert check_set(stored(tmp_path / "b", pixels(metres), pipeline="image", has_scores=True)) == []
    assert check_set(stored(tmp_path / "c", [joints[..., :2] for joints in pixels(metres)], pipeline="image")) == []


@pytest.mark.parametrize(("factor", "unit"), [(1000, "millimetres"), (100, "centimetres"), (0.01, "hundreds of metres")])
def test_other_units_than_metres(metres: list[Joints], tmp_path: Path, factor: float, unit: str) -> None:
    (warning,) = check_set(stored(tmp_path / "a", [factor * joints for joints in metres], pipeline="metric"))
    assert "metric" in warning, unit
    # Other pipelines accept any unit.
    assert check_set(stored(tmp_path / "b", [factor * joints for joints in metres], pipeline="nw-ucla")) == []


def test_a_forgotten_score(metres: list[Joints], tmp_path: Path) -> None:
    warnings = check_set(stored(tmp_path / "a", pixels(metres), pipeline="metric"))
    assert len(warnings) == 2 and "--scored" in warnings[0] and "metric" in warnings[1]


def test_a_coordinate_taken_for_a_score(metres: list[Joints], tmp_path: Path) -> None:
    (warning,) = check_set(stored(tmp_path / "a", metres, pipeline="image", has_scores=True))
    assert "without --scored" in warning


def subset_warnings(
    path: Path, train: dict[int, int], test: dict[int, int], *, subjects: tuple[int, int] = (1, 2)
) -> list[str]:
    """Return the warnings about subsets with so many clips of each class."""
    rng = np.random.default_rng(0)
    clips = [
        Clip(rng.normal(size=(1, 2, 20, 3)).astype(np.float32), name=f"{subset} {label} {number}", label=label, subject=subject)
        for subset, counts, subject in (("train", train, subjects[0]), ("test", test, subjects[1]))
        for label, count in counts.items()
        for number in range(count)
    ]
    names = {subset: {"name": [clip.name for clip in clips if clip.name.startswith(subset)]} for subset in ("train", "test")}
    store = write_store(
        path,
        clips,
        benchmark=Benchmark("own", "kinect20", "metric", ("jog", "walk", "sit"), {"all": names}, {}),
        layout=load_layout("kinect20"),
        source={"synthetic": "here"},
    )
    return check_subsets(store, store.subset("all", "train"), store.subset("all", "test"))


def test_large_balanced_subsets_give_no_warning(tmp_path: Path) -> None:
    assert subset_warnings(tmp_path / "a", {0: 30, 1: 20, 2: 10}, {0: 40, 1: 40, 2: 40}) == []


def test_classes_with_too_little_are_named(tmp_path: Path) -> None:
    notes = subset_warnings(tmp_path / "a", {0: 40, 1: 4}, {0: 100, 2: 7})
    for note, facts in zip(
        notes, (("(sit)", " 7 "), ("(walk)", " 5 "), ("(walk)",), (" 4 to 40 ", "loss.balanced")), strict=True
    ):
        assert all(fact in note for fact in facts)
    assert subset_warnings(tmp_path / "b", {0: 40}, {0: 100})[0].startswith("2 classes (walk, sit) have")


def test_small_test_sets_and_people_in_both_subsets_are_mentioned(tmp_path: Path) -> None:
    few, both = subset_warnings(tmp_path / "a", {0: 30, 1: 30, 2: 30}, {0: 8, 1: 8, 2: 9}, subjects=(4, 4))
    assert few.startswith("25 test clips") and " 12 points" in few and "--folds" in few  # 1.96 sqrt(.09 / 25)
    assert both.startswith("1 of 1 person is")


def test_a_centre_that_is_seldom_seen_is_said(small_store: PackedStore) -> None:
    """At training, too: scores of 0 that mean inferred joints leave clips without a centre."""
    joints = np.asarray(small_store.joints)
    for share, count in ((1.0, 0), (0.6, 0), (0.03, 1)):
        scores = np.ones((*joints.shape[:2], 1), dtype=np.float32)
        scores[int(share * len(joints)) :: 1, small_store.layout.centre_index] = 0
        store = PackedStore(
            replace(small_store.info, has_scores=True), small_store.clips, np.concatenate([joints, scores], axis=-1)
        )
        assert len(check_centre(store, np.arange(len(store)))) == count
    assert check_centre(small_store, np.arange(len(small_store))) == []


def test_people_who_are_not_known_may_be_on_both_sides(small_store: PackedStore) -> None:
    train, test = (small_store.subset("cross-person", subset) for subset in ("train", "test"))
    for unknown, notes in ((0, 0), (5, 1), (len(train), 0)):
        clips = small_store.clips.copy()
        clips["subject"][train[:unknown]] = 0
        said = check_subsets(PackedStore(small_store.info, clips, small_store.joints), train, test)
        assert len([note for note in said if "5 clips are not known" in note]) == notes
