"""Checkpoints: one safetensors file with JSON in its metadata, holding all that a run needs to go on as if never stopped.

Random numbers and the learning rate need no state: they are functions of seed, epoch, step and sample. So a checkpoint has the weights
and statistics, their average, the optimizer's whole state, the epoch, and hashes of the clips that it learned from. Nothing in it is a
pickle. The checkpoint before is kept beside it, and is taken if the last one is damaged.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from poseglot.errors import FileError, SettingError
from poseglot.models.tensor_file import read_tensors, write_tensors
from poseglot.training.average import WeightAverage
from poseglot.training.recipe import Recipe, differences
from poseglot.training.recipe_io import recipe_of

FORMAT = "poseglot-checkpoint/4"
# The format before has no hashes (of itself, and of the clips).
_FORMATS = (FORMAT, "poseglot-checkpoint/3")
_MODULE, _AVERAGE, _OPTIMIZER = "module.", "average.", "optimizer."
_logger = logging.getLogger("poseglot.training")


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes:
        epochs: The number of complete epochs.
        best_on_test: The most correct clips of the test set so far, and their epoch (shown beside the result, never used).
        scaler: The state of the gradient scaler, which 16-mixed precision has; else empty.
    """

    epochs: int = 0
    best_on_test: tuple[int, int] | None = None
    scaler: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(
    path: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    recipe: Recipe,
    average: WeightAverage | None = None,
    *,
    clips: Mapping[str, str] | None = None,
    keep: Path | None = None,
) -> None:
    """Write a checkpoint beside `path`, then rename it there.

    Args:
        path: The file.
        module, optimizer, progress, recipe, average: What is saved.
        clips: Subset -> a hash of its clips, to be compared when the training goes on.
        keep: Where the checkpoint before is moved to; by default it is replaced. A damaged one is replaced, too, instead of the whole one
            that `keep` has.

    Raises:
        FileError: The disk refused; the checkpoint before is still whole.
        SettingError: The optimizer's state is more than tensors and plain values.
    """
    tensors = {_MODULE + name: tensor for name, tensor in module.state_dict().items()}
    held, plain = _optimizer_state(module, optimizer)
    tensors |= held
    described: dict[str, Any] = {
        "format": FORMAT,
        "progress": asdict(progress),
        "recipe": asdict(recipe),
        "optimizer": plain,
        "clips": dict(clips or {}),
    }
    if average is not None:
        tensors |= {_AVERAGE + name: tensor for name, tensor in average.tensors.items()}
        described["average_steps"] = average.steps
    if keep is not None and keep.exists() and path.exists() and not _is_whole(path):
        keep = None
    try:
        write_tensors(path, tensors, described, keep=keep)
    except TypeError as error:
        raise SettingError(
            f"the state of {type(optimizer).__name__} cannot be saved: {error}; choose another optim.name."
        ) from error


def load_checkpoint(
    path: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    average: WeightAverage | None = None,
    *,
    clips: Mapping[str, str] | None = None,
    previous: Path | None = None,
) -> Progress:
    """Put a checkpoint's state into module, optimizer and average.

    Args:
        path: The file.
        module, optimizer, average: What is filled.
        recipe: The recipe that is to go on.
        clips: Subset -> a hash of its clips as they are now.
        previous: The checkpoint before, which is taken, with a warning, if the one at `path` is missing or damaged.

    Raises:
        FileError: The file is damaged, or of another model.
        SettingError: The checkpoint is of another recipe or of other clips (the message names what differs).
    """
    try:
        described, tensors = _read(path)
    except FileError as error:
        if previous is None or not previous.exists():
            raise
        described, tensors = _read(previous)
        _logger.warning(f"{error} Going on from the checkpoint before, {previous}.")
    if differing := differences(recipe_of(described["recipe"]), recipe):
        raise SettingError(
            f"{path} was written by another recipe; it differs in {', '.join(differing)}. "
            f"Resume with the same settings (--config {path.parent / 'recipe.yaml'} has them), or train into another folder."
        )
    if clips and (changed := [subset for subset, found in described.get("clips", {}).items() if clips.get(subset) != found]):
        raise SettingError(
            f"the clips of {recipe.data.store} ({', '.join(changed)}) are not those that {path} has learned from: names, labels or joints "
            "have changed. Bring the store back, or train into another folder."
        )
    progress = _progress(path, described, recipe)
    _load_module(path, module, _part(tensors, _MODULE))
    _load_optimizer(path, module, optimizer, described["optimizer"], _part(tensors, _OPTIMIZER))
    if average is not None:
        average.load(_part(tensors, _AVERAGE), described["average_steps"])
    return progress


