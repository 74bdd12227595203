"""A side of a split as batches of views: the store, the protocol and the stream put together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from poseglot.data.store import PackedStore
from poseglot.devices import to_device
from poseglot.skeletons.layout import Layout
from poseglot.skeletons.transforms import Augmentation, Protocol, make_input


@dataclass(frozen=True, eq=False)
class ClipDataset:
    """Samples to draw views of.

    Attributes:
        store: where the clips are.
        indices: rows of the store's table; sample i is clip `indices[i % len(indices)]`.
        protocol, stream, layout: of the views.
        numbers: of each class of the store, its number among those that are learned, where these are some of them; -1 of the others.
    """

    store: PackedStore
    indices: npt.NDArray[np.int64]
    pipeline: Protocol
    modality: str
    layout: Layout
    numbers: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def labels(self) -> Tensor:
        """(clips,) class indices."""
        labels = self.store.clips["label"][self.indices].astype(np.int64)
        return torch.from_numpy(labels if self.numbers is None else self.numbers[labels])

    @property
    def names(self) -> list[str]:
        return [str(name) for name in self.store.clips["name"][self.indices]]

    def view(self, index: Tensor, augmentation: Augmentation | None, device: torch.device) -> Tensor:
        """(N,) sample numbers, on the CPU -> their views (N, M, T, V, C) on the device."""
        batch = self.store.batch(self.indices[index.numpy() % len(self.indices)])
        return make_input(
            to_device(batch.joints, device),
            to_device(batch.frames, device),
            to_device(batch.people, device),
            pipeline=self.pipeline,
            modality=self.modality,
            layout=self.layout,
            index=to_device(index, device),
            augmentation=augmentation,
            has_scores=self.store.info.has_scores,
        )

    def eval_inputs(self, batch_size: int, device: torch.device) -> Iterator[Tensor]:
        """Every clip once, in order, in its evaluation view."""
        for index in torch.arange(len(self)).split(batch_size):
            yield self.view(index, None, device)
