"""`ClipDataset`: samples, batches and inputs are the right clips, in order, in a `DataLoader` with worker processes, too."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Subset

import poseglot
from poseglot.data.dataset import ClipDataset
from poseglot.data.store import PackedStore
from poseglot.errors import FileError, NotFoundError, SettingError
from poseglot.transforms import Randomness, apply_pipeline, load_pipeline
from tests.data.own import own_layout, own_store

CPU = torch.device("cpu")


@pytest.fixture
def dataset(small_store: PackedStore) -> ClipDataset:
    transform = partial(load_pipeline("nw-ucla"), modality="bone")
    return ClipDataset(small_store, split="cross-person", subset="test", transform=transform)


@pytest.fixture
def own(small_store: PackedStore, tmp_path: Path) -> ClipDataset:
    """A user's own clips: another layout, pixels, scores, one or two people, different lengths."""
    return ClipDataset(own_store(tmp_path / "store", small_store), np.arange(0, 120, 7))


# --- inputs, as training and evaluation use them ---------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, 24, 100])
def test_evaluation_inputs_are_every_clip_once_in_order(dataset: ClipDataset, batch_size: int) -> None:
    batches = list(dataset.eval_inputs(batch_size, CPU))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    inputs = torch.cat(batches).numpy()
    assert len(inputs) == len(dataset) == 24
    clips = [dataset.store[int(index)] for index in dataset.indices]
    assert all(clip.subject in (9, 10) for clip in clips)
    assert dataset.names == [clip.name for clip in clips] and dataset.labels.tolist() == [clip.label for clip in clips]
    for made, clip in zip(inputs, clips, strict=True):
        np.testing.assert_allclose(made, apply_pipeline(clip.joints, pipeline="nw-ucla", modality="bone"), atol=1e-6)


def test_sample_indices_count_on_over_the_clips(dataset: ClipDataset) -> None:
    """A repeated sample is the same clip. Its evaluation input is the same, its training input another one."""
    once, again = torch.tensor([3, 5]), torch.tensor([3 + 24, 5 + 48])
    assert torch.equal(dataset.inputs(once), dataset.inputs(again))
    training = [dataset.inputs(index, Randomness(0, 0, index), CPU) for index in (once, again)]
    assert (training[0] - training[1]).abs().amax(dim=(1, 2, 3, 4)).min() > 0.01
    flipped = once.flip(0)
    assert torch.equal(training[0].flip(0), dataset.inputs(flipped, Randomness(0, 0, flipped), CPU))


@pytest.mark.parametrize("pipeline", ["image", "metric", "ntu"])
def test_the_store_says_whether_there_are_scores(own: ClipDataset, pipeline: str) -> None:
    own.transform = partial(load_pipeline(pipeline), modality="bone_motion")
    inputs = torch.cat(list(own.eval_inputs(5, CPU))).numpy()
    assert inputs.shape == (18, 2, 64, 8, 3)
    for made, index in zip(inputs, own.indices, strict=True):
        joints = own.store[int(index)].joints
        alone = apply_pipeline(joints, pipeline=pipeline, modality="bone_motion", layout=own_layout(), has_scores=True)
        np.testing.assert_allclose(made[: len(alone)], alone, rtol=1e-4, atol=1e-5)
        assert (made[len(alone) :] == 0).all() and (len(alone) == 2) == (index % 5 == 0)
    unaware = apply_pipeline(joints, pipeline=pipeline, modality="bone_motion", layout=own_layout())
    assert np.abs(unaware - alone).max() > 0.1, "the score is not taken for a coordinate"


def test_without_a_transform_there_are_batches_but_no_inputs(own: ClipDataset) -> None:
    batch = own.batch(torch.tensor([1, 0, 19]))
    assert batch.layout == own_layout() and batch.has_scores and len(batch) == 3
    for row, sample in enumerate((1, 0, 19 % 18)):
        joints = own.store[int(own.indices[sample])].joints
        assert (batch.num_persons[row], batch.frames[row]) == joints.shape[:2]
        np.testing.assert_array_equal(batch.joints[row, : len(joints), : joints.shape[1]].numpy(), joints)
    with pytest.raises(SettingError):
        own.inputs(torch.tensor([0]))


