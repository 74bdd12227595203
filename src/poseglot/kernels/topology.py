"""CTR-GC's aggregation along topologies that are never stored: the contract of the Triton kernels."""

from __future__ import annotations

import functools
import importlib.util

import torch
from torch import Tensor

from poseglot.kernels import disabled_reason

_MAX_JOINTS = 64  # a program holds several V x V matrices
_MIN_CAPABILITY = (7, 0)


def unsupported_reason(value: Tensor) -> str | None:
    """Return why the kernels cannot aggregate values (B, C, S, V, T), or None if they can."""
    if reason := disabled_reason():
        return reason
    if value.device.type != "cuda" or torch.version.cuda is None:
        return "the clips are not on an NVIDIA GPU"
    if value.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        return f"clips of {value.dtype}"
    if value.shape[3] > _MAX_JOINTS:
        return f"{value.shape[3]} joints"
    if torch.cuda.get_device_capability(value.device) < _MIN_CAPABILITY:
        return "Triton does not support the GPU's generation"
    return _missing_triton()


@functools.cache
def _missing_triton() -> str | None:
    return None if importlib.util.find_spec("triton") else "Triton is not installed"


def aggregate(relation: Tensor, weight: Tensor, bias: Tensor, adjacency: Tensor, value: Tensor) -> Tensor:
    """Return y[b, c, u, t] = sum over s, v of topology[b, s, c, u, v] * value[b, c, s, v, t], where

        topology[b, s, c, u, v] = sum over r of weight[s, c, r] * relation[b, s, r, u, v] + bias[s, c] + adjacency[s, u, v].

    Single-precision products have the precision of torch's own (`torch.backends.cuda.matmul.allow_tf32`).

    Args:
        relation: (B, S, R, V, V).
        weight, bias, adjacency: (S, C, R), (S, C), (S, V, V).
        value: (B, C, S, V, T).
    """
    from poseglot.kernels import topology_triton

    precision = "tf32" if torch.backends.cuda.matmul.allow_tf32 else "ieee"
    return topology_triton.aggregate(relation, weight, bias, adjacency, value, precision=precision)
