"""The folder that a training writes, and its files.

recipe.yaml               the whole recipe, defaults written out
recognizer.safetensors    the result: the recognizer after the last epoch
checkpoint.safetensors    the state to resume from; checkpoint.previous.safetensors the one before, while it trains
log.jsonl                 one line per epoch
tensorboard/              the same for TensorBoard
machine.json              the machine and versions, and a hash of the names of the training clips
scores.npz                written by `poseglot evaluate`
zero-shot.json            written by `poseglot zero-shot`
calibration.json          written by `poseglot calibrate`
segmenter.safetensors     written by `poseglot train-segmenter`
pictures/, report.html    written by `poseglot plot` and `poseglot report`
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from poseglot.errors import FileError
from poseglot.files import write_atomically
from poseglot.models.pretrained import MACHINE_FILE, RECOGNIZER_FILE, SEGMENTER_FILE


class RunFolder:
    """The paths of a run's files, and its log. `poseglot.open_run` opens what is in them."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = folder = Path(folder)
        self.recipe = folder / "recipe.yaml"
        self.recognizer = folder / RECOGNIZER_FILE
        self.checkpoint = folder / "checkpoint.safetensors"
        self.previous_checkpoint = folder / "checkpoint.previous.safetensors"
        self.segmenter = folder / SEGMENTER_FILE
        self.machine = folder / MACHINE_FILE
        self.log = folder / "log.jsonl"
        self.scores = folder / "scores.npz"
        self.zero_shot = folder / "zero-shot.json"
        self.tensorboard = folder / "tensorboard"

    def __repr__(self) -> str:
        return f"RunFolder({str(self.folder)!r})"

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is a checkpoint to resume from."""
        return self.checkpoint.exists() or self.previous_checkpoint.exists()

    def refuse_to_overwrite(self, *, resume: bool = False) -> None:
        """Check that a training may write here; with `resume` a run without a checkpoint is started again.

        Raises:
            FileError: The folder holds another run.
        """
        if resume and self.recognizer.exists():
            raise FileError(f"{self.folder} holds a recognizer but no checkpoint to resume from. Choose another --out.")
        if not resume and (self.recipe.exists() or self.has_checkpoint or self.recognizer.exists()):
            raise FileError(
                f"{self.folder} already holds a run. Add --resume (resume=True) to continue it, or choose another --out."
            )

    def read_log(self) -> list[dict[str, Any]]:
        """Return the log's entries, one per epoch. What a kill or a power cut left, a last line cut short or NULs, is ignored.

        Raises:
            FileError: The log cannot be read, or a line is not an entry.
        """
        if not self.log.exists():
            return []
        try:
            lines = self.log.read_bytes().split(b"\n")[:-1]
        except OSError as error:
            raise FileError(f"could not read {self.log}: {error.strerror or error}.") from error
        entries = []
        for number, line in enumerate(lines, start=1):
            try:
                entry = json.loads(line.strip(b"\0"))
            except (ValueError, RecursionError):
                entry = None
            if isinstance(entry, dict) and type(entry.get("epoch")) is int:
                entries.append(entry)
            elif b"\0" not in line:
                raise FileError(f"{self.log}, line {number} is not an entry of a log. Delete the line.")
        return entries

    def elapsed(self) -> float:
        """Return the seconds up to the log's last epoch, validation and checkpoints included; 0 if the log does not tell."""
        log = self.read_log()
        return float(log[-1].get("elapsed", 0.0)) if log else 0.0

    def truncate_log(self, epochs: int) -> None:
        """Drop the log's entries after the first `epochs` epochs; a resumed run writes them again."""
        kept = [entry for entry in self.read_log() if entry["epoch"] <= epochs]
        write_atomically(self.log, "".join(json.dumps(entry) + "\n" for entry in kept))

    def add_to_log(self, entry: dict[str, Any]) -> None:
        """Append an entry to the log.

        Raises:
            FileError: The file could not be written.
        """
        try:
            with self.log.open("a") as file:
                file.write(json.dumps(entry) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise FileError(
                f"could not write {self.log}: {error.strerror}. Free some space and continue with --resume."
            ) from error

    def read_machine(self) -> dict[str, Any]:
        """Return what `machine.json` holds; empty if the file is missing or damaged."""
        try:
            table = json.loads(self.machine.read_text())
        except (OSError, ValueError):
            return {}
        return table if isinstance(table, dict) else {}

    def trained_on(self) -> str | None:
        """Return the hash of the names of the training clips (`subsets.names_hash`); None if it is not known."""
        hashed = self.read_machine().get("learned_from")
        return hashed if isinstance(hashed, str) else None
