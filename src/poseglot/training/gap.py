"""GAP: a recognizer, the texts that it is aligned with, and the loss (paper, figure 2 and equation 1)."""

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
from poseglot.losses import soft_alignment_loss
from poseglot.models.recognizer import Recognizer
from poseglot.models.text import TextEncoder
from poseglot.models.text.layer_cache import LayerCache
from poseglot.models.text.prompt_learner import PromptLearner
from poseglot.training.distributed import gather, own_share, world_size
from poseglot.training.optimizers import decay_groups


class TextFeatures(nn.Module):
    """The features of the prompt table's texts. A step encodes each distinct text once; what does not learn is encoded once for all.

    Args:
        texts: All distinct texts.
        encoder: A pre-trained text encoder.
        frozen: Keep the encoder as it is.
        train_layers: Train this many of the encoder's last layers, and keep the output of the layers below for each text; 0 trains all.
        context: Learned vectors before the texts, read by `encoder`; None reads the texts as they are.

    Raises:
        SettingError: The encoder cannot be divided after so many layers.
    """

    def __init__(
        self,
        texts: tuple[str, ...],
        encoder: TextEncoder,
        *,
        frozen: bool,
        train_layers: int = 0,
        context: PromptLearner | None = None,
    ) -> None:
        super().__init__()
        reader = context or encoder
        self.embed_dim = encoder.embed_dim
        self.tokens = reader.tokenize(texts)
        self.encoder: TextEncoder | PromptLearner | None = None
        self.lower: LayerCache | None = None
        table: Tensor | None = None
        if frozen:
            encoder.requires_grad_(False)
        if frozen and context is None:
            with torch.no_grad():
                table = encoder.eval()(self.tokens)
        else:
            self.encoder = reader
            if train_layers:
                self.lower = LayerCache(encoder, self.tokens, train_layers)
        self.register_buffer("table", table, persistent=False)
        self.table: Tensor | None

    def forward(self, indices: Tensor) -> Tensor:
        """Look up texts.

        Args:
            indices: Indices of texts, of any shape, on the CPU, the same in every process.

        Returns:
            Features (*shape, width).
        """
        if self.table is not None:
            return self.table[to_device(indices, self.table.device)]
        distinct, which = indices.unique(return_inverse=True)
        # Each process encodes its share; at least one text each, so that all of them take part in the step.
        if len(distinct) < world_size():
            distinct = distinct.repeat(world_size())
        features = gather(self._encode(distinct[own_share(len(distinct))]), len(distinct))
        # index_select, because its gradient adds up in a fixed order on a CPU: a resumed run is bit for bit the unbroken one.
        return features.index_select(0, to_device(which.flatten(), features.device)).view(*indices.shape, -1)

    def _encode(self, indices: Tensor) -> Tensor:
        assert self.encoder is not None
        if self.lower is not None:
            assert isinstance(self.encoder, TextEncoder)
            upper: Tensor = self.lower(self.encoder, self.tokens, indices)
            return upper
        features: Tensor = self.encoder(self.tokens.select(indices))
        return features


class LearnedWeight(nn.Module):
    """lambda of equation 1, learned.

    The paper says "a learnable trade-off parameter" and no more. A plain parameter may turn negative. And since the alignment loss is
    never negative, gradient descent on lambda * L_con only makes lambda smaller. So lambda = exp(s), which is positive, and the loss is

        L_cls + lambda * L_con - start * log(lambda)

    The last term is the uncertainty weighting of Kendall et al. (CVPR 2018). The loss is lowest where lambda * L_con = start: the better
    the alignment, the more it weighs, and its share of the loss stays what it was meant to be. s has no weight decay.
    """

    def __init__(self, start: float) -> None:
        super().__init__()
        self.start = start
        self.log = nn.Parameter(torch.tensor(math.log(start)))

    def forward(self, alignment: Tensor) -> Tensor:
        return self.log.exp() * alignment - self.start * self.log


