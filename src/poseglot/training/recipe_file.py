"""Recipes as YAML and command line, by jsonargparse (which is used nowhere else).

The dataclasses of `poseglot.training.recipe` are the schema: unknown keys and wrong types are refused by name, and every value
can be set on the command line (`--optim.lr 0.05 --data.stream bone`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from poseglot.errors import PoseglotError
from poseglot.training.recipe import Recipe


def parse_recipe(arguments: Sequence[str]) -> Recipe:
    """A recipe from `--config FILE` and overrides.

    Raises:
        PoseglotError: no such file, an unknown key, or a value of the wrong type; the message names it.
    """
    parser = _parser()
    try:
        parsed = parser.parse_args(list(arguments))
        recipe = parser.instantiate(parsed).as_dict()
    except ArgumentError as error:
        raise PoseglotError(f"the recipe cannot be used: {error}") from error
    for path in recipe.pop("config", None) or []:
        _refuse_unknown_keys(Path(str(path)))
    return Recipe(**recipe)


def read_recipe(path: Path) -> Recipe:
    """A recipe from its YAML file."""
    return parse_recipe(["--config", str(path)])


def recipe_yaml(recipe: Recipe) -> str:
    """The whole recipe, defaults written out."""
    return yaml.safe_dump(asdict(recipe), sort_keys=False)


def recipe_help() -> str:
    """Every setting with its meaning, for `poseglot train --help`."""
    return _parser().format_help()


def _refuse_unknown_keys(path: Path) -> None:
    """jsonargparse passes over an unknown key whose value is an empty mapping; nothing unknown may pass."""
    known = {name: _names_in(kind) for name, kind in get_type_hints(Recipe).items()}
    table = yaml.safe_load(path.read_text())
    unknown = [key for key in table if key not in known]
    for section, settings in table.items():
        if isinstance(settings, dict) and section in known:
            unknown += [f"{section}.{key}" for key in settings if key not in known[section]]
    if unknown:
        raise PoseglotError(f"{path} has unknown keys: {', '.join(unknown)}.")


def _names_in(kind: Any) -> set[str]:
    return {entry.name for entry in fields(kind)} if is_dataclass(kind) else set()


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="poseglot train", exit_on_error=False, add_help=False, allow_abbrev=False)
    parser.add_argument("--config", action="config", help="a recipe (YAML)")
    parser.add_class_arguments(Recipe, as_group=False)
    return parser
