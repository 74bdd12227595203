"""A side of a split as batches of views: the right clips, in order, whatever the batch size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from poseglot.data.dataset import ClipDataset
from poseglot.data.store import PackedStore
from poseglot.skeletons.layout import load_layout
from poseglot.skeletons.transforms import PIPELINES, Augmentation, apply_pipeline
from tests.data.own import own_layout, own_store

CPU = torch.device("cpu")


@pytest.fixture
def views(small_store: PackedStore) -> ClipDataset:
    places = small_store.subset("cross-person", "test")
    return ClipDataset(small_store, places, PIPELINES["nw-ucla"], "bone", load_layout("kinect20"))


@pytest.mark.parametrize("batch_size", [1, 7, 24, 100])
def test_evaluation_views_are_every_clip_once_in_order(views: ClipDataset, batch_size: int) -> None:
    batches = list(views.eval_inputs(batch_size, CPU))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    made = torch.cat(batches).numpy()
    assert len(made) == len(views) == 24
    clips = [views.store[int(place)] for place in views.indices]
    assert all(clip.subject in (9, 10) for clip in clips)
    assert views.names == [clip.name for clip in clips] and views.labels.tolist() == [clip.label for clip in clips]
    for view, clip in zip(made, clips, strict=True):
        np.testing.assert_allclose(view, apply_pipeline(clip.joints, pipeline="nw-ucla", modality="bone"), atol=1e-6)


def test_sample_numbers_count_on_over_the_clips(views: ClipDataset) -> None:
    """A repeated sample is the same clip; its evaluation view is the same, its training view another one."""
    once, twice = torch.tensor([3, 5]), torch.tensor([3 + 24, 5 + 48])
    assert torch.equal(views.view(once, None, CPU), views.view(twice, None, CPU))
    training = [views.view(index, Augmentation(0, 0), CPU) for index in (once, twice)]
    assert (training[0] - training[1]).abs().amax(dim=(1, 2, 3, 4)).min() > 0.01
    assert torch.equal(training[0].flip(0), views.view(once.flip(0), Augmentation(0, 0), CPU))


@pytest.mark.parametrize("pipeline", ["image", "metric", "ntu"])
def test_the_store_says_whether_there_are_scores(small_store: PackedStore, tmp_path: Path, pipeline: str) -> None:
    """Of somebody's own clips: another layout, pixels, scores, one or two people."""
    store = own_store(tmp_path / "store", small_store, pipeline=pipeline)
    layout = own_layout()
    views = ClipDataset(store, np.arange(0, 120, 7), PIPELINES[pipeline], "bone_motion", layout)
    made = torch.cat(list(views.eval_inputs(5, CPU))).numpy()
    assert made.shape == (18, 2, 64, 8, 3)
    for view, place in zip(made, views.indices, strict=True):
        clip = store[int(place)]
        alone = apply_pipeline(clip.joints, pipeline=pipeline, modality="bone_motion", layout=layout, has_scores=True)
        np.testing.assert_allclose(view[: len(alone)], alone, rtol=1e-4, atol=1e-5)
        assert (view[len(alone) :] == 0).all() and (len(alone) == 2) == (place % 5 == 0)
    unaware = apply_pipeline(clip.joints, pipeline=pipeline, modality="bone_motion", layout=layout)
    assert np.abs(unaware - alone).max() > 0.1, "the score is not taken for a coordinate"
