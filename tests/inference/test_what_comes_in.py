"""The predictor's door and what else it gives: one clip or many, folders, other layouts, features, temperature, unknown."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import poseglot
from poseglot.errors import FileError, InputError, NotFoundError, PoseglotError, SettingError
from poseglot.evaluation.temperature import Calibration
from poseglot.files import sha256_of
from poseglot.inference import Prediction, Predictor
from poseglot.models.fuse import fuse
from poseglot.models.recognizer import Recognizer, RecognizerSpec, new_recognizer, save_recognizer
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import Layout, load_layout
from poseglot.skeletons.mapping import map_layout
from poseglot.transforms import apply_pipeline

evaluation_input = partial(apply_pipeline, modality="joint")

KINECT = load_layout("kinect20")


@pytest.fixture(scope="module")
def predictor(run_folder: Path) -> Predictor:
    return poseglot.load(run_folder, device="cpu")


def first(predictions: Sequence[Prediction]) -> list[tuple[str, str, float]]:
    """Name, action and probability of each, for comparisons."""
    return [(p.name, p.scores[0].action, round(p.scores[0].probability, 6)) for p in predictions]


# --- one clip or many ------------------------------------------------------------------------------------------------------


def test_importing_poseglot_loads_nothing() -> None:
    command = "import sys, poseglot; print({'torch', 'numpy', 'yaml'} & set(sys.modules), poseglot.load.__name__)"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["set()", "load"]


def test_a_single_clip_is_a_list_of_one(predictor: Predictor, clips: Sequence[Clip], tmp_path: Path) -> None:
    clip = clips[1]
    np.save(tmp_path / "clip.npy", clip.joints)
    (wanted,) = predictor.predict([clip])
    for single in (
        clip,
        clip.joints,
        clip.joints[0],
        torch.from_numpy(clip.joints),
        tmp_path / "clip.npy",
        str(tmp_path / "clip.npy"),
    ):
        (found,) = predictor.predict(single)
        assert [score.action for score in found.scores] == [score.action for score in wanted.scores]
        assert found.scores[0].probability == pytest.approx(wanted.scores[0].probability)
    both = np.stack([clip.joints[:, :9], clips[2].joints[:, :9]])
    assert first(predictor.predict(both)) == first(predictor.predict(list(both)))


def test_a_folder_is_its_clips_and_what_else_is_there_is_named(
    predictor: Predictor, clips: Sequence[Clip], tmp_path: Path
) -> None:
    for name, clip in (("b.npy", clips[0]), ("deeper/c.npy", clips[1]), ("a.NPY", clips[2]), (".hidden.npy", clips[3])):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        with (tmp_path / name).open("wb") as file:
            np.save(file, clip.joints)
    (tmp_path / "notes.txt").write_text("seen on Monday")
    with pytest.warns(UserWarning, match=r"1 files of .* are no clips: notes\.txt"):
        found = predictor.predict(tmp_path)
    assert [prediction.name for prediction in found] == ["a", "b", "c"]
    assert [p.action for p in found] == [p.action for p in predictor.predict([clips[2], clips[0], clips[1]])]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError):
        predictor.predict([clips[0], tmp_path / "empty"])


def test_a_store_among_clips_is_not_taken_for_clips(predictor: Predictor, store_path: Path, tmp_path: Path) -> None:
    shutil.copytree(store_path, tmp_path / "data" / "store")
    for given in (tmp_path, tmp_path / "data" / "store"):  # its joints.npy would be one long clip, and get an answer
        with pytest.raises(PoseglotError, match="--engine"):
            predictor.predict(given)
    with pytest.raises(PoseglotError, match=r"export-clip"):
        predictor.read(tmp_path / "data" / "store")


# --- other layouts ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_layout() -> Layout:
    """Fifteen of Kinect v1's joints in another order: without hands and feet, and without the middle of the hips."""
    left_out = {"left_hand", "right_hand", "left_foot", "right_foot", "hip_centre"}
    joints = tuple(joint for joint in reversed(KINECT.joints) if joint not in left_out)
    bones = {c: p for c, p in KINECT.bones.items() if not {c, p} & left_out} | {"left_hip": "spine", "right_hip": "spine"}
    mirror = {left: right for left, right in KINECT.mirror.items() if left not in left_out}
    parts = {part: tuple(j for j in names if j not in left_out) for part, names in KINECT.parts.items()}
    return Layout("small", joints, bones, mirror, "spine", parts)


