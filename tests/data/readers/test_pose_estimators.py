"""What pose estimators write, from samples in their documented forms: the right joints, in the coordinates of the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.data.prepare import CustomDataset, prepare
from poseglot.data.quality.issues import ClipError
from poseglot.data.readers import clip_files, guess_format, layout_of, read_clip
from poseglot.errors import PoseglotError
from poseglot.skeletons.layout import load_layout

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
FRAMES = 4


def poses(count: int, frames: int = FRAMES, seed: int = 0) -> Array:
    """Return (T, V, 3): a body that moves slowly over a picture, with scores."""
    rng = np.random.default_rng(seed)
    body = rng.uniform(100, 300, size=(count, 2)) + np.arange(frames)[:, None, None] * 2.0
    return np.concatenate([body, rng.uniform(0.2, 1, size=(frames, count, 1))], axis=-1).round(3)


def write(path: Path, table: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(table))


def openpose(path: Path, joints: Array) -> None:
    for number, frame in enumerate(joints):
        people = [{"person_id": [-1], "pose_keypoints_2d": frame.reshape(-1).tolist(), "face_keypoints_2d": []}]
        write(path / f"walk_{number:012d}_keypoints.json", {"version": 1.3, "people": people})


def alphapose(path: Path, joints: Array) -> None:
    rows = [
        {"image_id": f"{number}.jpg", "keypoints": frame.reshape(-1).tolist(), "score": 2.9, "box": [1, 2, 3, 4], "idx": 1}
        for number, frame in enumerate(joints)
    ]
    write(path.with_suffix(".json"), rows[::-1])


def alphapose_open(path: Path, joints: Array) -> None:
    table = {
        f"{number}.jpg": {"version": "AlphaPose v0.3", "people": [{"pose_keypoints_2d": frame.reshape(-1).tolist()}]}
        for number, frame in enumerate(joints)
    }
    write(path.with_suffix(".json"), table)


def coco(path: Path, joints: Array) -> None:
    rows = [
        {"image_id": number + 1, "category_id": 1, "keypoints": frame.reshape(-1).tolist(), "score": 0.9}
        for number, frame in enumerate(joints)
    ]
    write(path.with_suffix(".json"), rows)


def coco_labels(path: Path, joints: Array) -> None:
    rows = [
        {"id": number, "image_id": number, "track_id": 7, "keypoints": frame.reshape(-1).tolist(), "num_keypoints": 17}
        for number, frame in enumerate(joints)
    ]
    write(path.with_suffix(".json"), {"images": [{"id": number} for number in range(len(joints))], "annotations": rows})


def instances(joints: Array) -> list[dict[str, Any]]:
    return [
        {
            "frame_id": number,
            "instances": [
                {"keypoints": frame[:, :-1].tolist(), "keypoint_scores": frame[:, -1].tolist(), "bbox": [[1, 2, 3, 4]]}
            ],
        }
        for number, frame in enumerate(joints)
    ]


def mmpose(path: Path, joints: Array) -> None:
    write(path.with_suffix(".json"), instances(joints))


def mmpose_demo(path: Path, joints: Array) -> None:
    write(path.with_suffix(".json"), {"meta_info": {"dataset_name": "coco"}, "instance_info": instances(joints)})


def ultralytics(path: Path, joints: Array) -> None:
    frames = [
        [
            {
                "name": "person",
                "class": 0,
                "confidence": 0.9,
                "box": {"x1": 1.0},
                "track_id": 1,
                "keypoints": {"x": frame[:, 0].tolist(), "y": frame[:, 1].tolist(), "visible": frame[:, 2].tolist()},
            }
        ]
        for frame in joints
    ]
    write(path.with_suffix(".json"), frames)


def ultralytics_txt(path: Path, joints: Array) -> None:
    path.mkdir(parents=True)
    for number, frame in enumerate(joints):
        numbers = [0, 0.5, 0.5, 0.2, 0.4, *frame.reshape(-1).tolist(), 0.93, 1]
        (path / f"video_{number + 1}.txt").write_text(" ".join(map(str, numbers)) + "\n")


def rtmlib(path: Path, joints: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path.with_suffix(".npz"), keypoints=joints[:, None, :, :2], scores=joints[:, None, :, 2])


def movenet(path: Path, joints: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path.with_suffix(".npy"), joints[:, None, None][..., [1, 0, 2]])


Writer = Callable[[Path, Array], None]
# Name -> writer, number of keypoints, layout, joints that are kept, reader.
FORMS: dict[str, tuple[Writer, int, str, int, str]] = {
    "openpose-18": (openpose, 18, "openpose18", 18, "openpose"),
    "alphapose": (alphapose, 17, "coco17", 17, "alphapose"),
    "alphapose-26": (alphapose, 26, "halpe26", 26, "alphapose"),
    "alphapose-136": (alphapose, 136, "halpe26", 26, "alphapose"),
    "alphapose-open": (alphapose_open, 18, "openpose18", 18, "alphapose"),
    "coco": (coco, 17, "coco17", 17, "coco"),
    "coco-133": (coco, 133, "coco17", 17, "coco"),
    "coco-labels": (coco_labels, 17, "coco17", 17, "coco"),
    "mmpose": (mmpose, 17, "coco17", 17, "mmpose"),
    "mmpose-demo": (mmpose_demo, 133, "coco17", 17, "mmpose"),
    "ultralytics": (ultralytics, 17, "coco17", 17, "ultralytics"),
    "ultralytics-txt": (ultralytics_txt, 17, "coco17", 17, "ultralytics-txt"),
    "rtmlib": (rtmlib, 17, "coco17", 17, "rtmlib"),
    "rtmlib-26": (rtmlib, 26, "halpe26", 26, "rtmlib"),
    "movenet": (movenet, 17, "coco17", 17, "movenet"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_recording_is_read_by_its_content(form: str, tmp_path: Path) -> None:
    writer, count, layout, kept, _ = FORMS[form]
    joints = poses(count)
    writer(tmp_path / "walk", joints)
    (path,) = clip_files(tmp_path)[0]
    clip = read_clip(path)
    assert clip.has_scores and clip.name == ("walk" if path.name != tmp_path.name else tmp_path.name)
    np.testing.assert_allclose(clip.joints, joints[None, :, :kept], rtol=1e-6)
    assert layout_of(path) == load_layout(layout)
    np.testing.assert_allclose(read_clip(path, has_scores=False).joints, joints[None, :, :kept, :2], rtol=1e-6)
    np.testing.assert_allclose(read_clip(path, scale=0.5).joints[..., :2], joints[None, :, :kept, :2] / 2, rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_class_folders_are_a_data_set(form: str, tmp_path: Path) -> None:
    writer, count, layout, kept, name = FORMS[form]
    for number in range(6):
        writer(tmp_path / "set" / ("walk" if number % 2 else "sit") / f"clip{'abcdef'[number]}", poses(count, seed=number))
    assert guess_format([tmp_path / "set"]) == name
    made = prepare(name, source=tmp_path / "set", out=tmp_path / "store", custom=CustomDataset("mine"))
    assert (
        len(made.store) == 6 and not made.issues and made.store.info.classes == ("sit", "walk") and made.store.info.has_scores
    )
    assert made.store.info.layout == layout
    names = [str(name) for name in made.store.clips["name"]]
    assert names == ["sit/clipa", "sit/clipc", "sit/clipe", "walk/clipb", "walk/clipd", "walk/clipf"]
    np.testing.assert_allclose(made.store[3].joints, poses(count, seed=1)[None, :, :kept], rtol=1e-6)


def test_body_25_and_body_25b_are_told_apart(tmp_path: Path) -> None:
    """Both have 25 joints: in BODY_25 joint 8 is the middle of the hips."""
    joints = poses(25)
    joints[:, 8, :2] = (joints[:, 9, :2] + joints[:, 12, :2]) / 2
    joints[:, 1, :2] = (joints[:, 2, :2] + joints[:, 5, :2]) / 2
    openpose(tmp_path / "body25", joints)
    other = poses(25, seed=1)
    other[:, 17, :2] = (other[:, 5, :2] + other[:, 6, :2]) / 2
    openpose(tmp_path / "body25b", other)
    for name, wanted in (("body25", joints), ("body25b", other)):
        assert layout_of(tmp_path / name) == load_layout(name)
        np.testing.assert_allclose(read_clip(tmp_path / name).joints, wanted[None], rtol=1e-6)
    # Joints of another layout are found by name.
    coco = read_clip(tmp_path / "body25", "coco17")
    index = load_layout("body25").index
    np.testing.assert_allclose(coco.joints[0], joints[:, [index[joint] for joint in load_layout("coco17").joints]], rtol=1e-6)


def test_people_without_ids_are_tracked(tmp_path: Path) -> None:
    """Two people whose order in the frames changes; the second is absent from one frame."""
    one, two = poses(17), poses(17, seed=1) + np.array([600, 0, 0])
    rows = []
    for number in range(FRAMES):
        people = [one[number], two[number]][:: -1 if number % 2 else 1]
        people = [one[number]] if number == 2 else people
        rows += [
            {"image_id": number, "category_id": 1, "keypoints": person.reshape(-1).tolist(), "score": 1} for person in people
        ]
    write(tmp_path / "two.json", rows)
    joints = read_clip(tmp_path / "two.json").joints
    assert joints.shape == (2, FRAMES, 17, 3) and not joints[1, 2].any()
    np.testing.assert_allclose(joints[0], one, rtol=1e-6)
    np.testing.assert_allclose(joints[1, [0, 1, 3]], two[[0, 1, 3]], rtol=1e-6)


def test_ids_that_flicker_are_joined(tmp_path: Path) -> None:
    """A new id every two frames is one person."""
    joints = poses(17, frames=8)
    rows = [
        {"image_id": number, "category_id": 1, "keypoints": frame.reshape(-1).tolist(), "score": 1, "track_id": 1 + number // 2}
        for number, frame in enumerate(joints)
    ]
    write(tmp_path / "a.json", rows)
    np.testing.assert_allclose(read_clip(tmp_path / "a.json").joints, joints[None], rtol=1e-6)


def test_frames_without_anybody_stay_empty(tmp_path: Path) -> None:
    joints = poses(18)
    openpose(tmp_path / "walk", joints)
    write(tmp_path / "walk" / "walk_000000000001_keypoints.json", {"version": 1.3, "people": []})
    found = read_clip(tmp_path / "walk").joints
    assert found.shape == (1, FRAMES, 18, 3) and not found[0, 1].any()
    np.testing.assert_allclose(found[0, [0, 2, 3]], joints[[0, 2, 3]], rtol=1e-6)


def test_videos_in_one_folder_are_clips(tmp_path: Path) -> None:
    for name in ("first", "second"):
        openpose(tmp_path / name, poses(18, seed=len(name)))
        for path in (tmp_path / name).iterdir():
            path.rename(tmp_path / path.name.replace("walk", name))
        (tmp_path / name).rmdir()
    assert clip_files(tmp_path) == ([tmp_path / "first", tmp_path / "second"], [])
    np.testing.assert_allclose(read_clip(tmp_path / "second").joints, poses(18, seed=6)[None], rtol=1e-6)
    with pytest.raises(PoseglotError, match="first"):
        read_clip(tmp_path)


def test_mmpose_in_3d_is_human36m(tmp_path: Path) -> None:
    joints = np.random.default_rng(0).normal(size=(FRAMES, 17, 4)).round(4)
    mmpose(tmp_path / "a", joints)
    assert layout_of(tmp_path / "a.json") == load_layout("h36m17")
    np.testing.assert_allclose(read_clip(tmp_path / "a.json").joints[0], joints, rtol=1e-5)


# --- MediaPipe ---------------------------------------------------------------------------------------------------------------


def landmarks(frame: Array) -> list[dict[str, float]]:
    return [dict(zip(("x", "y", "z", "visibility"), map(float, row), strict=True)) for row in frame]


MEDIAPIPE: dict[str, Callable[[Array], Any]] = {
    "frames": lambda joints: [landmarks(frame) for frame in joints],
    "people": lambda joints: {"frames": [{"landmarks": [landmarks(frame)]} for frame in joints]},
    "pose_landmarks": lambda joints: [
        {"frame": number, "pose_landmarks": landmarks(frame), "pose_world_landmarks": landmarks(frame * 2)}
        for number, frame in enumerate(joints)
    ],
    "poseLandmarks": lambda joints: [
        {"poseLandmarks": landmarks(frame), "poseWorldLandmarks": landmarks(frame * 2)} for frame in joints
    ],
}


@pytest.mark.parametrize("form", MEDIAPIPE)
def test_mediapipe_landmarks(form: str, tmp_path: Path) -> None:
    joints = np.random.default_rng(0).uniform(size=(FRAMES, 33, 4)).round(5)
    write(tmp_path / "a.json", MEDIAPIPE[form](joints))
    clip = read_clip(tmp_path / "a.json")
    assert clip.has_scores and layout_of(tmp_path / "a.json") == load_layout("mediapipe33")
    np.testing.assert_allclose(clip.joints, joints[None], rtol=1e-6)
    world = 2 if form.endswith("andmarks") else 1
    np.testing.assert_allclose(read_clip(tmp_path / "a.json", num_dims=3).joints, world * joints[None], rtol=1e-6)
    np.testing.assert_allclose(read_clip(tmp_path / "a.json", num_dims=2).joints, joints[None][..., [0, 1, 3]], rtol=1e-6)


@pytest.mark.parametrize("names", ["number", "from-one", "name", "freemocap"])
def test_mediapipe_tables(names: str, tmp_path: Path) -> None:
    joints = np.random.default_rng(0).uniform(size=(FRAMES, 33, 3)).round(5)
    layout = load_layout("mediapipe33")
    header = {
        "number": [f"{axis}{joint}" for joint in range(33) for axis in "xyz"],
        "from-one": [f"{axis}{joint + 1}" for joint in range(33) for axis in "xyz"],
        "name": [f"{joint.upper()}_{axis}" for joint in layout.joints for axis in "xyz"],
        "freemocap": [f"body_{joint}_{axis}" for joint in layout.joints for axis in "xyz"],
    }[names]
    rows = [[f"{value:.5f}" for value in frame.reshape(-1)] for frame in joints]
    rows[1][3:6] = ["", "nan", ""]
    (tmp_path / "a.csv").write_text("\n".join(",".join(row) for row in [header, *rows]) + "\n")
    joints[1, 1] = 0
    np.testing.assert_allclose(read_clip(tmp_path / "a.csv").joints, joints[None], rtol=1e-6)
    assert layout_of(tmp_path / "a.csv") == layout


# --- DeepLabCut and SLEAP ------------------------------------------------------------------------------------------------------

PARTS = ("nose", "tail", "left_ear")


@pytest.mark.parametrize("animals", [(), ("one", "two")], ids=["one", "two"])
def test_deeplabcut_csv(animals: tuple[str, ...], tmp_path: Path) -> None:
    joints = np.random.default_rng(0).uniform(1, 100, size=(max(1, len(animals)), FRAMES, 3, 3)).round(3)
    columns = [(animal, part, channel) for animal in animals or ("",) for part in PARTS for channel in ("x", "y", "likelihood")]
    lines = ["scorer," + ",".join(["DLC"] * len(columns))]
    lines += ["individuals," + ",".join(column[0] for column in columns)] if animals else []
    lines += ["bodyparts," + ",".join(column[1] for column in columns), "coords," + ",".join(column[2] for column in columns)]
    for frame in range(FRAMES):
        lines.append(f"{frame}," + ",".join(f"{value:.3f}" for value in joints[:, frame].reshape(-1)))
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    np.testing.assert_allclose(read_clip(tmp_path / "a.csv").joints, joints, rtol=1e-5)


def test_deeplabcut_h5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    joints = np.random.default_rng(0).uniform(1, 100, size=(FRAMES, 3, 3))
    names = [("DLC", part, channel) for part in PARTS for channel in ("x", "y", "likelihood")]
    table = np.zeros(FRAMES, dtype=[("index", "i8"), ("values_block_0", "f8", (9,))])
    table["values_block_0"] = joints.reshape(FRAMES, 9)
    import pickle

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("df_with_missing/table", data=table)
        file["df_with_missing/table"].attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(names, 0))
    np.testing.assert_allclose(read_clip(tmp_path / "a.h5").joints, joints[None], rtol=1e-5)


def test_sleap_analysis(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    joints = np.random.default_rng(0).uniform(1, 100, size=(2, FRAMES, 3, 3))
    tracks = joints[..., :2].transpose(0, 3, 2, 1).copy()
    tracks[1, :, :, 2] = np.nan
    with h5py.File(tmp_path / "a.analysis.h5", "w") as file:
        file["tracks"] = tracks
        file["node_names"] = [part.encode() for part in PARTS]
        file["point_scores"] = joints[..., 2].transpose(0, 2, 1)
    joints[1, 2] = 0
    np.testing.assert_allclose(read_clip(tmp_path / "a.analysis.h5").joints, joints, rtol=1e-5)


def test_sleap_project(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    joints = np.random.default_rng(0).uniform(1, 100, size=(FRAMES, 3, 3))
    instance = np.zeros(
        FRAMES, dtype=[("instance_type", "u1"), ("track", "i4"), ("point_id_start", "u8"), ("point_id_end", "u8")]
    )
    instance["instance_type"], instance["track"] = 1, -1
    instance["point_id_start"], instance["point_id_end"] = np.arange(FRAMES) * 3, np.arange(FRAMES) * 3 + 3
    frame = np.zeros(FRAMES, dtype=[("frame_idx", "u4"), ("instance_id_start", "u8"), ("instance_id_end", "u8")])
    frame["frame_idx"], frame["instance_id_start"], frame["instance_id_end"] = (
        np.arange(FRAMES),
        np.arange(FRAMES),
        np.arange(FRAMES) + 1,
    )
    points = np.zeros(FRAMES * 3, dtype=[("x", "f8"), ("y", "f8"), ("visible", "?"), ("score", "f8")])
    points["x"], points["y"], points["score"] = joints.reshape(-1, 3).T
    with h5py.File(tmp_path / "a.slp", "w") as file:
        file["frames"], file["instances"], file["pred_points"], file["points"] = frame, instance, points, points[:0]
        file.create_group("metadata").attrs["json"] = json.dumps(
            {"nodes": [{"name": part} for part in PARTS], "skeletons": [{"nodes": [{"id": 0}, {"id": 1}, {"id": 2}]}]}
        )
    np.testing.assert_allclose(read_clip(tmp_path / "a.slp").joints, joints[None], rtol=1e-5)


# --- refusals ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "table",
    [[], {}, {"people": [{"pose_keypoints_2d": [1.0] * 45}]}, [{"image_id": 1, "keypoints": [1, 2]}],
     [{"image_id": 1, "keypoints": ["a"] * 51}], {"people": []}, [{"frame_id": 0, "instances": [{"keypoints": 3}]}], 7, "text"],
    ids=["list", "object", "mpi", "two", "words", "nobody", "instance", "number", "text"],
)  # fmt: skip
def test_other_json_is_refused(table: Any, tmp_path: Path) -> None:
    write(tmp_path / "a.json", table)
    with pytest.raises(ClipError, match=r"a\.json"):
        read_clip(tmp_path / "a.json")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "null"])
def test_a_clip_of_which_nothing_is_a_number_is_refused(value: str, tmp_path: Path) -> None:
    """A single joint may be missing; a clip may not."""
    joints = poses(17)
    coco(tmp_path / "a", joints)
    text = (tmp_path / "a.json").read_text()
    one = text.replace(str(joints[0, 0, 0]), value, 1)
    (tmp_path / "a.json").write_text(one)
    assert not read_clip(tmp_path / "a.json").joints[0, 0, 0].any() and read_clip(tmp_path / "a.json").joints[0, 1:].all()
    rows = json.loads(text)
    for row in rows:
        row["keypoints"] = ["?" if number % 3 == 0 else found for number, found in enumerate(row["keypoints"])]
    (tmp_path / "a.json").write_text(json.dumps(rows).replace('"?"', value))
    with pytest.raises(ClipError) as caught:
        read_clip(tmp_path / "a.json")
    assert caught.value.kind == "not finite"


@pytest.mark.parametrize("key", ["image_id", "track_id"])
@pytest.mark.parametrize("value", [{"a": 1}, [[1]], None, 1.5], ids=repr)
def test_names_of_another_kind_are_refused(key: str, value: Any, tmp_path: Path) -> None:
    coco(tmp_path / "a", poses(17))
    rows = json.loads((tmp_path / "a.json").read_text())
    for row in rows:
        row[key] = value
    (tmp_path / "a.json").write_text(json.dumps(rows))
    if key == "track_id" and value in (None, 1.5):
        assert read_clip(tmp_path / "a.json").joints.shape == (1, FRAMES, 17, 3)
        return
    with pytest.raises(PoseglotError):
        read_clip(tmp_path / "a.json")


@pytest.mark.parametrize("word", ["visibility", "v", "visibility_"])
def test_mediapipe_tables_keep_their_scores(word: str, tmp_path: Path) -> None:
    joints = poses(33)
    names = [f"{axis}{joint}" for joint in range(33) for axis in ("x", "y", word)]
    rows = [",".join(f"{value:.3f}" for value in frame.reshape(-1)) for frame in joints]
    (tmp_path / "a.csv").write_text("\n".join([",".join(names), *rows]))
    clip = read_clip(tmp_path / "a.csv", "mediapipe33", has_scores=True)
    assert clip.has_scores
    np.testing.assert_allclose(clip.joints[0], joints, rtol=1e-6)


def test_an_array_of_no_frames_is_refused(tmp_path: Path) -> None:
    for shape in ((0, 1, 17, 3), (0, 6, 56), (0, 1, 6, 56), (0, 1, 1, 17, 3)):
        np.save(tmp_path / "clip.npy", np.zeros(shape, dtype=np.float32))
        with pytest.raises(PoseglotError):
            read_clip(tmp_path / "clip.npy")
