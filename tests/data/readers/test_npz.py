"""CTR-GCN's arrays: streamed row by row, exact, and every way a file can be wrong."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.readers.npz import stored_rows
from poseglot.errors import FileError, SettingError
from tests.data.readers.opened import read_set

pytestmark = pytest.mark.base

Arrays = dict[str, np.ndarray[Any, Any]]


def make_arrays(train: int = 5, test: int = 3, classes: int = 60, frames: int = 300) -> Arrays:
    """Clips of one and two people, padded with zeros as CTR-GCN pads them."""
    rng = np.random.default_rng(4)
    arrays: Arrays = {}
    for subset, count in (("train", train), ("test", test)):
        x = np.zeros((count, frames, 2, 25, 3), dtype=np.float32)
        for number, row in enumerate(x):
            length = int(rng.integers(1, frames + 1))
            row[:length, : 1 + number % 2] = rng.normal(size=(length, 1 + number % 2, 25, 3))
        arrays[f"x_{subset}"] = x.reshape(count, frames, 150)
        arrays[f"y_{subset}"] = np.eye(classes)[rng.integers(classes, size=count)]
    return arrays


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "NTU60_CS.npz"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_rows_are_those_of_the_arrays(save: Callable[..., None], path: Path) -> None:
    arrays = make_arrays()
    save(path, **arrays)
    rows = list(stored_rows(path))
    assert [subset for subset, _, _ in rows] == ["train"] * 5 + ["test"] * 3
    for place, (subset, label, row) in enumerate(rows):
        number = place if subset == "train" else place - 5
        assert row.dtype == np.float32 and row.shape == (300, 150)
        np.testing.assert_array_equal(row, arrays[f"x_{subset}"][number])
        assert arrays[f"y_{subset}"][number, label] == 1


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", ">f4"])
def test_clips_are_the_rows_without_their_padding(dtype: str, path: Path) -> None:
    arrays = make_arrays()
    arrays = {name: array.astype(dtype) if name[0] == "x" else array for name, array in arrays.items()}
    np.savez(path, **arrays)
    read = read_set("npz", path)
    assert not read.issues and [clip.name for clip in read.clips[4:7]] == ["train-000004", "test-000000", "test-000001"]
    for clip in read.clips:
        subset, number = clip.name.split("-")
        row = arrays[f"x_{subset}"][int(number)].reshape(300, 2, 25, 3)
        length = max(frame for frame in range(300) if row[frame].any()) + 1
        assert clip.joints.shape == (1 + int(number) % 2, length, 25, 3)
        for person, joints in enumerate(clip.joints):
            np.testing.assert_array_equal(joints, row[:length, person].astype(np.float32))
        assert clip.label == arrays[f"y_{subset}"][int(number)].argmax()


def test_set_is_ntus_centred_and_split_as_given(path: Path) -> None:
    np.savez(path, **make_arrays())
    benchmark = (read := read_set("npz", path)).source.benchmark
    assert benchmark.layout == "ntu25" and benchmark.pipeline == "ntu" and benchmark.classes == load_benchmark("ntu60").classes
    assert benchmark.expected == {"train": 5, "test": 3}
    for subset in ("train", "test"):
        named = [clip.name for clip in read.clips if clip.name.startswith(subset)]
        assert list(benchmark.splits["as-given"][subset]["name"]) == named


def test_zero_frames_inside_and_a_lone_second_person_stay(path: Path) -> None:
    arrays = make_arrays()
    arrays["x_train"][1, :4] = 0
    arrays["x_train"][1, 4:, :75] = 0
    np.savez(path, **arrays)
    clip = read_set("npz", path).clips[1]
    assert clip.joints.shape[0] == 2 and not clip.joints[0].any() and not clip.joints[:, :4].any() and clip.joints[1, 4].all()


@pytest.mark.parametrize(
    ("classes", "expected"), [(120, load_benchmark("ntu120").classes), (3, ("class 0", "class 1", "class 2"))]
)
def test_class_names_follow_from_the_width_of_y(classes: int, expected: tuple[str, ...], path: Path) -> None:
    np.savez(path, **make_arrays(classes=classes))
    assert read_set("npz", path).classes == expected
    names = [f"mine {number}" for number in range(classes)]
    assert read_set("npz", path, classes=names).classes == tuple(names)
    with pytest.raises(SettingError, match=rf"{classes}"):
        read_set("npz", path, classes=["a", "b"])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_memory_holds_one_row_and_not_the_array(save: Callable[..., None], path: Path) -> None:
    save(path, **make_arrays(train=150, test=50))  # 36 MB
    tracemalloc.start()
    try:
        assert sum(1 for _ in stored_rows(path)) == 200
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3e6


# --- a row that is wrong ---------------------------------------------------------------------------------------------------


def spoil(arrays: Arrays, how: str) -> None:
    if how == "nan":
        arrays["x_train"][1, 7, 80] = np.nan
    elif how == "zero":
        arrays["x_train"][1] = 0
    elif how == "no label":
        arrays["y_train"][1] = 0
    elif how == "two labels":
        arrays["y_train"][1] = 0
        arrays["y_train"][1, 4:6] = 1
    else:
        arrays["y_train"][1] *= 0.5


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("nan", "not finite"),
        ("zero", "empty"),
        ("no label", "malformed"),
        ("two labels", "malformed"),
        ("half a label", "malformed"),
    ],
)
def test_a_bad_row_is_a_fault_and_the_others_are_read(how: str, kind: str, path: Path) -> None:
    arrays = make_arrays()
    spoil(arrays, how)
    np.savez(path, **arrays)
    read = read_set("npz", path)
    assert len(read.clips) == 7 and list(read.issues) == ["train-000001"]
    assert read.issues["train-000001"].kind == kind and "train-000001" in read.issues["train-000001"].message
    labels = [label for _, label, _ in stored_rows(path)]
    assert labels.count(-1) == (kind == "malformed")


# --- a file that is wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"x_test": None}, ""),
        ({"y_train": None}, ""),
        ({"x_train": np.zeros((5, 300, 149), np.float32)}, r"\(5, 300, 149\)"),
        ({"x_train": np.zeros((5, 3, 300, 25, 2), np.float32)}, r"\(5, 3, 300, 25, 2\)"),
        ({"x_train": np.zeros((5, 300, 150), np.int32)}, r"\(5, 300, 150\)"),
        ({"y_train": np.zeros((4, 60))}, r"\(4, 60\)"),
        ({"y_train": np.zeros(5)}, r"\(5,\)"),
        ({"y_test": np.eye(61)[:3]}, "60"),
        ({"x_train": np.array([None])}, ""),
        ({"y_train": np.full((5, 60), "x")}, ""),
        ({"x_train": np.asfortranarray(np.ones((5, 300, 150), np.float32))}, ""),
    ],
)
def test_arrays_of_another_form_are_refused(changed: dict[str, Any], match: str, path: Path) -> None:
    arrays = {name: array for name, array in {**make_arrays(), **changed}.items() if array is not None}
    np.savez(path, **arrays)
    with pytest.raises(FileError, match=match):
        read_set("npz", path)


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99, 0.9999])
def test_a_file_cut_short_is_refused(kept: float, path: Path) -> None:
    np.savez(path, **make_arrays())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    for read in (lambda: read_set("npz", path), lambda: list(stored_rows(path))):
        with pytest.raises(FileError, match=r"NTU60_CS\.npz"):
            read()


def test_what_is_no_zip_or_not_there_is_refused(path: Path) -> None:
    with pytest.raises(FileError, match=r"NTU60_CS\.npz"):
        read_set("npz", path)
    np.save(path.with_suffix(".npy"), np.zeros(3))
    with pytest.raises(FileError):
        read_set("npz", path.with_suffix(".npy"))


def rewritten(path: Path, said: int, held: int, method: int = zipfile.ZIP_STORED) -> None:
    """The file again, with an x_train whose header says `said` rows and which holds `held`."""
    arrays = make_arrays()
    arrays["y_train"] = arrays["y_train"][:said]
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            if name == "x_train":
                header = np.lib.format.header_data_from_array_1_0(array) | {"shape": (said, 300, 150)}
                np.lib.format.write_array_header_1_0(buffer, header)
                buffer.write(array[:held].tobytes()[: held * 180_000])
            else:
                np.save(buffer, array)
            archive.writestr(f"{name}.npy", buffer.getvalue())


@pytest.mark.parametrize(("said", "held", "match"), [(5, 4, "4"), (4, 5, "4")])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_array_that_is_not_as_long_as_it_says_is_refused(said: int, held: int, match: str, method: int, path: Path) -> None:
    rewritten(path, said, held, method)
    with pytest.raises(FileError, match=match):
        list(stored_rows(path))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_rows_are_noticed(save: Callable[..., None], path: Path) -> None:
    save(path, **make_arrays())
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("x_test.npy")
    content = bytearray(path.read_bytes())
    for place in range(8):
        content[member.header_offset + member.compress_size // 2 + place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(FileError):
        list(stored_rows(path))


def test_a_header_of_nonsense_is_refused(path: Path) -> None:
    for header in (b"", b"\x93NUMPY\x01\x00\x05\x00abcde", b"\x93NUMPY\x09\x00", b"no array"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x_train.npy", header)
            archive.writestr("y_train.npy", header)
        with pytest.raises(FileError, match=r"NTU60_CS\.npz"):
            list(stored_rows(path))
