"""Pickles of strangers: what data needs is read, whatever else they ask for is refused before it happens."""

from __future__ import annotations

import builtins
import collections
import contextlib
import functools
import importlib
import operator
import os
import pickle
import re
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.data.readers.unpickle import PickledArray, _Dtype, load_plain, parse_plain
from poseglot.errors import FileError, PoseglotError

PIPELINES = range(pickle.HIGHEST_PROTOCOL + 1)
SQUARE = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def loaded(content: bytes, folder: Path) -> Any:
    path = folder / "set.pkl"
    path.write_bytes(content)
    return load_plain(path)


# --- what data needs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4", "<i8", ">i2", "u1", "?"])
def test_arrays_of_every_protocol_are_the_ones_that_were_written(pipeline: int, dtype: str, tmp_path: Path) -> None:
    array = (SQUARE * 100).astype(dtype)
    arrays = [array, array.T, array.transpose(1, 0, 2), array[:, ::2], array[:0], array[0, 0, 0], np.asfortranarray(array)]
    read = loaded(pickle.dumps(arrays, pipeline), tmp_path)
    assert len(read) == len(arrays)
    for pickled, expected in zip(read, arrays, strict=True):
        if isinstance(expected, np.ndarray):
            np.testing.assert_array_equal(pickled.array(), expected)
            assert pickled.array().dtype == expected.dtype
        else:
            assert type(pickled) is type(expected.item()) and pickled == expected.item()


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_containers_text_and_numbers_are_read_as_they_are(pipeline: int, tmp_path: Path) -> None:
    shape = (1080, 1920)
    table = {
        "split": collections.OrderedDict(xsub_train=["a", "b"], xsub_val=[]),
        "annotations": [{"shape": shape, "again": shape, "true": True, "none": None, "bytes": b"\xff\x00", "empty": b""}] * 2,
        "numbers": [0, -1, 255, 256, 2**40, -(2**80), 1.5, float("inf")],
        "text": ["", "é 骨", "a\nb"],
    }
    assert loaded(pickle.dumps(table, pipeline), tmp_path) == table


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_numpy_scalars_become_python_numbers(pipeline: int, tmp_path: Path) -> None:
    scalars = [np.float32(0.5), np.int64(-7), np.bool_(True), np.str_("S001é"), np.bytes_(b"ab")]
    assert loaded(pickle.dumps(scalars, pipeline), tmp_path) == [0.5, -7, True, "S001é", b"ab"]


def test_both_names_of_numpys_module_are_known(tmp_path: Path) -> None:
    content = pickle.dumps(SQUARE, 2)
    old = content.replace(b"numpy._core.", b"numpy.core.")
    new = content.replace(b"numpy.core.", b"numpy._core.")
    assert old != new
    for variant in (old, new):
        np.testing.assert_array_equal(loaded(variant, tmp_path).array(), SQUARE)


def test_an_array_of_python_2_is_read(tmp_path: Path) -> None:
    """As numpy's pickles look there: text and array bytes are the same kind of string."""
    raw = np.array([1.5, -2.0], dtype="<f4").tobytes()
    content = (
        b"\x80\x02}U\x04namecnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(K\x02t"
        b"cnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08" + raw + b"tbs."
    )
    np.testing.assert_array_equal(loaded(content, tmp_path)["name"].array(), [1.5, -2.0])


# --- what it does not need -------------------------------------------------------------------------------------------------


