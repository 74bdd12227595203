"""Prompt learning (CoOp: Zhou et al., Learning to Prompt for Vision-Language Models, IJCV 2022), a baseline of the paper's table 1f.

Instead of written words, `length` learned vectors stand before the class name, the same for all classes. They take the place of token
embeddings: a text is tokenised with as many placeholder tokens after its opening special token (if the model has one), and whatever
the model's embedding says of these is replaced. So one mechanism serves every family, and positions stay those of the model.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from poseglot.errors import PoseglotError
from poseglot.models.text.encoder import TextEncoder, Tokens


class ContextEncoder(nn.Module):
    """A text encoder that reads learned vectors before every text.

    Args:
        encoder: pre-trained; whether it learns along is decided by its parameters' `requires_grad`.
        length: how many vectors.
        seed: of their first values (normal, standard deviation .02, as in CoOp).
    """

    def __init__(self, encoder: TextEncoder, *, length: int, seed: int) -> None:
        super().__init__()
        if not 1 <= length <= encoder.longest // 2:
            raise PoseglotError(
                f"words.context must be from 1 to {encoder.longest // 2} vectors (half of what this text encoder reads), not {length}."
            )
        self.encoder = encoder
        self.width = encoder.width
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
        """Tokens with placeholders where the vectors go."""
        plain = self.encoder.tokenize(texts, room=self.length)
        inserted = torch.full((len(plain), self.length), self.placeholder)
        return Tokens(
            torch.cat([plain.ids[:, : self.start], inserted, plain.ids[:, self.start :]], dim=1),
            torch.cat([plain.mask[:, : self.start], torch.ones_like(inserted), plain.mask[:, self.start :]], dim=1),
        )

    def forward(self, tokens: Tokens) -> Tensor:
        """(texts, width)."""
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
