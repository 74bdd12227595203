"""CTR-GCN on a CPU, in rows (B, T, V, C): the kernels of `rows.cpp` with their gradients, and the encoder made of them.

What is fused, beside what `ctr_gcn` rearranges already:

  - values, refined topologies and what is collected along them are made a vector of channels at a time and never leave the cache;
  - BatchNorm is two numbers for each channel: a bias before it cannot matter in training, so none is added (only remembered in the
    running mean), and its scale and shift are applied where the next operation reads;
  - in the temporal module one product makes the four branches' 1x1 convolutions, one pass over a clip the rest.

Products of all rows with one matrix are torch's. Gradients are written out; nothing here can be differentiated twice.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable
from torch.nn import functional as F

from poseglot.models.kernels import native, switched_off


def unusable(x: Tensor, encoder: nn.Module) -> str | None:
    """Why the encoder cannot take these clips in rows, or None if it can."""
    if torch.compiler.is_compiling():  # first, so that nothing below is compiled
        return "somebody looks at torch's operations"
    if reason := switched_off():
        return reason
    weight = next(encoder.parameters())
    if type(x) is not Tensor or x.device.type != "cpu" or weight.device.type != "cpu":
        return "the clips are not on a CPU"
    if x.dtype != weight.dtype or x.dtype not in (torch.float32, torch.float64):
        return f"clips of {x.dtype}, weights of {weight.dtype}"
    if torch.is_autocast_enabled("cpu"):
        return "mixed precision"
    if torch.is_grad_enabled() and not encoder.training:
        return "gradients in evaluation mode"
    if torch._C._get_tracing_state() is not None or torch._C._len_torch_dispatch_stack() > 0:
        return "somebody looks at torch's operations"
    for module in encoder.modules():
        if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
            return "a module has a hook"
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and (
            type(module) not in (nn.BatchNorm1d, nn.BatchNorm2d) or module.momentum is None or module.running_mean is None
        ):
            return f"a BatchNorm is another ({type(module).__name__}, momentum {module.momentum})"
    return native.reason_unavailable(x.dtype)


def vector(dtype: torch.dtype, channels: int) -> int | None:
    """Bytes of the widest vector that so many channels fill, or None if they fill none."""
    widest = int(native.library(dtype).widest())
    return next((size for size in (64, 32, 16) if size <= widest and channels % (size // dtype.itemsize) == 0), None)


def call(name: str, like: Tensor, *arguments: int | Tensor | None) -> None:
    """A kernel; tensors go in as pointers and must be contiguous from where they begin."""
    taken = [
        ctypes.c_void_p(None if argument is None else argument.data_ptr())
        if argument is None or isinstance(argument, Tensor)
        else ctypes.c_int64(argument)
        for argument in arguments
    ]
    getattr(native.library(like.dtype), name)(*taken)


@dataclass(frozen=True, eq=False)
class Normed:
    """What a BatchNorm makes of the batch: mean and 1 / standard deviation of each of C channels, and how many numbers are behind them."""

    mean: Tensor
    inverse: Tensor
    count: int

    def scale_and_shift(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        scale = weight * self.inverse
        return scale, bias - self.mean * scale


def batch_statistics(norm: nn.Module, moments: Tensor, rows: int, bias: Tensor | None = None) -> Normed:
    """From mean and summed squared deviation (B, C, 2), each of `rows` rows, those of the whole batch; remembered in the running ones.

    Clips are put together by Chan's formula, in double precision. `bias` is what was not added before.
    """
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
    assert norm.num_batches_tracked is not None and norm.momentum is not None
    means, squares = moments.double().unbind(dim=-1)
    mean = means.mean(dim=0)
    count = rows * len(moments)
    variance = (squares.sum(dim=0) + rows * (means - mean).square().sum(dim=0)) / count
    with torch.no_grad():
        seen = mean if bias is None else mean + bias.detach()
        norm.running_mean.lerp_(seen.to(moments), norm.momentum)
        norm.running_var.lerp_((variance * (count / max(count - 1, 1))).to(moments), norm.momentum)
        norm.num_batches_tracked.add_(1)
    return Normed(mean.to(moments), (variance + norm.eps).rsqrt().to(moments), count)


def moments(x: Tensor, channels: int) -> Tensor:
    """(B, T, V, >= channels) -> (B, channels, 2): mean and summed squared deviation of each clip."""
    b, t, v, stride = x.shape
    out = x.new_empty(b, channels, 2)
    size = vector(x.dtype, channels)
    assert size is not None
    call("moments", x, size, b, t * v, channels, x, stride, out)
    return out


def _back_through_norm(sums: Tensor, product: Tensor, normed: Normed, weight: Tensor) -> Tensor:
    """(3, C): the gradient of a BatchNorm's input is the gradient behind it times the first, plus the input times the second, plus the
    third. `sums` and `product` are those of the gradient behind it, and of that times the normalised input."""
    scale = (weight * normed.inverse).double()
    each = scale * normed.inverse * product / normed.count
    return torch.stack([scale, -each, each * normed.mean - scale * sums / normed.count]).to(weight)


class _Collect(Function):
    """See `rows.cpp`. x (B, T, V, I), value_weight (S, C, I), value_bias (S, C), relation (B, S, V, V, R), weight (S, R, C), bias (S, C),
    adjacency (S, V, V) -> y (B, T, V, C) and its moments (B, C, 2). R fills whole vectors."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        value_weight: Tensor,
        value_bias: Tensor,
        relation: Tensor,
        weight: Tensor,
        bias: Tensor,
        adjacency: Tensor,
    ) -> tuple[Tensor, Tensor]:
        size = vector(x.dtype, value_bias.shape[1])
        assert size is not None
        panels = ValuePanels.of(value_weight, value_bias, size)
        ctx.given, ctx.incoming = (size, *panels.sizes(x), relation.shape[-1]), x.shape[-1]
        x = fill(x, panels.weight.shape[1])
        b, t, v, _ = x.shape
        y = x.new_empty(b, t, v, value_bias.shape[1])
        found = x.new_empty(b, y.shape[-1], 2)
        values = x.new_empty(b, t * v, 3, y.shape[-1])
        relation, weight, bias, adjacency = (each.contiguous() for each in (relation, weight, bias, adjacency))
        call(
            "collect_forward", x, *ctx.given, x, panels.weight, panels.bias, relation, weight, bias, adjacency, y, values, found,
            None, None, 0,
        )  # fmt: skip
        ctx.save_for_backward(x, values, value_weight, relation, weight, bias, adjacency)
        ctx.mark_non_differentiable(found)
        return y, found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        x, values, value_weight, relation, weight, bias, adjacency = ctx.saved_tensors
        size = ctx.given[0]
        panels = ValuePanels.of(value_weight, bias, size)
        d_x, d_weight = torch.empty_like(x), torch.empty_like(panels.weight)
        d_bias = torch.empty_like(panels.bias)
        others = [torch.empty_like(each) for each in (relation, weight, bias, adjacency)]
        call(
            "collect_backward", x, *ctx.given, gradients[0].contiguous(), x, values, panels.weight.mT.contiguous(), relation, weight,
            weight.mT.contiguous(), bias, adjacency, d_x, d_weight, d_bias, *others,
        )  # fmt: skip
        incoming = ctx.incoming
        return d_x[..., :incoming], *panels.gradients(d_weight, d_bias, incoming), *others


