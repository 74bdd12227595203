"""Plots of a run: a skeleton, the training curve, the confusion matrix.

matplotlib draws without a display; each `plot_` function writes one PNG. Names from users are drawn with `parse_math=False`, because
matplotlib would read dollar signs in them as formulas.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from poseglot.colors import PART_COLORS
from poseglot.evaluation.metrics import confusion, top_k
from poseglot.evaluation.scores import SavedScores
from poseglot.files import write_atomically
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import Layout
from poseglot.skeletons.orientation import clip_picture

INK, PAPER, LINE = "#222222", "#ffffff", "#c9c9c9"


def plot_run(scores: SavedScores, log: Sequence[Mapping[str, Any]], folder: str | Path) -> list[Path]:
    """Write the training curve (imported weights have none) and the confusion matrix of a run; return their paths."""
    curve, matrix = Path(folder) / "curve.png", Path(folder) / "confusion.png"
    if log:
        plot_curve(log, curve, title=f"Training, {scores.dataset}, {scores.modality} modality")
    accuracy = top_k(scores.logits, scores.labels, 1)
    title = f"{scores.dataset}, {scores.split}: {accuracy}"
    plot_confusion(confusion(scores.logits, scores.labels), scores.classes, matrix, title=title)
    return [curve, matrix] if log else [matrix]


def plot_skeleton(clip: Clip, layout: Layout, path: str | Path, *, title: str, frames: int = 8) -> None:
    """Write evenly spaced frames of a clip side by side; bones have the color of their child joint's part."""
    chosen = np.linspace(0, clip.joints.shape[1] - 1, min(frames, clip.joints.shape[1])).round().astype(int)
    figure = Figure(figsize=(1.6 * len(chosen) + 0.4, 3.4), facecolor=PAPER)
    axes = np.atleast_1d(figure.subplots(1, len(chosen), sharex=True, sharey=True))
    points, seen = clip_picture(clip, layout)
    for axis, frame in zip(axes, chosen, strict=True):
        draw_people(axis, points[:, frame], seen[:, frame], layout)
        axis.set_aspect("equal")
        axis.set_title(f"frame {frame + 1}", fontsize=8, color=INK)
    add_part_legend(figure)
    figure.suptitle(title, fontsize=11, color=INK, parse_math=False)
    figure.subplots_adjust(left=0.01, right=0.99, top=0.82, bottom=0.12, wspace=0.02)
    save_figure(figure, path)


def draw_people(
    axis: Axes, points: npt.NDArray[np.float64], seen: npt.NDArray[np.bool_], layout: Layout, *, width: float = 2.5
) -> None:
    """Draw one frame of a `clip_picture`. Joints that were not seen are left out, and the bones that end in them.

    Args:
        points: (M, V, 3).
        seen: (M, V).
        width: The width of a bone, in points.
    """
    colors = [color for joint in layout.joints for part, color in PART_COLORS.items() if joint in layout.parts[part]]
    for person, shown in zip(points[..., :2], seen, strict=True):
        bones = [(child, parent) for child, parent in layout.bone_pairs if shown[child] and shown[parent]]
        lines = [person[[parent, child]] for child, parent in bones]
        axis.add_collection(
            LineCollection(lines, colors=[colors[child] for child, _ in bones], linewidths=width, capstyle="round")
        )
        dots = [color for color, there in zip(colors, shown, strict=True) if there]
        axis.scatter(
            person[shown, 0], person[shown, 1], s=2.24 * width**2, c=dots, zorder=3, edgecolors=PAPER, linewidths=0.2 * width
        )
    axis.set_axis_off()


def add_part_legend(figure: Figure) -> None:
    """Add a legend of the part colors along the lower edge."""
    handles = [Line2D([], [], color=color, linewidth=3, label=part) for part, color in PART_COLORS.items()]
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=9)


def plot_curve(log: Sequence[Mapping[str, Any]], path: str | Path, *, title: str) -> None:
    """Write the losses and accuracies of every epoch of a run's log."""
    epochs = [entry["epoch"] for entry in log]
    figure = Figure(figsize=(9, 3.6), facecolor=PAPER, layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    loss.plot(epochs, [entry["classification"] for entry in log], color="#0072B2", marker=".", label="classification")
    if any(entry["alignment"] for entry in log):
        loss.plot(epochs, [entry["alignment"] for entry in log], color="#D55E00", marker=".", label="alignment")
    loss.set_ylabel("loss")
    accuracy.plot(
        epochs,
        [100 * entry["train"]["correct"] / entry["train"]["total"] for entry in log],
        color="#0072B2",
        marker=".",
        label="train",
    )
    tested = [entry for entry in log if "test" in entry]
    percents = [100 * entry["test"]["correct"] / entry["test"]["total"] for entry in tested]
    if tested:
        accuracy.plot([entry["epoch"] for entry in tested], percents, color="#D55E00", marker=".", label="test")
        count = tested[-1]["test"]
        accuracy.set_title(
            f"last epoch, test: {count['correct']}/{count['total']} = {percents[-1]:.2f} %", fontsize=9, color=INK
        )
    accuracy.set_ylabel("accuracy (%)")
    for axis in (loss, accuracy):
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(color=LINE, linewidth=0.5)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11, color=INK)
    save_figure(figure, path)


def plot_confusion(matrix: npt.NDArray[np.int64], classes: Sequence[str], path: str | Path, *, title: str) -> None:
    """Write a confusion matrix: a row per true class, a column per predicted class."""
    size = 2.6 + 0.42 * len(classes)
    figure = Figure(figsize=(size + 0.6, size), facecolor=PAPER, layout="constrained")
    axis = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(matrix):
        dark = shares[row, column] > 0.5
        axis.text(column, row, str(matrix[row, column]), ha="center", va="center", fontsize=8, color=PAPER if dark else INK)
    _name_axes(axis, [name if row.any() else f"{name} (no clips)" for name, row in zip(classes, matrix, strict=True)], classes)
    axis.set_title(title, fontsize=11, color=INK)
    save_figure(figure, path)


def _name_axes(axis: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    axis.set_xticks(range(len(columns)), list(columns), rotation=45, ha="right", fontsize=8, parse_math=False)
    axis.set_yticks(range(len(rows)), list(rows), fontsize=8, parse_math=False)
    axis.set_xlabel("predicted action")
    axis.set_ylabel("true action")
    axis.tick_params(length=0)
    axis.spines[:].set_color(LINE)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, atomically.

    Raises:
        FileError: The file could not be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_atomically(Path(path), buffer.getvalue())
