"""Clips of all kinds for tests of transforms, and batches of them."""

from __future__ import annotations

import numpy as np
import torch

from poseglot.skeletons.batch import ClipBatch
from poseglot.skeletons.layout import Layout, load_layout
from poseglot.transforms import Randomness
from tests.transforms.plain import Clip

LAYOUT = load_layout("kinect20")
PIPELINES = ("nw-ucla", "nw-ucla-scaled", "nw-ucla-early", "ntu", "metric", "image", "live", "live-early", "body")

# People, frames, empty frames at the end, and index of a batch of all kinds.
MIXED = [
    (1, 1, 0, 0),
    (2, 2, 0, 7),
    (1, 63, 0, 1019),
    (2, 64, 0, 3),
    (1, 65, 0, 4),
    (2, 300, 0, 40_090),
    (1, 300, 170, 6),
    (2, 90, 26, 5),
    (1, 40, 40, 8),
]
INDEX = [index for *_, index in MIXED]


def some_clip(
    people: int, frames: int, behind: int = 0, dims: int = 3, has_scores: bool = False, *, whole: bool = False, seed: int = 0
) -> Clip:
    """Joints about a point that is not the origin, walking away, with `behind` empty frames at the end.

    Unless `whole`, some joints are missing, two frames are empty, and a second person comes late.
    """
    rng = np.random.default_rng([people, frames, behind, dims, seed])
    joints = rng.normal(size=(people, frames, 20, dims)) * [0.3, 0.5, 0.2][:dims] + 0.4
    joints = (joints + np.linspace(0, 2, frames)[:, None, None]).astype(np.float32)
    missing = np.zeros((people, frames, 20), dtype=bool)
    if not whole:
        missing = rng.uniform(size=missing.shape) < 0.1
        missing[:, :, LAYOUT.centre_index] &= has_scores  # or the first frame would not say where the centre is
        missing[:, 7:9] = True
        missing[1:, : frames // 4] = True
    missing[:, frames - behind :] = True
    if has_scores:
        score = np.where(missing, 0, rng.uniform(0.2, 1, size=missing.shape))
        # Of who is not there at all nothing is known; a joint that is missing may have any coordinates.
        joints[missing.all(axis=2)] = 0
        return np.concatenate([joints, score[..., None]], axis=-1).astype(np.float32)
    joints[missing] = 0
    return joints


def mixed_clips(dims: int = 3, has_scores: bool = False) -> list[Clip]:
    return [some_clip(people, frames, behind, dims, has_scores) for people, frames, behind, _ in MIXED]


def batch_of(clips: list[Clip], *, has_scores: bool = False, padding: float = np.nan, layout: Layout = LAYOUT) -> ClipBatch:
    people, frames = max(clip.shape[0] for clip in clips), max(clip.shape[1] for clip in clips)
    joints = np.full((len(clips), people, frames, *clips[0].shape[2:]), padding, dtype=np.float32)
    for place, clip in enumerate(clips):
        joints[place, : clip.shape[0], : clip.shape[1]] = clip
    lengths, counts = [clip.shape[1] for clip in clips], [clip.shape[0] for clip in clips]
    return ClipBatch(torch.from_numpy(joints), torch.tensor(lengths), torch.tensor(counts), layout, has_scores)


def randomness(index: list[int], seed: int = 5, epoch: int = 2, batch: int = 0) -> Randomness:
    return Randomness(seed, epoch, torch.tensor(index), batch)
