"""Callbacks: what a training tells others while it runs.

    class StopEarly(Callback):
        def on_validate_end(self, state, accuracy):
            print(state.epoch, accuracy)

    poseglot.training.train("nw-ucla/paper", "runs/mine", callbacks=[StopEarly()])

They are called in every process, in the order given; `state.is_main` is true in one. An exception of a callback ends the training, which
can be resumed from its last checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from poseglot.evaluation.metrics import Accuracy
from poseglot.training.gap import GAP
from poseglot.training.recipe import Recipe
from poseglot.training.run_folder import RunFolder


@dataclass(frozen=True)
class Result:
    """The outcome of a training: the last epoch, and beside it the best epoch as seen on the test set."""

    last: Accuracy
    best_on_test: tuple[int, int]


@dataclass(eq=False)
class FitState:
    """Where a training stands.

    Attributes:
        recipe, run: The experiment, and the folder it is trained into.
        module: The model with its loss, as it is being trained.
        is_main: Whether this is the process that writes files and talks.
        samples_per_epoch: The samples of an epoch, of all processes together.
        first_epoch: The number of epochs that were complete when it started.
        epoch: The epoch in work, counted from 1.
        step: The optimizer steps of the whole run so far.
        clips: The clips of this epoch that this process has seen.
        sums: Sums over this epoch, on the device: loss, classification and alignment (weighted by clips), correct clips.
    """

    recipe: Recipe
    run: RunFolder
    module: GAP
    is_main: bool
    samples_per_epoch: int
    first_epoch: int = 0
    epoch: int = 0
    step: int = 0
    clips: int = 0
    sums: Tensor | None = None


class Callback:
    """A listener to a training. Override what you need; nothing is done by default."""

    def on_fit_start(self, state: FitState) -> None:
        """Called before the first epoch, also of a resumed run."""

    def on_step_end(self, state: FitState, losses: Mapping[str, Tensor]) -> None:
        """Called after an optimizer step with its losses, which are on the device: reading one waits for it."""

    def on_epoch_end(self, state: FitState, entry: Mapping[str, Any]) -> None:
        """Called after an epoch and its validation with the epoch's line of the log."""

    def on_validate_end(self, state: FitState, accuracy: Accuracy) -> None:
        """Called after a validation."""

    def on_checkpoint(self, state: FitState) -> None:
        """Called after a checkpoint was written."""

    def on_fit_end(self, state: FitState, result: Result | None) -> None:
        """Called at the end; without a result if the training was interrupted."""
