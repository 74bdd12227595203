"""A picture of a comparison: the classes that two recognizers differ on, in the manner of the GAP paper's figure 6.

matplotlib draws it, without a display, as in `report.pictures`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from poseglot.evaluation.comparison import ClassDifference
from poseglot.report.pictures import INK, LINE, PAPER, save_figure

# Of Okabe and Ito's colors, told apart by people with any kind of color vision.
GAIN, LOSS = "#0072B2", "#D55E00"


def draw_differences(differences: Sequence[ClassDifference], path: Path, *, title: str, points: float) -> None:
    """A bar per class, B minus A in points, in the given order from the top; beside it the counts of A and of B.

    Args:
        differences: those beyond `points` (`comparison.beyond`). None: the picture says so.
    """
    figure = Figure(figsize=(8, 1.8 + 0.32 * max(len(differences), 2)), facecolor=PAPER, layout="constrained")
    axis = figure.subplots()
    if differences:
        values = [each.points for each in differences]
        places = range(len(differences))
        axis.barh(places, values, height=0.7, color=[GAIN if value > 0 else LOSS for value in values])
        for place, each in enumerate(differences):
            counts = f"{each.a.correct}/{each.a.total} → {each.b.correct}/{each.b.total}"
            gain = each.points > 0
            axis.annotate(
                counts,
                (each.points, place),
                xytext=(4 if gain else -4, 0),
                textcoords="offset points",
                ha="left" if gain else "right",
                va="center",
                fontsize=8,
                color=INK,
            )
        # Class names are no formulas, whatever they contain.
        axis.set_yticks(places, [each.name for each in differences], fontsize=8, parse_math=False)
        axis.invert_yaxis()
        axis.axvline(0, color=INK, linewidth=0.8)
        low, high = min(0, *values), max(0, *values)
        room = 0.3 * (high - low)  # for the counts, on the sides that have bars
        axis.set_xlim(low - room * (low < 0), high + room * (high > 0))
        axis.grid(axis="x", color=LINE, linewidth=0.5)
        axis.set_axisbelow(True)
        handles = [Patch(color=GAIN, label="B is better"), Patch(color=LOSS, label="A is better")]
        figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
        axis.set_xlabel(f"B minus A, percentage points (classes beyond ±{points:g})")
    else:
        axis.text(0.5, 0.5, f"no class differs by more than {points:g} points", ha="center", va="center", color=INK)
        axis.set_xticks([])
        axis.set_yticks([])
    axis.tick_params(length=0)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set_color(LINE)
    figure.suptitle(title, fontsize=11, color=INK, parse_math=False)
    save_figure(figure, path)
