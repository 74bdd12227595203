"""What the command files share: how a command is registered, and how a missing package or run is reported."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from poseglot.errors import PoseglotError


class AddCommand(Protocol):
    """Registers a command: its name, its function, a line of help; returns the parser to add arguments to."""

    def __call__(
        self, name: str, function: Callable[[argparse.Namespace], None], help: str, *, own_help: bool = True
    ) -> argparse.ArgumentParser: ...


def missing_package(what: str, error: ImportError) -> str:
    """What to say when an optional package is not installed."""
    name = (error.name or "").replace("_", "-")
    return (
        f"{what} needs the package {name!r}, which is not installed. In the source folder of Poseglot: pip install '.[train]'"
    )


def read_text(path: Path, what: str) -> str:
    """The text in a user's file.

    Raises:
        PoseglotError: it cannot be read; the message calls it `what`.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PoseglotError(f"could not read the {what} in {path}: {error}.") from error


def check_run_folder(run: Path, command: str) -> None:
    """See that a command was given the folder of a run.

    Raises:
        PoseglotError: it is none.
    """
    if not run.is_dir():
        what = "is not a run's folder" if run.exists() else "does not exist"
        raise PoseglotError(f"{run} {what}; `poseglot {command}` takes the folder that a training wrote (its --out).")
