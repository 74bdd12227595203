"""A state with the names and shapes of a public CTR-GCN or GAP checkpoint, every number random; smaller than the real ones."""

from __future__ import annotations

import torch
from torch import Tensor


def official_state(
    *, joints: int, people: int, classes: int, base_channels: int = 16, channels: int = 3, embed_dim: int = 0, seed: int = 0
) -> dict[str, Tensor]:
    """Official names -> tensors; with a `embed_dim`, GAP's heads as well."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}

    def conv(name: str, *shape: int) -> None:
        fan_in = max(1, torch.Size(shape[1:]).numel())
        state[f"{name}.weight"] = torch.randn(shape, generator=generator) / fan_in**0.5
        state[f"{name}.bias"] = torch.randn(shape[0], generator=generator) * 0.1

    def norm(name: str, size: int) -> None:
        state[f"{name}.weight"] = torch.rand(size, generator=generator) + 0.5
        state[f"{name}.bias"] = torch.randn(size, generator=generator) * 0.1
        state[f"{name}.running_mean"] = torch.randn(size, generator=generator) * 0.1
        state[f"{name}.running_var"] = torch.rand(size, generator=generator) + 0.5
        state[f"{name}.num_batches_tracked"] = torch.tensor(10)

    norm("data_bn", people * joints * channels)
    in_channels = channels
    for layer, factor in enumerate([1] * 4 + [2] * 3 + [4] * 3, start=1):
        i, o, gcn, tcn = in_channels, base_channels * factor, f"l{layer}.gcn1", f"l{layer}.tcn1.branches"
        reduced, quarter = 8 if layer == 1 else i // 8, o // 4
        for subset in range(3):
            conv(f"{gcn}.convs.{subset}.conv1", reduced, i, 1, 1)
            conv(f"{gcn}.convs.{subset}.conv2", reduced, i, 1, 1)
            conv(f"{gcn}.convs.{subset}.conv3", o, i, 1, 1)
            conv(f"{gcn}.convs.{subset}.conv4", o, reduced, 1, 1)
        state[f"{gcn}.PA"] = torch.randn(3, joints, joints, generator=generator) / joints**0.5
        state[f"{gcn}.alpha"] = torch.rand(1, generator=generator)
        norm(f"{gcn}.bn", o)
        if i != o:
            conv(f"{gcn}.down.0", o, i, 1, 1)
            norm(f"{gcn}.down.1", o)
        for branch in range(4):
            conv(f"{tcn}.{branch}.0", quarter, o, 1, 1)
            norm(f"{tcn}.{branch}.1", quarter)
            if branch < 2:
                conv(f"{tcn}.{branch}.3.conv", quarter, quarter, 5, 1)
                norm(f"{tcn}.{branch}.3.bn", quarter)
        norm(f"{tcn}.2.4", quarter)
        if layer > 1 and (i != o or layer in (5, 8)):
            conv(f"l{layer}.residual.conv", o, i, 1, 1)
            norm(f"l{layer}.residual.bn", o)
        in_channels = o
    conv("fc", classes, in_channels)
    if embed_dim:
        conv("linear_head.ViT-B/32", embed_dim, in_channels)
        for part in range(4):
            conv(f"part_list.{part}", embed_dim, in_channels)
        state["logit_scale"] = torch.ones(1, 5)
    return state
