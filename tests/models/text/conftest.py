"""Small random text models on disk, as a hub would give them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

WORDS = ["a person nods", "the head tilts slowly down and comes up again", "sit", "both hands rise above the head"]
# Beside BERT and CLIP: positions that begin behind the padding's, none of padding at all, an encoder with a decoder, plain ones.
FAMILIES = ("roberta", "gpt2", "t5", "distilbert")


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


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a small model of one of `FAMILIES`, 16 wide, with positions for 40 tokens."""
    made: dict[str, Path] = {}

    def folder_of(family: str) -> Path:
        if family not in made:
            made[family] = tmp_path_factory.mktemp(family)
            torch.manual_seed(0)
            _tokenizer(family).save_pretrained(made[family])
            _model(family).save_pretrained(made[family])
        return made[family]

    return folder_of


def _tokenizer(family: str) -> transformers.PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = sorted({word for text in WORDS for word in text.split()})
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate([*special, *words])}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    around = {"roberta": "<s> $A </s>", "distilbert": "<s> $A </s>", "t5": "$A </s>"}.get(family)
    if around:
        tokenizer.post_processor = processors.TemplateProcessing(single=around, special_tokens=[("<s>", 0), ("</s>", 2)])
    padding = {} if family == "gpt2" else {"pad_token": "<pad>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>", **padding)


def _model(family: str) -> transformers.PreTrainedModel:
    size = 40
    if family == "roberta":
        config = transformers.RobertaConfig(
            vocab_size=size,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=40,
            pad_token_id=1,
        )
        return transformers.RobertaModel(config)
    if family == "gpt2":
        return transformers.GPT2Model(transformers.GPT2Config(vocab_size=size, n_embd=16, n_layer=1, n_head=2, n_positions=40))
    if family == "t5":
        config = transformers.T5Config(
            vocab_size=size, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, pad_token_id=1, decoder_start_token_id=1
        )
        return transformers.T5Model(config)
    config = transformers.DistilBertConfig(
        vocab_size=size, dim=16, hidden_dim=16, n_layers=1, n_heads=2, max_position_embeddings=40, pad_token_id=1
    )
    return transformers.DistilBertModel(config)
