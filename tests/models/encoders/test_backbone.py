"""What the encoders share: the order of the input BatchNorm's channels, residuals, and `topologies`."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from poseglot.models.encoders.backbone import Block, Shortcut, SkeletonEncoder
from poseglot.skeletons.layout import load_layout
from poseglot.testing import random_clips, scramble, small_encoder

TABLE = ("st-gcn", "ctr-baseline", "ctr-gcn-single", "ctr-gcn")  # of GAP's table 1d


def test_input_norm_order() -> None:
    """Channels are numbered by person, joint and coordinate."""
    encoder = SkeletonEncoder(load_layout("ntu25"), num_persons=2, channels=3, features=3).eval()
    x = random_clips(3, 2, 5, "ntu25")
    assert encoder.input_norm.running_mean is not None
    encoder.input_norm.running_mean.copy_(torch.arange(150.0))
    means = torch.tensor([[[(m * 25 + v) * 3 + c for c in range(3)] for v in range(25)] for m in range(2)])
    wanted = (x - means[None, :, None]) / math.sqrt(1 + encoder.input_norm.eps)
    entered = encoder.enter(x)
    torch.testing.assert_close(entered.view(3, 2, 3, 25, 5), wanted.permute(0, 1, 4, 3, 2))
    torch.testing.assert_close(encoder.leave(entered), wanted)


@pytest.mark.parametrize("name", TABLE)
def test_residuals(name: str) -> None:
    encoder = small_encoder(name, "kinect20", 1)
    kinds = [type(block.residual) for block in encoder.blocks]
    same, changed = nn.Identity, Shortcut
    assert kinds == [type(None), same, same, same, changed, same, same, changed, same, same]

    class Double(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * x

    block, x = Block(Double(), Double(), nn.Identity()), torch.randn(2, 3, 4, 5)  # type: ignore[arg-type]
    torch.testing.assert_close(block(x), torch.relu(4 * x + x))
    torch.testing.assert_close(Block(Double(), Double(), None)(x), torch.relu(4 * x))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TABLE)
def test_topologies_change_nothing(name: str) -> None:
    encoder = scramble(small_encoder(name, "kinect20", 1)).train()
    before = {key: tensor.clone() for key, tensor in encoder.state_dict().items()}
    found = encoder.topologies(random_clips(2, 1, 9, "kinect20"))
    assert [topology.shape for topology in found] == [(20, 20)] * 10
    assert not any(topology.requires_grad for topology in found)
    assert encoder.training and all(torch.equal(tensor, before[key]) for key, tensor in encoder.state_dict().items())
