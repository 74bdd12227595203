"""What a score changes in the protocol of NW-UCLA: nothing (its numbers are tested in `tests/skeletons/test_transforms.py`)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from poseglot.skeletons.layout import load_layout
from poseglot.skeletons.streams import STREAMS
from poseglot.skeletons.transforms import PROTOCOLS, Augmentation, evenly_spaced, make_view

LAYOUT = load_layout("kinect20")


@pytest.mark.parametrize("augmentation", [None, Augmentation(4, 1), Augmentation(4, 1, effective_scale=True)])
@pytest.mark.parametrize("axes", [2, 3])
def test_a_score_changes_no_coordinate(axes: int, augmentation: Augmentation | None) -> None:
    rng = np.random.default_rng(8)
    joints = torch.from_numpy(rng.normal(size=(3, 2, 70, 20, axes)).astype(np.float32))
    score = torch.from_numpy(rng.uniform(size=(3, 2, 70, 20, 1)).astype(np.float32))
    frames, people, index = torch.tensor([70, 33, 1]), torch.tensor([2, 1, 2]), torch.tensor([3, 4, 5])

    def views(clips: torch.Tensor, stream: str, scored: bool) -> torch.Tensor:
        return make_view(
            clips,
            frames,
            people,
            protocol=PROTOCOLS["nw-ucla"],
            stream=stream,
            layout=LAYOUT,
            index=index,
            augmentation=augmentation,
            scored=scored,
        )

    for stream in STREAMS:
        scored = views(torch.cat([joints, score], dim=-1), stream, True)
        assert torch.equal(scored[..., :axes], views(joints, stream, False))
        assert (scored[1, 1] == 0).all(), "absent people have no score"
    if augmentation is None:
        chosen = evenly_spaced(frames, 52)
        expected = torch.stack([clip[:, places] for clip, places in zip(score, chosen, strict=True)])
        expected[1, 1] = 0
        assert torch.equal(views(torch.cat([joints, score], dim=-1), "joint", True)[..., axes:], expected)
