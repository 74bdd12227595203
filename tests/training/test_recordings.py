"""Recordings joined from clips: of one person, where the body was, with a label for every frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poseglot.data.store import PackedStore
from poseglot.errors import InputError, SettingError
from poseglot.evaluation.segments import BACKGROUND, spans
from poseglot.skeletons.clip import Clip
from poseglot.training.recordings import JoinConfig, join_clips, make_recordings

FPS = 20
PLAIN = JoinConfig(transition=(0.2, 0.2), pauses=0.0, speed=1.0)


def pose(at: float, frames: int, *, people: int = 1, joints: int = 3) -> Clip:
    """A clip that moves one unit a frame along x, from `at` on; joint 1 is the centre."""
    x = at + np.arange(frames, dtype=np.float32)
    body = np.zeros((people, frames, joints, 3), dtype=np.float32)
    body[..., 0] = x[:, None]
    body[..., 1] = np.arange(joints)
    body[..., 2] = 1
    return Clip(body, name="moves")


def test_clips_go_on_where_the_body_was() -> None:
    made = join_clips([pose(5, 6), pose(100, 8)], [3, 7], 1, fps=FPS, config=PLAIN, rng=np.random.default_rng(0))
    assert made.joints.shape == (1, 6 + 4 + 8, 3, 3)
    np.testing.assert_allclose(made.joints[0, :, 1, 0], [5, 6, 7, 8, 9, 10, 10, 10, 10, 10, *range(10, 18)])
    assert made.labels.tolist() == [3] * 8 + [7] * 10


def test_a_pause_holds_the_pose_and_has_no_label() -> None:
    config = replace(PLAIN, pauses=1.0, pause=(0.25, 0.25))
    made = join_clips([pose(0, 6), pose(0, 8)], [3, 7], 1, fps=FPS, config=config, rng=np.random.default_rng(0))
    assert made.labels.tolist() == [3] * 6 + [BACKGROUND] * (5 + 2) + [7] * (2 + 8)
    np.testing.assert_array_equal(made.joints[:, 5:11], np.repeat(made.joints[:, 5:6], 6, axis=1))


def test_what_is_missing_stays_missing() -> None:
    one, two = pose(0, 6, people=2), pose(50, 8)
    one.joints[0, :, 2] = 0
    made = join_clips([one, two], [0, 1], 1, fps=FPS, config=PLAIN, rng=np.random.default_rng(0))
    assert not made.joints[0, :10, 2].any() and made.joints[0, 10:, 2].any()
    assert made.joints[1, :6].any() and not made.joints[1, 6:].any(), "the second clip has nobody else"


def test_speed_changes_the_length() -> None:
    lengths = {
        len(join_clips([pose(0, 40)], [0], 1, fps=FPS, config=JoinConfig(speed=1.3), rng=np.random.default_rng(seed)).labels)
        for seed in range(40)
    }
    assert min(lengths) >= 30 and max(lengths) <= 52 and len(lengths) > 10


def test_a_recording_is_of_one_person(small_store: PackedStore) -> None:
    indices, labels = np.arange(len(small_store)), small_store.clips["label"].astype(np.int64)
    config = replace(PLAIN, clips=5)
    made = list(make_recordings(small_store, indices, labels, count=6, fps=FPS, config=config, seed=1))
    again = list(make_recordings(small_store, indices, labels, count=3, fps=FPS, config=config, seed=1))
    for one, other in zip(made, again, strict=False):
        np.testing.assert_array_equal(one.joints, other.joints)
        np.testing.assert_array_equal(one.labels, other.labels)
    assert len({recording.joints.shape for recording in made}) > 1
    for recording in made:
        found = [span.label for span in spans(recording.labels)]
        owners = [
            {subject for subject, label in small_store.clips[["subject", "label"]].tolist() if label == wanted}
            for wanted in found
        ]
        assert len(found) <= 5 and set.intersection(*owners), "somebody has clips of all these actions"


def test_too_little_is_refused(small_store: PackedStore) -> None:
    with pytest.raises(InputError, match="1 clips"):
        next(make_recordings(small_store, np.array([3]), np.array([0]), count=1, fps=FPS, config=PLAIN, seed=0))
    for wrong in ({"clips": 0}, {"speed": 0.5}, {"pauses": 2.0}, {"transition": (4, 2)}, {"pause": (-1, 2)}):
        with pytest.raises(SettingError):
            replace(PLAIN, **wrong)  # type: ignore[arg-type]
