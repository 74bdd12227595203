"""Running recognition of a stream of frames, from a camera or a video.

A `FrameRecognizer` takes the people of each frame and keeps events for the recent past. `WindowRecognizer` predicts the last seconds, again
and again.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from poseglot.data.tracking import most_moving
from poseglot.errors import InputError, SettingError
from poseglot.inference.video.drawing import draw_poses, name_parts, write_lines
from poseglot.inference.video.estimator import needs_3d
from poseglot.inference.video.extract import track_poses
from poseglot.inference.video.frames import Frame, Image, Sink
from poseglot.inference.video.person import Box, Person, PoseEstimator, box_around, stack_people
from poseglot.skeletons.clip import Clip, Joints
from poseglot.skeletons.layout import Layout

if TYPE_CHECKING:
    from poseglot.inference.prediction import ClassScore
    from poseglot.inference.predictor import Predictor


@dataclass(frozen=True)
class Event:
    """The recognised classes at one time.

    Attributes:
        time: The time of the last frame, in seconds.
        scores: The most probable classes, best first.
        unknown: Whether even the first is below the predictor's threshold.
        box: The person's left, top, right and bottom in pixels; None for all together.
    """

    time: float
    scores: tuple[ClassScore, ...]
    unknown: bool = False
    box: Box | None = None

    @property
    def action(self) -> str:
        """The most probable class, or `unknown`."""
        return "unknown" if self.unknown else self.scores[0].action

    def __str__(self) -> str:
        return f"{self.action} {self.scores[0].probability:.0%}"


class FrameRecognizer(Protocol):
    """Recognises from the people of a stream of frames."""

    def step(self, people: Sequence[Person], time: float, size: tuple[int, int]) -> Sequence[Event]:
        """Take a frame.

        Args:
            people: The people in it.
            time: Its time in seconds, later than the last.
            size: Width and height of the picture.

        Returns:
            The newest events, possibly of an earlier frame; none until enough was seen.
        """
        ...


class WindowRecognizer:
    """Predicts the last `window` seconds, every `stride` seconds.

    A recognizer of one person predicts each present person. One of several persons predicts all together; of more people than it takes,
    those who move most.

    Args:
        predictor: The recognizer.
        estimator: The pose estimator that gives the people.
        window, stride: In seconds.
        min_duration: The time for which somebody must have been present, in seconds.
        top: The number of classes per event.

    Raises:
        SettingError: The times do not fit together.
        InputError: The recognizer cannot take the estimator's joints.
    """

    def __init__(
        self,
        predictor: Predictor,
        estimator: PoseEstimator,
        *,
        window: float = 2.0,
        stride: float = 0.25,
        min_duration: float = 0.5,
        top: int = 3,
    ) -> None:
        if not 0 < min_duration <= window or stride < 0:
            raise SettingError(
                f"windows of {window} s every {stride} s: a window must be at least {min_duration} s, and a stride at least 0."
            )
        if predictor.num_dims == 3 and not estimator.has_world:
            raise InputError(needs_3d(estimator.name))
        predictor.mapping(estimator.layout)  # refuse now, not in the middle
        self.predictor, self.layout, self.has_world = predictor, estimator.layout, estimator.has_world
        self.window, self.stride, self.min_duration, self.top = window, stride, min_duration, top
        self._past: deque[tuple[float, Joints]] = deque()
        self._events: tuple[Event, ...] = ()
        self._due = -np.inf

    def step(self, people: Sequence[Person], time: float, size: tuple[int, int]) -> Sequence[Event]:
        self._past.append((time, stack_people(people, self.layout, self.has_world)))
        while time - self._past[0][0] > self.window:
            self._past.popleft()
        if time > self._due - 1e-6 and time - self._past[0][0] >= self.min_duration:
            self._events = self._recognize(time, size)
            self._due = time + self.stride
        return self._events

    def _recognize(self, time: float, size: tuple[int, int]) -> tuple[Event, ...]:
        spec = self.predictor.spec
        fps = (len(self._past) - 1) / (time - self._past[0][0])
        poses = track_poses(
            [people for _, people in self._past], layout=self.layout, fps=fps, size=size, min_duration=self.min_duration
        )
        if poses is None:
            return ()
        has_scores = self.predictor.reads_scores
        joints = self.predictor.reading.joints_of_poses(
            poses, num_dims=self.predictor.num_dims, has_scores=has_scores, origin="the camera"
        )
        present = (joints != 0).any(axis=(2, 3))  # (M, T)
        boxes: list[Box | None] = [None]
        now = [row for row in range(len(joints)) if present[row, -1]]
        if not now:
            return ()
        if spec.num_persons > 1:
            clips = [most_moving(joints[now], spec.num_persons)]
        else:
            # After the last frame in which the row was empty.
            starts = [int(np.flatnonzero(~present[row]).max(initial=-1)) + 1 for row in now]
            clips = [joints[row : row + 1, start:] for row, start in zip(now, starts, strict=True)]
            boxes = [box_around(poses.pixels[row, -1]) for row in now]
        predictions = self.predictor.predict(
            [Clip(clip, name=f"person {number}", has_scores=has_scores) for number, clip in enumerate(clips, start=1)],
            top=self.top,
            layout=self.layout,
        )
        return tuple(Event(time, p.scores, p.unknown, box) for p, box in zip(predictions, boxes, strict=True))


def watch(
    frames: Iterable[Frame],
    estimator: PoseEstimator,
    recognizer: FrameRecognizer,
    *,
    sinks: Sequence[Sink] = (),
    on_events: Callable[[Sequence[Event]], None] | None = None,
) -> int:
    """Recognise a stream of frames and show it, until it ends or a sink is closed.

    Args:
        frames: The frames.
        estimator: The pose estimator.
        recognizer: The recognizer.
        sinks: Windows and video writers; without any, nothing is drawn.
        on_events: Called with new events.

    Returns:
        The number of frames.
    """
    estimator.restart()
    count, last = 0, float("-inf")
    with contextlib.suppress(KeyboardInterrupt):  # the usual end of a camera
        for frame in frames:
            people = estimator(frame.image)
            events = recognizer.step(people, frame.time, (frame.image.shape[1], frame.image.shape[0]))
            count += 1
            if on_events is not None and events and events[0].time > last:
                last = events[0].time
                on_events(events)
            if sinks:
                picture = draw_events(frame.image, people, events, estimator.layout)
                wanted = [sink.show(picture, frame.time) for sink in sinks]  # every sink gets it
                if not all(wanted):
                    break
    return count


def draw_events(image: Image, people: Sequence[Person], events: Sequence[Event], layout: Layout) -> Image:
    """Return a copy of a picture with people and events drawn in, at the person's box or in the corner."""
    if people:
        pixels, confidence = np.stack([p.pixels for p in people]), np.stack([p.confidence for p in people])
        picture = draw_poses(image, pixels, confidence, layout)
    else:
        picture = image.copy()
    name_parts(picture)
    for event in events:
        unknown = ["unknown"] if event.unknown else []
        write_lines(picture, [*unknown, *(f"{score.probability:.0%} {score.action}" for score in event.scores)], event.box)
    return picture
