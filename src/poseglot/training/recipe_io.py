"""Recipes as YAML and command line, by jsonargparse (which is used nowhere else).

The dataclasses of `poseglot.training.recipe` are the schema: unknown keys and wrong types are refused by name, and every value
can be set on the command line (`--optim.lr 0.05 --data.modality bone`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace

from poseglot.errors import SettingError
from poseglot.files import find_yaml, packaged_names, resolve_path
from poseglot.models.pretrained import HUB
from poseglot.safe_yaml import read_yaml
from poseglot.training.recipe import Recipe

_PLAIN_WORDS: Mapping[str, str] = {
    "a <class 'int'>": "a whole number",
    "a <class 'float'>": "a number",
    "a <class 'bool'>": "true or false",
    "a <class 'str'>": "a text",
    "a <class 'list'>": "a list like [90, 100]",
    "a typing.Literal": "typing.Literal",
}


def list_recipes() -> list[str]:
    """List the names of the packaged recipes."""
    return packaged_names("poseglot", "recipes")


def find_recipe(name_or_path: str | Path) -> Path:
    """Find a packaged recipe by its name, such as nw-ucla/paper, or a recipe of one's own by its path, which ends in .yaml or .yml.

    Raises:
        NotFoundError: No packaged recipe has this name; the message lists those there are.
    """
    return find_yaml("poseglot", "recipes", _as_name(name_or_path), kind="recipe")


def parse_recipe(arguments: Sequence[str]) -> Recipe:
    """Read a recipe from `--config RECIPE` and overrides. Its paths are found from the current folder or from its own.

    Raises:
        FileError: The recipe cannot be read.
        SettingError: No such recipe, an unknown key, or a value of the wrong type; the message names it.
    """
    arguments, folder = list(arguments), None
    for place, (option, value) in enumerate(pairwise(arguments), 1):
        if option == "--config":
            path = find_recipe(value)
            _check_file(path)
            arguments[place] = str(path)
            folder = path.parent if _as_name(value) not in list_recipes() else None
    refuse_unknown_options([argument for argument in arguments if argument.startswith("--")])
    recipe = _recipe(lambda parser: parser.parse_args(arguments))
    return recipe if folder is None else _with_paths_found(recipe, folder)


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe from its YAML file, or a packaged one by its name."""
    return parse_recipe(["--config", str(path)])


def recipe_of(table: Mapping[str, Any]) -> Recipe:
    """Make a recipe of its sections as plain values. Settings that are missing, because they are newer, have their defaults.

    Raises:
        SettingError: A setting that recipes do not have, or a value of the wrong type.
    """
    return _recipe(lambda parser: parser.parse_object(dict(table)))


def recipe_yaml(recipe: Recipe) -> str:
    """Write the whole recipe as YAML, defaults included."""
    return yaml.safe_dump(asdict(recipe), sort_keys=False)


def recipe_help() -> str:
    """Describe every setting, for `poseglot train --help`."""
    return _parser().format_help()


def _recipe(parse: Callable[[ArgumentParser], Namespace]) -> Recipe:
    parser = _parser()
    try:
        parsed = parse(parser)
        defaults = parser.get_defaults()
        _check_sections(parsed, defaults)
        _refuse_empty(parsed, defaults)
        recipe = parser.instantiate(parsed).as_dict()
    except ArgumentError as error:
        raise SettingError(f"the recipe cannot be used: {_in_plain_words(str(error))}") from error
    recipe.pop("config", None)
    return Recipe(**recipe)


def _check_sections(parsed: Namespace, defaults: Namespace) -> None:
    """Refuse a section that is none; jsonargparse takes 0 and []."""
    for field in fields(Recipe):
        value = parsed.get(field.name)
        if isinstance(defaults.get(field.name), Namespace) and not isinstance(value, Namespace):
            raise SettingError(f"the recipe's {field.name} is a section with settings of its own, not {value!r}.")


