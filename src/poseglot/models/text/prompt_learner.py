"""Prompt learning (CoOp: Zhou et al., Learning to Prompt for Vision-Language Models, IJCV 2022), a baseline of the paper's table 1f.

Instead of a written prompt, `length` learned vectors stand before the class name, the same for all classes. They replace token embeddings:
a text is tokenized with as many placeholder tokens after its opening special token (if the model has one), and the embeddings of these are
replaced. One mechanism serves every family of models, and positions stay those of the model.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from poseglot.errors import SettingError
from poseglot.models.text.encoder import TextEncoder, Tokens


class PromptLearner(nn.Module):
    """A text encoder that reads learned vectors before every text.

    Args:
        encoder: pre-trained. Its parameters' `requires_grad` decides whether it learns, too.
        length: how many vectors.
        seed: of their first values (normal, standard deviation .02, as in CoOp).

    Attributes:
        embed_dim: width of the features.

    Raises:
        SettingError: no vectors, or more than half of what the encoder reads.
    """

    def __init__(self, encoder: TextEncoder, *, length: int, seed: int) -> None:
        super().__init__()
        if not 1 <= length <= encoder.max_tokens // 2:
            raise SettingError(
                f"text.context_length must be from 1 to {encoder.max_tokens // 2} vectors (half of what this text encoder reads), "
                f"not {length}."
            )
        self.encoder = encoder
        self.embed_dim = encoder.embed_dim
        self.length = length
        embedding = _embedding(encoder).weight
        generator = torch.Generator().manual_seed(seed)
        self.vectors = nn.Parameter(0.02 * torch.randn(length, embedding.shape[1], generator=generator))
        tokenizer = encoder.tokenizer
        opening = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
        self.start = opening.index(0)  # how many special tokens open a text
        special = set(tokenizer.all_special_ids)
        self.placeholder = next(number for number in range(len(embedding)) if number not in special)

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Tokenize texts, with placeholders where the vectors go."""
        plain = self.encoder.tokenize(texts, room=self.length)
        inserted = torch.full((len(plain), self.length), self.placeholder)
        return Tokens(
            torch.cat([plain.ids[:, : self.start], inserted, plain.ids[:, self.start :]], dim=1),
            torch.cat([plain.mask[:, : self.start], torch.ones_like(inserted), plain.mask[:, self.start :]], dim=1),
        )

    def forward(self, tokens: Tokens) -> Tensor:
        """Return features (texts, embed_dim)."""
        end = self.start + self.length

        def replace(module: nn.Module, arguments: object, embedded: Tensor) -> Tensor:
            context = self.vectors.to(embedded.dtype).expand(len(embedded), -1, -1)
            return torch.cat([embedded[:, : self.start], context, embedded[:, end:]], dim=1)

        hook = _embedding(self.encoder).register_forward_hook(replace)
        try:
            features: Tensor = self.encoder(tokens)
        finally:
            hook.remove()
        return features


def _embedding(encoder: TextEncoder) -> nn.Embedding:
    embedding = encoder.model.get_input_embeddings()  # type: ignore[operator]
    assert isinstance(embedding, nn.Embedding)
    return embedding
