"""PYSKL's pickles: what the field shares, what is wrong in some, and a store given out and taken back."""

from __future__ import annotations

import collections
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.readers.pyskl import write_pyskl
from poseglot.data.store import PackedStore, open_store, write_store
from poseglot.errors import FileError, PoseglotError, SettingError
from poseglot.skeletons.layout import load_layout
from tests.data.own import own_clips, own_layout
from tests.data.readers.opened import Read, read_set

pytestmark = pytest.mark.base

RNG = np.random.default_rng(8)


def seen(name: str, label: int, people: int = 1, frames: int = 6, joints: int = 17, **changed: Any) -> dict[str, Any]:
    """An annotation as PYSKL writes it for what a pose estimator saw in a video."""
    return {
        "frame_dir": name,
        "label": label,
        "img_shape": (1080, 1920),
        "original_shape": (1080, 1920),
        "total_frames": frames,
        "keypoint": (RNG.uniform(1, 1000, size=(people, frames, joints, 2))).astype(np.float16),
        "keypoint_score": RNG.uniform(size=(people, frames, joints)).astype(np.float16),
    } | changed


def tracked(name: str, label: int, people: int = 1, frames: int = 5) -> dict[str, Any]:
    """An annotation as PYSKL writes it for what Kinect tracked."""
    keypoint = RNG.normal(size=(people, frames, 25, 3)).astype(np.float16)
    return {"frame_dir": name, "label": label, "keypoint": keypoint, "total_frames": frames}


def pickled(folder: Path, annotations: Any, split: Any = None, pipeline: int = 4) -> Path:
    path = folder / "set.pkl"
    path.write_bytes(pickle.dumps({"split": split or {}, "annotations": annotations}, pipeline))
    return path


def subset(read: Read, split: str, name: str) -> list[Any]:
    """The clips that a rule names."""
    return list(read.source.benchmark.splits[split][name]["name"])


# --- what the field shares -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pipeline", range(pickle.HIGHEST_PROTOCOL + 1))
def test_poses_of_videos_are_read_with_their_scores(pipeline: int, tmp_path: Path) -> None:
    annotations = [seen("jump/v1", 0, people=2), seen("jump/v2", 0, frames=1), seen("run/v3", 2, frames=40)]
    read = read_set("pyskl", pickled(tmp_path, annotations, {"train": ["jump/v1"], "val": ["jump/v2", "run/v3"]}, pipeline))
    assert not read.issues and read.source.has_scores
    assert read.source.layout == load_layout("coco17") and read.source.benchmark.pipeline == "image"
    assert read.classes == ("class 0", "class 1", "class 2")
    for clip, annotation in zip(read.clips, annotations, strict=True):
        assert (clip.name, clip.label, clip.subject) == (annotation["frame_dir"], annotation["label"], 0)
        assert clip.joints.dtype == np.float32
        np.testing.assert_array_equal(clip.joints[..., :2], annotation["keypoint"])
        np.testing.assert_array_equal(clip.joints[..., 2], annotation["keypoint_score"])
    assert subset(read, "as-given", "train") == ["jump/v1"] and subset(read, "as-given", "test") == ["jump/v2", "run/v3"]
    assert read.source.benchmark.expected == {"train": 1, "test": 2}


@pytest.mark.parametrize(("highest", "benchmark"), [(60, "ntu60"), (61, "ntu120"), (120, "ntu120")])
def test_ntu_names_tell_classes_people_and_cameras(highest: int, benchmark: str, tmp_path: Path) -> None:
    names = {"S001C002P003R002A050": 49, f"S032C003P106R001A{highest:03d}": highest - 1}
    split = {"xsub_train": list(names)[:1], "xsub_val": list(names)[1:], "xset_train": [], "xset_val": list(names)}
    read = read_set("pyskl", pickled(tmp_path, [tracked(name, label, people=2) for name, label in names.items()], split))
    assert read.classes == load_benchmark(benchmark).classes
    assert read.source.layout.name == "ntu25" and read.source.benchmark.pipeline == "metric" and not read.source.has_scores
    first, second = read.clips
    assert (first.subject, first.camera, first.setup, first.label) == (3, 2, 1, 49)
    assert (second.subject, second.camera, second.setup) == (106, 3, 32)
    assert list(read.source.benchmark.splits) == ["xsub", "xset"]
    assert subset(read, "xsub", "test") == [f"S032C003P106R001A{highest:03d}"] and subset(read, "xset", "train") == []
    assert read.source.benchmark.expected == {"train": 1, "test": 1}


