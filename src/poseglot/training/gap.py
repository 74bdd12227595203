"""The task: a recognizer, the texts it is aligned with, and the loss (paper, figure 2 and equation 1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseglot.devices import to_device
from poseglot.losses import alignment_loss
from poseglot.models.recognizer import Recognizer
from poseglot.models.text import TextEncoder
from poseglot.models.text.prompt_learner import PromptLearner
from poseglot.training.distributed import gather, own_share, world_size
from poseglot.training.recipe import LossRecipe


class TextFeatures(nn.Module):
    """Features of the prompt table's texts, each distinct text encoded once: per step, or - if nothing in it learns - once for all.

    Args:
        texts: every distinct text.
        encoder: pre-trained.
        frozen: the encoder does not learn.
        context: learns what stands before the texts, reading with `encoder`; None to read the texts as they are.
    """

    def __init__(
        self, texts: tuple[str, ...], encoder: TextEncoder, *, frozen: bool, context: PromptLearner | None = None
    ) -> None:
        super().__init__()
        reader = context or encoder
        self.width = encoder.width
        self.tokens = reader.tokenize(texts)
        self.encoder: TextEncoder | PromptLearner | None = None
        table: Tensor | None = None
        if frozen:
            encoder.requires_grad_(False)
        if frozen and context is None:
            with torch.no_grad():
                table = encoder.eval()(self.tokens)
        else:
            self.encoder = reader
        self.register_buffer("table", table, persistent=False)
        self.table: Tensor | None

    def forward(self, places: Tensor) -> Tensor:
        """Places in the list of texts, any shape, on the CPU, the same in every process -> features (*shape, width)."""
        if self.table is not None:
            return self.table[to_device(places, self.table.device)]
        assert self.encoder is not None
        distinct, which = places.unique(return_inverse=True)
        # Each process encodes its share; at least one text each, so that all of them take part in the step.
        if len(distinct) < world_size():
            distinct = distinct.repeat(world_size())
        features = gather(self.encoder(self.tokens.select(distinct[own_share(len(distinct))])), len(distinct))
        # index_select, because its gradient adds up in a fixed order on a CPU: a resumed run is bit for bit the unbroken one.
        return features.index_select(0, to_device(which.flatten(), features.device)).view(*places.shape, -1)


class LearnedWeight(nn.Module):
    """lambda of equation 1, learned.

    The paper says "a learnable trade-off parameter" and no more. Two things would go wrong with a plain parameter: it may turn
    negative, and - since the alignment loss is never negative - gradient descent on lambda * L_con only ever makes it smaller, down
    to nothing. So lambda = exp(s), which is positive, and the loss is

        L_cls + lambda * L_con - start * log(lambda)

    the second part being the uncertainty weighting of Kendall et al. (CVPR 2018). It is lowest where lambda * L_con = start: the
    better the alignment, the more it weighs, and its share of the loss stays what it was meant to be. No weight decay on s.
    """

    def __init__(self, start: float) -> None:
        super().__init__()
        self.start = start
        self.log = nn.Parameter(torch.tensor(math.log(start)))

    def forward(self, alignment: Tensor) -> Tensor:
        return self.log.exp() * alignment - self.start * self.log


def balance(clips: Tensor | None) -> Tensor:
    """Weights of classes with so many clips, inversely to them, so that the mean over clips is 1; of a class without clips it is 0."""
    assert clips is not None
    there = clips > 0
    return torch.where(there, clips.sum() / (there.sum() * clips.clamp(min=1)), 0)


class GAP(nn.Module):
    """Model and loss of one training step.

    Beside the classification of the whole body, every level of the recognizer learns from its text; or, without a bank, from the class
    (the part-classification baseline of the paper's table 1e: its heads are classifiers).

    Args:
        recognizer: with a head for every level, in the order of the prompts.
        loss: see `LossRecipe`.
        bank: the texts; None without words.
        clips: (classes,) how many clips each class has to learn from, by which `loss.balanced` weighs them.
    """

    def __init__(
        self, recognizer: Recognizer, loss: LossRecipe, *, bank: TextFeatures | None = None, clips: Tensor | None = None
    ) -> None:
        super().__init__()
        self.recognizer = recognizer
        self.loss = loss
        self.bank = bank
        self.levels = tuple(recognizer.spec.levels or ())
        self.learned_weight = LearnedWeight(loss.alignment_weight) if loss.learn_alignment_weight and self.levels else None
        self.register_buffer("class_weights", balance(clips) if loss.balanced else None, persistent=False)
        self.class_weights: Tensor | None
        scale = torch.full((len(self.levels),), loss.logit_scale)
        self.scale: Tensor
        if loss.learn_logit_scale and bank is not None:
            self.scale = nn.Parameter(scale)
        else:
            self.register_buffer("scale", scale, persistent=False)

    def forward(self, view: Tensor, labels: Tensor, places: Tensor | npt.NDArray[np.int64] | None) -> Mapping[str, Tensor]:
        """One step's losses.

        Args:
            view: (n, M, T, V, C), this process's share of the batch.
            labels: (B,), of the whole batch.
            places: (K, B), the text of each level and clip of the whole batch, on the CPU (as an array it stays there, where
                DistributedDataParallel would move a tensor to the GPU); None without words.

        Returns:
            loss (to be averaged over processes), classification, alignment (mean over levels), logits (n, classes).
        """
        output = self.recognizer(view)
        with torch.autocast(view.device.type, enabled=False):
            logits = output["logits"].float() if output["logits"].dtype != torch.float64 else output["logits"]
            weights = None if self.class_weights is None else self.class_weights.to(logits.dtype)
            own = F.cross_entropy(logits, labels[own_share(len(labels))], weight=weights, reduction="sum")
            classification = own * world_size() / len(labels)
        loss, alignment = classification, torch.zeros_like(classification)
        if self.levels:
            features = gather(torch.stack([output["alignment"][level] for level in self.levels]), len(labels), dim=1)
            alignment = self._alignment(features, labels, None if places is None else torch.as_tensor(places))
            weighed = (
                self.learned_weight(alignment) if self.learned_weight is not None else self.loss.alignment_weight * alignment
            )
            loss = classification + weighed
        return {
            "loss": loss,
            "classification": classification.detach(),
            "alignment": alignment.detach(),
            "logits": logits.detach(),
        }

    def _alignment(self, features: Tensor, labels: Tensor, places: Tensor | None) -> Tensor:
        """Equation 6, over the gathered batch: the mean over levels of (K, B, width) features."""
        text = None
        if self.bank is not None:
            assert places is not None
            text = self.bank(places)
        with torch.autocast(features.device.type, enabled=False):
            features = features.to(self.scale.dtype)
            if text is None:
                return torch.stack([F.cross_entropy(logits, labels) for logits in features]).mean()
            text = text.to(self.scale.dtype)
            losses = [
                alignment_loss(features[place], text[place], labels, scale=self.scale[place], target=self.loss.target)
                for place in range(len(self.levels))
            ]
            return torch.stack(losses).mean()

    @property
    def weight(self) -> float:
        """lambda as it stands."""
        return self.loss.alignment_weight if self.learned_weight is None else float(self.learned_weight.log.detach().exp())

    def parameter_groups(self, *, lr: float, text_lr_scale: float) -> list[dict[str, Any]]:
        """For the optimiser: everything else, then what reads at its own rate, then lambda. `lr_scale` stays with each group."""
        text = [] if self.bank is None else [parameter for parameter in self.bank.parameters() if parameter.requires_grad]
        weight = [] if self.learned_weight is None else list(self.learned_weight.parameters())
        apart = {id(parameter) for module in (self.bank, self.learned_weight) if module for parameter in module.parameters()}
        others = [parameter for parameter in self.parameters() if id(parameter) not in apart]
        groups: list[dict[str, Any]] = [{"params": others, "lr": lr, "lr_scale": 1.0}]
        if text:
            groups.append({"params": text, "lr": lr * text_lr_scale, "lr_scale": text_lr_scale})
        if weight:
            groups.append({"params": weight, "lr": lr, "lr_scale": 1.0, "weight_decay": 0.0})
        return groups
