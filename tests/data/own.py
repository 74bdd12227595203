"""Somebody's own data: eight joints of the synthetic people as an image shows them, with scores, in a layout of a file that is gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.store import PackedStore, write_store
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import Layout, load_layout

JOINTS = ["spine", "head", "left_elbow", "left_hand", "right_hand", "left_knee", "left_foot", "right_foot"]
TABLE: dict[str, Any] = {
    "name": "mine",
    "joints": JOINTS,
    "bones": {
        "head": "spine",
        "left_elbow": "spine",
        "left_hand": "left_elbow",
        "right_hand": "spine",
        "left_knee": "spine",
        "left_foot": "left_knee",
        "right_foot": "spine",
    },
    "mirror": {"left_hand": "right_hand", "left_foot": "right_foot"},
    "centre": "spine",
    "parts": {
        "head": ["head"],
        "hand": ["left_hand", "right_hand"],
        "arm": ["left_elbow"],
        "hip": ["spine"],
        "leg": ["left_knee"],
        "foot": ["left_foot", "right_foot"],
    },
}


def own_layout() -> Layout:
    return load_layout(TABLE)


def own_clips(store: PackedStore) -> Iterator[Clip]:
    """Every clip of a synthetic store in pixels; one joint in ten is not seen. Every fifth clip shows its person twice."""
    chosen = [load_layout("kinect20").index[joint] for joint in JOINTS]
    rng = np.random.default_rng(0)
    for place in range(len(store)):
        clip = store[place]
        pixels = clip.joints[:, :, chosen, :2] * [200, -200] + [320, 240]
        if place % 5 == 0:
            pixels = np.concatenate([pixels, pixels + np.array([50, 0])])
        score = rng.uniform(0.3, 1, size=pixels.shape[:3]) * (rng.uniform(size=pixels.shape[:3]) > 0.1)
        joints = np.concatenate([pixels, score[..., None]], axis=-1).astype(np.float32)
        yield replace(clip, joints=joints, has_scores=True)


def own_store(path: Path, store: PackedStore, *, pipeline: str = "image") -> PackedStore:
    benchmark = replace(load_benchmark("demo"), name="mine", pipeline=pipeline)
    return write_store(path, own_clips(store), benchmark=benchmark, layout=own_layout(), source={}, has_scores=True)
