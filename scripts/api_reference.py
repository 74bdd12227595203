"""Generate the Python reference from the real objects: the signature and docstring of every public name.

A module's public names are its `__all__` or, without one, the functions and classes that it defines. A name is documented once, in
the first module of `PAGES` that has it; other modules link to it. `docs_site.py` writes the pages.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

# Page -> the modules on it. The first page is docs/python.md, the others are python/PAGE.md on the site.
PAGES: Mapping[str, Sequence[str]] = {
    "poseglot": ("poseglot", "poseglot.errors", "poseglot.registry", "poseglot.testing"),
    "skeletons": (
        "poseglot.skeletons.layout",
        "poseglot.skeletons.clip",
        "poseglot.skeletons.mapping",
        "poseglot.skeletons.batch",
    ),
    "data": (
        "poseglot.data",
        "poseglot.data.dataset",
        "poseglot.data.readers",
        "poseglot.data.readers.ntu",
        "poseglot.data.prepare",
        "poseglot.data.store",
        "poseglot.data.splits",
        "poseglot.data.folds",
        "poseglot.data.adapt",
        "poseglot.data.segments",
        "poseglot.data.synthetic",
    ),
    "transforms": ("poseglot.transforms",),
    "descriptions": ("poseglot.descriptions",),
    "models": (
        "poseglot.models.encoders",
        "poseglot.models.recognizer",
        "poseglot.models.text",
        "poseglot.models.fuse",
        "poseglot.models.convert",
    ),
    "losses": ("poseglot.losses",),
    "evaluation": (
        "poseglot.evaluation.metrics",
        "poseglot.evaluation.comparison",
        "poseglot.evaluation.calibration",
        "poseglot.evaluation.ensemble",
        "poseglot.evaluation.zero_shot",
        "poseglot.evaluation.segments",
    ),
    "training": (
        "poseglot.training",
        "poseglot.training.callbacks",
        "poseglot.training.loggers",
        "poseglot.training.recipe",
        "poseglot.training.recipe_io",
        "poseglot.training.calibrate",
        "poseglot.training.segmenter",
        "poseglot.training.recordings",
        "poseglot.training.compare",
        "poseglot.training.zero_shot",
    ),
    "inference": (
        "poseglot.inference",
        "poseglot.inference.segmentation",
        "poseglot.inference.export",
        "poseglot.inference.video.estimator",
        "poseglot.inference.video.extract",
    ),
    "studies": ("poseglot.studies.study", "poseglot.studies.cross_validation"),
}
MAIN = "poseglot"
_WIDTH = 88
_SECTION = re.compile(r"^(Args|Attributes|Keys|Returns|Yields|Raises|Examples?):\n", re.M)


def pages() -> dict[str, str]:
    """Return page -> Markdown. The text of the main page goes into docs/python.md; the others are whole pages."""
    seen: dict[int, tuple[str, str]] = {}
    found = {
        page: "\n".join(line for name in modules for line in _module(importlib.import_module(name), page, seen))
        for page, modules in PAGES.items()
    }
    for page in set(PAGES) - {MAIN}:
        title = f"poseglot.{page}"  # the heading of the page, and of its first module if that has this name
        found[page] = (
            found[page].replace(f"## {title} {{", f"# {title} {{", 1) if title in PAGES[page] else f"# {title}\n\n{found[page]}"
        )
    found[MAIN] += "\n" + "\n".join(_index())
    return found


def _index() -> Iterator[str]:
    yield "## All modules\n\n| module | names |\n|---|---|"
    for page, modules in PAGES.items():
        for name in modules:
            names = [f"`{public}`" for public in public_names(importlib.import_module(name))]
            yield f"| [`{name}`]({link(MAIN, page, name)}) | {', '.join(names)} |"


def link(here: str, page: str, title: str) -> str:
    """Return the link from one page to a name on another."""
    if here == page:
        return f"#{anchor(title)}"
    if here == MAIN:
        return f"python/{page}.md#{anchor(title)}"
    return f"{'../python' if page == MAIN else page}.md#{anchor(title)}"


def public_names(module: ModuleType) -> list[str]:
    """Return the public names of a module."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    ]


def _module(module: ModuleType, page: str, seen: dict[int, tuple[str, str]]) -> Iterator[str]:
    yield f"## {module.__name__} {{#{anchor(module.__name__)}}}\n\n{markdown(inspect.cleandoc(module.__doc__ or ''))}\n"
    constants, elsewhere = [], []
    for name in sorted(public_names(module), key=lambda name: (name[0].isupper(), name)):
        value = getattr(module, name)
        title = f"{module.__name__}.{name}"
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            constants.append(name)
        elif id(value) in seen:
            elsewhere.append(f"[`{name}`]({link(page, *seen[id(value)])})")
        else:
            seen[id(value)] = page, title
            yield from _object(title, value)
    if constants:
        yield f"Constants: {', '.join(f'`{name}`' for name in constants)}.\n"
    if elsewhere:
        yield f"See also: {', '.join(elsewhere)}.\n"


