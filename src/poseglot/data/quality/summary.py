"""Summaries of a store as plain data, and findings as text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from poseglot.data.quality.checks import CHECKS, Finding
from poseglot.data.store import FILES, REPORT_FILE, PackedStore
from poseglot.safe_text import counted

# Recordings whose frame rate their authors state.
_FRAME_RATES = {"ntu60": 30, "ntu120": 30}
# Units of `CHECKS`: one and several of what is counted, shares, and other quantities.
_COUNTS = {
    "coordinates": ("coordinate", "coordinates"),
    "frames": ("frame", "frames"),
    "joints": ("joint", "joints"),
    "people": ("person", "people"),
    "clips": ("clip", "clips"),
}
_SHARES = ("of the frames", "of their length")
_QUANTITIES = {
    "bodies a frame": "bodies in a frame",
    "bodies": "bodies apart",
    "robust z": "standard deviations from the set's median",
}


def summarize(store: PackedStore) -> dict[str, Any]:
    """Summarise a store as plain data that JSON can hold.

    Returns:
        `name`, `layout`, `joints` (their number), `channels`, `dtype`, `pipeline`, `clips`; `people` (number in a clip -> clips), `frames`
        (min, median, max, total of all clips), `hours` if the frame rate is known, `classes` (name -> clips), `unlabelled`, `subjects`,
        `cameras` and `setups` (those known), `splits` (see `summarize_split`), `bytes` on disk, `source`, and `preparation`, the content
        of the preparation report, if the folder has one.
    """
    clips, info = store.clips, store.info
    frames = clips["frames"].astype(np.int64)
    counts = np.bincount(clips["label"][clips["label"] >= 0], minlength=len(info.classes))
    summary: dict[str, Any] = {
        "name": info.name,
        "layout": store.layout.name,
        "joints": len(store.layout),
        "channels": [*"xyz"[: store.joints.shape[2] - info.has_scores], *(["score"] if info.has_scores else [])],
        "dtype": str(store.joints.dtype),
        "pipeline": info.pipeline,
        "clips": len(store),
        "people": {
            int(number): int(count) for number, count in zip(*np.unique(clips["num_persons"], return_counts=True), strict=True)
        },
        "frames": {
            "min": int(frames.min()),
            "median": float(np.median(frames)),
            "max": int(frames.max()),
            "total": int(frames.sum()),
        },
    }
    if info.name in _FRAME_RATES:
        summary["hours"] = summary["frames"]["total"] / _FRAME_RATES[info.name] / 3600
    summary |= {
        "classes": {name: int(count) for name, count in zip(info.classes, counts, strict=True)},
        "unlabelled": int((clips["label"] < 0).sum()),
        **{f"{field}s": [int(value) for value in np.unique(clips[field]) if value] for field in ("subject", "camera", "setup")},
        "splits": {split: summarize_split(store, split) for split in info.splits},
    }
    if store.path is not None:
        summary["bytes"] = sum(file.stat().st_size for name in FILES if (file := store.path / name).is_file())
    summary["source"] = dict(info.source)
    return summary | (_preparation(store.path / REPORT_FILE) if store.path is not None else {})


def summarize_split(store: PackedStore, split: str) -> dict[str, Any]:
    """Summarise a split.

    Returns:
        `clips` (subset -> number), `neither` and `both` (clips in no subset, and in more than one), and `missing` (subset -> classes
        without a clip there, among those that the store has clips of).
    """
    subsets = {subset: store.subset_mask(split, subset) for subset in store.info.splits[split]}
    memberships = np.sum(list(subsets.values()), axis=0)
    labels = store.clips["label"]
    present = np.unique(labels[labels >= 0])
    return {
        "clips": {subset: int(chosen.sum()) for subset, chosen in subsets.items()},
        "neither": int((memberships == 0).sum()),
        "both": int((memberships > 1).sum()),
        "missing": {
            subset: [store.classes[label] for label in np.setdiff1d(present, labels[chosen])]
            for subset, chosen in subsets.items()
        },
    }


def trained_and_tested(store: PackedStore, split: str, findings: Iterable[Finding]) -> list[str]:
    """Return the test clips whose content is also in the training set; they test nothing."""
    index = {str(name): number for number, name in enumerate(store.clips["name"])}
    train, test = store.subset_mask(split, "train"), store.subset_mask(split, "test")
    found = []
    for finding in findings:
        if finding.check == "same_content":
            group = [finding.clip, *finding.others]
            if any(train[index[name]] for name in group):
                found += [name for name in group if test[index[name]] and not train[index[name]]]
    return sorted(found)


def value_text(finding: Finding) -> str:
    """Return the value of a finding with its unit: `1 frame`, `26.9 % of their length`, `2.695 bodies in a frame`."""
    unit, value = CHECKS[finding.check].unit, finding.value
    if unit in _COUNTS:
        return counted(int(value), *_COUNTS[unit])
    if unit in _SHARES:
        return f"{100 * value:.1f} % {unit}"
    return f"{value:{',.0f' if value >= 1000 else '.4g'}} {_QUANTITIES[unit]}"


def finding_text(finding: Finding) -> str:
    """Return a finding in one line without the clip's name, with the limit if it is other than "any at all"."""
    check = CHECKS[finding.check]
    limit = f"{100 * finding.limit:g} %" if check.unit in _SHARES else f"{finding.limit:g}"
    said = f" (limit {limit})" if "{limit}" in check.reason else ""
    return f"{finding.check}: {value_text(finding)}{said}{', ' if finding.where else ''}{finding.where}"


def found_clips(findings: Iterable[Finding]) -> set[str]:
    """Return the names of all clips with findings, including those with the same content as another."""
    return {name for finding in findings for name in (finding.clip, *finding.others)}


def _preparation(report: Path) -> dict[str, Any]:
    try:
        read = json.loads(report.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        return {"preparation": {"unreadable": f"{report}: {error}"}}
    return {"preparation": read if isinstance(read, dict) else {"unreadable": f"{report}: not a table"}}
