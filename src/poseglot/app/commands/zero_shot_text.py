"""What `poseglot zero-shot` says: a paragraph a run, and a page about several."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from poseglot.evaluation.zero_shot import ZeroShotResult
from poseglot.training.recipe import Recipe, differences

NAMES: Mapping[str, str] = {"descriptions": "by descriptions", "labels": "by class names alone"}


@dataclass(frozen=True)
class Shown:
    """One run's zero-shot recognition.

    Attributes:
        judged: `descriptions` and `labels` -> what came of these words.
        biased: the same with a bias; empty without one. bias_is: where it comes from.
        recipe: None where it has been left out (for files).
    """

    run: str
    dataset: str
    split: str
    subset: str
    modality: str
    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    judged: Mapping[str, ZeroShotResult]
    biased: Mapping[str, ZeroShotResult]
    bias_is: str
    recipe: Recipe | None

    def without_recipe(self) -> Shown:
        return replace(self, recipe=None)


def paragraph(shown: Shown) -> str:
    """For the terminal."""
    looked_at = "" if shown.subset == "test" else f", {shown.subset} of the training set"
    lines = [
        f"{shown.run} on {shown.dataset}, split {shown.split}{looked_at}, stream {shown.modality}: {len(shown.seen)} classes learned, "
        f"{len(shown.unseen)} unseen ({', '.join(shown.unseen)})"
    ]
    for words, judged in shown.judged.items():
        lines.append(f"  {NAMES[words]}")
        lines.append(f"    unseen classes among themselves  {judged.zero_shot}, chance {judged.chance:.2f} %")
        lines.append("      by level: " + ", ".join(f"{level} {count}" for level, count in judged.by_level.items()))
        lines.append("      by class: " + ", ".join(f"{label} {count}" for label, count in judged.per_class.items()))
        lines.append(f"    among all classes  {_among_all(judged)}")
        if words in shown.biased:
            moved = shown.biased[words]
            lines.append(f"    the same, bias {moved.bias:g} ({shown.bias_is})  {_among_all(moved)}")
    return "\n".join(lines)


def _among_all(judged: ZeroShotResult) -> str:
    return f"seen {judged.seen}, unseen {judged.unseen}, harmonic mean {judged.harmonic_mean:.2f} %"


def summary(shown: Sequence[Shown]) -> str:
    """Means over runs, for the terminal."""
    lines = []
    for title, group in _groups(shown):
        lines.append(f"{title}: mean ± standard deviation of {len(group)} runs, chance {_chance(group)}")
        for words, name in NAMES.items():
            lines.append(f"  {name}: " + ", ".join(f"{what} {value}" for what, value in _means(group, words).items()))
            if all(each.biased for each in group):
                moved = _means([replace(each, judged=each.biased) for each in group], words)
                lines.append("    with the bias: " + ", ".join(f"{what} {moved[what]}" for what in ("seen", "unseen", "H")))
    return "\n".join(lines)


def page(shown: Sequence[Shown], command: str) -> str:
    """Markdown: a table for each way to train, a row for each run."""
    first = shown[0]
    looked_at = "the test set" if first.subset == "test" else "held-out folds of the training set"
    parts = [
        f"# Unseen classes of {first.dataset}",
        f"Split {first.split}, {looked_at}, stream {first.modality}. A run learns the seen classes; each clip then gets the class whose "
        "words it is nearest to: the mean over a class's texts of the cosine, the mean over levels of these. *zero-shot*: clips of unseen "
        "classes, among these. *seen*, *unseen*, *H*: all clips among all classes, and the harmonic mean. `poseglot zero-shot` made this "
        "page; ± is the standard deviation between runs.",
    ]
    for title, group in _groups(shown):
        parts.append(f"## {title[0].upper() + title[1:]}")
        parts.append(_table(group))
        parts.append(_levels(group))
        if all(each.biased for each in group):
            parts.append("Among all classes, with a bias taken from the cosines of seen classes:")
            parts.append(_biased_table(group))
    return "\n\n".join([*parts, f"```\n{command}\n```"]) + "\n"


def _table(group: Sequence[Shown]) -> str:
    rows = [
        ["unseen classes", "zero-shot by descriptions", "zero-shot by names alone", "seen", "unseen", "H", "run"],
        ["---"] * 7,
    ]
    for each in group:
        full, label = each.judged["descriptions"], each.judged["labels"]
        cells = [", ".join(each.unseen), full.zero_shot, label.zero_shot, full.seen, full.unseen, f"{full.harmonic_mean:.2f} %"]
        rows.append([*map(str, cells), f"`{each.run}`"])
    full_means, label_means = _means(group, "descriptions"), _means(group, "labels")
    means = [full_means["zero-shot"], label_means["zero-shot"], *(full_means[name] for name in ("seen", "unseen", "H"))]
    rows.append([f"**mean ± std** (chance {_chance(group)})", *(f"**{mean}**" for mean in means), ""])
    return _rows(rows)


def _levels(group: Sequence[Shown]) -> str:
    levels = list(group[0].judged["descriptions"].by_level)
    rows = [["zero-shot by", *levels, "all of them"], ["---"] * (len(levels) + 2)]
    for words, name in (("descriptions", "descriptions"), ("labels", "names alone")):
        values = [_mean(group, words, lambda judged, level=level: judged.by_level[level].percent) for level in levels]  # type: ignore[misc]
        rows.append([name, *values, _means(group, words)["zero-shot"]])
    return _rows(rows)


def _means(group: Sequence[Shown], words: str) -> dict[str, str]:
    return {
        "zero-shot": _mean(group, words, lambda judged: judged.zero_shot.percent),
        "seen": _mean(group, words, lambda judged: judged.seen.percent),
        "unseen": _mean(group, words, lambda judged: judged.unseen.percent),
        "H": _mean(group, words, lambda judged: judged.harmonic_mean),
    }


def _mean(group: Sequence[Shown], words: str, value: Callable[[ZeroShotResult], float]) -> str:
    values = [value(each.judged[words]) for each in group]
    deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{deviation} %"


def _chance(group: Sequence[Shown]) -> str:
    found = sorted({f"{each.judged['descriptions'].chance:.2f} %" for each in group})
    return " or ".join(found)


def _biased_table(group: Sequence[Shown]) -> str:
    rows = [["unseen classes", "bias", "seen", "unseen", "H", "where the bias comes from"], ["---"] * 6]
    for each in group:
        moved = each.biased["descriptions"]
        cells = [
            ", ".join(each.unseen),
            f"{moved.bias:g}",
            moved.seen,
            moved.unseen,
            f"{moved.harmonic_mean:.2f} %",
            each.bias_is,
        ]
        rows.append(list(map(str, cells)))
    means = _means([replace(each, judged=each.biased) for each in group], "descriptions")
    rows.append(["**mean ± std**", "", *(f"**{means[name]}**" for name in ("seen", "unseen", "H")), ""])
    return _rows(rows)


def _rows(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _groups(shown: Sequence[Shown]) -> list[tuple[str, list[Shown]]]:
    """Runs that differ in nothing but their unseen classes and seeds, and what a group has that others do not."""
    groups: list[tuple[Recipe, list[Shown]]] = []
    for each in shown:
        assert each.recipe is not None
        recipe = replace(each.recipe, seed=0, data=replace(each.recipe.data, unseen_classes=[], excluded_classes=[]))
        same = next((members for known, members in groups if known == recipe), None)
        if same is None:
            groups.append((recipe, [each]))
        else:
            same.append(each)
    named = []
    for recipe, members in groups:
        other = next((known for known, _ in groups if known != recipe), recipe)
        differing = [text.split(" (")[0] for text in differences(recipe, other)]
        settings = ", ".join(f"{name} {_setting(recipe, name)}" for name in differing)
        named.append((settings or "these runs", members))
    return named


def _setting(recipe: Recipe, name: str) -> object:
    value: object = recipe
    for part in name.split("."):
        value = getattr(value, part)
    return value
