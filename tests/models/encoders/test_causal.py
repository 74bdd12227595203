"""Causal encoders: a frame's features depend on it and those before it alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from poseglot.errors import PoseglotError
from poseglot.models.encoders import ENCODERS
from poseglot.models.encoders.ctr_gcn import CTRGCN, GraphUnit
from poseglot.models.encoders.temporal import MultiScaleTemporal, SingleScaleTemporal
from poseglot.models.fuse import fuse
from poseglot.models.recognizer import RecognizerSpec, new_recognizer
from poseglot.skeletons.layout import load_layout
from tests.models.encoders.helpers import assert_equal_in_outputs_and_gradients, build, clips, scrambled


@pytest.mark.parametrize("encoder", ENCODERS)
def test_what_is_still_to_come_changes_nothing(encoder: str) -> None:
    causal, usual = (scrambled(build(encoder, "kinect20", 1, causal=which)).double() for which in (True, False))
    clip = clips(1, 1, 18, "kinect20").double()
    other = torch.cat([clip[:, :, :9], clips(1, 1, 9, "kinect20", seed=7).double()], dim=2)
    with torch.no_grad():
        (features, others), (looks_ahead, theirs) = (
            (network(clip)[:, :, :3], network(other)[:, :, :3]) for network in (causal, usual)
        )
    torch.testing.assert_close(features, others)
    assert features.abs().max() > 0.01 and not torch.allclose(looks_ahead, theirs)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("frames", [1, 7, 8])
def test_a_causal_module_is_the_usual_one_late(stride: int, frames: int) -> None:
    """Of a clip with zeros before it, the usual module's window that ends with a frame is the causal one's."""
    for make, span in ((SingleScaleTemporal, 9), (MultiScaleTemporal, 9)):
        causal, usual = (scrambled(make(8, stride=stride, causal=which).double()).eval() for which in (True, False))
        x = clips(1, 1, frames, "kinect20")[0].permute(0, 3, 1, 2).double().expand(-1, -1, -1, -1).repeat(1, 3, 1, 1)[:, :8]
        y = causal(x)
        assert y.shape[2] == -(-frames // stride)
        for place in range(y.shape[2]):
            end = place * stride + 1
            seen = F.pad(x, (0, 0, span, 0))[:, :, end : end + span]  # the frame and the `span - 1` before it
            if isinstance(causal, SingleScaleTemporal):
                torch.testing.assert_close(
                    y[:, :, place], causal.norm(F.conv2d(seen, causal.conv.weight, causal.conv.bias))[:, :, 0]
                )
                continue
            first, second, third = F.relu(causal.entry_norm(causal.entry(x))).split(causal.quarter, dim=1)
            first, second, third = (F.pad(each, (0, 0, span, 0))[:, :, end : end + span] for each in (first, second, third))
            plain = torch.cat(
                [
                    F.conv2d(first[:, :, -5:], causal.narrow.weight, causal.narrow.bias),
                    F.conv2d(second, causal.wide.weight, causal.wide.bias, dilation=(2, 1)),
                    third[:, :, -3:].amax(dim=2, keepdim=True),
                    F.conv2d(seen[:, :, -1:], causal.point.weight, causal.point.bias),
                ],
                dim=1,
            )
            torch.testing.assert_close(y[:, :, place], causal.exit_norm(plain)[:, :, 0])
        assert usual(x).shape == y.shape


def plain_graph(unit: GraphUnit, x: Tensor) -> Tensor:
    """A topology for each frame, from the mean of the frames up to the last one that `refresh` divides."""
    assert unit.refresh is not None
    frames = []
    for frame in range(x.shape[2]):
        mean = x[:, :, : frame - frame % unit.refresh + 1].mean(dim=2)
        topology = unit.topology(mean)
        value = (
            torch.einsum("soi,bitv->bsotv", unit.value.weight, x[:, :, frame : frame + 1]) + unit.value.bias[..., None, None]
        )
        frames.append(torch.einsum("bsouv,bsotv->botu", topology, value))
    return F.relu(unit.norm(torch.cat(frames, dim=2)) + unit.residual(x))


@pytest.mark.parametrize(("frames", "refresh"), [(1, 8), (7, 3), (8, 4), (5, 1)])
def test_topologies_are_of_what_has_been(frames: int, refresh: int) -> None:
    layout = load_layout("kinect20")
    encoder = CTRGCN(layout, width=8, causal=True, refresh=refresh)
    unit = encoder.blocks[4].graph
    assert isinstance(unit, GraphUnit)
    x = torch.randn(2, 8, frames, 20, generator=torch.Generator().manual_seed(3))
    assert_equal_in_outputs_and_gradients(unit, plain_graph, x)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_frozen_form_is_the_same(encoder: str) -> None:
    spec = RecognizerSpec(
        layout="kinect20", classes=("a", "b"), encoder=encoder, encoder_kwargs={"base_channels": 8, "causal": True}
    )
    recognizer = new_recognizer(spec, seed=0)
    scrambled(recognizer)
    recognizer.double().eval()
    x = clips(2, 1, 19, "kinect20").double()
    with torch.no_grad():
        torch.testing.assert_close(fuse(recognizer)(x), recognizer(x)["logits"])


def test_how_joints_are_related_can_still_be_looked_at() -> None:
    encoder = build("ctr-gcn", "kinect20", 1, causal=True)
    assert isinstance(encoder, CTRGCN)
    found = encoder.topologies(clips(2, 1, 19, "kinect20"))
    assert [tuple(matrix.shape) for matrix in found] == [(20, 20)] * 10


@pytest.mark.parametrize(
    ("options", "said"), [({"causal": "yes"}, "true or false"), ({"causal": True, "refresh": 0}, "at least 1")]
)
def test_what_is_not_acceptable(options: dict[str, object], said: str) -> None:
    with pytest.raises(PoseglotError, match=said):
        build("ctr-gcn", "kinect20", 1, **options)
