"""CTR-GCN against its equations written the obvious way, and against the published parameter count."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseglot.errors import PoseglotError
from poseglot.models.encoders import build_encoder
from poseglot.models.encoders.ctr_gcn import CTRGCN, GraphUnit, MultiScaleTemporal
from poseglot.models.recognizer import Recognizer, RecognizerSpec
from poseglot.skeletons.graph import spatial_subsets
from poseglot.skeletons.layout import load_layout

KINECT, NTU = load_layout("kinect20"), load_layout("ntu25")


def scrambled(module: nn.Module) -> nn.Module:
    """Every parameter and statistic random, so that nothing hides behind a zero or a one."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in module.state_dict().items():
        if tensor.dtype.is_floating_point:
            values = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype) * 0.3
            tensor.copy_(values.abs() + 0.5 if name.endswith("running_var") else values)
    return module


def plain_graph_unit(unit: GraphUnit, x: Tensor) -> Tensor:
    """Subset by subset, convolutions at full length before the mean over time, sums over v written out."""
    y = torch.zeros(x.shape[0], unit.outgoing, *x.shape[2:], dtype=x.dtype)
    for s in range(3):

        def conv(name: str, over: Tensor, s: int = s) -> Tensor:
            linear = getattr(unit, name)
            return torch.einsum("oi,bi...->bo...", linear.weight[s], over) + linear.bias[s].view(-1, *[1] * (over.ndim - 2))

        theta, phi = conv("theta", x).mean(dim=2), conv("phi", x).mean(dim=2)
        relation = torch.tanh(theta[:, :, :, None] - phi[:, :, None, :])
        topology = conv("project", relation) * unit.alpha + unit.adjacency[s]
        y = y + torch.einsum("bcuv,bctv->bctu", topology, conv("value", x))
    return F.relu(unit.norm(y) + unit.residual(x))


def plain_temporal(unit: MultiScaleTemporal, x: Tensor) -> Tensor:
    """Branch by branch, each with its own slice of the shared convolutions and norms (evaluation mode)."""
    q = unit.quarter

    def norm(module: nn.BatchNorm2d, y: Tensor, channels: slice) -> Tensor:
        assert module.running_mean is not None
        assert module.running_var is not None
        return F.batch_norm(
            y, module.running_mean[channels], module.running_var[channels], module.weight[channels], module.bias[channels]
        )

    branches = []
    for place, last in enumerate((unit.narrow, unit.wide, unit.pool)):
        own = slice(place * q, (place + 1) * q)
        assert unit.entry.bias is not None
        entered = F.relu(norm(unit.entry_norm, F.conv2d(x, unit.entry.weight[own], unit.entry.bias[own]), own))
        branches.append(norm(unit.exit_norm, last(entered), own))
    branches.append(norm(unit.exit_norm, unit.point(x), slice(3 * q, 4 * q)))
    return torch.cat(branches, dim=1)


@pytest.mark.parametrize(("incoming", "outgoing"), [(3, 16), (16, 16), (16, 32)])
def test_graph_unit_equals_its_equation_in_outputs_and_gradients(incoming: int, outgoing: int) -> None:
    unit = scrambled(GraphUnit(incoming, outgoing, torch.from_numpy(spatial_subsets(KINECT))).double()).train()
    assert isinstance(unit, GraphUnit)
    x = torch.randn(3, incoming, 7, 20, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, outgoing, 7, 20, dtype=torch.float64)
    wanted = plain_graph_unit(unit, x)
    wanted_gradients = torch.autograd.grad((wanted * weight).sum(), [x, *unit.parameters()])
    fast = unit(x)
    gradients = torch.autograd.grad((fast * weight).sum(), [x, *unit.parameters()])
    torch.testing.assert_close(fast, wanted)
    for ours, theirs in zip(gradients, wanted_gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("length", [8, 9])
def test_temporal_module_equals_its_branches(stride: int, length: int) -> None:
    unit = scrambled(MultiScaleTemporal(16, stride=stride).double()).eval()
    assert isinstance(unit, MultiScaleTemporal)
    x = torch.randn(2, 16, length, 20, dtype=torch.float64)
    torch.testing.assert_close(unit(x), plain_temporal(unit, x))
    assert unit(x).shape == (2, 16, -(-length // stride), 20)


def test_parameter_counts_are_the_published_ones() -> None:
    def count(layout: str, people: int, classes: int) -> int:
        recognizer = Recognizer(RecognizerSpec(layout, tuple(map(str, range(classes))), people=people))
        return sum(parameter.numel() for parameter in recognizer.parameters())

    assert count("kinect20", 1, 10) == 1_426_892
    assert count("ntu25", 2, 120) + 5 == 1_462_097  # five more are published; GAP's loss has five learnable scales


@pytest.mark.parametrize("layout", [KINECT, NTU])
@pytest.mark.parametrize(("people", "frames"), [(1, 52), (2, 13), (2, 1)])
def test_joint_features_keep_people_and_joints_apart(layout, people: int, frames: int) -> None:  # type: ignore[no-untyped-def]
    encoder = CTRGCN(layout, people=people, width=8).eval()
    quarter = math.ceil(math.ceil(frames / 2) / 2)
    features = encoder(torch.randn(3, people, frames, len(layout), 3))
    assert features.shape == (3, people, quarter, len(layout), encoder.features)


def test_a_missing_person_is_one_of_zeros() -> None:
    encoder = scrambled(CTRGCN(KINECT, people=2, width=8)).eval()
    x = torch.randn(2, 2, 12, 20, 3)
    x[:, 1] = 0
    torch.testing.assert_close(encoder(x[:, :1]), encoder(x))


def test_every_parameter_gets_a_gradient() -> None:
    encoder = scrambled(CTRGCN(KINECT, people=1, width=8)).train()
    encoder(torch.randn(4, 1, 16, 20, 3)).square().sum().backward()
    silent = [name for name, parameter in encoder.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    # A bias in front of a BatchNorm cannot matter in training; those in `unit` do not end in one.
    assert [name for name in silent if not name.endswith("bias")] == []


def test_wrong_shapes_and_names_are_refused() -> None:
    encoder = CTRGCN(KINECT, people=1, width=8)
    with pytest.raises(PoseglotError, match=r"20 joints.*\(1, 1, 5, 25, 3\)"):
        encoder(torch.zeros(1, 1, 5, 25, 3))
    with pytest.raises(PoseglotError, match="up to 1 people"):
        encoder(torch.zeros(1, 2, 5, 20, 3))
    with pytest.raises(PoseglotError, match="multiple of 8"):
        CTRGCN(KINECT, width=12)
    with pytest.raises(PoseglotError, match="unknown encoder 'gcn'"):
        build_encoder("gcn", KINECT, people=1, channels=3)


def test_the_input_norm_numbers_its_channels_by_person_joint_and_coordinate() -> None:
    encoder = CTRGCN(NTU, people=2, width=8).eval()
    x = torch.randn(3, 2, 5, 25, 3)
    assert encoder.input_norm.running_mean is not None
    encoder.input_norm.running_mean.copy_(torch.arange(150.0))
    seen: list[Tensor] = []
    encoder.blocks[0].register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    encoder(x)
    means = torch.tensor([[[(m * 25 + v) * 3 + c for c in range(3)] for v in range(25)] for m in range(2)])
    wanted = (x - means[None, :, None]) / math.sqrt(1 + encoder.input_norm.eps)
    torch.testing.assert_close(seen[0].view(3, 2, 3, 5, 25), wanted.permute(0, 1, 4, 2, 3))
