"""What a finished run's text encoder says: it is not part of the recognizer, but of the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from poseglot.training.build import build
from poseglot.training.checkpoint import load_weights
from poseglot.training.recipe_file import read_recipe
from poseglot.training.run import Run


def text_features(run: Run) -> Mapping[str, Tensor]:
    """The text features that a run's recognizer was aligned with, as its text encoder has them after the last epoch.

    Returns:
        Alignment level -> (classes, text width), the mean over a class's texts; empty without words.

    Raises:
        PoseglotError: the run's data or checkpoint is gone.
    """
    built = build(read_recipe(run.recipe))
    if built.prompts is None:
        return {}
    task, prompts = built.task.eval(), built.prompts
    load_weights(run.checkpoint, task)
    assert task.bank is not None
    with torch.no_grad():
        texts = task.bank(torch.arange(len(prompts.texts)))
    # Candidates beyond a class's own are repetitions.
    own = torch.arange(prompts.candidates.shape[2]) < prompts.counts[..., None]
    features = (texts[prompts.candidates] * own[..., None]).sum(dim=2) / prompts.counts[..., None]
    return dict(zip(prompts.levels, features, strict=True))
