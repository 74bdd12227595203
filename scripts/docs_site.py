"""Assemble the pages of the documentation for Zensical, which builds the site (`make docs`, mkdocs.yml).

The script copies docs/ and results/ into one folder and adjusts the links between them. It lists all pages in llms.txt, and generates
the pages that follow from the source: commands from the parser, settings from the recipes' dataclasses, recipes and studies from their
files, and the Python reference from the docstrings (`api_reference.py`). It converts ```math blocks to
MathML, which browsers draw without scripts.

    python scripts/docs_site.py build/docs
"""

from __future__ import annotations

import argparse
import inspect
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import yaml

sys.path.insert(0, str(Path(__file__).parent))
import api_reference

ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "src" / "poseglot" / "recipes"
STUDIES = ROOT / "src" / "poseglot" / "studies" / "library"
_HIDDEN = re.compile(r"^<!-- generated: (\w+) -->$", re.M)


def assemble(out: Path) -> None:
    """Write all pages and pictures of the site into `out`, which is emptied first."""
    if (ROOT / "docs").is_relative_to(out.resolve()):
        sys.exit(f"{out} would be emptied, and docs/ is in it; use another folder, such as build/docs.")
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(ROOT / "docs", out)
    shutil.copytree(ROOT / "results", out / "results")
    shutil.copy(ROOT / "src" / "poseglot" / "app" / "web" / "static" / "icon.svg", out / "pictures")
    (out / "python").mkdir()
    for name, text in api_pages().items():
        if name != api_reference.MAIN:
            (out / "python" / f"{name}.md").write_text(text, encoding="utf-8")
    for page in sorted(out.rglob("*.md")):
        text = _HIDDEN.sub(lambda found: GENERATED[found[1]](), page.read_text(encoding="utf-8"))
        if page.parent == out:
            text = links_of_docs(text)
        elif page.is_relative_to(out / "results"):
            text = links_of_results(text)
        page.write_text(with_mathml(text), encoding="utf-8")
    (out / "llms.txt").write_text(llms_text(out), encoding="utf-8")


def llms_text(pages: Path) -> str:
    """Return the list of all pages for language models (llmstxt.org): the navigation, each page with its first sentence."""
    config = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    parts = [f"# {config['site_name']}", f"> {config['site_description']}."]
    alone = [entry for entry in config["nav"] if isinstance(next(iter(entry.values())), str)]
    for section in [{"Poseglot": alone}, *(entry for entry in config["nav"] if entry not in alone)]:
        for title, entries in section.items():
            lines = [
                f"- [{name}]({page.removesuffix('.md')}.html): {first_sentence((pages / page).read_text(encoding='utf-8'))}"
                for name, page in _listed(entries)
            ]
            parts.append("\n".join([f"## {title}", "", *lines]))
    return "\n\n".join(parts) + "\n"


