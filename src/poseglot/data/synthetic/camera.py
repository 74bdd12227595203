"""The depth cameras of the synthetic set: their positions, and how they measure a body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from poseglot.data.synthetic.body import Array, turn
from poseglot.skeletons.layout import Layout

_YAWS = (-45.0, 0.0, 45.0, -20.0, 20.0, -65.0, 65.0)  # of the cameras in order; 0 faces the person

# How much noisier than the trunk a joint is, and how easily the sensor loses it. Other joints: 1.
_UNSTABLE: Mapping[str, float] = {"wrist": 1.4, "hand": 1.8, "knee": 1.2, "ankle": 1.5, "foot": 1.8, "elbow": 1.2}


@dataclass(frozen=True)
class Camera:
    """A sensor's position (yaw 0 faces the person; a positive pitch looks down), and the size of its noise in metres."""

    yaw: float
    pitch: float
    height: float
    distance: float
    noise: float


def place_camera(number: int, rng: np.random.Generator) -> Camera:
    """Return the camera of a number, counted from 1."""
    return Camera(
        yaw=_YAWS[(number - 1) % len(_YAWS)] + rng.uniform(-6, 6),
        pitch=rng.uniform(-4, 12),
        height=rng.uniform(0.7, 1.8),
        distance=rng.uniform(2.4, 3.4),
        noise=rng.uniform(0.005, 0.010),
    )


def look(joints: Array, camera: Camera) -> Array:
    """Map joints from body space to camera space. At yaw 0 the person faces the camera, some metres along its z axis."""
    placed = joints @ turn("y", 180 + camera.yaw).T + [0, -camera.height, camera.distance]
    seen: Array = placed @ turn("x", -camera.pitch).T  # looking down rotates the scene up about the camera's x axis
    return seen


def sense(joints: Array, noise: float, rng: np.random.Generator, layout: Layout) -> Array:
    """Simulate a depth sensor on joints (T, V, 3): correlated jitter, larger in depth and at the extremities, and lost joints."""
    frames, count, _ = joints.shape
    unstable = np.array([_UNSTABLE.get(name.split("_")[-1], 1.0) for name in layout.joints])
    size = noise * rng.uniform(0.6, 1.4) * (2.0 if rng.random() < 0.1 else 1.0)
    jitter = rng.normal(size=(frames, count, 3)) * unstable[:, None] * [1, 1, 1.5]
    for frame in range(1, frames):
        jitter[frame] = 0.6 * jitter[frame - 1] + 0.8 * jitter[frame]
    seen: Array = joints + size * jitter
    likely = unstable**4 / (unstable**4).sum()
    for _ in range(rng.poisson(frames / 16)):
        joint, start = rng.choice(count, p=likely), int(rng.integers(1, frames))
        gone = slice(start, start + int(rng.integers(2, 9)))
        if rng.random() < 0.5:
            seen[gone, joint] = seen[start - 1, joint]
        else:
            seen[gone, joint] += rng.normal(size=3) * 0.1 / np.sqrt(3)
    return seen
