"""Contact sheets of a store: a row of frames for each of some clips, either spread over the classes or found suspicious."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from poseglot.data.quality.checks import CHECKS, Finding
from poseglot.data.quality.summary import finding_text
from poseglot.data.store import PackedStore
from poseglot.report.plots import INK, LINE, PAPER, add_part_legend, draw_people, save_figure
from poseglot.skeletons.layout import Layout
from poseglot.skeletons.orientation import clip_picture

FRAMES = 6  # per clip
_FIRST, _FURTHER = 1.8, 0.9  # the width of bones in points, of the first person and of the others


@dataclass(frozen=True)
class Row:
    """A clip in a sheet.

    Attributes:
        index: Its row in the store's table.
        about: Text above it, after its name and class.
        frame: The frame, from 1, around which consecutive frames are shown; 0 shows frames spread over the clip.
    """

    index: int
    about: str = ""
    frame: int = 0


def some_clips(store: PackedStore, count: int = 10) -> list[Row]:
    """Choose the middle clip of each of `count` classes, spread evenly over the store's classes."""
    labels = np.unique(store.clips["label"])
    chosen = labels[np.unique(np.linspace(0, len(labels) - 1, count).round().astype(int))]
    indices = [np.flatnonzero(store.clips["label"] == label) for label in chosen]
    return [Row(int(own[len(own) // 2])) for own in indices]


def suspicious_clips(store: PackedStore, findings: Sequence[Finding], count: int = 10) -> list[Row]:
    """Choose the worst clip of every check, then the second of every check, and so on; each clip once, with its findings."""
    of_check = [[finding for finding in findings if finding.check == what] for what in CHECKS]
    in_turn = [own[rank] for rank in range(max(map(len, of_check))) for own in of_check if rank < len(own)]
    of_clip: dict[str, list[Finding]] = {}
    for finding in in_turn:
        of_clip.setdefault(finding.clip, []).append(finding)
    rows = []
    for clip, (finding, *others) in list(of_clip.items())[:count]:
        also = f"; also {', '.join(other.check for other in others)}" if others else ""
        index = int(np.flatnonzero(store.clips["name"] == clip)[0])
        rows.append(Row(index, finding_text(finding) + also, finding.frame))
    return rows


def plot_contact_sheet(store: PackedStore, layout: Layout, rows: Sequence[Row], path: str | Path, *, title: str) -> None:
    """Write a PNG with six frames of each clip and all of its people.

    The frames of a clip share one window, so that jumps are visible.

    Raises:
        FileError: The file could not be written.
    """
    width, height = 1.6 * FRAMES + 0.4, 1.75 * len(rows) + 1.0
    figure = Figure(figsize=(width, height), facecolor=PAPER)
    grid = figure.subplots(len(rows), FRAMES, squeeze=False)
    figure.subplots_adjust(left=0.01, right=0.99, top=1 - 0.75 / height, bottom=0.5 / height, wspace=0.02, hspace=0.27)
    for axes, row in zip(grid, rows, strict=True):
        clip = store[row.index]
        chosen = _frames(clip.joints.shape[1], row.frame)
        points, seen = (array[:, chosen] for array in clip_picture(clip, layout))
        box = axes[0].get_position()
        horizontal, vertical = _window(points, seen, ratio=box.width * width / (box.height * height))
        for place, (axis, frame) in enumerate(zip(axes, chosen, strict=False)):
            _draw_frame(axis, points[:, place], seen[:, place], layout, number=int(frame) + 1)
        for axis in axes:
            axis.set_axis_off()
            axis.set(xlim=horizontal, ylim=vertical)
        action = store.info.classes[clip.label] if clip.label >= 0 else "class unknown"
        thick = "person 1 drawn thicker" if seen.any(axis=(1, 2)).sum() > 1 else ""
        heading = " · ".join(part for part in (clip.name, action, row.about, thick) if part)
        figure.text(0.02, box.y1 + 0.06 / height, heading, fontsize=9, color=INK, parse_math=False)
    add_part_legend(figure)
    figure.suptitle(title, y=1 - 0.12 / height, va="top", fontsize=11, color=INK, parse_math=False)
    save_figure(figure, path)


def _draw_frame(
    axis: Axes, points: npt.NDArray[np.float64], seen: npt.NDArray[np.bool_], layout: Layout, *, number: int
) -> None:
    """Draw one frame; the first person has thick bones, the others have thin ones on top."""
    axis.add_patch(Rectangle((0, 0), 1, 1, transform=axis.transAxes, fill=False, edgecolor=LINE, linewidth=0.6, clip_on=False))
    axis.text(0.5, -0.01, f"{number}", transform=axis.transAxes, ha="center", va="top", fontsize=7, color=INK)
    if not seen.any():
        axis.text(0.5, 0.5, "no person", transform=axis.transAxes, ha="center", va="center", fontsize=8, color=INK)
    for person in range(len(points)):
        draw_people(axis, points[[person]], seen[[person]], layout, width=_FURTHER if person else _FIRST)


def _frames(length: int, around: int) -> npt.NDArray[np.int64]:
    """Choose the frames to show, from 0."""
    if not around or length <= FRAMES:
        return np.linspace(0, length - 1, min(FRAMES, length)).round().astype(np.int64)
    return np.arange(FRAMES) + min(max(around - 1 - FRAMES // 2, 0), length - FRAMES)


def _window(points: npt.NDArray[np.float64], seen: npt.NDArray[np.bool_], *, ratio: float) -> npt.NDArray[np.float64]:
    """Return ((left, right), (low, high)) around all seen joints, with a margin; the width is `ratio` times the height."""
    found = points[seen][:, :2] if seen.any() else np.zeros((1, 2))
    low, high = found.min(axis=0), found.max(axis=0)
    width, height = 1.1 * (high - low)
    height = max(height, width / ratio) or 1.0
    reach = np.array([height * ratio, height]) / 2
    return np.stack([(low + high) / 2 - reach, (low + high) / 2 + reach], axis=1)
