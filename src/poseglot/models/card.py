"""Write model cards: Markdown that begins with the YAML that the Hugging Face Hub and `poseglot models` read.

A card is written from plain data: the table of the recognizer's file (`models.recognizer.described`) and what its writer measured.
What nobody measured is said to be not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

NOT_MEASURED = "Not measured."
_TAGS = ("skeleton-based-action-recognition", "action-recognition", "human-pose")


@dataclass(frozen=True)
class Licence:
    """The licence of weights.

    Attributes:
        id: Of the Hub, such as `apache-2.0`; `other` for a licence of its own; empty if none was stated.
        name: The name of a licence of its own, whose text is in LICENSE beside the weights.
        notice: A sentence that says what the weights may be used for.
    """

    id: str = ""
    name: str = ""
    notice: str = ""


@dataclass(frozen=True)
class Result:
    """The correct clips of a subset.

    Attributes:
        dataset, split: Of the clips.
        correct, total: n of N.
        note: What is special about these clips; empty for the whole subset.
    """

    dataset: str
    split: str
    correct: int
    total: int
    note: str = ""

    def __str__(self) -> str:
        return f"{self.correct}/{self.total} = {100 * self.correct / self.total:.2f} %"


@dataclass(frozen=True)
class CardContent:
    """What a card says beside the spec.

    Attributes:
        title: The name of the recognizer.
        licence: Of the weights.
        results: The first is the one that the Hub and `poseglot models` show.
        sections: Heading -> lines of Markdown, in order, after the first section.
        loading: What `poseglot.load` takes for it.
    """

    title: str = "A Poseglot recognizer"
    licence: Licence = field(default_factory=Licence)
    results: Sequence[Result] = ()
    sections: Mapping[str, Sequence[str]] = field(default_factory=dict)
    loading: str = "a-folder"


def spec_card(table: Mapping[str, Any], *, parameters: int) -> str:
    """Return the card of a recognizer of which nothing but its spec is known."""
    sections = dict.fromkeys(("Data and training", "Results"), (NOT_MEASURED, "`poseglot card RUN` writes the card of a run."))
    return model_card(table, parameters=parameters, content=CardContent(sections=sections))


def model_card(table: Mapping[str, Any], *, parameters: int, content: CardContent) -> str:
    """Return the text of a card.

    Args:
        table: Of the recognizer's file.
        parameters: The number of parameters in the file.
        content: What else is said.
    """
    licence = content.licence
    stated = f"{licence.name or licence.id}. {licence.notice}".strip() if licence.id else "Not stated."
    lines = [
        f"# {content.title}",
        "",
        "A [Poseglot](https://github.com/poseglot/poseglot) recognizer: joints over time in, actions out.",
        "",
    ]
    lines += ["```python", "import poseglot", "", f'predictor = poseglot.load("{content.loading}")']
    lines += ["print(predictor.predict(clip)[0].action)  # (people, frames, joints, channels), or a file", "```", ""]
    sections = {"What it is": _what_it_is(table, parameters), **content.sections, "Licence of the weights": [stated]}
    for heading, body in sections.items():
        lines += [f"## {heading}", "", *body, ""]
    return f"---\n{front_matter(table, content)}---\n\n" + "\n".join(lines).rstrip() + "\n"


def front_matter(table: Mapping[str, Any], content: CardContent) -> str:
    """Return the YAML of a card; `poseglot` holds what `poseglot models` shows."""
    licence = content.licence
    front: dict[str, Any] = {"library_name": "poseglot", "tags": list(_TAGS)}
    if licence.id:
        front["license"] = licence.id
    if licence.name:
        front |= {"license_name": licence.name, "license_link": "LICENSE"}
    if content.results:
        results = [_indexed(result) for result in content.results]
        front["model-index"] = [{"name": content.title, "results": results}]
    front["poseglot"] = {
        "layout": table["layout_table"]["name"],
        "classes": len(table["classes"]),
        "notice": licence.notice,
        "results": [
            {"dataset": each.dataset, "split": each.split, "correct": each.correct, "total": each.total, "note": each.note}
            for each in content.results
        ],
    }
    return yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=120)


def _indexed(result: Result) -> dict[str, Any]:
    """Return a result as the Hub's model index has it."""
    name = f"{result.dataset}, {result.split}{f', {result.note}' if result.note else ''}"
    return {
        "task": {"type": "video-classification", "name": "Skeleton-based action recognition"},
        "dataset": {"type": result.dataset, "name": name},
        "metrics": [
            {
                "type": "accuracy",
                "name": f"top-1 ({result.correct}/{result.total})",
                "value": round(result.correct / result.total, 4),
            }
        ],
    }


def _what_it_is(table: Mapping[str, Any], parameters: int) -> list[str]:
    """Return the facts of a spec as a list."""
    layout, channels = table["layout_table"], table["channels"]
    dims = channels - table["has_scores"]
    pipeline = table["pipeline"] if isinstance(table["pipeline"], str) else table["pipeline"].get("name", "its own")
    options = ", ".join(f"{name} {value}" for name, value in (table["encoder_kwargs"] or {}).items())
    levels = ", ".join(table["levels"] or ())
    lines = [
        f"- **Network**: `{table['encoder']}`{f' ({options})' if options else ''}, modality {table['modality']}, {parameters:,} parameters"
        f"{f', alignment heads for {levels} included' if levels else ''}.",
        f"- **Takes**: layout `{layout['name']}` ({len(layout['joints'])} joints), {dims}D"
        f"{' and a confidence' if table['has_scores'] else ''}, people at once: {table['num_persons']}; pipeline `{pipeline}`.",
        f"- **Gives**: probabilities of {len(table['classes'])} actions: {', '.join(table['classes'])}.",
    ]
    if coordinates := table.get("coordinates"):
        low, high = coordinates["size"]
        lines.append(
            f"- **Coordinates** of the training clips: the box around a body has a diagonal of {low:.3g} to {high:.3g}; up is "
            f"{', '.join(coordinates['up']) or 'not clear'}."
        )
    return lines
