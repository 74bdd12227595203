"""CTR-GC's aggregation on a GPU, in Triton. The formula is in `topology.aggregate`.

There is a V x V topology for every clip, subset and channel. Stored, they would be S * V / T times as large as the features (1.2 times at
NTU's size, 4.7 after the second stride), and the backward pass would read them and write their gradient. Here each program computes the
matrices of its channel where it needs them. There are no atomics: one program writes each output, so that the same call gives the same
bits. Sums are in single precision, products in that of `precision`.

Only `topology.py` imports this module, because Triton is not available everywhere.
"""

# ruff: noqa: N803 (Triton's sizes are capitals, as in the formula)
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

_BLOCK_T = 16
_BLOCK_C = 16


@triton.jit
def _topology(
    relation, weight, bias, adjacency, b, s, c, C, V: tl.constexpr, VP: tl.constexpr, R: tl.constexpr, S: tl.constexpr
):
    """Compute the (VP, VP) topology of a clip, subset and channel; zero where there are no joints."""
    u, v = tl.arange(0, VP)[:, None], tl.arange(0, VP)[None, :]
    inside = (u < V) & (v < V)
    place = u * V + v
    made = tl.load(adjacency + s * V * V + place, mask=inside, other=0.0).to(tl.float32) + tl.load(bias + s * C + c).to(
        tl.float32
    )
    for r in range(R):
        related = tl.load(relation + ((b * S + s) * R + r) * V * V + place, mask=inside, other=0.0).to(tl.float32)
        made += tl.load(weight + (s * C + c) * R + r).to(tl.float32) * related
    return tl.where(inside, made, 0.0)


