"""What the command files share: how a command is registered, and how a missing package or run is reported."""

from __future__ import annotations

import argparse
import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from poseglot.errors import PoseglotError

if TYPE_CHECKING:
    from poseglot.inference.video.estimator import PoseEstimator


class AddCommand(Protocol):
    """Registers a command: its name, its function, a line of help; returns the parser to add arguments to."""

    def __call__(
        self, name: str, function: Callable[[argparse.Namespace], None], help: str, *, own_help: bool = True
    ) -> argparse.ArgumentParser: ...


def missing_package(what: str, error: ImportError) -> str:
    """What to say when an optional package is not installed."""
    name = (error.name or "").replace("_", "-")
    return f"{what} needs the package {name!r}, which is not installed. Install it: pip install 'poseglot[train]'"


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


def add_pose(command: argparse.ArgumentParser) -> None:
    """What finds the people in videos."""
    command.add_argument(
        "--pose",
        default="auto",
        metavar="NAME",
        help="what finds the people in videos: rtmpose, rtmpose-light, rtmpose-halpe26, mediapipe; by default what is installed and fits",
    )
    command.add_argument(
        "--pose-models", type=Path, metavar="FOLDER", help="where the weights of rtmpose lie; see docs/video.md"
    )


def pose_for(parsed: argparse.Namespace, files: Sequence[Path], *, num_dims: int | None) -> str | PoseEstimator:
    """The estimator that was asked for if any of the files is a video; else its name, and nothing is loaded."""
    from poseglot.data.readers import is_video
    from poseglot.inference.video.estimator import load_estimator

    videos = [path for path in files if is_video(path)]
    if not videos:
        return str(parsed.pose)
    try:
        return load_estimator(parsed.pose, num_dims=num_dims, models=parsed.pose_models, device=parsed.device)
    except PoseglotError as error:
        raise PoseglotError(f"{videos[0]}: {error}") from error


@contextlib.contextmanager
def notes() -> Iterator[None]:
    """Warnings as lines on standard error, each once."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_: print(f"note: {message}", file=sys.stderr)
        yield
