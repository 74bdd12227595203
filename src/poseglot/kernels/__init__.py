"""Hand-written kernels for the operations that encoders spend their time on. Nothing needs them, and results are the same without.

  - `channels_last`: CTR-GCN's blocks on a CPU, in C++, for training and inference. Compiled on first use (`native`).
  - `topology`: CTR-GC's aggregation on an NVIDIA GPU, in Triton, without storing the topologies.

Each module has an `unsupported_reason`: why a kernel cannot be used, in words, or None. The environment variable POSEGLOT_KERNELS=off
turns all kernels off. This package knows tensors only; the encoders call it, and tests hold every kernel to torch's operations.
"""

from __future__ import annotations

import os

import torch

SWITCH = "POSEGLOT_KERNELS"


def disabled_reason() -> str | None:
    """Return why no kernel may run now, or None: the switch is off, or torch traces or intercepts operations."""
    # First, so that torch.compile compiles nothing of what follows.
    if torch.compiler.is_compiling():
        return "torch.compile or torch.export is tracing"
    if os.environ.get(SWITCH, "on").lower() in ("off", "0", "no", "false"):
        return f"{SWITCH} is off"
    if torch._C._get_tracing_state() is not None or torch._C._len_torch_dispatch_stack() > 0:
        return "tracing or a dispatch mode is active"
    return None