@triton.jit
def forward_kernel(
    relation, weight, bias, adjacency, value, y, C, T,
    V: tl.constexpr, VP: tl.constexpr, R: tl.constexpr, S: tl.constexpr, BT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute y for the program (b * C + c, block of frames)."""
    bc = tl.program_id(0)
    v, t = tl.arange(0, VP)[:, None], tl.program_id(1) * BT + tl.arange(0, BT)[None, :]
    inside = (v < V) & (t < T)
    total = tl.zeros((VP, BT), tl.float32)
    for s in range(S):
        made = _topology(relation, weight, bias, adjacency, bc // C, s, bc % C, C, V, VP, R, S)
        given = tl.load(value + ((bc * S + s) * V + v) * T + t, mask=inside, other=0.0).to(tl.float32)
        total += tl.dot(made, given, input_precision=PRECISION)
    tl.store(y + (bc * V + v) * T + t, total, mask=inside)


@triton.jit
def back_values_kernel(
    relation, weight, bias, adjacency, value, d_y, d_value, d_weight, d_bias, C, T,
    V: tl.constexpr, VP: tl.constexpr, R: tl.constexpr, S: tl.constexpr, BT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute the gradients of one clip, subset and channel: program (b * C + c, s). d_weight (B, S, C, R), d_bias (B, S, C): per clip."""
    bc, s = tl.program_id(0), tl.program_id(1)
    b, c = bc // C, bc % C
    made = _topology(relation, weight, bias, adjacency, b, s, c, C, V, VP, R, S)
    u, v = tl.arange(0, VP)[:, None], tl.arange(0, VP)[None, :]
    d_made = tl.zeros((VP, VP), tl.float32)
    for start in range(0, T, BT):
        t = start + tl.arange(0, BT)[None, :]
        inside = (u < V) & (t < T)
        place = ((bc * S + s) * V + u) * T + t
        asked = tl.load(d_y + (bc * V + u) * T + t, mask=inside, other=0.0).to(tl.float32)
        given = tl.load(value + place, mask=inside, other=0.0).to(tl.float32)
        tl.store(d_value + place, tl.dot(tl.trans(made), asked, input_precision=PRECISION), mask=inside)
        d_made += tl.dot(asked, tl.trans(given), input_precision=PRECISION)
    where = (b * S + s) * C + c
    tl.store(d_bias + where, tl.sum(tl.sum(d_made, axis=1), axis=0))
    square = (u < V) & (v < V)
    for r in range(R):
        related = tl.load(relation + ((b * S + s) * R + r) * V * V + u * V + v, mask=square, other=0.0).to(tl.float32)
        tl.store(d_weight + where * R + r, tl.sum(tl.sum(d_made * related, axis=1), axis=0))


@triton.jit
def back_relation_kernel(
    weight, value, d_y, d_relation, d_adjacency, C, T,
    V: tl.constexpr, VP: tl.constexpr, R: tl.constexpr, RP: tl.constexpr, S: tl.constexpr, BC: tl.constexpr, BT: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute row u of the gradient that all channels' topologies share: program (b * S + s, u). d_adjacency (B, S, V, V): per clip."""
    b, s, u = tl.program_id(0) // S, tl.program_id(0) % S, tl.program_id(1)
    v, r = tl.arange(0, VP)[None, :], tl.arange(0, RP)[:, None]
    related, shared = tl.zeros((RP, VP), tl.float32), tl.zeros((VP,), tl.float32)
    for start in range(0, C, BC):
        c = start + tl.arange(0, BC)
        row = tl.zeros((BC, VP), tl.float32)
        for first in range(0, T, BT):
            t = first + tl.arange(0, BT)
            inside = (c[:, None] < C) & (t[None, :] < T)
            asked = tl.load(d_y + ((b * C + c[:, None]) * V + u) * T + t[None, :], mask=inside, other=0.0).to(tl.float32)
            place = (((b * C + c[:, None, None]) * S + s) * V + v[:, :, None]) * T + t[None, None, :]
            given = tl.load(value + place, mask=inside[:, None, :] & (v[:, :, None] < V), other=0.0).to(tl.float32)
            row += tl.sum(asked[:, None, :] * given, axis=2)
        shared += tl.sum(row, axis=0)
        weights = tl.load(weight + (s * C + c[None, :]) * R + r, mask=(r < R) & (c[None, :] < C), other=0.0).to(tl.float32)
        related += tl.dot(weights, row, input_precision=PRECISION)
    tl.store(d_relation + (((b * S + s) * R + r) * V + u) * V + v, related, mask=(r < R) & (v < V))
    line = tl.arange(0, VP)
    tl.store(d_adjacency + ((b * S + s) * V + u) * V + line, shared, mask=line < V)


class _Aggregate(Function):
    """`topology.aggregate` with its gradient."""

    @staticmethod
    def forward(
        ctx: Any, relation: Tensor, weight: Tensor, bias: Tensor, adjacency: Tensor, value: Tensor, precision: str
    ) -> Tensor:
        relation, weight, bias, adjacency, value = (each.contiguous() for each in (relation, weight, bias, adjacency, value))
        b, channels, _, joints, frames = value.shape
        y = value.new_empty(b, channels, joints, frames)
        forward_kernel[(b * channels, triton.cdiv(frames, _BLOCK_T))](
            relation, weight, bias, adjacency, value, y, channels, frames, **_sizes(value, weight), BT=_BLOCK_T, PRECISION=precision
        )  # fmt: skip
        ctx.save_for_backward(relation, weight, bias, adjacency, value)
        ctx.precision = precision
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        relation, weight, bias, adjacency, value = ctx.saved_tensors
        d_y = gradients[0].contiguous()
        b, channels, subsets, joints, frames = value.shape
        sizes = _sizes(value, weight)
        d_value, d_relation = torch.empty_like(value), torch.empty_like(relation)
        d_weight, d_bias, d_adjacency = (
            value.new_empty(b, *each.shape, dtype=torch.float32) for each in (weight, bias, adjacency)
        )
        back_values_kernel[(b * channels, subsets)](
            relation, weight, bias, adjacency, value, d_y, d_value, d_weight, d_bias, channels, frames, **sizes, BT=_BLOCK_T,
            PRECISION=ctx.precision,
        )  # fmt: skip
        back_relation_kernel[(b * subsets, joints)](
            weight, value, d_y, d_relation, d_adjacency, channels, frames, **sizes,
            RP=max(16, triton.next_power_of_2(sizes["R"])), BC=_BLOCK_C, BT=_BLOCK_T, PRECISION=ctx.precision,
        )  # fmt: skip
        summed = (part.sum(dim=0).to(like) for part, like in ((d_weight, weight), (d_bias, bias), (d_adjacency, adjacency)))
        return d_relation, *summed, d_value, None


def _sizes(value: Tensor, weight: Tensor) -> dict[str, int]:
    joints = value.shape[3]
    return {"V": joints, "VP": max(16, triton.next_power_of_2(joints)), "R": weight.shape[-1], "S": value.shape[2]}


def aggregate(relation: Tensor, weight: Tensor, bias: Tensor, adjacency: Tensor, value: Tensor, *, precision: str) -> Tensor:
    """Return `topology.aggregate` with single-precision products in `precision`: `ieee` or `tf32`."""
    y: Tensor = _Aggregate.apply(relation, weight, bias, adjacency, value, precision)
    return y
