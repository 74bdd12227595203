"""CTR-GCN and GAP's training step written the obvious way: the oracle of the fast path, and the yardstick it is measured against.

Nothing is rearranged: theta and phi look at every frame and the mean comes after, the three subsets are a loop, every branch of a
temporal module has convolutions and BatchNorms of its own, a text is encoded for every clip and level of a batch. Written from the
papers' equations (Chen et al., ICCV 2021, section 3; GAP, section 3) in the public implementations' order of axes, (N, C, T, V); the
parameters have the names of public checkpoints, so that `poseglot.models.convert` turns a plain network into one of ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseglot.skeletons.graph import spatial_subsets
from poseglot.skeletons.layout import Layout

WIDTHS = (1, 1, 1, 1, 2, 2, 2, 4, 4, 4)
STRIDES = (1, 1, 1, 1, 2, 1, 1, 2, 1, 1)


class Topology(nn.Module):
    """CTR-GC of one subset: (B, C_in, T, V) -> (B, C_out, T, V)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        reduced = 8 if in_channels in (2, 3, 4, 9) else in_channels // 8
        self.conv1 = nn.Conv2d(in_channels, reduced, 1)
        self.conv2 = nn.Conv2d(in_channels, reduced, 1)
        self.conv3 = nn.Conv2d(in_channels, out_channels, 1)
        self.conv4 = nn.Conv2d(reduced, out_channels, 1)

    def forward(self, x: Tensor, adjacency: Tensor, alpha: Tensor) -> Tensor:
        theta, phi = self.conv1(x).mean(dim=2), self.conv2(x).mean(dim=2)
        relation = torch.tanh(theta[:, :, :, None] - phi[:, :, None, :])
        topology = alpha * self.conv4(relation) + adjacency
        return torch.einsum("ncuv,nctv->nctu", topology, self.conv3(x))


class Graph(nn.Module):
    """The three subsets, added; BatchNorm, residual, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, subsets: Tensor) -> None:
        super().__init__()
        self.convs = nn.ModuleList(Topology(in_channels, out_channels) for _ in subsets)
        self.PA = nn.Parameter(subsets.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        self.bn = nn.BatchNorm2d(out_channels)
        self.down = (
            nn.Identity()
            if in_channels == out_channels
            else nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels))
        )

    def forward(self, x: Tensor) -> Tensor:
        y = torch.zeros(())
        for conv, adjacency in zip(self.convs, self.PA, strict=True):
            y = y + conv(x, adjacency, self.alpha)
        return F.relu(self.bn(y) + self.down(x))


class OverTime(nn.Module):
    """A 5x1 convolution and BatchNorm."""

    def __init__(self, channels: int, *, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, (5, 1), (stride, 1), (2 * dilation, 0), (dilation, 1))
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bn(self.conv(x))
        return y


class Temporal(nn.Module):
    """Four branches, side by side."""

    def __init__(self, channels: int, *, stride: int) -> None:
        super().__init__()
        quarter = channels // 4

        def entry() -> list[nn.Module]:
            return [nn.Conv2d(channels, quarter, 1), nn.BatchNorm2d(quarter), nn.ReLU()]

        self.branches = nn.ModuleList(
            [
                nn.Sequential(*entry(), OverTime(quarter, stride=stride, dilation=1)),
                nn.Sequential(*entry(), OverTime(quarter, stride=stride, dilation=2)),
                nn.Sequential(*entry(), nn.MaxPool2d((3, 1), (stride, 1), (1, 0)), nn.BatchNorm2d(quarter)),
                nn.Sequential(nn.Conv2d(channels, quarter, 1, (stride, 1)), nn.BatchNorm2d(quarter)),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class Residual(nn.Module):
    """A strided 1x1 convolution and BatchNorm, where a block changes the shape."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, (stride, 1))
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bn(self.conv(x))
        return y


