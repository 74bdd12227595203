"""Files are predicted as they were read for training: columns, scale, skipped numbers, order of dimensions, whatever was said."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poseglot.app.cli import main
from poseglot.data.prepare import CustomDataset, prepare
from poseglot.data.readers import read_clip
from poseglot.data.readers.poses import Poses, write_poses
from poseglot.data.store import PackedStore
from poseglot.data.synthetic import make_clips
from poseglot.errors import PoseglotError, SettingError
from poseglot.inference import Predictor
from poseglot.models.recognizer import RecognizerSpec, load_recognizer, new_recognizer, save_recognizer
from poseglot.skeletons.layout import load_layout
from poseglot.training.build import build
from poseglot.training.recipe import DataRecipe, ModelRecipe, OptimRecipe, Recipe, TextRecipe

JOINTS = 20


def write(path: Path, array: npt.NDArray[Any], header: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        np.savetxt(path, array.reshape(len(array), -1), fmt="%.4f", delimiter=";" if path.suffix == ".csv" else " ", header=header,
                   comments="")  # fmt: skip


def predictor_of(store: PackedStore, folder: Path, **reading: Any) -> Predictor:
    """Return the predictor of an untrained recognizer, built as training builds it."""
    recipe = Recipe(
        DataRecipe(str(store.path), next(iter(store.info.splits))),
        model=ModelRecipe(base_channels=8),
        text=TextRecipe(prompt="none", partition="none"),
        optim=OptimRecipe(epochs=1, batch_size=2, drop_last=False, milestones=[]),
    )
    save_recognizer(build(recipe).task.recognizer, folder / "recognizer.safetensors")
    return Predictor(folder, device="cpu", reading=reading)


def files_of(source: Path, store: PackedStore) -> list[Path]:
    """Return the files of a store's clips, in its order."""
    found = {path.relative_to(source).with_suffix("").as_posix(): path for path in source.rglob("*.*")}
    return [found[name] for name in store.clips["name"].tolist()]


def assert_read_alike(predictor: Predictor, source: Path, store: PackedStore) -> None:
    for index, path in enumerate(files_of(source, store)):
        np.testing.assert_array_equal(predictor.read(path).clip.joints, store[index].joints)


@st.composite
def readings(draw: st.DrawFn) -> tuple[str, dict[str, Any], tuple[int, ...]]:
    """Return the ending of the files, what `prepare` is told, and the order in which an array (t, v, c) lies in them."""
    ending = draw(st.sampled_from([".txt", ".csv", ".npy"]))
    said: dict[str, Any] = {}
    order = "t,v,c"
    if ending == ".npy":
        order = draw(st.sampled_from(["t,v,c", "v,c,t", "c,v,t", "c,t,v"]))
    elif draw(st.booleans()):
        order = "tv,c"
    if order != "t,v,c" or draw(st.booleans()):
        said["dim_order"] = order if ending == ".npy" or order == "tv,c" else "t,vc"
    if draw(st.booleans()):
        said["columns"] = draw(st.sampled_from([(1, 2, 3), (1, 3, 2), (2, 3), (3, 1)]))
    if draw(st.booleans()):
        said["scale"] = draw(st.sampled_from([0.001, 0.5, 25.4]))
    if len(said.get("columns", "xyz")) == 3 and draw(st.booleans()):
        said["up"] = draw(st.sampled_from(["z", "-y", "x"]))
    if ending != ".npy":
        said["skip"] = draw(st.integers(0, 2))
    return ending, said, tuple("tvc".index(letter) for letter in order.replace(",", ""))


@settings(max_examples=20, deadline=None)
@given(reading=readings(), seed=st.integers(0, 99))
def test_trained_on_is_predicted(
    reading: tuple[str, dict[str, Any], tuple[int, ...]], seed: int, tmp_path_factory: Any
) -> None:
    """Whatever was said at `prepare`, a file of the training set has the same joints in prediction, to the last bit."""
    ending, said, axes = reading
    tmp_path, rng = tmp_path_factory.mktemp("reading"), np.random.default_rng(seed)
    source = tmp_path / "set"
    for number in range(6):
        channels = 4 if "columns" in said else 3
        array = rng.normal(size=(7 + number, JOINTS, channels)).round(4) + 0.5
        if ending == ".npy":
            array = array.transpose(axes)
        elif said.get("dim_order") == "tv,c":
            array = array.reshape(-1, channels)
        rows = array if ending == ".npy" else array.reshape(len(array), -1)
        if said.get("skip"):
            rows = np.concatenate([np.tile(np.arange(len(rows))[:, None], said["skip"]), rows], axis=1)
        write(source / ("walk" if number % 2 else "sit") / f"{number}{ending}", rows)
    custom = CustomDataset("mine", layout="kinect20", **said)
    store = prepare("npy" if ending == ".npy" else "txt", source=source, out=tmp_path / "store", custom=custom).store
    assert len(store) == 6
    assert_read_alike(predictor_of(store, tmp_path / "run"), source, store)


