"""Checkpoints: one safetensors file with JSON in its metadata, holding all that a run needs to go on as if never stopped.

Random numbers and the learning rate need no state: they are functions of seed, epoch, step and sample. So a checkpoint has the weights
and statistics, their average, the optimizer's whole state, and the epoch. Nothing in it is a pickle.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from poseglot.errors import FileError, SettingError
from poseglot.files import write_atomically
from poseglot.models.recognizer import read_safetensors
from poseglot.training.average import WeightAverage
from poseglot.training.recipe import Recipe, differences
from poseglot.training.recipe_io import recipe_of

FORMAT = "poseglot-checkpoint/3"
_MODULE, _AVERAGE, _OPTIMIZER = "module.", "average.", "optimizer."


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
) -> None:
    """Write a checkpoint beside `path`, then rename it there.

    Raises:
        FileError: The disk refused; the checkpoint before is still whole.
        SettingError: The optimizer's state is more than tensors and plain values.
    """
    tensors = {_MODULE + name: _plain(tensor) for name, tensor in module.state_dict().items()}
    held, plain = _optimizer_state(module, optimizer)
    tensors |= held
    described: dict[str, Any] = {"format": FORMAT, "progress": asdict(progress), "recipe": asdict(recipe), "optimizer": plain}
    if average is not None:
        tensors |= {_AVERAGE + name: _plain(tensor) for name, tensor in average.tensors.items()}
        described["average_steps"] = average.steps
    try:
        metadata = json.dumps(described)
    except TypeError as error:
        raise SettingError(
            f"the state of {type(optimizer).__name__} cannot be saved: {error}; choose another optim.name."
        ) from error
    write_atomically(path, save(tensors, metadata={"poseglot": metadata}))


def load_checkpoint(
    path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, average: WeightAverage | None = None
) -> Progress:
    """Put a checkpoint's state into module, optimizer and average.

    Raises:
        FileError: The file is cut short, or of another model.
        SettingError: The checkpoint is of another recipe (the message names what differs).
    """
    described, tensors = _read(path)
    if differing := differences(recipe_of(described["recipe"]), recipe):
        raise SettingError(
            f"{path} was written by another recipe; it differs in {', '.join(differing)}. "
            f"Resume with the same settings (--config {path.parent / 'recipe.yaml'} has them), or train into another folder."
        )
    _load_module(path, module, _part(tensors, _MODULE))
    _load_optimizer(path, module, optimizer, described["optimizer"], _part(tensors, _OPTIMIZER))
    if average is not None:
        average.load(_part(tensors, _AVERAGE), described["average_steps"])
    progress = described["progress"]
    best = progress["best_on_test"]
    return Progress(progress["epochs"], None if best is None else (best[0], best[1]), progress["scaler"])


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
                tensors[f"{_OPTIMIZER}{names[number]}/{key}"] = _plain(value)
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
    described, tensors = read_safetensors(path)
    if described.get("format") != FORMAT:
        raise FileError(f"{path} is not a Poseglot checkpoint ({FORMAT}).")
    return described, tensors


def _load_module(path: Path, module: nn.Module, tensors: dict[str, Tensor]) -> None:
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise FileError(f"{path} does not fit the model of its recipe: {error}") from error


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()