def test_labels_other_than_ntus_keep_no_class_names_of_it(tmp_path: Path) -> None:
    """Twenty classes of NTU, numbered anew, as in one-shot sets."""
    annotations = [tracked("S001C001P001R001A013", 0), tracked("S001C001P001R001A007", 1)]
    assert read_set("pyskl", pickled(tmp_path, annotations)).classes == ("class 0", "class 1")
    given = read_set("pyskl", pickled(tmp_path, annotations), classes=["tear up paper", "throw", "a class without clips"])
    assert given.labels() == {"S001C001P001R001A013": "tear up paper", "S001C001P001R001A007": "throw"}


def test_people_who_are_zero_throughout_are_dropped(tmp_path: Path) -> None:
    empty_second, empty_first, empty = tracked("a", 0, people=2), tracked("b", 0, people=2), tracked("c", 0)
    empty_second["keypoint"][1] = 0
    empty_first["keypoint"][0] = 0
    empty_second["keypoint"][0, 2] = 0  # a frame in which nobody was seen stays
    empty["keypoint"][:] = 0
    read = read_set("pyskl", pickled(tmp_path, [empty_second, empty_first, empty]))
    np.testing.assert_array_equal(read.clips[0].joints, empty_second["keypoint"][:1])
    np.testing.assert_array_equal(read.clips[1].joints, empty_first["keypoint"][1:])
    assert read.issues["c"].kind == "empty"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["train", "test"], ["as-given"]),
        (["train1", "test1", "train2", "test2", "train3", "val3"], ["as-given-1", "as-given-2", "as-given-3"]),
        (["xsub_train", "xsub_val", "xview_train", "xview_test", "odd"], ["xsub", "xview"]),
        (["a_b_train", "a_b_val", "a_b_test"], ["a_b"]),
        (["Train", "testing"], ["as-given"]),
        (["XSub_training", "XSub-validation"], ["XSub"]),
        ([], ["by-clip"]),
    ],
)
def test_names_of_splits_become_pairs(keys: list[str], expected: list[str], tmp_path: Path) -> None:
    annotations = [seen(f"v{number}", 0) for number in range(10)]
    split = {key: [f"v{place}"] for place, key in enumerate(keys)}
    read = read_set("pyskl", pickled(tmp_path, annotations, split))
    assert list(read.source.benchmark.splits) == expected
    if "a_b_test" in keys:
        assert subset(read, "a_b", "test") == ["v2"]  # the test set, where there is one beside the validation side
    if expected == ["by-clip"]:
        assert read.source.benchmark.expected == {"train": 8, "test": 2}


def test_without_splits_ntus_people_are_held_out_and_a_bare_list_is_read(tmp_path: Path) -> None:
    annotations = [tracked(f"S001C001P{1 + number % 8:03d}R{1 + number // 8:03d}A001", 0) for number in range(16)]
    path = tmp_path / "old.pkl"
    path.write_bytes(pickle.dumps(annotations))
    read = read_set("pyskl", path)
    rule = read.source.benchmark.splits["by-subject"]
    assert len(rule["test"]["subject"]) == 2 and len(rule["train"]["subject"]) == 6 and len(read.clips) == 16


def test_other_joints_need_a_layout(tmp_path: Path) -> None:
    path = pickled(tmp_path, [seen("a", 0, joints=26)])
    with pytest.raises(SettingError, match="26"):
        read_set("pyskl", path)
    with pytest.raises(SettingError, match="26"):
        read_set("pyskl", path, layout=load_layout("coco17"))
    assert read_set("pyskl", path, layout=load_layout("halpe26")).clips[0].joints.shape == (1, 6, 26, 3)


# --- what is wrong in some -------------------------------------------------------------------------------------------------


def without(key: str) -> dict[str, Any]:
    annotation = seen("bad", 0)
    del annotation[key]
    return annotation


def with_nan() -> dict[str, Any]:
    annotation = seen("bad", 0)
    annotation["keypoint"][0, 3, 4, 1] = np.nan
    return annotation


