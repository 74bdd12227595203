"""A recognizer as it runs once training is over: the same answers from fewer operations.

    freeze(recognizer), prepare(recognizer): clips (N, M, T, V, C) -> logits (N, classes)

Both also give `joint_features`, (N, V, F), for those who want more than logits: the mean over joints, classified, is the logits.

No heads, no BatchNorm, no parameter: every BatchNorm is folded into the convolution before it, the input's and the graph's topology
factors likewise, in double precision. Inside, a person's features are (B, C, V, T), joints before time, so that the three subsets of a
graph convolution are *one* matrix product over K = 3 V: a value convolution whose output channels are ordered (channel, subset) writes
(B, C * 3, V, T), which without moving anything is (B, C, 3 V, T). This form is what is exported, and what the predictor runs where the
encoder has no kernels of its own (`prepare`).

An encoder whose blocks are not made of the units of this package is kept as it is, in evaluation mode.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseglot.errors import PoseglotError
from poseglot.models.encoders import ctr_baseline, ctr_gcn, ctr_gcn_rows, st_gcn
from poseglot.models.encoders.backbone import SUBSETS, Backbone, Block
from poseglot.models.encoders.temporal import MultiScaleTemporal, SingleScaleTemporal
from poseglot.models.recognizer import Recognizer, RecognizerSpec
from poseglot.skeletons.layout import Layout


def freeze(recognizer: Recognizer) -> FrozenRecognizer:
    """The frozen form of a recognizer, of its dtype and on its device. Nothing is shared with it."""
    return FrozenRecognizer(recognizer)


def prepare(recognizer: Recognizer) -> FrozenRecognizer | RowsRecognizer:
    """What answers fastest where the recognizer is: its encoder in rows if that can be (see `ctr_gcn_rows`), else the frozen form.

    Later changes to its weights are not seen.
    """
    encoder, classifier = recognizer.encoder, recognizer.classifier
    if isinstance(encoder, ctr_gcn.CTRGCN):
        encoder.eval()
        with torch.no_grad():
            if ctr_gcn_rows.unusable(encoder, classifier.weight.detach()) is None:
                return RowsRecognizer(recognizer)
    return freeze(recognizer)


class RowsRecognizer:
    """Clips -> logits by the kernels of `ctr_gcn_rows`."""

    def __init__(self, recognizer: Recognizer) -> None:
        assert isinstance(recognizer.encoder, ctr_gcn.CTRGCN)
        self.transform = recognizer.input_transform
        self.encoder = ctr_gcn_rows.PreparedRows(recognizer.encoder, recognizer.classifier.weight.dtype)
        self.classifier, self.bias = (each.detach().clone() for each in recognizer.classifier.parameters())

    def __call__(self, x: Tensor) -> Tensor:
        return self.classify(self._encode(x).mean(dim=(1, 2, 3)))

    def joint_features(self, x: Tensor) -> Tensor:
        """Clips (N, M, T, V, C) -> (N, V, F), the mean over people and frames."""
        return self._encode(x).mean(dim=(1, 2))

    def classify(self, features: Tensor) -> Tensor:
        """Mean features (N, F) -> logits (N, classes)."""
        return F.linear(features, self.classifier, self.bias)

    def _encode(self, x: Tensor) -> Tensor:
        if self.transform is not None:
            x = self.transform.to(x.dtype) @ x
        return self.encoder(x)


class FrozenRecognizer(nn.Module):
    """Clips (N, M, T, V, C), M up to the spec's people -> logits (N, classes). For inference only.

    Args:
        recognizer: what to freeze. Its mode does not matter: the frozen form is that of evaluation.
    """

    def __init__(self, recognizer: Recognizer) -> None:
        super().__init__()
        self.layout: Layout = recognizer.layout
        self.spec: RecognizerSpec = replace(recognizer.spec, levels=None, text_width=0)
        self.encoder: FrozenBackbone | KeptEncoder
        if isinstance(recognizer.encoder, Backbone) and _is_known(recognizer.encoder):
            self.encoder = FrozenBackbone(recognizer.encoder, recognizer.input_transform)
        else:
            self.encoder = KeptEncoder(recognizer.encoder, recognizer.input_transform)
        like = recognizer.classifier.weight
        _register(self, {"classifier": like, "classifier_bias": recognizer.classifier.bias}, like)
        self.classifier: Tensor
        self.classifier_bias: Tensor
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.encoder(x))

    def joint_features(self, x: Tensor) -> Tensor:
        """Clips (N, M, T, V, C) -> (N, V, F), the mean over people and frames."""
        return self.encoder.joint_features(x)

    def classify(self, features: Tensor) -> Tensor:
        """Mean features (N, F) -> logits (N, classes)."""
        return F.linear(features, self.classifier, self.classifier_bias)


class KeptEncoder(nn.Module):
    """An encoder that we do not know how to fold: (N, M, T, V, C) -> mean features (N, F)."""

    def __init__(self, encoder: nn.Module, transform: Tensor | None) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(encoder)
        self.register_buffer("transform", None if transform is None else transform.clone())
        self.transform: Tensor | None

    def forward(self, x: Tensor) -> Tensor:
        return self._encode(x).mean(dim=(1, 2, 3))

    def joint_features(self, x: Tensor) -> Tensor:
        return self._encode(x).mean(dim=(1, 2))

    def _encode(self, x: Tensor) -> Tensor:
        if self.transform is not None:
            x = self.transform.to(x.dtype) @ x
        y: Tensor = self.encoder(x)
        return y


class FrozenBackbone(nn.Module):
    """(N, M, T, V, C) -> mean features (N, F)."""

    def __init__(self, encoder: Backbone, transform: Tensor | None) -> None:
        super().__init__()
        self.people, self.joints, self.channels = encoder.people, encoder.joints, encoder.channels
        scale, shift = (
            each.view(self.people, self.joints, self.channels).transpose(1, 2)[..., None]
            for each in scale_and_shift(encoder.input_norm)
        )
        if transform is not None:
            scale = scale * transform.double()
        like = encoder.input_norm.weight
        # (people, C, V, 1), or with an input transform the matrices (people, C, V, V).
        _register(self, {"input_scale": scale, "input_shift": shift}, like)
        self.input_scale: Tensor
        self.input_shift: Tensor
        self.blocks = nn.ModuleList(FrozenBlock(block, like) for block in encoder.blocks if isinstance(block, Block))

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self._encode(x).mean(dim=(2, 3)).unflatten(0, (-1, self.people))
        return pooled.mean(dim=1)

    def joint_features(self, x: Tensor) -> Tensor:
        """(N, M, T, V, C) -> (N, V, F), the mean over people and frames."""
        pooled: Tensor = self._encode(x).mean(dim=3).unflatten(0, (-1, self.people))
        return pooled.mean(dim=1).transpose(1, 2)

    def _encode(self, x: Tensor) -> Tensor:
        """-> (N * people, F, V, T')."""
        x = self.enter(x)
        for block in self.blocks:
            x = block(x)
        return x

    def enter(self, x: Tensor) -> Tensor:
        """Clips (N, M, T, V, C) -> (N * people, C, V, T), transformed and normalised. A missing person is one of zeros."""
        n, m, t, v, c = x.shape
        if (v, c) != (self.joints, self.channels) or m > self.people:
            raise PoseglotError(
                f"the recognizer was built for (N, up to {self.people} people, T, {self.joints} joints, {self.channels} channels), "
                f"but a batch of shape {tuple(x.shape)} came."
            )
        x, scale, shift = x.permute(0, 1, 4, 3, 2), self.input_scale, self.input_shift
        if self.people == 1:
            x = x.flatten(0, 1)
        else:
            scale, shift = scale[:m], shift[:m]
        x = scale @ x if scale.shape[-1] > 1 else scale * x
        x = x + shift
        if self.people > 1:
            absent = self.input_shift[m:].expand(n, -1, -1, -1, t)
            x = torch.cat([x, absent], dim=1).flatten(0, 1)
        return x


class FrozenBlock(nn.Module):
    """Graph unit, temporal module, residual, ReLU: (B, C_in, V, T) -> (B, C_out, V, ceil(T / stride))."""

    def __init__(self, block: Block, like: Tensor) -> None:
        super().__init__()
        self.graph = _FROZEN[type(block.graph)](block.graph, like)
        self.temporal = _FROZEN[type(block.temporal)](block.temporal, like)
        self.is_plain = block.residual is None
        _register(self, {"residual": None, "residual_bias": None}, like)
        self.residual: Tensor | None
        self.residual_bias: Tensor | None
        if isinstance(block.residual, nn.Sequential):
            conv = block.residual[0]
            assert isinstance(conv, nn.Conv2d)
            weight, bias = fold(*block.residual)
            _register(self, {"residual": weight, "residual_bias": bias}, like)
            self.stride = conv.stride[0]

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.temporal(self.graph(x))
        if self.residual is not None:
            y = y + F.conv2d(x, self.residual, self.residual_bias, stride=(1, self.stride))
        elif not self.is_plain:
            y = y + x
        return F.relu(y)


class FrozenRefinedGraph(nn.Module):
    """CTR-GC: (B, C_in, V, T) -> (B, C, V, T).

        relation = tanh(theta mean_t(x) + theta_bias - phi mean_t(x))          (B, 3 R, V, V)
        topology = project(relation) + adjacency                               (B, C, V, 3 V)
        y        = ReLU(topology @ value(x) + residual(x) + residual_bias)

    Buffers: theta, phi (3 R, C_in), theta_bias (3 R, 1); project (3 C, R, 1, 1) in groups of subsets, alpha in it, project_bias (3 C,);
    adjacency (V, 3, V), rows first; value (C * 3, C_in, 1, 1) ordered (channel, subset), value_bias (C * 3,), BatchNorm's scale in them;
    residual (C, C_in, 1, 1), or None for the identity; residual_bias (C,), BatchNorm's shift in it.
    """

    def __init__(self, unit: ctr_gcn.GraphUnit, like: Tensor) -> None:
        super().__init__()
        self.outgoing, self.refresh = unit.outgoing, unit.refresh
        scale, shift = scale_and_shift(unit.norm)
        alpha = unit.alpha.double()
        residual, residual_bias = _fold_shortcut(unit.residual)
        _register(
            self,
            {
                "theta": unit.theta.weight.flatten(0, 1),
                "theta_bias": (unit.theta.bias.double() - unit.phi.bias.double()).flatten()[:, None],
                "phi": unit.phi.weight.flatten(0, 1),
                "project": (alpha * unit.project.weight.double()).flatten(0, 1)[..., None, None],
                "project_bias": (alpha * unit.project.bias.double()).flatten(),
                "adjacency": unit.adjacency.transpose(0, 1),
                "value": (scale[:, None] * unit.value.weight.double()).transpose(0, 1).flatten(0, 1)[..., None, None],
                "value_bias": (scale * unit.value.bias.double()).T.flatten(),
                "residual": residual,
                "residual_bias": shift + residual_bias,
            },
            like,
        )
        self.theta: Tensor
        self.theta_bias: Tensor
        self.phi: Tensor
        self.project: Tensor
        self.project_bias: Tensor
        self.adjacency: Tensor
        self.value: Tensor
        self.value_bias: Tensor
        self.residual: Tensor | None
        self.residual_bias: Tensor

    def forward(self, x: Tensor) -> Tensor:
        if self.refresh is None:
            return self.collect(x, self.topology(x.mean(dim=3)))
        groups, means = ctr_gcn.in_groups(x.mT, self.refresh)
        y: Tensor = self.collect(groups.mT, self.topology(means))
        y = y.unflatten(0, (len(x), -1)).permute(0, 2, 3, 1, 4).flatten(3)
        return y[..., : x.shape[3]]

    def collect(self, x: Tensor, topology: Tensor) -> Tensor:
        """(B, C_in, V, T) along topologies (B, C, V, 3 V) -> (B, C, V, T)."""
        value = F.conv2d(x, self.value, self.value_bias).unflatten(1, (self.outgoing, SUBSETS)).flatten(2, 3)
        y = topology @ value
        if self.residual is None:
            return F.relu(y + self.residual_bias[:, None, None] + x)
        return F.relu(y + F.conv2d(x, self.residual, self.residual_bias))

    def topology(self, mean: Tensor) -> Tensor:
        """(B, C_in, V), the mean over time -> (B, C, V, 3 V)."""
        theta, phi = self.theta @ mean + self.theta_bias, self.phi @ mean
        relation = torch.tanh(theta[..., :, None] - phi[..., None, :])
        refined = F.conv2d(relation, self.project, self.project_bias, groups=SUBSETS)
        by_row = refined.unflatten(1, (SUBSETS, self.outgoing)).permute(0, 2, 3, 1, 4)  # (B, C, V, 3, V)
        topology: Tensor = by_row + self.adjacency
        return topology.flatten(3)


class FrozenPlainGraph(nn.Module):
    """A graph convolution with one topology for all clips and channels: (B, C_in, V, T) -> (B, C, V, T).

    Buffers: adjacency (3 V, V), ordered (subset, row), importance in it; conv (C, C_in * 3, 1, 1), ordered (channel, subset), conv_bias
    (C,), BatchNorm in both; residual (C, C_in, 1, 1), or None for the identity or none.
    """

    def __init__(self, unit: st_gcn.GraphUnit | ctr_baseline.GraphUnit, like: Tensor) -> None:
        super().__init__()
        adjacency = unit.adjacency.double()
        residual, residual_bias = None, torch.zeros(())
        if isinstance(unit, st_gcn.GraphUnit):
            adjacency = adjacency * unit.importance.double()
        else:
            residual, residual_bias = _fold_shortcut(unit.residual)
        self.is_plain = isinstance(unit, st_gcn.GraphUnit)
        weight, bias = fold(unit.conv, unit.norm)
        _register(
            self,
            {
                "adjacency": adjacency.flatten(0, 1),
                "conv": weight.unflatten(1, (SUBSETS, -1)).transpose(1, 2).flatten(1, 2),
                "conv_bias": bias + residual_bias,
                "residual": residual,
            },
            like,
        )
        self.adjacency: Tensor
        self.conv: Tensor
        self.conv_bias: Tensor
        self.residual: Tensor | None

    def forward(self, x: Tensor) -> Tensor:
        collected = (self.adjacency @ x).unflatten(2, (SUBSETS, -1)).flatten(1, 2)
        y = F.conv2d(collected, self.conv, self.conv_bias)
        if self.residual is not None:
            y = y + F.conv2d(x, self.residual)
        elif not self.is_plain:
            y = y + x
        return F.relu(y)


class FrozenSingleScale(nn.Module):
    """One convolution over time: (B, C, V, T) -> (B, C, V, ceil(T / stride)). Buffers: conv (C, C, 1, kernel), conv_bias (C,)."""

    def __init__(self, unit: SingleScaleTemporal, like: Tensor) -> None:
        super().__init__()
        self.stride, self.causal, self.kernel = unit.conv.stride[0], unit.causal, unit.conv.kernel_size[0]
        weight, bias = fold(unit.conv, unit.norm)
        _register(self, {"conv": weight.transpose(2, 3), "conv_bias": bias}, like)
        self.conv: Tensor
        self.conv_bias: Tensor

    def forward(self, x: Tensor) -> Tensor:
        if self.causal:
            return F.conv2d(F.pad(x, (self.kernel - 1, 0)), self.conv, self.conv_bias, stride=(1, self.stride))
        return F.conv2d(x, self.conv, self.conv_bias, stride=(1, self.stride), padding=(0, self.kernel // 2))


class FrozenMultiScale(nn.Module):
    """Four branches of q = C / 4 channels: (B, C, V, T) -> (B, C, V, ceil(T / stride)).

    Buffers: entry (3 q, C, 1, 1), entry_bias (3 q,), of the first three; narrow and wide (q, q, 1, 5), narrow_bias and wide_bias (q,);
    exit_scale and exit_shift (q, 1, 1), after the max-pool; point (q, C, 1, 1), point_bias (q,). BatchNorm is in all of them.
    """

    def __init__(self, unit: MultiScaleTemporal, like: Tensor) -> None:
        super().__init__()
        self.stride, self.causal = unit.stride, unit.causal
        entry, entry_bias = fold(unit.entry, unit.entry_norm)
        scales, shifts = (each.split(unit.quarter) for each in scale_and_shift(unit.exit_norm))
        _register(
            self,
            {
                "entry": entry,
                "entry_bias": entry_bias,
                "narrow": scaled(unit.narrow.weight, scales[0]).transpose(2, 3),
                "narrow_bias": _bias(unit.narrow) * scales[0] + shifts[0],
                "wide": scaled(unit.wide.weight, scales[1]).transpose(2, 3),
                "wide_bias": _bias(unit.wide) * scales[1] + shifts[1],
                "exit_scale": scales[2][:, None, None],
                "exit_shift": shifts[2][:, None, None],
                "point": scaled(unit.point.weight, scales[3]),
                "point_bias": _bias(unit.point) * scales[3] + shifts[3],
            },
            like,
        )
        self.entry: Tensor
        self.entry_bias: Tensor
        self.narrow: Tensor
        self.narrow_bias: Tensor
        self.wide: Tensor
        self.wide_bias: Tensor
        self.exit_scale: Tensor
        self.exit_shift: Tensor
        self.point: Tensor
        self.point_bias: Tensor

    def forward(self, x: Tensor) -> Tensor:
        first, second, third = self.enter(x)
        if not self.causal:
            return self.leave(first, second, third, x, around=True)
        return self.leave(F.pad(first, (4, 0)), F.pad(second, (8, 0)), F.pad(third, (2, 0)), x, around=False)

    def enter(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the first three branches convolve and pool over time."""
        first, second, third = F.relu(F.conv2d(x, self.entry, self.entry_bias)).chunk(3, dim=1)
        return first, second, third

    def leave(self, first: Tensor, second: Tensor, third: Tensor, x: Tensor, *, around: bool) -> Tensor:
        """The four branches; with `around`, zeros are put around the first three, which else hold already what is before and behind."""
        stride = (1, self.stride)
        branches = [
            F.conv2d(first, self.narrow, self.narrow_bias, stride=stride, padding=(0, 2 * around)),
            F.conv2d(second, self.wide, self.wide_bias, stride=stride, padding=(0, 4 * around), dilation=(1, 2)),
            F.max_pool2d(third, (1, 3), stride=stride, padding=(0, int(around))) * self.exit_scale + self.exit_shift,
            F.conv2d(x, self.point, self.point_bias, stride=stride),
        ]
        return torch.cat(branches, dim=1)


_FROZEN: Mapping[type[nn.Module], type[nn.Module]] = {
    ctr_gcn.GraphUnit: FrozenRefinedGraph,
    ctr_baseline.GraphUnit: FrozenPlainGraph,
    st_gcn.GraphUnit: FrozenPlainGraph,
    SingleScaleTemporal: FrozenSingleScale,
    MultiScaleTemporal: FrozenMultiScale,
}


def _is_known(encoder: Backbone) -> bool:
    """Whether it is a plain backbone of units that have a frozen form; a subclass of any of them may compute something else."""
    return type(encoder).forward in (Backbone.forward, ctr_gcn.CTRGCN.forward) and all(
        type(block) is Block and type(block.graph) in _FROZEN and type(block.temporal) in _FROZEN for block in encoder.blocks
    )


@torch.no_grad()
def scale_and_shift(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What a BatchNorm does to each channel in evaluation mode, in double precision."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return scale, norm.bias.double() - norm.running_mean.double() * scale


def scaled(weight: Tensor, scale: Tensor) -> Tensor:
    """A convolution's weight with each output channel scaled."""
    return weight.double() * scale[:, None, None, None]


def fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution that is a convolution and then a BatchNorm."""
    scale, shift = scale_and_shift(norm)
    return scaled(conv.weight, scale), _bias(conv) * scale + shift


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias.double()


def _fold_shortcut(module: nn.Module) -> tuple[Tensor | None, Tensor]:
    """What `backbone.shortcut` makes as a 1x1 convolution's weight and bias; the identity as None and 0."""
    return fold(*module) if isinstance(module, nn.Sequential) else (None, torch.zeros(()))


def _register(module: nn.Module, tensors: Mapping[str, Tensor | None], like: Tensor) -> None:
    """Make tensors a module's buffers, copied, in the dtype and on the device of another."""
    for name, tensor in tensors.items():
        module.register_buffer(name, None if tensor is None else tensor.detach().to(like, copy=True).contiguous())
