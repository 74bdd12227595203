"""The lower layers of a text encoder run once: the features and gradients of the whole encoder, for every family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from poseglot.errors import SettingError
from poseglot.models.text import TextEncoder, load_text_encoder
from poseglot.models.text.layer_cache import LayerCache, transformer_layers
from tests.models.text.conftest import FAMILIES

TEXTS = ["nod head", "the arms hang down, the hands are open", "kick", "one foot steps forward and the other follows it", "bow"]


@pytest.fixture(params=["tiny_bert", "clip", *FAMILIES])
def encoder(request: pytest.FixtureRequest, others: Callable[[str], Path]) -> TextEncoder:
    folder = others(request.param) if request.param in FAMILIES else request.getfixturevalue(request.param)
    return load_text_encoder(str(folder)).double()


def test_features_and_gradients_are_those_of_the_whole_encoder(encoder: TextEncoder) -> None:
    tokens, count = encoder.tokenize(TEXTS), len(transformer_layers(encoder.model))
    chosen = torch.tensor([3, 0, 4])
    names = dict(encoder.named_parameters())
    wanted = encoder(tokens.select(chosen))
    gradients = dict(
        zip(names, torch.autograd.grad(wanted.square().sum(), list(names.values()), allow_unused=True), strict=True)
    )
    for train_layers in range(1, count + 1):
        encoder.requires_grad_(True)
        cache = LayerCache(encoder, tokens, train_layers)
        features = cache(encoder, tokens, chosen)
        torch.testing.assert_close(features, wanted)
        features.square().sum().backward()
        trained = [name for name, parameter in names.items() if parameter.requires_grad]
        assert 0 < len(trained) < len(names)
        for name in trained:
            torch.testing.assert_close(names[name].grad, gradients[name], msg=lambda text, name=name: f"{name}: {text}")
        encoder.zero_grad()
    # Unknown texts are read by the whole encoder, as before.
    torch.testing.assert_close(encoder(tokens.select(chosen)), wanted)


def test_as_many_layers_as_there_are_at_most(tiny_bert: Path) -> None:
    encoder = load_text_encoder(str(tiny_bert))
    for train_layers in (0, 3):
        with pytest.raises(SettingError, match="2 layers"):
            LayerCache(encoder, encoder.tokenize(TEXTS), train_layers)
