"""Skeleton encoders by name, one file per paper.

The contract, which `tests/models/encoders/test_contract.py` holds every encoder in `ENCODERS` to:

  - built as `Encoder(layout, people=..., channels=..., **options)`; every option is a keyword of the constructor and has a default,
    `width`, which recipes pass, among them. Wrong values are refused with a PoseglotError. The weights follow from torch's seed.
  - called with clips (N, M, T, V, C), of any length and with up to `people` people (a missing one is one of zeros), returns joint
    features (N, people, T', V, F), T' >= 1; `features` says F. In evaluation mode a clip's features depend on that clip alone.
  - may have `topologies(x) -> list[Tensor]`: for each block a (V, V) matrix, how much joint u (row) collects from joint v (column),
    for looking at what was learned. An encoder need not have it.

Pooling and heads live outside, in `poseglot.models.recognizer`. A new encoder is one file and one line in `ENCODERS`; see
`docs/adding-an-encoder.md`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import nn

from poseglot.errors import PoseglotError
from poseglot.models.encoders.ctr_baseline import CTRBaseline
from poseglot.models.encoders.ctr_gcn import CTRGCN, ctr_gcn_single
from poseglot.models.encoders.st_gcn import STGCN
from poseglot.skeletons.layout import Layout

ENCODERS: Mapping[str, Callable[..., nn.Module]] = {
    "st-gcn": STGCN,
    "ctr-baseline": CTRBaseline,
    "ctr-gcn-single": ctr_gcn_single,
    "ctr-gcn": CTRGCN,
}


def create_encoder(name: str, layout: Layout, *, num_persons: int, channels: int, **options: Any) -> nn.Module:
    """An encoder by name, randomly initialised from torch's global generator (see `torch.manual_seed`).

    Raises:
        PoseglotError: no such encoder, no such option, or a value that the encoder refuses.
    """
    check_options(name, options)
    return ENCODERS[name](layout, num_persons=num_persons, channels=channels, **options)


def check_options(name: str, options: Iterable[str]) -> None:
    """See that there is such an encoder and that it has these options.

    Raises:
        PoseglotError: there is not, or it has not.
    """
    if name not in ENCODERS:
        raise PoseglotError(f"unknown encoder {name!r}; there are {', '.join(ENCODERS)}.")
    accepted = [
        option for option in inspect.signature(ENCODERS[name]).parameters if option not in ("layout", "num_persons", "channels")
    ]
    unknown = sorted(set(options) - set(accepted))
    if unknown:
        raise PoseglotError(f"the encoder {name} has no option {', '.join(map(repr, unknown))}; it has {', '.join(accepted)}.")
