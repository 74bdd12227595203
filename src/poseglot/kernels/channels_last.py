"""The operations of CTR-GCN's blocks on channels-last features (B, T, V, C), on a CPU: the kernels of `channels_last.cpp` with gradients.

One form serves training and inference. They differ in what a BatchNorm is: in training a `BatchNorm`, whose statistics are those of the
batch and known only after the kernel, so that a second kernel applies them; in inference an `Affine`, applied at the end of the first.

Fused, in addition to the algebra of `poseglot.models.encoders.ctr_gc`:

  - values, refined topologies and their product are computed for one vector of channels at a time and never leave the cache;
  - a BatchNorm is a scale and a shift for each channel, applied where the next operation reads. In training a bias in front of it cancels
    out: it is not added, only included in the running mean;
  - one matrix product computes the 1x1 convolutions of all four temporal branches, one pass over a clip everything else.

Products of all features with one matrix are torch's. Gradients are written out and cannot be differentiated again.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable
from torch.nn import functional as F

from poseglot.kernels import disabled_reason, native


def unsupported_reason(x: Tensor, module: nn.Module) -> str | None:
    """Return why these kernels cannot compute a module on features like `x`, or None if they can."""
    if reason := disabled_reason():
        return reason
    weight = next(module.parameters())
    if type(x) is not Tensor or x.device.type != "cpu" or weight.device.type != "cpu":
        return "the clips are not on a CPU"
    if x.dtype != weight.dtype or x.dtype not in (torch.float32, torch.float64):
        return f"clips of {x.dtype}, weights of {weight.dtype}"
    if torch.is_autocast_enabled("cpu"):
        return "mixed precision"
    if torch.is_grad_enabled() and not module.training:
        return "gradients in evaluation mode"
    for part in module.modules():
        if part._forward_hooks or part._forward_pre_hooks or part._backward_hooks:
            return "a module has a hook"
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and (
            type(part) not in (nn.BatchNorm1d, nn.BatchNorm2d) or part.momentum is None or part.running_mean is None
        ):
            return f"a BatchNorm is of another kind ({type(part).__name__}, momentum {part.momentum})"
    return native.unavailable_reason(x.dtype)


def vector_bytes(dtype: torch.dtype, channels: int) -> int | None:
    """Return the bytes of the widest vector that divides so many channels, or None if there is none."""
    widest = int(native.library(dtype).widest())
    return next((size for size in (64, 32, 16) if size <= widest and channels % (size // dtype.itemsize) == 0), None)


def call(name: str, like: Tensor, *arguments: int | Tensor | None) -> None:
    """Call a kernel of the dtype of `like`. Tensors become pointers and must be contiguous from where they begin."""
    taken = [
        ctypes.c_void_p(None if argument is None else argument.data_ptr())
        if argument is None or isinstance(argument, Tensor)
        else ctypes.c_int64(argument)
        for argument in arguments
    ]
    getattr(native.library(like.dtype), name)(*taken)


@dataclass(frozen=True, eq=False)
class Affine:
    """A BatchNorm in evaluation mode: x * scale + shift, both (C,)."""

    scale: Tensor
    shift: Tensor


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """A BatchNorm in training mode.

    Attributes:
        module: its parameters and running statistics.
        bias: of the convolution in front. It cancels out, so it was not added; the running mean includes it.
    """

    module: nn.BatchNorm2d
    bias: Tensor | None = None

    def statistics(self, moments: Tensor, rows: int) -> Statistics:
        """Merge mean and summed squared deviation (B, C, 2) of `rows` rows each, and update the running statistics.

        Clips are merged by Chan's formula, in double precision.
        """
        norm = self.module
        assert norm.running_mean is not None and norm.running_var is not None
        assert norm.num_batches_tracked is not None and norm.momentum is not None
        means, squares = moments.double().unbind(dim=-1)
        mean = means.mean(dim=0)
        count = rows * len(moments)
        variance = (squares.sum(dim=0) + rows * (means - mean).square().sum(dim=0)) / count
        with torch.no_grad():
            seen = mean if self.bias is None else mean + self.bias.detach()
            norm.running_mean.lerp_(seen.to(moments), norm.momentum)
            norm.running_var.lerp_((variance * (count / max(count - 1, 1))).to(moments), norm.momentum)
            norm.num_batches_tracked.add_(1)
        return Statistics(mean.to(moments), (variance + norm.eps).rsqrt().to(moments), count)


Norm = Affine | BatchNorm


@dataclass(frozen=True, eq=False)
class Residual:
    """What is added before a unit's ReLU: (B, T, V, C), and the BatchNorm that is still to be applied to it."""

    x: Tensor
    norm: Norm | None = None


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean and 1 / standard deviation of each of C channels over a batch, and the count of numbers behind them."""

    mean: Tensor
    inverse: Tensor
    count: int

    def scale_and_shift(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the BatchNorm with this weight and bias does to each channel."""
        scale = weight * self.inverse
        return scale, bias - self.mean * scale

    def backward(self, sums: Tensor, product: Tensor, weight: Tensor) -> Tensor:
        """Return (3, C): the gradient of the input is output gradient * [0] + input * [1] + [2].

        Args:
            sums, product: sums of the output gradient, and of it times the normalized input.
        """
        scale = (weight * self.inverse).double()
        slope = scale * self.inverse * product / self.count
        return torch.stack([scale, -slope, slope * self.mean - scale * sums / self.count]).to(weight)


