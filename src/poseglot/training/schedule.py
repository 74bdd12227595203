"""The learning rate of an epoch: linear warm-up, then steps."""

from __future__ import annotations

from poseglot.training.recipe import OptimRecipe


def learning_rate(optim: OptimRecipe, epoch: int) -> float:
    """Of an epoch counted from 0: lr * (e + 1) / warm-up at first, then lr * decay ** (steps passed)."""
    if epoch < optim.warmup_epochs:
        return optim.lr * (epoch + 1) / optim.warmup_epochs
    return optim.lr * optim.gamma ** sum(epoch >= step for step in optim.milestones)
