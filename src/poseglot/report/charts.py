"""The charts of a report page as plain data with coordinates: curves, matrices, skeletons. The template turns them into SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from poseglot.colors import PART_COLORS
from poseglot.report.statistics import Array, Link, Matrix, plain, ticks
from poseglot.skeletons.layout import Layout

# With more classes names and counts are too small to read; the page then shows them on hover.
MAX_NAMED = 40
# The ratio of a letter's width to its height, roughly.
LETTER = 0.56


@dataclass(frozen=True)
class Curve:
    """A line: its value in every epoch (None without one), and its points on the page."""

    name: str
    values: tuple[float | None, ...]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Chart:
    """A chart of curves over epochs; ticks are (pixel, label)."""

    id: str
    title: str
    unit: str
    curves: tuple[Curve, ...]
    epochs: tuple[int, ...]
    xs: tuple[float, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    width: int = 540
    height: int = 290
    left: int = 46
    right: int = 528
    top: int = 12
    bottom: int = 234

    @property
    def data(self) -> Mapping[str, Any]:
        """The values that the page's script reads."""
        curves = [{"name": curve.name, "values": curve.values} for curve in self.curves]
        return {"epochs": self.epochs, "xs": self.xs, "unit": self.unit, "curves": curves}


def chart(
    id: str,
    title: str,
    epochs: Sequence[int],
    curves: Mapping[str, Sequence[float | None]],
    *,
    unit: str = "",
    high: float | None = None,
) -> Chart:
    """Make a chart; the vertical axis runs from 0 to `high`, by default to above the highest value."""
    known = [value for values in curves.values() for value in values if value is not None]
    levels = ticks(high if high is not None else max(known, default=1.0))
    first, last = min(epochs), max(epochs)
    shape = Chart(id, title, unit, (), tuple(epochs), (), (), ())

    def x(epoch: float) -> float:
        share = (epoch - first) / (last - first) if last > first else 0.5
        return round(shape.left + share * (shape.right - shape.left), 1)

    def y(value: float) -> float:
        return round(shape.bottom - value / levels[-1] * (shape.bottom - shape.top), 1)

    placed = []
    for name, values in curves.items():
        points = tuple((x(epoch), y(value)) for epoch, value in zip(epochs, values, strict=True) if value is not None)
        placed.append(Curve(name, tuple(values), points))
    every = max(1, math.ceil((last - first) / 8))
    marks = [epoch for epoch in range(first, last + 1) if epoch == first or epoch % every == 0]
    if len(marks) > 1 and marks[1] - marks[0] < every / 2:
        del marks[1]
    return Chart(
        id,
        title,
        unit,
        tuple(placed),
        tuple(epochs),
        tuple(x(epoch) for epoch in epochs),
        tuple((x(epoch), str(epoch)) for epoch in marks),
        tuple((y(level), f"{level:g}") for level in levels),
    )


@dataclass(frozen=True)
class Cell:
    """A colored square; `shade` is from 0 to 1, `below` marks negative values, `ringed` bones."""

    x: float
    y: float
    shade: float
    below: bool = False
    ringed: bool = False
    text: str = ""


@dataclass(frozen=True)
class Grid:
    """A matrix of squares with names at its sides; `data` is for the page's script."""

    id: str
    about: str
    size: float
    left: float
    top: float
    width: float
    height: float
    letter: float
    rows: tuple[tuple[float, str], ...]
    columns: tuple[tuple[float, str], ...]
    cells: tuple[Cell, ...]
    data: Mapping[str, Any]

    @property
    def right(self) -> float:
        return self.left + len(self.data["columns"]) * self.size

    @property
    def bottom(self) -> float:
        return self.top + len(self.data["rows"]) * self.size


def confusion_grid(matrix: Matrix, names: Sequence[str]) -> Grid:
    """Make a grid of a confusion matrix: a row per true class, a column per predicted one, the shade being the share of the row.

    Cells too small for their counts get a minimum shade, so that a single clip is visible.
    """
    totals = matrix.sum(axis=1)
    count = len(names)
    named = count <= MAX_NAMED
    min_shade = 0 if named else 0.3
    size = 34.0 if count <= 16 else 22.0 if named else max(6.0, round(760 / count, 1))
    entries = [
        (
            int(row),
            int(column),
            max(float(matrix[row, column] / totals[row]), min_shade),
            str(matrix[row, column]) * named,
            False,
        )
        for row, column in np.argwhere(matrix)
    ]
    data = {"kind": "confusion", "totals": totals.tolist()}
    values = [[row, column, int(matrix[row, column])] for row, column, *_ in entries]
    about = f"Confusion matrix of {count} classes; rows are true classes, columns predicted ones"
    return _grid("confusion", about, list(names), size, 11.0, entries, {**data, "values": values}, named=named)


