"""CTR-GC's collecting on a GPU, in Triton: y[b, c, t, u] = sum_s sum_v topology[b, s, c, u, v] * value[b, s, c, t, v] with

    topology[b, s, c, u, v] = sum_r weight[s, c, r] * relation[b, s, r, u, v] + bias[s, c] + adjacency[s, u, v]

The topology has a V x V matrix for every clip, subset and channel; written out it is S * V / T times as large as the features themselves
(1.2 at NTU's size, 4.7 after the second stride), and backward needs it and its gradient again. Here each program makes the matrices of
its channel where it needs them, and neither is ever stored. Nothing is added up by atomics: every output has one program, so the
same call gives the same bits. Sums are in single precision, products in that of `precision`.

`topology.py` says when this is used; nobody else imports it, for Triton is not everywhere.
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
    """The (VP, VP) matrix of a clip, subset and channel; zero where there are no joints."""
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
    """Program (b * C + c, block of frames)."""
    b, c = tl.program_id(0) // C, tl.program_id(0) % C
    t, v = tl.program_id(1) * BT + tl.arange(0, BT)[:, None], tl.arange(0, VP)[None, :]
    inside = (t < T) & (v < V)
    total = tl.zeros((BT, VP), tl.float32)
    for s in range(S):
        made = _topology(relation, weight, bias, adjacency, b, s, c, C, V, VP, R, S)
        given = tl.load(value + (((b * S + s) * C + c) * T + t) * V + v, mask=inside, other=0.0).to(tl.float32)
        total += tl.dot(given, tl.trans(made), input_precision=PRECISION)
    tl.store(y + ((b * C + c) * T + t) * V + v, total, mask=inside)


@triton.jit
def back_values_kernel(
    relation, weight, bias, adjacency, value, d_y, d_value, d_weight, d_bias, C, T,
    V: tl.constexpr, VP: tl.constexpr, R: tl.constexpr, S: tl.constexpr, BT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Program (b * C + c, s): what belongs to one clip, subset and channel. d_weight (B, S, C, R) and d_bias (B, S, C) are summed later."""
    b, c, s = tl.program_id(0) // C, tl.program_id(0) % C, tl.program_id(1)
    made = _topology(relation, weight, bias, adjacency, b, s, c, C, V, VP, R, S)
    v = tl.arange(0, VP)[None, :]
    d_made = tl.zeros((VP, VP), tl.float32)
    for start in range(0, T, BT):
        t = start + tl.arange(0, BT)[:, None]
        inside = (t < T) & (v < V)
        place = (((b * S + s) * C + c) * T + t) * V + v
        asked = tl.load(d_y + ((b * C + c) * T + t) * V + v, mask=inside, other=0.0).to(tl.float32)
        given = tl.load(value + place, mask=inside, other=0.0).to(tl.float32)
        tl.store(d_value + place, tl.dot(asked, made, input_precision=PRECISION), mask=inside)
        d_made += tl.dot(tl.trans(asked), given, input_precision=PRECISION)
    where = (b * S + s) * C + c
    tl.store(d_bias + where, tl.sum(tl.sum(d_made, axis=1), axis=0))
    u = tl.arange(0, VP)[:, None]
    square = (u < V) & (v < V)
    for r in range(R):
        related = tl.load(relation + ((b * S + s) * R + r) * V * V + u * V + v, mask=square, other=0.0).to(tl.float32)
        tl.store(d_weight + where * R + r, tl.sum(tl.sum(d_made * related, axis=1), axis=0))