@pytest.fixture
def millimetres(tmp_path: Path) -> tuple[Path, PackedStore]:
    """Return a folder of rows `x y z confidence` in millimetres, and its store in metres without the confidence."""
    rng = np.random.default_rng(0)
    for number in range(6):
        rows = np.concatenate([rng.normal(size=(160, 3)) * 500, rng.integers(0, 2, size=(160, 1))], axis=1)
        write(tmp_path / "set" / ("walk" if number % 2 else "sit") / f"{number}.txt", rows)
    custom = CustomDataset("mine", layout="kinect20", columns=(1, 2, 3), scale=0.001)
    return tmp_path / "set", prepare("txt", source=tmp_path / "set", out=tmp_path / "store", custom=custom).store


def test_the_recognizer_says_how_its_clips_were_read(millimetres: tuple[Path, PackedStore], tmp_path: Path) -> None:
    source, store = millimetres
    predictor = predictor_of(store, tmp_path / "run")
    assert predictor.spec.reading == {"format": "txt", "columns": [1, 2, 3], "scale": 0.001, "dim_order": "tv,c"}
    assert load_recognizer(tmp_path / "run" / "recognizer.safetensors").spec.coordinates is not None
    assert_read_alike(predictor, source, store)


def test_what_is_said_comes_before_what_is_remembered(millimetres: tuple[Path, PackedStore], tmp_path: Path) -> None:
    source, store = millimetres
    predictor_of(store, tmp_path / "run")
    files = files_of(source, store)
    millimetre = Predictor(tmp_path / "run", device="cpu", reading={"scale": None}).read(files[0])
    np.testing.assert_allclose(millimetre.clip.joints, store[0].joints * 1000, rtol=1e-6)
    assert set(millimetre.warnings) == {"units"} and "0.001" in millimetre.warnings["units"]
    other = Predictor(tmp_path / "run", device="cpu", reading={"columns": "3,2,1"}).read(files[0]).clip.joints
    np.testing.assert_array_equal(other, store[0].joints[..., ::-1])


def test_files_of_another_format_are_read_as_they_are(millimetres: tuple[Path, PackedStore], tmp_path: Path) -> None:
    _, store = millimetres
    predictor = predictor_of(store, tmp_path / "run")
    np.save(tmp_path / "clip.npy", store[0].joints)
    np.testing.assert_array_equal(predictor.read(tmp_path / "clip.npy").clip.joints, store[0].joints)


@pytest.mark.parametrize(
    "reading",
    [{"scale": 0.0}, {"up": "north"}, {"scale": "x"}, {"columns": "0-2"}, {"columns": (1, 1)}, {"skip": -1},
     {"dim_order": 3}, {"axes": "tvc"},
     {"format": "xlsx"}],
    ids=repr,
)  # fmt: skip
def test_options_that_are_not_valid_are_refused(reading: dict[str, Any], run_folder: Path) -> None:
    with pytest.raises(SettingError):
        Predictor(run_folder, device="cpu", reading=reading)


def test_a_wide_table_is_read_by_its_names(tmp_path: Path) -> None:
    """The columns of a table lie in another order than the joints of the layout; prediction finds them by name, too."""
    layout, rng = load_layout("kinect20"), np.random.default_rng(1)
    order = rng.permutation(JOINTS)
    joints = {}
    for number in range(6):
        joints[number] = rng.normal(size=(5, JOINTS, 3)).round(3)
        header = ";".join(["frame", *(f"{layout.joints[index]}_{axis}" for index in order for axis in "xyz")])
        rows = np.concatenate([np.arange(5)[:, None], joints[number][:, order].reshape(5, -1)], axis=1)
        write(tmp_path / "set" / ("walk" if number % 2 else "sit") / f"{number}.csv", rows, header)
    custom = CustomDataset("mine", layout="kinect20", scale=2.0)
    store = prepare("txt", source=tmp_path / "set", out=tmp_path / "store", custom=custom).store
    predictor = predictor_of(store, tmp_path / "run")
    assert_read_alike(predictor, tmp_path / "set", store)
    first = int(Path(store.clips["name"][0]).stem)
    np.testing.assert_allclose(store[0].joints[0], 2 * joints[first], rtol=1e-6)


