"""Clips to look at without having one: of the run's own store if it is still there, else synthetic ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from poseglot.data import synthetic
from poseglot.data.benchmarks import load_benchmark
from poseglot.errors import PoseglotError
from poseglot.models.recognizer import RecognizerSpec
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import Layout, load_layout

MAX_EXAMPLES = 12
_SEED = 1000  # of people who are in no data set


@dataclass(frozen=True, eq=False)
class Example:
    """A clip, the layout of its joints, the name of its class, and whether it was generated."""

    clip: Clip
    layout: Layout
    label: str
    synthetic: bool

    def info(self, id: int) -> dict[str, Any]:
        """Return the `Example` of the API."""
        persons, frames = self.clip.joints.shape[:2]
        return {
            "id": id,
            "name": self.clip.name,
            "label": self.label,
            "num_persons": persons,
            "frames": frames,
            "synthetic": self.synthetic,
        }


def find_examples(run: Path, spec: RecognizerSpec, layout: Layout, *, any_layout: bool = False) -> list[Example]:
    """Return up to a dozen clips of different classes: from the run's test set, or synthetic ones of unseen people.

    There are none for layouts without synthetic clips, unless the model takes clips of any layout.
    """
    if found := _stored(run, layout):
        return found
    if any_layout:
        return _of_the_demo(load_layout("kinect20"), spec.num_persons)
    return _synthetic(spec, layout)


def _stored(run: Path, layout: Layout) -> list[Example]:
    try:
        from poseglot.data.store import open_store
        from poseglot.training.recipe_io import read_recipe
        from poseglot.training.subsets import subsets

        recipe = read_recipe(run / "recipe.yaml")
        store = open_store(Path(recipe.data.store))
        if load_layout(store.info.layout) != layout:
            return []
        _, indices = subsets(recipe.data, store)
    except (PoseglotError, ImportError):  # the store has moved, or the extra `train`, which reads recipes, is not installed
        return []
    labels = store.clips["label"][indices]
    chosen: list[int] = []
    for turn in range(MAX_EXAMPLES):
        for label in np.unique(labels):
            of_class = indices[labels == label]
            if turn < len(of_class) and len(chosen) < MAX_EXAMPLES:
                # Not always the first: neighbours in a store are often one person in one room.
                chosen.append(int(of_class[(turn * 7 + int(label) * 5) % len(of_class)]))
    is_synthetic = store.info.name == load_benchmark("demo").name
    return [
        Example(store[index], layout, store.info.classes[store.clips["label"][index]], is_synthetic)
        for index in dict.fromkeys(chosen)
    ]


def _synthetic(spec: RecognizerSpec, layout: Layout) -> list[Example]:
    if spec.has_scores or spec.channels != 3:
        return []
    if layout == load_layout("kinect20"):
        return _of_the_demo(layout, spec.num_persons)
    if layout == load_layout("ntu25"):
        from poseglot.data.readers import ntu
        from poseglot.data.synthetic.raw_ntu import raw_clip

        names = load_benchmark("ntu60").classes
        examples = []
        for action in (23, 7, 22, 50, 58, 59):
            name = f"S001C001P001R001A{action:03d}"
            clip = ntu.parse_clip(raw_clip(name, seed=_SEED, faults=()).text, name=name, origin=name)
            examples.append(Example(replace(clip, joints=clip.joints[: spec.num_persons]), layout, names[clip.label], True))
        return examples
    return []


def _of_the_demo(layout: Layout, num_persons: int) -> list[Example]:
    names = load_benchmark("demo").classes
    clips = synthetic.make_clips(persons=1, cameras=1, repeats=1, seed=_SEED)
    if num_persons > 1:
        clips[:2] = [_side_by_side(clips[0], clips[1]), _side_by_side(clips[2], clips[3])]
    return [Example(clip, layout, names[clip.label], True) for clip in clips[:MAX_EXAMPLES]]


def _side_by_side(one: Clip, other: Clip) -> Clip:
    """Return a clip of two people, as long as the shorter one."""
    frames = min(one.joints.shape[1], other.joints.shape[1])
    joints = np.concatenate([one.joints[:, :frames], other.joints[:, :frames]])
    shift = np.array([0.55, 0, 0], dtype=np.float32)
    for person, by in zip(joints, (-shift, shift), strict=True):
        person[(person != 0).any(axis=-1)] += by
    return replace(one, joints=joints, name=f"{one.name}+{other.name}")
