"""Augmentations that mix the clips of a batch: mixup and part-swap.

Both work on the network's input, on its device, and draw their random numbers from (seed, epoch, sample or batch): a resumed run, and
one spread over processes, mixes the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from poseglot.devices import to_device
from poseglot.random import Purpose, uniform


def mixup_weight(alpha: float, *, seed: int, epoch: int, batch: int) -> float:
    """Draw the weight of mixup, from Beta(alpha, alpha): one for the whole batch.

    Args:
        batch: The batch's key, the index of its first sample.
    """
    return float(np.random.default_rng([seed, epoch, batch, int(Purpose.MIXUP)]).beta(alpha, alpha))


def mixup(x: Tensor, weight: float) -> Tensor:
    """Mix every clip with its partner, the clip at the mirrored position of the batch (Zhang et al., mixup, ICLR 2018).

    Args:
        x: (B, ...), the whole batch.
        weight: The clip's own share; the partner has the rest.
    """
    return x * weight + x.flip(0) * (1 - weight)


def part_swap(
    x: Tensor, labels: Tensor, parts: Sequence[Sequence[int]], *, probability: float, seed: int, epoch: int, index: Tensor
) -> Tensor:
    """Give some clips a body part of another clip of their class, in all frames.

    Mixed skeletons are those of SkeleMixCLR (Chen et al., arXiv 2207.03065). Here both clips are of one class, so that label and texts
    stay right. A clip that is alone in its class stays as it is, and so does a person that one of the two clips lacks.

    Args:
        x: (B, M, T, V, C), the whole batch.
        labels: (B,), on the CPU.
        parts: The joints of each part that may be swapped.
        probability: The share of clips that are changed.
        index: (B,) sample indices, on the CPU.
    """
    change, which, who = uniform(seed, epoch, index, Purpose.PART_SWAP, 3).unbind(1)
    others = (labels[:, None] == labels[None, :]) & ~torch.eye(len(labels), dtype=torch.bool)
    count = others.sum(dim=1)
    pick = (who * count).to(torch.int64)
    partner = (others & (others.cumsum(dim=1) == pick[:, None] + 1)).to(torch.int8).argmax(dim=1)
    members = torch.zeros(len(parts), x.shape[3], dtype=torch.bool)
    for row, joints in enumerate(parts):
        members[row, list(joints)] = True
    swapped = members[(which * len(parts)).to(torch.int64)] & ((change < probability) & (count > 0))[:, None]
    other = x.index_select(0, to_device(partner, x.device))
    there = (x != 0).flatten(2).any(dim=2) & (other != 0).flatten(2).any(dim=2)
    return torch.where(to_device(swapped, x.device)[:, None, None, :, None] & there[:, :, None, None, None], other, x)
