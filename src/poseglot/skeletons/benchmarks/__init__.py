"""Benchmarks as packaged data: class names, layout, feeding protocol and splits, one YAML file each.

A split is a rule, not a list: for the training and the test side, which values of a clip's fields (subject, camera, setup)
belong there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Literal

import yaml

from poseglot.errors import PoseglotError

Side = Literal["train", "test"]
SplitRule = Mapping[str, Mapping[str, list[int]]]


@dataclass(frozen=True)
class Benchmark:
    """What a benchmark's authors fixed.

    Attributes:
        classes: label i is classes[i].
        splits: split name -> side (`train`, `test`) -> field -> accepted values.
        expected: how many clips each side of the first split has when the set is complete.
    """

    name: str
    layout: str
    protocol: str
    classes: tuple[str, ...]
    splits: Mapping[str, SplitRule]
    expected: Mapping[str, int]


def load_benchmark(name: str) -> Benchmark:
    """A packaged benchmark.

    Raises:
        PoseglotError: no such benchmark.
    """
    folder = resources.files("poseglot.skeletons.benchmarks")
    file = folder / f"{name}.yaml"
    if not file.is_file():
        known = sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
        raise PoseglotError(f"unknown benchmark {name!r}; there are {', '.join(known)}.")
    table = yaml.safe_load(file.read_text())
    return Benchmark(**{**table, "classes": tuple(table["classes"])})
