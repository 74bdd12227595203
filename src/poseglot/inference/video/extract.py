"""Extract the people of a video: estimate poses frame by frame, track them, and return them as `Poses`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from tqdm import tqdm

from poseglot.data.readers.poses import Poses
from poseglot.data.tracking import Track, track_people
from poseglot.errors import InputError, SettingError
from poseglot.inference.video.frames import Frame, VideoFile, resample_fps
from poseglot.inference.video.person import PoseEstimator, split_channels, stack_people
from poseglot.skeletons.clip import MIN_SCORE, Joints
from poseglot.skeletons.layout import Layout

# The longest gap in a track, and the shortest track, in seconds.
MAX_GAP, MIN_DURATION = 0.5, 0.3


def poses_of_video(
    path: str | PathLike[str], estimator: PoseEstimator, *, fps: float | None = None, progress: bool = False
) -> Poses:
    """Return the tracked people of a video.

    Args:
        path: The video.
        estimator: The pose estimator.
        fps: The frames per second to estimate; by default the video's. Frames at irregular times are resampled.
        progress: Whether to show a progress bar.

    Raises:
        FileError: The video cannot be read.
        InputError: Nobody is seen in it.
    """
    path = Path(path)
    video = VideoFile(path)
    rate = min(fps, video.fps) if fps else video.fps
    if not rate > 0:
        raise SettingError(f"frames per second must be above 0, not {fps}.")
    estimator.restart()
    total = round(video.announced * rate / video.fps) or None
    frames = tqdm(resample_fps(video, rate), total=total, desc=path.name, unit="frame", disable=None if progress else True)
    found, size = estimate_frames(frames, estimator)
    poses = track_poses(found, layout=estimator.layout, fps=rate, size=size)
    if poses is None:
        raise InputError(f"{path}: {estimator.name} sees nobody in its {len(found)} frames for {MIN_DURATION} s or longer.")
    return poses


def estimate_frames(frames: Iterable[Frame], estimator: PoseEstimator) -> tuple[list[Joints], tuple[int, int]]:
    """Return the people of each frame, as `stack_people` gives them, and the width and height of the picture."""
    found: list[Joints] = []
    last, size = None, (0, 0)
    for frame in frames:
        if frame.image is last:  # repeated by resampling
            found.append(found[-1])
            continue
        last, size = frame.image, (frame.image.shape[1], frame.image.shape[0])
        found.append(stack_people(estimator(frame.image), estimator.layout, estimator.has_world))
    return found, size


def track_poses(
    found: Sequence[Joints], *, layout: Layout, fps: float, size: tuple[int, int], min_duration: float = MIN_DURATION
) -> Poses | None:
    """Track the people of all frames; return None if nobody is present for long enough.

    Args:
        found: The people of each frame, as `stack_people` gives them.
        layout: The layout of the joints.
        fps: Frames per second.
        size: Width and height of the picture.
        min_duration: The shortest track, in seconds.
    """
    max_gap = round(MAX_GAP * fps)
    tracks = track_people(found, max_gap=max_gap, min_length=max(1, round(min_duration * fps)), has_scores=True, num_dims=2)
    if not tracks:
        return None
    rows = _rows(tracks, max_gap)
    channels = tracks[0].joints.shape[-1]
    people = np.zeros((max(rows) + 1, len(found), len(layout), channels), dtype=np.float32)
    for row, track in zip(rows, tracks, strict=True):
        people[row, track.start : track.end] = track.joints
        pixels, world, confidence = split_channels(track.joints)
        if world is not None:
            people[row, track.start : track.end, :, 2:5] = place_world(world, pixels, confidence, size)
    pixels, world, confidence = split_channels(people)
    return Poses(layout, pixels, confidence, fps, size, world)


def _rows(tracks: Sequence[Track], max_gap: int) -> list[int]:
    """Return the index along M of each track: one that has been free for longer than a gap, so that two people never look like one."""
    ends: list[int] = []
    rows = []
    for track in tracks:
        row = next((index for index, end in enumerate(ends) if end + max_gap < track.start), len(ends))
        ends[row : row + 1] = [track.end]
        rows.append(row)
    return rows


def place_world(world: Joints, pixels: Joints, confidence: Joints, size: tuple[int, int]) -> Joints:
    """Move hip-centred world joints sideways and up to where the picture shows the person.

    Assumed are a fixed camera and a constant distance from it (the median over the frames), so that pixels are metres times one scale.
    Motion towards the camera or away from it stays unknown.

    Args:
        world: (T, V, 3) of one person, x to the left of the picture, y up.
        pixels: (T, V, 2).
        confidence: (T, V).
        size: Width and height of the picture; its middle becomes x = y = 0.
    """
    metres = -world[..., :2].astype(np.float64)  # right and down, as pixels
    weight = (confidence >= MIN_SCORE).astype(np.float64)[..., None] + 1e-6
    centre, pixel_centre = ((weight * at).sum(axis=1) / weight.sum(axis=1) for at in (metres, pixels))
    offsets, pixel_offsets = metres - centre[:, None], pixels - pixel_centre[:, None]
    # Least squares: the pixels per metre of each frame.
    scale = (weight * offsets * pixel_offsets).sum(axis=(1, 2)) / np.maximum((weight * offsets**2).sum(axis=(1, 2)), 1e-12)
    valid = scale > 0
    if not valid.any():
        return world
    shift = (pixel_centre - np.array(size) / 2) / np.median(scale[valid]) - centre
    return np.concatenate([world[..., :2] - shift[:, None], world[..., 2:]], axis=-1).astype(np.float32)
