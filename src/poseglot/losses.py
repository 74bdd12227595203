"""The skeleton-text alignment loss (paper, equations 4-6), as functions of tensors and as a module.

Every clip of a batch has a skeleton feature and a text feature. The logits are the cosine similarities of all pairs times a scale
(1 / tau). The target of a row spreads over all positives, because several texts may fit one clip. The loss is the mean of
KL(target || softmax) from skeleton to text and from text to skeleton. (The paper writes the arguments in the order of torch's
`kl_div(log p, y)`; the other direction would be infinite.)
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseglot.errors import InputError, SettingError

Target = Literal["normalized", "soft10"]
TARGETS: tuple[Target, ...] = ("normalized", "soft10")


def alignment_loss(
    skeleton: Tensor, text: Tensor, labels: Tensor, *, scale: Tensor | float, target: str = "normalized"
) -> Tensor:
    """Compute L_con of one level. The positives of a clip are the texts of its class.

    Args:
        skeleton: (B, D), one feature per clip; need not be normalised.
        text: (B, D), the feature of each clip's text.
        labels: (B,) class indices.
        scale: The factor of the cosines (1 / tau; the paper has 1 / 0.1).
        target: `normalized`: probability spread evenly over the positives (the paper); `soft10`: softmax of 10 x positive
            (the authors' code).

    Returns:
        A scalar: KL summed over a row, mean over rows, mean of both directions.

    Raises:
        SettingError: The target is unknown.
        InputError: The shapes do not fit.
    """
    if skeleton.ndim != 2 or skeleton.shape != text.shape or labels.shape != skeleton.shape[:1]:
        raise InputError(
            f"alignment_loss takes skeleton (B, D), text (B, D) and labels (B,), but got {tuple(skeleton.shape)}, "
            f"{tuple(text.shape)} and {tuple(labels.shape)}."
        )
    return soft_alignment_loss(skeleton, text, labels[:, None] == labels[None, :], scale=scale, target=target)


def soft_alignment_loss(
    skeleton: Tensor, text: Tensor, positives: Tensor, *, scale: Tensor | float, target: str = "normalized"
) -> Tensor:
    """Compute L_con of one level for given positives.

    Args:
        positives: (B, B), how much the text of clip j fits clip i: 0 or 1, or between for mixed clips. Every row and every column
            has one that is positive.
        skeleton, text, scale, target: As for `alignment_loss`.

    Raises:
        SettingError: The target is unknown.
    """
    logits = scale * F.normalize(skeleton, dim=1) @ F.normalize(text, dim=1).T
    return (_kl(_wanted(positives, target, logits), logits) + _kl(_wanted(positives.T, target, logits), logits.T)) / 2


def _wanted(positives: Tensor, target: str, logits: Tensor) -> Tensor:
    """The target distribution of every row."""
    if target == "normalized":
        return positives.to(logits.dtype) / positives.sum(dim=1, keepdim=True)
    if target == "soft10":
        return torch.softmax(10 * positives.to(logits.dtype), dim=1)
    raise SettingError(f"unknown target {target!r}; there are 'normalized' (the paper) and 'soft10' (the authors' code).")


def _kl(wanted: Tensor, logits: Tensor) -> Tensor:
    return F.kl_div(F.log_softmax(logits, dim=1), wanted, reduction="batchmean")


class AlignmentLoss(nn.Module):
    """The alignment loss of one level, as a module.

    Args:
        scale: The factor of the cosines, 1 / tau.
        learn_scale: Learn the factor, starting at `scale` (the authors' code, which uses it without exp).
        target: See `alignment_loss`.

    Example:
        >>> loss = AlignmentLoss(scale=10.0)
        >>> float(loss(torch.eye(3), torch.eye(3), torch.tensor([0, 1, 2]))) < 1e-3
        True
    """

    def __init__(self, scale: float = 10.0, *, learn_scale: bool = False, target: str = "normalized") -> None:
        super().__init__()
        if target not in TARGETS:
            raise SettingError(f"unknown target {target!r}; there are {', '.join(TARGETS)}.")
        self.target = target
        self.scale: Tensor
        if learn_scale:
            self.scale = nn.Parameter(torch.tensor(float(scale)))
        else:
            self.register_buffer("scale", torch.tensor(float(scale)), persistent=False)

    def forward(self, skeleton: Tensor, text: Tensor, labels: Tensor) -> Tensor:
        """(B, D) skeleton features, (B, D) text features and (B,) labels -> a scalar."""
        return alignment_loss(skeleton, text, labels, scale=self.scale, target=self.target)

    def extra_repr(self) -> str:
        return f"target={self.target}"
