"""Kernels written by hand for what the encoders spend their time on. Everything works without them, and comes to the same.

  - `rows.cpp`, `rows.py`: CTR-GCN's blocks on a CPU, in C++. Compiled when first wanted, by the machine's own compiler; `native.py`.
  - `topology.py`, `topology_triton.py`: CTR-GC's collecting on an NVIDIA GPU, in Triton.

POSEGLOT_KERNELS=off in the environment turns them off; each way says in words why it is not taken (`unusable`).
"""

from __future__ import annotations

import os

SWITCH = "POSEGLOT_KERNELS"


def switched_off() -> str | None:
    """Why no kernel of ours may run, or None if they may."""
    if os.environ.get(SWITCH, "on").lower() in ("off", "0", "no", "false"):
        return f"{SWITCH} is off"
    return None
