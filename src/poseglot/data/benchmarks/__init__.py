"""Benchmarks as packaged data: class names, layout, pipeline and splits, one YAML file each.

A split is a rule, not a list. For the training and the test set it names the accepted values of a clip's fields: subject, camera, setup,
or name. `excluded` lists the names of clips that are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from poseglot.files import packaged_yaml
from poseglot.safe_yaml import parse_yaml

Subset = Literal["train", "test"]
EXCLUDED = "excluded"
SplitRule = Mapping[str, Mapping[str, list[int] | list[str]]]


@dataclass(frozen=True)
class Benchmark:
    """A data set as its authors define it.

    Attributes:
        name: The name of the data set.
        layout: The name of its layout.
        pipeline: The name of the pipeline that makes the network's input.
        classes: Label i is classes[i].
        splits: Split name -> subset (`train`, `test`) -> field -> accepted values.
        expected: The number of clips of each subset of the first split in the complete set.
        unseen: List name -> classes that are excluded from training, to be recognised by their descriptions alone (zero-shot).
        people: Number of a person -> name, of a set whose people have names.
    """

    name: str
    layout: str
    pipeline: str
    classes: tuple[str, ...]
    splits: Mapping[str, SplitRule]
    expected: Mapping[str, int]
    unseen: Mapping[str, list[str]] = field(default_factory=dict)
    people: Mapping[str, str] = field(default_factory=dict)


def load_benchmark(name: str) -> Benchmark:
    """Return a packaged benchmark.

    Raises:
        NotFoundError: There is no such benchmark.
    """
    table = parse_yaml(packaged_yaml("poseglot.data", "benchmarks", name, kind="benchmark", own=False), name)
    return Benchmark(**{**table, "classes": tuple(table["classes"])})