def _listed(entries: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        for name, inner in entry.items():
            yield from [(name, inner)] if isinstance(inner, str) else _listed(inner)


def first_sentence(page: str) -> str:
    """Return the first sentence of a page's first paragraph, as plain text."""
    text = re.sub(r"^(```.*?^```|[#|>!<-].*?)$", "", page, flags=re.M | re.S)
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    paragraph = re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", paragraph)
    return re.sub(r":$", ".", re.split(r"(?<=\.)\s", paragraph, maxsplit=1)[0])


def links_of_docs(text: str) -> str:
    """Adjust links: results/ is beside docs/ in the repository and inside it on the site. Links to source files become plain text."""
    text = text.replace("](../results/", "](results/")
    return re.sub(r"\[([^]]+)\]\(\.\./[^)]*\)", r"\1", text)


def links_of_results(text: str) -> str:
    """Adjust the links of a page in results/, which is inside docs/ on the site."""
    return re.sub(r"\]\(((?:\.\./)+)docs/", r"](\1", text)


def with_mathml(text: str) -> str:
    """Convert ```math blocks, which GitHub draws as well, to MathML."""
    from latex2mathml.converter import convert

    def mathml(found: re.Match[str]) -> str:
        return f'<div class="math">{convert(found[1].strip(), display="block")}</div>\n'

    return re.sub(r"^```math\n(.*?)^```\n", mathml, text, flags=re.M | re.S)


@cache
def api_pages() -> Mapping[str, str]:
    """Return the pages of the Python reference, by name."""
    return api_reference.pages()


def commands_page() -> str:
    """Return the page of all commands, with usage and options."""
    return "\n".join(_command(name, parser) for name, parser in commands().items())


def commands() -> Mapping[str, argparse.ArgumentParser]:
    """Return the parser of each command, in the order of `poseglot --help`."""
    from poseglot.app.cli import build_parser

    (subparsers,) = (action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    return subparsers.choices


def _command(name: str, parser: argparse.ArgumentParser) -> str:
    if not parser.add_help:  # `train` prints its own help, with the recipe's settings
        from poseglot.app.commands.train import USAGE

        return (
            f"## poseglot {name}\n\n```text\n{USAGE.strip()}\n```\n\nThe settings: [every recipe](recipes.md#every-setting).\n"
        )
    lines = [f"## poseglot {name}\n", f"```text\n{_usage(parser)}\n```\n", *_paragraphs(parser.description or ""), ""]
    shown = [action for action in parser._actions if action.help != argparse.SUPPRESS and action.dest != "help"]
    if shown:
        lines += ["| | |", "|---|---|", *(f"| {_names(action)} | {_cell(_meaning(parser, action))} |" for action in shown), ""]
    if parser.epilog:
        lines += [*_paragraphs(parser.epilog), ""]
    return "\n".join(lines)


def _usage(parser: argparse.ArgumentParser) -> str:
    """Return the usage, wrapped between options, independent of the terminal and the version of Python."""
    words = re.sub(r"\s+", " ", parser.format_usage()).replace("usage: ", "").replace("[-h] ", "").strip()
    depth, glued = 0, ""
    for letter in words:
        depth += {"[": 1, "]": -1}.get(letter, 0)
        glued += "\0" if letter == " " and depth else letter
    lines = textwrap.wrap(glued, 88, subsequent_indent="    ", break_on_hyphens=False, break_long_words=False)
    return "\n".join(lines).replace("\0", " ")


def _paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a parser's description as Markdown. Indented lines are tables or commands and stay as they are."""
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines = block.splitlines()
        plain = [line for line in lines if not line.startswith("  ")]
        verbatim = textwrap.dedent("\n".join(line for line in lines if line.startswith("  ")))
        if plain:
            yield _escaped("\n".join(plain)) + "\n"
        if verbatim:
            yield f"```text\n{verbatim}\n```\n"


def _names(action: argparse.Action) -> str:
    """Return the names of an option and its value. Choices are separate words, so that a narrow table can break between them."""
    value = action.metavar or ("" if action.nargs == 0 else action.dest.upper())
    value = f"`{' '.join(value) if isinstance(value, tuple) else value}`" if value else ""
    if action.choices:
        value = ", ".join(f"`{choice}`" for choice in action.choices)
    if not action.option_strings:
        return f"`{action.metavar or action.dest}`" + (f"<br>{value}" if action.choices else "")
    names = ", ".join(f"`{name}`" for name in action.option_strings)
    return names + {True: f"<br>{value}", False: f" {value}" if value else ""}[bool(action.choices)]


def _meaning(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    text = parser._get_formatter()._expand_help(action) if action.help else ""
    return text + (" (must be given)" if action.required and action.option_strings else "")


def settings_page() -> str:
    """Return the page of all settings, by section, with type, default and meaning from the dataclasses and their docstrings."""
    from poseglot.training.recipe import Recipe

    sections = [(name, kind) for name, kind in get_type_hints(Recipe).items() if is_dataclass(kind)]
    pages = [_section(f"{name}.", kind) for name, kind in sections]
    return "\n".join([*pages, _section("", Recipe)])


def _section(prefix: str, kind: Any) -> str:
    summary, meanings = documented(kind)
    hints = get_type_hints(kind)
    lines = [
        f"### {prefix.rstrip('.') or 'The run'}\n",
        f"{_escaped(summary)}\n",
        '<div class="stacked" markdown>\n',
        "| setting | type | default | meaning |",
        "|---|---|---|---|",
    ]
    for entry in fields(kind):
        if is_dataclass(hints[entry.name]):
            continue
        default = entry.default_factory() if entry.default_factory is not MISSING else entry.default
        shown = "must be given" if default is MISSING else f"`{_plain(default)}`"
        lines.append(f"| `{prefix}{entry.name}` | {_type(hints[entry.name])} | {shown} | {_cell(meanings[entry.name])} |")
    return "\n".join([*lines, "\n</div>\n"])


def documented(kind: Any) -> tuple[str, dict[str, str]]:
    """Return the first paragraph of a dataclass's docstring, and the meaning of each attribute.

    Raises:
        KeyError: An attribute has no meaning.
    """
    text = inspect.cleandoc(kind.__doc__ or "")
    summary, _, attributes = text.partition("Attributes:\n")
    entries = re.findall(r"^(\w+(?:, \w+)*): (.*(?:\n +.*)*)", textwrap.dedent(attributes), re.M)
    meanings = {name: re.sub(r"\s+", " ", meaning) for names, meaning in entries for name in names.split(", ")}
    return re.sub(r"\s+", " ", summary).strip(), {entry.name: meanings[entry.name] for entry in fields(kind)}


def _type(hint: Any) -> str:
    plain = {
        "int": "whole number",
        "float": "number",
        "bool": "true or false",
        "str": "text",
        "list[int]": "list of whole numbers",
    }
    if "Literal" in str(hint):
        return "one of " + ", ".join(f"`{value}`" for value in hint.__args__)
    if str(hint).startswith("dict"):
        return "mapping"
    if str(hint).startswith("list") and "dict" in str(hint):
        return "list of names and mappings"
    name = getattr(hint, "__name__", str(hint)) if "[" not in str(hint) else str(hint)
    return _cell(plain.get(name, "list of texts, or text" if name == "list[str] | str" else name))


def _plain(value: Any) -> str:
    """Return a value as written in YAML and on the command line."""
    return yaml.safe_dump(value, default_flow_style=True).replace("\n...", "").strip()


def recipes_page() -> str:
    """Return the page of all recipes, with their files."""
    return "\n".join(_file(path, RECIPES) for path in sorted(RECIPES.rglob("*.yaml")))


def studies_page() -> str:
    """Return the table of all studies, with their titles."""
    lines = ["| study | title |", "|---|---|"]
    for path in sorted(STUDIES.glob("*.yaml")):
        title = yaml.safe_load(path.read_text(encoding="utf-8"))["title"]
        lines.append(f"| `{path.stem}` | {_cell(title)} |")
    return "\n".join([*lines, ""])


def _file(path: Path, folder: Path) -> str:
    return f"### {path.relative_to(folder).with_suffix('').as_posix()}\n\n```yaml\n{path.read_text(encoding='utf-8').strip()}\n```\n"


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", r"\*").replace("_", r"\_") if "`" not in text else text.replace("<", "&lt;")


def _cell(text: str) -> str:
    """Return a text for a cell of a table."""
    return _escaped(re.sub(r"\s+", " ", text)).replace("|", r"\|")


GENERATED: Mapping[str, Callable[[], str]] = {
    "commands": commands_page,
    "settings": settings_page,
    "recipes": recipes_page,
    "studies": studies_page,
    "api": lambda: api_pages()[api_reference.MAIN],
}

if __name__ == "__main__":
    assemble(Path(sys.argv[1]))
