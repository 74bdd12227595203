"""Encode many texts with a text encoder, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from poseglot.models.text.encoder import TextEncoder
from poseglot.models.text.prompt_learner import PromptLearner


def encode_texts(
    encoder: TextEncoder | PromptLearner,
    texts: Sequence[str],
    *,
    batch_size: int = 64,
    progress: Callable[[int], object] = lambda done: None,
) -> Tensor:
    """Return the features of texts, (texts, width) on the CPU, without gradients.

    Args:
        batch_size: The number of texts encoded at once; texts of similar length share a batch, so that little is padded.
        progress: Called after each batch with its number of texts.
    """
    order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    batches = []
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            batch = [texts[number] for number in order[start : start + batch_size]]
            batches.append(encoder(encoder.tokenize(batch)).cpu())
            progress(len(batch))
    features = torch.cat(batches)
    return torch.empty_like(features).index_copy_(0, torch.tensor(order), features)
