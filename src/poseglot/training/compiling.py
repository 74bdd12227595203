"""The skeleton encoder through torch.compile: on a GPU what torch runs operation by operation becomes a few fused kernels.

The encoder is compiled in place, so that parameters keep their names and checkpoints do not change. Shapes are those of the training
batches. Validation runs uncompiled (`as_it_is`), which spares a compilation for every shape there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from poseglot.errors import DeviceError, SettingError
from poseglot.training.distributed import SynchronisedBatchNorm

CHOICES = ("auto", "on", "off")


def wanted(choice: str, device: torch.device) -> bool:
    """Tell whether to compile: `auto` compiles on NVIDIA's and AMD's GPUs; on a CPU `poseglot.kernels` is faster.

    Raises:
        SettingError: There is no such choice.
    """
    if choice not in CHOICES:
        raise SettingError(f"--compile takes auto (on a GPU), on or off, not {choice!r}.")
    return choice == "on" or (choice == "auto" and device.type == "cuda")


def compile_in_place(encoder: nn.Module) -> None:
    """Compile the encoder's forward pass; parameters, buffers and their names stay."""
    for module in encoder.modules():
        if isinstance(module, SynchronisedBatchNorm):
            # Processes communicate here: between the compiled pieces, not in them.
            module.forward = torch.compiler.disable(module.forward)  # type: ignore[method-assign]
    encoder.compile(mode="default", dynamic=False)


def as_it_is(compiled: bool) -> AbstractContextManager[object]:
    """Return a context in which compiled modules run uncompiled."""
    return torch.compiler.set_stance("force_eager") if compiled else nullcontext()


@contextmanager
def explain_compile_errors(compiled: bool) -> Iterator[None]:
    """Turn an error of the compiler into one that says how to do without it.

    Raises:
        DeviceError: The compiler failed.
    """
    if not compiled:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        # The first lines say what failed and why; the others are for the compiler's developers.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise DeviceError(
            f"torch.compile failed on the skeleton encoder: {' '.join(lines[:2])}. "
            "Train with --compile off; it is slower and comes to the same."
        ) from error
