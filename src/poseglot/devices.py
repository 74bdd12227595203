"""Moving a batch to where it is computed, without waiting.

A GPU works behind the program's back, and the program stays ahead of it only while it asks for nothing that the GPU has yet to compute.
So a training step plans on the CPU what is known there (labels, texts, lengths) and hands it over by `to_device`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on the device; on a GPU the copy runs beside everything else, from pinned memory."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
