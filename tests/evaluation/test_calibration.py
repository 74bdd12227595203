"""Calibration against what can be computed otherwise: a grid, torch's cross-entropy, bins by hand, labels drawn at a known temperature."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch

from poseglot.errors import InputError
from poseglot.evaluation.calibration import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    confidences,
    coverage,
    fit_by_group,
    fit_temperature,
    negative_log_likelihood,
    reliability,
)
from poseglot.evaluation.metrics import top_k

pytestmark = pytest.mark.base

Array = npt.NDArray[np.float64]


def drawn(temperature: float, *, clips: int = 4000, classes: int = 6) -> tuple[Array, npt.NDArray[np.int64]]:
    """Logits, and labels drawn from their softmax at a temperature: what is calibrated there and nowhere else."""
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=2, size=(clips, classes))
    powers = np.exp(logits / temperature)
    shares = (powers / powers.sum(axis=1, keepdims=True)).cumsum(axis=1)
    return logits, (rng.random((clips, 1)) > shares).sum(axis=1).clip(max=classes - 1)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_the_temperature_of_labels_is_found_and_calibrates(temperature: float) -> None:
    logits, labels = drawn(temperature)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(temperature, rel=0.06)
    assert reliability(logits, labels, found).ece < 0.025
    if temperature != 1:
        assert reliability(logits, labels).ece > 0.08


def test_no_temperature_of_a_grid_is_likelier() -> None:
    logits, labels = drawn(1.7, clips=300)
    best = negative_log_likelihood(logits, labels, fit_temperature(logits, labels))
    grid = [negative_log_likelihood(logits, labels, temperature) for temperature in np.geomspace(0.1, 10, 400)]
    assert best <= min(grid)
    assert best == pytest.approx(min(grid), abs=1e-4)


def test_scaled_logits_scale_the_temperature() -> None:
    logits, labels = drawn(1.3, clips=200)
    assert fit_temperature(3 * logits + 5, labels) == pytest.approx(3 * fit_temperature(logits, labels), rel=1e-9)


def test_the_ends_of_the_range() -> None:
    logits = np.array([[5.0, 0.0], [0.0, 5.0]])
    assert fit_temperature(logits, np.array([0, 1])) == MIN_TEMPERATURE
    assert fit_temperature(logits, np.array([1, 0])) == MAX_TEMPERATURE


def test_the_likelihood_is_torchs_cross_entropy() -> None:
    logits, labels = drawn(1.0, clips=50)
    wanted = torch.nn.functional.cross_entropy(torch.from_numpy(logits / 1.9), torch.from_numpy(labels))
    assert negative_log_likelihood(logits, labels, 1.9) == pytest.approx(float(wanted), abs=1e-12)
    assert math.isfinite(negative_log_likelihood(1e4 * logits, labels))


def two_classes(*probabilities: float) -> Array:
    """Logits of which class 0 has these probabilities."""
    return np.array([[math.log(p), math.log1p(-p)] for p in probabilities])


def test_the_error_by_hand() -> None:
    """Five bins: .55 and .59 in the third, right once of two; .9 and .96 in the fifth, both right."""
    logits, labels = two_classes(0.55, 0.59, 0.9, 0.96), np.array([0, 1, 0, 0])
    found = reliability(logits, labels, bins=5)
    assert found.ece == pytest.approx(0.5 * abs(0.5 - 0.57) + 0.5 * abs(1 - 0.93))
    assert [(each.accuracy.correct, each.accuracy.total) for each in found.bins] == [(0, 0), (0, 0), (1, 2), (0, 0), (2, 2)]
    assert found.bins[4].confidence == pytest.approx(0.93)
    assert math.isnan(found.bins[0].confidence)
    assert found.nll == pytest.approx(-np.log([0.55, 0.41, 0.9, 0.96]).mean())


def test_a_temperature_changes_no_answer() -> None:
    logits, labels = drawn(2.0, clips=100)
    for temperature in (0.3, 4.0):
        counted = sum(each.accuracy.correct for each in reliability(logits, labels, temperature).bins)
        assert counted == top_k(logits, labels, 1).correct


def test_certainty_is_in_the_last_bin() -> None:
    (*_, last) = reliability(np.array([[1e3, 0.0]]), np.array([0])).bins
    assert (last.confidence, last.accuracy.total) == (1.0, 1)


def test_what_is_answered_above_a_threshold() -> None:
    confidence, right = confidences(two_classes(0.6, 0.2, 0.9)), np.array([False, True, True])
    assert confidence == pytest.approx([0.6, 0.8, 0.9])
    some, correct = coverage(confidence, right, 0.7)
    assert (some.correct, some.total, correct.correct, correct.total) == (2, 3, 2, 2)
    none, nothing = coverage(confidence, right, 0.95)
    assert (none.correct, nothing.total) == (0, 0)
    everything, _ = coverage(confidence, right, 0)
    assert everything.correct == 3


def test_perfect_probabilities_have_the_error_of_perfect_ones() -> None:
    logits, labels = drawn(1.0, clips=700)
    found = reliability(logits, labels)
    assert 0.02 < found.perfect_ece < 0.06
    assert found.ece == pytest.approx(found.perfect_ece, abs=0.02)
    wrong = reliability(logits, labels, 0.4)
    assert wrong.ece > wrong.perfect_ece + 0.05


def test_the_brier_score_by_hand() -> None:
    found = reliability(two_classes(0.8, 0.3), np.array([0, 0]))
    assert found.brier == pytest.approx((2 * 0.2**2 + 2 * 0.7**2) / 2)


def by_bootstrap(logits: Array, labels: npt.NDArray[np.int64], groups: npt.NDArray[np.int64], draws: int) -> Array:
    """The obvious way: fit every sample of groups anew."""
    names = np.unique(groups)
    rng = np.random.default_rng(1)
    fits = []
    for _ in range(draws):
        rows = np.concatenate([np.flatnonzero(groups == name) for name in rng.choice(names, len(names))])
        fits.append(fit_temperature(logits[rows], labels[rows]))
    return np.percentile(fits, [2.5, 97.5])


def test_the_interval_over_people_is_that_of_fitting_every_sample() -> None:
    logits, labels = drawn(1.4, clips=400)
    people = np.repeat(np.arange(8), 50)
    found = fit_by_group(logits, labels, people)
    assert found.temperature == fit_temperature(logits, labels)
    np.testing.assert_allclose(found.interval, by_bootstrap(logits, labels, people, 400), atol=0.04)
    left_out = 0.0
    for person in range(8):
        own = people == person
        fitted = fit_temperature(logits[~own], labels[~own])
        left_out += negative_log_likelihood(logits[own], labels[own], fitted) / 8
    assert found.nll == pytest.approx((negative_log_likelihood(logits, labels), left_out), abs=1e-4)
    assert found.unsupported_reason == ""


def test_a_temperature_that_is_noise_is_not_supported() -> None:
    logits, labels = drawn(1.0, clips=400)
    found = fit_by_group(logits, labels, np.repeat(np.arange(8), 50))
    assert found.interval[0] < 1 < found.interval[1]
    assert "holds 1" in found.unsupported_reason
    with pytest.raises(InputError):
        fit_by_group(logits, labels, np.zeros(400))
