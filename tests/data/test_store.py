"""The packed store: what goes in comes out, damage is named, and a failed write leaves nothing behind."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import poseglot
from poseglot.data.benchmarks import load_benchmark
from poseglot.data.store import FORMAT, PackedStore, open_store, write_store
from poseglot.errors import FileError, InputError, NotFoundError, PoseglotError
from poseglot.files import load_array
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout
from poseglot.zips import load_arrays

pytestmark = pytest.mark.base

LAYOUT = load_layout("kinect20")
DEMO = load_benchmark("demo")
SHAPES = [(1, 5), (2, 3), (1, 1), (2, 9), (3, 4), (1, 12)]  # people, frames


def some_clips() -> list[Clip]:
    """Subjects 7, 8, 9, 10, 11 and 7: of the demo set's split, three are for training and three for testing."""
    rng = np.random.default_rng(1)
    return [
        Clip(
            rng.normal(size=(people, frames, 20, 3)).astype(np.float32),
            name=f"clip_{'x' * index}",
            label=index % 4 - 1,
            subject=7 + index % 5,
            camera=index + 1,
            setup=index * 10,
        )
        for index, (people, frames) in enumerate(SHAPES)
    ]


def write(path: Path, clips: list[Clip] | Iterator[Clip], *, overwrite: bool = False) -> PackedStore:
    return write_store(path, clips, benchmark=DEMO, layout=LAYOUT, source={"made": "by a test"}, overwrite=overwrite)


@pytest.fixture
def store(tmp_path: Path) -> PackedStore:
    return write(tmp_path / "store", iter(some_clips()))


# --- what goes in comes out ------------------------------------------------------------------------------------------------


def test_every_clip_comes_back_as_it_was(store: PackedStore, tmp_path: Path) -> None:
    for opened in (store, open_store(tmp_path / "store")):
        assert len(opened) == 6 and opened.max_persons == 3
        for index, clip in enumerate(some_clips()):
            again = opened[index]
            np.testing.assert_array_equal(again.joints, clip.joints)
            assert again.joints.dtype == np.float32
            for field in ("name", "label", "subject", "camera", "setup"):
                assert getattr(again, field) == getattr(clip, field)


def test_frames_stay_on_the_disk_and_clips_are_copies(store: PackedStore) -> None:
    assert isinstance(store.joints, np.memmap)
    assert store.joints.shape == (sum(people * frames for people, frames in SHAPES), 20, 3)
    taken = store[1].joints
    taken[:] = 0
    np.testing.assert_array_equal(store[1].joints, some_clips()[1].joints)