class Trap:
    """Unpickling it calls something."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.called = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.called

    def __call__(self) -> None:
        """What calling it makes can be called in turn; pickle wants to see that."""


@pytest.fixture
def caught(tmp_path: Path) -> Path:
    """A file that the traps would write."""
    return tmp_path / "caught"


def traps(caught: Path) -> dict[str, Any]:
    write = f"open({str(caught)!r}, 'w').close()"
    return {
        "posix.system": Trap(os.system, f"touch {caught}"),
        "builtins.eval": Trap(eval, write),
        "builtins.exec": Trap(exec, write),
        "builtins.getattr": Trap(Trap(getattr, np.ndarray, "tofile"), SQUARE, str(caught)),
        "subprocess.check_output": Trap(subprocess.check_output, ["touch", str(caught)]),
        "importlib.import_module": Trap(importlib.import_module, "antigravity"),
        "operator.attrgetter": Trap(Trap(operator.attrgetter, "tofile"), SQUARE),
        "functools.partial": functools.partial(os.system, f"touch {caught}"),
        "io.open": Trap(builtins.open, str(caught), "w"),
        "pathlib.PosixPath": caught,
        "pickle.loads": Trap(pickle.loads, pickle.dumps(Trap(os.system, f"touch {caught}"))),
        "numpy.load": Trap(np.load, str(caught), None, True),
        "numpy.memmap": Trap(np.memmap, str(caught), "f4", "w+", 0, (4,)),
        "numpy.fromfile": Trap(np.fromfile, "/etc/hostname", "u1"),
        "numpy.frombuffer": Trap(np.frombuffer, b"1234"),
        "numpy.ndarray called": Trap(np.ndarray, (10**12,)),
        "builtins.bytearray": bytearray(b"copies"),
        "_codecs.decode": Trap(__import__("_codecs").decode, b"x", "zip"),
        "encoded as": Trap(__import__("_codecs").encode, "x", "rot13"),
    }


@pytest.mark.parametrize("pipeline", [0, 2, 4])
@pytest.mark.parametrize("name", list(traps(Path("x"))))
def test_a_function_is_refused_by_name_and_not_called(name: str, pipeline: int, caught: Path, tmp_path: Path) -> None:
    content = pickle.dumps({"annotations": [SQUARE, traps(caught)[name]]}, pipeline, fix_imports=False)
    with pytest.raises(FileError, match=rf"{re.escape(name)}"):
        loaded(content, tmp_path)
    assert not caught.exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_sets_and_default_dictionaries_are_data(protocol: int, tmp_path: Path) -> None:
    plain = {"a": {1, 2}, "b": collections.defaultdict(list, c=[3])}
    assert loaded(pickle.dumps(plain, protocol), tmp_path) == plain


def test_the_trap_works_where_pickles_are_trusted(caught: Path) -> None:
    pickle.loads(pickle.dumps(traps(caught)["posix.system"]))
    assert caught.exists()


HAND_MADE = {
    "a dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
    "an instance in the old way": b"(S'touch CAUGHT'\nios\nsystem\n.",
    "an object in the old way": b"(cos\nsystem\nS'touch CAUGHT'\no.",
    "a new object of a class": b"\x80\x04\x8c\x05numpy\x8c\x07ndarray\x93(K\x05t\x81.",
    "numpy's class called": b"cnumpy\nndarray\n((I1000000000000\ntt R.".replace(b" ", b""),
    "attributes of a function": b"cnumpy.core.multiarray\n_reconstruct\n}S'__code__'\nNsb.",
    "attributes of a class": b"cnumpy\ndtype\n(N}S'dtype'\nNstb.",
    "a registered extension": b"\x80\x02\x82\x01.",
    "a persistent object": b"Psome-id\n.",
    "a buffer from elsewhere": b"\x80\x05\x97.",
    "a dtype of objects": b"cnumpy\ndtype\n(S'O8'\nI00\nI01\ntR.",
    "a dtype of fields": b"cnumpy\ndtype\n(]S'f4'\natR.",
    "a dtype of void": b"cnumpy\ndtype\n(S'V16'\nI00\nI01\ntR.",
}


@pytest.mark.parametrize("what", HAND_MADE)
def test_hand_made_programs_are_refused(what: str, caught: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"set\.pkl"):
        loaded(HAND_MADE[what].replace(b"CAUGHT", str(caught).encode()), tmp_path)
    assert not caught.exists()
    # The next pickle is read as if nothing had been tried.
    np.testing.assert_array_equal(loaded(pickle.dumps(SQUARE), tmp_path).array(), SQUARE)


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_arrays_of_python_objects_are_refused(pipeline: int, caught: Path, tmp_path: Path) -> None:
    for content in ([1, None], [Trap(os.system, f"touch {caught}")]):
        array = np.empty(len(content), dtype=object)
        array[:] = content
        with pytest.raises(FileError):
            loaded(pickle.dumps(array, pipeline), tmp_path)
    structured = np.zeros(2, dtype=[("a", "f4"), ("b", "O")])
    with pytest.raises(FileError):
        loaded(pickle.dumps(structured, pipeline), tmp_path)
    assert not caught.exists()


def array_of(shape: bytes, raw: bytes) -> bytes:
    """The pickle of an array whose shape and bytes need not fit."""
    return (
        b"\x80\x03cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR(K\x01" + shape + b"cnumpy\ndtype\n"
        b"(X\x02\x00\x00\x00f4I00\nI01\ntR(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + raw
        + b"tb."
    )


def test_an_array_that_is_not_what_it_says_is_refused(tmp_path: Path) -> None:
    eight = b"C\x08" + bytes(8)
    np.testing.assert_array_equal(loaded(array_of(b"(K\x02t", eight), tmp_path).array(), [0, 0])
    for shape in (
        b"(K\x03t",
        b"(I1000000000000\nt",
        b"(I-2\nt",
        b"(I-1\nt",
        b"(I-1\nI-2\nt",
        b"(G?\xf0\x00\x00\x00\x00\x00\x00t",  # 1.0
        b"(X\x02\x00\x00\x00abI10000000000\nt",  # text times a number would be 20 GB of text
        b"N",
        b"]",
    ):
        with pytest.raises(FileError):
            loaded(array_of(shape, eight), tmp_path).array()
    for raw in (b"]", b"N", b"K\x05", b"X\x08\x00\x00\x00" + "骨".encode() + b"12345"):
        with pytest.raises(FileError):
            loaded(array_of(b"(K\x02t", raw), tmp_path).array()


BOMBS = {
    "a memo of four billion places": b"\x80\x02K\x01r\xff\xff\xff\xff.",
    "bytes that are not there": b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"few.",
    "text that is not there": b"\x80\x04\x8d" + (2**40).to_bytes(8, "little") + b"few.",
    "a frame that is not there": b"\x80\x04\x95" + (2**40).to_bytes(8, "little") + b"N.",
    # One megabyte of text, of which a few thousand copies are asked for.
    "copies": b"\x80\x04(X\x00\x00\x10\x00"
    + b"x" * 2**20
    + b"\x940\x8c\x07_codecs\x8c\x06encode\x93\x940"
    + b"h\x01h\x00\x8c\x06latin1\x86R" * 5000
    + b"l.",
    "a number of a million digits": b"I" + b"9" * 10**6 + b"\n.",
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_small_file_does_not_fill_the_memory(what: str, tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        with contextlib.suppress(PoseglotError):  # the memo alone is harmless where it is not laid out
            loaded(BOMBS[what], tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20e6


@pytest.mark.parametrize("pipeline", [0, 2, 4, 5])
def test_a_pickle_cut_anywhere_is_refused(pipeline: int, tmp_path: Path) -> None:
    content = pickle.dumps({"split": {"a": ["b"]}, "annotations": [SQUARE, np.float64(1)]}, pipeline)
    for kept in range(0, len(content), 5):
        with pytest.raises(FileError, match=r"set\.pkl"):
            loaded(content[:kept], tmp_path)


def test_what_is_no_pickle_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"hello", b"PK\x03\x04", os.urandom(64), b"\x80\xff."):
        with pytest.raises(FileError, match=r"set\.pkl"):
            loaded(content, tmp_path)
    with pytest.raises(FileError, match=r"gone\.pkl"):
        load_plain(tmp_path / "gone.pkl")
    with pytest.raises(FileError):
        load_plain(tmp_path)


def test_arrays_share_the_bytes_of_the_file(tmp_path: Path) -> None:
    read = loaded(pickle.dumps([SQUARE], 4), tmp_path)[0]
    assert isinstance(read, PickledArray)
    assert not read.array().flags.owndata and not read.array().flags.writeable


def tower(floors: int, ending: bytes) -> bytes:
    """A pickle of a tuple that is twice in the next one, and so on; then what is done with it."""
    by_memo = b"".join(b"\x86q%ch%c" % (number, number) for number in range(floors))
    return b"\x80\x02K\x01K\x01" + by_memo + ending


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b".",
        b"\x80\x05\x96" + (2**63 - 1).to_bytes(8, "little") + b".",
        tower(60, b"\x86."),
        b"\x80\x02}" + tower(60, b"\x86")[2:] + b"Ns.",
        b"\x80\x02}(" + tower(60, b"\x86")[2:] + b"Nu.",
        b"\x80\x04\x8f(" + tower(60, b"\x86")[2:] + b"\x90.",
        b"\x80\x04(" + tower(60, b"\x86")[2:] + b"\x91.",
        b"\x80\x02(" + tower(60, b"\x86")[2:] + b"Nd.",
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00a" + tower(60, b"\x86")[2:] + b"\x86R.",
        b"\x80\x02cnumpy\ndtype\n" + tower(60, b"\x86")[2:] + b"\x85R.",
        b"\x80\x02]q\x00h\x00a.",
        b"\x80\x02" + b"]" * 5000 + b"a" * 4999 + b".",
        b"K\x01K\x01\x86" + b"2\x86" * 60 + b".",
    ],
    ids=lambda content: f"{content[:8]!r} {len(content)}",
)
def test_pickles_that_would_never_end_are_refused(content: bytes) -> None:
    with pytest.raises(FileError):
        parse_plain(content, "x.pkl")


def test_shapes_that_would_never_be_multiplied_are_refused() -> None:
    for shape in ((10**4000,) * 1000, (-1, -2), (2**62, 4), "ab", None, tuple([1] * 33)):
        with pytest.raises(FileError):
            PickledArray(b"ab", _Dtype("u1"), shape).array()


def test_shared_values_are_plain_values() -> None:
    size = (1080, 1920)
    found = parse_plain(pickle.dumps([{"img_shape": size, "label": 1} for _ in range(1000)]), "x.pkl")
    assert found[999] == {"img_shape": size, "label": 1}
