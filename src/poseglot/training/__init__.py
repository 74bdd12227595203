"""Training: from a recipe to a run.

    recipe         the settings of one experiment, as dataclasses (read by `recipe_io`)
    build          what a recipe names: data, model, texts
    gap            recognizer, text features and loss
    engine         the loop, on Lightning Fabric; `train` and `Trainer`
    callbacks      what a training tells others; `loggers` are some
    run            the folder that a training writes

Names are imported when they are used, so that a recipe is read without the seconds that Fabric and transformers take to load.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poseglot.training.callbacks import Callback as Callback
    from poseglot.training.callbacks import FitState as FitState
    from poseglot.training.callbacks import Result as Result
    from poseglot.training.engine import Runtime as Runtime
    from poseglot.training.engine import Trainer as Trainer
    from poseglot.training.engine import train as train
    from poseglot.training.recipe import Recipe as Recipe
    from poseglot.training.recipe_io import read_recipe as read_recipe

_WHERE = {
    "Callback": "callbacks",
    "FitState": "callbacks",
    "Result": "callbacks",
    "Runtime": "engine",
    "Trainer": "engine",
    "train": "engine",
    "Recipe": "recipe",
    "read_recipe": "recipe_io",
}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
