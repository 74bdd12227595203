"""BlazePose (Bazarevsky et al., 2020; GHUM's 3D landmarks), by the package mediapipe, which includes the weights.

`mediapipe.solutions.pose` finds one person and follows it from frame to frame, with landmarks smoothed over time. It gives 33 landmarks in
pixels, and in metres from the middle of the hips. The latter lack the person's movement through the scene;
`poseglot.inference.video.extract.place_world` restores what the picture tells of it.
"""

from __future__ import annotations

import os

import numpy as np

from poseglot.errors import MissingPackageError
from poseglot.inference.video.frames import Image
from poseglot.inference.video.person import Person
from poseglot.skeletons.layout import load_layout

# mediapipe's axes are x right, y down, z away from the camera; a depth camera's x and y point the other way. This is a rotation, not a
# reflection: left stays left.
_TO_DEPTH_CAMERA = np.array([-1, -1, 1], dtype=np.float32)


class BlazePose:
    """mediapipe's pose estimator; the confidence is its `visibility`, the probability that a landmark is visible."""

    name = "mediapipe"
    has_world = True

    def __init__(self) -> None:
        os.environ.setdefault("GLOG_minloglevel", "2")  # its C++ code logs its start to standard error
        try:
            from mediapipe.python.solutions.pose import Pose
        except ImportError as error:
            raise MissingPackageError(
                f"mediapipe is installed, but its pose solution cannot be loaded ({error}); mediapipe==0.10.21 with numpy below 2 has it."
            ) from error
        self.layout = load_layout("mediapipe33")
        self._pose = Pose(static_image_mode=False, model_complexity=1, smooth_landmarks=True)

    def restart(self) -> None:
        self._pose.reset()

    def __call__(self, image: Image) -> list[Person]:
        found = self._pose.process(np.ascontiguousarray(image))
        if found.pose_landmarks is None:
            return []
        height, width = image.shape[:2]
        marks = found.pose_landmarks.landmark
        pixels = np.array([(mark.x * width, mark.y * height) for mark in marks], dtype=np.float32)
        world = np.array([(mark.x, mark.y, mark.z) for mark in found.pose_world_landmarks.landmark], dtype=np.float32)
        confidence = np.clip(np.array([mark.visibility for mark in marks], dtype=np.float32), 0, 1)
        return [Person(pixels, confidence, world * _TO_DEPTH_CAMERA)]
