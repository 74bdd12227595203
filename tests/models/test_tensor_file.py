"""Tensors under a hash: what comes back is what was written, or an error."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from poseglot.errors import FileError
from poseglot.models.tensor_file import read_tensors, write_tensors

TABLE = {"format": "poseglot-checkpoint/4", "classes": ["wave", "kick"], "rate": 0.1, "numbers": {"1": None}}
TENSORS = {
    "weight": torch.arange(6.0).reshape(2, 3),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "steps": torch.tensor(7),
    "none": torch.zeros(0, 4),
}


def same(path: Path) -> bool:
    table, tensors = read_tensors(path)
    return (
        table == TABLE
        and tensors.keys() == TENSORS.keys()
        and all(torch.equal(tensors[name], TENSORS[name]) and tensors[name].dtype == TENSORS[name].dtype for name in TENSORS)
    )


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a", TENSORS, TABLE)
    assert same(tmp_path / "a")
    write_tensors(tmp_path / "b", dict(reversed(TENSORS.items())), dict(reversed(TABLE.items())))
    assert same(tmp_path / "b")


def test_every_flipped_bit_is_an_error_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_tensors(path, TENSORS, TABLE)
    whole, draw, refused = path.read_bytes(), random.Random(0), 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << draw.randrange(8)]) + whole[place + 1 :])
        try:
            assert same(path)
        except FileError:
            refused += 1
    assert refused > 0.95 * len(whole)
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(FileError):
            read_tensors(path)


def test_only_the_formats_before_need_no_hash(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for format, accepted in (
        ("poseglot-recognizer/2", True),
        ("poseglot-checkpoint/3", True),
        ("poseglot-recognizer/3", False),
    ):
        save_file(TENSORS, path, metadata={"poseglot": json.dumps({"format": format})})
        if accepted:
            assert read_tensors(path)[0] == {"format": format}
        else:
            with pytest.raises(FileError):
                read_tensors(path)


def test_the_file_before_is_kept(tmp_path: Path) -> None:
    for number in range(3):
        write_tensors(tmp_path / "a", {"a": torch.tensor(number)}, TABLE, keep=tmp_path / "before")
    assert int(read_tensors(tmp_path / "a")[1]["a"]) == 2
    assert int(read_tensors(tmp_path / "before")[1]["a"]) == 1
