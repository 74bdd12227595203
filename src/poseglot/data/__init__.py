"""Data: readers of files, preparation, the packed store, splits, quality checks and the synthetic set. Knows skeletons only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poseglot.data.readers import read_clip as read_clip

__all__ = ["read_clip"]


def __getattr__(name: str) -> Any:
    if name == "read_clip":
        from poseglot.data.readers import read_clip

        return read_clip
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
