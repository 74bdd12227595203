"""Causal encoders: the features of a frame depend on it and earlier frames only. (That nothing later matters: `test_contract`.)"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from poseglot.errors import SettingError
from poseglot.models.encoders.ctr_gc import RefinedGraph
from poseglot.models.encoders.ctr_gcn import CTRGCN
from poseglot.models.encoders.temporal import MultiScaleTemporal, SingleScaleTemporal
from poseglot.models.fuse import fuse
from poseglot.models.recognizer import RecognizerSpec, new_recognizer
from poseglot.skeletons.layout import load_layout
from poseglot.testing import random_clips, scramble, small_encoder
from tests.models.encoders.helpers import assert_same_outputs_and_gradients
from tests.models.encoders.test_backbone import TABLE


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("frames", [1, 7, 8])
def test_window_ends_with_the_frame(stride: int, frames: int) -> None:
    """On a clip with zeros before it, the causal window is the usual module's window that ends with the frame."""
    for make, span in ((SingleScaleTemporal, 9), (MultiScaleTemporal, 9)):
        causal, usual = (scramble(make(8, stride=stride, causal=which).double()).eval() for which in (True, False))
        x = torch.randn(2, 8, 5, frames, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        y = causal(x)
        assert y.shape[3] == -(-frames // stride)
        for index in range(y.shape[3]):
            end = index * stride + 1
            seen = F.pad(x, (span, 0))[..., end : end + span]  # the frame and the `span - 1` before it
            if isinstance(causal, SingleScaleTemporal):
                plain = causal.norm(F.conv2d(seen, causal.conv.weight, causal.conv.bias))
            else:
                first, second, third = F.relu(causal.entry_norm(causal.entry(x))).split(causal.quarter, dim=1)
                first, second, third = (F.pad(each, (span, 0))[..., end : end + span] for each in (first, second, third))
                branches = [
                    F.conv2d(first[..., -5:], causal.narrow.weight, causal.narrow.bias),
                    F.conv2d(second, causal.wide.weight, causal.wide.bias, dilation=(1, 2)),
                    third[..., -3:].amax(dim=3, keepdim=True),
                    F.conv2d(seen[..., -1:], causal.point.weight, causal.point.bias),
                ]
                plain = causal.exit_norm(torch.cat(branches, dim=1))
            torch.testing.assert_close(y[..., index], plain[..., 0])
        assert usual(x).shape == y.shape


def plain_graph(unit: RefinedGraph, x: Tensor) -> Tensor:
    """A topology for each frame, from the mean of the frames up to the last one that `topology_interval` divides."""
    assert unit.topology_interval is not None
    frames = []
    for frame in range(x.shape[3]):
        mean = x[..., : frame - frame % unit.topology_interval + 1].mean(dim=3)
        topology = unit.topology(mean).unflatten(3, (3, -1))
        value = torch.einsum("soi,biv->bsov", unit.value.weight, x[..., frame]) + unit.value.bias[..., None]
        frames.append(torch.einsum("bousv,bsov->bou", topology, value))
    return F.relu(unit.norm(torch.stack(frames, dim=3)) + unit.residual(x))


@pytest.mark.parametrize(("frames", "interval"), [(1, 8), (7, 3), (8, 4), (5, 1)])
def test_topologies_are_of_the_past(frames: int, interval: int) -> None:
    encoder = CTRGCN(load_layout("kinect20"), base_channels=8, causal=True, topology_interval=interval)
    unit = encoder.blocks[4].graph
    assert isinstance(unit, RefinedGraph)
    x = torch.randn(2, 8, 20, frames, generator=torch.Generator().manual_seed(3))
    assert_same_outputs_and_gradients(unit, plain_graph, x)


@pytest.mark.parametrize("encoder", TABLE)
def test_fused_form(encoder: str) -> None:
    kwargs = {"base_channels": 8, "causal": True}
    recognizer = new_recognizer(RecognizerSpec("kinect20", ("a", "b"), encoder=encoder, encoder_kwargs=kwargs), seed=0)
    scramble(recognizer).double().eval()
    x = random_clips(2, 1, 19, "kinect20").double()
    with torch.no_grad():
        torch.testing.assert_close(fuse(recognizer)(x), recognizer(x)["logits"])


def test_topologies_can_be_inspected() -> None:
    encoder = small_encoder("ctr-gcn", "kinect20", 1, causal=True)
    found = encoder.topologies(random_clips(2, 1, 19, "kinect20"))
    assert [tuple(matrix.shape) for matrix in found] == [(20, 20)] * 10


@pytest.mark.parametrize("encoder_kwargs", [{"causal": "yes"}, {"causal": True, "topology_interval": 0}], ids=["word", "zero"])
def test_wrong_options(encoder_kwargs: dict[str, object]) -> None:
    with pytest.raises(SettingError):
        small_encoder("ctr-gcn", "kinect20", 1, **encoder_kwargs)
