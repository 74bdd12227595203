"""Recipes as YAML and command line, by jsonargparse (which is used nowhere else).

The dataclasses of `poseglot.training.recipe` are the schema: unknown keys and wrong types are refused by name, and every value
can be set on the command line (`--optim.lr 0.05 --data.modality bone`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace

from poseglot.errors import PoseglotError
from poseglot.training.recipe import Recipe

_PLAIN_WORDS: Mapping[str, str] = {
    "a <class 'int'>": "a whole number",
    "a <class 'float'>": "a number",
    "a <class 'bool'>": "true or false",
    "a <class 'str'>": "a text",
    "a <class 'list'>": "a list like [90, 100]",
    "a typing.Literal": "typing.Literal",
}


def parse_recipe(arguments: Sequence[str]) -> Recipe:
    """A recipe from `--config FILE` and overrides.

    Raises:
        PoseglotError: no such file, an unknown key, or a value of the wrong type; the message names it.
    """
    for option, value in pairwise(arguments):
        if option == "--config":
            _check_file(Path(value))
    _refuse_unknown_options([argument for argument in arguments if argument.startswith("--")])
    return _recipe(lambda parser: parser.parse_args(list(arguments)))


def read_recipe(path: Path) -> Recipe:
    """A recipe from its YAML file."""
    return parse_recipe(["--config", str(path)])


def recipe_of(table: Mapping[str, Any]) -> Recipe:
    """A recipe from its sections as plain values; settings that it does not have, because they are newer, have their defaults.

    Raises:
        PoseglotError: a setting that recipes do not have, or a value of the wrong type.
    """
    return _recipe(lambda parser: parser.parse_object(dict(table)))


def recipe_yaml(recipe: Recipe) -> str:
    """The whole recipe, defaults written out."""
    return yaml.safe_dump(asdict(recipe), sort_keys=False)


def recipe_help() -> str:
    """Every setting with its meaning, for `poseglot train --help`."""
    return _parser().format_help()


def _recipe(parse: Callable[[ArgumentParser], Namespace]) -> Recipe:
    parser = _parser()
    try:
        recipe = parser.instantiate(parse(parser)).as_dict()
    except ArgumentError as error:
        raise PoseglotError(f"the recipe cannot be used: {_in_plain_words(str(error))}") from error
    recipe.pop("config", None)
    return Recipe(**recipe)


def _check_file(path: Path) -> None:
    """A recipe's file can be read, is a mapping, and has no unknown key (jsonargparse passes over one whose value is `{}`)."""
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PoseglotError(f"could not read the recipe {path}: {error}.") from error
    except yaml.YAMLError as error:
        raise PoseglotError(f"the recipe {path} is not valid YAML: {error}") from error
    if not isinstance(table, dict):
        raise PoseglotError(f"{path} is not a recipe: expected sections like data, model and optim, found {table!r:.80}.")
    settings = _settings()
    sections = {name.split(".")[0] for name in settings}
    for section, value in table.items():
        if section not in sections:
            raise PoseglotError(_unknown(f"{path} has", str(section), sections))
        for key in value if isinstance(value, dict) else ():
            if f"{section}.{key}" not in settings:
                raise PoseglotError(_unknown(f"{path} has", f"{section}.{key}", settings))


def _refuse_unknown_options(options: Sequence[str]) -> None:
    settings = _settings()
    accepted = {f"--{name}" for name in settings | {name.split(".")[0] for name in settings}} | {"--config", "--print_config"}
    machine = {"--accelerator", "--devices", "--nodes", "--compile"}
    offered = {f"--{name}" for name in settings} | {"--config", "--out", "--resume"} | machine
    for option in options:
        name = option.split("=")[0]
        if name not in accepted:
            raise PoseglotError(_unknown("there is", name, offered))


def _unknown(where: str, name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, sorted(known), n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    return f"{where} an unknown setting: {name}.{meant} `poseglot train --help` lists the settings."


def _settings() -> set[str]:
    """Every setting by its dotted name."""
    names = set()
    for section, kind in get_type_hints(Recipe).items():
        names |= {f"{section}.{entry.name}" for entry in fields(kind)} if is_dataclass(kind) else {section}
    return names


def _in_plain_words(message: str) -> str:
    """jsonargparse speaks of Python types; people who write recipes should not have to."""
    for theirs, ours in _PLAIN_WORDS.items():
        message = message.replace(theirs, ours)
    message = re.sub(r'Parser key "([^"]+)":\s*', r"\1: ", message)
    return re.sub(r"typing\.Literal\[([^]]*)\]", r"one of \1", message)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="poseglot train", exit_on_error=False, add_help=False, allow_abbrev=False)
    parser.add_argument("--config", action="config", help="a recipe (YAML)")
    parser.add_class_arguments(Recipe, as_group=False)
    return parser
