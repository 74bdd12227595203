"""The predictor on other clips than NW-UCLA's: NTU RGB+D with somebody else's weights, people who come and go, scores."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from poseglot.data.dataset import ClipDataset
from poseglot.data.store import PackedStore
from poseglot.errors import InputError, PoseglotError
from poseglot.inference import Prediction, Predictor
from poseglot.models.convert import recognizer_from_official
from poseglot.models.recognizer import Recognizer, RecognizerSpec, new_recognizer, save_recognizer
from poseglot.skeletons.clip import Clip
from poseglot.transforms import apply_pipeline, load_pipeline
from tests.data.own import own_layout, own_store
from tests.models.official_state import official_state

evaluation_input = partial(apply_pipeline, modality="joint")

CLASSES = ("a", "b", "c", "d", "e", "f")


def logits_of(recognizer: Recognizer, views: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Of views with up to two people; absent ones are zero."""
    padded = [np.concatenate([view, np.zeros((2 - len(view), *view.shape[1:]), dtype=np.float32)]) for view in views]
    with torch.no_grad():
        logits: npt.NDArray[np.float32] = recognizer(torch.from_numpy(np.stack(padded)))["logits"].numpy()
    return logits


def assert_answers(predictions: list[Prediction], logits: npt.NDArray[np.float32]) -> None:
    expected = torch.from_numpy(logits).double().softmax(dim=1).tolist()
    assert len(predictions) == len(expected)
    for prediction, row in zip(predictions, expected, strict=True):
        found = {score.action: score.probability for score in prediction.scores}
        assert found == pytest.approx(dict(zip(CLASSES, row, strict=True)), rel=1e-3, abs=1e-6)


# --- NTU RGB+D -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ntu(tmp_path_factory: pytest.TempPathFactory) -> tuple[Predictor, Recognizer]:
    """Weights as somebody else published them, imported."""
    state = official_state(joints=25, people=2, classes=6)
    recognizer = recognizer_from_official(state, layout="ntu25", people=2, classes=CLASSES)
    with torch.no_grad():  # logits of about the size that training makes
        spread = recognizer(torch.randn(8, 2, 64, 25, 3))["logits"].std()
        recognizer.classifier.weight.mul_(2 / spread)
    folder = tmp_path_factory.mktemp("ntu")
    save_recognizer(recognizer, folder / "recognizer.safetensors")
    return Predictor(folder, device="cpu"), recognizer


def test_imported_weights_of_ntu_answer_for_its_clips(ntu: tuple[Predictor, Recognizer], shared: Path) -> None:
    """The logits are those of the recorded views, whether one person is there or two."""
    predictor, recognizer = ntu
    with np.load(shared / "golden" / "ntu_chain.npz") as golden:
        names = golden["final/names"].tolist()
        clips = []
        for name in names:
            rows = golden[f"translated/{name}"]
            clips.append(Clip(rows.reshape(len(rows), -1, 25, 3).transpose(1, 0, 2, 3), name=name))
        views = [golden[f"test_view/joint/{name}"].transpose(3, 1, 2, 0) for name in names]
    assert {len(clip.joints) for clip in clips} == {1, 2}
    predictions = predictor.predict(clips, top=6, batch_size=4)
    assert [prediction.name for prediction in predictions] == names
    logits = logits_of(recognizer, views)
    assert np.ptp(logits, axis=0).min() > 1e-3, "clips that all look alike would prove nothing"
    assert_answers(predictions, logits)


