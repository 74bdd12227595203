"""The numbers of a report page against slow plain references."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from poseglot.report.statistics import (
    Link,
    marked_differences,
    mistakes,
    plain,
    probabilities,
    similarity,
    spread,
    strongest_links,
    ticks,
    worst_confusions,
)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def test_probabilities_are_a_softmax_and_nan_where_a_score_is_no_number(random: np.random.Generator) -> None:
    logits = random.normal(size=(6, 4)) * 500
    for row, found in zip(logits, probabilities(logits), strict=True):
        powers = [math.exp(value - max(row)) for value in row]
        assert found.tolist() == pytest.approx([power / sum(powers) for power in powers])
    logits[1, 2], logits[3, 0] = np.nan, np.inf
    assert np.isnan(probabilities(logits)).all(axis=1).tolist() == [False, True, False, True, False, False]


def test_mistakes_are_the_wrong_clips_the_surest_first(random: np.random.Generator) -> None:
    logits, labels = random.normal(size=(50, 4)), random.integers(4, size=50)
    logits[7] = np.nan
    found = mistakes(logits, labels)
    wrong = [clip for clip in range(50) if int(np.argmax(logits[clip])) != labels[clip]]
    assert sorted(found) == wrong
    assert (found[-1] == 7) == (7 in wrong)
    sure = [probabilities(logits)[clip].max() for clip in found if clip != 7]
    assert sure == sorted(sure, reverse=True)


def test_worst_confusions_are_counted_pairs(random: np.random.Generator) -> None:
    labels, recognised = random.integers(5, size=200), random.integers(5, size=200)
    matrix = np.zeros((5, 5), dtype=np.int64)
    np.add.at(matrix, (labels, recognised), 1)
    pairs = Counter((t, r) for t, r in zip(labels.tolist(), recognised.tolist(), strict=True) if t != r)
    found = worst_confusions(matrix, 100)
    assert {(pair.true, pair.predicted): pair.count for pair in found} == dict(pairs)
    assert [pair.count for pair in found] == sorted(pairs.values(), reverse=True)
    assert all(pair.total == (labels == pair.true).sum() for pair in found)
    assert worst_confusions(matrix, 3) == found[:3]
    assert worst_confusions(np.diag([3, 0, 2]), 3) == []


def test_similarity_is_the_mean_cosine_and_its_margin(random: np.random.Generator) -> None:
    features, texts = random.normal(size=(30, 7)), random.normal(size=(5, 7))
    labels = random.integers(4, size=30)  # class 4 has no clips

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))

    found = similarity(features, labels, texts)
    for label in range(4):
        own = [row for row, clip in zip(features, labels, strict=True) if clip == label]
        means = [sum(cosine(row, text) for row in own) / len(own) for text in texts]
        others = {other: mean for other, mean in enumerate(means) if other != label}
        rival = max(others, key=lambda other: others[other])
        assert found.own[label] == pytest.approx(means[label])
        assert found.margin[label] == pytest.approx(means[label] - others[rival])
        assert found.rival[label] == rival
    assert math.isnan(found.own[4])
    assert math.isnan(found.margin[4])
    assert found.rival[4] == -1


def test_similarity_of_odd_features() -> None:
    alone = similarity(np.ones((2, 3)), np.array([0, 0]), np.ones((1, 3)))
    assert alone.own == (pytest.approx(1),)
    assert math.isnan(alone.margin[0])
    broken = similarity(np.array([[np.nan, 1], [0, 0]]), np.array([0, 1]), np.eye(2))
    assert math.isnan(broken.own[0])
    assert broken.own[1] == 0


def test_strongest_links_leave_out_bones_and_name_a_pair_once(random: np.random.Generator) -> None:
    topology, bones = random.normal(size=(6, 6)), [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4)]
    expected = []
    for one in range(6):
        for other in range(one + 1, 6):
            if (other, one) not in bones:
                to, source = max([(one, other), (other, one)], key=lambda way: abs(topology[way]))
                expected.append(Link(to, source, float(topology[to, source])))
    expected.sort(key=lambda link: -abs(link.strength))
    assert strongest_links(topology, bones, 100) == expected
    assert strongest_links(topology, bones, 2) == expected[:2]
    assert strongest_links(np.where(np.eye(3, dtype=bool), 1.0, np.nan), [], 5) == []


def test_spread_takes_so_many_of_each_class() -> None:
    labels = np.array([0] * 10 + [2] * 3 + [0] * 10)
    chosen = spread(labels, 5)
    assert Counter(labels[chosen].tolist()) == {0: 5, 2: 3}
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert {0, 22} <= set(chosen.tolist())
    assert spread(labels, 100).tolist() == list(range(23))
    assert len(spread(np.zeros(0, dtype=int), 5)) == 0


def test_marked_differences_keep_the_text() -> None:
    text, other = "Both hands' palms meet, then part.", "the PALMS of both meet again"
    pieces = marked_differences(text, other)
    assert "".join(piece for piece, _ in pieces) == text
    assert [piece for piece, differs in pieces if differs] == ["hands'", "then", "part"]
    assert not any(differs for _, differs in marked_differences(text, text))


@pytest.mark.parametrize("high", [0.003, 0.9, 1, 2.93, 7, 99, 100, 12345])
def test_ticks_reach_the_highest_value_in_few_round_steps(high: float) -> None:
    found = ticks(high)
    assert found[0] == 0
    assert found[-2] < high <= found[-1]
    assert 2 <= len(found) <= 6
    assert np.diff(found) == pytest.approx(found[1])


def test_numbers_that_are_none() -> None:
    assert ticks(0) == ticks(math.nan) == [0, 1]
    assert (plain(math.nan), plain(math.inf), plain(None), plain("3"), plain(0.123456)) == (None, None, None, None, 0.1235)
