"""`poseglot train`: a recipe into a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from poseglot.app.commands.register import AddCommand, missing_package
from poseglot.errors import PoseglotError

OWN_RECIPE = "recipe.yaml"  # as `poseglot init` calls it
USAGE = """usage: poseglot train [--config RECIPE] [--out RUN] [--resume] [SETTING ...]
                      [--accelerator auto] [--devices 1] [--nodes 1] [--compile auto] [--loggers tensorboard]

Trains a recipe into the folder RUN; the recognizer of its last epoch is the result.

  --config RECIPE  a packaged recipe by its name (nw-ucla/paper), or a YAML file; in a folder that `poseglot init` made it is
                   recipe.yaml, unless given
  --out RUN        folder of the run (runs/RECIPE-MODALITY-seedN, named after the recipe, unless given)
  --resume         go on from the run's last checkpoint; give the same settings, or --config RUN/recipe.yaml
  --accelerator    auto, cpu, cuda or mps
  --devices        how many processes, or auto; the batch is shared among them
  --nodes          how many machines; start the same command on each through torchrun or SLURM
  --compile        the skeleton encoder by torch.compile: auto (on a GPU), on or off
  --loggers        where numbers go: tensorboard, csv, wandb, mlflow, trackio, several by commas
  --plugin MODULE  import a module that registers encoders, transforms, ...; repeatable

Every setting of the recipe can be given here, for example --data.modality bone --seed 3:

"""


def add(command: AddCommand) -> None:
    train = command("train", run, "train a recipe", own_help=False)
    train.add_argument("--config", type=Path)
    train.add_argument("--out", type=Path)
    train.add_argument("--resume", action="store_true")
    train.add_argument("--accelerator", default="auto")
    train.add_argument("--devices", default="1")
    train.add_argument("--nodes", type=int, default=1)
    train.add_argument("--compile", default="auto")
    train.add_argument("--loggers", default="tensorboard")
    train.add_argument("-h", "--help", action="store_true")


def run(parsed: argparse.Namespace) -> None:
    try:
        from poseglot.app.console import ConsoleCallback
        from poseglot.training.distributed import rank
        from poseglot.training.engine import Runtime, train
        from poseglot.training.recipe_io import list_recipes, parse_recipe, recipe_help, refuse_unknown_options
    except ImportError as error:
        raise PoseglotError(missing_package("training", error)) from error

    if parsed.help:
        print(USAGE + recipe_help())
        return
    if parsed.config is None and Path(OWN_RECIPE).is_file():
        parsed.config = Path(OWN_RECIPE)
    if parsed.config is None:
        refuse_unknown_options([argument for argument in parsed.rest if argument.startswith("--")])
        named = next((word for word in parsed.rest if word in list_recipes() or Path(word).is_file()), "nw-ucla/paper")
        raise PoseglotError(
            f"training needs a recipe: `poseglot train --config {named}`; only in a folder that `poseglot init` made it is "
            f"{OWN_RECIPE} without being said."
        )
    recipe = parse_recipe(["--config", parsed.config.as_posix(), *parsed.rest])
    name = "-".join(filter(None, (parsed.config.parent.name, parsed.config.stem, recipe.data.modality, f"seed{recipe.seed}")))
    out = parsed.out or Path("runs") / name
    runtime = Runtime(
        parsed.accelerator, parsed.devices, parsed.nodes, parsed.compile, tuple(filter(None, parsed.loggers.split(",")))
    )
    result = train(recipe, out, resume=parsed.resume, runtime=runtime, callbacks=[ConsoleCallback()])
    if rank() != 0:
        return
    if not result.last.total:
        print(f"{out}: trained on all clips; there is no test set")
        return
    print(f"{out}: last epoch {result.last}")
    best, epoch = result.best_on_test
    print(
        f"  (best on the {'held-out fold' if recipe.data.folds else 'test set'}: {best}/{result.last.total} after epoch {epoch}; "
        "no result, for it is chosen by looking at the answers)"
    )
