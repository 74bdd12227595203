"""Where a run's numbers go, each a callback: Python's logging, TensorBoard, a CSV file, and trackers that are installed.

    tensorboard   RUN/tensorboard
    csv           RUN/metrics.csv
    wandb         Weights & Biases
    mlflow        MLflow
    trackio       Trackio

An object with a method `log_metrics(metrics, step)`, as the loggers of Fabric and Lightning have it, is taken as well.
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from typing import Any

from poseglot.errors import FileError, MissingPackageError, NotFoundError, SettingError
from poseglot.evaluation.metrics import Accuracy
from poseglot.files import write_atomically
from poseglot.training.callbacks import Callback, FitState, Result
from poseglot.training.subsets import subset_name

PROJECT = "poseglot"
_logger = logging.getLogger("poseglot.training")


def metrics(entry: Mapping[str, Any]) -> dict[str, float]:
    """Return an epoch's numbers by the names that loggers show."""
    found = {f"train/{name}": float(entry[name]) for name in ("lr", "loss", "classification", "alignment", "clips_per_second")}
    if "weight" in entry:
        found["train/lambda"] = float(entry["weight"])
    for subset in ("train", "test"):
        if subset in entry:
            found[f"{subset}/accuracy"] = Accuracy(**entry[subset]).percent
    return found


class LogLines(Callback):
    """Says each epoch in one line, to the logger `poseglot.training`."""

    def on_epoch_end(self, state: FitState, entry: Mapping[str, Any]) -> None:
        if not state.is_main:
            return
        line = f"epoch {entry['epoch']}/{state.recipe.optim.epochs}  loss {entry['loss']:.4f}"
        if state.module.levels:
            beside = "alignment" if state.module.bank is not None else "part classes"
            line += f" (classification {entry['classification']:.4f}, {beside} {entry['alignment']:.4f})"
        if "weight" in entry:
            line += f"  lambda {entry['weight']:.3f}"
        line += f"  train {Accuracy(**entry['train'])}  {entry['clips_per_second']:.1f} clips/s"
        if "test" in entry:
            line += f"  {subset_name(state.recipe.data)} {Accuracy(**entry['test'])}"
        _logger.info(line)


class TensorBoard(Callback):
    """Writes event files into the run's folder."""

    def __init__(self) -> None:
        self.board: Any = None

    def on_fit_start(self, state: FitState) -> None:
        if state.is_main:
            writer = _package("torch.utils.tensorboard", "tensorboard").SummaryWriter
            with _disk_errors(state):
                # Epochs that a resumed run trains again are dropped.
                self.board = writer(str(state.run.tensorboard), purge_step=state.first_epoch + 1 if state.first_epoch else None)

    def on_epoch_end(self, state: FitState, entry: Mapping[str, Any]) -> None:
        if self.board is not None:
            with _disk_errors(state):
                for name, value in metrics(entry).items():
                    self.board.add_scalar(name, value, entry["epoch"])
                self.board.flush()  # its thread keeps an error of the disk until the next call

    def on_fit_end(self, state: FitState, result: Result | None) -> None:
        if self.board is not None:
            with _disk_errors(state):
                self.board.close()


@contextmanager
def _disk_errors(state: FitState) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileError(
            f"could not write {state.run.tensorboard}: {error.strerror or error}. Free some space and continue with --resume."
        ) from error
    except UnicodeEncodeError as error:
        raise FileError(
            f"TensorBoard writes to paths in UTF-8 only, not to {state.run.tensorboard}. Leave it out: --loggers csv."
        ) from error


class CSV(Callback):
    """Writes one row an epoch into metrics.csv in the run's folder; it follows from the run's log."""

    def on_epoch_end(self, state: FitState, entry: Mapping[str, Any]) -> None:
        if not state.is_main:
            return
        rows = [{"epoch": each["epoch"], **metrics(each)} for each in state.run.read_log()]
        text = io.StringIO()
        writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(state.run.folder / "metrics.csv", text.getvalue())


class Tracker(Callback):
    """Hands metrics to a tracker.

    Args:
        start: A function of the state. It returns a function that takes (metrics, epoch), and one that is called at the end.
    """

    def __init__(self, start: Callable[[FitState], tuple[Callable[[dict[str, float], int], Any], Callable[[], Any]]]) -> None:
        self.start = start
        self.log: Callable[[dict[str, float], int], Any] | None = None
        self.finish: Callable[[], Any] = lambda: None

    def on_fit_start(self, state: FitState) -> None:
        if state.is_main:
            self.log, self.finish = self.start(state)

    def on_epoch_end(self, state: FitState, entry: Mapping[str, Any]) -> None:
        if self.log is not None:
            self.log(metrics(entry), entry["epoch"])

    def on_fit_end(self, state: FitState, result: Result | None) -> None:
        self.finish()


def _wandb(state: FitState) -> tuple[Callable[..., Any], Callable[[], Any]]:
    wandb = _package("wandb")
    name = state.run.folder.name
    run = wandb.init(project=PROJECT, name=name, id=name, resume="allow", config=asdict(state.recipe))
    return lambda found, epoch: run.log(found, step=epoch), run.finish


def _mlflow(state: FitState) -> tuple[Callable[..., Any], Callable[[], Any]]:
    mlflow = _package("mlflow")
    mlflow.set_experiment(PROJECT)
    mlflow.start_run(run_name=state.run.folder.name)
    mlflow.log_dict(asdict(state.recipe), "recipe.json")
    return lambda found, epoch: mlflow.log_metrics(found, step=epoch), mlflow.end_run


def _trackio(state: FitState) -> tuple[Callable[..., Any], Callable[[], Any]]:
    trackio = _package("trackio")
    trackio.init(project=PROJECT, name=state.run.folder.name, config=asdict(state.recipe))
    return lambda found, epoch: trackio.log(found, step=epoch), trackio.finish


LOGGERS: Mapping[str, Callable[[], Callback]] = {
    "tensorboard": TensorBoard,
    "csv": CSV,
    "wandb": lambda: Tracker(_wandb),
    "mlflow": lambda: Tracker(_mlflow),
    "trackio": lambda: Tracker(_trackio),
}


def create_loggers(loggers: Sequence[Any]) -> list[Callback]:
    """Create the callbacks of loggers, given by name or as objects with `log_metrics(metrics, step)`.

    Raises:
        NotFoundError: No logger has this name.
        SettingError: An object is no logger.
    """
    callbacks: list[Callback] = []
    for logger in loggers:
        if isinstance(logger, str):
            if logger not in LOGGERS:
                raise NotFoundError(logger, LOGGERS, kind="logger")
            callbacks.append(LOGGERS[logger]())
        elif hasattr(logger, "log_metrics"):
            callbacks.append(_given(logger))
        else:
            raise SettingError(f"a logger is one of {', '.join(LOGGERS)}, or has a method log_metrics; {logger!r} is neither.")
    return callbacks


def _given(logger: Any) -> Tracker:
    def start(state: FitState) -> tuple[Callable[..., Any], Callable[[], Any]]:
        def finish() -> None:
            if hasattr(logger, "finalize"):
                logger.finalize("success")

        return lambda found, epoch: logger.log_metrics(found, step=epoch), finish

    return Tracker(start)


def _package(module: str, package: str | None = None) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        name = package or module
        raise MissingPackageError(f"the logger {name} needs the package {name}: pip install {name}") from error