def test_a_batch_may_mix_clips_of_one_and_two_people(ntu: tuple[Predictor, Recognizer], tmp_path: Path) -> None:
    predictor, recognizer = ntu
    rng = np.random.default_rng(0)
    clips = [rng.normal(size=(people, frames, 25, 3)).astype(np.float32) for people, frames in ((1, 40), (2, 90), (1, 1))]
    np.save(tmp_path / "clip.npy", clips[1])
    logits = logits_of(recognizer, [evaluation_input(clip, pipeline="ntu") for clip in clips])
    assert_answers(predictor.predict([*clips, clips[0][0]], top=6), logits[[0, 1, 2, 0]])
    assert_answers(predictor.predict([tmp_path / "clip.npy"], top=6), logits[1:2])
    absent = np.concatenate([np.zeros_like(clips[0]), clips[0], np.zeros_like(clips[0])])
    assert_answers(predictor.predict(absent, top=6), logits[:1])
    with pytest.raises(InputError, match="clip 0"):
        predictor.predict(np.zeros((1, 5, 25, 3)))
    with pytest.raises(PoseglotError, match=r"clip 1: 3 people .* at most 2 people"):
        predictor.predict([clips[0], np.ones((3, 5, 25, 3))])


# --- somebody's own clips, with scores -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(small_store: PackedStore, tmp_path_factory: pytest.TempPathFactory) -> PackedStore:
    return own_store(tmp_path_factory.mktemp("own") / "store", small_store)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Predictor, Recognizer]:
    spec = RecognizerSpec(
        own_layout().described(),
        CLASSES,
        2,
        3,
        encoder_kwargs={"base_channels": 8},
        pipeline="image",
        modality="bone",
        has_scores=True,
    )
    recognizer = new_recognizer(spec, seed=3).eval()
    folder = tmp_path_factory.mktemp("own") / "run"
    save_recognizer(recognizer, folder / "recognizer.safetensors")
    return Predictor(folder, device="cpu"), recognizer


def test_clips_with_scores_are_fed_with_them(own: tuple[Predictor, Recognizer], store: PackedStore, tmp_path: Path) -> None:
    predictor, recognizer = own
    clips = [store[place] for place in (0, 1, 20, 21)]
    views = [
        evaluation_input(clip.joints, pipeline="image", modality="bone", layout=own_layout(), has_scores=True) for clip in clips
    ]
    logits = logits_of(recognizer, views)
    assert_answers(predictor.predict(clips, top=6), logits)
    # Arrays cannot say what their last channel is: it is as in training.
    assert_answers(predictor.predict([clip.joints for clip in clips], top=6), logits)
    np.save(tmp_path / "clip.npy", clips[2].joints)
    assert_answers(predictor.predict([tmp_path / "clip.npy"], top=6), logits[2:3])
    rows = np.concatenate(
        list(
            predictor.logits_of(ClipDataset(store, [0, 1, 20, 21], transform=partial(load_pipeline("image"), modality="bone")))
        )
    )
    np.testing.assert_allclose(rows, logits, rtol=1e-4, atol=1e-5)


def test_clips_whose_scores_do_not_fit_are_refused(own: tuple[Predictor, Recognizer], store: PackedStore) -> None:
    predictor, _ = own
    joints = store[1].joints
    in_space = np.zeros((1, 5, 8, 3), dtype=np.float32)
    with pytest.raises(InputError):
        predictor.predict([Clip(in_space, name="run")])
    with pytest.raises(InputError):
        predictor.predict([Clip(joints[..., :2], name="jump")])
    with pytest.raises(PoseglotError, match=r"clip 0: 2 numbers per joint; accepted are .* and a score"):
        predictor.predict([joints[..., :2]])


def test_a_recognizer_without_scores_refuses_them(
    own: tuple[Predictor, Recognizer], store: PackedStore, tmp_path: Path
) -> None:
    """Three numbers per joint may be x, y, z or x, y and a score; one is not taken for the other."""
    spec = RecognizerSpec(own_layout().described(), CLASSES, 2, 3, encoder_kwargs={"base_channels": 8}, pipeline="metric")
    save_recognizer(new_recognizer(spec, seed=0), tmp_path / "recognizer.safetensors")
    predictor = Predictor(tmp_path, device="cpu")
    with pytest.raises(InputError):
        predictor.predict([store[1]])
    views = ClipDataset(store, range(4), transform=load_pipeline("metric"))
    with pytest.raises(InputError):
        next(predictor.logits_of(views))