def test_predict_and_batches_read_alike(
    millimetres: tuple[Path, PackedStore], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command line, one by one and in a batch, gives the scores of the store's clips."""
    source, store = millimetres
    predictor = predictor_of(store, tmp_path / "run")
    expected = predictor.predict_proba([store[index] for index in range(len(store))])
    files = [str(path) for path in files_of(source, store)]
    assert main(["predict", str(tmp_path / "run"), *files, "--json", "--device", "cpu"]) == 0
    rows = json.loads(capsys.readouterr().out)
    found = [{score["action"]: score["probability"] for score in row["scores"]} for row in rows]
    np.testing.assert_allclose([[row[name] for name in predictor.classes] for row in found], expected, rtol=1e-5)
    assert not any("warnings" in row for row in rows)
    assert (
        main(["predict", str(tmp_path / "run"), *files, "--engine", "local", "--out", str(tmp_path / "batch"), "--scale", "1"])
        == 0
    )
    lines = [json.loads(line) for line in (tmp_path / "batch" / "shard-000000.jsonl").read_text().splitlines()]
    assert all("warnings" in line for line in lines)


def test_an_export_reads_alike(millimetres: tuple[Path, PackedStore], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    source, store = millimetres
    predictor = predictor_of(store, tmp_path / "run")
    assert main(["export", str(tmp_path / "run")]) == 0
    exported = Predictor(tmp_path / "run" / "recognizer.onnx")
    assert exported.spec.reading == predictor.spec.reading and exported.spec.coordinates == predictor.spec.coordinates
    assert_read_alike(exported, source, store)


def test_recognizers_without_such_notes_are_read(tmp_path: Path) -> None:
    """As they were written before there were any."""
    spec = RecognizerSpec("kinect20", ("a", "b"), encoder_kwargs={"base_channels": 8})
    save_recognizer(new_recognizer(replace(spec, reading=None), seed=0), tmp_path / "recognizer.safetensors")
    predictor = Predictor(tmp_path, device="cpu")
    body = next(iter(make_clips(persons=1, cameras=1, repeats=1))).joints
    assert predictor.predict(body)[0].warnings == {}
    # What no body is like needs no training clips to be compared with.
    assert set(predictor.predict(body[:, :, ::-1])[0].warnings) == {"order"}


def test_joints_with_names_of_their_own_are_mapped(shared: Path, run_folder: Path, tmp_path: Path) -> None:
    """Motion capture in BVH, whose names are those of bones."""
    with zipfile.ZipFile(shared / "data" / "bandai" / "bandai-2-subset.zip") as archive:
        name = next(name for name in sorted(archive.namelist()) if name.endswith(".bvh"))
        file = Path(archive.extract(name, tmp_path))
    prediction = Predictor(run_folder, device="cpu").predict(file)[0]
    assert prediction.mapping is not None
    made = {joint.joint: joint for joint in prediction.mapping.joints}
    assert made["left_knee"].how == "copied" and made["left_wrist"].how == "copied"


def test_poses_are_scaled_as_in_training(tmp_path: Path) -> None:
    rng, layout = np.random.default_rng(0), load_layout("coco17")
    for number in range(6):
        pixels, confidence = rng.uniform(1, 300, (1, 8, 17, 2)), rng.uniform(0.5, 1, (1, 8, 17))
        poses = Poses(layout, pixels.astype(np.float32), confidence.astype(np.float32), 30.0, (640, 480), None)
        write_poses(poses, tmp_path / "set" / ("walk" if number % 2 else "sit") / f"{number}.npz")
    custom = CustomDataset("mine", scale=0.25, has_scores=True)
    store = prepare("poses", source=tmp_path / "set", out=tmp_path / "store", custom=custom).store
    assert_read_alike(predictor_of(store, tmp_path / "run"), tmp_path / "set", store)


def test_coordinates_whose_z_points_up_are_turned(run_folder: Path, tmp_path: Path) -> None:
    """Without `up` the recognizer warns, and names it; with it, the clip is that of a sensor whose y points up."""
    standing = np.zeros((6, JOINTS, 3), np.float32)
    standing[:] = np.random.default_rng(0).normal(size=(JOINTS, 3)) * 0.1
    layout = load_layout("kinect20")
    for part, height in (("head", 0.8), ("foot", -0.9), ("leg", -0.6)):
        standing[:, [layout.index[joint] for joint in layout.parts[part]], 1] += height
    np.save(tmp_path / "up_y.npy", standing)
    np.save(tmp_path / "up_z.npy", np.stack([-standing[..., 0], standing[..., 2], standing[..., 1]], axis=-1))
    recognizer = load_recognizer(run_folder / "recognizer.safetensors")
    trained = {"num_dims": 3, "size": [0.1, 10.0], "depth": 0.01, "up": ["+y"]}
    recognizer.spec = replace(recognizer.spec, coordinates=trained)
    save_recognizer(recognizer, tmp_path / "recognizer.safetensors")
    as_it_is = Predictor(tmp_path, device="cpu").predict([tmp_path / "up_z.npy"])[0]
    assert any("--up z" in warning for warning in as_it_is.warnings.values())
    turned = Predictor(tmp_path, device="cpu", reading={"up": "z"})
    assert "--up" not in turned.predict([tmp_path / "up_y.npy"])[0].warnings["up"]  # what it would name was turned already
    assert "--up" not in Predictor(tmp_path, device="cpu").predict([np.load(tmp_path / "up_z.npy")])[0].warnings["up"]
    np.testing.assert_allclose(turned.read(tmp_path / "up_z.npy").clip.joints[0], standing, atol=1e-6)
    assert "up" not in turned.predict([tmp_path / "up_z.npy"])[0].warnings
    np.save(tmp_path / "flat.npy", standing[..., :2])
    with pytest.raises(PoseglotError):
        read_clip(tmp_path / "flat.npy", layout, up="z")
    frontal = read_clip(tmp_path / "up_z.npy", layout, up="z", num_dims=2).joints  # turned, and then flattened
    np.testing.assert_allclose(frontal[0], standing[..., :2], atol=1e-6)


def test_a_wide_table_of_another_skeleton_is_mapped(run_folder: Path, tmp_path: Path) -> None:
    """OpenNI's fifteen joints, which end at hands and feet."""
    sides = [f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "hand", "hip", "knee", "foot")]
    names = ["head", "neck", "torso", *sides]
    joints = np.random.default_rng(0).normal(size=(9, 15, 3)).round(4)
    header = ";".join(f"{name}_{axis}" for name in names for axis in "xyz")
    write(tmp_path / "openni.csv", joints, header)
    loaded = Predictor(run_folder, device="cpu").read(tmp_path / "openni.csv")
    assert loaded.mapping is not None
    made = dict(zip(loaded.mapping.target.joints, loaded.clip.joints[0].transpose(1, 0, 2), strict=True))
    for joint, source in (("left_ankle", "left_foot"), ("right_wrist", "right_hand"), ("spine", "torso"), ("head", "head")):
        np.testing.assert_allclose(made[joint], joints[:, names.index(source)], rtol=1e-6)


@pytest.mark.parametrize("path", ["", None, 5, "x" * 5000, "a\0b"], ids=["empty", "none", "number", "long", "null"])
def test_what_is_no_path_is_refused(path: Any, run_folder: Path) -> None:
    from poseglot.data import read_clip

    with pytest.raises(PoseglotError):
        read_clip(path)
    with pytest.raises(PoseglotError):
        Predictor(run_folder, device="cpu").read(path)


def test_unlike_clips_are_answered_with_a_warning_that_is_logged_once(
    millimetres: tuple[Path, PackedStore], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, store = millimetres
    predictor = predictor_of(store, tmp_path / "run")
    clips = [replace(store[index], joints=store[index].joints * np.float32(1000)) for index in range(4)]
    for _ in range(2):
        predictions = predictor.predict(clips)
        assert all(set(prediction.warnings) == {"units"} and prediction.scores for prediction in predictions)
    assert [record.getMessage().count("3 more clips") for record in caplog.records] == [1]
    assert all("--scale" in row["warnings"][0] for row in (prediction.table() for prediction in predictions))
    assert not predictor.predict([store[0]])[0].warnings
