"""The exponential moving average of a model's weights (Polyak and Juditsky 1992; Tarvainen and Valpola, Mean Teacher, NIPS 2017).

BatchNorm's running statistics are averaged, too. The decay rises with the number of steps n, as min(decay, (1 + n) / (10 + n)), so that the
average looks back over about a ninth of the training so far. (Mean Teacher's mean of all steps keeps the first, bad weights too long: at
epoch 45 of 60 it had 375 of 464 test clips of NW-UCLA, the weights themselves 419.) It follows from the weights and the number of steps,
so that processes agree on it without talking.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """The average of a module's trained parameters and floating-point statistics.

    Args:
        module: Its tensors may change, but not their names. It must be on its device already.
        decay: The share of the average that a step keeps, such as 0.998.

    Attributes:
        tensors: The average by the names of the module's `state_dict`.
        steps: The number of updates.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay, self.steps = module, decay, 0
        self.tensors = {name: tensor.detach().clone() for name, tensor in _averaged(module).items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        weight = max(1 - self.decay, 9 / (9 + self.steps))
        torch._foreach_lerp_(list(self.tensors.values()), list(_averaged(self.module).values()), weight)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average into the module for the time of a block; afterwards the weights are bit for bit what they were."""
        live = _averaged(self.module)
        kept = [tensor.detach().clone() for tensor in live.values()]
        with torch.no_grad():
            torch._foreach_copy_([tensor.detach() for tensor in live.values()], list(self.tensors.values()))
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_([tensor.detach() for tensor in live.values()], kept)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], steps: int) -> None:
        """Go on from a saved average."""
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])
        self.steps = steps


def _averaged(module: nn.Module) -> dict[str, Tensor]:
    """The trained parameters and the floating-point buffers of a module's state, by name."""
    return {
        name: tensor
        for name, tensor in module.state_dict(keep_vars=True).items()
        if tensor.is_floating_point() and (tensor.requires_grad or not isinstance(tensor, nn.Parameter))
    }
