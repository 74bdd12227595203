"""Recipes as YAML and command line, by jsonargparse (which is used nowhere else).

The dataclasses of `poseglot.training.recipe` are the schema: unknown keys and wrong types are refused by name, and every value
can be set on the command line (`--optim.lr 0.05 --data.stream bone`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from poseglot.errors import PoseglotError
from poseglot.training.recipe import Recipe


def parse_recipe(arguments: Sequence[str]) -> Recipe:
    """A recipe from `--config FILE` and overrides.

    Raises:
        PoseglotError: no such file, an unknown key, or a value of the wrong type; the message names it.
    """
    try:
        parsed = _parser().parse_args(list(arguments))
        recipe = _parser().instantiate(parsed).as_dict()
    except ArgumentError as error:
        raise PoseglotError(f"the recipe cannot be used: {error}") from error
    recipe.pop("config", None)
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


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="poseglot train", exit_on_error=False, add_help=False)
    parser.add_argument("--config", action="config", help="a recipe (YAML)")
    parser.add_class_arguments(Recipe, as_group=False)
    return parser
