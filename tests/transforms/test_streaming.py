"""Frames one by one are placed as in a whole clip, exactly by causal pipelines."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from poseglot.errors import NotFoundError
from poseglot.transforms import MODALITIES, Pipeline, Transform, load_pipeline, to_modality
from poseglot.transforms.transform import FrameChoice
from tests.transforms.clips import LAYOUT, PIPELINES, batch_of, some_clip
from tests.transforms.plain import Clip

CAUSAL = {"ntu", "metric", "live", "live-early", "body"}


def placed(pipeline: Pipeline, clip: Clip, has_scores: bool) -> Tensor:
    """(M, frames that count, V, C) of a whole clip: every step but those that choose frames, except for the empty ones."""
    batch = batch_of([clip], has_scores=has_scores)
    for transform in pipeline.transforms:
        if not isinstance(transform, FrameChoice) or transform.name == "drop-empty-frames":
            batch = transform(batch, None)
    kept = batch.take(torch.arange(int(batch.frames))[None])
    return torch.where(kept.present_mask()[..., None, None], kept.joints, 0)[0]


def one_by_one(pipeline: Pipeline, clip: Clip, modality: str, has_scores: bool, max_persons: int) -> Tensor:
    stream = pipeline.streaming(LAYOUT, modality=modality, max_persons=max_persons, has_scores=has_scores)
    state, seen, counted = stream.start(), [], 0
    for frame in range(clip.shape[1]):
        state, made = stream.step(state, torch.from_numpy(clip[:, frame]))
        counts = bool((clip[:, frame, :, -1] if has_scores else clip[:, frame]).any())
        counted += counts
        assert (made is not None) == (counts and counted > stream.lag)
        seen += [] if made is None else [made]
    last = stream.flush(state)
    assert (last is not None) == bool(stream.lag)
    return torch.stack([*seen, *([] if last is None else [last])], dim=1)


@pytest.mark.parametrize("has_scores", [False, True], ids=["plain", "scores"])
@pytest.mark.parametrize("people", [1, 2])
@pytest.mark.parametrize("name", PIPELINES)
def test_frames_are_those_of_the_whole_clip(name: str, people: int, has_scores: bool) -> None:
    """Those of other pipelines are placed by the box so far, which at the end is that of the clip."""
    pipeline, clip = load_pipeline(name), some_clip(people, 20, has_scores=has_scores)
    if has_scores:
        clip[0, 0, LAYOUT.centre_index, 3] = 0.9  # nothing stands in for the centre at first
    assert pipeline.causal == (name in CAUSAL)
    whole = placed(pipeline, clip, has_scores)
    for modality in MODALITIES:
        made = one_by_one(pipeline, clip, modality, has_scores, 3)
        wanted = to_modality(whole, modality, LAYOUT, has_scores=has_scores)
        assert made[:people].shape == wanted.shape and (made[people:] == 0).all(), "who is not there is zero"
        assert torch.allclose(made[:people], wanted, atol=1e-6) == pipeline.causal
        torch.testing.assert_close(made[:people, -1], wanted[:, -1])


@pytest.mark.parametrize("name", PIPELINES)
def test_people_may_come_and_go(name: str) -> None:
    """Somebody who is left out is as somebody who is zero."""
    clip = some_clip(2, 6, whole=True)
    clip[1, 3:] = 0
    stream = load_pipeline(name).streaming(LAYOUT, modality="joint_motion", max_persons=2)
    state = other = stream.start()
    for frame in range(6):
        state, made = stream.step(state, torch.from_numpy(clip[:, frame]))
        other, same = stream.step(other, torch.from_numpy(clip[: 2 if frame < 3 else 1, frame]))
        assert (made is None) == (same is None)
        if made is not None and same is not None:
            np.testing.assert_allclose(made, same, atol=1e-6)


@pytest.mark.parametrize("name", PIPELINES)
def test_a_state_is_not_changed(name: str) -> None:
    """A stream may be continued from an earlier frame."""
    clip, stream = torch.from_numpy(some_clip(1, 6, whole=True)), load_pipeline(name).streaming(LAYOUT)
    state, _ = stream.step(stream.start(), clip[:, 0])
    _, one = stream.step(state, clip[:, 1])
    stream.step(state, clip[:, 5] + 3)
    _, again = stream.step(state, clip[:, 1])
    assert one is not None and again is not None and torch.equal(one, again)


def test_a_centre_that_stands_in_is_replaced_by_one_that_is_seen() -> None:
    clip = some_clip(2, 6, has_scores=True, whole=True)
    clip[:, :3, LAYOUT.centre_index] = (50, 50, 50, 0)
    stream = load_pipeline("metric").streaming(LAYOUT, max_persons=2, has_scores=True)
    state, made = stream.start(), []
    for frame in range(6):
        state, one = stream.step(state, torch.from_numpy(clip[:, frame]))
        assert one is not None
        made.append(one)
    assert all(one[..., :3].abs().max() < 5 for one in made)
    assert (made[3][0, LAYOUT.centre_index, :3] == 0).all()


def test_an_unknown_modality_is_refused_at_once() -> None:
    with pytest.raises(NotFoundError):
        load_pipeline("live").streaming(LAYOUT, modality="velocity")


def test_transforms_say_whether_they_are_causal() -> None:
    causal: dict[str, bool] = {}
    for name in PIPELINES:
        transforms: tuple[Transform, ...] = load_pipeline(name).transforms
        causal |= {transform.name: transform.causal for transform in transforms}
    assert {name for name, holds in causal.items() if not holds} == {"min-max", "fit-box"}
    assert [name for name in PIPELINES if load_pipeline(name).many_lengths] == ["live", "live-early"]
