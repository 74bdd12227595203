"""The half of a block that mixes frames: (B, C, T, V) -> (B, C, ceil(T / stride), V).

`MultiScaleTemporal` is that of the CTR-GCN paper (Chen et al., ICCV 2021, section 3.4); `SingleScaleTemporal` that of ST-GCN (Yan et
al., AAAI 2018), which GAP's ablation study has in CTR-GCN, too. Both see as many frames before a frame as behind it. Of a *causal* one
the same window ends with the frame, so that nothing depends on what is still to come; it is for recognising while it happens.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseglot.errors import PoseglotError
from poseglot.models.encoders.backbone import init_conv

SINGLE, MULTI = "single-scale", "multi-scale"
KERNEL = 9
"""Frames that the single-scale convolution sees (ST-GCN's)."""


def temporal_modules(kind: str, kernel: int = KERNEL, *, causal: bool = False) -> Callable[[int, int], nn.Module]:
    """The options `temporal`, `kernel` and `causal` of an encoder -> (channels, stride) -> module.

    Raises:
        PoseglotError: no such kind, an even kernel, a kernel for the multi-scale module, which has its own, or `causal` is no bool.
    """
    if type(causal) is not bool:
        raise PoseglotError(f"an encoder is causal or it is not: true or false, not {causal!r}.")
    if kind not in (SINGLE, MULTI):
        raise PoseglotError(f"an encoder's temporal modules are {MULTI} or {SINGLE}, not {kind!r}.")
    if type(kernel) is not int or kernel < 1 or kernel % 2 == 0:
        raise PoseglotError(
            f"the kernel of a {SINGLE} temporal module is an odd number of frames (the paper has 9), not {kernel!r}."
        )
    if kind == SINGLE:
        return lambda channels, stride: SingleScaleTemporal(channels, stride=stride, kernel=kernel, causal=causal)
    if kernel != KERNEL:
        raise PoseglotError(f"kernel {kernel} goes with temporal {SINGLE}; the {MULTI} module has kernels of its own.")
    return lambda channels, stride: MultiScaleTemporal(channels, stride=stride, causal=causal)


def behind_zeros(x: Tensor, frames: int) -> Tensor:
    """(B, C, T, V) with so many frames of zeros before the first: what a causal window sees there."""
    return F.pad(x, (0, 0, frames, 0))


class SingleScaleTemporal(nn.Module):
    """One convolution over `kernel` frames of a joint, then BatchNorm."""

    def __init__(self, channels: int, *, stride: int, kernel: int = KERNEL, causal: bool = False) -> None:
        super().__init__()
        self.causal = causal
        self.conv = nn.Conv2d(channels, channels, (kernel, 1), stride=(stride, 1), padding=(0 if causal else kernel // 2, 0))
        self.norm = nn.BatchNorm2d(channels)
        init_conv(self.conv)

    def forward(self, x: Tensor) -> Tensor:
        if self.causal:
            x = behind_zeros(x, self.conv.kernel_size[0] - 1)
        y: Tensor = self.norm(self.conv(x))
        return y


class MultiScaleTemporal(nn.Module):
    """Four branches of a quarter of the channels: 5x1 convolution with dilation 1, with dilation 2, 3x1 max-pool, 1x1 only.

    The first three begin with 1x1, BatchNorm, ReLU; all end in BatchNorm. (B, C, T, V) -> (B, C, ceil(T / stride), V).
    """

    def __init__(self, channels: int, *, stride: int, causal: bool = False) -> None:
        super().__init__()
        quarter = channels // 4
        self.quarter, self.stride, self.causal = quarter, stride, causal
        self.entry = nn.Conv2d(channels, 3 * quarter, 1)
        self.entry_norm = nn.BatchNorm2d(3 * quarter)
        self.narrow = nn.Conv2d(quarter, quarter, (5, 1), stride=(stride, 1), padding=(0 if causal else 2, 0))
        self.wide = nn.Conv2d(quarter, quarter, (5, 1), stride=(stride, 1), padding=(0 if causal else 4, 0), dilation=(2, 1))
        self.pool = nn.MaxPool2d((3, 1), stride=(stride, 1), padding=(0 if causal else 1, 0))
        self.point = nn.Conv2d(channels, quarter, 1, stride=(stride, 1))
        self.exit_norm = nn.BatchNorm2d(channels)
        for conv in (self.entry, self.narrow, self.wide, self.point):
            init_conv(conv, branches=3 if conv is self.entry else 1)

    def forward(self, x: Tensor) -> Tensor:
        first, second, third = F.relu(self.entry_norm(self.entry(x))).split(self.quarter, dim=1)
        if self.causal:
            # Zeros do not change a maximum of what ReLU has left.
            first, second, third = (behind_zeros(branch, frames) for branch, frames in ((first, 4), (second, 8), (third, 2)))
        y: Tensor = self.exit_norm(torch.cat([self.narrow(first), self.wide(second), self.pool(third), self.point(x)], dim=1))
        return y
