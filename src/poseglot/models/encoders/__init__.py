"""Skeleton encoders by name, one file per paper.

The contract: built as `Encoder(layout, people=..., channels=..., **options)`; called with clips (N, M, T, V, C); returns joint
features (N, M, T', V, F); `features` says F. Pooling and heads live outside, in `poseglot.models.recognizer`. The only option that a
recipe passes so far is `width` (`ModelRecipe` and `training/build.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from poseglot.errors import PoseglotError
from poseglot.models.encoders.ctr_gcn import CTRGCN
from poseglot.skeletons.layout import Layout

ENCODERS: Mapping[str, Callable[..., nn.Module]] = {
    "ctr-gcn": CTRGCN,
}


def build_encoder(name: str, layout: Layout, *, people: int, channels: int, **options: Any) -> nn.Module:
    """An encoder by name, randomly initialised from torch's global generator (see `torch.manual_seed`).

    Raises:
        PoseglotError: no such encoder.
    """
    if name not in ENCODERS:
        raise PoseglotError(f"unknown encoder {name!r}; there are {', '.join(ENCODERS)}.")
    return ENCODERS[name](layout, people=people, channels=channels, **options)
