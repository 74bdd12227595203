"""The text of `poseglot models`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from poseglot.models.pretrained import PackagedRecognizer


def models_text(found: Sequence[PackagedRecognizer]) -> str:
    """Return a table of recognizers, and what each result was counted on."""
    rows = [("name", "layout", "actions", "size", "accuracy", "licence")]
    rows += [
        (each.name, each.layout, str(each.classes), f"{each.size / 1e6:.1f} MB", _accuracy(each), each.licence)
        for each in found
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for each in found:
        lines += ["", f"{each.name}: {each.notice}"]
        lines += [f"  {_counted(result)} on {result['dataset']}, {_subset(result)}" for result in each.results]
    example = found[0].name if found else "NAME"
    return "\n".join([*lines, "", f"`poseglot predict {example} CLIP` uses one; `poseglot models {example}` prints its card."])


def _accuracy(each: PackagedRecognizer) -> str:
    return _counted(each.results[0]) if each.results else "not measured"


def _counted(result: Mapping[str, Any]) -> str:
    return f"{result['correct']}/{result['total']} = {100 * result['correct'] / result['total']:.2f} %"


def _subset(result: Mapping[str, Any]) -> str:
    return f"{result['split']}{', ' if result.get('note') else ''}{result.get('note', '')}"
