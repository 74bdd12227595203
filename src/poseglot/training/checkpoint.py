"""Checkpoints: one safetensors file with JSON in its metadata, holding all that a run needs to go on as if never stopped.

Random numbers need no state (they are functions of seed, epoch and sample), so weights, statistics, momentum and the epoch are all.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from poseglot.errors import PoseglotError
from poseglot.files import write_atomically
from poseglot.models.recognizer import read_safetensors
from poseglot.training.recipe import Recipe, differences
from poseglot.training.recipe_io import recipe_of

FORMAT = "poseglot-checkpoint/2"


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes:
        epochs: completed.
        best_on_test: most correct clips of the test set so far, and in which epoch (shown beside the result, never used).
        scaler: state of the gradient scaler, which 16-mixed precision has; else empty.
    """

    epochs: int = 0
    best_on_test: tuple[int, int] | None = None
    scaler: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(
    path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress, recipe: Recipe
) -> None:
    """Write a checkpoint beside `path`, then rename it there.

    Raises:
        PoseglotError: the disk refused; the checkpoint before is still whole.
    """
    tensors = {f"module.{name}": _plain(tensor) for name, tensor in module.state_dict().items()}
    for name, parameter in module.named_parameters():
        momentum = optimizer.state.get(parameter, {}).get("momentum_buffer")
        if momentum is not None:
            tensors[f"momentum.{name}"] = _plain(momentum)
    described = {"format": FORMAT, "progress": asdict(progress), "recipe": asdict(recipe)}
    write_atomically(path, save(tensors, metadata={"poseglot": json.dumps(described)}))


def load_checkpoint(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe) -> Progress:
    """Put a checkpoint's state into module and optimiser.

    Raises:
        PoseglotError: cut short, or of another recipe (the message names what differs).
    """
    described, tensors = _read(path)
    if differing := differences(recipe_of(described["recipe"]), recipe):
        raise PoseglotError(
            f"{path} was written by another recipe; it differs in {', '.join(differing)}. "
            f"Resume with the same settings (--config {path.parent / 'recipe.yaml'} has them), or train into another folder."
        )
    _load_module(path, module, tensors)
    for name, parameter in module.named_parameters():
        if f"momentum.{name}" in tensors:
            optimizer.state[parameter]["momentum_buffer"] = tensors[f"momentum.{name}"].to(parameter.device)
    progress = described["progress"]
    best = progress["best_on_test"]
    return Progress(progress["epochs"], None if best is None else (best[0], best[1]), progress["scaler"])


def load_weights(path: Path, module: nn.Module) -> None:
    """Put a checkpoint's weights into a module, to look at what was learned.

    Raises:
        PoseglotError: not there, cut short, or not of this module's recipe.
    """
    _, tensors = _read(path)
    _load_module(path, module, tensors)


def load_part(path: Path, module: nn.Module, name: str) -> dict[str, Tensor]:
    """Put the weights of a part of a checkpoint's module into a module.

    Args:
        name: of the part, as in `bank.encoder`.

    Returns:
        The other tensors of the checkpoint's module, by name.

    Raises:
        PoseglotError: not there, cut short, or not of such a module.
    """
    _, tensors = _read(path)
    start = f"module.{name}."
    _load_module(path, module, {f"module.{key.removeprefix(start)}": t for key, t in tensors.items() if key.startswith(start)})
    return {
        key.removeprefix("module."): t for key, t in tensors.items() if key.startswith("module.") and not key.startswith(start)
    }


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    described, tensors = read_safetensors(path)
    if described.get("format") != FORMAT:
        raise PoseglotError(f"{path} is not a Poseglot checkpoint ({FORMAT}).")
    return described, tensors


def _load_module(path: Path, module: nn.Module, tensors: dict[str, Tensor]) -> None:
    try:
        module.load_state_dict({name.removeprefix("module."): t for name, t in tensors.items() if name.startswith("module.")})
    except RuntimeError as error:
        raise PoseglotError(f"{path} does not fit the model of its recipe: {error}") from error


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()