def moments(x: Tensor, channels: int) -> Tensor:
    """Return mean and summed squared deviation of each clip: (B, T, V, >= channels) -> (B, channels, 2)."""
    b, t, v, stride = x.shape
    out = x.new_empty(b, channels, 2)
    call("moments", x, _bytes(x, channels), b, t * v, channels, x, stride, out)
    return out


def aggregate(
    x: Tensor,
    values: tuple[Tensor, Tensor],
    relation: Tensor,
    weight: Tensor,
    bias: Tensor,
    adjacency: Tensor,
    norm: Norm,
    residual: Residual | None,
) -> Tensor:
    """Return relu(norm(CTR-GC(x)) + residual): (B, T, V, C_in) -> (B, T, V, C).

    Args:
        values: weight and bias of the value convolutions, from `pack_values`.
        relation: (B, S, V, V, R); R fills whole vectors.
        weight, bias: from relation to channels: (S, R, C), (S, C).
        adjacency: (S, V, V).
    """
    x = fill(x, values[0].shape[1])
    if isinstance(norm, Affine):
        y = x.new_empty(*x.shape[:3], bias.shape[1])
        sizes = _graph_sizes(x, values[1], relation)
        call(
            "aggregate_forward", x, *sizes, x, *values, relation, weight, bias, adjacency, y, None, None, *_end(norm, residual)
        )
        return y
    y, found = _Aggregate.apply(x, *values, relation, weight, bias, adjacency)  # type: ignore[no-untyped-call]
    return _normalize(y, found, norm, residual)


