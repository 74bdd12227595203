"""What a score changes in the protocol of NW-UCLA: nothing (its numbers are tested in `tests/skeletons/test_transforms.py`)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from poseglot.skeletons.layout import load_layout
from poseglot.skeletons.protocols import PIPELINES
from poseglot.skeletons.streams import MODALITIES
from poseglot.skeletons.transforms import Augmentation, evenly_spaced, make_input

LAYOUT = load_layout("kinect20")


@pytest.mark.parametrize("augmentation", [None, Augmentation(4, 1), Augmentation(4, 1, effective_scale=True)])
@pytest.mark.parametrize("axes", [2, 3])
def test_a_score_changes_no_coordinate(axes: int, augmentation: Augmentation | None) -> None:
    rng = np.random.default_rng(8)
    joints = torch.from_numpy(rng.normal(size=(3, 2, 70, 20, axes)).astype(np.float32))
    score = torch.from_numpy(rng.uniform(size=(3, 2, 70, 20, 1)).astype(np.float32))
    frames, people, index = torch.tensor([70, 33, 1]), torch.tensor([2, 1, 2]), torch.tensor([3, 4, 5])

    def views(clips: torch.Tensor, modality: str, has_scores: bool) -> torch.Tensor:
        return make_input(
            clips,
            frames,
            people,
            pipeline=PIPELINES["nw-ucla"],
            modality=modality,
            layout=LAYOUT,
            index=index,
            augmentation=augmentation,
            has_scores=has_scores,
        )

    for modality in MODALITIES:
        has_scores = views(torch.cat([joints, score], dim=-1), modality, True)
        assert torch.equal(has_scores[..., :axes], views(joints, modality, False))
        assert (has_scores[1, 1] == 0).all(), "absent people have no score"
    if augmentation is None:
        chosen = evenly_spaced(frames, 52)
        expected = torch.stack([clip[:, places] for clip, places in zip(score, chosen, strict=True)])
        expected[1, 1] = 0
        assert torch.equal(views(torch.cat([joints, score], dim=-1), "joint", True)[..., axes:], expected)
