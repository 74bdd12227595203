"""A plot of a comparison: the classes on which two recognizers differ, as in the GAP paper's figure 6."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from poseglot.evaluation.comparison import ClassDifference
from poseglot.report.plots import INK, LINE, PAPER, save_figure

# From Okabe and Ito's color-blind safe palette.
GAIN, LOSS = "#0072B2", "#D55E00"


def plot_differences(differences: Sequence[ClassDifference], path: str | Path, *, title: str, min_difference: float) -> None:
    """Write a PNG with a bar per class, B minus A in points, in the given order, and the counts of A and B beside each.

    Args:
        differences: The classes beyond `min_difference` (`Comparison.beyond`). If there are none, the plot says so.
    """
    figure = Figure(figsize=(8, 1.8 + 0.32 * max(len(differences), 2)), facecolor=PAPER, layout="constrained")
    axis = figure.subplots()
    if differences:
        values = [each.points for each in differences]
        rows = range(len(differences))
        axis.barh(rows, values, height=0.7, color=[GAIN if value > 0 else LOSS for value in values])
        for row, each in enumerate(differences):
            counts = f"{each.a.correct}/{each.a.total} → {each.b.correct}/{each.b.total}"
            gain = each.points > 0
            axis.annotate(
                counts,
                (each.points, row),
                xytext=(4 if gain else -4, 0),
                textcoords="offset points",
                ha="left" if gain else "right",
                va="center",
                fontsize=8,
                color=INK,
            )
        axis.set_yticks(rows, [each.name for each in differences], fontsize=8, parse_math=False)
        axis.invert_yaxis()
        axis.axvline(0, color=INK, linewidth=0.8)
        low, high = min(0, *values), max(0, *values)
        room = 0.3 * (high - low)  # for the counts
        axis.set_xlim(low - room * (low < 0), high + room * (high > 0))
        axis.grid(axis="x", color=LINE, linewidth=0.5)
        axis.set_axisbelow(True)
        handles = [Patch(color=GAIN, label="B is better"), Patch(color=LOSS, label="A is better")]
        figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
        axis.set_xlabel(f"B minus A, percentage points (classes beyond ±{min_difference:g})")
    else:
        axis.text(0.5, 0.5, f"no class differs by more than {min_difference:g} points", ha="center", va="center", color=INK)
        axis.set_xticks([])
        axis.set_yticks([])
    axis.tick_params(length=0)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set_color(LINE)
    figure.suptitle(title, fontsize=11, color=INK, parse_math=False)
    save_figure(figure, path)
