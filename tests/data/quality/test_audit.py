"""The audit: planted copies are found under their kind and nothing else is; giveaways; NW-UCLA's real splits."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from poseglot.data.benchmarks import Benchmark, load_benchmark
from poseglot.data.quality.audit import StoreAudit, audit_store
from poseglot.data.store import open_store, write_store
from poseglot.errors import NotFoundError
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout

Joints = npt.NDArray[np.float32]
Audit = Callable[..., StoreAudit]
SPLITS = {"by-person": {"train": {"subject": [1, 2]}, "test": {"subject": [3]}}}


def walk(number: int, frames: int = 40) -> Joints:
    """Return a random walk of a body about two units high; no two are alike."""
    numbers = np.random.default_rng(number)
    pose = numbers.normal(size=(1, 1, 20, 3)) / 2
    return (pose + numbers.normal(size=(1, frames, 20, 3)).cumsum(axis=1) / 50).astype(np.float32)


def clip(number: int, *, subject: int, label: int = 0, frames: int = 40, camera: int = 0) -> Clip:
    return Clip(walk(number, frames), name=f"clip{number:03}", label=label, subject=subject, camera=camera)


@pytest.fixture
def audited(tmp_path: Path) -> Audit:
    def audit(clips: list[Clip], splits: Any = SPLITS, classes: int = 3, **options: Any) -> StoreAudit:
        names = tuple(f"class {number}" for number in range(classes))
        benchmark = Benchmark("own", "kinect20", "metric", names, splits, {})
        path = tmp_path / "store"
        write_store(path, clips, benchmark=benchmark, layout=load_layout("kinect20"), source={}, overwrite=True, **options)
        return audit_store(open_store(path))

    return audit


def others(count: int = 8) -> list[Clip]:
    """Return clips of three people that have nothing in common."""
    return [clip(number, subject=number % 3 + 1, label=number % 3) for number in range(count)]


def test_a_clean_store(audited: Audit) -> None:
    audit = audited(others())
    split = audit.splits["by-person"]
    assert (audit.equal, audit.contradictions, split.copies) == ((), (), ())
    assert (split.clips, split.clean) == ({"train": 6, "test": 2}, 2)
    assert (split.people, split.people_in_both) == ({"train": (1, 2), "test": (3,)}, ())
    assert split.classes["test"] == {"class 0": 0, "class 1": 0, "class 2": 2}


def shifted(joints: Joints) -> Joints:
    return joints + np.float32(3)


def resampled(joints: Joints) -> Joints:
    """Twice the frame rate."""
    middle = (joints[:, 1:] + joints[:, :-1]) / 2
    result = np.empty((1, 2 * joints.shape[1] - 1, 20, 3), dtype=np.float32)
    result[:, ::2], result[:, 1::2] = joints, middle
    return result + np.float32(1e-5)


@pytest.mark.parametrize(
    ("change", "kind", "value"),
    [
        (lambda joints: joints, "equal", 1.0),
        (lambda joints: joints[:, 10:30], "frames", 1.0),
        (lambda joints: np.concatenate([joints[:, 20:], walk(99, 10)], axis=1), "frames", 20 / 30),
        (shifted, "near", 0),
        (resampled, "near", 0),
        (lambda joints: joints.astype(np.float16).astype(np.float32), "near", 0),
    ],
    ids=["equal", "cut", "mixed", "elsewhere", "faster", "rounded"],
)
@pytest.mark.parametrize("label", [0, 1])
def test_a_copy_is_found(audited: Audit, change: Callable[[Joints], Joints], kind: str, value: float, label: int) -> None:
    original = clip(50, subject=1)
    copied = Clip(change(original.joints.copy()), name="copied", label=label, subject=3)
    audit = audited([*others(), original, copied])
    (found,) = audit.splits["by-person"].copies
    assert (found.clip, found.source, found.kind) == ("copied", "clip050", kind)
    assert found.value == pytest.approx(value, abs=0.004)
    assert (found.label, found.source_label) == (label, 0)
    assert audit.equal == ((("clip050", "copied"),) if kind == "equal" else ())
    contradicted = {(each.clip, each.source) for each in audit.contradictions}
    both = {("copied", "clip050"), ("clip050", "copied")}
    if label and kind == "equal":
        assert len(contradicted & both) == 1 and len(audit.contradictions) == 1
    elif label and kind == "frames":
        assert ("copied", "clip050") in contradicted <= both
    else:
        assert contradicted == set()


def test_a_few_common_frames_are_no_copy(audited: Audit) -> None:
    original = clip(50, subject=1)
    joints = np.concatenate([original.joints[:, :15], walk(99, 25)], axis=1)
    assert audited([*others(), original, Clip(joints, name="other", label=0, subject=3)]).splits["by-person"].copies == ()


def test_frames_without_anybody_and_still_frames_are_no_copy(audited: Audit) -> None:
    one, other = walk(50), walk(51)
    one[:, 5:], other[:, 5:] = 0, 0  # nobody for most of the time
    still = np.repeat(walk(52, 1), 40, axis=1)
    clips = [Clip(one, name="one", label=0, subject=1), Clip(other, name="other", label=0, subject=3)]
    joined = np.concatenate([still, walk(53, 10)], axis=1)  # the frame that stands still counts once of eleven
    clips += [Clip(still, name="still", label=0, subject=1), Clip(joined, name="joined", label=0, subject=3)]
    assert audited([*others(), *clips]).splits["by-person"].copies == ()


def test_a_clip_in_both_subsets_is_its_own_copy(audited: Audit) -> None:
    splits = {"leaky": {"train": {"subject": [1, 2]}, "test": {"subject": [2, 3]}}}
    split = audited(others(), splits).splits["leaky"]
    assert {(copy.clip, copy.source) for copy in split.copies} == {(f"clip{n:03}", f"clip{n:03}") for n in (1, 4, 7)}
    assert split.people_in_both == (2,)


def test_excluded_clips_are_in_neither_subset(audited: Audit) -> None:
    splits = {"clean": {"train": {"subject": [1, 2]}, "test": {"subject": [3], "excluded": ["clip002"]}}}
    assert audited(others(), splits).splits["clean"].clips == {"train": 6, "test": 1}


def test_splits_without_a_test_set_are_left_out_unless_they_are_named(audited: Audit, tmp_path: Path) -> None:
    assert audited(others(), {**SPLITS, "all": {"train": {"subject": [1, 2, 3]}}}).splits.keys() == {"by-person"}
    store = open_store(tmp_path / "store")
    for name in ("all", "nothing"):
        with pytest.raises(NotFoundError):
            audit_store(store, (name,))


@pytest.mark.parametrize("telling", ["length", "speed", ""])
def test_giveaways(audited: Audit, telling: str) -> None:
    clips = []
    for number in range(90):
        label, joints = number % 3, walk(number)
        if telling == "length":
            joints = walk(number, 20 * (label + 1))
        if telling == "speed":
            joints = (joints - joints.mean(axis=1, keepdims=True)) * (label + 1) / 3 + joints.mean(axis=1, keepdims=True)
        clips.append(Clip(joints.astype(np.float32), name=str(number), label=label, subject=number // 3 % 3 + 1))
    found = {each.name: each for each in audited(clips).splits["by-person"].giveaways}
    assert all((each.total, each.chance) == (30, 10) for each in found.values())
    both = found["length and speed"]
    if telling:
        assert found[telling].correct >= 29 and both.correct >= 29 and both.probability < 1e-6
        assert found[{"length": "speed", "speed": "length"}[telling]].probability > 1e-3
    else:
        assert all(each.probability > 1e-3 for each in found.values())


def test_performances_are_told_by_names(audited: Audit) -> None:
    def seen(name: str, camera: int) -> Clip:
        return replace(clip(sum(map(ord, name)), subject=1, camera=camera), name=name)

    splits = {"by-view": {"train": {"camera": [1]}, "test": {"camera": [2]}}}
    clips = [seen("S001C001P001", 1), seen("S001C002P001", 2), seen("S002C002P001", 2), seen("a01_v01", 1), seen("a01_v02", 2)]
    split = audited([*clips, seen("other", 2)], splits).splits["by-view"]
    assert (split.performances, split.clips["test"]) == (2, 4)
    assert split.cameras == {"train": (1,), "test": (2,)}


def test_scores_are_no_content(audited: Audit) -> None:
    def scored(clip: Clip, score: float) -> Clip:
        joints = clip.joints.copy()
        joints[..., 2] = score
        return replace(clip, joints=joints, has_scores=True)

    clips = [*(scored(each, 0.9) for each in others()), scored(clip(50, subject=1), 0.9)]
    again = replace(scored(clip(50, subject=3), 0.8), name="again")
    (copy,) = audited([*clips, again], has_scores=True).splits["by-person"].copies
    assert (copy.clip, copy.source, copy.kind) == ("again", "clip050", "near")


def test_one_clip_of_each_subset_and_unknown_classes(audited: Audit) -> None:
    audit = audited([clip(0, subject=1, frames=1, label=-1), clip(1, subject=3, frames=1, label=-1)])
    assert audit.splits["by-person"].giveaways == () and audit.splits["by-person"].copies == ()
    assert json.loads(json.dumps(audit.table()))["splits"]["by-person"]["clips"] == {"train": 1, "test": 1}


def test_nw_ucla(real_store: Path) -> None:
    """The packaged list of repeated clips is what the audit finds; two classes have no clean test clip."""
    audit = audit_store(open_store(real_store))
    split = audit.splits["cross-view"]
    assert [copy.kind for copy in split.copies] == ["equal"] * 95
    assert (
        sorted(copy.clip for copy in split.copies) == load_benchmark("nw-ucla").splits["cross-view-clean"]["test"]["excluded"]
    )
    assert all(copy.source == copy.clip.replace("_v03", "_v02") for copy in split.copies)
    clean = audit.splits["cross-view-clean"]
    assert (clean.clips, clean.copies) == ({"train": 1020, "test": 369}, ())
    assert [label for label, count in clean.classes["test"].items() if not count] == ["pick up with two hands", "drop trash"]
    # Ten clips of one person in view 2 are cuts of view 1, some under another label.
    inner = audit.splits["inner"].copies
    assert [copy.kind for copy in inner] == ["frames"] * 10
    assert {copy.clip[:7] for copy in inner} == {"a08_s01", "a09_s01"}
    assert sum(copy.label != copy.source_label for copy in inner) == 5
