"""The text of `poseglot zero-shot`: a paragraph per run, and a page about several runs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from poseglot.evaluation.zero_shot import ZeroShotResult
from poseglot.training.recipe import Recipe, differences
from poseglot.training.zero_shot import ZeroShotEvaluation

NAMES: Mapping[str, str] = {"descriptions": "by descriptions", "labels": "by class names alone"}


def paragraph(evaluation: ZeroShotEvaluation) -> str:
    """Return the results of one run, for the terminal."""
    subset = "" if evaluation.subset == "test" else f", {evaluation.subset} of the training set"
    lines = [
        f"{evaluation.run} on {evaluation.dataset}, split {evaluation.split}{subset}, modality {evaluation.modality}: "
        f"{len(evaluation.seen)} classes seen in training, {len(evaluation.unseen)} unseen ({', '.join(evaluation.unseen)})"
    ]
    for texts, result in evaluation.results.items():
        lines.append(f"  {NAMES[texts]}")
        lines.append(f"    unseen classes among themselves  {result.zero_shot}, chance {result.chance:.2f} %")
        lines.append("      by level: " + ", ".join(f"{level} {accuracy}" for level, accuracy in result.by_level.items()))
        lines.append("      by class: " + ", ".join(f"{label} {accuracy}" for label, accuracy in result.per_class.items()))
        lines.append(f"    among all classes  {_among_all(result)}")
        if texts in evaluation.biased:
            moved = evaluation.biased[texts]
            lines.append(f"    the same, bias {moved.bias:.3g} ({evaluation.bias_source})  {_among_all(moved)}")
    return "\n".join(lines)


def _among_all(result: ZeroShotResult) -> str:
    return f"seen {result.seen}, unseen {result.unseen}, harmonic mean {result.harmonic_mean:.2f} %"


def summary(evaluations: Sequence[ZeroShotEvaluation]) -> str:
    """Return the means over runs, for the terminal."""
    lines = []
    for title, group in _groups(evaluations):
        lines.append(f"{title}: mean ± standard deviation of {len(group)} runs, chance {_chance(group)}")
        for texts, name in NAMES.items():
            lines.append(f"  {name}: " + ", ".join(f"{what} {value}" for what, value in _means(group, texts).items()))
            if all(each.biased for each in group):
                moved = _means(_with_bias(group), texts)
                lines.append("    with the bias: " + ", ".join(f"{what} {moved[what]}" for what in ("seen", "unseen", "H")))
    return "\n".join(lines)


def page(evaluations: Sequence[ZeroShotEvaluation], command: str) -> str:
    """Return a Markdown page: a table for each recipe, with a row for each run."""
    first = evaluations[0]
    subset = "the test set" if first.subset == "test" else "held-out folds of the training set"
    parts = [
        f"# Unseen classes of {first.dataset}",
        f"Split {first.split}, {subset}, modality {first.modality}. A run is trained on the seen classes. Each clip then gets the class "
        "with the highest score: the cosine with a class's texts, averaged over its texts and over levels. *zero-shot*: clips of unseen "
        "classes, among these. *seen*, *unseen*, *H*: all clips among all classes, and the harmonic mean. `poseglot zero-shot` made this "
        "page; ± is the standard deviation between runs.",
    ]
    for title, group in _groups(evaluations):
        parts.append(f"## {title[0].upper() + title[1:]}")
        parts.append(_table(group))
        parts.append(_levels(group))
        if all(each.biased for each in group):
            parts.append("Among all classes, with a bias subtracted from the cosines of seen classes:")
            parts.append(_biased_table(group))
    return "\n\n".join([*parts, f"```\n{command}\n```"]) + "\n"


def _table(group: Sequence[ZeroShotEvaluation]) -> str:
    rows = [
        ["unseen classes", "zero-shot by descriptions", "zero-shot by names alone", "seen", "unseen", "H", "run"],
        ["---"] * 7,
    ]
    for each in group:
        full, label = each.results["descriptions"], each.results["labels"]
        cells = [", ".join(each.unseen), full.zero_shot, label.zero_shot, full.seen, full.unseen, f"{full.harmonic_mean:.2f} %"]
        rows.append([*map(str, cells), f"`{each.run}`"])
    full_means, label_means = _means(group, "descriptions"), _means(group, "labels")
    means = [full_means["zero-shot"], label_means["zero-shot"], *(full_means[name] for name in ("seen", "unseen", "H"))]
    rows.append([f"**mean ± std** (chance {_chance(group)})", *(f"**{mean}**" for mean in means), ""])
    return _rows(rows)


def _levels(group: Sequence[ZeroShotEvaluation]) -> str:
    levels = list(group[0].results["descriptions"].by_level)
    rows = [["zero-shot by", *levels, "all of them"], ["---"] * (len(levels) + 2)]
    for texts, name in (("descriptions", "descriptions"), ("labels", "names alone")):
        values = [_mean([each.results[texts].by_level[level].percent for each in group]) for level in levels]
        rows.append([name, *values, _means(group, texts)["zero-shot"]])
    return _rows(rows)


def _biased_table(group: Sequence[ZeroShotEvaluation]) -> str:
    rows = [["unseen classes", "bias", "seen", "unseen", "H", "source of the bias"], ["---"] * 6]
    for each in group:
        moved = each.biased["descriptions"]
        harmonic = f"{moved.harmonic_mean:.2f} %"
        cells = [", ".join(each.unseen), f"{moved.bias:.3g}", moved.seen, moved.unseen, harmonic, each.bias_source]
        rows.append(list(map(str, cells)))
    means = _means(_with_bias(group), "descriptions")
    rows.append(["**mean ± std**", "", *(f"**{means[name]}**" for name in ("seen", "unseen", "H")), ""])
    return _rows(rows)


def _with_bias(group: Sequence[ZeroShotEvaluation]) -> list[ZeroShotEvaluation]:
    return [replace(each, results=each.biased) for each in group]


def _means(group: Sequence[ZeroShotEvaluation], texts: str) -> dict[str, str]:
    values: Mapping[str, Callable[[ZeroShotResult], float]] = {
        "zero-shot": lambda result: result.zero_shot.percent,
        "seen": lambda result: result.seen.percent,
        "unseen": lambda result: result.unseen.percent,
        "H": lambda result: result.harmonic_mean,
    }
    return {name: _mean([value(each.results[texts]) for each in group]) for name, value in values.items()}


def _mean(values: Sequence[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{deviation} %"


def _chance(group: Sequence[ZeroShotEvaluation]) -> str:
    return " or ".join(sorted({f"{each.results['descriptions'].chance:.2f} %" for each in group}))


def _rows(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _groups(evaluations: Sequence[ZeroShotEvaluation]) -> list[tuple[str, list[ZeroShotEvaluation]]]:
    """Group runs that differ only in their unseen classes and seeds; each group is named by the settings that differ from the others."""
    groups: list[tuple[Recipe, list[ZeroShotEvaluation]]] = []
    for each in evaluations:
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
