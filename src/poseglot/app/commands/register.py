"""What the command files share: registration, messages, and the options of pose estimators."""

from __future__ import annotations

import argparse
import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from poseglot.errors import FileError, PoseglotError
from poseglot.safe_text import shown

if TYPE_CHECKING:
    from poseglot.inference.inputs import LoadedClip
    from poseglot.inference.prediction import Prediction
    from poseglot.inference.video.person import PoseEstimator


RECOGNIZER_HELP = (
    "a run's folder, a recognizer's .safetensors file, an .onnx file, the name of a packaged recognizer (see `poseglot models`), or "
    "hf-hub:ORGANISATION/NAME"
)


class AddCommand(Protocol):
    """Registers a command (name, function, one line of help) and returns its parser."""

    def __call__(
        self, name: str, function: Callable[[argparse.Namespace], None], help: str, *, own_help: bool = True
    ) -> argparse.ArgumentParser: ...


def missing_package(what: str, error: ImportError, extra: str = "train") -> str:
    """Return the message for a missing optional package."""
    name = (error.name or "").replace("_", "-")
    return f"{what} needs the package {name!r}, which is not installed: pip install 'poseglot[{extra}]'."


def read_text(path: Path, what: str) -> str:
    """Read a user's text file; `what` names it in the message.

    Raises:
        FileError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"could not read the {what} in {path}: {error}.") from error


def read_lines(path: Path, what: str) -> tuple[str, ...]:
    """Read the lines of a user's text file, stripped, without empty ones.

    Raises:
        FileError: It cannot be read.
    """
    return tuple(line.strip() for line in read_text(path, what).splitlines() if line.strip())


def check_run_folder(run: Path, command: str) -> None:
    """Check that a command was given a run's folder.

    Raises:
        FileError: It was not.
    """
    if not run.is_dir():
        from poseglot.models.pretrained import list_recognizers

        reason = "is not a folder" if run.exists() else "does not exist"
        if str(run) in list_recognizers():
            reason = "is a packaged recognizer, which is no run"
        raise FileError(f"{run} {reason}; `poseglot {command}` takes the folder that a training wrote (its --out).")


def add_pose(command: argparse.ArgumentParser) -> None:
    """Add the options of pose estimators."""
    command.add_argument(
        "--pose",
        default="auto",
        metavar="NAME",
        help="the pose estimator for videos: rtmpose, rtmpose-light, rtmpose-halpe26, mediapipe (default: what is installed and fits)",
    )
    command.add_argument(
        "--pose-models", type=Path, metavar="FOLDER", help="the folder of rtmpose's weights; see docs/video.md"
    )


def pose_for(parsed: argparse.Namespace, files: Sequence[Path], *, num_dims: int | None) -> str | PoseEstimator:
    """Load the pose estimator if any file is a video; else return its name."""
    from poseglot.data.readers import is_video
    from poseglot.inference.video.estimator import load_estimator

    videos = [path for path in files if is_video(path)]
    if not videos:
        return str(parsed.pose)
    try:
        return load_estimator(parsed.pose, num_dims=num_dims, models=parsed.pose_models, device=parsed.device)
    except PoseglotError as error:
        error.args = (f"{videos[0]}: {error}",)
        raise


def print_mappings(predictions: Sequence[Prediction | LoadedClip]) -> None:
    """Print how the joints of other layouts were mapped, each mapping once, on standard error."""
    reports = (prediction.mapping.report() for prediction in predictions if prediction.mapping is not None)
    for report in dict.fromkeys(reports):
        print(f"mapped: {report}", file=sys.stderr)


@contextlib.contextmanager
def notes() -> Iterator[None]:
    """Print each warning once, as a note on standard error."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_: print(f"note: {shown(message)}", file=sys.stderr)
        yield
