"""Text encoders through the real loading code: small random CLIP and BERT models on disk, and MiniLM itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

from poseglot.errors import FileError, MissingPackageError, NotFoundError
from poseglot.models.text import TextEncoder, list_text_encoders, load_text_encoder, register_text_encoder
from poseglot.models.text import load as loading
from tests.models.text.conftest import FAMILIES, WORDS


@pytest.fixture(params=["tiny_bert", "clip", *FAMILIES])
def encoder(request: pytest.FixtureRequest, others: Callable[[str], Path]) -> TextEncoder:
    if request.param in FAMILIES:
        return load_text_encoder(str(others(request.param)))
    return load_text_encoder(str(request.getfixturevalue(request.param)))


def test_embed_dim(tiny_bert: Path, clip: Path, others: Callable[[str], Path]) -> None:
    assert load_text_encoder(str(tiny_bert)).embed_dim == 24
    assert load_text_encoder(str(clip)).embed_dim == 20
    assert {load_text_encoder(str(others(family))).embed_dim for family in FAMILIES} == {16}


@pytest.mark.parametrize("family", FAMILIES)
def test_mean_over_tokens(family: str, others: Callable[[str], Path]) -> None:
    folder = others(family)
    encoder = load_text_encoder(str(folder)).eval()
    model = transformers.AutoModel.from_pretrained(folder).eval()
    model = model.get_encoder() if model.config.is_encoder_decoder else model
    for text in WORDS:
        ids = torch.tensor([encoder.tokenizer(text)["input_ids"]])
        torch.testing.assert_close(encoder(encoder.tokenize([text])), model(input_ids=ids).last_hidden_state.mean(dim=1))


@pytest.mark.parametrize("family", FAMILIES)
def test_max_tokens(family: str, others: Callable[[str], Path]) -> None:
    encoder = load_text_encoder(str(others(family))).eval()
    tokens = encoder.tokenize(["a person nods " * 400])
    assert tokens.ids.shape[1] == encoder.max_tokens == {"roberta": 38, "t5": 512}.get(family, 40)
    assert encoder(tokens).isfinite().all()


def test_texts_are_independent(encoder: TextEncoder) -> None:
    encoder.train()
    together = encoder(encoder.tokenize(WORDS))
    assert together.shape == (4, encoder.embed_dim)
    alone = torch.cat([encoder(encoder.tokenize([text])) for text in WORDS])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    chosen = encoder(encoder.tokenize(WORDS).select(torch.tensor([2, 0])))
    torch.testing.assert_close(chosen, together[[2, 0]], rtol=1e-4, atol=1e-5)


def test_training_without_dropout(encoder: TextEncoder) -> None:
    encoder.train()
    tokens = encoder.tokenize(WORDS)
    assert torch.equal(encoder(tokens), encoder(tokens))
    encoder(tokens).square().sum().backward()
    silent = [name for name, parameter in encoder.named_parameters() if parameter.grad is None]
    assert [name for name in silent if "pooler" not in name] == []


def test_pooling(tiny_bert: Path, clip: Path) -> None:
    encoder = load_text_encoder(str(tiny_bert)).eval()
    tokens = encoder.tokenize(WORDS[:1])
    wanted = transformers.BertModel.from_pretrained(tiny_bert).eval()(tokens.ids, tokens.mask).last_hidden_state[:, 0]
    torch.testing.assert_close(encoder(tokens), wanted)

    encoder = load_text_encoder(str(clip)).eval()
    tokens = encoder.tokenize(WORDS[:1])
    whole = transformers.CLIPModel.from_pretrained(clip).eval()
    last = whole.text_model(tokens.ids, tokens.mask).last_hidden_state[:, int(tokens.mask.sum()) - 1]
    torch.testing.assert_close(encoder(tokens), whole.text_projection(last))


def test_long_texts(tiny_bert: Path) -> None:
    encoder = load_text_encoder(str(tiny_bert))
    assert encoder.tokenize(["nods " * 100]).ids.shape == (1, 48)


def test_minilm() -> None:
    encoder = load_text_encoder("minilm").eval()
    assert encoder.embed_dim == 384
    with torch.no_grad():
        features = encoder(encoder.tokenize(["sit down on a chair", "take a seat", "kick a ball"]))
    features = torch.nn.functional.normalize(features, dim=1)
    alike, unlike = float(features[0] @ features[1]), float(features[0] @ features[2])
    assert alike > 0.5
    assert unlike < alike / 2


def test_random_vectors() -> None:
    encoder = load_text_encoder("random")
    first, again, other = encoder(encoder.tokenize(["sit down", "a text that pads the first one", "take a seat"]))[[0, 0, 2]]
    alone = load_text_encoder("random")(encoder.tokenize(["sit down"]))[0]
    assert torch.equal(first, alone) and torch.equal(first, again)
    assert abs(float(first.norm()) - 1) < 1e-6
    assert abs(float(first @ other)) < 0.3


def test_minilm_with_other_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MINILM_SHA256", "0" * 64)
    with pytest.raises(FileError):
        load_text_encoder("minilm")


def test_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError):
        load_text_encoder(str(tmp_path / "nothing"))
    transformers.GPT2Config(n_layer=1, n_head=1, n_embd=8).save_pretrained(tmp_path)  # no weights, no vocabulary
    with pytest.raises(NotFoundError):
        load_text_encoder(str(tmp_path))
    monkeypatch.setattr(loading, "MINILM_PACKAGE", "not_installed_here")
    with pytest.raises(MissingPackageError):
        load_text_encoder("minilm")


def test_registered_names(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading.TEXT_ENCODERS, "_entries", dict(loading.TEXT_ENCODERS))
    register_text_encoder("mine")(lambda: load_text_encoder(tiny_bert))
    assert load_text_encoder("mine").embed_dim == 24
    assert list_text_encoders() == ["minilm", "random", "clip-b32", "clip-b16", "clip-l14", "bert", "mine"]
