"""A store against an array of the same clips in another order, with planted differences: each is reported correctly."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.quality import verify
from poseglot.data.quality.statistics import chunks
from poseglot.data.quality.verify import ArrayVerification, default_tolerance, verify_against_array
from poseglot.data.store import PackedStore, write_store
from poseglot.errors import InputError, NotFoundError
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout

Row = tuple[str, int, npt.NDArray[np.float32]]
NTU = load_benchmark("ntu60")
TRAIN = set(NTU.splits["cross-subject"]["train"]["subject"])


def row_of(clip: Clip) -> Row:
    """As the field's scripts store it."""
    row = np.zeros((300, 2, 25, 3), dtype=np.float32)
    joints = clip.joints[:2, :300]
    row[: joints.shape[1], : len(joints)] = joints.transpose(1, 0, 2, 3)
    return "train" if clip.subject in TRAIN else "test", clip.label, row.reshape(300, 150)


@pytest.fixture(scope="module")
def clips(shared: Path) -> list[Clip]:
    """What the field's chain makes of ten files; two of them are equal but for the label."""
    made = []
    with np.load(shared / "golden" / "ntu_chain.npz") as arrays:
        for name in map(str, arrays["final/names"]):
            flat = arrays[f"translated/{name}"]
            joints = np.ascontiguousarray(flat.reshape(len(flat), -1, 25, 3).transpose(1, 0, 2, 3))
            numbers = {
                field: int(name[at : at + 3]) for field, at in (("setup", 1), ("camera", 5), ("subject", 9), ("label", 17))
            }
            made.append(Clip(joints, name=name, **{**numbers, "label": numbers["label"] - 1}))
    assert len(made) == 10
    return made


@pytest.fixture(scope="module")
def store(clips: list[Clip], tmp_path_factory: pytest.TempPathFactory) -> PackedStore:
    path = tmp_path_factory.mktemp("ntu") / "store"
    return write_store(path, clips, benchmark=NTU, layout=load_layout("ntu25"), source={})


@pytest.fixture
def rows(clips: list[Clip]) -> dict[str, Row]:
    """By name, in another order."""
    return {clips[place].name: row_of(clips[place]) for place in np.random.default_rng(3).permutation(10)}


@pytest.fixture(params=[None, "cross-subject"], ids=["any subset", "by subset"])
def split(request: pytest.FixtureRequest) -> str | None:
    return request.param


def alone(compared: ArrayVerification, *, equal: int = 9) -> None:
    """Nothing but one clip or row is amiss."""
    assert (compared.equal, compared.bit_equal) == (equal, equal)
    assert len(compared.differing) + max(len(compared.unmatched_clips), len(compared.unmatched_rows)) == 1
    assert not compared.same


def test_the_same_in_another_order(store: PackedStore, rows: dict[str, Row], split: str | None) -> None:
    compared = verify_against_array(store, rows.values(), split=split)
    assert compared.same
    assert (compared.clips, compared.rows, compared.equal, compared.bit_equal) == (10, 10, 10, 10)
    assert compared.differing == compared.unmatched_clips == compared.unmatched_rows == ()


def test_a_changed_coordinate_is_found_where_it_is(store: PackedStore, rows: dict[str, Row], split: str | None) -> None:
    name = "S001C003P008R002A058"
    subset, _, row = rows[name]
    row[41, 75 + 3 * 7 + 2] += 0.05
    row[12, 3 * 9] -= 0.003
    compared = verify_against_array(store, rows.values(), split=split)
    alone(compared)
    (difference,) = compared.differing
    number = [key for key, value in rows.items() if value[0] == subset].index(name)
    assert (difference.clip, difference.subset, difference.row) == (name, subset, number)
    assert (difference.kind, difference.position, difference.count) == ("coordinates", (1, 41, 7, 2), 2)
    assert difference.value == pytest.approx(0.05, rel=1e-4)


@pytest.mark.parametrize(("tolerance", "equal", "bits"), [(1e-4, 10, 9), (1e-6, 9, 9)])
def test_equal_is_a_matter_of_the_tolerance(
    store: PackedStore, rows: dict[str, Row], tolerance: float, equal: int, bits: int
) -> None:
    rows["S002C001P003R001A003"][2][:80, :75] += 5e-5
    compared = verify_against_array(store, rows.values(), tolerance=tolerance)
    assert (compared.equal, compared.bit_equal, compared.same) == (equal, bits, equal == 10)
    assert [difference.kind for difference in compared.differing] == ["coordinates"] * (10 - equal)


