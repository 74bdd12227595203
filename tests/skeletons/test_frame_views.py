"""Views frame by frame are the views of the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from poseglot.skeletons.frame_views import FrameState, StreamingPipeline
from poseglot.skeletons.layout import load_layout
from poseglot.skeletons.protocols import PIPELINES
from poseglot.skeletons.protocols.live import Live
from poseglot.skeletons.streams import MODALITIES, to_modality
from tests.skeletons.protocols.test_live import a_clip, raw

LAYOUT = load_layout("kinect20")


@pytest.mark.parametrize("has_scores", [False, True])
@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("people", [1, 2])
def test_frames_of_a_view_are_those_of_the_whole(modality: str, people: int, has_scores: bool) -> None:
    clip, pipeline = a_clip(people, 9, has_scores=has_scores), PIPELINES["live"]
    views = StreamingPipeline(pipeline, modality, LAYOUT, people=3, has_scores=has_scores)
    state, seen = FrameState(), []
    for frame in range(clip.shape[1]):
        state, view = views.step(state, torch.from_numpy(clip[:, frame]))
        assert (view is None) == (frame < views.lag)
        seen += [] if view is None else [view]
    last = views.flush(state)
    seen += [] if last is None else [last]
    assert isinstance(pipeline, Live)
    clips = raw(clip, has_scores=has_scores)
    placed = torch.cat([pipeline.placed(clips), clips.joints[..., 3:]], dim=-1)
    wanted = to_modality(placed, modality, LAYOUT, has_scores=has_scores)[0]
    torch.testing.assert_close(torch.stack(seen, dim=1)[:people], wanted)
    assert (torch.stack(seen, dim=1)[people:] == 0).all(), "who is not there is zero"


def test_people_may_come_and_go() -> None:
    """Somebody who is left out is as somebody who is zero."""
    clip = a_clip(2, 6)
    clip[1, 3:] = 0
    views = StreamingPipeline(PIPELINES["live"], "joint_motion", LAYOUT, people=2)
    state, other = FrameState(), FrameState()
    for frame in range(6):
        state, view = views.step(state, torch.from_numpy(clip[:, frame]))
        other, same = views.step(other, torch.from_numpy(clip[: 2 if frame < 3 else 1, frame]))
        if view is not None and same is not None:
            np.testing.assert_allclose(view, same, atol=1e-6)
