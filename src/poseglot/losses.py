"""The skeleton-text alignment loss (paper, equations 4-6), as pure functions of tensors.

Every clip of a batch has a skeleton feature and a text feature. Cosine similarities of all pairs, times a scale (1 / tau), are
logits; a row's target spreads over all clips of the same class, because several texts may fit one clip. The loss is the mean of
KL(target || softmax) from skeleton to text and from text to skeleton. (The paper writes the arguments in the order of torch's
`kl_div(log p, y)`; the other direction would be infinite.)
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from poseglot.errors import PoseglotError

Target = Literal["normalized", "soft10"]


def alignment_loss(
    skeleton: Tensor, text: Tensor, labels: Tensor, *, scale: Tensor | float, target: str = "normalized"
) -> Tensor:
    """L_con of one level.

    Args:
        skeleton: (B, D), one feature per clip; need not be normalised.
        text: (B, D), the feature of each clip's text.
        labels: (B,) class indices.
        scale: what cosines are multiplied by (1 / tau; the paper has 1 / 0.1).
        target: `normalized` - probability spread evenly over the pairs of the same class (the paper); `soft10` - softmax of
            10 x same-class (the authors' code).

    Returns:
        A scalar: KL summed over a row, mean over rows, mean of both directions.

    Raises:
        PoseglotError: unknown target, or shapes that do not fit.
    """
    if skeleton.ndim != 2 or skeleton.shape != text.shape or labels.shape != skeleton.shape[:1]:
        raise PoseglotError(
            f"alignment_loss takes skeleton (B, D), text (B, D) and labels (B,), but got {tuple(skeleton.shape)}, "
            f"{tuple(text.shape)} and {tuple(labels.shape)}."
        )
    same = labels[:, None] == labels[None, :]
    if target == "normalized":
        wanted = same.to(skeleton.dtype) / same.sum(dim=1, keepdim=True)
    elif target == "soft10":
        wanted = torch.softmax(10 * same.to(skeleton.dtype), dim=1)
    else:
        raise PoseglotError(f"unknown target {target!r}; there are 'normalized' (the paper) and 'soft10' (the authors' code).")
    logits = scale * F.normalize(skeleton, dim=1) @ F.normalize(text, dim=1).T
    # Both targets are symmetric, so the same one serves the transposed logits.
    return (_kl(wanted, logits) + _kl(wanted, logits.T)) / 2


def _kl(wanted: Tensor, logits: Tensor) -> Tensor:
    return F.kl_div(F.log_softmax(logits, dim=1), wanted, reduction="batchmean")
