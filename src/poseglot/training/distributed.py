"""What makes several processes equal to one: features gathered with gradients, and BatchNorm over the whole batch.

The convention is DistributedDataParallel's: every process has a loss of its own, and the gradients are averaged over processes. A
loss that every process computes on the same gathered features is one and the same, so the gradient that flows back into a
process's own features must be counted once per process. With one process everything here is the identity.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import Function
from torch.distributed.nn.functional import all_reduce


def world_size() -> int:
    """Return the number of processes; 1 where there is no process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return this process's number, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def shares(count: int) -> list[int]:
    """Divide `count` consecutive things among processes: how many each takes. They differ by one at most."""
    world = world_size()
    return [count // world + (place < count % world) for place in range(world)]


def own_share(count: int) -> slice:
    """Return those of `count` consecutive things that this process takes."""
    sizes = shares(count)
    start = sum(sizes[: rank()])
    return slice(start, start + sizes[rank()])


def gather(features: Tensor, count: int, *, dim: int = 0) -> Tensor:
    """Gather the processes' shares of `count` things along `dim`, with gradients. See `own_share`.

    torch's own gathering with gradients (`torch.distributed.nn`) sends gradients back, to add up what is the same in every process here.
    This one multiplies instead and sends nothing.
    """
    if world_size() == 1:
        return features
    gathered: Tensor = _Gather.apply(features.movedim(dim, 0).contiguous(), shares(count))  # type: ignore[no-untyped-call]
    return gathered.movedim(0, dim)


class _Gather(Function):
    """all_gather, whose gradient is that of a loss which all processes compute alike."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, sizes: list[int]) -> Tensor:
        ctx.sizes = sizes
        padded = own.new_zeros((max(sizes), *own.shape[1:]))
        padded[: len(own)] = own
        everyone = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(everyone, padded)
        return torch.cat([theirs[:size] for theirs, size in zip(everyone, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        start = sum(ctx.sizes[: rank()])
        own = gradients[0][start : start + ctx.sizes[rank()]]
        # Averaging over processes divides by their number; see the module's first lines.
        return own * world_size(), None


class SynchronisedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm with the statistics of all processes' batches, on any device (torch's own refuses CPU tensors)."""

    def _check_input_dim(self, input: Tensor) -> None:
        return

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or world_size() == 1:
            return super().forward(x)
        dims = [0, *range(2, x.ndim)]
        shape = [1, -1] + [1] * (x.ndim - 2)
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        count = wide.new_full((1,), wide.numel() / wide.shape[1])
        sums: Tensor = all_reduce(torch.cat([wide.sum(dims), count]))
        total = sums[-1].detach()
        mean = sums[:-1] / total
        centred = wide - mean.view(shape)
        variance: Tensor = all_reduce(centred.square().sum(dims)) / total
        self._remember(mean.detach(), variance.detach() * total / (total - 1))
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (centred * scale.view(shape) + self.bias.view(shape)).to(x.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        assert self.momentum is not None
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
            self.num_batches_tracked.add_(1)


def synchronise_batch_norm(module: nn.Module) -> None:
    """Give every BatchNorm in a module the statistics of all processes' batches. Parameters and their names stay."""
    for child in module.modules():
        if isinstance(child, (nn.BatchNorm1d, nn.BatchNorm2d)):
            # Same attributes, another forward: swapping the class keeps parameters, buffers and hooks where they are.
            child.__class__ = SynchronisedBatchNorm  # type: ignore[assignment]
