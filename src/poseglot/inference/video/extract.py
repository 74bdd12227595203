"""A video's people: estimated frame by frame, tracked, and put together as `Poses`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from poseglot.data.readers.poses import Poses
from poseglot.data.tracking import Track, track_people
from poseglot.errors import PoseglotError
from poseglot.inference.video.estimator import PoseEstimator, stacked, taken_apart
from poseglot.inference.video.frames import Frame, VideoFile, resample_fps
from poseglot.skeletons.clip import MIN_SCORE, Joints
from poseglot.skeletons.layout import Layout

# For how long somebody may be unseen and is still the same, and how long somebody must be there to count, in seconds.
GAP, LEAST = 0.5, 0.3


def poses_of_video(path: Path, estimator: PoseEstimator, *, fps: float | None = None, progress: bool = False) -> Poses:
    """Who is in a video, and how they move.

    Args:
        path: the video.
        estimator: sees the frames.
        fps: how many frames in a second are looked at; by default as many as there are. Where they come unsteadily they are made
            steady.
        progress: show a bar.

    Raises:
        PoseglotError: not a video that can be read, or nobody is in it.
    """
    video = VideoFile(path)
    rate = min(fps, video.fps) if fps else video.fps
    if not rate > 0:
        raise PoseglotError(f"frames in a second must be above 0, not {fps}.")
    estimator.restart()
    total = round(video.announced * rate / video.fps) or None
    frames = tqdm(resample_fps(video, rate), total=total, desc=path.name, unit="frame", disable=None if progress else True)
    found, size = look(frames, estimator)
    poses = put_together(found, layout=estimator.layout, fps=rate, size=size)
    if poses is None:
        raise PoseglotError(f"{path}: {estimator.name} sees nobody in its {len(found)} frames for {LEAST} s or longer.")
    return poses


def look(frames: Iterable[Frame], estimator: PoseEstimator) -> tuple[list[Joints], tuple[int, int]]:
    """Of each frame the people in it, as `stacked` has them; and width and height of the picture."""
    found: list[Joints] = []
    last, size = None, (0, 0)
    for frame in frames:
        if frame.image is last:  # made steady: the same picture once more
            found.append(found[-1])
            continue
        last, size = frame.image, (frame.image.shape[1], frame.image.shape[0])
        found.append(stacked(estimator(frame.image), estimator.layout, estimator.has_world))
    return found, size


def put_together(
    found: Sequence[Joints], *, layout: Layout, fps: float, size: tuple[int, int], least: float = LEAST
) -> Poses | None:
    """The people of all frames as `Poses`; None if nobody is there for long enough.

    Args:
        found: of each frame, people as `stacked` has them.
        least: how long somebody must be there, in seconds.
    """
    gap = round(GAP * fps)
    tracks = track_people(found, gap=gap, least=max(1, round(least * fps)), has_scores=True, num_dims=2)
    if not tracks:
        return None
    rows = _rows(tracks, gap)
    channels = tracks[0].joints.shape[-1]
    people = np.zeros((max(rows) + 1, len(found), len(layout), channels), dtype=np.float32)
    for row, track in zip(rows, tracks, strict=True):
        people[row, track.start : track.end] = track.joints
        pixels, world, confidence = taken_apart(track.joints)
        if world is not None:
            people[row, track.start : track.end, :, 2:5] = placed(world, pixels, confidence, size)
    pixels, world, confidence = taken_apart(people)
    return Poses(layout, pixels, confidence, fps, size, world)


def _rows(tracks: Sequence[Track], gap: int) -> list[int]:
    """Which place along M each track gets: one that is free, and has been for so long that nobody takes the two for one person."""
    ends: list[int] = []
    rows = []
    for track in tracks:
        row = next((place for place, end in enumerate(ends) if end + gap < track.start), len(ends))
        ends[row : row + 1] = [track.end]
        rows.append(row)
    return rows


def placed(world: Joints, pixels: Joints, confidence: Joints, size: tuple[int, int]) -> Joints:
    """World joints about the hips, moved to where the picture shows the person: the way sideways and up that such joints lack.

    It is taken for granted that somebody stays as far from the camera as on the whole (the median over the frames), and that the camera
    stands still: pixels are then metres times one scale. What somebody does towards the camera and away from it stays lost.

    Args:
        world: (T, V, 3) of one person, x to the left of the picture, y up.
        pixels: (T, V, 2).
        confidence: (T, V).
        size: of the picture; its middle becomes x = y = 0.
    """
    flat = -world[..., :2].astype(np.float64)  # to the right and down, as pixels
    weight = (confidence >= MIN_SCORE).astype(np.float64)[..., None] + 1e-6
    middle, centre = ((weight * at).sum(axis=1) / weight.sum(axis=1) for at in (flat, pixels))
    ours, theirs = flat - middle[:, None], pixels - centre[:, None]
    # In each frame the scale for which metres fit the pixels best (least squares).
    scale = (weight * ours * theirs).sum(axis=(1, 2)) / np.maximum((weight * ours**2).sum(axis=(1, 2)), 1e-12)
    good = scale > 0
    if not good.any():
        return world
    away = (centre - np.array(size) / 2) / np.median(scale[good]) - middle
    return np.concatenate([world[..., :2] - away[:, None], world[..., 2:]], axis=-1).astype(np.float32)
