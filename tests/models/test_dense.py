"""Dense features: in time where they belong, whole however they are batched, and for recordings of any length."""

from __future__ import annotations

import numpy as np
import pytest

from poseglot.errors import SettingError
from poseglot.models.dense import Features, Windows, dense_features

pytestmark = pytest.mark.base
POINTS = 13


def clock(windows: Windows) -> Features:
    """Features (W, T', 1) that say when they are, in frames."""
    start, end = windows[:, :1], windows[:, 1:]
    return (start + (np.arange(POINTS) + 0.5) / POINTS * (end - start))[..., None].astype(np.float32)


@pytest.mark.parametrize(("frames", "step"), [(200, 4.0), (203, 3.7), (31, 0.8)])
def test_a_step_has_the_features_of_its_time(frames: int, step: float) -> None:
    found = dense_features(clock, frames, lengths=[26, 60], step=step)
    times = (np.arange(int(np.ceil(frames / step))) + 0.5) * step
    assert found.shape == (len(times), 2)
    inside = (times > 3) & (times < frames - 3)  # beyond the first and last point of a window there is nothing to interpolate
    np.testing.assert_allclose(found[inside], np.repeat(times[inside, None], 2, axis=1), atol=0.2)
    assert np.isfinite(found).all() and (found >= 0).all() and (found <= frames).all()


def test_batches_do_not_matter() -> None:
    table = np.random.default_rng(0).normal(size=(500, POINTS, 4)).astype(np.float32)

    def encode(windows: Windows) -> Features:
        return table[windows[:, 0]]

    whole = dense_features(encode, 400, lengths=[24, 50], step=5)
    np.testing.assert_array_equal(whole, dense_features(encode, 400, lengths=[24, 50], step=5, batch_size=3))
    parts = [dense_features(encode, 400, lengths=[length], step=5) for length in (24, 50)]
    np.testing.assert_array_equal(whole, np.concatenate(parts, axis=1))


@pytest.mark.parametrize("frames", [1, 2, 9])
def test_a_recording_shorter_than_a_window_is_one(frames: int) -> None:
    seen: list[list[int]] = []

    def encode(windows: Windows) -> Features:
        seen.extend(windows.tolist())
        return clock(windows)

    found = dense_features(encode, frames, lengths=[30], step=4)
    assert seen == [[0, frames]] and found.shape == (-(-frames // 4), 1) and np.isfinite(found).all()


def test_settings_that_make_no_sense_are_refused() -> None:
    for frames, length, step in ((0, 3, 1.0), (5, 0, 1.0), (5, 3, 0.0), (5, 3, float("nan"))):
        with pytest.raises(SettingError):
            dense_features(clock, frames, lengths=[length], step=step)
