"""What each section of a report page shows, as plain data. A section that cannot be made raises `LeftOutError` with the reason."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poseglot.colors import PART_COLORS
from poseglot.descriptions import Description, load_descriptions
from poseglot.errors import PoseglotError
from poseglot.evaluation.metrics import Accuracy, confusion, per_class, top_k
from poseglot.report.charts import Chart, Grid, Skeleton, chart, confusion_grid, joint_colors, skeleton, topology_grid
from poseglot.report.numbers import (
    Array,
    Confused,
    Link,
    Similarity,
    marked_differences,
    mistakes,
    plain,
    probabilities,
    similarity,
    spread,
    strongest_links,
    worst_confusions,
)
from poseglot.report.report_data import LeftOutError, ReportData
from poseglot.skeletons.layout import GLOBAL, PARTITIONS, PARTS
from poseglot.training.restore import text_features

MOST_PAIRS = 8
MOST_LINKS = 8
# Alignment features need the whole encoder: of large test sides so many clips of each class are looked at.
CLIPS_OF_A_CLASS = 50
CLIPS_FOR_TOPOLOGY = 8
MOST_FRAMES = 48
BATCH = 64

Named = tuple[str, str]
# Pieces of a text, and of each whether it is a word that the other text does not have.
Marked = Sequence[tuple[str, bool]]


@dataclass(frozen=True)
class Head:
    """What was trained and what came of it: the folder, the result, names with values, every setting, the machine."""

    title: str
    origin: str
    result: Accuracy
    top5: Accuracy | None
    best: str
    facts: Sequence[Named]
    settings: Sequence[Named]
    machine: Sequence[Named]
    not_numbers: int


def head(material: ReportData) -> Head:
    scores, recipe, run = material.scores, material.recipe, material.run
    facts = [("data set", scores.dataset), ("split", f"{scores.split}, {scores.subset}"), ("modality", scores.modality)]
    facts += [("encoder", _encoder(material)), ("words", _words(material))]
    if recipe is not None:
        facts += [
            ("schedule", f"{recipe.optim.epochs} epochs, batches of {recipe.optim.batch_size}"),
            ("seed", str(recipe.seed)),
        ]
    machine = _machine(material)
    if machine:
        known = dict(machine)
        facts.append(("machine", ", ".join(known[key] for key in ("device", "system") if key in known)))
    tested = [entry for entry in run.read_log() if "test" in entry]
    best = ""
    if tested:
        entry = max(tested, key=lambda entry: entry["test"]["correct"])  # of equals the earlier, as the training says it
        best = f"epoch {entry['epoch']}: {Accuracy(**entry['test'])}"
    return Head(
        title=run.folder.resolve().name,
        origin=str(run.folder),
        result=top_k(scores.logits, scores.labels, 1),
        top5=top_k(scores.logits, scores.labels, 5) if len(scores.classes) > 5 else None,
        best=best,
        facts=facts,
        settings=list(_flat(asdict(recipe))) if recipe is not None else [],
        machine=machine,
        not_numbers=int((~np.isfinite(scores.logits)).any(axis=1).sum()),
    )


def _encoder(material: ReportData) -> str:
    try:
        recognizer = material.recognizer
    except LeftOutError:
        return "unknown"
    options = [f"{name} {value}" for name, value in (recognizer.spec.encoder_kwargs or {}).items()]
    parts = [recognizer.encoder, recognizer.classifier]
    count = sum(parameter.numel() for part in parts for parameter in part.parameters())
    return ", ".join([recognizer.spec.encoder, *options, f"{count / 1e6:.2f} M parameters at test time"])


def _words(material: ReportData) -> str:
    recipe = material.recipe
    if recipe is None:
        return "not known (no recipe in the folder)"
    text = recipe.text
    if not recipe.with_text:
        return "none, trained on class numbers alone"
    return (
        f"{text.prompt}, partition {text.partition}, texts read by {text.encoder} ({'frozen' if text.freeze else 'fine-tuned'})"
    )


def _machine(material: ReportData) -> list[Named]:
    try:
        table = json.loads(material.run.machine.read_text())
    except (OSError, ValueError):  # imported weights have none; a damaged one is no reason to have no report
        return []
    return [(str(key), str(value)) for key, value in table.items()] if isinstance(table, dict) else []


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[Named]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


@dataclass(frozen=True)
class Curves:
    """Charts, and the same numbers as a table with one row an epoch."""

    charts: Sequence[Chart]
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def curves(material: ReportData) -> Curves:
    log = material.run.read_log()
    if not log:
        raise LeftOutError("the folder has no log of a training (imported weights have none).")
    epochs = [int(entry["epoch"]) for entry in log]
    loss = {name: [plain(entry.get(name)) for entry in log] for name in ("classification", "alignment")}
    if not any(loss["alignment"]):
        del loss["alignment"]
    subsets = {"train": "train", material.scores.subset: "test"}  # the log says "test" of a held-out fold, too
    accuracy = {name: [_percent(entry.get(subset)) for entry in log] for name, subset in subsets.items()}
    charts = [chart("loss", "Loss", epochs, loss), chart("accuracy", "Accuracy", epochs, accuracy, unit=" %", high=100)]
    columns = {"epoch": [str(epoch) for epoch in epochs]}
    columns |= {f"{name} loss": [_number(value) for value in values] for name, values in loss.items()}
    columns |= {
        name: [str(Accuracy(**entry[subset])) if subset in entry else "" for entry in log] for name, subset in subsets.items()
    }
    return Curves(charts, list(columns), list(zip(*columns.values(), strict=True)))


def _percent(count: Mapping[str, int] | None) -> float | None:
    return plain(Accuracy(**count).percent, 2) if count else None


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


@dataclass(frozen=True)
class Classes:
    """The confusion matrix, and the accuracy of each class, lowest first, classes without clips last."""

    grid: Grid
    bars: Sequence[tuple[str, Accuracy]]


def classes(material: ReportData) -> Classes:
    scores = material.scores
    counts = zip(scores.classes, per_class(scores.logits, scores.labels), strict=True)
    bars = sorted(counts, key=lambda bar: bar[1].percent if bar[1].total else math.inf)
    return Classes(confusion_grid(confusion(scores.logits, scores.labels), scores.classes), bars)


@dataclass(frozen=True)
class Pair:
    """Two classes that were confused, and what is said of each, line by line: (what, its color, true, recognised)."""

    true: str
    recognised: str
    confused: Confused
    lines: Sequence[tuple[str, str, Marked, Marked]]


@dataclass(frozen=True)
class Pairs:
    """The most frequent confusions; `origin` names the description set, `reason` says why there is none."""

    pairs: Sequence[Pair]
    origin: str
    reason: str


def pairs(material: ReportData) -> Pairs:
    names = material.scores.classes
    described: Sequence[Description] = ()
    origin = reason = ""
    if material.recipe is None:
        reason = "The folder has no recipe that names descriptions of the classes."
    else:
        try:
            described = load_descriptions(material.recipe.text.descriptions).of(names)
            origin = material.recipe.text.descriptions
        except PoseglotError as error:
            reason = f"There are no descriptions to show: {error}"
    found = []
    for confused in worst_confusions(confusion(material.scores.logits, material.scores.labels), MOST_PAIRS):
        lines = _compared(described[confused.true], described[confused.recognised]) if described else []
        found.append(Pair(names[confused.true], names[confused.recognised], confused, lines))
    return Pairs(found, origin, reason)


def _compared(true: Description, recognised: Description) -> list[tuple[str, str, Marked, Marked]]:
    texts = [
        ("label", "", true.label, recognised.label),
        *((part, PART_COLORS[part], true.parts[part], recognised.parts[part]) for part in PARTS),
        ("synonyms", "", ", ".join(true.synonyms), ", ".join(recognised.synonyms)),
        ("paragraph", "", " ".join(true.paragraph.split()), " ".join(recognised.paragraph.split())),
    ]
    return [(what, color, marked_differences(one, other), marked_differences(other, one)) for what, color, one, other in texts]


@dataclass(frozen=True)
class Cosine:
    """One class at one level: mean cosine with its own text, the margin over the closest other class, and which that is."""

    own: float | None
    margin: float | None
    rival: str
    shade: float


@dataclass(frozen=True)
class Alignment:
    """A row for each class with a cosine for each level; the last row is the mean over classes. Levels have colors."""

    levels: Sequence[tuple[str, str]]
    rows: Sequence[tuple[str, int, Sequence[Cosine]]]
    clips: int
    all_clips: int


def alignment(material: ReportData) -> Alignment:
    scores, levels = material.scores, list(material.recognizer.spec.levels or {})
    if not levels:
        raise LeftOutError("the run was trained without words.")
    chosen = spread(scores.labels, CLIPS_OF_A_CLASS)
    if not material.indices or not len(chosen):
        raise LeftOutError("there are no clips to compare with the texts.")
    try:
        texts = text_features(material.run)
    except PoseglotError as error:
        raise LeftOutError(f"the text features cannot be had: {error}") from error
    if not texts:
        raise LeftOutError("the run's parts learned from class numbers, not from words.")
    labels = scores.labels[chosen]
    features = _aligned(material, chosen, levels)
    found = {level: similarity(features[level], labels, _array(texts[level])) for level in levels}
    names = scores.classes
    rows = [
        (name, int((labels == label).sum()), [_cosine(found[level], label, names) for level in levels])
        for label, name in enumerate(names)
    ]
    rows.append(("mean over classes", len(chosen), [_mean_cosine(found[level]) for level in levels]))
    return Alignment([(level, _level_color(level)) for level in levels], rows, len(chosen), len(scores.labels))


def _aligned(material: ReportData, chosen: np.ndarray[Any, Any], levels: Sequence[str]) -> dict[str, Array]:
    batches: dict[str, list[Array]] = {level: [] for level in levels}
    with torch.inference_mode():
        for numbers in torch.from_numpy(chosen).split(BATCH):
            aligned = material.recognizer(material.view(numbers))["alignment"]
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
    """A level made of one part has its color; of several, that of the part that names it."""
    pieces = next((parts[level] for parts in PARTITIONS.values() if level in parts and level != GLOBAL), ())
    return PART_COLORS[level] if level in pieces else PART_COLORS[pieces[0]] if pieces else ""


@dataclass(frozen=True)
class Layer:
    """The topology of one layer, as a matrix and as its strongest links over a skeleton, which are also named."""

    number: int
    grid: Grid
    skeleton: Skeleton
    links: Sequence[tuple[str, str, float]]


@dataclass(frozen=True)
class Topologies:
    """The chosen layers of `count`, averaged over some clips."""

    layers: Sequence[Layer]
    count: int
    clips: int


def topologies(material: ReportData, chosen: Sequence[int] | None) -> Topologies:
    """Of the chosen layers, from 1 on; by default of the first, a middle one and the last.

    Raises:
        LeftOutError: the encoder shows none, or there are no clips to look at.
        PoseglotError: there is no such layer.
    """
    recognizer = material.recognizer
    topologies_of: Callable[[Tensor], list[Tensor]] | None = getattr(recognizer.encoder, "topologies", None)
    if topologies_of is None:
        raise LeftOutError(f"the encoder {recognizer.spec.encoder} does not show its topologies.")
    total = len(material.scores.names)
    numbers = np.unique(np.linspace(0, total - 1, min(CLIPS_FOR_TOPOLOGY, total)).round().astype(int))
    with torch.inference_mode():
        view = material.view(torch.from_numpy(numbers))
        if recognizer.input_transform is not None:
            view = recognizer.input_transform.to(view.dtype) @ view
        found = [_array(topology) for topology in topologies_of(view)]
    layers = chosen or sorted({1, (len(found) + 1) // 2, len(found)})
    wrong = [number for number in layers if not 1 <= number <= len(found)]
    if wrong:
        raise PoseglotError(
            f"there is no layer {', '.join(map(str, wrong))}: the encoder {recognizer.spec.encoder} has layers 1 to {len(found)}. "
            "Choose among those by --layers."
        )
    pose, layout = _front(material), recognizer.layout
    names = [joint.replace("_", " ") for joint in layout.joints]
    made = []
    of_layer = {number: strongest_links(found[number - 1], layout.bone_pairs, MOST_LINKS) for number in layers}
    strongest = max((abs(link.strength) for links in of_layer.values() for link in links), default=1.0)
    for number, links in of_layer.items():
        topology = found[number - 1]
        about = f"Topology of layer {number}: what each joint (row) takes from each other joint (column)"
        grid = topology_grid(f"layer-{number}", about, topology, layout)
        made.append(Layer(number, grid, skeleton(pose, layout, links, strongest=strongest), _named_links(links, names)))
    return Topologies(made, len(found), len(numbers))


def _named_links(links: Sequence[Link], names: Sequence[str]) -> list[tuple[str, str, float]]:
    return [(names[link.source], names[link.to], link.strength) for link in links]


def _front(material: ReportData) -> Array:
    """A pose (V, C) to draw on: of some clips' first frames the one seen most from the front, left and right farthest apart."""
    layout, total = material.recognizer.layout, len(material.scores.names)
    subsets = [(layout.index[left], layout.index[right]) for left, right in layout.mirror.items()]
    poses = [material.clip(number).joints[0, 0] for number in np.linspace(0, total - 1, min(64, total)).astype(int)]

    def breadth(pose: Array) -> float:
        height = float(np.ptp(pose[:, 1])) or 1.0
        return sum(abs(float(pose[left, 0] - pose[right, 0])) for left, right in subsets) / height

    return max(poses, key=breadth)


