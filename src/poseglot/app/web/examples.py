"""Clips to look at for who has none: of the run's own store if it is still there, else synthetic ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from poseglot.data import synthetic
from poseglot.data.benchmarks import load_benchmark
from poseglot.errors import PoseglotError
from poseglot.models.recognizer import RecognizerSpec
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import Layout, load_layout

MOST = 12
_SEED = 1000  # people that are in no set


def examples(run: Path, spec: RecognizerSpec, layout: Layout) -> list[tuple[Clip, str]]:
    """Up to a dozen clips of different classes, each with its class's name.

    Of the side of the store that the run was tested on, or synthetic ones of people that it has not seen; none for layouts that there
    are no synthetic clips of.
    """
    return _stored(run, layout) or _synthetic(spec, layout)


def _stored(run: Path, layout: Layout) -> list[tuple[Clip, str]]:
    try:
        from poseglot.data.store import open_store
        from poseglot.training.recipe_io import read_recipe
        from poseglot.training.subsets import subsets

        recipe = read_recipe(run / "recipe.yaml")
        store = open_store(Path(recipe.data.store))
        if load_layout(store.info.layout) != layout:
            return []
        _, places = subsets(recipe.data, store)
    except (PoseglotError, ImportError):  # moved, or the extra `train`, which reads recipes, is not installed
        return []
    labels = store.clips["label"][places]
    chosen: list[int] = []
    for turn in range(MOST):
        for label in np.unique(labels):
            of_class = places[labels == label]
            if turn < len(of_class) and len(chosen) < MOST:
                # Not the first of each class: neighbours in a store are one person in one room.
                chosen.append(int(of_class[(turn * 7 + int(label) * 5) % len(of_class)]))
    return [(store[place], store.info.classes[store.clips["label"][place]]) for place in dict.fromkeys(chosen)]


def _synthetic(spec: RecognizerSpec, layout: Layout) -> list[tuple[Clip, str]]:
    if spec.has_scores or spec.channels != 3:
        return []
    if layout == load_layout("kinect20"):
        names = load_benchmark("demo").classes
        clips = synthetic.make_clips(persons=1, cameras=1, repeats=1, seed=_SEED)
        if spec.num_persons > 1:
            clips[:2] = [_together(clips[0], clips[1]), _together(clips[2], clips[3])]
        return [(clip, names[clip.label]) for clip in clips[:MOST]]
    if layout == load_layout("ntu25"):
        from poseglot.data.readers import ntu
        from poseglot.data.synthetic.raw_ntu import raw_clip

        names = load_benchmark("ntu60").classes
        recordings = [f"S001C001P001R001A{action:03d}" for action in (23, 7, 22, 50, 58, 59)]
        made = []
        for name in recordings:
            clip = ntu.parse_clip(raw_clip(name, seed=_SEED, faults=()).text, name=name, origin=name)
            made.append((replace(clip, joints=clip.joints[: spec.num_persons]), names[clip.label]))
        return made
    return []


def _together(one: Clip, other: Clip) -> Clip:
    """Two people side by side in one clip, as long as the shorter one."""
    frames = min(one.joints.shape[1], other.joints.shape[1])
    joints = np.concatenate([one.joints[:, :frames], other.joints[:, :frames]])
    shift = np.array([0.55, 0, 0], dtype=np.float32)
    for person, by in zip(joints, (-shift, shift), strict=True):
        person[(person != 0).any(axis=-1)] += by
    return replace(one, joints=joints, name=f"{one.name}+{other.name}")


def listed(found: Sequence[tuple[Clip, str]]) -> list[dict[str, object]]:
    """The `Example`s."""
    return [
        {"id": number, "name": clip.name, "label": label, "people": clip.joints.shape[0], "frames": clip.joints.shape[1]}
        for number, (clip, label) in enumerate(found)
    ]
