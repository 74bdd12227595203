"""CTR-GCN (multi-scale) in rows: the same function as `ctr_gcn.CTRGCN`, by the kernels of `poseglot.models.kernels.rows`.

In training `train_in_rows` uses the encoder's own modules' parameters and updates their running statistics. At test time everything is
folded first (`PreparedRows`), and two kernels and two matrix products make a block. Shapes inside: (B, T, V, C), B = N * people.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseglot.models.encoders.temporal import MultiScaleTemporal
from poseglot.models.kernels import rows

if TYPE_CHECKING:
    from poseglot.models.encoders.backbone import Block
    from poseglot.models.encoders.ctr_gcn import CTRGCN, GraphUnit


def unusable(encoder: CTRGCN, x: Tensor) -> str | None:
    """Why these clips cannot be taken in rows, or None if they can."""
    if reason := rows.unusable(x, encoder):
        return reason
    for block in encoder.blocks:
        if not isinstance(block.temporal, MultiScaleTemporal):
            return "only multi-scale temporal modules have kernels"
        if rows.vector(x.dtype, block.temporal.quarter) is None:
            return f"a quarter of {4 * block.temporal.quarter} channels fills no vector"
    return None


def train_in_rows(encoder: CTRGCN, x: Tensor) -> Tensor:
    """Clips (N, M, T, V, C) -> joint features (N, people, T', V, F), with gradients and running statistics as in training."""
    y = _enter(encoder, x)
    for block in encoder.blocks:
        y = _block(block, y)  # type: ignore[arg-type]
    features: Tensor = y.unflatten(0, (-1, encoder.people))
    return features


def _enter(encoder: CTRGCN, x: Tensor) -> Tensor:
    return encoder.enter(x).permute(0, 2, 3, 1).contiguous()


def _block(block: Block, x: Tensor) -> Tensor:
    y = _graph(block.graph, x)  # type: ignore[arg-type]
    module = block.temporal
    assert isinstance(module, MultiScaleTemporal)
    entry_weight, point_weight, point = module.entry.weight.flatten(1), module.point.weight.flatten(1), None
    if module.stride == 1:
        entry = F.linear(y, torch.cat([entry_weight, point_weight]))
    else:
        entry, point = F.linear(y, entry_weight), F.linear(y[:, :: module.stride].contiguous(), point_weight)
    biases = [conv.bias for conv in (module.entry, module.narrow, module.wide, module.point)]
    entry = rows.idle(entry, *biases)
    normed = rows.batch_statistics(
        module.entry_norm, rows.moments(entry, 3 * module.quarter), entry.shape[1] * entry.shape[2], biases[0]
    )
    y, found = rows.temporal(entry, point, module.entry_norm, normed, module.narrow.weight, module.wide.weight, module.stride)
    assert biases[1] is not None and biases[2] is not None and biases[3] is not None
    left_out = torch.cat([biases[1], biases[2], torch.zeros_like(biases[1]), biases[3]])
    normed = rows.batch_statistics(module.exit_norm, found, y.shape[1] * y.shape[2], left_out)
    return rows.normalise(y, module.exit_norm, normed, *_shortcut(block.residual, x))


def _graph(unit: GraphUnit, x: Tensor) -> Tensor:
    relation = _relation(unit, x)
    weight = F.pad((unit.alpha * unit.project.weight).mT, (0, 0, 0, relation.shape[-1] - unit.reduced))
    y, found = rows.collect(
        x, unit.value.weight, unit.value.bias, relation, weight, unit.alpha * unit.project.bias, unit.adjacency
    )
    normed = rows.batch_statistics(unit.norm, found, y.shape[1] * y.shape[2])
    return rows.normalise(y, unit.norm, normed, *_shortcut(unit.residual, x))


def _relation(unit: GraphUnit, x: Tensor) -> Tensor:
    """tanh(theta_u - phi_v) of the mean over time: (B, S, V, V, R), R filled up with zeros to whole vectors."""
    size = rows.vector(x.dtype, unit.outgoing)
    assert size is not None
    lanes = size // x.dtype.itemsize
    more = -unit.reduced % lanes
    mean = x.mean(dim=1)

    def of(part: nn.Module) -> Tensor:  # (B, V, S, R)
        weight, bias = F.pad(part.weight, (0, 0, 0, more)), F.pad(part.bias, (0, more))  # type: ignore[arg-type]
        y: Tensor = F.linear(mean, weight.flatten(0, 1), bias.flatten()).unflatten(-1, bias.shape)
        return y

    theta, phi = of(unit.theta).transpose(1, 2).contiguous(), of(unit.phi).transpose(1, 2).contiguous()
    return torch.tanh(theta[:, :, :, None] - phi[:, :, None])


def _shortcut(module: nn.Module | None, x: Tensor) -> tuple[Tensor | None, nn.BatchNorm2d | None, rows.Normed | None]:
    """What is added: nothing, x itself, or a strided product with the BatchNorm behind it."""
    if module is None:
        return None, None, None
    if isinstance(module, nn.Identity):
        return x, None, None
    assert isinstance(module, nn.Sequential)
    conv, norm = module[0], module[1]
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    taken = x if conv.stride[0] == 1 else x[:, :: conv.stride[0]].contiguous()
    y = rows.idle(F.linear(taken, conv.weight.flatten(1)), conv.bias)
    normed = rows.batch_statistics(norm, rows.moments(y, y.shape[-1]), y.shape[1] * y.shape[2], conv.bias)
    return y, norm, normed
