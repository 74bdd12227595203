"""The task: a recognizer, the texts it is aligned with, and the loss (paper, figure 2 and equation 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseglot.descriptions import PromptTable
from poseglot.losses import alignment_loss
from poseglot.models.recognizer import Recognizer
from poseglot.models.text import TextEncoder
from poseglot.training.distributed import gather, own_share, world_size
from poseglot.training.recipe import LossRecipe


class TextBank(nn.Module):
    """Features of the prompt table's texts, each distinct text encoded once: per step, or - frozen - once for all.

    Args:
        texts: every distinct text.
        encoder: pre-trained.
        frozen: encode all texts now and let the encoder go.
    """

    def __init__(self, texts: tuple[str, ...], encoder: TextEncoder, *, frozen: bool) -> None:
        super().__init__()
        self.width = encoder.width
        self.tokens = encoder.tokenize(texts)
        self.encoder: TextEncoder | None = None
        table: Tensor | None = None
        if frozen:
            with torch.no_grad():
                table = encoder.eval()(self.tokens)
        else:
            self.encoder = encoder
        self.register_buffer("table", table, persistent=False)
        self.table: Tensor | None

    def forward(self, places: Tensor) -> Tensor:
        """Places in the list of texts, any shape, the same in every process -> features (*shape, width)."""
        if self.table is not None:
            return self.table[places]
        assert self.encoder is not None
        distinct, which = places.unique(return_inverse=True)
        # Each process encodes its share; at least one text each, so that all of them take part in the step.
        if len(distinct) < world_size():
            distinct = distinct.repeat(world_size())
        tokens = self.tokens.select(distinct[own_share(len(distinct))].cpu()).to(places.device)
        features = gather(self.encoder(tokens), len(distinct))
        # index_select, because its gradient adds up in a fixed order on a CPU: a resumed run is bit for bit the unbroken one.
        return features.index_select(0, which.flatten()).view(*places.shape, -1)


class Task(nn.Module):
    """Model and loss of one training step.

    Args:
        recognizer: with a head for every level of the prompts, in their order.
        loss: see `LossRecipe`.
        prompts, bank: the texts; both None to train without words.
    """

    def __init__(
        self, recognizer: Recognizer, loss: LossRecipe, *, prompts: PromptTable | None = None, bank: TextBank | None = None
    ) -> None:
        super().__init__()
        assert (prompts is None) == (bank is None)
        self.recognizer = recognizer
        self.loss = loss
        self.bank = bank
        self.levels = prompts.levels if prompts is not None else ()
        scale = torch.full((len(self.levels),), loss.scale)
        self.scale: Tensor
        if loss.learned_scale and self.levels:
            self.scale = nn.Parameter(scale)
        else:
            self.register_buffer("scale", scale, persistent=False)

    def forward(self, view: Tensor, labels: Tensor, places: Tensor | None) -> Mapping[str, Tensor]:
        """One step's losses.

        Args:
            view: (n, M, T, V, C), this process's share of the batch.
            labels: (B,), of the whole batch.
            places: (K, B), the text of each level and clip of the whole batch; None without words.

        Returns:
            loss (to be averaged over processes), classification, alignment (mean over levels), logits (n, classes).
        """
        output = self.recognizer(view)
        with torch.autocast(view.device.type, enabled=False):
            logits = output["logits"].float() if output["logits"].dtype != torch.float64 else output["logits"]
            own = F.cross_entropy(logits, labels[own_share(len(labels))], reduction="sum")
            classification = own * world_size() / len(labels)
            alignment = torch.zeros_like(classification)
        if places is not None:
            alignment = self._alignment(output["alignment"], labels, places)
        loss = classification + self.loss.weight * alignment
        return {
            "loss": loss,
            "classification": classification.detach(),
            "alignment": alignment.detach(),
            "logits": logits.detach(),
        }

    def _alignment(self, aligned: Mapping[str, Tensor], labels: Tensor, places: Tensor) -> Tensor:
        """Equation 6, over the gathered batch."""
        assert self.bank is not None
        text = self.bank(places)
        features = gather(torch.stack([aligned[level] for level in self.levels]), len(labels), dim=1)
        with torch.autocast(features.device.type, enabled=False):
            text, features = text.to(self.scale.dtype), features.to(self.scale.dtype)
            losses = [
                alignment_loss(features[place], text[place], labels, scale=self.scale[place], target=self.loss.target)
                for place in range(len(self.levels))
            ]
            return torch.stack(losses).mean()

    def parameter_groups(self, *, lr: float, text_lr_scale: float) -> list[dict[str, Any]]:
        """For the optimiser: everything else, then the text encoder at its own rate. `lr_scale` stays with each group."""
        text = [] if self.bank is None else list(self.bank.parameters())
        in_text = {id(parameter) for parameter in text}
        others = [parameter for parameter in self.parameters() if id(parameter) not in in_text]
        groups = [{"params": others, "lr": lr, "lr_scale": 1.0}]
        if text:
            groups.append({"params": text, "lr": lr * text_lr_scale, "lr_scale": text_lr_scale})
        return groups
