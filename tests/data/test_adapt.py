"""Somebody else's recordings as a recognizer's own: labels by a map, joints by name, no more people than it knows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poseglot.data.adapt import EVERYTHING, adapt_store, read_class_map
from poseglot.data.store import PackedStore
from poseglot.errors import FileError, InputError
from poseglot.skeletons.layout import load_layout
from poseglot.skeletons.mapping import map_layout

KINECT, NTU = load_layout("kinect20"), load_layout("ntu25")


def test_the_classes_have_the_recognizers_numbers(small_store: PackedStore) -> None:
    own = small_store.classes
    wanted = ("squat down", own[3], own[0])
    left = {label: "-" for label in own if label not in (own[0], own[3], own[5])}
    adapted = adapt_store(small_store, classes=wanted, layout=KINECT, num_persons=1, class_map={**left, own[5]: "squat down"})
    store = adapted.store
    before = {str(clip["name"]): int(clip["label"]) for clip in small_store.clips}
    assert len(store) == sum(label in (0, 3, 5) for label in before.values()) < len(small_store)
    for clip in store:
        original = before[clip.name]
        assert wanted[clip.label] == {0: own[0], 3: own[3], 5: "squat down"}[original]
        (place,) = np.flatnonzero(small_store.clips["name"] == clip.name)
        np.testing.assert_array_equal(clip.joints, small_store[int(place)].joints)
    assert len(store.subset(EVERYTHING, "test")) == len(store) and len(adapted.notes) == 1


def test_joints_are_mapped_and_those_who_move_are_taken(small_store: PackedStore) -> None:
    info = replace(small_store.info, classes=small_store.classes)
    twice = small_store.clips.copy()
    pairs = twice["frames"] % 2 == 0
    twice["num_persons"][pairs], twice["frames"][pairs] = 2, twice["frames"][pairs] // 2
    store = PackedStore(info, twice, small_store.joints)  # an even clip's halves are two people
    adapted = adapt_store(store, classes=store.classes, layout=NTU, num_persons=1)
    assert adapted.store.layout == NTU and adapted.store.max_persons == 1 and len(adapted.notes) == 2
    odd = int(np.flatnonzero(~pairs)[0])
    expected = map_layout(KINECT, NTU).apply(store[odd].joints)
    np.testing.assert_allclose(adapted.store[odd].joints, expected, rtol=1e-6)


def test_what_does_not_fit_is_refused(small_store: PackedStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="class-map"):
        adapt_store(small_store, classes=("swim",), layout=KINECT, num_persons=1)
    with pytest.raises(InputError, match="dive"):
        adapt_store(small_store, classes=small_store.classes, layout=KINECT, num_persons=1, class_map={"dive": "swim"})
    nothing = dict.fromkeys(small_store.classes, "-")
    with pytest.raises(InputError, match="no clip"):
        adapt_store(small_store, classes=("swim",), layout=KINECT, num_persons=1, class_map=nothing)
    (tmp_path / "map.txt").write_text("# theirs: ours\nsit: sit down\n\njump: -\n")
    assert read_class_map(tmp_path / "map.txt") == {"sit": "sit down", "jump": "-"}
    (tmp_path / "map.txt").write_text("sit down\n")
    for path in (tmp_path / "map.txt", tmp_path / "absent.txt"):
        with pytest.raises(FileError):
            read_class_map(path)