@pytest.mark.parametrize(
    ("annotation", "kind", "message"),
    [
        (seen("good", 0), "duplicate", "`frame_dir`"),
        (seen("bad", 0, total_frames=9), "cut short", "`total_frames`"),
        (seen("bad", 0, total_frames=2), "malformed", "`total_frames`"),
        (seen("bad", 0, joints=18), "joint count", "18"),
        (seen("bad", 0, frames=0), "empty", ""),
        (with_nan(), "not finite", "0"),
        (without("keypoint_score"), "malformed", "`keypoint_score`"),
        (seen("bad", 0, keypoint_score=np.zeros((1, 6, 16))), "malformed", "`keypoint_score`"),
        (seen("bad", 0, keypoint_score=[0.5]), "malformed", "`keypoint`"),
        (without("keypoint"), "malformed", "`keypoint`"),
        (seen("bad", 0, keypoint=np.zeros((2, 3)), keypoint_score=np.zeros(2)), "malformed", r"\(2, 4\)"),
        (seen("bad", 0, keypoint=np.full((1, 6, 17, 2), "x")), "malformed", ""),
        (
            seen("bad", 0) | {"keypoint": np.ones((1, 6, 17, 3))},
            "malformed",
            "4",
        ),
        (without("label"), "malformed", "`frame_dir`"),
        (seen("bad", -1), "malformed", "`frame_dir`"),
        (seen("bad", 0) | {"label": "jump"}, "malformed", "`frame_dir`"),
        (seen("bad", 10**9), "malformed", "`frame_dir`"),
        (seen("", 0), "malformed", "`frame_dir`"),
        ("nonsense", "malformed", "`frame_dir`"),
    ],
)
def test_a_bad_annotation_is_a_fault_and_the_others_are_read(annotation: Any, kind: str, message: str, tmp_path: Path) -> None:
    read = read_set("pyskl", pickled(tmp_path, [seen("good", 0), annotation, seen("more", 1), seen("last", 1)]))
    assert [clip.name for clip in read.clips] == ["good", "more", "last"]
    ((name, fault),) = read.issues.items()
    assert name == (annotation["frame_dir"] if isinstance(annotation, dict) and annotation["frame_dir"] else "annotation 1")
    assert fault.kind == kind and fault.origin == str(tmp_path / "set.pkl")
    with pytest.raises(PoseglotError, match=message):
        raise PoseglotError(fault.message)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"split": {}}, "`annotations`"),
        ({"annotations": []}, ""),
        ([], ""),
        ("text", ""),
        ({"annotations": [seen("a", 0)], "split": ["train"]}, ""),
        ({"annotations": [{"frame_dir": "a"}]}, "`frame_dir`"),
        ({"annotations": [{"frame_dir": "a", "label": 0, "raw_file": "a.pkl"}]}, "`keypoint`"),
    ],
)
def test_a_pickle_of_another_form_is_refused(content: Any, match: str, tmp_path: Path) -> None:
    (tmp_path / "set.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(FileError, match=match):
        read_set("pyskl", tmp_path / "set.pkl")


def test_too_few_class_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="4"):
        read_set("pyskl", pickled(tmp_path, [seen("a", 4)]), classes=["one", "two"])


# --- a store given out and taken back --------------------------------------------------------------------------------------


def same_clips(read: Read, store: PackedStore) -> None:
    assert not read.issues and len(read.clips) == len(store)
    for place, clip in enumerate(read.clips):
        expected = store[place]
        assert (clip.name, clip.label, clip.has_scores) == (expected.name, expected.label, expected.has_scores)
        np.testing.assert_array_equal(clip.joints, expected.joints)


