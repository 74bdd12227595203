"""Statistics of a store against plain loops over one clip at a time, wherever the chunks begin and end."""

from __future__ import annotations

import math
import tracemalloc
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.quality import statistics
from poseglot.data.store import PackedStore, open_store, write_store
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import Layout, load_layout

LAYOUT = load_layout("kinect20")
BODY = 1.5
Array = npt.NDArray[Any]


def clips(seed: int = 0) -> list[Clip]:
    """One to three people, of very different lengths; joints and whole people are missing here and there; some frames repeat."""
    numbers = np.random.default_rng(seed)
    made = []
    for number in range(30):
        people, frames = int(numbers.integers(1, 4)), int(numbers.choice([1, 2, 5, 17, 40]))
        joints = numbers.normal(size=(people, frames, 20, 3)).astype(np.float32)
        joints[numbers.random((people, frames, 20)) < 0.1] = 0
        joints[numbers.random((people, frames)) < 0.2] = 0
        for frame in range(1, frames):
            if numbers.random() < 0.3:
                joints[:, frame] = joints[:, frame - 1]
        if number % 7 == 0:
            joints[:, :, 4] = joints[:, :1, 4] = 0.5
        if number % 5 == 0:
            joints[0, : frames // 2] = joints[0, : frames // 2] * 0.01 + 1
        made.append(Clip(joints, name=f"clip {number}", label=number % 3))
    return made


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PackedStore:
    path = tmp_path_factory.mktemp("measured") / "store"
    return write_store(path, clips(), benchmark=load_benchmark("demo"), layout=LAYOUT, source={})


def plain_person(joints: Array, first: Array, layout: Layout) -> dict[str, float]:
    """(T, V, 3) of a person, and of the first person of the clip."""
    seen = [[bool((joint != 0).any()) for joint in frame] for frame in joints]
    there = [sum(frame) * 2 >= len(frame) for frame in seen]
    sizes, speeds, jumps, moved = [], [], [0.0], set()
    for t, frame in enumerate(joints):
        points = np.array([joint for joint, shown in zip(frame, seen[t], strict=True) if shown])
        if there[t]:
            sizes.append(float(np.linalg.norm(points.max(axis=0) - points.min(axis=0))))
        if t:
            steps = [
                math.dist(frame[v], joints[t - 1][v]) if seen[t][v] and seen[t - 1][v] else 0.0 for v in range(len(layout))
            ]
            jumps.append(max(steps))
            moved |= {v for v, step in enumerate(steps) if step > 0}
            if there[t] and there[t - 1]:
                speeds.append(max(steps))
    bones = []
    for child, parent in layout.bone_pairs:
        lengths = [math.dist(f[child], f[parent]) for f, s in zip(joints, seen, strict=True) if s[child] and s[parent]]
        bones.append((np.std(lengths), np.mean(lengths)) if lengths else (0, 0))
    apart = [math.dist(joints[t, v], first[t, v]) for t in range(len(joints)) for v in range(len(layout))
             if seen[t][v] and (first[t, v] != 0).any()]  # fmt: skip
    always = [v for v in range(len(layout)) if all(frame[v] for frame in seen)]
    return {
        "frames": sum(there),
        "size": float(np.median(sizes)) if sizes else math.nan,
        "collapsed": sum(size < BODY / 10 for size in sizes),
        "jump": max(jumps),
        "speed": float(np.median(speeds)) if speeds else math.nan,
        "stuck": sum(v not in moved for v in always) if moved else 0,
        "bones": sum(b[0] for b in bones) / sum(b[1] for b in bones) if sum(b[1] for b in bones) else math.nan,
        "apart": float(np.mean(apart)) if joints is not first and len(apart) >= 4 * len(layout) else math.nan,
    }


def longest(flags: list[bool]) -> int:
    return max(map(len, "".join("x" if flag else " " for flag in flags).split()), default=0)


@pytest.mark.parametrize("rows", [1, 60, 8192])
def test_people_and_clips_against_plain_loops(store: PackedStore, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(statistics, "chunks", partial(statistics.chunks, rows=rows))
    people, measured = statistics.store_statistics(store, BODY)
    assert people["clip"].tolist() == np.repeat(np.arange(30), store.clips["num_persons"]).tolist()
    row = 0
    for index in range(len(store)):
        clip = store[index].joints
        for person, joints in enumerate(clip):
            expected = plain_person(joints, clip[0] if person else joints, LAYOUT)
            assert people["person"][row] == person
            for name, value in expected.items():
                np.testing.assert_allclose(people[name][row], value, rtol=1e-3, atol=1e-6, err_msg=f"{name} of {index}")
            row += 1
        anybody = [any((person[t] != 0).any(axis=-1).sum() >= 10 for person in clip) for t in range(clip.shape[1])]
        still = [False]
        for t in range(1, clip.shape[1]):
            both = (clip[:, t] != 0).any(axis=-1) & (clip[:, t - 1] != 0).any(axis=-1)
            step = np.linalg.norm(clip[:, t] - clip[:, t - 1], axis=-1) * both
            still.append(anybody[t] and step.max() <= BODY / 1000)
        assert measured["absent"][index] == pytest.approx(longest([not there for there in anybody]) / clip.shape[1])
        assert measured["still"][index] == pytest.approx(longest(still) / clip.shape[1])
    assert (measured["infinite"] == 0).all()


@pytest.mark.parametrize("rows", [1, 7, 100, 10**6])
def test_chunks_hold_every_clip_once_and_whole(store: PackedStore, rows: int) -> None:
    seen = []
    for indices, joints in statistics.chunks(store, rows):
        assert len(joints) <= rows or len(indices) == 1
        expected = np.concatenate([store[index].joints.reshape(-1, 20, 3) for index in indices])
        np.testing.assert_array_equal(joints, expected)
        seen += indices.tolist()
    assert seen == list(range(len(store)))


def test_the_typical_body_is_the_median_of_who_is_there(store: PackedStore, small_store: PackedStore) -> None:
    sizes = []
    for index in range(len(small_store)):
        joints = small_store[index].joints[0]
        sizes += np.linalg.norm(joints.max(axis=1) - joints.min(axis=1), axis=-1).tolist()
    assert statistics.typical_body(small_store) == pytest.approx(np.median(sizes), rel=0.02)
    nobody = PackedStore(store.info, store.clips, np.zeros_like(store.joints))
    assert statistics.typical_body(nobody) == 0


def test_memory_does_not_grow_with_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def many() -> Any:
        joints = np.random.default_rng(0).normal(size=(1, 100, 20, 3)).astype(np.float32)
        return (Clip(joints + np.float32(number), name=str(number), label=0) for number in range(400))

    write_store(tmp_path / "store", many(), benchmark=load_benchmark("demo"), layout=LAYOUT, source={})
    store = open_store(tmp_path / "store")
    monkeypatch.setattr(statistics, "chunks", partial(statistics.chunks, rows=500))
    statistics.store_statistics(store, BODY)  # what is imported and cached once
    tracemalloc.start()
    try:
        statistics.store_statistics(store, BODY)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < store.joints.nbytes / 4