@pytest.mark.parametrize("shift", [-2, -1, 1, 2])
@pytest.mark.parametrize("rolled", [True, False], ids=["no frame lost", "a frame lost"])
def test_shifted_frames(store: PackedStore, rows: dict[str, Row], split: str | None, shift: int, rolled: bool) -> None:
    name = "S003C001P015R001A034"
    subset, label, row = rows[name]
    frames = int(np.flatnonzero(row.any(axis=1))[-1]) + 1
    moved = np.zeros_like(row)
    moved[max(shift, 0) : frames + shift] = row[max(-shift, 0) : frames]
    if not rolled:
        moved[min(frames, frames + shift) :] = 0
    rows[name] = subset, label, moved
    compared = verify_against_array(store, rows.values(), split=split)
    alone(compared)
    (difference,) = compared.differing
    assert (difference.clip, difference.kind, difference.shift, difference.count) == (name, "frames shifted", shift, 0)


def test_a_missing_clip_and_an_extra_row(store: PackedStore, rows: dict[str, Row], split: str | None) -> None:
    name = "S001C001P001R001A011"
    subset, label, row = rows.pop(name)
    missing = verify_against_array(store, rows.values(), split=split)
    alone(missing)
    assert missing.unmatched_clips == (name,)
    assert (missing.clips, missing.rows) == (10, 9)

    rows[name] = subset, label, row
    rows["once more"] = subset, label, row
    extra = verify_against_array(store, rows.values(), split=split)
    alone(extra, equal=10)
    (lone,) = extra.unmatched_rows
    number = sum(value[0] == subset for value in rows.values()) - 1
    assert (lone.subset, lone.row, lone.label, lone.frames, lone.num_persons) == (subset, number, label, 82, 1)


def test_another_recording_of_the_same_form_is_no_difference_but_another(store: PackedStore, rows: dict[str, Row]) -> None:
    name, other = "S003C001P015R001A034", "S002C001P003R001A003"
    subset, label, _ = rows[name]
    foreign = rows[other][2].copy()
    foreign[71:] = 0
    rows[name] = subset, label, foreign
    compared = verify_against_array(store, rows.values())
    alone(compared)
    assert (compared.unmatched_clips, compared.differing) == ((name,), ())
    assert [lone.label for lone in compared.unmatched_rows] == [label]


@pytest.mark.parametrize("name", ["S001C003P008R002A058", "S017C001P015R001A055"])
def test_swapped_people(store: PackedStore, rows: dict[str, Row], split: str | None, name: str) -> None:
    subset, label, row = rows[name]
    rows[name] = subset, label, np.concatenate([row[:, 75:], row[:, :75]], axis=1)
    compared = verify_against_array(store, rows.values(), split=split)
    alone(compared)
    (difference,) = compared.differing
    assert (difference.clip, difference.kind, difference.value) == (name, "people swapped", 0)


def test_another_label_is_another_clip(store: PackedStore, rows: dict[str, Row]) -> None:
    subset, _, row = rows["S004C002P003R001A017"]
    rows["S004C002P003R001A017"] = subset, 40, row
    compared = verify_against_array(store, rows.values())
    alone(compared)
    assert compared.unmatched_clips == ("S004C002P003R001A017",)
    assert [lone.label for lone in compared.unmatched_rows] == [40]


def test_a_side_counts_only_with_a_split(store: PackedStore, rows: dict[str, Row]) -> None:
    name = "S001C001P001R001A011"
    subset, label, row = rows[name]
    rows[name] = {"train": "test", "test": "train"}[subset], label, row
    assert verify_against_array(store, rows.values()).same
    compared = verify_against_array(store, rows.values(), split="cross-subject")
    alone(compared)
    assert compared.unmatched_clips == (name,)


def test_all_at_once(store: PackedStore, rows: dict[str, Row]) -> None:
    """Faults in several rows do not disturb each other; equal ones come before near ones, whatever the order of the rows."""
    twin = "S001C003P008R002A058"
    subset, label, row = rows.pop(twin)
    near = row.copy()
    near[3, 5] += 0.01
    shifted = rows.pop("S002C001P003R001A003")
    tail = [(shifted[0], shifted[1], np.concatenate([shifted[2][1:], shifted[2][-1:]]))]
    given = [(subset, label, near), *rows.values(), (subset, label, row), *tail]
    compared = verify_against_array(store, given)
    assert (compared.equal, compared.bit_equal, compared.rows) == (9, 9, 11)
    assert [(difference.clip, difference.kind) for difference in compared.differing] == [
        ("S002C001P003R001A003", "frames shifted")
    ]
    assert [(lone.subset, lone.row) for lone in compared.unmatched_rows] == [(subset, 0)]
    assert compared.unmatched_clips == ()