def balance(clips: Tensor) -> Tensor:
    """Return weights of classes with so many clips, inversely to them, with mean 1 over clips; 0 for a class without clips."""
    there = clips > 0
    return torch.where(there, clips.sum() / (there.sum() * clips.clamp(min=1)), 0)


def _alike(texts: Tensor, scale: Tensor) -> Tensor:
    """Return exp(scale * (cosine - 1)) of all pairs of (B, width) texts: 1 for equal ones. It teaches and does not learn."""
    unit = F.normalize(texts.detach(), dim=1)
    return (scale.detach() * (unit @ unit.T - 1)).exp()


class GAP(nn.Module):
    """Model and loss of one training step.

    Beside the classification of the whole body, every level of the recognizer is aligned with its text. Without `bank` it learns the
    class instead (the part-classification baseline of the paper's table 1e: its heads are classifiers).

    Mixed clips (mixup): clip i of the batch has a share `mix` of itself and the rest of its partner, the clip at the mirrored position.
    The classification is that of both labels, weighted by their shares. The mixed skeleton is aligned with all texts of the batch whose
    class it holds, in the same shares: as positives, the texts of clip i's class weigh `mix` and those of its partner's class 1 - mix.

    Args:
        recognizer: A recognizer with a head for every level, in the order of the prompts.
        bank: The features of the texts; None without text.
        alignment_weight: The weight lambda of the alignment beside the classification.
        learn_alignment_weight: Learn lambda, starting there; see `LearnedWeight`.
        logit_scale: The factor of the cosines, 1 / tau.
        learn_logit_scale: Learn one factor per level, starting there (the authors' code, which uses it without exp).
        target: The target of the alignment loss; see `poseglot.losses`.
        sentences: (texts,) int64 on the CPU, equal for texts that say the same apart from their class names. If given, clips whose
            texts say the same are positives of a level, beside those of the same class.
        similar: Every text is a positive in so far as it is like the clip's own, by exp(scale * (cosine - 1)): a clip is to be as near
            to each text as its own text is. Texts of its class are positives as they are.
        label_smoothing: The label smoothing of the classification (Szegedy et al., CVPR 2016).
        class_weights: (classes,) weights of the classification; see `balance`.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        *,
        bank: TextFeatures | None = None,
        alignment_weight: float = 0.8,
        learn_alignment_weight: bool = False,
        logit_scale: float = 10.0,
        learn_logit_scale: bool = False,
        target: str = "normalized",
        sentences: Tensor | None = None,
        similar: bool = False,
        label_smoothing: float = 0.0,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.recognizer = recognizer
        self.bank = bank
        self.alignment_weight, self.target, self.label_smoothing = alignment_weight, target, label_smoothing
        self.sentences, self.similar = sentences, similar
        self.levels = tuple(recognizer.spec.levels or ())
        self.learned_weight = LearnedWeight(alignment_weight) if learn_alignment_weight and self.levels else None
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.class_weights: Tensor | None
        scale = torch.full((len(self.levels),), logit_scale)
        self.scale: Tensor
        if learn_logit_scale and bank is not None:
            self.scale = nn.Parameter(scale)
        else:
            self.register_buffer("scale", scale, persistent=False)

    def forward(
        self, x: Tensor, labels: Tensor, texts: Tensor | npt.NDArray[np.int64] | None, mix: float = 1.0
    ) -> Mapping[str, Tensor]:
        """Compute one step's losses.

        Args:
            x: (n, M, T, V, C) inputs, this process's share of the batch.
            labels: (B,) labels of the whole batch.
            texts: (K, B) indices, the text of each level and clip of the whole batch, on the CPU (as an array it stays there, where
                DistributedDataParallel would move a tensor to the GPU); None without text.
            mix: The share that each clip has in itself; see the class.

        Returns:
            loss (to be averaged over processes), classification, alignment (mean over levels), logits (n, classes).
        """
        output = self.recognizer(x)
        with torch.autocast(x.device.type, enabled=False):
            logits = output["logits"].float() if output["logits"].dtype != torch.float64 else output["logits"]
            own = own_share(len(labels))
            summed = self._classification(logits, labels[own])
            if mix != 1:
                summed = mix * summed + (1 - mix) * self._classification(logits, labels.flip(0)[own])
            classification = summed * world_size() / len(labels)
        loss, alignment = classification, torch.zeros_like(classification)
        if self.levels:
            features = gather(torch.stack([output["alignment"][level] for level in self.levels]), len(labels), dim=1)
            alignment = self._alignment(features, labels, None if texts is None else torch.as_tensor(texts), mix)
            weighed = self.learned_weight(alignment) if self.learned_weight is not None else self.alignment_weight * alignment
            loss = classification + weighed
        return {
            "loss": loss,
            "classification": classification.detach(),
            "alignment": alignment.detach(),
            "logits": logits.detach(),
        }

    def _classification(self, logits: Tensor, labels: Tensor) -> Tensor:
        weights = None if self.class_weights is None else self.class_weights.to(logits.dtype)
        return F.cross_entropy(logits, labels, weight=weights, reduction="sum", label_smoothing=self.label_smoothing)

    def _alignment(self, features: Tensor, labels: Tensor, texts: Tensor | None, mix: float) -> Tensor:
        """Equation 6, over the gathered batch: the mean over levels of (K, B, width) features."""
        text = None
        if self.bank is not None:
            assert texts is not None
            text = self.bank(texts)
        with torch.autocast(features.device.type, enabled=False):
            features = features.to(self.scale.dtype)
            if text is None:
                losses = [F.cross_entropy(logits, labels) for logits in features]
                if mix != 1:
                    partners = [F.cross_entropy(logits, labels.flip(0)) for logits in features]
                    losses = [mix * own + (1 - mix) * theirs for own, theirs in zip(losses, partners, strict=True)]
                return torch.stack(losses).mean()
            text = text.to(self.scale.dtype)
            losses = []
            for level, scale in enumerate(self.scale):
                alike = _alike(text[level], scale) if self.similar else None
                positives = self._positives(labels, None if texts is None else texts[level], mix, alike)
                losses.append(soft_alignment_loss(features[level], text[level], positives, scale=scale, target=self.target))
            return torch.stack(losses).mean()

    def _positives(self, labels: Tensor, texts: Tensor | None, mix: float, alike: Tensor | None = None) -> Tensor:
        """Return (B, B), how much the text of clip j fits clip i."""
        same = labels[:, None] == labels[None, :]
        if self.sentences is not None and texts is not None:
            said = self.sentences[texts]
            same = same | to_device(said[:, None] == said[None, :], labels.device)
        if alike is not None:
            same = torch.maximum(same.to(alike.dtype), alike)
        if mix == 1:
            return same
        own = same.to(self.scale.dtype)
        return mix * own + (1 - mix) * own.flip(0)

    @property
    def weight(self) -> float:
        """lambda as it stands."""
        return self.alignment_weight if self.learned_weight is None else float(self.learned_weight.log.detach().exp())

    def parameter_groups(self, *, lr: float, text_lr_scale: float, decay_all: bool = True) -> list[dict[str, Any]]:
        """Return the optimizer's groups: the recognizer (and scales), the text encoder at its own rate, and lambda.

        Each group has its share of the learning rate as `lr_scale`. Groups without parameters are left out.

        Args:
            decay_all: Biases and norms have weight decay, too; see `decay_groups`.
        """
        rates = {"recognizer": 1.0, "bank": text_lr_scale}
        named: dict[str, dict[str, nn.Parameter]] = {"recognizer": {}, "bank": {}}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad and not name.startswith("learned_weight"):
                named["bank" if name.startswith("bank") else "recognizer"][name] = parameter
        groups: list[dict[str, Any]] = []
        for part, parameters in named.items():
            common = {"lr": lr * rates[part], "lr_scale": rates[part]}
            groups += [{"params": list(parameters.values()), **common}] if decay_all else decay_groups(parameters, **common)
        if self.learned_weight is not None:
            groups.append({"params": list(self.learned_weight.parameters()), "lr": lr, "lr_scale": 1.0, "weight_decay": 0.0})
        return [group for group in groups if group["params"]]
