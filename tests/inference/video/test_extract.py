"""From a video to poses: who is who, nobody, ghosts, rows, and where somebody goes in the world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poseglot.data.store import PackedStore
from poseglot.data.tracking import presence_tracks
from poseglot.errors import InputError, SettingError
from poseglot.inference.video.extract import place_world, poses_of_video, track_poses
from poseglot.inference.video.person import split_channels, stack_people
from poseglot.skeletons.layout import load_layout
from tests.inference.video.actors import FPS, SIDE, Squares, film, picture, shape, stander, walker

pytest.importorskip("cv2")
SIZE = (160, 120)


def test_two_people_are_tracked_through_a_video_whatever_their_order(tmp_path: Path) -> None:
    estimator = Squares()
    poses = poses_of_video(film(tmp_path / "two.mp4", [walker, stander], 30), estimator)
    assert (poses.fps, poses.size, poses.layout.name) == (FPS, SIZE, "coco17")
    assert poses.pixels.shape == (2, 30, 17, 2) and poses.world is None and estimator.restarts == 1
    for row, actor in zip(
        poses.pixels, sorted([walker, stander], key=lambda a: abs(a(0)[0] - poses.pixels[0, 0, 0, 0])), strict=True
    ):
        corners = np.array([actor(frame) for frame in range(30)])
        np.testing.assert_allclose(row, corners[:, None] + shape("coco17") * SIDE, atol=2)
    np.testing.assert_allclose(poses.confidence, np.broadcast_to(np.linspace(0.5, 1, 17), (2, 30, 17)), atol=1e-6)


def test_fewer_frames_are_looked_at_if_so_asked(tmp_path: Path) -> None:
    estimator, path = Squares(), film(tmp_path / "one.mp4", [walker], 25)
    poses = poses_of_video(path, estimator, fps=FPS / 2)
    assert poses.fps == FPS / 2 and poses.pixels.shape[1] == estimator.seen == 13
    whole = poses_of_video(path, Squares())
    np.testing.assert_array_equal(poses.pixels, whole.pixels[:, ::2])
    assert poses_of_video(path, Squares(), fps=1000).fps == FPS  # no more than there are
    with pytest.raises(SettingError):
        poses_of_video(path, Squares(), fps=-1)


def test_nobody_and_ghosts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"empty\.mp4"):
        poses_of_video(film(tmp_path / "empty.mp4", [], 9), Squares())
    ghost = film(tmp_path / "ghost.mp4", [lambda frame: (9, 9) if frame == 4 else None], 9)
    with pytest.raises(InputError):
        poses_of_video(ghost, Squares())


def test_short_gaps_are_filled_and_long_ones_end_a_person() -> None:
    """Away for 4 frames of 10 a second, then for 20; a place that is free again is given to the next, and can be told apart."""
    layout, estimator = load_layout("coco17"), Squares()
    away = {*range(10, 14), *range(30, 50)}
    found = [
        stack_people(estimator(picture([lambda f: None if f in away else (40, 40), stander], frame)), layout, False)
        for frame in range(70)
    ]
    poses = track_poses(found, layout=layout, fps=10, size=SIZE)
    assert poses is not None and poses.pixels.shape[:2] == (2, 70)
    tracks = presence_tracks(poses.pixels)
    assert sorted((track.start, track.end) for track in tracks) == [(0, 30), (0, 70), (50, 70)]
    for track in tracks:
        np.testing.assert_array_equal(track.joints[0], track.joints[-1])  # nobody moves, also where it was filled


def test_stacked_and_taken_apart() -> None:
    image = picture([walker, stander], 2)
    for has_world in (False, True):
        estimator = Squares("mediapipe33", has_world=has_world)
        people = estimator(image)
        pixels, world, confidence = split_channels(stack_people(people, estimator.layout, has_world))
        for number, person in enumerate(people):
            np.testing.assert_array_equal(pixels[number], person.pixels)
            np.testing.assert_array_equal(confidence[number], person.confidence)
            assert (world is None) == (person.world is None) == (not has_world)
        assert world is None or np.array_equal(world[1], people[1].world)  # type: ignore[arg-type]
        assert stack_people([], estimator.layout, has_world).shape == (0, 33, 6 if has_world else 3)
    left, top, right, bottom = people[0].box
    assert (left, bottom) == (people[0].pixels[:, 0].min(), people[0].pixels[:, 1].max()) and left < right and top < bottom


def test_where_somebody_goes_is_put_back(small_store: PackedStore) -> None:
    """A person seen without perspective, some pixels a metre: all is known again but the depth of the hips, and where zero is."""
    joints = small_store[5].joints[0].astype(np.float64)
    joints[..., 0] += np.linspace(0, 2, len(joints))[:, None]  # walks aside
    joints[..., 1] += 0.3 * np.sin(np.arange(len(joints)))[:, None]  # and jumps
    hips = joints[:, 12:13]  # any joint would do
    size = (640, 480)
    pixels = -joints[..., :2] * 130 + np.array(size) / 2
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, size=joints.shape[:2])
    pixels[:, 3] += 40  # a joint that is not seen does not count
    confidence[:, 3] = 0.1
    found = place_world(
        (joints - hips).astype(np.float32), pixels.astype(np.float32), confidence.astype(np.float32), size
    )  # fmt: skip
    np.testing.assert_allclose(found[..., :2], joints[..., :2], atol=1e-3)
    np.testing.assert_allclose(found[..., 2], (joints - hips)[..., 2], atol=1e-6)


def test_poses_with_a_world_have_the_place_in_it(tmp_path: Path) -> None:
    poses = poses_of_video(film(tmp_path / "one.mp4", [walker], 30), Squares("mediapipe33", has_world=True))
    assert poses.world is not None and poses.world.shape == (1, 30, 33, 3)
    # 24 pixels are 1.8 m; x to the left of the picture, y up, zero in its middle
    metres = -(poses.pixels - np.array(SIZE) / 2) / SIDE * 1.8
    np.testing.assert_allclose(poses.world[..., :2], metres, atol=1e-3)
