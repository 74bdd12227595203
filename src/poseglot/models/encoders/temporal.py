"""The half of a block that mixes frames: (B, C, T, V) -> (B, C, ceil(T / stride), V).

`MultiScaleTemporal` is that of the CTR-GCN paper (Chen et al., ICCV 2021, section 3.4); `SingleScaleTemporal` that of ST-GCN (Yan et
al., AAAI 2018), which GAP's ablation study has in CTR-GCN, too.
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


def temporal_modules(kind: str, kernel: int = KERNEL) -> Callable[[int, int], nn.Module]:
    """The options `temporal` and `kernel` of an encoder -> (channels, stride) -> module.

    Raises:
        PoseglotError: no such kind, an even kernel, or a kernel for the multi-scale module, which has its own.
    """
    if kind not in (SINGLE, MULTI):
        raise PoseglotError(f"an encoder's temporal modules are {MULTI} or {SINGLE}, not {kind!r}.")
    if type(kernel) is not int or kernel < 1 or kernel % 2 == 0:
        raise PoseglotError(
            f"the kernel of a {SINGLE} temporal module is an odd number of frames (the paper has 9), not {kernel!r}."
        )
    if kind == SINGLE:
        return lambda channels, stride: SingleScaleTemporal(channels, stride=stride, kernel=kernel)
    if kernel != KERNEL:
        raise PoseglotError(f"kernel {kernel} goes with temporal {SINGLE}; the {MULTI} module has kernels of its own.")
    return lambda channels, stride: MultiScaleTemporal(channels, stride=stride)


class SingleScaleTemporal(nn.Module):
    """One convolution over `kernel` frames of a joint, then BatchNorm."""

    def __init__(self, channels: int, *, stride: int, kernel: int = KERNEL) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, (kernel, 1), stride=(stride, 1), padding=(kernel // 2, 0))
        self.norm = nn.BatchNorm2d(channels)
        init_conv(self.conv)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(x))
        return y


class MultiScaleTemporal(nn.Module):
    """Four branches of a quarter of the channels: 5x1 convolution with dilation 1, with dilation 2, 3x1 max-pool, 1x1 only.

    The first three begin with 1x1, BatchNorm, ReLU; all end in BatchNorm. (B, C, T, V) -> (B, C, ceil(T / stride), V).
    """

    def __init__(self, channels: int, *, stride: int) -> None:
        super().__init__()
        quarter = channels // 4
        self.quarter, self.stride = quarter, stride
        self.entry = nn.Conv2d(channels, 3 * quarter, 1)
        self.entry_norm = nn.BatchNorm2d(3 * quarter)
        self.narrow = nn.Conv2d(quarter, quarter, (5, 1), stride=(stride, 1), padding=(2, 0))
        self.wide = nn.Conv2d(quarter, quarter, (5, 1), stride=(stride, 1), padding=(4, 0), dilation=(2, 1))
        self.pool = nn.MaxPool2d((3, 1), stride=(stride, 1), padding=(1, 0))
        self.point = nn.Conv2d(channels, quarter, 1, stride=(stride, 1))
        self.exit_norm = nn.BatchNorm2d(channels)
        for conv in (self.entry, self.narrow, self.wide, self.point):
            init_conv(conv, branches=3 if conv is self.entry else 1)

    def forward(self, x: Tensor) -> Tensor:
        first, second, third = F.relu(self.entry_norm(self.entry(x))).split(self.quarter, dim=1)
        y: Tensor = self.exit_norm(torch.cat([self.narrow(first), self.wide(second), self.pool(third), self.point(x)], dim=1))
        return y
