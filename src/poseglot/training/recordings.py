"""Recordings made of training clips: clips of one person end to end, with transitions and pauses between, and a label for every frame.

A clip goes on where the last one left the body: it is moved so that the centre joint stays. In a transition every joint goes in a
straight line; half of it counts to either side. In a pause the last pose is held, and the label is that of no action. Clips are played
faster or slower by a drawn factor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poseglot.data.store import Indices, PackedStore
from poseglot.errors import InputError, SettingError
from poseglot.evaluation.segments import BACKGROUND
from poseglot.skeletons.clip import Clip, Joints
from poseglot.skeletons.visibility import seen_mask

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording with the label of every frame.

    Attributes:
        joints: (M, T, V, C).
        labels: (T,), `BACKGROUND` for no action.
        fps: Frames per second if they are known.
        source: The hash of the joints of the file that it comes from; empty if it was joined.
    """

    joints: Joints
    labels: Labels
    fps: float | None = None
    source: str = ""


@dataclass(frozen=True)
class JoinConfig:
    """How clips become a recording; times are in seconds.

    Attributes:
        clips: The number of clips of a recording.
        transition: The shortest and the longest transition.
        pause: The shortest and the longest pause.
        pauses: The share of clips that a pause follows.
        speed: The largest factor by which a clip is played faster or slower.
    """

    clips: int = 12
    transition: tuple[float, float] = (0.0, 0.4)
    pause: tuple[float, float] = (0.5, 2.0)
    pauses: float = 0.1
    speed: float = 1.3

    def __post_init__(self) -> None:
        ranges = (self.transition, self.pause)
        if not (
            self.clips >= 1 and self.speed >= 1 and 0 <= self.pauses <= 1 and all(0 <= low <= high for low, high in ranges)
        ):
            raise SettingError(f"clips and speed are at least 1, pauses a share, and times go from low to high, unlike {self}.")


def make_recordings(
    store: PackedStore, indices: Indices, labels: Labels, *, count: int, fps: float, config: JoinConfig, seed: int
) -> Iterator[Recording]:
    """Yield recordings, each of one person seen by one camera where the store says who and where.

    Args:
        store: The clips.
        indices: The rows of the clips to take.
        labels: The label of each of them.
        count: The number of recordings.
        fps: The frames per second of the clips.
        config: How they are joined.
        seed: What is drawn depends on it and on the number of the recording alone.

    Raises:
        InputError: There are fewer than two clips.
    """
    if len(indices) < 2:
        raise InputError(f"{len(indices)} clips came; a recording is made of two or more.")
    who = np.stack([store.clips["subject"][indices], store.clips["camera"][indices]], axis=1)
    _, groups, sizes = np.unique(who, axis=0, return_inverse=True, return_counts=True)
    groups = groups.reshape(-1)
    groups[sizes[groups] < 2] = -1  # people of a single clip share recordings
    names = np.unique(groups)
    if (groups == -1).sum() == 1:
        names = names[names >= 0] if len(names) > 1 else names
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        own = rng.permutation(np.flatnonzero(groups == rng.choice(names)))[: config.clips]
        clips = [store[int(indices[row])] for row in own]
        yield join_clips(clips, labels[own].tolist(), store.layout.centre_index, fps=fps, config=config, rng=rng)


def join_clips(
    clips: Sequence[Clip], labels: Sequence[int], centre_index: int, *, fps: float, config: JoinConfig, rng: np.random.Generator
) -> Recording:
    """Join clips end to end, as told at the top of this file."""
    persons = max(clip.joints.shape[0] for clip in clips)
    has_scores = clips[0].has_scores
    pieces: list[Joints] = []
    of: list[Labels] = []
    for clip, label in zip(clips, labels, strict=True):
        joints = np.pad(clip.joints, [(0, persons - len(clip.joints)), (0, 0), (0, 0), (0, 0)])
        length = max(1, round(joints.shape[1] * config.speed ** rng.uniform(-1, 1)))
        joints = joints[:, np.arange(length) * joints.shape[1] // length]
        if pieces:
            last, before = pieces[-1][:, -1], int(of[-1][-1])
            if rng.random() < config.pauses:
                held = _drawn(config.pause, fps, rng)
                pieces.append(np.repeat(last[:, None], held, axis=1))
                of.append(np.full(held, BACKGROUND))
                before = BACKGROUND
            joints = _moved(joints, last, centre_index, has_scores)
            frames = _drawn(config.transition, fps, rng)
            pieces.append(_transition(last, joints[:, 0], frames, has_scores))
            of.append(np.repeat([before, label], [frames // 2, frames - frames // 2]))
        pieces.append(joints)
        of.append(np.full(length, label))
    return Recording(np.concatenate(pieces, axis=1), np.concatenate(of).astype(np.int64))


def _drawn(seconds: tuple[float, float], fps: float, rng: np.random.Generator) -> int:
    """Return a number of frames between two times."""
    shortest, longest = (round(time * fps) for time in seconds)
    return int(rng.integers(shortest, longest + 1))


def _moved(joints: Joints, last: Joints, centre_index: int, has_scores: bool) -> Joints:
    """Return joints (M, T, V, C) moved so that the centre joint of the first person who has one stays where it was in `last` (M, V, C)."""
    seen, there = seen_mask(joints, has_scores=has_scores), seen_mask(last, has_scores=has_scores)
    both = np.flatnonzero(seen[:, 0, centre_index] & there[:, centre_index])
    if not len(both):
        return joints
    step = last[both[0], centre_index] - joints[both[0], 0, centre_index]
    if has_scores:
        step[-1] = 0
    return np.where(seen[..., None], joints + step, joints)


def _transition(last: Joints, first: Joints, frames: int, has_scores: bool) -> Joints:
    """Return (M, frames, V, C) from one pose (M, V, C) to another; a joint that either lacks is missing."""
    share = (np.arange(1, frames + 1, dtype=np.float32) / (frames + 1))[None, :, None, None]
    between = (1 - share) * last[:, None] + share * first[:, None]
    both = seen_mask(last, has_scores=has_scores) & seen_mask(first, has_scores=has_scores)
    return np.where(both[:, None, :, None], between, np.float32(0))
