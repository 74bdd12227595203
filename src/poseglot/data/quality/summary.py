"""What a store holds, counted: clips, people, frames, classes, splits, and how it was prepared."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from poseglot.data.quality.clip_checks import Finding
from poseglot.data.store import PackedStore
from poseglot.data.store_writer import FILES, REPORT_FILE
from poseglot.skeletons.layout import Layout

# Recordings whose frame rate their authors state.
_FRAME_RATES = {"ntu60": 30, "ntu120": 30}


def describe(store: PackedStore, layout: Layout, folder: Path) -> dict[str, Any]:
    """A store as plain data that JSON can hold.

    Args:
        layout, folder: of the store.

    Returns:
        `name`, `layout`, `joints` (how many), `channels`, `dtype`, `protocol`, `clips`; `people` (in a clip -> clips), `frames` (min,
        median, max, total of all clips), `hours` where the frame rate is known, `classes` (name -> clips), `unlabelled`, `subjects`,
        `cameras` and `setups` (those known), `splits` (see `describe_split`), `bytes` on the disk, `source`, and `preparation`, what
        its report says, where the folder has one.
    """
    clips, info = store.clips, store.info
    frames = clips["frames"].astype(np.int64)
    counts = np.bincount(clips["label"][clips["label"] >= 0], minlength=len(info.classes))
    coordinates = store.joints.shape[2] - info.has_scores
    described: dict[str, Any] = {
        "name": info.name,
        "layout": layout.name,
        "joints": len(layout),
        "channels": [*"xyz"[:coordinates], *(["score"] if info.has_scores else [])],
        "dtype": str(store.joints.dtype),
        "protocol": info.pipeline,
        "clips": len(store),
        "people": {
            int(people): int(count) for people, count in zip(*np.unique(clips["num_persons"], return_counts=True), strict=True)
        },
        "frames": {
            "min": int(frames.min()),
            "median": float(np.median(frames)),
            "max": int(frames.max()),
            "total": int(frames.sum()),
        },
    }
    if info.name in _FRAME_RATES:
        described["hours"] = described["frames"]["total"] / _FRAME_RATES[info.name] / 3600
    return {
        **described,
        "classes": {name: int(count) for name, count in zip(info.classes, counts, strict=True)},
        "unlabelled": int((clips["label"] < 0).sum()),
        **{f"{field}s": [int(value) for value in np.unique(clips[field]) if value] for field in ("subject", "camera", "setup")},
        "splits": {split: describe_split(store, split) for split in info.splits},
        "bytes": sum(file.stat().st_size for name in FILES if (file := folder / name).is_file()),
        "source": dict(info.source),
        **_preparation(folder / REPORT_FILE),
    }


def describe_split(store: PackedStore, split: str) -> dict[str, Any]:
    """`clips` (side -> how many), `neither` and `both` (clips on no side, and on more than one), `missing` (side -> classes without a clip
    there, among those that the store has clips of)."""
    subsets = {subset: store.belongs(split, subset) for subset in store.info.splits[split]}
    on = np.sum(list(subsets.values()), axis=0)
    labels = store.clips["label"]
    present = np.unique(labels[labels >= 0])
    return {
        "clips": {subset: int(chosen.sum()) for subset, chosen in subsets.items()},
        "neither": int((on == 0).sum()),
        "both": int((on > 1).sum()),
        "missing": {
            subset: [store.info.classes[label] for label in np.setdiff1d(present, labels[chosen])]
            for subset, chosen in subsets.items()
        },
    }


def trained_and_tested(store: PackedStore, split: str, findings: Iterable[Finding]) -> list[str]:
    """The clips of the test set whose very content is on the training set too: they test nothing."""
    place = {str(name): number for number, name in enumerate(store.clips["name"])}
    train, test = store.belongs(split, "train"), store.belongs(split, "test")
    found = []
    for finding in findings:
        if finding.what == "same content":
            group = [finding.clip, *finding.others]
            if any(train[place[name]] for name in group):
                found += [name for name in group if test[place[name]] and not train[place[name]]]
    return sorted(found)


def _preparation(report: Path) -> dict[str, Any]:
    """The report of the preparation, where there is one."""
    try:
        read = json.loads(report.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        return {"preparation": {"unreadable": f"{report}: {error}"}}
    return {"preparation": read if isinstance(read, dict) else {"unreadable": f"{report}: not a table"}}
