"""Benchmarks as packaged data: class names, layout, feeding protocol and splits, one YAML file each.

A split is a rule, not a list: for the training and the test set, which values of a clip's fields (subject, camera, setup, or its name)
belong there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import yaml

from poseglot.packaged import packaged_yaml

Subset = Literal["train", "test"]
SplitRule = Mapping[str, Mapping[str, list[int] | list[str]]]


@dataclass(frozen=True)
class Benchmark:
    """What a benchmark's authors fixed.

    Attributes:
        classes: label i is classes[i].
        splits: split name -> side (`train`, `test`) -> field -> accepted values.
        expected: how many clips each side of the first split has when the set is complete.
        unseen: name -> the classes that are left out of training to be recognised by their words alone (zero-shot).
    """

    name: str
    layout: str
    pipeline: str
    classes: tuple[str, ...]
    splits: Mapping[str, SplitRule]
    expected: Mapping[str, int]
    unseen: Mapping[str, list[str]] = field(default_factory=dict)


def load_benchmark(name: str) -> Benchmark:
    """A packaged benchmark.

    Raises:
        PoseglotError: no such benchmark.
    """
    table = yaml.safe_load(packaged_yaml("poseglot.data", "benchmarks", name, kind="benchmark", own=False))
    return Benchmark(**{**table, "classes": tuple(table["classes"])})