def temporal(
    entry: Tensor,
    point: Tensor | None,
    taps: tuple[Tensor, Tensor],
    stride: int,
    entry_norm: Norm,
    norm: Norm,
    residual: Residual | None,
) -> Tensor:
    """Return relu(norm(the four temporal branches) + residual): (B, T', V, 4 q).

    Args:
        entry: (B, T, V, 3 q or 4 q) the branches' 1x1 convolutions, before `entry_norm`; the fourth quarter is the point branch.
        point: (B, T', V, q) the point branch, if it is not part of `entry`.
        taps: weights of both convolutions, from `pack_taps`.
    """
    if isinstance(entry_norm, BatchNorm):
        assert isinstance(norm, BatchNorm)
        q, rows = taps[0].shape[1], entry.shape[1] * entry.shape[2]
        statistics, module = entry_norm.statistics(moments(entry, 3 * q), rows), entry_norm.module
        y, found = _Temporal.apply(entry, point, module.weight, module.bias, statistics, *taps, stride)  # type: ignore[no-untyped-call]
        return _normalize(y, found, norm, residual)
    assert isinstance(norm, Affine)
    sizes, out, fourth = _temporal_sizes(entry, point, taps[0], stride)
    # Where there are fewer clips than threads, the frames of a clip are shared among them.
    parts = -(-torch.get_num_threads() // len(entry))
    affine = entry_norm.scale, entry_norm.shift
    call("temporal_forward", entry, *sizes, parts, entry, *affine, *taps, fourth, out, None, *_end(norm, residual))
    return out


def pack_values(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Lay out value convolutions (S, C, I) and (S, C) as the kernel reads them: (C / lanes, I', S * lanes), (C / lanes, S, lanes).

    I' is I filled up to whole vectors.
    """
    lanes = _bytes(weight, weight.shape[1]) // weight.itemsize
    weight = fill(weight, -(-weight.shape[-1] // lanes) * lanes)
    panels = weight.unflatten(1, (-1, lanes)).permute(1, 3, 0, 2)
    return panels.flatten(2).contiguous(), bias.unflatten(1, (-1, lanes)).transpose(0, 1).contiguous()


def pack_taps(weight: Tensor) -> Tensor:
    """Lay out a convolution over time (q, q, 1, taps) as the kernel reads it: (taps, in, out)."""
    return weight.squeeze(2).permute(2, 1, 0).contiguous()


def fill(x: Tensor, channels: int) -> Tensor:
    """Pad the last axis with zeros up to so many channels; the result is contiguous."""
    return x.contiguous() if x.shape[-1] == channels else F.pad(x, (0, channels - x.shape[-1]))


def zero_gradient(x: Tensor, *biases: Tensor | None) -> Tensor:
    """Return x, and give biases that were not added a gradient of zero rather than none: weight decay still acts on them."""
    if not torch.is_grad_enabled():
        return x
    y: Tensor = _ZeroGradient.apply(x, *biases)  # type: ignore[no-untyped-call]
    return y


def _normalize(x: Tensor, found: Tensor, norm: BatchNorm, residual: Residual | None) -> Tensor:
    """Return relu(norm(x) + residual), where `found` are the moments of x."""
    own: list[Any] = [norm.module.weight, norm.module.bias, norm.statistics(found, x.shape[1] * x.shape[2])]
    other: list[Any] = [None, None, None]
    if residual is not None and residual.norm is not None:
        assert isinstance(residual.norm, BatchNorm)
        module, there = residual.norm.module, residual.x
        other = [module.weight, module.bias, residual.norm.statistics(moments(there, there.shape[-1]), x.shape[1] * x.shape[2])]
    y: Tensor = _Normalize.apply(x, *own, None if residual is None else residual.x, *other)  # type: ignore[no-untyped-call]
    return y


def _end(norm: Affine, residual: Residual | None) -> tuple[int | Tensor | None, ...]:
    """Return the arguments of an `Epilogue`."""
    if residual is None:
        return norm.scale, norm.shift, None, 0, None, None
    other = (residual.norm.scale, residual.norm.shift) if isinstance(residual.norm, Affine) else (None, None)
    return norm.scale, norm.shift, residual.x, residual.x.shape[-1], *other


def _bytes(like: Tensor, channels: int) -> int:
    size = vector_bytes(like.dtype, channels)
    assert size is not None
    return size


def _graph_sizes(x: Tensor, value_bias: Tensor, relation: Tensor) -> tuple[int, ...]:
    """Return vector bytes, B, F, V, I, C, S, R."""
    panels, subsets, lanes = value_bias.shape
    return lanes * x.itemsize, *x.shape, panels * lanes, subsets, relation.shape[-1]


def _temporal_sizes(entry: Tensor, point: Tensor | None, taps: Tensor, stride: int) -> tuple[tuple[int, ...], Tensor, Tensor]:
    """Return the kernel's sizes, the output, and where the point branch begins."""
    (b, frames, v, width), q = entry.shape, taps.shape[1]
    after = -(-frames // stride)
    sizes = _bytes(entry, q), b, frames, after, v, q, stride, width, width if point is None else q
    return sizes, entry.new_empty(b, after, v, 4 * q), entry.view(-1)[3 * q :] if point is None else point


class _Aggregate(Function):
    """CTR-GC: y (B, T, V, C) and its moments (B, C, 2). Arguments as `aggregate` takes them, x filled up."""

    @staticmethod
    def forward(ctx: Any, *given: Tensor) -> tuple[Tensor, Tensor]:
        x, value_weight, value_bias, relation, weight, bias, adjacency = (each.contiguous() for each in given)
        ctx.sizes = _graph_sizes(x, value_bias, relation)
        y = x.new_empty(*x.shape[:3], bias.shape[1])
        found = x.new_empty(len(x), bias.shape[1], 2)
        values = x.new_empty(len(x), x.shape[1] * x.shape[2], value_bias.shape[1], bias.shape[1])
        call(
            "aggregate_forward", x, *ctx.sizes, x, value_weight, value_bias, relation, weight, bias, adjacency, y, values, found,
            None, None, None, 0, None, None,
        )  # fmt: skip
        ctx.save_for_backward(x, values, value_weight, value_bias, relation, weight, bias, adjacency)
        ctx.mark_non_differentiable(found)
        return y, found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        x, values, value_weight, value_bias, relation, weight, bias, adjacency = ctx.saved_tensors
        found = tuple(torch.empty_like(each) for each in (x, value_weight, value_bias, relation, weight, bias, adjacency))
        call(
            "aggregate_backward", x, *ctx.sizes, gradients[0].contiguous(), x, values, value_weight.mT.contiguous(), relation, weight,
            weight.mT.contiguous(), bias, adjacency, *found,
        )  # fmt: skip
        return found


class _Temporal(Function):
    """The four temporal branches (B, T', V, 4 q), before their BatchNorm, and their moments. Arguments as `temporal` takes them."""

    @staticmethod
    def forward(
        ctx: Any, entry: Tensor, point: Tensor | None, weight: Tensor, bias: Tensor, statistics: Statistics, narrow: Tensor,
        wide: Tensor, stride: int,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        scale, shift = statistics.scale_and_shift(weight, bias)
        ctx.sizes, out, fourth = _temporal_sizes(entry, point, narrow, stride)
        found = entry.new_empty(len(entry), out.shape[-1], 2)
        end = None, None, None, 0, None, None
        call("temporal_forward", entry, *ctx.sizes, 1, entry, scale, shift, narrow, wide, fourth, out, found, *end)
        ctx.save_for_backward(entry, point, weight, scale, shift, narrow, wide)
        ctx.statistics = statistics
        ctx.mark_non_differentiable(found)
        return out, found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        entry, point, weight, scale, shift, narrow, wide = ctx.saved_tensors
        (size, b, frames, _, v, q, _, width, _), statistics = ctx.sizes, ctx.statistics
        d_entry, d_narrow, d_wide = (torch.empty_like(each) for each in (entry, narrow, wide))
        d_point = None if point is None else torch.empty_like(point)
        sums = entry.new_empty(b, 3 * q, 2)
        call(
            "temporal_backward", entry, *ctx.sizes, gradients[0].contiguous(), entry, scale, shift, statistics.mean, statistics.inverse,
            narrow.mT.contiguous(), wide.mT.contiguous(), d_entry, d_entry.view(-1)[3 * q :] if d_point is None else d_point,
            d_narrow, d_wide, sums,
        )  # fmt: skip
        total, product = sums.double().sum(dim=0).unbind(dim=-1)
        by = statistics.backward(total, product, weight)
        call("normalize_backward", entry, size, b, frames * v, 3 * q, d_entry, None, entry, by, width, d_entry, None, 0, None)
        return d_entry, d_point, product.to(weight), total.to(weight), None, d_narrow, d_wide, None


class _Normalize(Function):
    """relu(BatchNorm(x) + residual): x (B, T, V, C); the residual likewise, with a BatchNorm of its own or none, or None."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, statistics: Statistics, residual: Tensor | None,
        residual_weight: Tensor | None, residual_bias: Tensor | None, residual_statistics: Statistics | None,
    ) -> Tensor:  # fmt: skip
        channels = x.shape[-1]
        other = None
        if residual_statistics is not None:
            assert residual_weight is not None and residual_bias is not None
            other = Affine(*residual_statistics.scale_and_shift(residual_weight, residual_bias))
        added = None if residual is None else Residual(residual.contiguous(), other)
        ctx.sizes = _bytes(x, channels), len(x), x.shape[1] * x.shape[2], channels
        out = torch.empty_like(x)
        call("normalize_forward", x, *ctx.sizes, x, out, *_end(Affine(*statistics.scale_and_shift(weight, bias)), added))
        # The residual itself is needed again only in front of a BatchNorm.
        ctx.save_for_backward(x, out, weight, None if added is None or other is None else added.x, residual_weight)
        ctx.statistics, ctx.residual_statistics, ctx.has_residual = statistics, residual_statistics, residual is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        x, out, weight, residual, residual_weight = ctx.saved_tensors
        own, other = ctx.statistics, ctx.residual_statistics
        d_out, channels = gradients[0].contiguous(), x.shape[-1]
        sums = x.new_empty(len(x), channels, 3)
        there = (None, None) if other is None else (other.mean, other.inverse)
        call("normalize_sums", x, *ctx.sizes, d_out, out, x, own.mean, own.inverse, residual, *there, sums)
        total, product, residual_product = sums.double().sum(dim=0).unbind(dim=-1)
        by = own.backward(total, product, weight)
        if other is not None:
            by = torch.cat([by, other.backward(total, residual_product, residual_weight)])
        d_x, d_residual = torch.empty_like(x), torch.empty_like(x) if ctx.has_residual else None
        scaled = int(other is not None)
        call("normalize_backward", x, *ctx.sizes, d_out, out, x, by, channels, d_x, residual, scaled, d_residual)
        d_weight, d_bias = product.to(weight), total.to(weight)
        residual_gradients = (None, None) if other is None else (residual_product.to(weight), d_bias)
        return d_x, d_weight, d_bias, None, d_residual, *residual_gradients, None


class _ZeroGradient(Function):
    """See `zero_gradient`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *biases: Tensor) -> Tensor:
        ctx.sizes = [bias.shape for bias in biases]
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        return gradients[0], *(gradients[0].new_zeros(size) for size in ctx.sizes)
