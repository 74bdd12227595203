"""Prompt learning: the vectors stand where they should, in every family, and learn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from poseglot.errors import SettingError
from poseglot.models.text import PromptLearner, TextEncoder, load_text_encoder
from tests.models.text.conftest import FAMILIES, WORDS


@pytest.fixture(params=["tiny_bert", "clip", *FAMILIES])
def encoder(request: pytest.FixtureRequest, others: Callable[[str], Path]) -> TextEncoder:
    folder = others(request.param) if request.param in FAMILIES else request.getfixturevalue(request.param)
    return load_text_encoder(str(folder)).eval()


def ordinary_token(encoder: TextEncoder) -> int:
    """The last token of a text that is not a special one."""
    ids = encoder.tokenizer(WORDS[0])["input_ids"]
    return next(number for number in reversed(ids) if number not in encoder.tokenizer.all_special_ids)


def test_vectors_replace_embeddings(encoder: TextEncoder) -> None:
    """With the embedding of an ordinary token for each vector, the text is that token three times and then the words."""
    context = PromptLearner(encoder, length=3, seed=0)
    token = ordinary_token(encoder)
    with torch.no_grad():
        context.vectors.copy_(encoder.model.get_input_embeddings().weight[token].expand(3, -1))  # type: ignore[operator]
    tokens = context.tokenize(WORDS)
    spelled = context.tokenize(WORDS)
    spelled.ids[:, context.start : context.start + 3] = token  # read as it stands, without the vectors
    assert (tokens.ids != spelled.ids).any()
    # As the tokenizer itself would have written it: special tokens, three times the token, the words.
    own = encoder.tokenizer(WORDS[1])["input_ids"]
    start = context.start
    assert spelled.ids[1, : len(own) + 3].tolist() == [*own[:start], token, token, token, *own[start:]]
    torch.testing.assert_close(context(tokens), encoder(spelled))


def test_gradients(encoder: TextEncoder) -> None:
    for fixed in (True, False):
        encoder.requires_grad_(not fixed)
        context = PromptLearner(encoder, length=2, seed=0).train()
        context(context.tokenize(WORDS)).square().sum().backward()
        assert context.vectors.grad is not None
        assert (context.vectors.grad.abs().sum(dim=1) > 0).all()
        assert any(parameter.grad is not None for parameter in encoder.parameters()) != fixed


def test_encoder_itself_is_unchanged(encoder: TextEncoder) -> None:
    before = encoder(encoder.tokenize(WORDS))
    context = PromptLearner(encoder, length=4, seed=0)
    assert not torch.allclose(context(context.tokenize(WORDS)), before)
    torch.testing.assert_close(encoder(encoder.tokenize(WORDS)), before)


def test_seed(tiny_bert: Path) -> None:
    encoder = load_text_encoder(str(tiny_bert))
    one, same, other = (PromptLearner(encoder, length=4, seed=seed).vectors for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_long_texts_and_too_many_vectors(tiny_bert: Path) -> None:
    encoder = load_text_encoder(str(tiny_bert))
    context = PromptLearner(encoder, length=16, seed=0)
    tokens = context.tokenize(["nod " * 100])
    assert tokens.ids.shape == (1, encoder.max_tokens)
    assert context(tokens).isfinite().all()
    for length in (0, encoder.max_tokens // 2 + 1):
        with pytest.raises(SettingError):
            PromptLearner(encoder, length=length, seed=0)