def test_only_what_a_row_can_hold_is_compared(clips: list[Clip], tmp_path: Path) -> None:
    numbers = np.random.default_rng(0)
    long = Clip(numbers.normal(size=(3, 320, 25, 3)).astype(np.float32), name="long", label=2, subject=1)
    nobodys = replace(clips[0], name="nobody's", subject=77)
    store = write_store(tmp_path / "store", [*clips[:2], long, nobodys], benchmark=NTU, layout=load_layout("ntu25"), source={})
    compared = verify_against_array(store, map(row_of, [long, *clips[:2]]), split="cross-subject")
    assert compared.same
    assert (compared.clips, compared.truncated_frames, compared.truncated_persons, compared.excluded) == (3, 1, 1, 1)


def test_a_store_of_half_precision_is_near(clips: list[Clip], rows: dict[str, Row], tmp_path: Path) -> None:
    store = write_store(tmp_path / "half", clips, benchmark=NTU, layout=load_layout("ntu25"), source={}, dtype="float16")
    compared = verify_against_array(store, rows.values(), tolerance=1e-4)
    assert {difference.kind for difference in compared.differing} == {"coordinates"}
    assert max(difference.value for difference in compared.differing) < 4e-3
    assert len(compared.differing) + compared.equal == 10
    half = verify_against_array(store, rows.values())
    assert half.same and half.bit_equal < 10
    largest = max(float(np.abs(clip.joints).max()) for clip in clips)
    rounding = 2.0 ** (np.floor(np.log2(largest)) - 11)  # float16 keeps eleven digits of two, and rounds to the nearest
    tolerance, why = default_tolerance(store)
    assert tolerance == half.tolerance == pytest.approx(1e-4 + rounding)
    assert "float16" in why
    rows["S001C001P001R001A011"][2][3, 4] += 2 * rounding + 2e-4
    changed = verify_against_array(store, rows.values())
    assert [difference.clip for difference in changed.differing] == ["S001C001P001R001A011"]


def test_the_tolerance_of_single_precision(store: PackedStore, rows: dict[str, Row]) -> None:
    assert default_tolerance(store) == (1e-4, "the default for a store of float32")
    assert verify_against_array(store, rows.values()).tolerance == 1e-4


def test_empty_rows_and_rows_of_one_frame(clips: list[Clip], tmp_path: Path) -> None:
    short = [Clip(clips[0].joints[:, :frames], name=f"{frames} frames", label=0, subject=1) for frames in (1, 2, 3)]
    store = write_store(tmp_path / "short", short, benchmark=NTU, layout=load_layout("ntu25"), source={})
    empty = ("train", 0, np.zeros((300, 150), dtype=np.float32))
    compared = verify_against_array(store, [empty, *map(row_of, short), empty])
    assert (compared.equal, len(compared.unmatched_rows), compared.unmatched_clips, compared.differing) == (3, 2, (), ())
    nothing = verify_against_array(store, [])
    assert (nothing.rows, nothing.unmatched_clips) == (0, ("1 frames", "2 frames", "3 frames"))


def test_refusals(store: PackedStore, small_store: PackedStore, rows: dict[str, Row]) -> None:
    with pytest.raises(NotFoundError, match=r"'cross-setup'.*cross-subject, cross-view"):
        verify_against_array(store, rows.values(), split="cross-setup")
    with pytest.raises(InputError, match=r"\(300, 150\).*\(300, 120\)"):
        verify_against_array(small_store, rows.values())
    flat = PackedStore(replace(store.info, has_scores=True), store.clips, store.joints)
    with pytest.raises(InputError):
        verify_against_array(flat, rows.values())


def test_memory_does_not_grow_with_the_rows(clips: list[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = np.random.default_rng(0)
    many = [
        replace(clips[0], joints=clips[0].joints + np.float32(0.01 * number), name=f"clip {number}", label=number % 60)
        for number in range(600)
    ]
    store = write_store(tmp_path / "many", many, benchmark=NTU, layout=load_layout("ntu25"), source={})
    monkeypatch.setattr(verify, "chunks", partial(chunks, rows=500))

    def rows() -> Iterator[Any]:
        for place in numbers.permutation(len(many)).tolist():
            subset, label, row = row_of(many[place])
            yield subset, label, row + (row != 0) * np.float32(0.001 * (place % 2))

    tracemalloc.start()
    try:
        compared = verify_against_array(store, rows(), split="cross-subject")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (compared.equal, len(compared.differing)) == (300, 300)
    assert peak < 300 * 150 * 4 * 50  # fifty rows; there were six hundred
