"""The output of `poseglot predict`, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from poseglot.errors import PoseglotError
from poseglot.inference.prediction import Prediction
from poseglot.safe_text import json_text


def predictions_text(files: Sequence[Path], found: Sequence[Prediction | PoseglotError], *, threshold: float) -> str:
    """Return the actions of every file that was predicted."""
    lines = []
    for path, each in zip(files, found, strict=True):
        if isinstance(each, PoseglotError):
            continue
        lines.append(str(path))
        if each.unknown:
            lines.append(f"  unknown: no action reaches {threshold:.1%}")
        if each.candidates is not None:
            lines.append(f"  in the set: {', '.join(each.candidates) or 'none, the clip is like no action'}")
        lines += [f"  {score.probability:6.1%}  {score.action}" for score in each.scores]
    return "\n".join(lines)


def predictions_json(files: Sequence[Path], found: Sequence[Prediction | PoseglotError]) -> str:
    """Return a table for each file, with its error if it cannot be predicted."""
    tables = [{"error": str(each)} if isinstance(each, PoseglotError) else each.table() for each in found]
    return json_text([{"file": str(path), **table} for path, table in zip(files, tables, strict=True)], indent=1)


def errors_text(found: Sequence[Prediction | PoseglotError]) -> str:
    """Return which of several clips cannot be predicted, and why; empty if all can."""
    errors = [str(each) for each in found if isinstance(each, PoseglotError)]
    if len(found) < 2 or not errors:
        return "".join(errors)
    return "\n  ".join([f"{len(errors)} of {len(found)} clips cannot be predicted:", *errors])
