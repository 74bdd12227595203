"""A report page: one HTML file about an evaluated run that needs no other file and no network.

`sections` says what is shown, `templates/` how it looks; style and script are written into the page, and the page itself forbids the
browser to fetch anything. Whatever comes from the run is escaped by the template engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from poseglot import __version__
from poseglot.colors import PART_COLORS
from poseglot.files import write_atomically
from poseglot.report import sections
from poseglot.report.report_data import LeftOutError, ReportData, collect
from poseglot.training.run import Run


@dataclass(frozen=True)
class Page:
    """What was written: its size, and why each section that is not there was left out."""

    path: Path
    size: int
    excluded_classes: Mapping[str, str]


def write_page(run: Run, path: Path, *, layers: Sequence[int] | None = None, clips: int = 12) -> Page:
    """Write the report page of an evaluated run.

    Args:
        layers: whose topologies to show, from 1 on; by default the first, a middle one and the last.
        clips: how many clips to show moving, at most.

    Raises:
        PoseglotError: the run was not evaluated, there is no such layer, or the disk refused.
    """
    material = collect(run)
    makers: dict[str, Callable[[ReportData], Any]] = {
        "curves": sections.curves,
        "classes": sections.classes,
        "pairs": sections.pairs,
        "alignment": sections.alignment,
        "topologies": lambda material: sections.topologies(material, layers),
        "clips": lambda material: sections.clips(material, clips),
    }
    shown: dict[str, Any] = dict.fromkeys(makers)
    excluded_classes: dict[str, str] = {}
    for name, make in makers.items():
        try:
            shown[name] = make(material)
        except LeftOutError as reason:
            excluded_classes[name] = str(reason)
    html = render(sections.head(material), shown, excluded_classes)
    write_atomically(path, html)
    return Page(path, len(html.encode()), excluded_classes)


def render(head: sections.Head, shown: Mapping[str, Any], excluded_classes: Mapping[str, str]) -> str:
    """The page as HTML; a section that is None in `shown` has its reason in `left_out`."""
    environment = Environment(
        loader=PackageLoader("poseglot.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    assert environment.loader is not None
    style, script = (Markup(environment.loader.get_source(environment, name)[0]) for name in ("report.css", "report.js"))
    return environment.get_template("report.html").render(
        head=head,
        shown=shown,
        excluded_classes=excluded_classes,
        data=_for_script(shown),
        style=style,
        script=script,
        part_colours=PART_COLORS,
        version=__version__,
    )


def _for_script(shown: Mapping[str, Any]) -> dict[str, Any]:
    """What the page's script reads, by the id of the element that it belongs to."""
    charts = shown["curves"].charts if shown["curves"] else []
    grids = [shown["classes"].grid]
    if shown["topologies"]:
        grids += [layer.grid for layer in shown["topologies"].layers]
    found = {"charts": {chart.id: chart.data for chart in charts}, "grids": {grid.id: grid.data for grid in grids}}
    if shown["clips"]:
        clips = shown["clips"]
        found["clips"] = {"bones": clips.bones, "colors": clips.colors, "shown": [clip.data for clip in clips.clips]}
    return found
