"""Training batches: the order of an epoch, and each step's inputs, labels and texts.

All of it follows from (seed, epoch, sample), so a run that was stopped and resumed, and one spread over processes, sees the same. Labels
and texts are looked up on the CPU, so that nothing waits for a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from poseglot.data.dataset import ClipDataset
from poseglot.data.join import set_names
from poseglot.descriptions import PromptTable
from poseglot.devices import to_device
from poseglot.errors import SettingError
from poseglot.training.distributed import own_share, world_size
from poseglot.training.mixing import mixup, mixup_weight, part_swap
from poseglot.transforms import Randomness

# The parts that part-swap takes from another clip.
SWAPPED = "four"


@dataclass(frozen=True, eq=False)
class Batch:
    """One step's data.

    Attributes:
        inputs: (n, M, T, V, C), this process's share, on the device.
        labels: (B,), of the whole batch, on the device.
        texts: (K, B), the text of each level and clip of the whole batch; None without text.
        mix: The share that a clip has in itself (see `mixup`); 1 is unmixed.
    """

    inputs: Tensor
    labels: Tensor
    texts: npt.NDArray[np.int64] | None
    mix: float = 1.0


class TrainingBatches:
    """The batches of every epoch.

    Args:
        train: The training clips.
        prompts: The texts of each class; None without text.
        seed: The seed of everything random.
        batch_size: The number of samples of a step, over all processes together.
        drop_last: Leave out an incomplete last batch.
        repeat: The number of times that an epoch goes through the clips.
        copies: (clips,) how often each clip is in one of these times, at least once; by default once.
        repeated_augmentation: Every epoch sees the same augmented clips.
        mixup: The alpha of mixup; 0 is off.
        part_swap: The share of clips that get a part of another one; 0 is off.
    """

    def __init__(
        self,
        train: ClipDataset,
        prompts: PromptTable | None,
        *,
        seed: int,
        batch_size: int,
        drop_last: bool = True,
        repeat: int = 1,
        copies: Tensor | None = None,
        repeated_augmentation: bool = False,
        mixup: float = 0.0,
        part_swap: float = 0.0,
    ) -> None:
        self.train, self.prompts, self.labels = train, prompts, train.labels
        self.seed, self.batch_size, self.drop_last = seed, batch_size, drop_last
        # Sample i is clip i % len(train), so each copy is augmented by itself.
        copies = torch.ones(len(train), dtype=torch.int64) if copies is None else copies
        copy = torch.arange(int(copies.max()) * repeat)
        self._samples = torch.arange(len(copy) * len(train))[(copy[:, None] < copies * repeat).flatten()]
        self.samples = len(self._samples)
        self.repeated_augmentation = repeated_augmentation
        self.mixup, self.part_swap = mixup, part_swap
        self.parts = list(train.layout.partition(SWAPPED).values()) if part_swap else []

    @property
    def samples_per_epoch(self) -> int:
        """The number of samples of an epoch's batches."""
        rest = self.samples % self.batch_size
        return self.samples - (0 if self._takes(rest) else rest)

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches of an epoch."""
        return -(-self.samples_per_epoch // self.batch_size)

    def _takes(self, count: int) -> bool:
        # A remainder smaller than the number of processes cannot be shared.
        return count == self.batch_size or (not self.drop_last and count >= world_size())

    def order(self, epoch: int) -> Iterator[Tensor]:
        """Yield the sample indices of each step, in an order that follows from (seed, epoch)."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        for index in self._samples[torch.randperm(self.samples, generator=generator)].split(self.batch_size):
            if self._takes(len(index)):
                yield index

    def load(self, index: Tensor, epoch: int, device: torch.device) -> Batch:
        """Make the batch of some samples.

        Args:
            index: (B,) sample indices of all processes together, on the CPU.
        """
        labels = self.labels[index % len(self.labels)]
        texts = None
        if self.prompts is not None:
            texts = self.prompts.draw(labels, seed=self.seed, epoch=epoch, index=index).numpy()
        if not self.mixup and not self.part_swap:
            return Batch(self._inputs(index, own_share(len(index)), epoch, device), to_device(labels, device), texts)
        # Partners may belong to other processes, so each process makes the whole batch.
        x, mix = self._inputs(index, slice(None), epoch, device), 1.0
        if self.part_swap:
            x = part_swap(x, labels, self.parts, probability=self.part_swap, seed=self.seed, epoch=epoch, index=index)
        if self.mixup:
            mix = mixup_weight(self.mixup, seed=self.seed, epoch=epoch, batch=int(index[0]))
            x = mixup(x, mix)
        return Batch(x[own_share(len(index))], to_device(labels, device), texts, mix)

    def _inputs(self, index: Tensor, share: slice, epoch: int, device: torch.device) -> Tensor:
        drawn = 0 if self.repeated_augmentation else epoch
        own = index[share]
        randomness = Randomness(self.seed, drawn, to_device(own, device), batch=int(index[0]))
        return self.train.inputs(own, randomness, device)


def balanced_copies(train: ClipDataset) -> Tensor:
    """Return how often to repeat each clip of a joined store (clips,), so that a set of n clips counts about sqrt(n).

    Raises:
        SettingError: The store was not joined.
    """
    if not set_names(train.store):
        raise SettingError(
            f"data.balance_sets is for stores that `poseglot join` made, and {train.store.info.name} is one set. Leave it out."
        )
    sets = train.store.clips["setup"][train.indices]
    counts = np.bincount(sets)
    return torch.from_numpy(np.sqrt(counts.max() / counts[sets]).round().astype(np.int64))