@dataclass(frozen=True)
class Shown:
    """A clip to watch, and what the page's script draws it from."""

    name: str
    true: str
    recognised: str
    probability: float | None
    true_probability: float | None
    frames: int
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Clips:
    """Clips to watch: mistakes (`wrong` in all) or, where there are none, clips that were recognised. Bones are child and parent."""

    clips: Sequence[Shown]
    wrong: int
    bones: Sequence[tuple[int, int]]
    colors: Sequence[str]


def clips(material: ReportData, most: int) -> Clips:
    scores = material.scores
    shares, recognised = probabilities(scores.logits), scores.logits.argmax(axis=1)
    wrong = mistakes(scores.logits, scores.labels)
    right = np.argsort(-shares.max(axis=1), kind="stable")
    numbers = (wrong or right.tolist())[:most]
    layout = material.recognizer.layout
    shown = []
    for number in numbers:
        clip, label = material.clip(number), int(scores.labels[number])
        shown.append(
            Shown(
                scores.names[number],
                scores.classes[label],
                scores.classes[recognised[number]],
                plain(shares[number, recognised[number]].item()),
                plain(shares[number, label].item()),
                clip.joints.shape[1],
                moving(clip.joints),
            )
        )
    return Clips(shown, len(wrong), layout.bone_pairs, joint_colors(layout))


