"""CTR-GC's collecting along topologies that are never stored: whether this device can, and the door to the Triton kernels."""

from __future__ import annotations

import functools
import importlib.util

import torch
from torch import Tensor

from poseglot.models.kernels import switched_off

_MOST_JOINTS = 64  # a program holds some V x V matrices
_OLDEST = (7, 0)  # compute capability


def unusable(value: Tensor) -> str | None:
    """Why values (B, S, C, T, V) cannot be collected by the kernels, or None if they can."""
    if torch.compiler.is_compiling():
        return "torch.compile makes its own"
    if reason := switched_off():
        return reason
    if value.device.type != "cuda" or torch.version.cuda is None:
        return "the clips are not on an NVIDIA GPU"
    if value.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        return f"clips of {value.dtype}"
    if value.shape[-1] > _MOST_JOINTS:
        return f"{value.shape[-1]} joints"
    if torch.cuda.get_device_capability(value.device) < _OLDEST:
        return "the GPU is older than Triton takes"
    return _no_triton()


@functools.cache
def _no_triton() -> str | None:
    return None if importlib.util.find_spec("triton") else "Triton is not installed"


def collect(relation: Tensor, weight: Tensor, bias: Tensor, adjacency: Tensor, value: Tensor) -> Tensor:
    """relation (B, S, R, V * V), weight (S, C, R), bias (S, C), adjacency (S, V, V), value (B, S, C, T, V) -> (B, C, T, V).

    Single precision is that which torch's own products have (`torch.backends.cuda.matmul.allow_tf32`).
    """
    from poseglot.models.kernels import topology_triton

    precision = "tf32" if torch.backends.cuda.matmul.allow_tf32 else "ieee"
    return topology_triton.collect(relation, weight, bias, adjacency, value, precision=precision)
