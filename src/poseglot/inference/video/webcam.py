"""The running answer: who is seen doing what, over a stream of frames.

A `Recognizer` takes the people of one frame after the other and always has an answer of the recent past. `WindowRecogniser` asks the
predictor about the last seconds, again and again; what answers frame by frame can stand in its place.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from poseglot.errors import PoseglotError
from poseglot.inference.video.drawing import draw_poses, name_parts, write_lines
from poseglot.inference.video.estimator import Person, PoseEstimator, box_around, only_flat, stacked
from poseglot.inference.video.extract import put_together
from poseglot.inference.video.frames import Frame, Image, Sink
from poseglot.inference.windows import most_moving
from poseglot.skeletons.clip import Clip, Joints
from poseglot.skeletons.layout import Layout

if TYPE_CHECKING:
    from poseglot.inference.predictor import ClassScore, Predictor


@dataclass(frozen=True)
class Event:
    """An answer.

    Attributes:
        time: of the last frame it is of, in seconds.
        answers: the most probable actions, best first.
        unknown: whether even the first is less probable than the predictor was told to answer.
        box: whom it is of: left, top, right, bottom in pixels; None if it is of all together.
    """

    time: float
    answers: tuple[ClassScore, ...]
    unknown: bool = False
    box: tuple[float, float, float, float] | None = None

    @property
    def action(self) -> str:
        return "unknown" if self.unknown else self.answers[0].action

    def __str__(self) -> str:
        return f"{self.action} {self.answers[0].probability:.0%}"


class Recognizer(Protocol):
    """Takes a stream of frames' people."""

    def step(self, people: Sequence[Person], time: float, size: tuple[int, int]) -> Sequence[Event]:
        """Take a frame.

        Args:
            people: in it.
            time: in seconds; later than the last.
            size: width and height of the picture.

        Returns:
            The newest answers, which may be those of an earlier frame; none as long as too little was seen.
        """
        ...


class WindowRecognizer:
    """What a predictor says of the last `window` seconds, every `stride` seconds.

    A recognizer of one person is asked about each person who is there; one of several about all together, or where there are more than it
    knows about those who move most.

    Args:
        predictor: the recognizer.
        estimator: where the people come from.
        window, stride: in seconds.
        least: how long somebody must have been there, in seconds.
        top: how many answers.

    Raises:
        PoseglotError: the recognizer cannot take what the estimator gives.
    """

    def __init__(
        self,
        predictor: Predictor,
        estimator: PoseEstimator,
        *,
        window: float = 2.0,
        stride: float = 0.25,
        least: float = 0.5,
        top: int = 3,
    ) -> None:
        if not 0 < least <= window or stride < 0:
            raise PoseglotError(
                f"windows of {window} s every {stride} s: they must be {least} s or longer, and a stride is not below 0."
            )
        if predictor.num_dims == 3 and not estimator.has_world:
            raise PoseglotError(only_flat(estimator.name))
        predictor.mapping(estimator.layout)  # better refused now than in the middle
        self.predictor, self.layout, self.has_world = predictor, estimator.layout, estimator.has_world
        self.window, self.stride, self.least, self.top = window, stride, least, top
        self._past: deque[tuple[float, Joints]] = deque()
        self._said: tuple[Event, ...] = ()
        self._next = -np.inf

    def step(self, people: Sequence[Person], time: float, size: tuple[int, int]) -> Sequence[Event]:
        self._past.append((time, stacked(people, self.layout, self.has_world)))
        while time - self._past[0][0] > self.window:
            self._past.popleft()
        if time > self._next - 1e-6 and time - self._past[0][0] >= self.least:
            self._said = self._answers(time, size)
            self._next = time + self.stride
        return self._said

    def _answers(self, time: float, size: tuple[int, int]) -> tuple[Event, ...]:
        spec = self.predictor.spec
        fps = (len(self._past) - 1) / (time - self._past[0][0])
        poses = put_together([people for _, people in self._past], layout=self.layout, fps=fps, size=size, least=self.least)
        if poses is None:
            return ()
        joints = poses.joints(num_dims=self.predictor.num_dims, has_scores=spec.has_scores)
        there = (joints != 0).any(axis=(2, 3))  # (M, T)
        boxes: list[tuple[float, float, float, float] | None] = [None]
        now = [row for row in range(len(joints)) if there[row, -1]]
        if not now:
            return ()
        if spec.num_persons > 1:
            clips = [most_moving(joints[now], spec.num_persons)]
        else:
            # Behind the last frame in which the place was somebody else's, or nobody's.
            starts = [int(np.flatnonzero(~there[row]).max(initial=-1)) + 1 for row in now]
            clips = [joints[row : row + 1, start:] for row, start in zip(now, starts, strict=True)]
            boxes = [box_around(poses.pixels[row, -1]) for row in now]
        predictions = self.predictor.predict(
            [Clip(clip, name=f"person {number}", has_scores=spec.has_scores) for number, clip in enumerate(clips, start=1)],
            top=self.top,
            layout=self.layout,
        )
        return tuple(Event(time, p.answers, p.unknown, box) for p, box in zip(predictions, boxes, strict=True))


def watch(
    frames: Iterable[Frame],
    estimator: PoseEstimator,
    recognizer: Recognizer,
    *,
    sinks: Sequence[Sink] = (),
    tell: Callable[[Sequence[Event]], None] | None = None,
) -> int:
    """Go through frames, draw what is seen and said, and show it, until they end, or somebody has seen enough.

    Args:
        sinks: windows, and videos to write; where there is none, nothing is drawn.
        tell: is given every new answer.

    Returns:
        How many frames there were.
    """
    estimator.restart()
    count, last = 0, float("-inf")
    with contextlib.suppress(KeyboardInterrupt):  # how a camera is usually ended
        for frame in frames:
            people = estimator(frame.image)
            said = recognizer.step(people, frame.time, (frame.image.shape[1], frame.image.shape[0]))
            count += 1
            if tell is not None and said and said[0].time > last:
                last = said[0].time
                tell(said)
            if sinks:
                picture = drawn(frame.image, people, said, estimator.layout)
                wanted = [sink.show(picture, frame.time) for sink in sinks]  # all are to have it
                if not all(wanted):
                    break
    return count


def drawn(image: Image, people: Sequence[Person], said: Sequence[Event], layout: Layout) -> Image:
    """A copy of a picture with the people in it and what was said: beside whom it is of, or in the corner if of all together."""
    if people:
        pixels, confidence = np.stack([p.pixels for p in people]), np.stack([p.confidence for p in people])
        picture = draw_poses(image, pixels, confidence, layout)
    else:
        picture = image.copy()
    name_parts(picture)
    for each in said:
        write_lines(picture, _lines(each), each.box)
    return picture


def _lines(said: Event) -> list[str]:
    return [*(["unknown"] if said.unknown else []), *(f"{a.probability:.0%} {a.action}" for a in said.answers)]
