"""The contract of a text encoder, and the part that all families share: tokens, pooling, dropout off.

Tokens stay on the CPU, where lengths can be looked at, until what goes through the model together is known; then they follow the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from poseglot.devices import to_device
from poseglot.models.text.attention import stop_looking_at_masks

# (what the transformers model returned, attention mask) -> (texts, width)
Pooling = Callable[[Any, Tensor], Tensor]

LENGTH_GROUPS = 4


@dataclass(frozen=True, eq=False)
class Tokens:
    """Tokenised texts: ids and attention mask, both (texts, longest) int64, on the CPU."""

    ids: Tensor
    mask: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, places: Tensor) -> Tokens:
        """Some of the texts, no longer than the longest of them."""
        mask = self.mask[places]
        longest = int(mask.sum(dim=1).max())
        return Tokens(self.ids[places, :longest], mask[:, :longest])


class TextEncoder(nn.Module):
    """A transformers model with its tokenizer and pooling.

    Args:
        model: the transformers model.
        tokenizer: its tokenizer (pads on the right).
        pooling: how a text's feature is read off the model's output.
        width: of the features.
        longest: most tokens that the model reads; longer texts are cut.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, *, pooling: Pooling, width: int, longest: int) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.pooling = pooling
        self.width = width
        self.longest = longest
        self._believes = stop_looking_at_masks(model)

    def tokenize(self, texts: Sequence[str], *, room: int = 0) -> Tokens:
        """Texts longer than the model reads are cut, leaving room for so many more tokens."""
        encoded = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.longest - room, return_tensors="pt"
        )
        return Tokens(encoded["input_ids"], encoded["attention_mask"])

    def forward(self, tokens: Tokens) -> Tensor:
        """(texts, width), where the model is. Texts of similar length go through it together, so that little is spent on padding."""
        order = tokens.mask.sum(dim=1).argsort(stable=True)
        groups = [tokens.select(places) for places in order.tensor_split(min(LENGTH_GROUPS, len(tokens)))]
        features = torch.cat([self._encode(group) for group in groups])
        return torch.zeros_like(features).index_copy(0, to_device(order, features.device), features)

    def _encode(self, tokens: Tokens) -> Tensor:
        device = next(self.model.parameters()).device
        ids, mask = to_device(tokens.ids, device), to_device(tokens.mask, device)
        # See `attention`: no mask where there is no padding, which is known here without asking the device.
        plain = self._believes and bool(tokens.mask.all())
        return self.pooling(self.model(input_ids=ids, attention_mask=None if plain else mask), mask)

    def train(self, mode: bool = True) -> TextEncoder:
        """Gradients flow in either mode; dropout stays off in both."""
        super().train(mode)
        self.model.eval()
        return self


def mean_pooling(output: Any, mask: Tensor) -> Tensor:
    """The mean of the last layer over a text's tokens (sentence-transformers)."""
    weight = mask[..., None].to(output.last_hidden_state.dtype)
    pooled: Tensor = (output.last_hidden_state * weight).sum(dim=1) / weight.sum(dim=1)
    return pooled


def first_token(output: Any, mask: Tensor) -> Tensor:
    """The last layer at the first token, [CLS] (BERT)."""
    pooled: Tensor = output.last_hidden_state[:, 0]
    return pooled


def text_projection(output: Any, mask: Tensor) -> Tensor:
    """The end-of-text token, projected into the space shared with images (CLIP)."""
    pooled: Tensor = output.text_embeds
    return pooled
