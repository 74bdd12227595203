"""Temporal modules, the part of a block that mixes frames: (B, C, V, T) -> (B, C, V, ceil(T / stride)).

`MultiScaleTemporal` is that of the CTR-GCN paper (Chen et al., ICCV 2021, section 3.4). `SingleScaleTemporal` is one convolution, as in
ST-GCN (Yan et al., AAAI 2018) and CTR-baseline; GAP's ablation study has it in CTR-GCN, too. Both see as many frames before a frame as
after it. The window of a *causal* module ends with the frame, so that nothing depends on the future: it is for streaming.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from poseglot.errors import SettingError
from poseglot.models.encoders.folding import ScaleShift, fold_, scale_and_shift, scale_conv_

SINGLE, MULTI = "single-scale", "multi-scale"
KERNEL = 9
"""Frames that ST-GCN's convolution sees."""


def temporal_modules(
    kind: str, kernel: int | None = None, *, causal: bool = False, default: int = KERNEL
) -> Callable[[int, int], TemporalModule]:
    """Return a factory (channels, stride) -> module for an encoder's options `temporal`, `kernel` and `causal`.

    Args:
        default: frames that a single-scale module sees where no kernel is given.

    Raises:
        SettingError: no such kind, an even kernel, a kernel for the multi-scale module, which has its own, or `causal` is no bool.
    """
    if type(causal) is not bool:
        raise SettingError(f"causal must be true or false, not {causal!r}.")
    if kind not in (SINGLE, MULTI):
        raise SettingError(f"temporal must be {MULTI} or {SINGLE}, not {kind!r}.")
    if kernel is not None and (type(kernel) is not int or kernel < 1 or kernel % 2 == 0):
        raise SettingError(f"kernel must be an odd number of frames, not {kernel!r}.")
    if kind == SINGLE:
        span = default if kernel is None else kernel
        return lambda channels, stride: SingleScaleTemporal(channels, stride=stride, kernel=span, causal=causal)
    if kernel is not None:
        raise SettingError(f"kernel {kernel} requires temporal {SINGLE}; the {MULTI} module has kernels of its own.")
    return lambda channels, stride: MultiScaleTemporal(channels, stride=stride, causal=causal)


class TemporalModule(nn.Module):
    """Base of temporal modules: `enter` works frame by frame, `leave` looks at windows of frames.

    Args:
        span: frames of the widest window.
        stride: frames in for each frame out.
        causal: whether a window ends with its frame; else the frame is in the middle.
    """

    def __init__(self, *, span: int, stride: int, causal: bool) -> None:
        super().__init__()
        self.span, self.stride, self.causal = span, stride, causal
        self.pads = not causal
        """Whether `leave` pads with zeros by itself. Otherwise its input has span - 1 more frames."""

    def forward(self, x: Tensor) -> Tensor:
        entered = self.enter(x)
        return self.leave(entered if self.pads else F.pad(entered, (self.span - 1, 0)), x)

    def enter(self, x: Tensor) -> Tensor:
        """Return what the windows look at: (B, C, V, T) -> (B, C', V, T)."""
        raise NotImplementedError

    def leave(self, entered: Tensor, x: Tensor) -> Tensor:
        """Return the output for windows of `entered`, where x (B, C, V, T) are the frames that the windows belong to."""
        raise NotImplementedError

    def stop_padding_(self) -> None:
        """Make `leave` expect span - 1 more frames, as streaming has them."""
        self.pads = False
        for part in self.modules():
            if isinstance(part, (nn.Conv2d, nn.MaxPool2d)):
                part.padding = (0, 0)


class SingleScaleTemporal(TemporalModule):
    """One convolution over `kernel` frames of a joint, then BatchNorm."""

    def __init__(self, channels: int, *, stride: int, kernel: int = KERNEL, causal: bool = False) -> None:
        super().__init__(span=kernel, stride=stride, causal=causal)
        self.conv = nn.Conv2d(channels, channels, (1, kernel), stride=(1, stride), padding=(0, 0 if causal else kernel // 2))
        self.norm: nn.Module = nn.BatchNorm2d(channels)
        init_conv(self.conv)

    def enter(self, x: Tensor) -> Tensor:
        return x

    def leave(self, entered: Tensor, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(entered))
        return y

    def fold_(self) -> None:
        self.conv, self.norm = fold_(self.conv, self.norm), nn.Identity()


class MultiScaleTemporal(TemporalModule):
    """Four branches of a quarter of the channels: 5x1 convolution with dilation 1, with dilation 2, 3x1 max-pool, 1x1 only.

    The first three begin with 1x1, BatchNorm, ReLU; all end in BatchNorm. Branches that end in one are concatenated first and
    normalized together, which is the same.
    """

    def __init__(self, channels: int, *, stride: int, causal: bool = False) -> None:
        super().__init__(span=9, stride=stride, causal=causal)
        quarter, pad = channels // 4, 0 if causal else 1
        self.quarter = quarter
        self.entry = nn.Conv2d(channels, 3 * quarter, 1)
        self.entry_norm: nn.Module = nn.BatchNorm2d(3 * quarter)
        self.narrow = nn.Conv2d(quarter, quarter, (1, 5), stride=(1, stride), padding=(0, 2 * pad))
        self.wide = nn.Conv2d(quarter, quarter, (1, 5), stride=(1, stride), padding=(0, 4 * pad), dilation=(1, 2))
        self.pool = nn.MaxPool2d((1, 3), stride=(1, stride), padding=(0, pad))
        self.pool_norm: nn.Module = nn.Identity()  # its part of `exit_norm`, once that is folded
        self.point = nn.Conv2d(channels, quarter, 1, stride=(1, stride))
        self.exit_norm: nn.Module = nn.BatchNorm2d(channels)
        for conv in (self.entry, self.narrow, self.wide, self.point):
            init_conv(conv, branches=3 if conv is self.entry else 1)

    def enter(self, x: Tensor) -> Tensor:
        return F.relu(self.entry_norm(self.entry(x)))

    def leave(self, entered: Tensor, x: Tensor) -> Tensor:
        first, second, third = entered.chunk(3, dim=1)
        if not self.pads and self.causal:
            first, third = first[..., 4:], third[..., 6:]
        elif not self.pads:
            first, third = first[..., 2:-2], third[..., 3:-3]
        branches = [self.narrow(first), self.wide(second), self.pool_norm(self.pool(third)), self.point(x)]
        y: Tensor = self.exit_norm(torch.cat(branches, dim=1))
        return y

    def fold_(self) -> None:
        assert isinstance(self.exit_norm, _BatchNorm)
        fold_(self.entry, self.entry_norm)
        narrow, wide, pool, point = (
            (scale, shift) for scale, shift in zip(*(each.chunk(4) for each in scale_and_shift(self.exit_norm)), strict=True)
        )
        for conv, affine in ((self.narrow, narrow), (self.wide, wide), (self.point, point)):
            scale_conv_(conv, *affine)
        self.pool_norm = ScaleShift(*pool, like=self.point.weight)
        self.entry_norm, self.exit_norm = nn.Identity(), nn.Identity()


def init_conv(conv: nn.Conv2d, *, branches: int = 1) -> None:
    """Initialize by fan-out (He), bias 0. A convolution that is several branches in one has the fan-out of one of them."""
    fan_out = conv.out_channels // branches * conv.kernel_size[0] * conv.kernel_size[1]
    nn.init.normal_(conv.weight, std=math.sqrt(2 / fan_out))
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
