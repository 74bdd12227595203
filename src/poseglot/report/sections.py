"""Sections of a report page that need no network: summary, curves, classes, confusions, clips.

Each function returns plain data for the template, or raises a `PoseglotError` with the reason why the section cannot be made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poseglot.colors import PART_COLORS
from poseglot.descriptions import Description, load_descriptions
from poseglot.errors import FileError, PoseglotError
from poseglot.evaluation.metrics import Accuracy, confusion, per_class, top_k
from poseglot.evaluation.scores import SavedScores
from poseglot.report.charts import Chart, Grid, chart, confusion_grid, joint_colors
from poseglot.report.statistics import (
    Confused,
    marked_differences,
    mistakes,
    plain,
    probabilities,
    worst_confusions,
)
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import PARTS, Layout
from poseglot.skeletons.orientation import clip_picture, joint_rows
from poseglot.training.run import Run

MAX_PAIRS = 8
MAX_FRAMES = 48

Named = tuple[str, str]
# Pieces of a text, and whether each is a word that the other text does not contain.
Marked = Sequence[tuple[str, bool]]


@dataclass(frozen=True)
class Head:
    """The summary: the folder, the result, the main facts, all settings, the machine.

    Attributes:
        best: The best epoch on the evaluated clips, which is not the result.
        not_numbers: The number of clips with scores that are not finite.
    """

    title: str
    origin: str
    result: Accuracy
    top5: Accuracy | None
    best: str
    facts: Sequence[Named]
    settings: Sequence[Named]
    machine: Sequence[Named]
    not_numbers: int


def head(run: Run, in_training: npt.NDArray[np.bool_] | None = None, *, own: bool = True) -> Head:
    """Return the summary of a run.

    Args:
        run: The run.
        in_training: Which clips of its scores were trained on; None if that is not known.
        own: Whether the scores are of the clips that the recipe evaluates, as the log's accuracies are.
    """
    scores, recipe = run.scores, run.recipe if run.has_recipe else None
    facts = [("data set", scores.dataset), ("split", f"{scores.split}, {scores.subset}"), ("modality", scores.modality)]
    facts += [("clips trained on", _trained_on(scores, in_training)), ("encoder", _encoder(run)), ("text", _text(run))]
    if recipe is not None:
        facts += [
            ("schedule", f"{recipe.optim.epochs} epochs, batches of {recipe.optim.batch_size}"),
            ("seed", str(recipe.seed)),
        ]
    machine = {str(key): str(value) for key, value in run.files.read_machine().items()}
    if machine:
        facts.append(("machine", ", ".join(machine[key] for key in ("device", "system") if key in machine)))
    best = run.best_epoch if own else None
    return Head(
        title=run.folder.resolve().name,
        origin=str(run.folder),
        result=top_k(scores.logits, scores.labels, 1),
        top5=top_k(scores.logits, scores.labels, 5) if len(scores.classes) > 5 else None,
        best=f"epoch {best[0]}: {best[1]}" if best else "",
        facts=facts,
        settings=list(_flat(asdict(recipe))) if recipe is not None else [],
        machine=list(machine.items()),
        not_numbers=int((~np.isfinite(scores.logits)).any(axis=1).sum()),
    )


def _trained_on(scores: SavedScores, in_training: npt.NDArray[np.bool_] | None) -> str:
    if in_training is None:
        return "not checked"
    if not in_training.any():
        return f"none of {len(in_training):,}"
    rest = ~in_training
    return f"{in_training.sum():,} of {len(rest):,}; top-1 without them {top_k(scores.logits[rest], scores.labels[rest], 1)}"


def _encoder(run: Run) -> str:
    try:
        recognizer = run.recognizer
    except PoseglotError:
        return "unknown"
    options = [f"{name} {value}" for name, value in (recognizer.spec.encoder_kwargs or {}).items()]
    parts = [recognizer.encoder, recognizer.classifier]
    count = sum(parameter.numel() for part in parts for parameter in part.parameters())
    return ", ".join([recognizer.spec.encoder, *options, f"{count / 1e6:.2f} M parameters at test time"])


def _text(run: Run) -> str:
    if not run.has_recipe:
        return "not known (no recipe in the folder)"
    text = run.recipe.text
    if not run.recipe.with_text:
        return "none, trained on class labels alone"
    read = run.files.read_machine().get("texts") or text.descriptions
    return (
        f"{text.prompt} of {read}, partition {text.partition}, text encoder {text.encoder} "
        f"({'frozen' if text.freeze else 'fine-tuned'})"
    )


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[Named]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


@dataclass(frozen=True)
class Curves:
    """The curves of a training as charts, and as a table with a row per epoch."""

    charts: Sequence[Chart]
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def curves(run: Run) -> Curves:
    """Return the losses and accuracies of every epoch.

    Raises:
        FileError: The run has no log.
    """
    log = run.log
    if not log:
        raise FileError("the folder has no training log (imported weights have none).")
    epochs = [int(entry["epoch"]) for entry in log]
    loss = {name: [plain(entry.get(name)) for entry in log] for name in ("classification", "alignment")}
    if not any(loss["alignment"]):
        del loss["alignment"]
    subsets = {"train": "train", run.scores.subset: "test"}  # the log calls a held-out fold "test", too
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
    """The confusion matrix, and the accuracy of each class: the lowest first, classes without clips last."""

    grid: Grid
    bars: Sequence[tuple[str, Accuracy]]


def classes(run: Run) -> Classes:
    """Return the confusion matrix and the accuracy of each class."""
    scores = run.scores
    counts = zip(scores.classes, per_class(scores.logits, scores.labels), strict=True)
    bars = sorted(counts, key=lambda bar: bar[1].percent if bar[1].total else math.inf)
    return Classes(confusion_grid(confusion(scores.logits, scores.labels), scores.classes), bars)


@dataclass(frozen=True)
class Pair:
    """Two confused classes and their descriptions, line by line: (field, its color, of the true class, of the predicted one)."""

    true: str
    predicted: str
    confused: Confused
    lines: Sequence[tuple[str, str, Marked, Marked]]


@dataclass(frozen=True)
class Pairs:
    """The most frequent confusions; `origin` names the description set, `reason` says why there is none."""

    pairs: Sequence[Pair]
    origin: str
    reason: str


def pairs(run: Run) -> Pairs:
    """Return the most frequent confusions."""
    names = run.scores.classes
    described: Sequence[Description] = ()
    origin = reason = ""
    if not run.has_recipe:
        reason = "The folder has no recipe that names descriptions of the classes."
    else:
        try:
            described = load_descriptions(run.recipe.text.descriptions).of(names)
            origin = run.recipe.text.descriptions
        except PoseglotError as error:
            reason = f"There are no descriptions to show: {error}"
    found = []
    for confused in worst_confusions(confusion(run.scores.logits, run.scores.labels), MAX_PAIRS):
        lines = _compared(described[confused.true], described[confused.predicted]) if described else []
        found.append(Pair(names[confused.true], names[confused.predicted], confused, lines))
    return Pairs(found, origin, reason)


def _compared(true: Description, predicted: Description) -> list[tuple[str, str, Marked, Marked]]:
    texts = [
        ("label", "", true.label, predicted.label),
        *((part, PART_COLORS[part], true.parts[part], predicted.parts[part]) for part in PARTS),
        ("synonyms", "", ", ".join(true.synonyms), ", ".join(predicted.synonyms)),
        ("paragraph", "", " ".join(true.paragraph.split()), " ".join(predicted.paragraph.split())),
    ]
    return [(what, color, marked_differences(one, other), marked_differences(other, one)) for what, color, one, other in texts]


@dataclass(frozen=True)
class Shown:
    """A clip to watch; `data` is for the page's script."""

    name: str
    true: str
    predicted: str
    probability: float | None
    true_probability: float | None
    frames: int
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Clips:
    """Clips to watch: wrong predictions (`wrong` in all) or, if there are none, correct ones. Bones are (child, parent)."""

    clips: Sequence[Shown]
    wrong: int
    bones: Sequence[tuple[int, int]]
    colors: Sequence[str]


