"""Skeleton encoders, one file per paper. `create_encoder` builds one by name; `register_encoder` adds one.

The contract, which `poseglot.testing.check_encoder` checks:

  - An encoder is built as `Encoder(layout, num_persons=..., channels=..., **encoder_kwargs)`. Every option is a keyword with a default;
    `base_channels`, which recipes pass, is one of them. Wrong values raise a SettingError. The weights follow from torch's seed.
  - Called with clips (N, M, T, V, C) of any length and up to `num_persons` people (a missing one counts as zeros), it returns joint
    features (N, num_persons, T', V, F) with T' >= 1; its attribute `features` is F. In evaluation mode the features of a clip depend on
    that clip alone.
  - Optional: an option `causal`, with which the features of a frame depend on it and earlier frames only.
  - Optional: `topologies(x) -> list[Tensor]`, for each block a (V, V) matrix, how much joint u (row) aggregates from joint v (column).

Pooling and heads live outside, in `poseglot.models.recognizer`. See `docs/adding-an-encoder.md`.
"""

from __future__ import annotations

from poseglot.models.encoders.ctr_baseline import CTRBaseline
from poseglot.models.encoders.ctr_gcn import CTRGCN, ctr_gcn_single
from poseglot.models.encoders.registry import (
    ENCODERS,
    check_encoder_kwargs,
    create_encoder,
    encoder_options,
    list_encoders,
    register_encoder,
)
from poseglot.models.encoders.st_gcn import STGCN

__all__ = [
    "CTRGCN",
    "ENCODERS",
    "STGCN",
    "CTRBaseline",
    "check_encoder_kwargs",
    "create_encoder",
    "ctr_gcn_single",
    "encoder_options",
    "list_encoders",
    "register_encoder",
]
