"""Tensors with a JSON table in one safetensors file, under a hash that is checked whenever the file is read.

The hash covers the table and every tensor's name, type, shape and bytes. A bit that has flipped on a disk or on the way is then an error
instead of other weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from poseglot.errors import FileError
from poseglot.files import write_atomically

_TABLE, _HASH = "poseglot", "sha256"  # the second is an entry of the table: safetensors writes several metadata in any order
# Formats that need a hash; others are older, or not ours.
_WITH_HASH = ("poseglot-recognizer/3", "poseglot-checkpoint/4", "poseglot-segmenter/1")


def write_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], table: Mapping[str, Any], *, keep: Path | None = None
) -> None:
    """Write tensors and a table to one file, atomically.

    Args:
        path: The file.
        tensors: By name.
        table: What JSON can hold; it says its `format`.
        keep: Where the file that was at `path` is moved to; by default it is replaced.

    Raises:
        TypeError: JSON cannot hold the table.
        FileError: The file could not be written.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    read_back = json.loads(json.dumps(table))
    text = json.dumps({**read_back, _HASH: _hash(read_back, plain)})
    write_atomically(path, save(plain, metadata={_TABLE: text}), keep=keep)


def read_tensors(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the table and the tensors of a file.

    Raises:
        FileError: The file is missing, cut short, without our table, or not what was written.
    """
    try:
        # Not memory-mapped: a file that is cut short later would end the process.
        content = Path(path).read_bytes()
        table, tensors = json.loads(_metadata(content).get(_TABLE, "null")), load(content)
    except FileNotFoundError as error:
        raise FileError(f"{path} does not exist; expected the folder of a run or a .safetensors file.") from error
    except (SafetensorError, OSError, ValueError, KeyError, RecursionError) as error:
        raise FileError(
            f"{path} is not a complete safetensors file ({error}); it was cut short or is another kind of file."
        ) from error
    if not isinstance(table, dict):
        raise FileError(f"{path} is a safetensors file, but Poseglot did not write it (no metadata of ours).")
    written = table.pop(_HASH, None)
    if (written is not None or table.get("format") in _WITH_HASH) and written != _hash(table, tensors):
        raise FileError(f"{path} is damaged: its content is not what was written there. Restore it from a copy.")
    return table, tensors


def _metadata(content: bytes) -> dict[str, str]:
    """Return the texts in the header of a safetensors file."""
    size = int.from_bytes(content[:8], "little")
    if size > len(content) - 8:
        raise ValueError("its header is longer than the file")
    metadata = json.loads(content[8 : 8 + size]).get("__metadata__") or {}
    if not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are no texts")
    return dict(metadata)


def _hash(table: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(table, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\0{name}\0{tensor.dtype}\0{list(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
