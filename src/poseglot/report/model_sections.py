"""Sections of a report page that run the network: alignment with the texts, learned topologies.

Each function returns plain data for the template, or raises a `PoseglotError` with the reason why the section cannot be made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from poseglot.colors import PART_COLORS
from poseglot.errors import InputError, PoseglotError, SettingError
from poseglot.report.charts import Grid, Skeleton, skeleton, topology_grid
from poseglot.report.statistics import Array, Link, Similarity, plain, similarity, spread, strongest_links
from poseglot.skeletons.layout import GLOBAL, PARTITIONS
from poseglot.training.run import Run

# Of large test sets so many clips of each class are encoded.
CLIPS_OF_A_CLASS = 50
CLIPS_FOR_TOPOLOGY = 8
MAX_LINKS = 8
BATCH = 64


class NoSuchLayerError(SettingError):
    """A layer was asked for that the encoder does not have."""


@dataclass(frozen=True)
class Cosine:
    """One class at one level: the mean cosine with its own text, the margin over the closest other class, and that class."""

    own: float | None
    margin: float | None
    rival: str
    shade: float


@dataclass(frozen=True)
class Alignment:
    """A row per class with a cosine for each level; the last row is the mean over classes. Levels have colors."""

    levels: Sequence[tuple[str, str]]
    rows: Sequence[tuple[str, int, Sequence[Cosine]]]
    clips: int
    all_clips: int


def alignment(run: Run) -> Alignment:
    """Return the cosines of each class's clips with the class texts.

    Raises:
        PoseglotError: The run was trained without text, or its texts or clips are missing.
    """
    scores, levels = run.scores, list(run.spec.levels or {})
    if not levels:
        raise InputError("the run was trained without text.")
    chosen = spread(scores.labels, CLIPS_OF_A_CLASS)
    if not len(run.scored) or not len(chosen):
        raise InputError("there are no clips to compare with the texts.")
    try:
        texts = run.text_features
    except PoseglotError as error:
        raise InputError(f"the text features are not available: {error}") from error
    if not texts:
        raise InputError("the run's parts were trained on class labels, not on text.")
    labels = scores.labels[chosen]
    features = _aligned(run, chosen, levels)
    found = {level: similarity(features[level], labels, _array(texts[level])) for level in levels}
    names = scores.classes
    rows = [
        (name, int((labels == label).sum()), [_cosine(found[level], label, names) for level in levels])
        for label, name in enumerate(names)
    ]
    rows.append(("mean over classes", len(chosen), [_mean_cosine(found[level]) for level in levels]))
    return Alignment([(level, _level_color(level)) for level in levels], rows, len(chosen), len(scores.labels))


def _aligned(run: Run, chosen: npt.NDArray[np.int64], levels: Sequence[str]) -> dict[str, Array]:
    """Return the alignment features of chosen clips of the scores: level -> (clips, width)."""
    batches: dict[str, list[Array]] = {level: [] for level in levels}
    with torch.inference_mode():
        for numbers in torch.from_numpy(chosen).split(BATCH):
            aligned = run.recognizer(run.scored.inputs(numbers, None, run.device))["alignment"]
            for level in levels:
                batches[level].append(_array(aligned[level]))
    return {level: np.concatenate(rows) for level, rows in batches.items()}


def _cosine(found: Similarity, label: int, names: Sequence[str]) -> Cosine:
    own, rival = plain(found.own[label]), found.rival[label]
    shade = round(min(max(own or 0, 0), 1), 2)
    return Cosine(own, plain(found.margin[label]), names[rival] if rival >= 0 else "", shade)


def _mean_cosine(found: Similarity) -> Cosine:
    means = []
    for values in (found.own, found.margin):
        known = [value for value in values if math.isfinite(value)]
        means.append(plain(sum(known) / len(known)) if known else None)
    return Cosine(means[0], means[1], "", round(min(max(means[0] or 0, 0), 1), 2))


def _level_color(level: str) -> str:
    """Return the color of a level: that of its part, or of the part that names it if it joins several."""
    pieces = next((parts[level] for parts in PARTITIONS.values() if level in parts and level != GLOBAL), ())
    return PART_COLORS[level] if level in pieces else PART_COLORS[pieces[0]] if pieces else ""


@dataclass(frozen=True)
class Layer:
    """The topology of a layer, as a matrix and as its strongest links over a skeleton, which are also named."""

    number: int
    grid: Grid
    skeleton: Skeleton
    links: Sequence[tuple[str, str, float]]


@dataclass(frozen=True)
class Topologies:
    """The topologies of chosen layers out of `count`, averaged over some clips."""

    layers: Sequence[Layer]
    count: int
    clips: int


def topologies(run: Run, chosen: Sequence[int] | None) -> Topologies:
    """Return the topologies of the chosen layers, from 1; by default of the first, a middle one and the last.

    Raises:
        NoSuchLayerError: There is no such layer.
        PoseglotError: The encoder has no topologies, or the clips are missing.
    """
    recognizer = run.recognizer
    topologies_of: Callable[[Tensor], list[Tensor]] | None = getattr(recognizer.encoder, "topologies", None)
    if topologies_of is None:
        raise InputError(f"the encoder {recognizer.spec.encoder} does not show its topologies.")
    total = len(run.scores.names)
    numbers = np.unique(np.linspace(0, total - 1, min(CLIPS_FOR_TOPOLOGY, total)).round().astype(int))
    with torch.inference_mode():
        inputs = run.scored.inputs(torch.from_numpy(numbers), None, run.device)
        if recognizer.input_transform is not None:
            inputs = recognizer.input_transform.to(inputs.dtype) @ inputs
        found = [_array(topology) for topology in topologies_of(inputs)]
    layers = chosen or sorted({1, (len(found) + 1) // 2, len(found)})
    wrong = [number for number in layers if not 1 <= number <= len(found)]
    if wrong:
        raise NoSuchLayerError(
            f"there is no layer {', '.join(map(str, wrong))}: the encoder {recognizer.spec.encoder} has layers 1 to {len(found)}. "
            "Choose among these with --layers."
        )
    pose, layout = _front(run), recognizer.layout
    names = [joint.replace("_", " ") for joint in layout.joints]
    made = []
    of_layer = {number: strongest_links(found[number - 1], layout.bone_pairs, MAX_LINKS) for number in layers}
    strongest = max((abs(link.strength) for links in of_layer.values() for link in links), default=1.0)
    for number, links in of_layer.items():
        topology = found[number - 1]
        about = f"Topology of layer {number}: what each joint (row) takes from each other joint (column)"
        grid = topology_grid(f"layer-{number}", about, topology, layout)
        made.append(Layer(number, grid, skeleton(pose, layout, links, strongest=strongest), _named_links(links, names)))
    return Topologies(made, len(found), len(numbers))


def _named_links(links: Sequence[Link], names: Sequence[str]) -> list[tuple[str, str, float]]:
    return [(names[link.source], names[link.to], link.strength) for link in links]


def _front(run: Run) -> Array:
    """Choose a pose (V, C) to draw on: the first frame, of some clips', with left and right joints farthest apart."""
    layout, indices = run.layout, run.scored.indices
    mirrored = [(layout.index[left], layout.index[right]) for left, right in layout.mirror.items()]
    chosen = indices[np.linspace(0, len(indices) - 1, min(64, len(indices))).astype(int)]
    poses = [run.store[int(index)].joints[0, 0] for index in chosen]

    def breadth(pose: Array) -> float:
        height = float(np.ptp(pose[:, 1])) or 1.0
        return sum(abs(float(pose[left, 0] - pose[right, 0])) for left, right in mirrored) / height

    return max(poses, key=breadth)


def _array(tensor: Tensor) -> Array:
    result: Array = tensor.detach().float().cpu().numpy()
    return result
