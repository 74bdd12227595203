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


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if world_size() > 1 else 0


def shares(count: int) -> list[int]:
    """How many of `count` consecutive things each process takes; they differ by one at most."""
    world = world_size()
    return [count // world + (place < count % world) for place in range(world)]


def own_share(count: int) -> slice:
    """Which of `count` consecutive things this process takes."""
    sizes = shares(count)
    start = sum(sizes[: rank()])
    return slice(start, start + sizes[rank()])


def gather(features: Tensor, count: int, *, dim: int = 0) -> Tensor:
    """This process's share of `count` things along `dim` -> all of them, with gradients. See `own_share`."""
    if world_size() == 1:
        return features
    gathered: Tensor = _Gather.apply(features.movedim(dim, 0).contiguous(), shares(count))  # type: ignore[no-untyped-call]
    return gathered.movedim(0, dim)


class _Gather(Function):
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


class _AllSum(Function):
    """Sum over processes, in both directions."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


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
        sums: Tensor = _AllSum.apply(torch.cat([wide.sum(dims), count]))  # type: ignore[no-untyped-call]
        total = sums[-1].detach()
        mean = sums[:-1] / total
        centred = wide - mean.view(shape)
        variance: Tensor = _AllSum.apply(centred.square().sum(dims)) / total  # type: ignore[no-untyped-call]
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
