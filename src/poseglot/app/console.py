"""What a training says at the terminal: its lines, and a progress bar for people."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from tqdm import tqdm

from poseglot.training.callbacks import Callback, FitState, Result

# Seconds between two looks of the progress bar at numbers on the device: each look waits for it.
_LOOK_EVERY = 0.5


class ConsoleCallback(Callback):
    """Prints what training logs, and shows a progress bar on stderr if that is a terminal."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.look = 0.0
        self.handler = _Lines(self)
        logger = logging.getLogger("poseglot.training")
        logger.setLevel(logging.INFO)
        # A training that was refused never ended; its handler would print every line once more.
        for handler in [each for each in logger.handlers if isinstance(each, _Lines)]:
            logger.removeHandler(handler)
        logger.addHandler(self.handler)

    def on_fit_start(self, state: FitState) -> None:
        self.bar = tqdm(
            total=state.samples_per_epoch * state.recipe.optim.epochs,
            initial=state.samples_per_epoch * state.first_epoch,
            unit="clip",
            smoothing=0.05,
            dynamic_ncols=True,
            # A file or a pipe gets the lines alone.
            disable=not (state.is_main and sys.stderr.isatty()),
        )

    def on_step_end(self, state: FitState, losses: Mapping[str, Tensor]) -> None:
        self.bar.update(state.samples_per_epoch * (state.epoch - 1) + state.clips * _processes() - self.bar.n)
        if not self.bar.disable and time.monotonic() >= self.look:
            assert state.sums is not None
            loss, *_, correct = state.sums.tolist()
            self.bar.set_postfix_str(
                f"epoch {state.epoch}, loss {loss / state.clips:.3f}, accuracy {correct / state.clips:.1%}", refresh=False
            )
            self.look = time.monotonic() + _LOOK_EVERY

    def on_fit_end(self, state: FitState, result: Result | None) -> None:
        if self.bar is not None:
            self.bar.close()
        logging.getLogger("poseglot.training").removeHandler(self.handler)


class _Lines(logging.Handler):
    """Writes log lines to stdout, above the progress bar if there is one."""

    def __init__(self, console: ConsoleCallback) -> None:
        super().__init__()
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        bar = self.console.bar
        if bar is None or bar.disable:
            print(self.format(record), flush=True)
        else:
            bar.write(self.format(record), file=sys.stdout)
            sys.stdout.flush()


def _processes() -> int:
    from poseglot.training.distributed import world_size

    return world_size()
