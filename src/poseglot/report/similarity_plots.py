"""Plots of a description set: a matrix for each level of how similar the texts of every two classes are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patheffects import withStroke

from poseglot.descriptions.similarity import Matrix, Pair, extreme_pairs, nearest
from poseglot.report.plots import INK, LINE, PAPER, save_figure

_COLUMNS = 3
MARK = "#D55E00"
_MARKED = 3  # named and circled pairs per matrix


def plot_similarities(similarity: Mapping[str, Matrix], labels: Sequence[str], path: str | Path, *, title: str) -> None:
    """Write a PNG with a matrix for each level; the most similar pairs are circled and named.

    Args:
        similarity: Level -> (classes, classes), two classes or more.
        labels: The class names, in the order of the matrices.
    """
    # One scale for all levels, so that they can be compared.
    pairs = _off_diagonal(similarity)
    headings = {level: f"{level}: mean nearest {nearest(values).mean():.3f}" for level, values in similarity.items()}
    named = {level: extreme_pairs(labels, values, _MARKED) for level, values in similarity.items()}
    limits = (float(np.quantile(pairs, 0.02)), float(pairs.max()))
    _draw(
        similarity, labels, path, title, headings, named, cmap="Blues", limits=limits, scale="similarity\n(cosine)", style=".3f"
    )


def plot_similarity_change(change: Mapping[str, Matrix], labels: Sequence[str], path: str | Path, *, title: str) -> None:
    """Write a PNG with the change of similarity between two sets: red is more similar, blue less.

    Args:
        change: Level -> (classes, classes), the similarity in the second set minus that in the first.
        labels: The class names, in the order of the matrices.
    """
    pairs = np.abs(_off_diagonal(change))
    headings = {level: f"{level}: mean {_off_diagonal({level: values}).mean():+.3f}" for level, values in change.items()}
    named = {}
    for level, values in change.items():
        strongest = extreme_pairs(labels, np.abs(values), _MARKED)
        index = {label: number for number, label in enumerate(labels)}
        signed = [Pair(each.a, each.b, float(values[index[each.a], index[each.b]])) for each in strongest]
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
    path: str | Path,
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
    # Room for the class names, and for the text under a matrix of few classes.
    side = max(3.0, 0.075 * len(labels))
    size = 8.0 if len(labels) <= 30 else 5.0  # of class names, in points
    large = 1.0 if side < 5 else 1.7  # the factor of text in a large plot
    gap = 1.15 * large
    names = 0.009 * size * max(map(len, labels))  # the room for class names, in inches
    width, height = 0.3 + names + _COLUMNS * (side + 0.25) + 0.9, 0.6 + rows * (side + gap) + names + 0.1
    figure = Figure(figsize=(width, height), facecolor=PAPER)
    drawn: AxesImage | None = None
    for number, (level, values) in enumerate(matrices.items()):
        row, column = divmod(number, _COLUMNS)
        left, top = 0.3 + names + column * (side + 0.25), height - 0.95 - row * (side + gap)
        axis = figure.add_axes((left / width, (top - side) / height, side / width, side / height))
        drawn = _matrix(axis, values, cmap, limits)
        axis.set_title(headings[level], fontsize=10 * large, color=INK, parse_math=False)
        # Class names are at the left edge and below each column's last matrix.
        last = number + _COLUMNS >= len(matrices)
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
    """Draw a matrix without its diagonal, which is always 1."""
    shown = np.ma.masked_array(values, np.eye(len(values), dtype=bool))
    drawn = axis.imshow(shown, cmap=cmap, vmin=limits[0], vmax=limits[1], interpolation="nearest")
    axis.set_facecolor(LINE)
    axis.tick_params(length=0, pad=2)
    axis.spines[:].set_color(LINE)
    return drawn


def _name_pairs(
    axis: Axes, pairs: Sequence[Pair], labels: Sequence[str], *, below: float, side: float, size: float, style: str
) -> None:
    """Number the pairs in the lower triangle and list them under the matrix; `below` and `side` are in inches, `size` in points."""
    index = {label: number for number, label in enumerate(labels)}
    halo = [withStroke(linewidth=3, foreground=PAPER)]  # visible on light and dark cells
    for number, each in enumerate(pairs, start=1):
        low, high = sorted((index[each.a], index[each.b]))
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
    listed = "\n".join(
        f"{number}  {each.similarity:{style}}  {each.a} - {each.b}" for number, each in enumerate(pairs, start=1)
    )
    lower = -(0.08 + below) / side
    axis.text(0, lower, listed, transform=axis.transAxes, va="top", fontsize=size, color=INK, parse_math=False)


def _off_diagonal(matrices: Mapping[str, Matrix]) -> Matrix:
    return np.concatenate([values[np.triu_indices(len(values), k=1)] for values in matrices.values()])
