"""The text encoder, with what all families share: tokens, pooling, dropout off.

Tokens stay on the CPU, where their lengths can be read, until it is known which go through the model together; then they move to the model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from poseglot.devices import to_device
from poseglot.models.text.attention import skip_mask_checks

# (output of the transformers model, attention mask) -> (texts, embed_dim)
Pooling = Callable[[Any, Tensor], Tensor]

LENGTH_GROUPS = 4


@dataclass(frozen=True, eq=False)
class Tokens:
    """Tokenized texts: ids and attention mask, both (texts, tokens) int64, on the CPU."""

    ids: Tensor
    mask: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, indices: Tensor) -> Tokens:
        """Return some of the texts, cut to the longest of them."""
        mask = self.mask[indices]
        length = int(mask.sum(dim=1).max())
        return Tokens(self.ids[indices, :length], mask[:, :length])


class TextEncoder(nn.Module):
    """A transformers model with its tokenizer and pooling: texts -> features.

    Args:
        model: the transformers model.
        tokenizer: its tokenizer (pads on the right).
        pooling: how the feature of a text is read from the model's output.
        embed_dim: width of the features.
        max_tokens: how many tokens the model reads at most; longer texts are cut.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, *, pooling: Pooling, embed_dim: int, max_tokens: int) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.pooling = pooling
        self.embed_dim = embed_dim
        self.max_tokens = max_tokens
        self._skips_mask_checks = skip_mask_checks(model)

    def tokenize(self, texts: Sequence[str], *, room: int = 0) -> Tokens:
        """Tokenize texts. Those longer than the model reads are cut, leaving room for so many more tokens."""
        encoded = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.max_tokens - room, return_tensors="pt"
        )
        return Tokens(encoded["input_ids"], encoded["attention_mask"])

    def forward(self, tokens: Tokens) -> Tensor:
        """Return features (texts, embed_dim), on the model's device. Texts of similar length go through it together, to save padding."""
        order = tokens.mask.sum(dim=1).argsort(stable=True)
        groups = [tokens.select(indices) for indices in order.tensor_split(min(LENGTH_GROUPS, len(tokens)))]
        features = torch.cat([self._encode(group) for group in groups])
        return torch.zeros_like(features).index_copy(0, to_device(order, features.device), features)

    def _encode(self, tokens: Tokens) -> Tensor:
        device = next(self.model.parameters()).device
        ids, mask = to_device(tokens.ids, device), to_device(tokens.mask, device)
        # See `attention`: no mask where there is no padding, which is known here without asking the device.
        omit_mask = self._skips_mask_checks and bool(tokens.mask.all())
        return self.pooling(self.model(input_ids=ids, attention_mask=None if omit_mask else mask), mask)

    def train(self, mode: bool = True) -> TextEncoder:
        """Set the mode. Gradients flow in either; dropout stays off in both."""
        super().train(mode)
        self.model.eval()
        return self

    def __repr__(self) -> str:
        return f"TextEncoder({type(self.model).__name__}, embed_dim={self.embed_dim}, max_tokens={self.max_tokens})"


class RandomVectors(TextEncoder):
    """A control: a random unit vector for each text, which depends on the text's tokens alone. There is nothing to train.

    What an alignment with these gains over none is not due to what the texts mean.
    """

    def __init__(self, tokenizer: Any, *, embed_dim: int, max_tokens: int) -> None:
        super().__init__(nn.Identity(), tokenizer, pooling=mean_pooling, embed_dim=embed_dim, max_tokens=max_tokens)
        self.register_buffer("anchor", torch.empty(0), persistent=False)  # knows the device
        self.anchor: Tensor

    def forward(self, tokens: Tokens) -> Tensor:
        """Return features (texts, embed_dim), on the device that the module was moved to."""
        rows = [ids[mask.bool()].numpy() for ids, mask in zip(tokens.ids, tokens.mask, strict=True)]
        features = torch.stack([self._vector(row.tobytes()) for row in rows])
        return to_device(nn.functional.normalize(features, dim=-1), self.anchor.device)

    def _vector(self, key: bytes) -> Tensor:
        seed = int.from_bytes(hashlib.sha256(key).digest()[:8], "big", signed=True)
        return torch.randn(self.embed_dim, generator=torch.Generator().manual_seed(seed))

    def __repr__(self) -> str:
        return f"RandomVectors(embed_dim={self.embed_dim})"


def mean_pooling(output: Any, mask: Tensor) -> Tensor:
    """Return the mean of the last layer over the tokens of a text (sentence-transformers)."""
    weight = mask[..., None].to(output.last_hidden_state.dtype)
    pooled: Tensor = (output.last_hidden_state * weight).sum(dim=1) / weight.sum(dim=1)
    return pooled


def first_token(output: Any, mask: Tensor) -> Tensor:
    """Return the last layer at the first token, [CLS] (BERT)."""
    pooled: Tensor = output.last_hidden_state[:, 0]
    return pooled


def text_projection(output: Any, mask: Tensor) -> Tensor:
    """Return the end-of-text token, projected into the space shared with images (CLIP)."""
    pooled: Tensor = output.text_embeds
    return pooled
