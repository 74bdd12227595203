"""A side of a split as batches of views: the right clips, in order, whatever the batch size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from poseglot.skeletons.layout import load_layout
from poseglot.skeletons.store import PackedStore
from poseglot.skeletons.transforms import PROTOCOLS, Augmentation, test_view
from poseglot.skeletons.views import Views
from tests.skeletons.own import own_layout, own_store

CPU = torch.device("cpu")


@pytest.fixture
def views(small_store: PackedStore) -> Views:
    places = small_store.side("cross-person", "test")
    return Views(small_store, places, PROTOCOLS["nw-ucla"], "bone", load_layout("kinect20"))


@pytest.mark.parametrize("batch_size", [1, 7, 24, 100])
def test_evaluation_views_are_every_clip_once_in_order(views: Views, batch_size: int) -> None:
    batches = list(views.test_views(batch_size, CPU))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    made = torch.cat(batches).numpy()
    assert len(made) == len(views) == 24
    clips = [views.store.clip(int(place)) for place in views.places]
    assert all(clip.subject in (9, 10) for clip in clips)
    assert views.names == [clip.name for clip in clips] and views.labels.tolist() == [clip.label for clip in clips]
    for view, clip in zip(made, clips, strict=True):
        np.testing.assert_allclose(view, test_view(clip.joints, protocol="nw-ucla", stream="bone"), atol=1e-6)


def test_sample_numbers_count_on_over_the_clips(views: Views) -> None:
    """A repeated sample is the same clip; its evaluation view is the same, its training view another one."""
    once, twice = torch.tensor([3, 5]), torch.tensor([3 + 24, 5 + 48])
    assert torch.equal(views.view(once, None, CPU), views.view(twice, None, CPU))
    training = [views.view(index, Augmentation(0, 0), CPU) for index in (once, twice)]
    assert (training[0] - training[1]).abs().amax(dim=(1, 2, 3, 4)).min() > 0.01
    assert torch.equal(training[0].flip(0), views.view(once.flip(0), Augmentation(0, 0), CPU))


@pytest.mark.parametrize("protocol", ["image", "metric", "ntu"])
def test_the_store_says_whether_there_are_scores(small_store: PackedStore, tmp_path: Path, protocol: str) -> None:
    """Of somebody's own clips: another layout, pixels, scores, one or two people."""
    store = own_store(tmp_path / "store", small_store, protocol=protocol)
    layout = own_layout()
    views = Views(store, np.arange(0, 120, 7), PROTOCOLS[protocol], "bone_motion", layout)
    made = torch.cat(list(views.test_views(5, CPU))).numpy()
    assert made.shape == (18, 2, 64, 8, 3)
    for view, place in zip(made, views.places, strict=True):
        clip = store.clip(int(place))
        alone = test_view(clip.joints, protocol=protocol, stream="bone_motion", layout=layout, scored=True)
        np.testing.assert_allclose(view[: len(alone)], alone, rtol=1e-4, atol=1e-5)
        assert (view[len(alone) :] == 0).all() and (len(alone) == 2) == (place % 5 == 0)
    unaware = test_view(clip.joints, protocol=protocol, stream="bone_motion", layout=layout)
    assert np.abs(unaware - alone).max() > 0.1, "the score is not taken for a coordinate"