def clips(run: Run, count: int) -> Clips:
    """Return at most `count` clips to watch, the most probable predictions first."""
    scores, dataset = run.scores, run.scored
    shares, predicted = probabilities(scores.logits), scores.logits.argmax(axis=1)
    wrong = mistakes(scores.logits, scores.labels)
    right = np.argsort(-shares.max(axis=1), kind="stable")
    numbers = (wrong or right.tolist())[:count]
    shown = []
    for number in numbers:
        clip, label = run.store[int(dataset.indices[number])], int(scores.labels[number])
        shown.append(
            Shown(
                scores.names[number],
                scores.classes[label],
                scores.classes[predicted[number]],
                plain(shares[number, predicted[number]].item()),
                plain(shares[number, label].item()),
                clip.joints.shape[1],
                moving(clip, run.layout),
            )
        )
    return Clips(shown, len(wrong), run.layout.bone_pairs, joint_colors(run.layout))


def moving(clip: Clip, layout: Layout) -> dict[str, Any]:
    """Return a clip for the page's script.

    Each person has for each frame x, y, z of every joint in thousandths of the clip's extent, null where it is not seen, or null if
    absent. Longer clips keep `MAX_FRAMES` evenly spaced frames. 2D joints get a depth of 0.
    """
    frames = clip.joints.shape[1]
    kept = np.unique(np.linspace(0, frames - 1, min(frames, MAX_FRAMES)).round().astype(int))
    points, seen = clip_picture(clip, layout)
    points, seen = points[:, kept], seen[:, kept]
    found = points[seen] if seen.any() else np.zeros((1, 3))
    low, high = found.min(axis=0), found.max(axis=0)
    integers = np.rint((points - (low + high) / 2) / (float((high - low).max()) or 1.0) * 1000).astype(int)
    # The frame rate is not stored; a Kinect has 30 per second.
    return {"people": joint_rows(integers, seen), "seconds": round(min(max(frames / 30, 1.5), 6.0), 2)}
