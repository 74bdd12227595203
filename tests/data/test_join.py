"""Joined stores: one class space and one body for several sets, sides kept, people apart, and a recognizer that learns from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poseglot.data.benchmarks import Benchmark
from poseglot.data.join import ALL, Part, join_stores, packaged_class_map, set_names
from poseglot.data.store import PackedStore, open_store, write_store
from poseglot.errors import InputError, NotFoundError
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.common_body import COMMON_BODY, common_axes, map_to_common_body, to_common_body
from poseglot.skeletons.layout import load_layout

NTU = load_layout("ntu25")


@pytest.fixture
def other(tmp_path: Path) -> PackedStore:
    """Two classes of another sensor: 25 joints in pixels with scores, two people, one of whom hardly moves."""
    rng = np.random.default_rng(0)
    clips = []
    for index in range(6):
        joints = rng.uniform(100, 300, (2, 8 + index, 25, 3)).astype(np.float32)
        joints[1] = 200 + joints[1] / 100
        joints[..., 2] = 0.9
        clips.append(Clip(joints, name=f"c{index}", label=index % 2, subject=1 + index // 2, has_scores=True))
    benchmark = Benchmark(
        "mine", "ntu25", "image", ("rest", "stand"), {"half": {"train": {"subject": [1, 2]}, "test": {"subject": [3]}}}, {}
    )
    return write_store(tmp_path / "mine", clips, benchmark=benchmark, layout=NTU, source={}, has_scores=True)


def test_sets_are_joined(small_store: PackedStore, other: PackedStore, tmp_path: Path) -> None:
    shared, left_out = small_store.classes[1], small_store.classes[0]
    parts = [
        Part(small_store, class_map={left_out: "-"}),
        Part(other, "half", {"stand": shared}),
    ]
    joined = join_stores(parts, tmp_path / "joined")
    assert joined.layout == load_layout(COMMON_BODY) and joined.joints.shape[1:] == (15, 3) and joined.info.name == "joined"
    assert joined.classes == (*small_store.classes[1:], "rest") and joined.max_persons == 1
    assert set_names(joined) == {1: small_store.info.name, 2: "mine"} and set_names(small_store) == {}
    own = joined.clips["setup"] == 2
    assert own.sum() == 6 and (~own).sum() == int((small_store.clips["label"] != 0).sum())
    assert set(joined.clips["label"][own]) == {joined.classes.index(shared), joined.classes.index("rest")}
    # Nobody is in two sets, and each set keeps its sides.
    assert not set(joined.clips["subject"][own]) & set(joined.clips["subject"][~own])
    test = {str(name) for name in joined.clips["name"][joined.subset(ALL, "test")]}
    split = next(iter(small_store.info.splits))
    known = small_store.subset_mask(split, "test") & (small_store.clips["label"] != 0)
    expected = {f"{small_store.info.name}/{name}" for name in small_store.clips["name"][known]} | {"mine/c4", "mine/c5"}
    assert test == expected
    without = {str(name) for name in joined.clips["name"][joined.subset("without-mine", "train")]}
    assert without and not any(name.startswith("mine/") for name in without)
    assert {str(name) for name in joined.clips["name"][joined.subset("without-mine", "test")]} == {"mine/c4", "mine/c5"}
    # Opened again it is the same.
    np.testing.assert_array_equal(open_store(tmp_path / "joined").joints, joined.joints)


def test_the_one_who_moves_is_taken(small_store: PackedStore, other: PackedStore, tmp_path: Path) -> None:
    joined = join_stores([Part(small_store), Part(other)], tmp_path / "joined")
    clip = next(clip for clip in joined if clip.name == "mine/c0")
    axes = common_axes([each.joints for each in other], map_to_common_body(NTU), has_scores=True)
    alone = to_common_body(other[0].joints[:1], map_to_common_body(NTU), has_scores=True, axes=axes)
    np.testing.assert_allclose(clip.joints, alone, atol=1e-5)


def test_unknown_people_stay_unknown(small_store: PackedStore, other: PackedStore, tmp_path: Path) -> None:
    clips = other.clips.copy()
    clips["subject"][:2] = (-1, 0)
    unknown = PackedStore(other.info, clips, other.joints)
    joined = join_stores([Part(small_store), Part(unknown)], tmp_path / "joined")
    assert joined.clips["subject"][joined.clips["setup"] == 2][:2].tolist() == [0, 0]


def test_what_cannot_be_joined_is_refused(small_store: PackedStore, other: PackedStore, tmp_path: Path) -> None:
    out = tmp_path / "joined"
    for parts in ([], [Part(other), Part(other)], [Part(small_store), Part(other, class_map={"dive": "swim"})]):
        with pytest.raises(InputError):
            join_stores(parts, out)
    nothing = [Part(store, class_map=dict.fromkeys(store.classes, "-")) for store in (small_store, other)]
    with pytest.raises(InputError):
        join_stores(nothing, out)
    with pytest.raises(NotFoundError):
        join_stores([Part(small_store), Part(other, "whole")], out)
    assert not out.exists()


def test_an_unknown_set_has_no_packaged_names() -> None:
    assert packaged_class_map("everyday", "mine") == {}


def test_a_set_by_another_name_is_another(other: PackedStore, tmp_path: Path) -> None:
    twin = PackedStore(replace(other.info, name="theirs"), other.clips, other.joints)
    joined = join_stores([Part(other), Part(twin)], tmp_path / "joined")
    assert len(joined) == 12 and joined.classes == other.classes


def test_one_alone_becomes_the_common_body(other: PackedStore, tmp_path: Path) -> None:
    joined = join_stores([Part(other)], tmp_path / "joined")
    assert joined.layout == load_layout(COMMON_BODY) and tuple(joined.info.splits) == (ALL,) and len(joined) == len(other)
