"""The running answer: what the predictor says of the last seconds, for everybody, without falling behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from poseglot.errors import InputError, SettingError
from poseglot.inference import Predictor
from poseglot.inference.prediction import ClassScore
from poseglot.inference.video.extract import track_poses
from poseglot.inference.video.frames import Frame, Image
from poseglot.inference.video.person import stack_people
from poseglot.inference.video.webcam import Event, WindowRecognizer, draw_events, watch
from poseglot.models.recognizer import Recognizer, RecognizerSpec, save_recognizer
from poseglot.skeletons.clip import Clip
from tests.inference.video.actors import Actor, Squares, picture, stander, walker

SIZE = (160, 120)


@pytest.fixture
def flat(tmp_path: Any) -> Callable[..., Predictor]:
    """A predictor of 2D joints with scores, for so many people."""

    def make(people: int = 1, *, has_scores: bool = True, **options: Any) -> Predictor:
        import torch

        torch.manual_seed(people)
        spec = RecognizerSpec(
            "coco17",
            ("a", "b", "c"),
            num_persons=people,
            channels=2 + has_scores,
            encoder_kwargs={"base_channels": 8},
            pipeline="image",
            has_scores=has_scores,
        )
        recognizer = Recognizer(spec).eval()
        with torch.no_grad():  # so that no answer is all too sure
            logits = recognizer(torch.rand(8, people, 64, 17, spec.channels) * 2 - 1)["logits"]
            recognizer.classifier.weight.mul_(1 / logits.std())
        save_recognizer(recognizer, tmp_path / f"{people}.safetensors")
        return Predictor(tmp_path / f"{people}.safetensors", device="cpu", **options)

    return make


def run(
    recognizer: WindowRecognizer, estimator: Squares, actors: Sequence[Actor], frames: int, fps: float = 10
) -> list[Sequence[Event]]:
    return [recognizer.step(estimator(picture(actors, frame)), frame / fps, SIZE) for frame in range(frames)]


def test_it_says_what_the_predictor_says_of_the_last_seconds(flat: Callable[..., Predictor]) -> None:
    predictor, estimator = flat(), Squares()
    recognizer = WindowRecognizer(predictor, estimator, window=1.5, stride=0, top=2)
    said = run(recognizer, estimator, [walker], 30)
    assert [bool(some) for some in said] == [False] * 5 + [True] * 25  # half a second must be there
    for frame in (5, 12, 29):
        (one,) = said[frame]
        past = range(max(0, frame - 15), frame + 1)
        poses = track_poses(
            [stack_people(estimator(picture([walker], f)), estimator.layout, False) for f in past],
            layout=estimator.layout,
            fps=10,
            size=SIZE,
        )
        assert poses is not None
        (expected,) = predictor.predict([Clip(poses.joints(has_scores=True), name="x", has_scores=True)], top=2)
        assert [a.action for a in one.scores] == [a.action for a in expected.scores]
        assert [a.probability for a in one.scores] == pytest.approx([a.probability for a in expected.scores], rel=1e-4)
        assert one.time == frame / 10 and one.action == expected.action and not one.unknown
        left, top, _, _ = one.box or (0, 0, 0, 0)
        np.testing.assert_allclose((left, top), poses.pixels[0, -1].min(axis=0), atol=1e-3)


def test_it_answers_every_stride_and_keeps_the_answer_between(flat: Callable[..., Predictor]) -> None:
    recognizer = WindowRecognizer(flat(), Squares(), window=1.0, stride=0.3)
    said = run(recognizer, Squares(), [walker], 20)
    assert sorted({one.time for some in said for one in some}) == pytest.approx([0.5, 0.8, 1.1, 1.4, 1.7])


def test_everybody_is_answered_for_or_all_together(flat: Callable[..., Predictor]) -> None:
    said = run(WindowRecognizer(flat(), Squares(), stride=0), Squares(), [walker, stander], 12)[-1]
    assert len(said) == 2 and {one.box[0] > 100 for one in said if one.box} == {True, False}
    together = run(WindowRecognizer(flat(2), Squares(), stride=0), Squares(), [walker, stander], 12)[-1]
    assert len(together) == 1 and together[0].box is None


def test_who_has_gone_is_not_answered_for(flat: Callable[..., Predictor]) -> None:
    recognizer = WindowRecognizer(flat(), Squares(), stride=0)
    said = run(recognizer, Squares(), [lambda f: walker(f) if f < 10 else None], 30)
    assert said[9] and not any(said[10:])


def test_a_recognizer_in_doubt_says_unknown(flat: Callable[..., Predictor]) -> None:
    (said,) = run(WindowRecognizer(flat(threshold=1.0), Squares(), stride=0), Squares(), [walker], 8)[-1]
    assert said.unknown and said.action == "unknown" and str(said).startswith("unknown ")


def test_what_does_not_fit_is_refused(flat: Callable[..., Predictor], run_folder: Any) -> None:
    with pytest.raises(InputError):
        WindowRecognizer(Predictor(run_folder), Squares())
    with pytest.raises(SettingError):
        WindowRecognizer(flat(), Squares(), window=0.2)
    WindowRecognizer(Predictor(run_folder), Squares("mediapipe33", has_world=True))
    WindowRecognizer(flat(), Squares("halpe26"))


class Screen:
    """Takes so many pictures."""

    def __init__(self, most: int = 99) -> None:
        self.most, self.shown, self.times = most, list[Image](), list[float]()

    def show(self, image: Image, time: float) -> bool:
        self.shown.append(image)
        self.times.append(time)
        return len(self.shown) < self.most

    def close(self) -> None: ...


class Parrot:
    """Says the same every second frame, in the corner or beside everybody."""

    def __init__(self) -> None:
        self.frames = 0

    def step(self, people: Sequence[Any], time: float, size: tuple[int, int]) -> Sequence[Event]:
        self.frames += 1
        assert size == SIZE
        answers = (ClassScore("wave one hand", 0.75), ClassScore("squat", 0.25))
        return [Event(time - time % 0.2, answers, box=person.box) for person in people]


def frames(count: int) -> list[Frame]:
    return [Frame(picture([walker, stander], number), number / 10) for number in range(count)]


def test_watching_draws_shows_and_tells_until_somebody_has_seen_enough() -> None:
    told: list[Sequence[Event]] = []
    screen, other = Screen(4), Screen()
    parrot = Parrot()
    assert watch(frames(9), Squares(), parrot, sinks=[screen, other], on_events=told.append) == 4
    assert len(screen.shown) == len(other.shown) == 4 and screen.times == [0, 0.1, 0.2, 0.3]
    assert [said[0].time for said in told] == pytest.approx([0, 0.2])  # what is new
    raw = frames(4)
    for number, (shown, frame) in enumerate(zip(screen.shown, raw, strict=True)):
        assert (shown != frame.image).any() and (frame.image == picture([walker, stander], number)).all()  # on a copy
    assert watch(frames(9), Squares(), parrot) == 9 and parrot.frames == 13


def test_ctrl_c_ends_it_well() -> None:
    def interrupted() -> Any:
        yield from frames(3)
        raise KeyboardInterrupt

    assert watch(interrupted(), Squares(), Parrot(), sinks=[Screen()]) == 3


def test_a_frame_without_people_is_still_shown() -> None:
    pytest.importorskip("cv2")
    image = picture([], 0)
    shown = draw_events(image, [], [], Squares().layout)
    assert (shown[:60] == image[:60]).all() and (shown != image).any()  # the names of the parts