def anchor(title: str) -> str:
    """Return the id of a heading, which is also valid in links."""
    return title.replace(".", "-").lower()


def _object(title: str, value: Any) -> Iterator[str]:
    kind = "class " if inspect.isclass(value) else ""
    yield f"### {title.rpartition('.')[2]} {{#{anchor(title)}}}\n"
    yield f"```python\n{kind}{signature(title, value)}\n```\n"
    yield from docstring(value)
    if not inspect.isclass(value):
        return
    for name, member in vars(value).items():
        function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        prefix = (
            "@staticmethod\n"
            if isinstance(member, staticmethod)
            else "@classmethod\n"
            if isinstance(member, classmethod)
            else ""
        )
        if name.startswith("_") or not getattr(function, "__doc__", None):
            continue
        if inspect.isfunction(function):
            yield f"```python\n{prefix}{signature(f'{value.__name__}.{name}', function)}\n```\n"
            yield from docstring(function)
        elif isinstance(member, property) or type(member).__name__ == "cached_property":
            yield f"```python\n{value.__name__}.{name}{_property_type(member)}\n```\n"
            yield from docstring(member)


def _property_type(member: Any) -> str:
    function = member.fget if isinstance(member, property) else member.func
    annotation = function.__annotations__.get("return")
    return f": {_annotation(annotation)}" if annotation else ""


def signature(title: str, value: Any) -> str:
    """Return the signature as in the source, one parameter per line if it is long."""
    if inspect.isclass(value) and (issubclass(value, enum.Enum) or issubclass(value, dict)):
        return title
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return title
    pieces, star = [], False
    for parameter in found.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            pieces.append("*")
        star = star or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        pieces.append(_parameter(parameter))
    result = "" if found.return_annotation is found.empty else f" -> {_annotation(found.return_annotation)}"
    if inspect.isclass(value) or result == " -> None":
        result = ""
    line = f"{title}({', '.join(pieces)}){result}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{title}(", *(f"    {piece}," if piece != "*" else "    *," for piece in pieces), f"){result}"])


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    annotation = "" if parameter.annotation is parameter.empty else f": {_annotation(parameter.annotation)}"
    text = f"{stars}{parameter.name}{annotation}"
    if parameter.default is parameter.empty:
        return text
    return f"{text}{' = ' if annotation else '='}{_default(parameter.default)}"


def _annotation(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _default(value: Any) -> str:
    text = repr(value)
    plain = not (dataclasses.is_dataclass(value) or " at 0x" in text or text.startswith("<"))
    return text.replace("device(type='cpu')", "CPU") if plain else "..."


def docstring(value: Any) -> Iterator[str]:
    """Yield a docstring (Google style) as Markdown."""
    text = inspect.cleandoc(value.__doc__ or "")
    if inspect.isclass(value) and text.startswith(f"{value.__name__}("):
        return  # written by dataclasses
    introduction, *sections = _SECTION.split(text)
    yield f"{markdown(introduction.strip())}\n"
    for title, content in zip(sections[::2], map(textwrap.dedent, sections[1::2]), strict=True):
        entries = re.findall(r"^([\w*., ]+): (.*(?:\n+ +.*)*)", content, re.M)
        if title.startswith("Example"):
            yield f"```python\n{content.strip()}\n```\n"
        elif title in ("Returns", "Yields") or not entries:
            yield f"**{title}:** {_line(content)}\n"
        else:
            yield f"**{title}:**\n"
            yield from (f"- `{name}`: {_line(meaning)}" for name, meaning in entries)
            yield ""


def _line(text: str) -> str:
    return markdown(re.sub(r"\s+", " ", text).strip())


def markdown(text: str) -> str:
    """Escape what Markdown would read as markup, but not in code, tables and indented blocks."""
    blocks = []
    for block in re.split(r"(\n\s*\n)", text):
        plain = not re.match(r" {4}|\||\s*$", block)
        blocks.append(_escape(block) if plain else block)
    return "".join(blocks)


def _escape(text: str) -> str:
    pieces = re.split(r"(`[^`]*`|(?<!\w)\*\w[^*\n]*\w\*)", text)  # code, and *emphasis*
    return "".join(piece if index % 2 else re.sub(r"([*_<\[\]])", r"\\\1", piece) for index, piece in enumerate(pieces))