# --- samples, as a DataLoader uses them ------------------------------------------------------------------------------------


def test_a_sample_is_its_clip(own: ClipDataset) -> None:
    assert len(own) == 18 and len(list(own)) == 18
    for index in (0, 4, -1):
        sample, clip = own[index], own.store[int(own.indices[index])]
        np.testing.assert_array_equal(sample["joints"].numpy(), clip.joints)
        assert (sample["num_persons"], sample["frames"]) == clip.joints.shape[:2]
        assert (sample["name"], sample["label"], sample["index"]) == (clip.name, clip.label, index % 18)
    for outside in (18, -19):
        with pytest.raises(IndexError):
            own[outside]


@pytest.mark.parametrize(("workers", "collate"), [(0, True), (0, False), (2, True)], ids=["own", "default", "2 workers"])
def test_a_loader_with_workers_gives_every_clip(own: ClipDataset, workers: int, collate: bool) -> None:
    options = {"multiprocessing_context": "spawn"} if workers else {}
    loader = DataLoader(own, batch_size=5, num_workers=workers, collate_fn=own.collate if collate else None, **options)
    names = []
    for samples in loader:
        names += samples["name"]
        batch = own.clip_batch(samples)
        assert batch.has_scores and batch.joints.shape[1:3] == (samples["num_persons"].max(), samples["frames"].max())
        alone = load_pipeline("image")(own.batch(samples["index"]), modality="bone")
        torch.testing.assert_close(load_pipeline("image")(batch, modality="bone"), alone)
    assert names == own.names


def test_single_samples_collate_and_subsets_of_the_dataset_work(own: ClipDataset) -> None:
    samples = own.collate([own[3], own[0]])
    assert samples["joints"].shape[:3] == (2, 2, max(own[3]["frames"], own[0]["frames"]))
    assert (samples["joints"][0, 1:] == 0).all()
    (again,) = DataLoader(Subset(own, [3, 0]), batch_size=2, collate_fn=own.collate)
    assert samples["name"] == again["name"] and torch.equal(samples["label"], again["label"])


def test_a_transform_makes_the_samples_joints(dataset: ClipDataset) -> None:
    for samples in (own := DataLoader(dataset, batch_size=12)):
        torch.testing.assert_close(samples["joints"], dataset.inputs(samples["index"]))
    assert len(own) == 2
    torch.testing.assert_close(dataset[5]["joints"][None], dataset.inputs(torch.tensor([5])))


# --- which clips -----------------------------------------------------------------------------------------------------------


def test_it_opens_a_store_by_its_path_and_takes_a_subset_or_indices_or_all(store_path: Path, small_store: PackedStore) -> None:
    assert len(poseglot.ClipDataset(str(store_path))) == 120
    train = poseglot.ClipDataset(store_path, split="cross-person", subset="train")
    assert train.indices.tolist() == small_store.subset("cross-person", "train").tolist()
    assert [sample["index"] for sample in ClipDataset(small_store, [5, 2])] == [0, 1]
    assert "96 of 120 clips of 'demo'" in repr(train)
    with pytest.raises(NotFoundError):
        ClipDataset(small_store, split="cross-view", subset="train")
    with pytest.raises(SettingError):
        ClipDataset(small_store, split="cross-person")
    with pytest.raises(SettingError):
        ClipDataset(small_store, [1], split="cross-person", subset="test")
    with pytest.raises(FileError):
        ClipDataset("nowhere")


def test_classes_are_mapped_and_unknown_ones_stay_unknown(small_store: PackedStore) -> None:
    clips = small_store.clips.copy()
    clips["label"][:3] = [4, -1, 11]
    mapping = np.full(12, -1)
    mapping[[4, 7]] = [0, 1]
    dataset = ClipDataset(PackedStore(small_store.info, clips, small_store.joints), class_mapping=mapping)
    assert dataset.labels[:3].tolist() == [0, -1, -1]
    assert [dataset[index]["label"] for index in range(3)] == [0, -1, -1]
