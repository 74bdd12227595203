"""The skeleton encoder through torch.compile: on a GPU what torch runs operation by operation becomes a few fused kernels.

The encoder is compiled in place, so that parameters keep their names and a checkpoint does not know of it. Shapes are those of the
training batches; looking at the test set (`as_it_is`) stays uncompiled, which spares a compilation for every shape there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from poseglot.errors import PoseglotError
from poseglot.training.distributed import SynchronisedBatchNorm

CHOICES = ("auto", "on", "off")


def wanted(choice: str, device: torch.device) -> bool:
    """Whether to compile: `auto` on NVIDIA's and AMD's GPUs alone; on a CPU the kernels of `poseglot.kernels` are faster.

    Raises:
        PoseglotError: no such choice.
    """
    if choice not in CHOICES:
        raise PoseglotError(f"--compile takes auto (on a GPU), on or off, not {choice!r}.")
    return choice == "on" or (choice == "auto" and device.type == "cuda")


def compile_in_place(encoder: nn.Module) -> None:
    """Compile what the encoder does when called; parameters, buffers and their names stay."""
    for module in encoder.modules():
        if isinstance(module, SynchronisedBatchNorm):
            # Processes talk to each other here: between the compiled pieces, not in them.
            module.forward = torch.compiler.disable(module.forward)  # type: ignore[method-assign]
    encoder.compile(mode="default", dynamic=False)


def as_it_is(compiled: bool) -> AbstractContextManager[object]:
    """Within it, what was compiled runs uncompiled."""
    return torch.compiler.set_stance("force_eager") if compiled else nullcontext()


@contextmanager
def explain_compile_errors(compiled: bool) -> Iterator[None]:
    """Say of a failing compiler how to do without it.

    Raises:
        PoseglotError: the compiler failed.
    """
    if not compiled:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        # The first lines say what failed and why; behind them is advice for the authors of compilers.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise PoseglotError(
            f"torch.compile failed on the skeleton encoder: {' '.join(lines[:2])}. "
            "Train with --compile off; it is slower and comes to the same."
        ) from error
