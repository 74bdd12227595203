"""The fused form of a recognizer: the same answers, by torch and by kernels, and nothing left of training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from poseglot.errors import InputError
from poseglot.kernels import SWITCH, native
from poseglot.models.encoders import ctr_gcn, st_gcn
from poseglot.models.encoders.folding import scale_and_shift
from poseglot.models.fuse import fuse
from poseglot.models.recognizer import Recognizer, RecognizerSpec, new_recognizer
from poseglot.testing import random_clips, scramble
from tests.models.encoders.test_backbone import TABLE

KERNELS = pytest.mark.parametrize("kernels", ["on", "off"])


def recognizer_of(
    encoder: str, layout: str = "kinect20", num_persons: int = 1, *, dtype: torch.dtype = torch.float64, **spec: Any
) -> Recognizer:
    text = {"levels": {"global": (0, 1, 2), "head": (3,)}, "embed_dim": 6}
    spec = {"encoder": encoder, "encoder_kwargs": {"base_channels": 16}, **text, **spec}
    made = new_recognizer(RecognizerSpec(layout, ("a", "b", "c"), num_persons, **spec), seed=0)
    scramble(made)
    return made.to(dtype).eval()


@KERNELS
@pytest.mark.parametrize("encoder", TABLE)
@pytest.mark.parametrize(("layout", "num_persons", "frames"), [("kinect20", 1, 9), ("ntu25", 2, 12), ("kinect20", 2, 1)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)], ids=["double", "single"])
def test_same_answers(
    monkeypatch: pytest.MonkeyPatch, kernels: str, encoder: str, layout: str, num_persons: int, frames: int, dtype: torch.dtype,
    tolerance: float,
) -> None:  # fmt: skip
    monkeypatch.setenv(SWITCH, kernels)
    recognizer = recognizer_of(encoder, layout, num_persons, dtype=dtype)
    fused = fuse(recognizer)
    monkeypatch.setenv(SWITCH, "off")  # of the recognizer itself
    for present in range(1, num_persons + 1):
        x = random_clips(3, present, frames, layout).to(dtype)
        with torch.no_grad():
            wanted, features = recognizer(x)["logits"], recognizer.encoder(x).mean(dim=(1, 2))
            monkeypatch.setenv(SWITCH, kernels)
            found, joints = fused(x), fused.joint_features(x)
            monkeypatch.setenv(SWITCH, "off")
        size = wanted.abs().max()
        assert size > 0.1
        torch.testing.assert_close(found / size, wanted / size, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(fused.classify(joints.mean(dim=1)), found, rtol=10 * tolerance, atol=10 * tolerance)
        size = features.abs().max()
        torch.testing.assert_close(joints / size, features / size, rtol=tolerance, atol=tolerance)


@KERNELS
def test_input_transform(monkeypatch: pytest.MonkeyPatch, kernels: str) -> None:
    monkeypatch.setenv(SWITCH, kernels)
    matrix = torch.randn(20, 20, generator=torch.Generator().manual_seed(5))
    recognizer = recognizer_of("ctr-gcn", input_transform=tuple(map(tuple, matrix.tolist())))
    x = random_clips(2, 1, 8, "kinect20").double()
    with torch.no_grad():
        wanted, found, without = recognizer(x)["logits"], fuse(recognizer)(x), fuse(recognizer_of("ctr-gcn"))(x)
    torch.testing.assert_close(found / wanted.abs().max(), wanted / wanted.abs().max(), rtol=1e-9, atol=1e-9)
    assert not torch.allclose(found, without)


@pytest.mark.parametrize("encoder", TABLE)
def test_nothing_of_training_is_left(encoder: str) -> None:
    recognizer = recognizer_of(encoder)
    fused = fuse(recognizer)
    assert not any(parameter.requires_grad for parameter in fused.parameters())
    assert not fused.training and not fused.spec.levels
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in fused.modules())
    theirs = {tensor.data_ptr() for tensor in recognizer.state_dict().values()}
    assert not any(tensor.data_ptr() in theirs for tensor in fused.state_dict().values())


@KERNELS
@pytest.mark.parametrize("base", [st_gcn.STGCN, ctr_gcn.CTRGCN], ids=["st-gcn", "ctr-gcn"])
def test_encoder_that_computes_something_else(monkeypatch: pytest.MonkeyPatch, kernels: str, base: type[nn.Module]) -> None:
    """What the kernels know is the base class; a subclass with a `forward` of its own goes its own way."""
    monkeypatch.setenv(SWITCH, kernels)
    recognizer = recognizer_of("st-gcn" if base is st_gcn.STGCN else "ctr-gcn")

    class Doubled(base):  # type: ignore[valid-type, misc]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = 2 * super().forward(x)
            return y

    recognizer.encoder.__class__ = Doubled
    fused = fuse(recognizer)
    x = random_clips(2, 1, 8, "kinect20").double()
    assert not fused.has_kernels
    with torch.no_grad():
        torch.testing.assert_close(fused(x), recognizer(x)["logits"])


def test_unit_that_computes_something_else_keeps_its_batch_norm() -> None:
    recognizer = recognizer_of("st-gcn")
    unit = recognizer.encoder.blocks[3].temporal  # type: ignore[union-attr, index]

    class Doubled(type(unit)):  # type: ignore[misc]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.norm(2 * self.conv(x))
            return y

    unit.__class__ = Doubled
    fused = fuse(recognizer)
    x = random_clips(2, 1, 8, "kinect20").double()
    assert sum(isinstance(module, nn.BatchNorm2d) for module in fused.modules()) == 1
    with torch.no_grad():
        torch.testing.assert_close(fused(x), recognizer(x)["logits"])


def test_wrong_clips() -> None:
    fused = fuse(recognizer_of("ctr-gcn"))
    for x in (random_clips(2, 1, 8, "ntu25"), random_clips(2, 2, 8, "kinect20")):
        with pytest.raises(InputError):
            fused(x.double())


def test_kernels_where_they_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answers are the same; only the clock would tell."""
    if reason := native.unavailable_reason(torch.float32):
        pytest.skip(reason)
    single = recognizer_of("ctr-gcn", dtype=torch.float32)
    assert fuse(single).has_kernels and not fuse(recognizer_of("ctr-baseline")).has_kernels
    fused, x = fuse(single), random_clips(2, 1, 8, "kinect20")
    with torch.no_grad():  # laid out for another dtype
        torch.testing.assert_close(fused.double()(x.double()), single.double()(x.double())["logits"], rtol=1e-4, atol=1e-4)
    monkeypatch.setenv(SWITCH, "off")
    assert not fuse(single).has_kernels


def test_scale_and_shift_include_a_bias_that_was_not_added() -> None:
    norm, bias = scramble(nn.BatchNorm2d(4).double()).eval(), torch.randn(4, dtype=torch.float64)
    x = torch.randn(2, 4, 3, 3, dtype=torch.float64)
    scale, shift = scale_and_shift(norm, bias)
    wanted = norm(x + bias[:, None, None])
    torch.testing.assert_close(x * scale[:, None, None] + shift[:, None, None], wanted)