def moving(joints: Array) -> dict[str, Any]:
    """(M, T, V, C) -> for each person and frame x, y, z of every joint in thousandths of the clip's extent, or null if absent.

    Longer clips keep evenly spaced frames. Two coordinates get a depth of 0.
    """
    frames = joints.shape[1]
    kept = np.unique(np.linspace(0, frames - 1, min(frames, MOST_FRAMES)).round().astype(int))
    points = joints[:, kept, :, :3].astype(np.float64)
    points = np.pad(points, [(0, 0)] * 3 + [(0, 3 - points.shape[-1])])
    present = np.isfinite(points).all(axis=(2, 3)) & (points != 0).any(axis=(2, 3))
    seen = points[present].reshape(-1, 3) if present.any() else np.zeros((1, 3))
    low, high = seen.min(axis=0), seen.max(axis=0)
    points = (points - (low + high) / 2) / (float((high - low).max()) or 1.0) * 1000
    people = [
        [frame.round().astype(int).ravel().tolist() if there else None for frame, there in zip(person, seen_in, strict=True)]
        for person, seen_in in zip(points, present, strict=True)
    ]
    # The sensors' pace is not stored; thirty frames a second is what Kinects have.
    return {"people": people, "seconds": round(min(max(frames / 30, 1.5), 6.0), 2)}


def _array(tensor: Tensor) -> Array:
    result: Array = tensor.detach().float().cpu().numpy()
    return result