def test_clips_of_another_layout_are_mapped(
    predictor: Predictor, clips: Sequence[Clip], small_layout: Layout, tmp_path: Path
) -> None:
    """The joints that are left, copied; the others made by hand here."""
    few = clips[0].joints[:, :, [KINECT.index[joint] for joint in small_layout.joints]]
    whole = clips[0].joints.copy()
    place = KINECT.index
    whole[:, :, place["hip_centre"]] = (whole[:, :, place["left_hip"]] + whole[:, :, place["right_hip"]]) / 2
    for end, near in (("hand", "wrist"), ("foot", "ankle")):
        for subset in ("left", "right"):
            whole[:, :, place[f"{subset}_{end}"]] = whole[:, :, place[f"{subset}_{near}"]]
    (wanted,) = predictor.predict(whole)
    np.save(tmp_path / "clip.npy", few)
    for clip in (few, Clip(few, name="clip 0"), tmp_path / "clip.npy"):
        (found,) = predictor.predict(clip, layout=small_layout)
        assert found.mapping is not None and found.mapping.source is small_layout
        for one, other in zip(found.scores, wanted.scores, strict=True):
            assert (one.action, one.probability) == (other.action, pytest.approx(other.probability, rel=1e-4))
    assert wanted.mapping is None
    with pytest.raises(PoseglotError, match="clip 0: 20 joints in a frame, but the layout has 15"):
        predictor.predict(whole, layout=small_layout)
    coordinates = replace(small_layout, name="faceless", joints=small_layout.joints)
    assert predictor.mapping(coordinates) is not None


def test_a_layout_without_a_head_is_refused(predictor: Predictor, clips: Sequence[Clip]) -> None:
    bare = Layout(
        "bare",
        ("hip", "left_hip"),
        {"left_hip": "hip"},
        {},
        "hip",
        {**dict.fromkeys(KINECT.parts, ()), "hip": ("hip", "left_hip")},
    )
    with pytest.raises(PoseglotError, match=r"bare cannot be mapped to kinect20: there is nothing to make .*head"):
        predictor.predict(np.zeros((1, 4, 2, 3)), layout=bare)


def test_real_clips_of_kinect_v1_are_known_by_their_format(shared: Path, tmp_path: Path) -> None:
    """NW-UCLA's files to a recognizer of COCO's joints."""
    spec = RecognizerSpec("coco17", ("a", "b", "c"), encoder_kwargs={"base_channels": 8}, pipeline="metric")
    recognizer = new_recognizer(spec, seed=0).eval()
    save_recognizer(recognizer, tmp_path / "recognizer.safetensors")
    name = "a05_s04_e02_v03"
    with zipfile.ZipFile(shared / "data" / "nw-ucla" / "all_sqe.zip") as archive:
        (tmp_path / f"{name}.json").write_bytes(archive.read(f"all_sqe/{name}.json"))
    joints = np.array(json.loads((tmp_path / f"{name}.json").read_text())["skeletons"], dtype=np.float32)[None]
    mapping = map_layout(KINECT, load_layout("coco17"))
    mapped = mapping.apply(joints)
    place = load_layout("coco17").index
    np.testing.assert_array_equal(mapped[:, :, place["left_knee"]], joints[:, :, KINECT.index["left_knee"]])
    np.testing.assert_array_equal(mapped[:, :, place["right_ear"]], joints[:, :, KINECT.index["head"]])
    view = evaluation_input(mapped, pipeline="metric", layout="coco17")
    with torch.no_grad():
        probabilities = recognizer(torch.from_numpy(view)[None])["logits"].softmax(dim=1)[0]
    (found,) = Predictor(tmp_path, device="cpu").predict(tmp_path / f"{name}.json", top=3)
    assert found.mapping is not None and found.mapping.report() == mapping.report()
    assert {a.action: a.probability for a in found.scores} == pytest.approx(
        dict(zip("abc", probabilities.tolist(), strict=True)), rel=1e-3
    )


