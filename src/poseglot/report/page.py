"""A report page: one HTML file about an evaluated run that needs no other file and no network.

`sections` and `model_sections` compute the content, `templates/` lay it out. Style and script are inlined, and the page's policy forbids
the browser to fetch anything. The template engine escapes everything that comes from the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from poseglot import __version__
from poseglot.colors import PART_COLORS
from poseglot.data.store import open_store
from poseglot.errors import PoseglotError
from poseglot.files import write_atomically
from poseglot.report import model_sections, sections
from poseglot.training.evaluate import evaluate
from poseglot.training.overlap import clips_in_training
from poseglot.training.run import Run, as_run


@dataclass(frozen=True)
class Page:
    """A written page.

    Attributes:
        path, size: Its file, and its size in bytes.
        left_out: The name of each section that is missing -> the reason.
    """

    path: Path
    size: int
    left_out: Mapping[str, str]


def write_page(
    run: Run | str | Path,
    path: str | Path | None = None,
    *,
    store: str | Path | None = None,
    class_map: Mapping[str, str] | None = None,
    layers: Sequence[int] | None = None,
    clips: int = 12,
) -> Page:
    """Write the report page of an evaluated run.

    Args:
        run: A run, or its folder.
        path: The file to write, by default `report.html` in the run's folder.
        store: Another store, which the run is evaluated on for this page; see `evaluate`.
        class_map: As in `evaluate`.
        layers: The layers, from 1, whose topologies are shown; by default the first, a middle one and the last.
        clips: How many clips are shown moving, at most.

    Raises:
        FileError: The run was not evaluated, or the file could not be written.
        SettingError: There is no such layer.
    """
    run = as_run(run)
    if store is not None:
        evaluation = evaluate(run, store, class_map=class_map)
        run = run.on(evaluation.store or open_store(Path(store)), evaluation.scores)
        in_training = evaluation.in_training
    else:
        in_training = _in_training(run)
    path = run.folder / "report.html" if path is None else Path(path)
    makers: dict[str, Callable[[Run], Any]] = {
        "curves": sections.curves,
        "classes": sections.classes,
        "pairs": sections.pairs,
        "alignment": model_sections.alignment,
        "topologies": lambda run: model_sections.topologies(run, layers),
        "clips": lambda run: sections.clips(run, clips),
    }
    shown: dict[str, Any] = dict.fromkeys(makers)
    left_out: dict[str, str] = {}
    head = sections.head(run, in_training, own=store is None)
    for name, make in makers.items():
        try:
            shown[name] = make(run)
        except model_sections.NoSuchLayerError:
            raise
        except PoseglotError as reason:  # such as a store that was moved; the page says it in the section's place
            left_out[name] = str(reason)
    html = render(head, shown, left_out)
    write_atomically(path, html)
    return Page(path, len(html.encode()), left_out)


def _in_training(run: Run) -> npt.NDArray[np.bool_] | None:
    """Tell which clips of a run's scores were trained on; None if that is not known."""
    try:
        return clips_in_training(run, run.store, run.scored.indices)
    except PoseglotError:  # the clips are not there; the sections that show them say so
        return None


def render(head: sections.Head, shown: Mapping[str, Any], left_out: Mapping[str, str]) -> str:
    """Return the page as HTML; a section that is None in `shown` has its reason in `left_out`."""
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
        left_out=left_out,
        data=_script_data(shown),
        style=style,
        script=script,
        part_colors=PART_COLORS,
        version=__version__,
    )


def _script_data(shown: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page's script reads, by the id of the element that it belongs to."""
    charts = shown["curves"].charts if shown["curves"] else []
    grids = [shown["classes"].grid]
    if shown["topologies"]:
        grids += [layer.grid for layer in shown["topologies"].layers]
    found = {"charts": {chart.id: chart.data for chart in charts}, "grids": {grid.id: grid.data for grid in grids}}
    if shown["clips"]:
        clips = shown["clips"]
        found["clips"] = {"bones": clips.bones, "colors": clips.colors, "shown": [clip.data for clip in clips.clips]}
    return found
