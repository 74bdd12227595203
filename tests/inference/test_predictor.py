"""The predictor: the trained network's answers, from every kind of input, and refusals that name the clip."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import save_file

from poseglot.data.dataset import ClipDataset
from poseglot.data.store import PackedStore
from poseglot.data.synthetic import ACTIONS
from poseglot.errors import FileError, PoseglotError
from poseglot.inference import Prediction, Predictor
from poseglot.models.recognizer import Recognizer, save_recognizer
from poseglot.skeletons.clip import Clip
from poseglot.transforms import apply_pipeline, load_pipeline

pytestmark = pytest.mark.base
evaluation_input = partial(apply_pipeline, modality="joint")


@pytest.fixture(scope="module")
def predictor(run_folder: Path) -> Predictor:
    return Predictor(run_folder, device="cpu")


def full_logits(recognizer: Recognizer, views: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    with torch.no_grad():
        logits: npt.NDArray[np.float32] = recognizer(torch.from_numpy(np.stack(views)))["logits"].numpy()
    return logits


def table(prediction: Prediction) -> dict[str, float]:
    return {score.action: score.probability for score in prediction.scores}


def same(first: Sequence[Prediction], second: Sequence[Prediction]) -> bool:
    return all(table(a) == pytest.approx(table(b), rel=1e-4, abs=1e-7) for a, b in zip(first, second, strict=True))


def test_logits_are_those_of_the_whole_recognizer(predictor: Predictor, recognizer: Recognizer, clips: Sequence[Clip]) -> None:
    views = [evaluation_input(clip.joints, pipeline="nw-ucla") for clip in clips]
    logits = predictor.logits(torch.from_numpy(np.stack(views)))
    expected = full_logits(recognizer, views)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
    assert np.ptp(expected, axis=0).min() > 1e-3, "clips that all look alike would prove nothing"


@pytest.mark.parametrize("modality", ["joint", "bone_motion"])
def test_answers_are_the_softmax_of_the_streams_logits_best_first(
    build: Callable[..., Recognizer], modality: str, tmp_path: Path, clips: Sequence[Clip]
) -> None:
    recognizer = build(1, modality=modality)
    save_recognizer(recognizer, tmp_path / "one.safetensors")
    predictions = Predictor(tmp_path / "one.safetensors", device="cpu").predict(clips, top=12)
    logits = full_logits(recognizer, [evaluation_input(clip.joints, pipeline="nw-ucla", modality=modality) for clip in clips])
    for prediction, clip, row in zip(predictions, clips, logits.tolist(), strict=True):
        powers = [math.exp(value - max(row)) for value in row]
        expected = {action: power / sum(powers) for action, power in zip(ACTIONS, powers, strict=True)}
        assert prediction.name == clip.name
        assert table(prediction) == pytest.approx(expected, rel=1e-4, abs=1e-7)
        assert [score.probability for score in prediction.scores] == sorted(table(prediction).values(), reverse=True)


def test_probabilities_of_all_classes_sum_to_one_and_top_only_cuts(predictor: Predictor, clips: Sequence[Clip]) -> None:
    everything = predictor.predict(clips, top=100)
    for prediction in everything:
        assert {score.action for score in prediction.scores} == set(ACTIONS)
        assert sum(score.probability for score in prediction.scores) == pytest.approx(1, abs=1e-12)
    for top in (1, 5):
        cut = predictor.predict(clips, top=top)
        assert [len(prediction.scores) for prediction in cut] == [top] * len(clips)
        for few, many in zip(cut, everything, strict=True):
            assert [score.action for score in few.scores] == [score.action for score in many.scores[:top]]
            assert table(few) == pytest.approx({score.action: score.probability for score in many.scores[:top]})


def test_clip_array_and_files_agree(predictor: Predictor, clips: Sequence[Clip], tmp_path: Path) -> None:
    clip = clips[2]
    np.save(tmp_path / "four.npy", clip.joints)
    np.save(tmp_path / "three.npy", clip.joints[0].astype(np.float64))
    content = {"file_name": "a03", "skeletons": clip.joints[0].tolist(), "label": 3}
    (tmp_path / "clip.json").write_text(json.dumps(content))
    forms = [
        clip,
        clip.joints,
        clip.joints[0],
        clip.joints[0].tolist(),
        tmp_path / "four.npy",
        str(tmp_path / "three.npy"),
        tmp_path / "clip.json",
    ]
    predictions = predictor.predict(forms, top=12)
    assert same(predictions, [predictor.predict([clip], top=12)[0]] * len(forms))
    assert [prediction.name for prediction in predictions] == [
        clip.name,
        "clip 1",
        "clip 2",
        "clip 3",
        "four",
        "three",
        "a03",
    ]


def test_a_real_file_gives_the_logits_of_its_recorded_view(
    predictor: Predictor, recognizer: Recognizer, shared: Path, tmp_path: Path
) -> None:
    names = ["a05_s04_e02_v03", "a12_s09_e04_v03"]
    with zipfile.ZipFile(shared / "data" / "nw-ucla" / "all_sqe.zip") as archive:
        for name in names:
            (tmp_path / f"{name}.json").write_bytes(archive.read(f"all_sqe/{name}.json"))
    golden = np.load(shared / "golden" / "nwucla_test_views.npz")
    views = [golden[f"joint/{name}"].transpose(3, 1, 2, 0).astype(np.float32) for name in names]
    logits = torch.from_numpy(full_logits(recognizer, views)).double()
    predictions = predictor.predict([tmp_path / f"{name}.json" for name in names], top=12)
    for prediction, probabilities in zip(predictions, logits.softmax(dim=1).tolist(), strict=True):
        assert table(prediction) == pytest.approx(dict(zip(ACTIONS, probabilities, strict=True)), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_batch_size_changes_nothing(predictor: Predictor, clips: Sequence[Clip], batch_size: int) -> None:
    together = predictor.predict(clips, top=12)
    some = predictor.predict(clips, top=12, batch_size=batch_size)
    assert [prediction.name for prediction in some] == [clip.name for clip in clips]
    assert same(some, together)


def test_nothing_in_nothing_out(predictor: Predictor) -> None:
    assert predictor.predict([]) == []


def test_logits_of_a_store_are_those_of_its_clips_in_order(
    predictor: Predictor, recognizer: Recognizer, small_store: PackedStore
) -> None:
    places = np.arange(3, 120, 11)
    views = ClipDataset(small_store, places, transform=load_pipeline("nw-ucla"))
    batches = list(predictor.logits_of(views, batch_size=4))
    assert [len(batch) for batch in batches] == [4, 4, 3]
    expected = full_logits(
        recognizer, [evaluation_input(small_store[int(place)].joints, pipeline="nw-ucla") for place in places]
    )
    np.testing.assert_allclose(np.concatenate(batches), expected, rtol=1e-4, atol=1e-4)


def test_an_absent_second_person_is_zero(build: Callable[..., Recognizer], tmp_path: Path, clips: Sequence[Clip]) -> None:
    recognizer = build(2, people=2)
    save_recognizer(recognizer, tmp_path / "recognizer.safetensors")
    predictor = Predictor(tmp_path, device="cpu")
    alone = evaluation_input(clips[0].joints, pipeline="nw-ucla")
    frames = min(clips[1].joints.shape[1], clips[2].joints.shape[1])
    pair = np.concatenate([clips[1].joints[:, :frames], clips[2].joints[:, :frames]])
    logits = full_logits(
        recognizer, [np.concatenate([alone, np.zeros_like(alone)]), evaluation_input(pair, pipeline="nw-ucla")]
    )
    for prediction, row in zip(predictor.predict([clips[0], pair], top=12), torch.from_numpy(logits).double(), strict=True):
        assert table(prediction) == pytest.approx(dict(zip(ACTIONS, row.softmax(0).tolist(), strict=True)), rel=1e-3, abs=1e-6)


def with_nan(joints: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    broken = joints.copy()
    broken[0, 4, 7, 1] = np.nan
    return broken


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda joints: np.concatenate([joints, joints]), "2 people"),
        (lambda joints: joints[..., :2], "2 coordinates"),
        (lambda joints: joints[:, :, :19], "19 joints"),
        (lambda joints: np.concatenate([joints, joints[:, :, :5]], axis=2), "25 joints"),
        (with_nan, "person 0, frame 4, joint 7"),
        (lambda joints: joints[:, :0], "no frames"),
        (lambda joints: joints[0, 0, 0], "shape"),
    ],
    ids=["2 people", "2 coordinates", "19 joints", "25 joints", "NaN", "no frames", "no clip"],
)
def test_unacceptable_clips_are_named(
    predictor: Predictor, clips: Sequence[Clip], tmp_path: Path, spoil: Callable[[npt.NDArray[np.float32]], object], said: str
) -> None:
    spoiled = np.asarray(spoil(clips[1].joints))
    np.save(tmp_path / "stroll.npy", spoiled)
    for clip, name in (
        (Clip(spoiled, name="our walk"), "our walk"),
        (spoiled, "clip 1"),
        (tmp_path / "stroll.npy", "stroll"),
    ):
        with pytest.raises(PoseglotError, match=said) as caught:
            predictor.predict([clips[0], clip])
        assert name in str(caught.value)


def test_a_missing_clip_file_is_named(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(PoseglotError, match=r"absent\.npy"):
        predictor.predict([tmp_path / "absent.npy"])


def test_a_run_without_recognizer_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"recognizer\.safetensors"):
        Predictor(tmp_path)
    with pytest.raises(PoseglotError, match=r"absent does not exist"):
        Predictor(tmp_path / "absent")


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.999])
def test_a_recognizer_cut_short_is_refused(run_folder: Path, tmp_path: Path, kept: float) -> None:
    whole = (run_folder / "recognizer.safetensors").read_bytes()
    path = tmp_path / "recognizer.safetensors"
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(PoseglotError, match=r"recognizer\.safetensors"):
        Predictor(tmp_path)


def test_a_foreign_safetensors_file_is_refused(recognizer: Recognizer, tmp_path: Path) -> None:
    path = tmp_path / "recognizer.safetensors"
    save_file({name: tensor.clone() for name, tensor in recognizer.state_dict().items()}, path)
    with pytest.raises(PoseglotError, match="no metadata of ours"):
        Predictor(tmp_path)
    save_file({"weight": torch.zeros(2)}, path, metadata={"poseglot": json.dumps({"format": "poseglot-checkpoint/2"})})
    with pytest.raises(PoseglotError, match="not a Poseglot recognizer"):
        Predictor(tmp_path)
