"""What the encoders share: the order of the input BatchNorm's channels, residuals, and a look that leaves no trace."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from poseglot.models.encoders.backbone import Block, SkeletonEncoder
from poseglot.skeletons.layout import load_layout
from tests.models.encoders.helpers import build, clips, scrambled
from tests.models.encoders.test_contract import TABLE


def test_the_input_norm_numbers_its_channels_by_person_joint_and_coordinate() -> None:
    encoder = SkeletonEncoder(load_layout("ntu25"), num_persons=2, channels=3, features=3).eval()
    x = clips(3, 2, 5, "ntu25")
    assert encoder.input_norm.running_mean is not None
    encoder.input_norm.running_mean.copy_(torch.arange(150.0))
    means = torch.tensor([[[(m * 25 + v) * 3 + c for c in range(3)] for v in range(25)] for m in range(2)])
    wanted = (x - means[None, :, None]) / math.sqrt(1 + encoder.input_norm.eps)
    entered = encoder.enter(x)
    torch.testing.assert_close(entered.view(3, 2, 3, 5, 25), wanted.permute(0, 1, 4, 2, 3))
    torch.testing.assert_close(encoder.leave(entered), wanted)


@pytest.mark.parametrize("name", TABLE)
def test_every_block_but_the_first_adds_what_came_in(name: str) -> None:
    encoder = build(name, "kinect20", 1)
    kinds = [type(block.residual) for block in encoder.blocks]
    same, changed = nn.Identity, nn.Sequential
    assert kinds == [type(None), same, same, same, changed, same, same, changed, same, same]

    class Double(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * x

    block, x = Block(Double(), Double(), nn.Identity()), torch.randn(2, 3, 4, 5)  # type: ignore[arg-type]
    torch.testing.assert_close(block(x), torch.relu(4 * x + x))
    torch.testing.assert_close(Block(Double(), Double(), None)(x), torch.relu(4 * x))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TABLE)
def test_looking_at_topologies_leaves_no_trace(name: str) -> None:
    encoder = scrambled(build(name, "kinect20", 1)).train()
    before = {key: tensor.clone() for key, tensor in encoder.state_dict().items()}
    found = encoder.topologies(clips(2, 1, 9, "kinect20"))
    assert [topology.shape for topology in found] == [(20, 20)] * 10
    assert not any(topology.requires_grad for topology in found)
    assert encoder.training and all(torch.equal(tensor, before[key]) for key, tensor in encoder.state_dict().items())
