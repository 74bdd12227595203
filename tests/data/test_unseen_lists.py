"""The lists of unseen classes: the field's numbers, and ours for NW-UCLA, in which every class has its turn."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from poseglot.data.benchmarks import load_benchmark


@pytest.mark.parametrize(
    ("benchmark", "name", "numbers"),
    [  # from 0, as in the code of SMIE and others that compare with SynSE
        ("ntu60", "55-5", [10, 11, 19, 26, 56]),
        ("ntu60", "48-12", [3, 5, 9, 12, 15, 40, 42, 47, 51, 56, 58, 59]),
        ("ntu120", "110-10", [4, 13, 37, 43, 49, 65, 88, 95, 99, 106]),
        (
            "ntu120",
            "96-24",
            [5, 9, 11, 16, 18, 20, 22, 29, 35, 39, 45, 49, 59, 68, 70, 81, 84, 87, 93, 94, 104, 113, 114, 119],
        ),
    ],
)
def test_the_fields_lists(benchmark: str, name: str, numbers: list[int]) -> None:
    found = load_benchmark(benchmark)
    assert [found.classes.index(label) for label in found.unseen[name]] == numbers
    seen, unseen = map(int, name.split("-"))
    assert (len(found.classes) - len(numbers), len(numbers)) == (seen, unseen)


def test_every_class_of_nw_ucla_is_unseen_three_times_and_no_two_together_twice() -> None:
    found = load_benchmark("nw-ucla")
    assert list(found.unseen) == [f"7-3/{way}" for way in range(1, 11)]
    assert Counter(label for labels in found.unseen.values() for label in labels) == dict.fromkeys(found.classes, 3)
    pairs = [frozenset(pair) for labels in found.unseen.values() for pair in combinations(labels, 2)]
    assert len(set(pairs)) == len(pairs) == 30
    order = np.random.default_rng(0).permutation(10)  # as the file says
    for way, labels in enumerate(found.unseen.values()):
        assert labels == [found.classes[order[(way + step) % 10]] for step in (0, 1, 3)]