def _refuse_empty(parsed: Namespace, defaults: Namespace) -> None:
    """Refuse settings with null for a value (jsonargparse takes it for any type), unless that is their default."""
    for name, value in parsed.items():
        if value is None and name != "config" and (default := defaults.get(name)) is not None:
            raise SettingError(f"the recipe's {name} has no value. Leave the line out for the default, {default!r}.")


def _as_name(name_or_path: str | Path) -> str:
    return name_or_path.as_posix() if isinstance(name_or_path, Path) else name_or_path


def _with_paths_found(recipe: Recipe, folder: Path) -> Recipe:
    """Resolve the paths that a recipe in `folder` names; a name of something packaged has no ending and no folder."""

    def found(name: str) -> str:
        is_path = ("/" in name and not name.startswith(HUB)) or name.endswith((".yaml", ".yml"))
        return resolve_path(name, folder) if is_path else name

    recipe = change_paths(recipe, found)
    return replace(recipe, data=replace(recipe.data, store=resolve_path(recipe.data.store, folder)))


def change_paths(recipe: Recipe, change: Callable[[str], str]) -> Recipe:
    """Return a recipe with every setting changed that is a name of something packaged or a path. The store is always a path, and stays."""
    text = recipe.text
    text = replace(
        text, descriptions=change(text.descriptions), vocabulary=change(text.vocabulary), encoder=change(text.encoder)
    )
    data, model = recipe.data, recipe.model
    data, model = replace(data, pipeline=change(data.pipeline)), replace(model, weights=change(model.weights))
    return replace(recipe, data=data, text=text, model=model)


def _check_file(path: Path) -> None:
    """Check that a recipe's file is a mapping without unknown keys. (jsonargparse passes over one whose value is `{}`.)"""
    table = read_yaml(path, "recipe")
    if not isinstance(table, dict):
        raise SettingError(f"{path} is not a recipe: expected sections like data, model and optim, found {table!r:.80}.")
    settings = _settings()
    sections = {name.split(".")[0] for name in settings}
    for section, value in table.items():
        if section not in sections:
            raise SettingError(_unknown(f"{path} has", str(section), sections))
        for key in value if isinstance(value, dict) else ():
            if f"{section}.{key}" not in settings:
                raise SettingError(_unknown(f"{path} has", f"{section}.{key}", settings))


def refuse_unknown_options(options: Sequence[str]) -> None:
    """Check that options of `poseglot train` are settings of a recipe.

    Raises:
        SettingError: An option is unknown; the message has the nearest one.
    """
    settings = _settings()
    accepted = {f"--{name}" for name in settings | {name.split(".")[0] for name in settings}} | {"--config", "--print_config"}
    runtime = {"--accelerator", "--devices", "--nodes", "--compile", "--loggers"}
    offered = {f"--{name}" for name in settings} | {"--config", "--out", "--resume"} | runtime
    for option in options:
        name = option.split("=")[0]
        if name not in accepted:
            raise SettingError(_unknown("there is", name, offered))


def _unknown(where: str, name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, sorted(known), n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    return f"{where} an unknown setting: {name}.{meant} `poseglot train --help` lists the settings."


def _settings() -> set[str]:
    """Return the dotted names of all settings."""
    names = set()
    for section, kind in get_type_hints(Recipe).items():
        names |= {f"{section}.{entry.name}" for entry in fields(kind)} if is_dataclass(kind) else {section}
    return names


def _in_plain_words(message: str) -> str:
    """Put a message of jsonargparse in plain words: it speaks of Python types."""
    for theirs, ours in _PLAIN_WORDS.items():
        message = message.replace(theirs, ours)
    message = re.sub(r'Parser key "([^"]+)":\s*', r"\1: ", message)
    return re.sub(r"typing\.Literal\[([^]]*)\]", r"one of \1", message)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="poseglot train", exit_on_error=False, add_help=False, allow_abbrev=False)
    parser.add_argument("--config", action="config", help="a recipe (YAML)")
    parser.add_class_arguments(Recipe, as_group=False)
    return parser
