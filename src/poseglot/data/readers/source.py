"""What a reader of a whole data set gives to the preparation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from poseglot.data.benchmarks import Benchmark
from poseglot.data.quality.issues import ClipIssue
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import Layout


@dataclass(frozen=True, eq=False)
class Source:
    """An opened data set, its clips not yet read.

    Attributes:
        benchmark: name, class names, splits and protocol.
        layout: of the joints.
        scored: whether the last channel of every clip is the confidence in each joint.
        clips: every clip, or what is wrong with it, in the order in which they will be stored; read as they are asked for.
        described: where they come from, for people to read.
        skipped: why -> names of files that were left out on purpose.
        notes: what people should know before they rely on it, in sentences.
    """

    benchmark: Benchmark
    layout: Layout
    has_scores: bool
    clips: Iterator[Clip | ClipIssue]
    described: Mapping[str, Any] = field(default_factory=dict)
    skipped: Mapping[str, list[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
