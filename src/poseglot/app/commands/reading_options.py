"""The options of commands that read clips for a recognizer: how files are read where it differs from training."""

from __future__ import annotations

import argparse
from typing import Any

# What stands for the default, where training had something else.
_AUTO = ("auto", "all")


def add_reading_options(command: argparse.ArgumentParser) -> None:
    """Add the options. Without them files are read as the recognizer's training clips were."""
    group = command.add_argument_group("reading files otherwise than in training")
    group.add_argument("--format", help="the format of the files (default: the recognizer's if it fits, else by content)")
    group.add_argument("--dim-order", help="the axes of arrays: v,c,t or t,mvc; auto: what fits")
    group.add_argument("--skip", type=int, help="numbers to skip at the beginning of every row of a table")
    group.add_argument("--columns", help="the numbers of a joint to read, counted from 1: 1-3 or 1,2; or all")
    group.add_argument(
        "--scored",
        action="store_true",
        help="the last number of a joint is its confidence; recognizers without scores leave it out",
    )
    group.add_argument("--scale", type=float, help="a factor on the coordinates; 1 reads them as they are")
    group.add_argument(
        "--up", help="the axis that points up in the files (z, -y, ...): 3D coordinates are turned so that y does; or auto"
    )
    group.add_argument("--variable", help="the variable of MATLAB files; auto: the only array")


def reading(parsed: argparse.Namespace) -> dict[str, Any]:
    """Return what was said; None as a value stands for the default."""
    said = {name: getattr(parsed, name) for name in ("format", "dim_order", "skip", "columns", "scale", "up", "variable")}
    read = {name: None if value in _AUTO else value for name, value in said.items() if value is not None}
    return {**read, "has_scores": True} if parsed.scored else read