def test_description_comes_back(store: PackedStore, tmp_path: Path) -> None:
    info = open_store(tmp_path / "store").info
    assert (info.name, info.layout, info.pipeline) == ("demo", "kinect20", "nw-ucla")
    assert info.classes == DEMO.classes and info.splits == DEMO.splits and info.source == {"made": "by a test"}
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["clips.npy", "joints.npy", "store.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]


@pytest.mark.parametrize("indices", [[0, 1, 2, 3, 4, 5], [4], [2], [5, 1, 5], [2, 0]])
def test_batch_is_the_clips_side_by_side(store: PackedStore, indices: list[int]) -> None:
    clips = [store[index] for index in indices]
    joints, frames, num_persons = store.read_batch(indices)
    sizes = [max(clip.joints.shape[axis] for clip in clips) for axis in (0, 1)]
    assert joints.shape == (len(indices), *sizes, 20, 3) and joints.dtype == np.float32
    for row, clip in enumerate(clips):
        assert (num_persons[row], frames[row]) == clip.joints.shape[:2]
        for person in range(clip.joints.shape[0]):
            for frame in range(clip.joints.shape[1]):
                np.testing.assert_array_equal(joints[row, person, frame], clip.joints[person, frame])
    assert np.isfinite(joints).all()


def test_subsets_are_the_clips_that_the_rule_names(store: PackedStore) -> None:
    # Subjects in order: 7, 8, 9, 10, 11, 7.
    assert store.subset("cross-person", "train").tolist() == [0, 1, 5]
    assert store.subset("cross-person", "test").tolist() == [2, 3, 4]


def test_unknown_split_and_empty_subset_are_named(store: PackedStore, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"'cross-view'.*cross-person"):
        store.subset("cross-view", "train")
    with pytest.raises(NotFoundError, match=r"'val'.*train, test"):
        store.subset("cross-person", "val")
    only_training = write(tmp_path / "other", some_clips()[:2])
    with pytest.raises(InputError, match="'cross-person'"):
        only_training.subset("cross-person", "test")


def test_it_is_a_sequence_of_clips_and_says_what_it_is(store: PackedStore, tmp_path: Path) -> None:
    opened = poseglot.open_store(str(tmp_path / "store"))
    assert [clip.name for clip in opened] == [clip.name for clip in some_clips()] and opened[-1].name == "clip_xxxxx"
    assert opened.classes == DEMO.classes and opened.layout == LAYOUT
    for said in ("'demo'", "6 clips", "12 classes", "54 frames", "kinect20", "20x3 float32", "cross-person"):
        assert said in repr(opened)


def test_another_process_maps_the_file_again(store: PackedStore) -> None:
    sent = pickle.dumps(store)
    assert len(sent) < 500
    again = pickle.loads(sent)
    assert isinstance(again.joints, np.memmap)
    np.testing.assert_array_equal(again[4].joints, store[4].joints)
    changed = pickle.loads(pickle.dumps(PackedStore(store.info, store.clips, np.asarray(store.joints) + 1)))
    np.testing.assert_array_equal(changed.joints, np.asarray(store.joints) + 1)


# --- what is refused -------------------------------------------------------------------------------------------------------


def test_names_given_twice_are_refused(tmp_path: Path) -> None:
    clips = some_clips()
    with pytest.raises(InputError, match="clip_xx"):
        write(tmp_path / "store", [*clips, clips[2]])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("order", ["<", ">"])
def test_names_that_are_no_text_are_a_damaged_file(store: PackedStore, tmp_path: Path, order: str) -> None:
    """One flipped bit makes a character above the last one, of which Python cannot make text."""
    path = tmp_path / "texts.npy"
    np.save(path, np.array(["clip", "name"], dtype=f"{order}U4"))
    assert load_array(path).tolist() == ["clip", "name"]
    content = bytearray(path.read_bytes())
    content[-1 if order == "<" else -4] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(FileError):
        load_array(path)
    with zipfile.ZipFile(tmp_path / "texts.npz", "w") as archive:
        archive.write(path, "names.npy")
    with pytest.raises(FileError):
        load_arrays(tmp_path / "texts.npz", ["names"])
    table = np.load(store.path / "clips.npy")
    names = np.ascontiguousarray(table["name"])
    names.view(np.uint32)[-1] = 0x40000041
    table["name"] = names
    np.save(store.path / "clips.npy", table)
    with pytest.raises(FileError):
        open_store(store.path)


def test_nothing_to_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        write(tmp_path / "store", [])
    assert list(tmp_path.iterdir()) == []


def test_existing_folder_is_kept_unless_overwritten(store: PackedStore, tmp_path: Path) -> None:
    fewer = some_clips()[3:]
    with pytest.raises(FileError, match="--overwrite"):
        write(tmp_path / "store", fewer)
    assert len(open_store(tmp_path / "store")) == 6
    assert len(write(tmp_path / "store", fewer, overwrite=True)) == 3
    assert open_store(tmp_path / "store")[0].name == "clip_xxx"
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_failed_overwrite_keeps_the_old_store(store: PackedStore, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        write(tmp_path / "store", [], overwrite=True)
    np.testing.assert_array_equal(open_store(tmp_path / "store")[3].joints, some_clips()[3].joints)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("error", [PoseglotError, ValueError, KeyboardInterrupt, OSError])
def test_reader_that_fails_half_way_leaves_nothing(error: type[BaseException], tmp_path: Path) -> None:
    seen = []

    def failing() -> Iterator[Clip]:
        yield from some_clips()[:3]
        # The write has begun.
        seen.extend(path.name for path in tmp_path.iterdir())
        raise error("half-way")

    with pytest.raises(FileError if error is OSError else error, match="half-way"):
        write(tmp_path / "store", failing())
    assert seen and all(name.startswith(".store.") for name in seen)
    assert list(tmp_path.iterdir()) == []


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from poseglot.errors import PoseglotError
from poseglot.data.benchmarks import load_benchmark
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout
from poseglot.data.store import write_store

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
clips = [Clip(np.ones((1, 100, 20, 3), dtype=np.float32), name=str(number)) for number in range(10)]
try:
    write_store(Path(sys.argv[1]), clips, benchmark=load_benchmark("demo"), layout=load_layout("kinect20"), source={})
except PoseglotError as error:
    print(error)
"""


def test_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"{path}: File too large" in done.stdout
    assert list(tmp_path.iterdir()) == []


# --- damage ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["store.json", "clips.npy", "joints.npy"])
def test_missing_file_is_named(store: PackedStore, tmp_path: Path, name: str) -> None:
    (tmp_path / "store" / name).unlink()
    with pytest.raises(FileError, match=name):
        open_store(tmp_path / "store")


def test_folder_that_is_not_there_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="nowhere"):
        open_store(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["clips.npy", "joints.npy", "store.json"])
@pytest.mark.parametrize("kept", [0.3, 0.9, -1])
def test_truncated_file_is_damage(store: PackedStore, tmp_path: Path, name: str, kept: float) -> None:
    path = tmp_path / "store" / name
    content = path.read_bytes()
    # -1: only the last bytes are lost (for the JSON, its closing brace).
    path.write_bytes(content[: int(len(content) * kept)] if kept > 0 else content[:-2])
    with pytest.raises(FileError, match="damaged"):
        open_store(tmp_path / "store")


def edit_json(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        table = json.loads((folder / "store.json").read_text())
        change(table)
        (folder / "store.json").write_text(json.dumps(table))

    return edit


def drop_last_clip(folder: Path) -> None:
    np.save(folder / "clips.npy", np.load(folder / "clips.npy")[:-1])


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (edit_json(lambda table: table.update(format="poseglot-store/0")), FORMAT),
        (edit_json(lambda table: table.pop("format")), FORMAT),
        (edit_json(lambda table: table.pop("classes")), "damaged"),
        (edit_json(lambda table: table.pop("splits")), "damaged"),
        (edit_json(lambda table: table.update(more=1)), "damaged"),
        (lambda folder: (folder / "store.json").write_text("[]"), "damaged"),
        (lambda folder: (folder / "store.json").write_bytes(b"\xff\xfe"), "damaged"),
        (drop_last_clip, "54 rows"),
    ],
    ids=["older format", "no format", "no classes", "no splits", "unknown key", "a list", "not text", "table too short"],
)
def test_store_that_does_not_fit_together_is_refused(
    store: PackedStore, tmp_path: Path, damage: Callable[[Path], None], named: str
) -> None:
    damage(tmp_path / "store")
    with pytest.raises(FileError, match=named):
        open_store(tmp_path / "store")


def test_a_store_can_be_moved(store: PackedStore, tmp_path: Path) -> None:
    shutil.move(tmp_path / "store", tmp_path / "elsewhere")
    np.testing.assert_array_equal(open_store(tmp_path / "elsewhere")[4].joints, some_clips()[4].joints)


@pytest.mark.parametrize(
    ("shape", "label"),
    [((1, 4, 20, 2), 0), ((1, 4, 25, 3), 0), ((1, 4, 20, 3), 12), ((1, 4, 20, 3), -2)],
    ids=["other channels", "other joints", "label too high", "label too low"],
)
def test_clips_that_do_not_belong_together_are_refused(tmp_path: Path, shape: tuple[int, ...], label: int) -> None:
    odd = Clip(np.zeros(shape, dtype=np.float32), name="odd_one", label=label)
    with pytest.raises(InputError, match="odd_one"):
        write(tmp_path / "new", [*some_clips(), odd])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["clips.npy", "joints.npy"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY"], ids=["empty", "zip", "header only"])
def test_files_that_are_no_arrays_are_damage(store: PackedStore, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "store" / name).write_bytes(content)
    with pytest.raises(PoseglotError, match="damaged"):
        open_store(tmp_path / "store")


def test_arrays_of_another_kind_are_damage(store: PackedStore, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    table, joints = np.load(folder / "clips.npy"), np.load(folder / "joints.npy")
    for name, wrong in (("clips.npy", np.zeros(3)), ("joints.npy", joints.astype(np.float64)), ("joints.npy", joints[0])):
        right = (folder / name).read_bytes()
        np.save(folder / name, wrong)
        with pytest.raises(PoseglotError, match="damaged"):
            open_store(folder)
        (folder / name).write_bytes(right)
    table["offset"] += 1
    np.save(folder / "clips.npy", table)
    with pytest.raises(FileError, match="54 rows"):
        open_store(folder)


def test_content_hashes_are_equal_where_the_joints_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    joints = rng.normal(size=(2, 6, 20, 3)).astype(np.float32)
    other = joints.copy()
    other[1, 5, 19, 2] = np.nextafter(other[1, 5, 19, 2], np.float32(9))
    # The same numbers as another number of people and frames are another clip.
    clips = [Clip(array, name=str(n)) for n, array in enumerate((joints, other, joints, joints.reshape(1, 12, 20, 3)))]
    store = write_store(
        tmp_path / "store",
        clips,
        benchmark=load_benchmark("demo"),
        layout=load_layout("kinect20"),
        source={"synthetic": "here"},
    )
    first, changed, again, reshaped = store.content_hashes(np.arange(4)).tolist()
    assert first == again and len({first, changed, reshaped}) == 3
    assert store.content_hashes(np.array([2, 1])).tolist() == [again, changed]


@pytest.mark.parametrize(
    "change",
    [
        {"classes": [1, 2, 3]},
        {"classes": DEMO.classes[:1]},
        {"classes": DEMO.classes[:1] * len(DEMO.classes)},
        {"has_scores": "no"},
        {"layout": "ntu25"},
        {"layout": 3},
        {"pipeline": None},
        {"splits": {"a": {"train": {"subject": ["7"]}}}},
        {"splits": {"a": {"train": {"height": [7]}}}},
        {"splits": {"a": {"both": {"subject": [7]}}}},
        {"splits": []},
        {"more": 1},
    ],
    ids=str,
)
def test_a_description_that_lies_is_refused(store: PackedStore, change: dict[str, object]) -> None:
    assert store.path is not None
    path = store.path / "store.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(FileError):
        open_store(store.path)


@pytest.mark.parametrize("field", ["offset", "frames", "num_persons", "label"])
def test_a_table_that_lies_is_refused(store: PackedStore, field: str) -> None:
    assert store.path is not None
    for value in (-2, 0, 10**6):
        for row in (1, 3):
            table = np.array(store.clips)
            table[field][row] = value
            np.save(store.path / "clips.npy", table)
            if field == "label" and value == 0:
                open_store(store.path)
                continue
            with pytest.raises(FileError):
                open_store(store.path)
    table = np.array(store.clips)
    table["name"][1] = table["name"][0]
    np.save(store.path / "clips.npy", table)
    with pytest.raises(FileError):
        open_store(store.path)


def test_a_store_cut_short_under_its_reader_is_an_error(store: PackedStore) -> None:
    assert store.path is not None
    with (store.path / "joints.npy").open("r+b") as file:
        file.truncate(200)
    for read in (lambda: store[0], lambda: store.read_batch([0, 1]), lambda: store.content_hashes([0]), lambda: store.joints):
        with pytest.raises(FileError):
            read()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_coordinates_that_are_not_finite_are_refused(store: PackedStore, value: float, tmp_path: Path) -> None:
    """In writing, and where somebody changed the file, in reading one clip or a batch; the message names the clip."""
    clips = some_clips()
    clips[3].joints[0, 0, 0, 0] = value
    with pytest.raises(InputError, match=clips[3].name):
        write(tmp_path / "other", clips)
    joints = np.load(tmp_path / "store" / "joints.npy")
    joints[int(store.clips["offset"][2])] = value
    np.save(tmp_path / "store" / "joints.npy", joints)
    opened = open_store(tmp_path / "store")
    opened[1], opened.read_batch([0, 1])
    with pytest.raises(InputError, match=f"{opened.clips['name'][2]} "):
        opened[2]
    with pytest.raises(InputError, match=f"{opened.clips['name'][2]} "):
        opened.read_batch([0, 2, 1])


@pytest.mark.parametrize("label", [-2, 1000])
def test_labels_of_no_class_are_damage(store: PackedStore, label: int, tmp_path: Path) -> None:
    clips = np.load(tmp_path / "store" / "clips.npy")
    clips["label"][4] = label
    np.save(tmp_path / "store" / "clips.npy", clips)
    with pytest.raises(FileError, match=str(label)):
        open_store(tmp_path / "store")
