"""A data set opened and read to its end, for tests of readers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poseglot.data.quality.issues import KINDS, ClipIssue
from poseglot.data.readers import Source, open_source
from poseglot.skeletons.clip import Clip


@dataclass(frozen=True)
class Read:
    """A source, its clips, and its issues by the name of the clip."""

    source: Source
    clips: list[Clip]
    issues: dict[str, ClipIssue]

    @property
    def classes(self) -> tuple[str, ...]:
        return self.source.benchmark.classes

    def labels(self) -> dict[str, str]:
        return {clip.name: self.classes[clip.label] for clip in self.clips}


def read_set(format: str, source: Path | Sequence[Path], **options: Any) -> Read:
    sources = [source] if isinstance(source, Path) else source
    opened = open_source(format, sources, **{"name": "mine", **options})
    clips, issues = [], dict[str, ClipIssue]()
    for entry in opened.clips:
        if isinstance(entry, ClipIssue):
            assert entry.kind in KINDS and entry.message.endswith((".", "?")) and "\n" not in entry.message
            assert entry.name not in issues
            issues[entry.name] = entry
        else:
            assert entry.has_scores == opened.has_scores and len(opened.layout) == entry.joints.shape[2]
            clips.append(entry)
    assert opened.benchmark.name == "mine" and opened.benchmark.layout == opened.layout.name
    return Read(opened, clips, issues)