@dataclass(frozen=True, eq=False)
class ValuePanels:
    """The value convolutions' weights as `collect` reads them: weight (C / lanes, I, S * lanes), I filled up with zeros to whole vectors,
    and bias (C / lanes, S, lanes)."""

    weight: Tensor
    bias: Tensor

    @staticmethod
    def of(weight: Tensor, bias: Tensor, size: int) -> ValuePanels:
        """From (S, C, I) and (S, C), for vectors of so many bytes."""
        lanes = size // weight.dtype.itemsize
        weight = fill(weight, -(-weight.shape[-1] // lanes) * lanes)
        subsets, channels, incoming = weight.shape
        split = weight.view(subsets, channels // lanes, lanes, incoming).permute(1, 3, 0, 2)
        return ValuePanels(split.flatten(2).contiguous(), bias.view(subsets, -1, lanes).transpose(0, 1).contiguous())

    def sizes(self, x: Tensor) -> tuple[int, ...]:
        """B, F, V, I, C, S as the kernel takes them."""
        (b, t, v, _), (panels, subsets, lanes) = x.shape, self.bias.shape
        return b, t, v, self.weight.shape[1], panels * lanes, subsets

    def gradients(self, weight: Tensor, bias: Tensor, incoming: int) -> tuple[Tensor, Tensor]:
        """From gradients in panels to (S, C, I) and (S, C)."""
        panels, subsets, lanes = self.bias.shape
        turned = weight.view(panels, -1, subsets, lanes).permute(2, 0, 3, 1)
        return turned.flatten(1, 2)[..., :incoming], bias.transpose(0, 1).flatten(1)


def fill(x: Tensor, channels: int) -> Tensor:
    """Zeros behind the last axis, up to so many channels; contiguous."""
    return x.contiguous() if x.shape[-1] == channels else F.pad(x, (0, channels - x.shape[-1]))


class _Temporal(Function):
    """See `rows.cpp`. entry (B, T, V, 3 q or 4 q), the last quarter of it the point branch, or point (B, T', V, q) apart; the entry's
    BatchNorm; narrow, wide (q, q, 5, 1) -> (B, T', V, 4 q) and its moments (B, 4 q, 2)."""

    @staticmethod
    def forward(
        ctx: Any, entry: Tensor, point: Tensor | None, weight: Tensor, bias: Tensor, normed: Normed, narrow: Tensor, wide: Tensor,
        stride: int,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        b, frames, v, wide_enough = entry.shape
        quarter, after = len(narrow), -(-frames // stride)
        size = vector(entry.dtype, quarter)
        assert size is not None
        scale, shift = normed.scale_and_shift(weight, bias)
        ctx.given = (size, b, frames, after, v, quarter, stride, wide_enough, wide_enough if point is None else quarter)
        fourth = entry.view(-1)[3 * quarter :] if point is None else point
        out = entry.new_empty(b, after, v, 4 * quarter)
        found = entry.new_empty(b, 4 * quarter, 2)
        taps = [kernel.squeeze(-1).permute(2, 1, 0).contiguous() for kernel in (narrow, wide)]  # (taps, in, out)
        call("temporal_forward", entry, *ctx.given, 1, entry, scale, shift, *taps, fourth, out, found, None, None, None, 0)
        ctx.save_for_backward(entry, point, weight, scale, shift, narrow, wide)
        ctx.normed = normed
        ctx.mark_non_differentiable(found)
        return out, found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        entry, point, weight, scale, shift, narrow, wide = ctx.saved_tensors
        size, b, frames, _, v, quarter, _, row, _ = ctx.given
        normed = ctx.normed
        d_entry = torch.empty_like(entry)
        d_point = None if point is None else torch.empty_like(point)
        turned = [kernel.squeeze(-1).permute(2, 0, 1).contiguous() for kernel in (narrow, wide)]  # (taps, out, in)
        d_taps = [entry.new_empty(5, quarter, quarter) for _ in turned]
        sums = entry.new_empty(b, 3 * quarter, 2)
        fourth = d_entry.view(-1)[3 * quarter :] if d_point is None else d_point
        call(
            "temporal_backward", entry, *ctx.given, gradients[0].contiguous(), entry, scale, shift, normed.mean, normed.inverse, *turned,
            d_entry, fourth, *d_taps, sums,
        )  # fmt: skip
        total, product = sums.double().sum(dim=0).unbind(dim=-1)
        by = _back_through_norm(total, product, normed, weight)
        call(
            "normalise_backward", entry, size, b, frames * v, 3 * quarter, d_entry, None, entry, by, row, d_entry, None, 0, None
        )
        d_narrow, d_wide = (taps.permute(2, 1, 0)[..., None] for taps in d_taps)
        return d_entry, d_point, product.to(weight), total.to(weight), None, d_narrow, d_wide, None


class _Normalise(Function):
    """relu(BatchNorm(x) + residual): x (B, T, V, C); residual likewise, with a BatchNorm of its own or none, or None."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, normed: Normed, residual: Tensor | None, residual_weight: Tensor | None,
        residual_bias: Tensor | None, residual_normed: Normed | None,
    ) -> Tensor:  # fmt: skip
        b, t, v, channels = x.shape
        size = vector(x.dtype, channels)
        assert size is not None
        scales = normed.scale_and_shift(weight, bias)
        others: tuple[Tensor | None, Tensor | None] = (None, None)
        if residual_normed is not None:
            assert residual_weight is not None and residual_bias is not None
            others = residual_normed.scale_and_shift(residual_weight, residual_bias)
        out = torch.empty_like(x)
        residual = None if residual is None else residual.contiguous()
        call("normalise_forward", x, size, b, t * v, channels, x, *scales, residual, *others, out)
        # The residual itself is wanted again only behind a BatchNorm.
        ctx.save_for_backward(x, out, weight, residual if residual_normed is not None else None, residual_weight)
        ctx.size, ctx.normed, ctx.residual_normed, ctx.has_residual = size, normed, residual_normed, residual is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        x, out, weight, residual, residual_weight = ctx.saved_tensors
        normed, other = ctx.normed, ctx.residual_normed
        b, t, v, channels = x.shape
        d_out = gradients[0].contiguous()
        sums = x.new_empty(b, channels, 3)
        centre, scale = (None, None) if other is None else (other.mean, other.inverse)
        call(
            "normalise_sums",
            x,
            ctx.size,
            b,
            t * v,
            channels,
            d_out,
            out,
            x,
            normed.mean,
            normed.inverse,
            residual,
            centre,
            scale,
            sums,
        )
        total, product, residual_product = sums.double().sum(dim=0).unbind(dim=-1)
        by = _back_through_norm(total, product, normed, weight)
        if other is not None:
            by = torch.cat([by, _back_through_norm(total, residual_product, other, residual_weight)])
        d_x, d_residual = torch.empty_like(x), torch.empty_like(x) if ctx.has_residual else None
        call(
            "normalise_backward", x, ctx.size, b, t * v, channels, d_out, out, x, by, channels, d_x, residual, int(other is not None),
            d_residual,
        )  # fmt: skip
        d_weight, d_bias = product.to(weight), total.to(weight)
        if other is None:
            return d_x, d_weight, d_bias, None, d_residual, None, None, None
        return d_x, d_weight, d_bias, None, d_residual, residual_product.to(weight), d_bias, None


class _Idle(Function):
    """A bias in front of a BatchNorm in training: it cannot matter, so it is not added, and its gradient is zero rather than none (weight
    decay still draws on it, as it would were it added)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *biases: Tensor) -> Tensor:
        ctx.sizes = [bias.shape for bias in biases]
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        return gradients[0], *(gradients[0].new_zeros(size) for size in ctx.sizes)


def collect(
    x: Tensor, value_weight: Tensor, value_bias: Tensor, relation: Tensor, weight: Tensor, bias: Tensor, adjacency: Tensor
) -> tuple[Tensor, Tensor]:
    """See `_Collect`."""
    y: tuple[Tensor, Tensor] = _Collect.apply(x, value_weight, value_bias, relation, weight, bias, adjacency)  # type: ignore[no-untyped-call]
    return y


def temporal(
    entry: Tensor, point: Tensor | None, norm: nn.BatchNorm2d, normed: Normed, narrow: Tensor, wide: Tensor, stride: int
) -> tuple[Tensor, Tensor]:
    """See `_Temporal`."""
    y: tuple[Tensor, Tensor] = _Temporal.apply(entry, point, norm.weight, norm.bias, normed, narrow, wide, stride)  # type: ignore[no-untyped-call]
    return y


def normalise(
    x: Tensor,
    norm: nn.BatchNorm2d,
    normed: Normed,
    residual: Tensor | None,
    residual_norm: nn.BatchNorm2d | None = None,
    residual_normed: Normed | None = None,
) -> Tensor:
    """See `_Normalise`."""
    weight, bias = (None, None) if residual_norm is None else (residual_norm.weight, residual_norm.bias)
    y: Tensor = _Normalise.apply(x, norm.weight, norm.bias, normed, residual, weight, bias, residual_normed)  # type: ignore[no-untyped-call]
    return y


def idle(x: Tensor, *biases: Tensor | None) -> Tensor:
    """x, and a gradient of zero for biases that were not added to it; see `_Idle`."""
    y: Tensor = _Idle.apply(x, *biases)  # type: ignore[no-untyped-call]
    return y
