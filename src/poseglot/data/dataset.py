"""`ClipDataset`: the clips of a store for PyTorch, one by one, in a `DataLoader`, or in batches on the device.

Training uses the batch path. `ClipDataset.inputs` reads a batch with one indexed read, copies it to the device, and transforms it there
with a few tensor operations. No Python code runs per sample, and no worker processes are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from poseglot.data.store import Indices, PackedStore, open_store
from poseglot.devices import to_device
from poseglot.errors import SettingError
from poseglot.skeletons.batch import ClipBatch
from poseglot.skeletons.layout import Layout

# From a batch of clips to the network's input (N, M, T, V, C). In training it is also called with the keyword `randomness`.
BatchTransform = Callable[..., Tensor]
CPU = torch.device("cpu")


class ClipSample(TypedDict):
    """A sample.

    Keys:
        joints: (M, T, V, C) float32. Without a transform these are the stored joints; with one, its output.
        frames: The number of frames of the stored clip.
        num_persons: The number of people of the stored clip.
        label: The class index; -1 if unknown or excluded.
        name: The clip's name.
        index: The sample's index in the dataset.
    """

    joints: Tensor
    frames: int
    num_persons: int
    label: int
    name: str
    index: int


class ClipSamples(TypedDict):
    """A batch of samples: joints (N, M, T, V, C) padded to the most people and frames, and int64 tensors (N,)."""

    joints: Tensor
    frames: Tensor
    num_persons: Tensor
    label: Tensor
    name: list[str]
    index: Tensor


class ClipDataset(Dataset[ClipSample]):
    """The clips of a store, or some of them, as a PyTorch dataset.

    `dataset[i]` is a `ClipSample`. In a `DataLoader`, `collate_fn` may be `dataset.collate` or PyTorch's default, because batched reads
    pad their samples alike. Worker processes map the store's file, they do not copy it.

    Example:
        >>> dataset = ClipDataset("data/nw-ucla", split="cross-view", subset="train")
        >>> loader = DataLoader(dataset, batch_size=64, shuffle=True, num_workers=4, collate_fn=dataset.collate)
        >>> for samples in loader:
        ...     x = pipeline(dataset.clip_batch(samples, device), modality="bone")   # (N, M, T, V, C) on the device

    Args:
        store: A store, or its folder.
        indices: Rows of the store's table. By default all clips, or those of `subset`.
        split, subset: A split of the store and one of its subsets, `train` or `test`; given together, instead of `indices`.
        transform: A function from a `ClipBatch` to the network's input (N, M, T, V, C), such as a pipeline with its modality:
            `functools.partial(pipeline, modality="bone")`. For training, `inputs` also passes it `randomness=`.
        class_mapping: (store classes,) the label of each class of the store; -1 if excluded. By default labels are the store's.

    Raises:
        SettingError: Both `indices` and `split` are given, or `split` without `subset`.
        NotFoundError: There is no such split or subset.
        FileError: The folder is not a store.
    """

    def __init__(
        self,
        store: PackedStore | str | Path,
        indices: npt.ArrayLike | None = None,
        *,
        split: str | None = None,
        subset: str | None = None,
        transform: BatchTransform | None = None,
        class_mapping: npt.ArrayLike | None = None,
    ) -> None:
        self.store = store if isinstance(store, PackedStore) else open_store(store)
        if (split is None) != (subset is None) or (split is not None and indices is not None):
            raise SettingError("give split= and subset= together, and then no indices; or give none of them for all clips.")
        if split is not None and subset is not None:
            indices = self.store.subset(split, subset)
        self.indices: Indices = np.arange(len(self.store)) if indices is None else np.asarray(indices, dtype=np.int64)
        self.transform = transform
        self.class_mapping = None if class_mapping is None else np.asarray(class_mapping, dtype=np.int64)

    def __repr__(self) -> str:
        return f"ClipDataset({len(self):,} of {len(self.store):,} clips of {self.store.info.name!r}, layout {self.layout.name})"

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> ClipSample:
        """Read a sample, not padded.

        Raises:
            IndexError: There is no such sample.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return self.__getitems__([index % len(self)])[0]

    def __getitems__(self, index: Sequence[int]) -> list[ClipSample]:
        """Read samples by a single indexed read, padded to the most people and frames among them."""
        number = torch.as_tensor(index, dtype=torch.int64)
        batch, rows = self.batch(number), self._rows(number)
        joints = batch.joints if self.transform is None else self.transform(batch)
        labels = self._labels(rows).tolist()
        return [
            ClipSample(
                joints=joints[i],
                frames=int(batch.frames[i]),
                num_persons=int(batch.num_persons[i]),
                label=labels[i],
                name=str(self.store.clips["name"][row]),
                index=int(number[i]),
            )
            for i, row in enumerate(rows)
        ]

    @property
    def layout(self) -> Layout:
        """The layout of the joints."""
        return self.store.layout

    @property
    def labels(self) -> Tensor:
        """(clips,) int64 class indices; -1 if unknown or excluded."""
        return torch.from_numpy(self._labels(self.indices))

    @property
    def names(self) -> list[str]:
        """The clips' names."""
        return [str(name) for name in self.store.clips["name"][self.indices]]

    @staticmethod
    def collate(samples: Sequence[ClipSample]) -> ClipSamples:
        """Stack samples to a batch; joints are padded with zeros to the most people and frames."""
        joints = [sample["joints"] for sample in samples]
        sizes = [max(array.shape[axis] for array in joints) for axis in (0, 1)]
        padded = joints[0].new_zeros(len(joints), *sizes, *joints[0].shape[2:])
        for i, array in enumerate(joints):
            padded[i, : array.shape[0], : array.shape[1]] = array
        return ClipSamples(
            joints=padded,
            frames=torch.tensor([sample["frames"] for sample in samples]),
            num_persons=torch.tensor([sample["num_persons"] for sample in samples]),
            label=torch.tensor([sample["label"] for sample in samples]),
            name=[sample["name"] for sample in samples],
            index=torch.tensor([sample["index"] for sample in samples]),
        )

    def clip_batch(self, samples: ClipSamples, device: torch.device = CPU) -> ClipBatch:
        """Return collated samples of a dataset without a transform as a `ClipBatch` on a device, for a pipeline."""
        frames, num_persons = samples["frames"], samples["num_persons"]
        return self._to_batch(samples["joints"], frames, num_persons, device)

    def batch(self, index: Tensor, device: torch.device = CPU) -> ClipBatch:
        """Read stored clips as a batch on a device.

        Args:
            index: (N,) int64 sample indices, on the CPU. Sample i is clip `indices[i % len(indices)]`, so repeated samples count on.
            device: The device.
        """
        joints, frames, num_persons = map(torch.from_numpy, self.store.read_batch(self._rows(index)))
        return self._to_batch(joints, frames, num_persons, device)

    def inputs(self, index: Tensor, randomness: Any | None = None, device: torch.device = CPU) -> Tensor:
        """Return the network's input for some samples.

        Args:
            index: As in `batch`.
            randomness: The transform's source of random numbers in training; None for evaluation.
            device: The device.

        Returns:
            (N, M, T, V, C) on the device.

        Raises:
            SettingError: The dataset has no transform.
        """
        if self.transform is None:
            raise SettingError("a dataset without transform= has no network input. Use `batch` for the stored clips.")
        batch = self.batch(index, device)
        return self.transform(batch) if randomness is None else self.transform(batch, randomness=randomness)

    def eval_inputs(self, batch_size: int, device: torch.device = CPU) -> Iterator[Tensor]:
        """Yield the evaluation input of every clip once, in order, in batches."""
        for index in torch.arange(len(self)).split(batch_size):
            yield self.inputs(index, None, device)

    def _rows(self, index: Tensor) -> Indices:
        rows: Indices = self.indices[index.numpy() % len(self.indices)]
        return rows

    def _labels(self, rows: Indices) -> Indices:
        labels: Indices = self.store.clips["label"][rows].astype(np.int64)
        if self.class_mapping is not None:
            labels = np.where(labels < 0, -1, self.class_mapping[labels])
        return labels

    def _to_batch(self, joints: Tensor, frames: Tensor, num_persons: Tensor, device: torch.device) -> ClipBatch:
        return ClipBatch(
            to_device(joints, device),
            to_device(frames, device),
            to_device(num_persons, device),
            self.layout,
            self.store.info.has_scores,
        )