class Layer(nn.Module):
    """One of the ten blocks."""

    def __init__(self, in_channels: int, out_channels: int, subsets: Tensor, *, stride: int, first: bool) -> None:
        super().__init__()
        self.first = first
        self.gcn1 = Graph(in_channels, out_channels, subsets)
        self.tcn1 = Temporal(out_channels, stride=stride)
        self.residual = (
            nn.Identity()
            if first or (in_channels == out_channels and stride == 1)
            else Residual(in_channels, out_channels, stride=stride)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.tcn1(self.gcn1(x))
        return F.relu(y if self.first else y + self.residual(x))


class PlainGAP(nn.Module):
    """CTR-GCN (multi-scale) with GAP's heads: (N, M, T, V, C) -> (N, classes) and the features of each level.

    Args:
        layout: of the clips.
        people, channels: of the clips.
        classes: how many.
        width: of the first blocks.
        text_width: of the features of the whole body and of the parts; 0 without text.
        parts: the joints of each part, in the order of the public heads.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        people: int = 1,
        channels: int = 3,
        classes: int = 10,
        width: int = 64,
        embed_dim: int = 0,
        parts: Sequence[Sequence[int]] = (),
    ) -> None:
        super().__init__()
        subsets = torch.from_numpy(spatial_subsets(layout))
        self.data_bn = nn.BatchNorm1d(people * len(layout) * channels)
        in_channels = channels
        for number, (times, stride) in enumerate(zip(WIDTHS, STRIDES, strict=True), start=1):
            self.add_module(f"l{number}", Layer(in_channels, times * width, subsets, stride=stride, first=number == 1))
            in_channels = times * width
        self.fc = nn.Linear(in_channels, classes)
        self.linear_head, self.part_list = nn.ModuleDict(), nn.ModuleList()
        self.parts = [list(part) for part in parts]
        if embed_dim:
            self.linear_head["ViT-B/32"] = nn.Linear(in_channels, embed_dim)
            self.part_list.extend(nn.Linear(in_channels, embed_dim) for _ in parts)
        self.reset()

    def reset(self) -> None:
        """The initialisation that the papers' numbers were made with."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.out_channels * module.kernel_size[0]
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
                assert module.bias is not None
                nn.init.zeros_(module.bias)
            elif name.endswith("gcn1.bn"):
                nn.init.constant_(module.get_parameter("weight"), 1e-6)
        nn.init.normal_(self.fc.weight, std=math.sqrt(2 / self.fc.out_features))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        n, m, t, v, c = x.shape
        x = self.data_bn(x.permute(0, 1, 3, 4, 2).reshape(n, m * v * c, t))
        x = x.view(n, m, v, c, t).permute(0, 1, 3, 4, 2).reshape(n * m, c, t, v)
        for number in range(1, len(WIDTHS) + 1):
            x = self.get_submodule(f"l{number}")(x)
        x = x.view(n, m, *x.shape[1:])
        pooled = x.mean(dim=(3, 4)).mean(dim=1)
        features = [head(pooled) for head in self.linear_head.values()]
        for head, part in zip(self.part_list, self.parts, strict=False):
            features.append(head(x[..., part].mean(dim=(1, 3, 4))))
        return self.fc(pooled), features


def plain_alignment(skeleton: Tensor, text: Tensor, labels: Tensor, *, scale: float) -> Tensor:
    """One level of the alignment loss, row by row (GAP, equations 4 to 6)."""
    total = skeleton.new_zeros(())
    for images, texts in ((skeleton, text), (text, skeleton)):
        for row, label in zip(images, labels, strict=True):
            cosines = torch.stack([F.cosine_similarity(row, other, dim=0) for other in texts])
            target = (labels == label).to(row.dtype)
            target = target / target.sum()
            logs = F.log_softmax(scale * cosines, dim=0)
            total = total + torch.where(target > 0, target * (target.clamp_min(1e-30).log() - logs), 0.0).sum()
    return total / (2 * len(labels))


def plain_batch_alignment(skeleton: Tensor, text: Tensor, labels: Tensor, *, scale: float) -> Tensor:
    """The same in matrices, as it is usually written: what is timed."""
    same = (labels[:, None] == labels[None]).to(skeleton.dtype)
    target = same / same.sum(dim=1, keepdim=True)
    logits = scale * (skeleton / skeleton.norm(dim=1, keepdim=True)) @ (text / text.norm(dim=1, keepdim=True)).T
    there = F.kl_div(F.log_softmax(logits, dim=1), target, reduction="batchmean")
    back = F.kl_div(F.log_softmax(logits.T, dim=1), target, reduction="batchmean")
    return (there + back) / 2


def plain_loss(
    output: tuple[Tensor, Sequence[Tensor]], labels: Tensor, texts: Sequence[Tensor], *, weight: float, scale: float
) -> Tensor:
    """Cross-entropy plus lambda times the mean over levels; `texts` are (B, width) for each level, one text for every clip."""
    logits, features = output
    loss = F.cross_entropy(logits, labels)
    if not texts:
        return loss
    levels = [plain_batch_alignment(f, t, labels, scale=scale) for f, t in zip(features, texts, strict=True)]
    return loss + weight * torch.stack(levels).mean()