def test_a_store_comes_back_as_it_was(small_store: PackedStore, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "out.pkl"
    write_pyskl(small_store, path)
    read = read_set("pyskl", path, layout=load_layout("kinect20"), classes=small_store.info.classes)
    same_clips(read, small_store)
    (split,) = small_store.info.splits
    for name in ("train", "test"):
        assert subset(read, split, name) == small_store.clips["name"][small_store.subset(split, name)].tolist()
    # And once more by way of a store, whose splits are now lists of names.
    again = write_store(
        tmp_path / "store", read.clips, benchmark=read.source.benchmark, layout=read.source.layout, source=read.source.described
    )
    for name in ("train", "test"):
        np.testing.assert_array_equal(again.subset(split, name), small_store.subset(split, name))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_scores_and_several_people_come_back(dtype: Any, small_store: PackedStore, tmp_path: Path) -> None:
    benchmark = load_benchmark("demo")
    write_store(
        tmp_path / "store",
        own_clips(small_store),
        benchmark=benchmark,
        layout=own_layout(),
        source={},
        has_scores=True,
        dtype=dtype,
    )
    store = open_store(tmp_path / "store")
    write_pyskl(store, tmp_path / "out.pkl")
    same_clips(read_set("pyskl", tmp_path / "out.pkl", layout=own_layout()), store)


def test_what_is_written_is_what_pyskl_reads(small_store: PackedStore, tmp_path: Path) -> None:
    path = tmp_path / "out.pkl"
    write_pyskl(small_store, path)
    content = path.read_bytes()
    assert content[:2] == b"\x80\x04"  # protocol 4
    table = pickle.loads(content)
    assert list(table) == ["split", "annotations"] and list(table["split"]) == ["cross-person_train", "cross-person_val"]
    assert len(table["annotations"]) == len(small_store) and type(table["annotations"]) is list
    for place, annotation in enumerate(table["annotations"]):
        clip = small_store[place]
        assert set(annotation) == {"frame_dir", "label", "total_frames", "keypoint"} and type(annotation) is dict
        assert annotation["keypoint"].dtype == np.float32 and annotation["keypoint"].flags.writeable
        assert type(annotation["label"]) is int and type(annotation["frame_dir"]) is str
        assert annotation["total_frames"] == clip.joints.shape[1]
        np.testing.assert_array_equal(annotation["keypoint"], clip.joints)


def test_no_name_of_numpy_2_is_written(small_store: PackedStore, tmp_path: Path) -> None:
    """Older versions of numpy, which many who use PYSKL have, do not know numpy._core."""
    write_pyskl(small_store, tmp_path / "out.pkl")
    names = {
        argument.split(" ")[0]
        for opcode, argument, _ in pickletools.genops((tmp_path / "out.pkl").read_bytes())
        if opcode.name == "GLOBAL"
    }
    assert names == {"numpy", "numpy.core.multiarray"}


def test_a_disk_that_refuses_leaves_the_old_file(
    small_store: PackedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.pkl"
    path.write_text("old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(PoseglotError, match=r"out\.pkl"):
        write_pyskl(small_store, path)
    assert path.read_text() == "old" and [file.name for file in tmp_path.iterdir()] == ["out.pkl"]


@pytest.mark.parametrize(
    "container", [list, tuple, set, np.array, np.asarray], ids=["list", "tuple", "set", "array", "asarray"]
)
@pytest.mark.parametrize("indices", [False, True], ids=["names", "indices"])
@pytest.mark.parametrize("keys", [("train", "val"), ("training", "testing"), ("xsub_train", "xsub_test")], ids="-".join)
def test_splits_in_any_container(container: Any, indices: bool, keys: tuple[str, str], tmp_path: Path) -> None:
    annotations = [seen(f"v{number}", 0) for number in range(6)]
    ids: list[Any] = list(range(6)) if indices else [f"v{number}" for number in range(6)]
    path = tmp_path / "set.pkl"
    path.write_bytes(
        pickle.dumps({"split": {keys[0]: container(ids[:4]), keys[1]: container(ids[4:])}, "annotations": annotations})
    )
    read = read_set("pyskl", path)
    (name,) = read.source.benchmark.splits
    assert sorted(subset(read, name, "train")) == ["v0", "v1", "v2", "v3"] and sorted(subset(read, name, "test")) == [
        "v4",
        "v5",
    ]


@pytest.mark.parametrize(
    "split",
    [{"xsub_train": ["v0"], "x_val": ["v1"]}, {"train": [], "val": []}, {"train": ["v0"]}, {"train": "v0", "val": ["v1"]},
     {"train": [0, 9], "val": [1]}, {"train": ["elsewhere"], "val": ["v1"]}, {"train": [0.5], "val": [1]}],
    ids=["no-pair", "empty", "one-side", "text", "index", "unknown", "fraction"],
)  # fmt: skip
def test_a_split_that_cannot_be_read_is_refused(split: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"set\.pkl"):
        read_set("pyskl", pickled(tmp_path, [seen("v0", 0), seen("v1", 0)], split))


def test_a_clip_in_both_subsets_is_noted(tmp_path: Path) -> None:
    annotations = [seen(f"v{number}", 0) for number in range(4)]
    read = read_set("pyskl", pickled(tmp_path, annotations, {"train": ["v0", "v1", "v2"], "val": ["v2", "v3"]}))
    assert any("1 clips" in note and "v2" in note for note in read.source.notes)


@pytest.mark.parametrize("kind", ["defaultdict", "capitals", "score axis"])
def test_other_forms_of_the_same(kind: str, tmp_path: Path) -> None:
    table: Any = {"split": {"train": ["v0"], "val": ["v1"]}, "annotations": [seen("v0", 0), seen("v1", 1)]}
    wanted = [annotation["keypoint_score"] for annotation in table["annotations"]]
    if kind == "defaultdict":
        table = collections.defaultdict(list, table, split=collections.defaultdict(list, table["split"]))
    elif kind == "capitals":
        table = {
            "Split": table["split"],
            "Annotations": [{key.title(): value for key, value in each.items()} for each in table["annotations"]],
        }
    else:
        for annotation in table["annotations"]:
            annotation["keypoint_score"] = annotation["keypoint_score"][..., None]
    path = tmp_path / "set.pkl"
    path.write_bytes(pickle.dumps(table))
    read = read_set("pyskl", path)
    assert not read.issues and list(read.source.benchmark.splits) == ["as-given"]
    for clip, score in zip(read.clips, wanted, strict=True):
        np.testing.assert_array_equal(clip.joints[..., 2], score)
