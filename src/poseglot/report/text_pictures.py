"""Pictures of a description set: how similar the texts of every two classes are, a matrix for each level.

matplotlib draws them, without a display, as in `report.pictures`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patheffects import withStroke

from poseglot.descriptions.review import Matrix, Pair, extreme_pairs, nearest
from poseglot.report.pictures import INK, LINE, PAPER, save_figure

_COLUMNS = 3
MARK = "#D55E00"
_MARKED = 3  # pairs of a matrix that are named and circled


def draw_similarities(similarity: Mapping[str, Matrix], labels: Sequence[str], path: Path, *, title: str) -> None:
    """A matrix for each level, classes in the given order; the most similar pairs are circled and named.

    Args:
        similarity: level -> (classes, classes), two classes or more.
        title: above it all; class names and titles are no formulas.
    """
    # One scale for all levels, so that they can be held side by side; it ends with what occurs.
    pairs = _off_diagonal(similarity)
    headings = {level: f"{level}: mean nearest {nearest(values).mean():.3f}" for level, values in similarity.items()}
    named = {level: extreme_pairs(labels, values, _MARKED) for level, values in similarity.items()}
    limits = (float(np.quantile(pairs, 0.02)), float(pairs.max()))
    _draw(
        similarity, labels, path, title, headings, named, cmap="Blues", limits=limits, scale="similarity\n(cosine)", style=".3f"
    )


def draw_change(change: Mapping[str, Matrix], labels: Sequence[str], path: Path, *, title: str) -> None:
    """The same for the differences of two sets: what came nearer is red, what went farther apart blue.

    Args:
        change: level -> (classes, classes), similarity in the second set minus that in the first.
    """
    pairs = np.abs(_off_diagonal(change))
    headings = {level: f"{level}: mean {_off_diagonal({level: values}).mean():+.3f}" for level, values in change.items()}
    named = {}
    for level, values in change.items():
        strongest = extreme_pairs(labels, np.abs(values), _MARKED)
        places = {label: place for place, label in enumerate(labels)}
        signed = [Pair(each.a, each.b, float(values[places[each.a], places[each.b]])) for each in strongest]
        named[level] = [each for each in signed if abs(each.similarity) > 5e-4]
    most = max(float(pairs.max()), 1e-3)
    _draw(
        change,
        labels,
        path,
        title,
        headings,
        named,
        cmap="RdBu_r",
        limits=(-most, most),
        scale="change of\nsimilarity",
        style="+.3f",
    )


def _draw(
    matrices: Mapping[str, Matrix],
    labels: Sequence[str],
    path: Path,
    title: str,
    headings: Mapping[str, str],
    named: Mapping[str, Sequence[Pair]],
    *,
    cmap: str,
    limits: tuple[float, float],
    scale: str,
    style: str,
) -> None:
    rows = -(-len(matrices) // _COLUMNS)
    # A class needs room for its name, and a matrix of few classes for what is written under it.
    side = max(3.0, 0.075 * len(labels))
    size = 8.0 if len(labels) <= 30 else 5.0  # of class names, in points
    large = 1.0 if side < 5 else 1.7  # a large picture is looked at from farther off
    gap = 1.15 * large
    names = 0.009 * size * max(map(len, labels))  # their room, in inches
    width, height = 0.3 + names + _COLUMNS * (side + 0.25) + 0.9, 0.6 + rows * (side + gap) + names + 0.1
    figure = Figure(figsize=(width, height), facecolor=PAPER)
    drawn: AxesImage | None = None
    for place, (level, values) in enumerate(matrices.items()):
        row, column = divmod(place, _COLUMNS)
        left, top = 0.3 + names + column * (side + 0.25), height - 0.95 - row * (side + gap)
        axis = figure.add_axes((left / width, (top - side) / height, side / width, side / height))
        drawn = _matrix(axis, values, cmap, limits)
        axis.set_title(headings[level], fontsize=10 * large, color=INK, parse_math=False)
        # Names at the left edge, and below each column's last matrix.
        last = place + _COLUMNS >= len(matrices)
        axis.set_yticks(range(len(labels)), list(labels) if column == 0 else [], fontsize=size, parse_math=False)
        axis.set_xticks(range(len(labels)), list(labels) if last else [], rotation=90, fontsize=size, parse_math=False)
        _name_pairs(axis, named[level], labels, below=names if last else 0.0, side=side, size=8 * large, style=style)
    assert drawn is not None
    bar = figure.add_axes(((width - 0.8) / width, (height - 0.95 - side) / height, 0.15 / width, side / height))
    figure.colorbar(drawn, cax=bar, extend="min" if limits[0] > 0 else "neither")
    bar.tick_params(labelsize=8 * large)
    bar.set_title(scale, fontsize=8 * large, color=INK, pad=10)
    figure.suptitle(title, x=0.5, y=1 - 0.15 / height, va="top", fontsize=12 * large, color=INK, parse_math=False)
    save_figure(figure, path)


def _matrix(axis: Axes, values: Matrix, cmap: str, limits: tuple[float, float]) -> AxesImage:
    """A matrix without its diagonal, which says nothing."""
    shown = np.ma.masked_array(values, np.eye(len(values), dtype=bool))
    drawn = axis.imshow(shown, cmap=cmap, vmin=limits[0], vmax=limits[1], interpolation="nearest")
    axis.set_facecolor(LINE)
    axis.tick_params(length=0, pad=2)
    axis.spines[:].set_color(LINE)
    return drawn


def _name_pairs(
    axis: Axes, pairs: Sequence[Pair], labels: Sequence[str], *, below: float, side: float, size: float, style: str
) -> None:
    """Number the pairs in the lower triangle and say under the matrix who they are; `below` and `side` in inches, `size` in points."""
    places = {label: place for place, label in enumerate(labels)}
    halo = [withStroke(linewidth=3, foreground=PAPER)]  # so that they are seen on light and dark
    for number, each in enumerate(pairs, start=1):
        low, high = sorted((places[each.a], places[each.b]))
        axis.plot(low, high, "o", ms=11, mfc="none", mec=MARK, mew=1.2, path_effects=halo, clip_on=False)
        axis.annotate(
            str(number),
            (low, high),
            (8, 0),
            textcoords="offset points",
            va="center",
            color=MARK,
            fontsize=size,
            path_effects=halo,
        )
    said = "\n".join(f"{number}  {each.similarity:{style}}  {each.a} - {each.b}" for number, each in enumerate(pairs, start=1))
    lower = -(0.08 + below) / side
    axis.text(0, lower, said, transform=axis.transAxes, va="top", fontsize=size, color=INK, parse_math=False)


def _off_diagonal(matrices: Mapping[str, Matrix]) -> Matrix:
    return np.concatenate([values[np.triu_indices(len(values), k=1)] for values in matrices.values()])
