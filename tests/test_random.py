"""The random numbers of samples, against the same hash in Python's own integers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from poseglot.random import uniform

WORD = 2**64


def split_mix(x: int) -> int:
    """SplitMix64's finaliser, as published."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % WORD
    return x ^ (x >> 31)


def plain_uniform(seed: int, epoch: int, index: int, purpose: int, count: int) -> list[float]:
    golden = 0x9E3779B97F4A7C15
    key = seed % WORD
    for part in (epoch, index, purpose):
        key = split_mix((key + golden) % WORD) ^ (part % WORD)
    start = split_mix((key + golden) % WORD)
    return [(split_mix((start + place * golden) % WORD) >> 11) / 2**53 for place in range(1, count + 1)]


def drawn(seed: int, epoch: int, index: range | list[int], purpose: int, count: int) -> npt.NDArray[np.float64]:
    numbers = uniform(seed, epoch, torch.tensor(list(index)), purpose, count)
    assert numbers.dtype == torch.float64
    return numbers.numpy()


@pytest.mark.parametrize(
    ("seed", "epoch", "purpose", "count"),
    [(0, 0, 0, 5), (1, 0, 0, 52), (2**31 - 1, 139, 2, 52), (123456789, 7, 1, 3), (-5, 1, 0, 2)],
)
def test_equals_the_hash_in_plain_integers_bit_for_bit(seed: int, epoch: int, purpose: int, count: int) -> None:
    index = [0, 1, 2, 1019, 1020, 113_944, 2**40 + 3]
    expected = [plain_uniform(seed, epoch, place, purpose, count) for place in index]
    assert drawn(seed, epoch, index, purpose, count).tolist() == expected


def test_a_samples_numbers_do_not_depend_on_its_batch() -> None:
    whole = drawn(3, 4, range(100), 0, 6)
    order = np.random.default_rng(0).permutation(100)
    np.testing.assert_array_equal(drawn(3, 4, order.tolist(), 0, 6), whole[order])
    for place in (0, 17, 99):
        np.testing.assert_array_equal(drawn(3, 4, [place], 0, 6)[0], whole[place])
    # Asking for fewer gives the first ones.
    np.testing.assert_array_equal(drawn(3, 4, range(100), 0, 2), whole[:, :2])


def test_every_part_of_the_key_matters() -> None:
    base = drawn(3, 4, range(50), 5, 8)
    others = [drawn(4, 4, range(50), 5, 8), drawn(3, 5, range(50), 5, 8), drawn(3, 4, range(50), 6, 8)]
    # The same values in other roles, too.
    others += [drawn(4, 3, range(50), 5, 8), drawn(3, 5, range(50), 4, 8)]
    everything = np.concatenate([base.ravel(), *(other.ravel() for other in others)])
    assert len(np.unique(everything)) == len(everything) == 6 * 50 * 8


def test_numbers_are_spread_evenly_over_zero_to_one() -> None:
    numbers = drawn(0, 0, range(20_000), 0, 10)
    assert numbers.min() >= 0 and numbers.max() < 1
    assert (numbers * 2**53 == np.floor(numbers * 2**53)).all()
    # 200,000 numbers: the standard errors are 0.00065 (mean), 0.00017 (variance) and 134 (each tenth).
    assert abs(numbers.mean() - 1 / 2) < 0.004
    assert abs(numbers.var() - 1 / 12) < 0.001
    shares = np.histogram(numbers, bins=10, range=(0, 1))[0]
    assert np.abs(shares - 20_000).max() < 800
    # Each column is uniform by itself (the low bits of a poor hash would show here).
    assert np.abs(numbers.mean(axis=0) - 0.5).max() < 0.012


def test_neighbours_are_not_correlated() -> None:
    """20,000 pairs each: the standard error of a correlation is 0.007."""
    now, later = drawn(0, 0, range(20_000), 0, 2), drawn(0, 1, range(20_000), 0, 2)
    other_seed, other_purpose = drawn(1, 0, range(20_000), 0, 2), drawn(0, 0, range(20_000), 1, 2)
    pairs = {
        "index": (now[:-1, 0], now[1:, 0]),
        "counter": (now[:, 0], now[:, 1]),
        "epoch": (now[:, 0], later[:, 0]),
        "seed": (now[:, 0], other_seed[:, 0]),
        "purpose": (now[:, 0], other_purpose[:, 0]),
        "index and counter": (now[:-1, 1], now[1:, 0]),
    }
    correlations = {what: float(np.corrcoef(a, b)[0, 1]) for what, (a, b) in pairs.items()}
    assert all(abs(value) < 0.04 for value in correlations.values()), correlations
