"""The frozen form of a recognizer, and what the predictor prepares: the answers of the trained form, and nothing left of training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from poseglot.errors import PoseglotError
from poseglot.models.encoders import ENCODERS
from poseglot.models.fuse import FusedRecognizer, KeptEncoder, RowsRecognizer, freeze, prepare
from poseglot.kernels import native
from poseglot.models.recognizer import Recognizer, RecognizerSpec, new_recognizer
from tests.models.encoders.helpers import clips, scrambled

WAYS = pytest.mark.parametrize("way", [freeze, prepare])


def recognizer_of(
    encoder: str, layout: str = "kinect20", people: int = 1, *, dtype: torch.dtype = torch.float64, **spec: Any
) -> Recognizer:
    spec = {"levels": {"global": (0, 1, 2), "head": (3,)}, "embed_dim": 6, "encoder_kwargs": {"base_channels": 16}, **spec}
    made = new_recognizer(
        RecognizerSpec(layout=layout, classes=("a", "b", "c"), num_persons=people, encoder=encoder, **spec), seed=0
    )
    scrambled(made)
    return made.to(dtype).eval()


@WAYS
@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(("layout", "people", "frames"), [("kinect20", 1, 9), ("ntu25", 2, 12), ("kinect20", 2, 1)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_answers_are_those_of_the_recognizer(
    way: Any, encoder: str, layout: str, people: int, frames: int, dtype: torch.dtype, tolerance: float
) -> None:
    recognizer = recognizer_of(encoder, layout, people, dtype=dtype)
    frozen = way(recognizer)
    for present in range(1, people + 1):
        x = clips(3, present, frames, layout).to(dtype)
        with torch.no_grad():
            wanted, got = recognizer(x)["logits"], frozen(x)
        size = wanted.abs().max()
        assert size > 0.1
        torch.testing.assert_close(got / size, wanted / size, rtol=tolerance, atol=tolerance)
        with torch.no_grad():
            joints, features = frozen.joint_features(x), recognizer.encoder(x).mean(dim=(1, 2))
        size = features.abs().max()
        torch.testing.assert_close(joints / size, features / size, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(frozen.classify(joints.mean(dim=1)), got, rtol=10 * tolerance, atol=10 * tolerance)


@WAYS
def test_an_input_transform_is_part_of_it(way: Any) -> None:
    generator = torch.Generator().manual_seed(5)
    matrix = torch.randn(20, 20, generator=generator)
    recognizer = recognizer_of("ctr-gcn", input_transform=tuple(map(tuple, matrix.tolist())))
    x = clips(2, 1, 8, "kinect20").double()
    with torch.no_grad():
        wanted, got, without = recognizer(x)["logits"], way(recognizer)(x), way(recognizer_of("ctr-gcn"))(x)
    torch.testing.assert_close(got / wanted.abs().max(), wanted / wanted.abs().max(), rtol=1e-9, atol=1e-9)
    assert not torch.allclose(got, without)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_nothing_of_training_is_left(encoder: str) -> None:
    recognizer = recognizer_of(encoder)
    frozen = fuse(recognizer)
    assert not list(frozen.parameters())
    assert not frozen.spec.levels
    assert not any(isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.Conv2d, KeptEncoder)) for module in frozen.modules())
    theirs = {tensor.data_ptr() for tensor in recognizer.state_dict().values()}
    assert not any(tensor.data_ptr() in theirs for tensor in frozen.buffers())


def test_an_encoder_that_is_not_known_is_kept_as_it_is() -> None:
    recognizer = recognizer_of("st-gcn")

    class Doubled(type(recognizer.encoder)):  # type: ignore[misc]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = 2 * super().forward(x)
            return y

    recognizer.encoder.__class__ = Doubled
    frozen = fuse(recognizer)
    x = clips(2, 1, 8, "kinect20").double()
    assert isinstance(frozen.encoder, KeptEncoder)
    with torch.no_grad():
        torch.testing.assert_close(frozen(x), recognizer(x)["logits"])


def test_what_does_not_fit_is_refused_in_words() -> None:
    frozen = fuse(recognizer_of("ctr-gcn"))
    assert isinstance(frozen, FusedRecognizer)
    with pytest.raises(PoseglotError, match="20 joints"):
        frozen(clips(2, 1, 8, "ntu25").double())
    with pytest.raises(PoseglotError, match="up to 1 people"):
        frozen(clips(2, 2, 8, "kinect20").double())


def test_what_can_be_prepared_in_rows_is() -> None:
    """It answers the same either way; only the clock would tell."""
    encoder = recognizer_of("ctr-gcn", dtype=torch.float32)
    if reason := native.unavailable_reason(torch.float32):
        pytest.skip(reason)
    assert isinstance(prepare(encoder), RowsRecognizer)
    assert isinstance(prepare(recognizer_of("ctr-baseline")), FusedRecognizer)
