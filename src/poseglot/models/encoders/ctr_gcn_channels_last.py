"""Multi-scale CTR-GCN in channels-last order (B, T, V, C), by the CPU kernels of `poseglot.kernels.channels_last`.

One form serves training and inference: the encoder's parameters, laid out as the kernels read them, and two kernels and two or three
matrix products for each block. In training it is made for every step, gradients pass through the layout to the parameters, and BatchNorms
take the statistics of the batch. In evaluation BatchNorms are known beforehand; it may then be made once (`CTRGCN.prepare`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseglot.kernels import channels_last as kernels
from poseglot.kernels.channels_last import Affine, BatchNorm, Norm, Residual
from poseglot.models.encoders.backbone import Backbone, Block, Shortcut
from poseglot.models.encoders.ctr_gc import RefinedGraph, StackedConv
from poseglot.models.encoders.folding import scale_and_shift
from poseglot.models.encoders.temporal import MultiScaleTemporal

# Bytes of features that go through all blocks together in evaluation: they fit the last cache of a processor.
_CHUNK_BYTES = 2**21


def unsupported_reason(encoder: Backbone, x: Tensor) -> str | None:
    """Return why an encoder cannot take clips like `x` in the kernels, or None if it can."""
    if reason := kernels.unsupported_reason(x, encoder):
        return reason
    for block in encoder.blocks:
        if type(block) is not Block or type(block.graph) is not RefinedGraph or type(block.temporal) is not MultiScaleTemporal:
            return "only CTR-GC and multi-scale temporal modules have kernels"
        if block.temporal.causal or block.graph.topology_interval is not None:
            return "causal encoders have no kernels"
        if not isinstance(block.graph.norm, nn.BatchNorm2d):
            return "the BatchNorms are folded"
        if kernels.vector_bytes(x.dtype, block.temporal.quarter) is None:
            return f"a quarter of {4 * block.temporal.quarter} channels fills no vector"
    return None


class ChannelsLast:
    """The encoder: clips (N, M, T, V, C) -> joint features (N, num_persons, T', V, F).

    Args:
        encoder: its mode is kept. In evaluation mode later changes of its weights are not seen.
    """

    def __init__(self, encoder: Backbone) -> None:
        self.enter, self.num_persons, self.training = encoder.enter, encoder.num_persons, encoder.training
        self.dtype = encoder.input_norm.weight.dtype
        with torch.set_grad_enabled(encoder.training and torch.is_grad_enabled()):
            self.blocks = [_Block(block) for block in encoder.blocks if isinstance(block, Block)]

    def __call__(self, x: Tensor) -> Tensor:
        with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
            y = self.enter(x).permute(0, 3, 2, 1).contiguous()
            if self.training:
                features = self._through(y)
            else:
                # A few clips at a time through all blocks: the features between two blocks stay in the cache.
                size = y[0, ..., :1].numel() * self.blocks[0].graph.channels * y.element_size()
                some = max(torch.get_num_threads(), _CHUNK_BYTES // size)
                features = torch.cat([self._through(part) for part in y.split(some)])
            joints: Tensor = features.unflatten(0, (-1, self.num_persons))
            return joints

    def _through(self, y: Tensor) -> Tensor:
        for block in self.blocks:
            y = block(y)
        return y


class _Block:
    """One block: (B, T, V, C_in) -> (B, T', V, C_out)."""

    def __init__(self, block: Block) -> None:
        unit, module = block.graph, block.temporal
        assert isinstance(unit, RefinedGraph) and isinstance(module, MultiScaleTemporal)
        self.graph, self.stride = _Graph(unit), module.stride
        self.entry, self.point = module.entry.weight.flatten(1), module.point.weight.flatten(1)
        if self.stride == 1:  # one product for all four branches
            self.entry = torch.cat([self.entry, self.point])
        self.taps = kernels.pack_taps(module.narrow.weight), kernels.pack_taps(module.wide.weight)
        biases = [conv.bias for conv in (module.entry, module.narrow, module.wide, module.point)]
        narrow, wide, point = (bias for bias in biases[1:] if bias is not None)
        self.biases = biases
        self.entry_norm = _norm(module.entry_norm, biases[0])
        self.norm = _norm(module.exit_norm, torch.cat([narrow, wide, torch.zeros_like(narrow), point]))
        self.residual = _Residual(block.residual)

    def __call__(self, x: Tensor) -> Tensor:
        residual = self.residual(x)
        y = self.graph(x)
        entry = kernels.zero_gradient(F.linear(y, self.entry), *self.biases)
        point = None if self.stride == 1 else F.linear(y[:, :: self.stride].contiguous(), self.point)
        return kernels.temporal(entry, point, self.taps, self.stride, self.entry_norm, self.norm, residual)


class _Graph:
    """A graph unit: (B, T, V, C_in) -> (B, T, V, C_out)."""

    def __init__(self, unit: RefinedGraph) -> None:
        self.channels, self.subsets = unit.out_channels, len(unit.adjacency)
        size = kernels.vector_bytes(unit.alpha.dtype, unit.out_channels)
        assert size is not None
        more = -unit.reduced % (size // unit.alpha.itemsize)  # relations fill whole vectors
        pair = (unit.theta, unit.phi)
        self.relate = torch.cat([F.pad(part.weight, (0, 0, 0, more)).flatten(0, 1) for part in pair])
        self.relate_bias = torch.cat([F.pad(part.bias, (0, more)).flatten() for part in pair])
        assert isinstance(unit.value, StackedConv)
        self.values = kernels.pack_values(unit.value.weight, unit.value.bias)
        self.weight = F.pad((unit.alpha * unit.project.weight).mT, (0, 0, 0, more)).contiguous()
        self.bias, self.adjacency = (unit.alpha * unit.project.bias).contiguous(), unit.adjacency.contiguous()
        self.norm, self.residual = _norm(unit.norm), _Residual(unit.residual)

    def __call__(self, x: Tensor) -> Tensor:
        related = F.linear(x.mean(dim=1), self.relate, self.relate_bias).unflatten(-1, (2, self.subsets, -1))
        theta, phi = related.permute(2, 0, 3, 1, 4).contiguous()  # (B, S, V, R) each
        relation = (theta[:, :, :, None] - phi[:, :, None]).tanh_()
        return kernels.aggregate(x, self.values, relation, self.weight, self.bias, self.adjacency, self.norm, self.residual(x))


class _Residual:
    """What is added to a unit: nothing, its input, or a strided product and BatchNorm."""

    def __init__(self, module: nn.Module | None) -> None:
        self.is_there, self.weight = module is not None, None
        if isinstance(module, Shortcut):
            conv = module[0]
            assert isinstance(conv, nn.Conv2d)
            self.weight, self.bias, self.stride = conv.weight.flatten(1), conv.bias, conv.stride[1]
            self.norm = _norm(module[1], conv.bias)

    def __call__(self, x: Tensor) -> Residual | None:
        if not self.is_there:
            return None
        if self.weight is None:
            return Residual(x)
        taken = x if self.stride == 1 else x[:, :: self.stride].contiguous()
        return Residual(kernels.zero_gradient(F.linear(taken, self.weight), self.bias), self.norm)


def _norm(norm: nn.Module, bias: Tensor | None = None) -> Norm:
    """Return a BatchNorm for the kernels; `bias` is that of the convolution in front, which is not added."""
    assert isinstance(norm, nn.BatchNorm2d)
    if norm.training:
        return BatchNorm(norm, bias)
    scale, shift = scale_and_shift(norm, bias)
    return Affine(scale.to(norm.weight).contiguous(), shift.to(norm.weight).contiguous())
