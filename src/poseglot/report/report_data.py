"""What a report is made of: a run's scores and, where they are still there, its recipe, recognizer and clips."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from poseglot.data.dataset import ClipDataset
from poseglot.data.store import PackedStore, open_store
from poseglot.errors import PoseglotError
from poseglot.evaluation.scores import SavedScores, load_scores
from poseglot.models.recognizer import Recognizer, load_recognizer
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout
from poseglot.skeletons.protocols import load_pipeline
from poseglot.training.recipe import Recipe
from poseglot.training.recipe_io import read_recipe
from poseglot.training.run import Run


class LeftOutError(Exception):
    """A section cannot be made; the page says why in its place. The fault need not be the user's: a store may have been moved."""


@dataclass(frozen=True)
class ReportData:
    """An evaluated run, its things opened once and only when a section asks for them.

    Attributes:
        run: its folder.
        scores: of its test clips.
        recipe: None if the folder has none (imported weights).
    """

    run: Run
    scores: SavedScores
    recipe: Recipe | None

    @cached_property
    def recognizer(self) -> Recognizer:
        """With its alignment heads, on a GPU if there is one."""
        try:
            recognizer = load_recognizer(self.run.recognizer)
        except PoseglotError as error:
            raise LeftOutError(str(error)) from error
        if recognizer.spec.classes != self.scores.classes:
            raise LeftOutError(
                f"{self.run.scores} is not of the recognizer beside it, which knows other classes; run `poseglot evaluate` again."
            )
        return recognizer.to("cuda" if torch.cuda.is_available() else "cpu")

    @cached_property
    def store(self) -> PackedStore:
        if self.recipe is None:
            raise LeftOutError(f"{self.run.folder} has no recipe.yaml that names its data.")
        try:
            return open_store(Path(self.recipe.data.store))
        except PoseglotError as error:
            raise LeftOutError(f"the clips are not where the recipe says: {error}") from error

    @cached_property
    def indices(self) -> list[int]:
        """Where each clip of the scores is in the store. Clips are found by name, whatever side or fold they were evaluated as."""
        where = {str(name): place for place, name in enumerate(self.store.clips["name"])}
        missing = [name for name in self.scores.names if name not in where]
        if missing:
            raise LeftOutError(
                f"the scores are of other clips than those of the recipe's store: it lacks {len(missing)} of {len(self.scores.names)} "
                f"({missing[0]}, ...). Run `poseglot evaluate` again without --store."
            )
        return [where[name] for name in self.scores.names]

    def clip(self, number: int) -> Clip:
        """A clip of the scores, as stored."""
        return self.store[self.indices[number]]

    def view(self, numbers: Tensor) -> Tensor:
        """Clips of the scores as the recognizer sees them: (N,) -> (N, M, T, V, C), on its device."""
        spec, recognizer = self.recognizer.spec, self.recognizer
        store, places = self.store, np.array(self.indices)
        if store.info.layout != spec.layout:
            raise LeftOutError(
                f"the recognizer was trained in layout {recognizer.layout.name}, but the store is in "
                f"{load_layout(store.info.layout).name} now."
            )
        views = ClipDataset(store, places, transform=partial(load_pipeline(spec.pipeline), modality=spec.modality))
        return views.inputs(numbers, None, recognizer.classifier.weight.device)


def collect(run: Run) -> ReportData:
    """The material of a run.

    Raises:
        PoseglotError: the run was not evaluated, or its recipe is damaged.
    """
    scores = load_scores(run.scores)
    return ReportData(run, scores, read_recipe(run.recipe) if run.recipe.exists() else None)
