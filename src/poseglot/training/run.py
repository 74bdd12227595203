"""A run: the folder that a training writes, and what is in it.

recipe.yaml               the whole recipe, defaults written out
recognizer.safetensors    the result: the recognizer after the last epoch
checkpoint.safetensors    where to go on from
log.jsonl                 one line an epoch
tensorboard/              the same, for TensorBoard
machine.json              what it ran on, with which versions, and a hash of the names of the clips that it learned from
scores.npz                made of it later, by `poseglot evaluate`
zero-shot.json            likewise, by `poseglot zero-shot`
pictures/, report.html    made of these, by `poseglot plot` and `poseglot report`
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poseglot.errors import PoseglotError
from poseglot.files import write_atomically
from poseglot.models.recognizer import RECOGNIZER_FILE


@dataclass(frozen=True)
class Run:
    """The files of a run's folder."""

    folder: Path

    @property
    def recipe(self) -> Path:
        return self.folder / "recipe.yaml"

    @property
    def recognizer(self) -> Path:
        return self.folder / RECOGNIZER_FILE

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    @property
    def machine(self) -> Path:
        return self.folder / "machine.json"

    @property
    def log(self) -> Path:
        return self.folder / "log.jsonl"

    @property
    def scores(self) -> Path:
        return self.folder / "scores.npz"

    @property
    def zero_shot(self) -> Path:
        return self.folder / "zero-shot.json"

    @property
    def tensorboard(self) -> Path:
        return self.folder / "tensorboard"

    def refuse_to_overwrite(self, *, resume: bool = False) -> None:
        """Keep what is in the folder; a run without any checkpoint yet may be begun anew by `resume`.

        Raises:
            PoseglotError: another run has been here.
        """
        if resume and self.recognizer.exists():
            raise PoseglotError(f"{self.folder} holds a recognizer but no checkpoint to go on from. Choose another --out.")
        if not resume and (self.recipe.exists() or self.checkpoint.exists() or self.recognizer.exists()):
            raise PoseglotError(f"{self.folder} already holds a run. Add --resume to go on with it, or choose another --out.")

    def read_log(self) -> list[dict[str, Any]]:
        """The log's lines; a last line cut short by a kill is left out."""
        if not self.log.exists():
            return []
        lines = self.log.read_text().split("\n")
        return [json.loads(line) for line in lines[:-1]]

    def forget_log_after(self, epochs: int) -> None:
        """Drop the log's lines beyond the first `epochs` epochs: a resumed run writes them again."""
        kept = [entry for entry in self.read_log() if entry["epoch"] <= epochs]
        write_atomically(self.log, "".join(json.dumps(entry) + "\n" for entry in kept))

    def learned_from(self) -> str | None:
        """The hash of the names of the clips that the run learned from (`sides.names_hash`); None if nobody wrote it down."""
        try:
            hashed = json.loads(self.machine.read_text()).get("learned_from")
        except (OSError, ValueError, AttributeError):
            return None
        return hashed if isinstance(hashed, str) else None

    def add_to_log(self, entry: dict[str, Any]) -> None:
        try:
            with self.log.open("a") as file:
                file.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise PoseglotError(
                f"could not write {self.log}: {error.strerror}. Free some space and go on with --resume."
            ) from error
