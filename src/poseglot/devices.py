"""Devices and memory: copies to a GPU that do not wait, and freed memory that is kept for reuse.

A GPU runs asynchronously, and the program stays ahead of it as long as it never asks for a result that is still being computed.
A training step therefore plans on the CPU what is known there (labels, texts, lengths) and sends it with `to_device`.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # glibc's malloc.h


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a CPU tensor to a device. The copy to a GPU is asynchronous, from pinned memory."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def describe_device(device: torch.device) -> str:
    """Return the name of a GPU, or the kind of another device with the processor's name in brackets, where Linux tells it."""
    if device.type == "cuda":
        import torch

        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next((f"{device.type} ({name})" for name in names), device.type)


def keep_freed_memory() -> None:
    """Let glibc keep the memory that torch and numpy free; do nothing on systems without glibc.

    By default glibc returns every large block to the system and requests it again a moment later, page by page. A training step on
    a CPU then spends much of its time in page faults. The setting affects the whole process, so only the command line and our own
    worker processes make it, never the library inside another program.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_TOP_PAD, 64 * 2**20)