# --- features --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("people", [1, 2])
def test_features_times_classifier_are_the_logits(build: Callable[..., Recognizer], people: int) -> None:
    # In double precision: in single some features of a network with such weights differ in the third digit, whoever adds.
    recognizer = build(people=people).double()
    x = torch.rand(3, people, 52, 20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(people)) * 2 - 1
    ready = fuse(recognizer)
    with torch.no_grad():
        joints = ready.joint_features(x)
        wanted = recognizer.encoder(x).mean(dim=(1, 2))
        logits = recognizer(x)["logits"]
    torch.testing.assert_close(joints, wanted, rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(ready.classify(joints.mean(dim=1)), ready(x), rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(
        joints.mean(dim=1) @ recognizer.classifier.weight.T + recognizer.classifier.bias, logits, rtol=1e-7, atol=1e-7
    )


def test_features_of_parts_are_what_the_heads_see(predictor: Predictor, recognizer: Recognizer, clips: Sequence[Clip]) -> None:
    """Each level's head maps its features to those that were aligned with text."""
    features = predictor.features(clips[:3], batch_size=2)
    assert list(features) == ["global", "head", "hand", "hip", "foot"] == list(predictor.levels)
    with torch.no_grad():
        inputs = np.stack([evaluation_input(clip.joints, pipeline="nw-ucla") for clip in clips[:3]])
        alignment = recognizer(torch.from_numpy(inputs))["alignment"]
        for level, expected in alignment.items():
            found = recognizer.heads[f"{level}_head"](torch.from_numpy(features[level]))
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_without_text_features_are_of_the_six_parts(tmp_path: Path, clips: Sequence[Clip]) -> None:
    spec = RecognizerSpec("kinect20", ("a", "b"), encoder_kwargs={"base_channels": 8})
    save_recognizer(new_recognizer(spec, seed=0), tmp_path / "recognizer.safetensors")
    features = poseglot.load(tmp_path, device="cpu").features(clips[0])
    assert list(features) == ["global", "head", "hand", "arm", "hip", "leg", "foot"]
    assert {rows.shape for rows in features.values()} == {(1, 32)}


def test_probabilities_are_those_of_predict_in_the_order_of_the_classes(predictor: Predictor, clips: Sequence[Clip]) -> None:
    rows = predictor.predict_proba(clips, batch_size=3)
    assert rows.shape == (len(clips), len(predictor.classes))
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-12)
    for row, prediction in zip(rows, predictor.predict(clips, top=12, batch_size=3), strict=True):
        assert {score.action: score.probability for score in prediction.scores} == pytest.approx(
            dict(zip(predictor.classes, row, strict=True))
        )
    assert predictor.predict_proba([]).shape == (0, len(predictor.classes))


def test_the_repr_says_what_it_is(predictor: Predictor) -> None:
    assert "ctr-gcn" in repr(predictor) and "kinect20" in repr(predictor) and "12 classes" in repr(predictor)


# --- temperature and unknown -----------------------------------------------------------------------------------------------


def calibrated(recognizer: Recognizer, folder: Path, temperature: float) -> Path:
    save_recognizer(recognizer, folder / "recognizer.safetensors")
    of = sha256_of(folder / "recognizer.safetensors")
    nothing = dict.fromkeys(("ece", "nll", "nll_of_left_out", "brier", "interval"), (0.0, 0.0))
    made = Calibration(
        temperature,
        how="by hand",
        unsupported_reason="",
        groups=2,
        unit="people",
        clips=1,
        bins=15,
        set_thresholds={},
        set_coverage={},
        runs=(),
        recognizer=of,
        **nothing,
    )
    return made.write(folder)


def test_a_temperature_softens_and_keeps_the_order(
    recognizer: Recognizer, predictor: Predictor, clips: Sequence[Clip], tmp_path: Path
) -> None:
    calibrated(recognizer, tmp_path, 2.5)
    soft = poseglot.load(tmp_path, device="cpu")
    assert soft.temperature == 2.5
    for mine, other in zip(soft.predict(clips, top=12), predictor.predict(clips, top=12), strict=True):
        powers = {score.action: score.probability ** (1 / 2.5) for score in other.scores}
        expected = {action: power / sum(powers.values()) for action, power in powers.items()}
        assert {a.action: a.probability for a in mine.scores} == pytest.approx(expected, rel=1e-4)
        assert [score.action for score in mine.scores] == [score.action for score in other.scores]


def test_the_calibration_of_another_recognizer_is_refused(
    build: Callable[..., Recognizer], recognizer: Recognizer, tmp_path: Path
) -> None:
    path = calibrated(recognizer, tmp_path, 2.5)
    save_recognizer(build(seed=1), tmp_path / "recognizer.safetensors")
    with pytest.raises(FileError, match=r"calibration\.json"):
        Predictor(tmp_path)
    for content, said in (
        ("{", "JSONDecodeError"),
        ('{"temperature": 1}', "recognizer"),
        ('{"temperature": -1, "recognizer": ""}', "above 0"),
    ):
        path.write_text(content)
        with pytest.raises(FileError, match=said):
            Predictor(tmp_path)


def test_below_the_threshold_the_answer_is_unknown(run_folder: Path, predictor: Predictor, clips: Sequence[Clip]) -> None:
    sure = predictor.predict(clips)
    assert not any(prediction.unknown for prediction in sure)
    chances = sorted(prediction.scores[0].probability for prediction in sure)
    between = (chances[2] + chances[3]) / 2
    careful = poseglot.load(run_folder, device="cpu", threshold=between).predict(clips)
    assert sum(prediction.unknown for prediction in careful) == 3
    for one, other in zip(careful, sure, strict=True):
        assert one.scores == other.scores
        assert one.action == ("unknown" if other.scores[0].probability < between else other.action)
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(SettingError):
            poseglot.load(run_folder, threshold=wrong)
    with pytest.raises(NotFoundError, match="'jax'"):
        poseglot.load(run_folder, engine="jax")
