"""Optimizers of torch by name, and which parameters have weight decay."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from poseglot.errors import NotFoundError, SettingError

# The paper's optimizer; `optim.kwargs` may say otherwise.
DEFAULTS: Mapping[str, Mapping[str, Any]] = {"SGD": {"momentum": 0.9, "nesterov": True}}
# With all parameters in one kernel on a GPU. It also takes 16-mixed's loss scale without waiting for it.
_FUSED = ("SGD", "Adam", "AdamW")


def list_optimizers() -> list[str]:
    """List the optimizers of `torch.optim`."""
    kinds = inspect.getmembers(torch.optim, inspect.isclass)
    return [name for name, kind in kinds if issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer]


def create_optimizer(
    name: str,
    groups: Iterable[dict[str, Any]],
    *,
    lr: float,
    weight_decay: float,
    kwargs: Mapping[str, Any] | None = None,
    device: torch.device | None = None,
) -> torch.optim.Optimizer:
    """Create an optimizer of `torch.optim`.

    Args:
        name: The class's name, such as SGD or AdamW.
        groups: Parameter groups.
        lr, weight_decay: The values for groups that have none of their own.
        kwargs: Further arguments; SGD has momentum 0.9 and nesterov unless they say otherwise.
        device: The parameters' device.

    Raises:
        NotFoundError: Torch has no such optimizer.
        SettingError: The optimizer refuses its arguments, or needs its loss evaluated again (LBFGS).
    """
    if name not in list_optimizers():
        raise NotFoundError(name, list_optimizers(), kind="optimizer")
    kind = getattr(torch.optim, name)
    arguments = {"lr": lr, "weight_decay": weight_decay, **DEFAULTS.get(name, {}), **(kwargs or {})}
    accepted = inspect.signature(kind).parameters
    if "weight_decay" not in accepted and weight_decay == 0:
        del arguments["weight_decay"]
    if unknown := sorted(set(arguments) - set(accepted)):
        known = ", ".join(argument for argument in accepted if argument not in ("params", "lr", "weight_decay"))
        raise SettingError(f"the optimizer {name} has no argument {', '.join(unknown)}; optim.kwargs takes {known}.")
    if name in _FUSED and device is not None and device.type == "cuda":
        arguments.setdefault("fused", True)
    try:
        optimizer: torch.optim.Optimizer = kind(list(groups), **arguments)
    except (TypeError, ValueError) as error:
        raise SettingError(f"the optimizer {name} refuses its arguments: {error}") from error
    step = inspect.signature(optimizer.step).parameters.get("closure")
    if step is not None and step.default is inspect.Parameter.empty:
        raise SettingError(f"the optimizer {name} evaluates the loss several times in a step, which training does not do.")
    return optimizer


def decay_groups(module_parameters: Mapping[str, nn.Parameter], **group: Any) -> list[dict[str, Any]]:
    """Divide parameters into a group with weight decay and one without: biases, and what has at most one dimension.

    As in "Bag of Tricks for Image Classification" (He et al., CVPR 2019), section 3.1: no bias decay.

    Args:
        module_parameters: The parameters by name.
        group: The entries that both groups have in common.
    """
    apart = {name for name, parameter in module_parameters.items() if parameter.ndim <= 1 or name.endswith("bias")}
    return [
        {"params": [parameter for name, parameter in module_parameters.items() if name not in apart], **group},
        {"params": [parameter for name, parameter in module_parameters.items() if name in apart], **group, "weight_decay": 0.0},
    ]
