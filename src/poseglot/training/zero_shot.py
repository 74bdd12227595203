"""A finished run that recognises by words: its recognizer with the alignment heads, and its text encoder as it was after the last epoch.

The recognizer's file has the heads; a text encoder that learned along is in the checkpoint, a frozen one is what it always was. The store
is not needed. Classes that were never seen are words like any others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from poseglot.descriptions import Description, PromptTable, label_prompts, load_descriptions
from poseglot.errors import PoseglotError
from poseglot.models.recognizer import load_recognizer
from poseglot.models.text import TextEncoder, load_text_encoder
from poseglot.models.text.prompt_learner import PromptLearner
from poseglot.training.build import prompts_of
from poseglot.training.checkpoint import load_part
from poseglot.training.recipe import Recipe
from poseglot.training.recipe_io import read_recipe
from poseglot.training.run import Run

Features = npt.NDArray[np.float64]
_TEXTS = 64  # that are read at a time


class ZeroShotRecognizer:
    """Clips and words as features that can be compared (see `poseglot.evaluation.zero_shot`).

    Args:
        run: trained with text.
        device: where the recognizer runs; the words are read there, too.

    Attributes:
        recipe: of the run.
        classes: that were learned.
        levels: alignment levels, in the order of all features.
        scale: what cosines were multiplied by in training; the mean over levels where each learned its own.

    Raises:
        PoseglotError: the run has no recipe, was trained without words, or what it needs is gone.
    """

    def __init__(self, run: Run, *, device: str | torch.device = "cpu") -> None:
        if not run.recipe.exists():
            raise PoseglotError(f"{run.folder} has no recipe.yaml, which says what words it was trained with.")
        self.recipe: Recipe = read_recipe(run.recipe)
        if not self.recipe.with_text:
            raise PoseglotError(
                f"{run.folder} was trained without words (text.prompt {self.recipe.text.prompt}, text.partition "
                f"{self.recipe.text.partition}), so that nothing can be recognised by its text. Train with text.prompt synonym+parts."
            )
        recognizer = load_recognizer(run.recognizer)
        self.classes = recognizer.spec.classes
        self.levels = tuple(recognizer.spec.levels or ())
        self.spec, self.layout = recognizer.spec, recognizer.layout
        self.reader, self.scale = _reader(run, self.recipe)
        if self.reader.embed_dim != recognizer.spec.embed_dim:
            raise PoseglotError(
                f"the text encoder {self.recipe.text.encoder!r} gives {self.reader.embed_dim} numbers a text now, but {run.folder} was "
                f"trained with {recognizer.spec.embed_dim}; it is another one than it was."
            )
        self.device = torch.device(device)
        self.recognizer, self.reader = recognizer.to(self.device), self.reader.to(self.device).eval()

    def features(self, views: Tensor) -> Features:
        """What the alignment heads make of clips: (N, M, T, V, C) -> (levels, N, width)."""
        with torch.inference_mode():
            aligned = self.recognizer(views.to(self.device))["alignment"]
            return torch.stack([aligned[level] for level in self.levels]).double().cpu().numpy()

    def described(self, labels: Sequence[str]) -> Features:
        """Classes by the run's descriptions and prompt: (levels, classes, width); see `of_descriptions`.

        Raises:
            PoseglotError: a class is not described.
        """
        return self.of_descriptions(load_descriptions(self.recipe.text.descriptions).of(labels))

    def of_descriptions(self, descriptions: Sequence[Description]) -> Features:
        """Described classes -> (levels, classes, width), the mean over a class's texts of their normalised features."""
        text = self.recipe.text
        # Which states are near is asked of the text encoder before it learned, as in training.
        encoder = load_text_encoder(text.encoder) if text.prompt == "states" else _plain(self.reader)
        return self._read(prompts_of(text, descriptions, encoder))

    def by_label(self, labels: Sequence[str]) -> Features:
        """Classes by nothing but their names, the same at every level: (levels, classes, width)."""
        return self._read(label_prompts(labels, self.levels, forms=self.recipe.text.prompt == "label"))

    def _read(self, prompts: PromptTable) -> Features:
        assert prompts.levels == self.levels, "prompts and heads are of one recipe"
        with torch.inference_mode():
            tokens = self.reader.tokenize(prompts.texts)
            parts = [self.reader(tokens.select(places)) for places in torch.arange(len(prompts.texts)).split(_TEXTS)]
            texts = F.normalize(torch.cat(parts).double(), dim=1).cpu()
        mean: Features = prompts.class_means(texts).numpy()
        return mean


def _reader(run: Run, recipe: Recipe) -> tuple[TextEncoder | PromptLearner, float]:
    """What reads, with what it has learned, and the scale of the cosines."""
    text, reader = recipe.text, load_text_encoder(recipe.text.encoder)
    learned: TextEncoder | PromptLearner = reader
    if text.prompt == "learned":
        learned = PromptLearner(reader, length=text.context_length, seed=recipe.seed)
    elif text.freeze and not recipe.loss.learn_logit_scale:
        return reader, recipe.loss.logit_scale
    if not run.checkpoint.exists():
        raise PoseglotError(
            f"{run.checkpoint} is not there: it holds the text encoder as this run trained it, which reading words takes. Keep it beside "
            "the recognizer, or train with text.freeze true, which needs none."
        )
    if text.prompt != "learned" and text.freeze:
        others = load_part(run.checkpoint, torch.nn.Module(), "bank.encoder")
    else:
        others = load_part(run.checkpoint, learned, "bank.encoder")
    return learned, float(others["scale"].mean()) if recipe.loss.learn_logit_scale else recipe.loss.logit_scale


def _plain(reader: TextEncoder | PromptLearner) -> TextEncoder:
    return reader.encoder if isinstance(reader, PromptLearner) else reader