def _progress(path: Path, described: Mapping[str, Any], recipe: Recipe) -> Progress:
    """Return the progress of a checkpoint, checked."""
    try:
        epochs, best, scaler = (described["progress"][name] for name in ("epochs", "best_on_test", "scaler"))
        numbers = [epochs, *(best or ()), described.get("average_steps", 0)]
        valid = (
            all(type(number) is int and number >= 0 for number in numbers)
            and epochs <= recipe.optim.epochs
            and (best is None or (len(best) == 2 and 1 <= best[1] <= epochs))
            and all(math.isfinite(value) for value in scaler.values())
        )
    except (KeyError, TypeError, AttributeError):
        valid = False
    if not valid:
        raise FileError(f"{path} has impossible numbers of epochs, steps or clips in its progress; it is damaged.")
    return Progress(epochs, None if best is None else (best[0], best[1]), scaler)


def load_weights(path: Path, module: nn.Module) -> None:
    """Put a checkpoint's weights into a module, averaged ones where there are such: those of the recognizer that a run saves.

    Raises:
        FileError: The file is missing, cut short, or of another recipe.
    """
    _load_module(path, module, _weights(path))


def load_part(path: Path, module: nn.Module, name: str) -> dict[str, Tensor]:
    """Put the weights of a part of a checkpoint's module into a module, averaged ones where there are such.

    Args:
        name: The part's name, such as `bank.encoder`.

    Returns:
        The other tensors of the checkpoint's module, by name.

    Raises:
        FileError: The file is missing, cut short, or of another module.
    """
    tensors = _weights(path)
    _load_module(path, module, _part(tensors, f"{name}."))
    return {key: tensor for key, tensor in tensors.items() if not key.startswith(f"{name}.")}


def _weights(path: Path) -> dict[str, Tensor]:
    _, tensors = _read(path)
    return _part(tensors, _MODULE) | _part(tensors, _AVERAGE)


def _part(tensors: dict[str, Tensor], start: str) -> dict[str, Tensor]:
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _optimizer_state(module: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Divide an optimizer's `state_dict` into tensors, named after their parameters, and what JSON can hold."""
    names = _parameter_names(module, optimizer)
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    plain: dict[str, dict[str, Any]] = {}
    for number, entries in state["state"].items():
        for key, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{_OPTIMIZER}{names[number]}/{key}"] = value
            else:
                plain.setdefault(names[number], {})[key] = value
    return tensors, {"kind": type(optimizer).__name__, "groups": state["param_groups"], "values": plain}


def _load_optimizer(
    path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, described: dict[str, Any], tensors: dict[str, Tensor]
) -> None:
    numbers = {name: number for number, name in _parameter_names(module, optimizer).items()}
    state: dict[int, dict[str, Any]] = {}
    try:
        for name, tensor in tensors.items():
            parameter, _, key = name.rpartition("/")
            state.setdefault(numbers[parameter], {})[key] = tensor
        for name, values in described["values"].items():
            state.setdefault(numbers[name], {}).update(values)
        optimizer.load_state_dict({"state": state, "param_groups": described["groups"]})
    except (KeyError, ValueError) as error:
        raise FileError(f"{path} does not fit the optimizer of its recipe: {error}") from error


def _parameter_names(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[int, str]:
    """Map an optimizer's numbers of its parameters to their names in the module."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return {number: names[id(parameter)] for number, parameter in enumerate(parameters)}


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    described, tensors = read_tensors(path)
    if described.get("format") not in _FORMATS:
        raise FileError(f"{path} is not a Poseglot checkpoint ({FORMAT}).")
    return described, tensors


def _is_whole(path: Path) -> bool:
    try:
        _read(path)
    except FileError:
        return False
    return True


def _load_module(path: Path, module: nn.Module, tensors: dict[str, Tensor]) -> None:
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise FileError(f"{path} does not fit the model of its recipe: {error}") from error