@triton.jit
def back_relation_kernel(
    weight, value, d_y, d_relation, d_adjacency, C, T,
    V: tl.constexpr, VP: tl.constexpr, R: tl.constexpr, RP: tl.constexpr, S: tl.constexpr, BC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Program (b * S + s, u): a row of all channels' matrices, for what they share. d_adjacency (B, S, V, V) is summed later."""
    b, s, u = tl.program_id(0) // S, tl.program_id(0) % S, tl.program_id(1)
    v, r = tl.arange(0, VP)[None, :], tl.arange(0, RP)[:, None]
    related, shared = tl.zeros((RP, VP), tl.float32), tl.zeros((VP,), tl.float32)
    for start in range(0, C, BC):
        c = start + tl.arange(0, BC)
        row = tl.zeros((BC, VP), tl.float32)
        for t in range(T):
            asked = tl.load(d_y + ((b * C + c) * T + t) * V + u, mask=c < C, other=0.0).to(tl.float32)
            place = (((b * S + s) * C + c[:, None]) * T + t) * V + v
            row += asked[:, None] * tl.load(value + place, mask=(c[:, None] < C) & (v < V), other=0.0).to(tl.float32)
        shared += tl.sum(row, axis=0)
        weights = tl.load(weight + (s * C + c[None, :]) * R + r, mask=(r < R) & (c[None, :] < C), other=0.0).to(tl.float32)
        related += tl.dot(weights, row, input_precision=PRECISION)
    tl.store(d_relation + (((b * S + s) * R + r) * V + u) * V + v, related, mask=(r < R) & (v < V))
    line = tl.arange(0, VP)
    tl.store(d_adjacency + ((b * S + s) * V + u) * V + line, shared, mask=line < V)


class _Collect(Function):
    """relation (B, S, R, V * V), weight (S, C, R), bias (S, C), adjacency (S, V, V), value (B, S, C, T, V) -> y (B, C, T, V)."""

    @staticmethod
    def forward(
        ctx: Any, relation: Tensor, weight: Tensor, bias: Tensor, adjacency: Tensor, value: Tensor, precision: str
    ) -> Tensor:
        relation, weight, bias, adjacency, value = (each.contiguous() for each in (relation, weight, bias, adjacency, value))
        b, _, channels, frames, joints = value.shape
        y = value.new_empty(b, channels, frames, joints)
        forward_kernel[(b * channels, triton.cdiv(frames, _BLOCK_T))](
            relation,
            weight,
            bias,
            adjacency,
            value,
            y,
            channels,
            frames,
            **_sizes(value, weight),
            BT=_BLOCK_T,
            PRECISION=precision,
        )
        ctx.save_for_backward(relation, weight, bias, adjacency, value)
        ctx.precision = precision
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        relation, weight, bias, adjacency, value = ctx.saved_tensors
        d_y = gradients[0].contiguous()
        b, subsets, channels, frames, joints = value.shape
        sizes = _sizes(value, weight)
        d_value, d_relation = torch.empty_like(value), torch.empty_like(relation)
        d_weight = value.new_empty(b, *weight.shape, dtype=torch.float32)
        d_bias = value.new_empty(b, *bias.shape, dtype=torch.float32)
        d_adjacency = value.new_empty(b, *adjacency.shape, dtype=torch.float32)
        back_values_kernel[(b * channels, subsets)](
            relation, weight, bias, adjacency, value, d_y, d_value, d_weight, d_bias, channels, frames, **sizes, BT=_BLOCK_T,
            PRECISION=ctx.precision,
        )  # fmt: skip
        back_relation_kernel[(b * subsets, joints)](
            weight, value, d_y, d_relation, d_adjacency, channels, frames, **sizes,
            RP=max(16, triton.next_power_of_2(sizes["R"])), BC=_BLOCK_C, PRECISION=ctx.precision,
        )  # fmt: skip
        summed = (part.sum(dim=0).to(like) for part, like in ((d_weight, weight), (d_bias, bias), (d_adjacency, adjacency)))
        return d_relation, *summed, d_value, None


def _sizes(value: Tensor, weight: Tensor) -> dict[str, int]:
    joints = value.shape[-1]
    return {"V": joints, "VP": max(16, triton.next_power_of_2(joints)), "R": weight.shape[-1], "S": value.shape[1]}


def collect(relation: Tensor, weight: Tensor, bias: Tensor, adjacency: Tensor, value: Tensor, *, precision: str) -> Tensor:
    """See `_Collect`. precision: `ieee` or `tf32`, of single-precision products."""
    y: Tensor = _Collect.apply(relation, weight, bias, adjacency, value, precision)
    return y
