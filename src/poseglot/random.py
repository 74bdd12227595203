"""Random numbers that belong to a sample, not to a process.

Every number is a hash of (seed, epoch, sample index, purpose, counter). Augmentation therefore does not depend on the number of
workers, devices or processes, on the order of batches, or on whether a run was interrupted. The hash is SplitMix64's finaliser
(Steele, Lea and Flood, OOPSLA 2014), chained over the parts of the key. It runs on whole batches on any device, because integer
arithmetic is the same everywhere.
"""

from __future__ import annotations

from enum import IntEnum

import torch
from torch import Tensor


class Purpose(IntEnum):
    """The decision that a random number is for. Two purposes never share numbers.

    A transform outside this package takes a number of its own, from 1000 up.
    """

    ROTATION = 0
    SCALE = 1
    FRAMES = 2
    CROP = 3
    LENGTH = 4
    MIRROR = 5
    JOINT_DROP = 6
    AXIS_DROP = 7
    PREFIX = 8
    TEXT = 100
    MIXUP = 101
    PART_SWAP = 102


_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


def uniform(seed: int, epoch: int, index: Tensor, purpose: int, count: int) -> Tensor:
    """Return uniform random numbers in [0, 1).

    Args:
        seed: The run's seed.
        epoch: The epoch, counted from 0.
        index: (N,) int64, each sample's index in its subset. A repeated sample counts on.
        purpose: The decision that the numbers are for: a `Purpose`, or another integer.
        count: The number of values per sample. Asking for fewer gives the first ones.

    Returns:
        (N, count) float64 on the device of `index`, each a multiple of 2^-53.
    """
    key = torch.full_like(index, seed)
    for part in (epoch, index, int(purpose)):
        key = _mix(key + _GOLDEN) ^ part
    counter = torch.arange(1, count + 1, device=index.device)
    bits = _mix(_mix(key + _GOLDEN)[:, None] + counter * _GOLDEN)
    return _shift_right(bits, 11).to(torch.float64) * 2.0**-53


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift_right(x, 30)) * _MIX_1
    x = (x ^ _shift_right(x, 27)) * _MIX_2
    return x ^ _shift_right(x, 31)


def _shift_right(x: Tensor, bits: int) -> Tensor:
    """Shift logically; torch's own shift of int64 is arithmetic."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
