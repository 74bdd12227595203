"""Only frames that hold somebody count, wherever they are, and only people who are there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poseglot.transforms import MODALITIES, apply_pipeline, load_pipeline
from tests.transforms.clips import LAYOUT, PIPELINES, batch_of, randomness, some_clip
from tests.transforms.plain import Clip


def with_empty(clip: Clip, where: list[int], *, score_only: bool = False) -> Clip:
    """Insert an empty frame before each of some frames (its length: at the end)."""
    empty = np.zeros_like(clip[:, :1])
    if score_only:
        empty[..., :-1] = 9.5  # coordinates that nobody saw
    return np.concatenate(
        [part for frame in range(clip.shape[1] + 1) for part in [empty] * where.count(frame) + [clip[:, frame : frame + 1]]],
        axis=1,
    )


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(PIPELINES),
    modality=st.sampled_from(MODALITIES),
    people=st.integers(1, 2),
    frames=st.integers(1, 80),
    dims=st.integers(2, 3),
    has_scores=st.booleans(),
    score_only=st.booleans(),
    data=st.data(),
)
def test_empty_frames_change_nothing(
    name: str, modality: str, people: int, frames: int, dims: int, has_scores: bool, score_only: bool, data: st.DataObject
) -> None:
    clip = some_clip(people, frames, dims=dims, has_scores=has_scores)
    where = data.draw(st.lists(st.integers(0, frames), max_size=40))
    longer = with_empty(clip, where, score_only=has_scores and score_only)
    assert longer.shape[1] == frames + len(where)
    wanted = apply_pipeline(clip, name, modality, LAYOUT, has_scores)
    np.testing.assert_array_equal(apply_pipeline(longer, name, modality, LAYOUT, has_scores), wanted)
    # In training alike, and beside another clip.
    drawn, pipeline, other = randomness([3, 4]), load_pipeline(name), some_clip(2, 33, dims=dims, has_scores=has_scores)
    made, before = (
        pipeline(batch_of([one, other], has_scores=has_scores), modality=modality, randomness=drawn) for one in (longer, clip)
    )
    torch.testing.assert_close(made, before, rtol=0, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(name=st.sampled_from(PIPELINES), where=st.integers(0, 1), has_scores=st.booleans(), frames=st.integers(2, 70))
def test_an_absent_person_changes_nothing(name: str, where: int, has_scores: bool, frames: int) -> None:
    """Whether somebody who is never there is the first or the second person."""
    clip = some_clip(1, frames, has_scores=has_scores)
    pair = np.insert(clip, where, 0, axis=0)
    assert pair.shape[0] == 2
    made = apply_pipeline(pair, name, "bone", LAYOUT, has_scores)
    np.testing.assert_array_equal(made[1 - where], apply_pipeline(clip, name, "bone", LAYOUT, has_scores)[0])
    assert (made[where] == 0).all()


@pytest.mark.parametrize("name", ["image", "ntu", "nw-ucla"])
def test_a_clip_that_begins_late(name: str) -> None:
    clip = np.zeros((1, 20, 20, 3), dtype=np.float32)
    clip[0, 10:] = 1 + np.arange(10)[:, None, None]
    made = apply_pipeline(clip, name, "joint", LAYOUT)
    assert (made != 0).any(axis=(0, 2, 3)).all()
    np.testing.assert_array_equal(made, apply_pipeline(clip[:, 10:], name, "joint", LAYOUT))


def test_who_is_not_there_is_not_in_the_box() -> None:
    """A second person who leaves is zero from then on, and her zeros are no corner of the box."""
    clip = some_clip(2, 52, whole=True) + 5
    clip[1, 26:] = 0
    for name in ("nw-ucla", "image"):
        made = apply_pipeline(clip, name, "joint", LAYOUT)
        assert (made[1, -10:] == 0).all()
        assert made[0].min() < -0.5, "the box begins where people are"
