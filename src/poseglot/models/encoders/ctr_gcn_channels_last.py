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
        if block.temporal.causal or block.graph.refresh is not None:  # type: ignore[union-attr]
            return "causal encoders have no kernels"
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


# Bytes of features that go through the blocks together: some of them fit a processor's last cache.
_BETWEEN_BLOCKS = 2**21


class PreparedRows:
    """The encoder at test time: every BatchNorm folded, every weight laid out as the kernels read it.

    Args:
        encoder: what to prepare; later changes to its weights are not seen.
        dtype: of the clips that will come.
    """

    def __init__(self, encoder: CTRGCN, dtype: torch.dtype) -> None:
        self.people = encoder.people
        self.enter = encoder.enter
        with torch.no_grad():
            self.blocks = [_PreparedBlock(block, dtype) for block in encoder.blocks]  # type: ignore[arg-type]

    def __call__(self, x: Tensor) -> Tensor:
        """Clips (N, M, T, V, C) -> joint features (N, people, T', V, F)."""
        with torch.no_grad():
            y = self.enter(x).permute(0, 2, 3, 1).contiguous()
            # A few at a time through all blocks: what lies between two blocks stays in the cache, and no memory is asked for anew.
            _, frames, joints, _ = y.shape
            size = frames * joints * self.blocks[0].channels * y.element_size()
            some = max(torch.get_num_threads(), _BETWEEN_BLOCKS // size)
            features: Tensor = torch.cat([self._through(part) for part in y.split(some)]).unflatten(0, (-1, self.people))
        return features

    def _through(self, y: Tensor) -> Tensor:
        for block in self.blocks:
            y = block(y)
        return y


class _PreparedBlock:
    """(B, T, V, C_in) -> (B, T', V, C_out)."""

    def __init__(self, block: Block, dtype: torch.dtype) -> None:
        unit, module = block.graph, block.temporal
        assert isinstance(module, MultiScaleTemporal)
        self.graph = _PreparedGraph(unit, dtype)  # type: ignore[arg-type]
        self.stride, self.quarter, self.channels = module.stride, module.quarter, 4 * module.quarter
        self.size = _vector(dtype, self.quarter)
        self.entry, self.point = module.entry.weight.flatten(1), module.point.weight.flatten(1)
        if self.stride == 1:
            self.entry = torch.cat([self.entry, self.point])
        entry_scale, entry_shift = _scale_and_shift(module.entry_norm)
        self.before = _cast(dtype, entry_scale, entry_shift + entry_scale * module.entry.bias.double())  # type: ignore[union-attr]
        self.taps = [conv.weight.squeeze(-1).permute(2, 1, 0).contiguous() for conv in (module.narrow, module.wide)]
        exit_scale, exit_shift = _scale_and_shift(module.exit_norm)
        left_out = [conv.bias.double() for conv in (module.narrow, module.wide, module.point)]  # type: ignore[union-attr]
        left_out.insert(2, torch.zeros_like(left_out[0]))
        self.after = _cast(dtype, exit_scale, exit_shift + exit_scale * torch.cat(left_out))
        self.residual = _PreparedShortcut(block.residual, dtype) if block.residual is not None else None

    def __call__(self, x: Tensor) -> Tensor:
        residual = None if self.residual is None else self.residual(x)
        y = self.graph(x)
        b, frames, v, channels = y.shape
        entry = F.linear(y, self.entry)
        if self.stride == 1:
            after, point, point_stride = frames, entry.view(-1)[3 * self.quarter :], channels
        else:
            taken = y[:, :: self.stride].contiguous()
            after, point, point_stride = taken.shape[1], F.linear(taken, self.point), self.quarter
        out = y.new_empty(b, after, v, channels)
        # Where there are fewer clips than threads, a clip's frames are shared among them.
        parts = -(-torch.get_num_threads() // b)
        rows.call(
            "temporal_forward", y, self.size, b, frames, after, v, self.quarter, self.stride, entry.shape[-1], point_stride, parts,
            entry, *self.before, *self.taps, point, out, None, *self.after, residual, channels,
        )  # fmt: skip
        return out


class _PreparedGraph:
    """(B, T, V, C_in) -> (B, T, V, C_out)."""

    def __init__(self, unit: GraphUnit, dtype: torch.dtype) -> None:
        self.size = _vector(dtype, unit.outgoing)
        lanes = self.size // dtype.itemsize
        more = -unit.reduced % lanes
        self.channels, self.subsets = unit.outgoing, len(unit.adjacency)
        self.theta_phi = torch.cat([F.pad(part.weight, (0, 0, 0, more)).flatten(0, 1) for part in (unit.theta, unit.phi)])
        self.theta_phi_bias = torch.cat([F.pad(part.bias, (0, more)).flatten() for part in (unit.theta, unit.phi)])
        self.weight = F.pad((unit.alpha * unit.project.weight).mT, (0, 0, 0, more)).contiguous()
        self.bias = (unit.alpha * unit.project.bias).contiguous()
        self.adjacency = unit.adjacency.detach().contiguous()
        scale, shift = _scale_and_shift(unit.norm)
        weight, bias = _cast(dtype, scale[:, None] * unit.value.weight.double(), scale * unit.value.bias.double())
        self.panels = rows.ValuePanels.of(weight, bias, self.size)
        (self.shift,) = _cast(dtype, shift)
        self.residual = _PreparedShortcut(unit.residual, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        b, frames, v, _ = x.shape
        related = F.linear(x.mean(dim=1), self.theta_phi, self.theta_phi_bias).view(b, v, 2, self.subsets, -1)
        theta, phi = related.permute(2, 0, 3, 1, 4).contiguous()  # (B, S, V, R) each
        relation = torch.tanh_(theta[:, :, :, None] - phi[:, :, None])
        residual = self.residual(x)
        filled = rows.fill(x, self.panels.weight.shape[1])
        y = x.new_empty(b, frames, v, self.channels)
        rows.call(
            "collect_forward", x, self.size, *self.panels.sizes(filled), relation.shape[-1], filled, self.panels.weight,
            self.panels.bias, relation, self.weight, self.bias, self.adjacency, y, None, None, self.shift, residual, self.channels,
        )  # fmt: skip
        return y


class _PreparedShortcut:
    """x itself, or the strided product that stands beside a unit, BatchNorm in it: (B, T, V, C_in) -> (B, T', V, C_out)."""

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        self.weight: Tensor | None = None
        if isinstance(module, nn.Sequential):
            conv, norm = module[0], module[1]
            assert isinstance(conv, nn.Conv2d) and conv.bias is not None
            scale, shift = _scale_and_shift(norm)
            self.stride = conv.stride[0]
            self.weight, self.bias = _cast(
                dtype, scale[:, None] * conv.weight.double().flatten(1), shift + scale * conv.bias.double()
            )

    def __call__(self, x: Tensor) -> Tensor:
        if self.weight is None:
            return x
        return F.linear(x if self.stride == 1 else x[:, :: self.stride].contiguous(), self.weight, self.bias)


def _scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """What a BatchNorm does at test time, in double precision."""
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight.double() * (norm.running_var.double() + norm.eps).rsqrt()
    return scale, norm.bias.double() - norm.running_mean.double() * scale


def _cast(dtype: torch.dtype, *tensors: Tensor) -> list[Tensor]:
    return [tensor.to(dtype).contiguous() for tensor in tensors]


def _vector(dtype: torch.dtype, channels: int) -> int:
    size = rows.vector(dtype, channels)
    assert size is not None
    return size