def topology_grid(id: str, about: str, topology: Array, layout: Layout) -> Grid:
    """Make a grid of a topology: what each joint (row) takes from each joint (column). Bones are ringed.

    Full color is the strongest entry between joints without a common bone.
    """
    names = [joint.replace("_", " ") for joint in layout.joints]
    learned = ~np.eye(len(names), dtype=bool)  # without the diagonal and the bones
    for child, parent in layout.bone_pairs:
        learned[[child, parent], [parent, child]] = False
    most = float(np.nanmax(np.abs(topology[learned]), initial=0)) or 1.0
    bones = {frozenset(pair) for pair in layout.bone_pairs}
    entries = []
    for row in range(len(names)):
        for column in range(len(names)):
            value = float(topology[row, column])
            strength = min(abs(value) / most, 1.0) if math.isfinite(value) else 0.0
            ringed = frozenset((row, column)) in bones
            if strength >= 0.02 or ringed:
                entries.append((row, column, math.copysign(strength, value), "", ringed))
    values = [[row, column, plain(topology[row, column].item())] for row in range(len(names)) for column in range(len(names))]
    return _grid(id, about, names, 15.0, 9.5, entries, {"kind": "topology", "values": values}, named=True)


def _grid(
    id: str,
    about: str,
    names: list[str],
    size: float,
    letter: float,
    entries: Sequence[tuple[int, int, float, str, bool]],
    data: Mapping[str, Any],
    *,
    named: bool,
) -> Grid:
    shown = [_short(name) for name in names]
    space = letter * LETTER * max(map(len, shown), default=0) + 10 if named else 4
    # Column names are rotated by 45 degrees.
    left, top = round(space, 1), round(0.72 * space + 6, 1)
    extent = size * len(names)
    cells = tuple(
        Cell(round(left + column * size, 1), round(top + row * size, 1), round(abs(value), 2), value < 0, ringed, text)
        for row, column, value, text, ringed in entries
    )
    middles = [round((number + 0.5) * size, 1) for number in range(len(names))]
    return Grid(
        id,
        about,
        size,
        left,
        top,
        width=round(left + extent + (0.72 * space if named else 4), 1),
        height=round(top + extent + 4, 1),
        letter=letter,
        rows=tuple((top + middle, name) for middle, name in zip(middles, shown, strict=True)) if named else (),
        columns=tuple((left + middle, name) for middle, name in zip(middles, shown, strict=True)) if named else (),
        cells=cells,
        data={**data, "rows": names, "columns": names},
    )


def _short(name: str, max_length: int = 26) -> str:
    return name if len(name) <= max_length else name[: max_length - 1] + "…"


@dataclass(frozen=True)
class Line:
    """A line from one point to another."""

    start: tuple[float, float]
    end: tuple[float, float]
    width: float = 3.0
    below: bool = False


@dataclass(frozen=True)
class Skeleton:
    """A pose from the front: bones, joints as (x, y, color), and links on top."""

    bones: tuple[Line, ...]
    joints: tuple[tuple[float, float, str], ...]
    links: tuple[Line, ...]
    width: int = 260
    height: int = 300


def skeleton(pose: Array, layout: Layout, links: Sequence[Link], *, strongest: float | None = None) -> Skeleton:
    """Place one person's pose (V, C), x to the right and y up; the width of links is relative to `strongest`."""
    margin, shape = 20, Skeleton((), (), ())
    flat = np.asarray(pose[:, :2], dtype=np.float64) * (1, -1)
    low, extent = flat.min(axis=0), np.ptp(flat, axis=0)
    room = np.array([shape.width, shape.height]) - 2 * margin
    scale = min(room / np.maximum(extent, 1e-9))
    placed = np.round(margin + (room - scale * extent) / 2 + (flat - low) * scale, 1)
    points = [(float(x), float(y)) for x, y in placed]
    colors = joint_colors(layout)
    most = strongest or max((abs(link.strength) for link in links), default=1.0)
    return Skeleton(
        bones=tuple(Line(points[parent], points[child]) for child, parent in layout.bone_pairs),
        joints=tuple((x, y, color) for (x, y), color in zip(points, colors, strict=True)),
        links=tuple(
            Line(points[link.source], points[link.to], round(1 + 4 * abs(link.strength) / most, 1), link.strength < 0)
            for link in links
        ),
    )


def joint_colors(layout: Layout) -> list[str]:
    """Return the color of each joint's part, in the order of the joints."""
    color = {joint: PART_COLORS[part] for part, joints in layout.parts.items() for joint in joints}
    return [color[joint] for joint in layout.joints]
