"""BlazePose (Bazarevsky et al., 2020; GHUM's 3D landmarks), by the package mediapipe, which carries its weights.

`mediapipe.solutions.pose` sees one person: it finds somebody, and follows that person's place from frame to frame; landmarks are smoothed
over time. It gives each of 33 landmarks twice: in the picture, and in metres about the middle of the hips, so that where somebody goes is
not in the latter (`poseglot.inference.video.extract.placed` puts back what the picture tells of it).
"""

from __future__ import annotations

import os

import numpy as np

from poseglot.errors import PoseglotError
from poseglot.inference.video.estimator import Person
from poseglot.inference.video.frames import Image
from poseglot.skeletons.layout import load_layout

# Its axes are x to the right of the picture, y down, z away from the camera; a depth camera's x and y point the other way. Two axes
# turned are a turn: left stays left.
_TO_DEPTH_CAMERA = np.array([-1, -1, 1], dtype=np.float32)


class BlazePose:
    """See above. `visibility`, how likely a landmark is in the picture and not hidden, is the confidence."""

    name = "mediapipe"
    has_world = True

    def __init__(self) -> None:
        os.environ.setdefault("GLOG_minloglevel", "2")  # its C++ side says on standard error that it has started
        try:
            from mediapipe.python.solutions.pose import Pose
        except ImportError as error:
            raise PoseglotError(
                f"mediapipe is there, but its pose solution cannot be loaded ({error}); mediapipe==0.10.21 with numpy below 2 has it."
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
