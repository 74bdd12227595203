"""What tests of readers share: a set opened and read to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poseglot.data.quality.issues import KINDS, ClipIssue
from poseglot.data.readers import open_source
from poseglot.data.readers.source import Source
from poseglot.skeletons.clip import Clip


@dataclass(frozen=True)
class Read:
    """A source, its clips, and its faults by the name of the clip."""

    source: Source
    clips: list[Clip]
    faults: dict[str, ClipIssue]

    @property
    def classes(self) -> tuple[str, ...]:
        return self.source.benchmark.classes

    def labels(self) -> dict[str, str]:
        return {clip.name: self.classes[clip.label] for clip in self.clips}


def read_set(format: str, source: Path | Sequence[Path], **options: Any) -> Read:
    sources = [source] if isinstance(source, Path) else source
    defaults: dict[str, Any] = {"layout": None, "name": "mine", "classes": None, "test_subjects": None, "scored": False}
    opened = open_source(format, sources, **{**defaults, **options})
    clips, faults = [], {}
    for entry in opened.clips:
        if isinstance(entry, ClipIssue):
            assert entry.kind in KINDS and entry.message.endswith((".", "?")) and "\n" not in entry.message
            assert entry.name not in faults
            faults[entry.name] = entry
        else:
            assert entry.has_scores == opened.has_scores and len(opened.layout) == entry.joints.shape[2]
            clips.append(entry)
    assert opened.benchmark.name == "mine" and opened.benchmark.layout == opened.layout.name
    return Read(opened, clips, faults)
