"""Learning-rate schedules. Each is a function of the step alone, so that a resumed run needs no state of it.

steps       linear warm-up by whole epochs, then a factor at each milestone (the paper; GAP section 4.2)
cosine      linear warm-up by steps, then half a cosine (Loshchilov and Hutter, SGDR, ICLR 2017)
one-cycle   up and down by cosines, as torch's OneCycleLR (Smith and Topin, Super-Convergence, 2018); momentum stays as it is
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from poseglot.errors import NotFoundError


@dataclass(frozen=True)
class Schedule(ABC):
    """The learning rate of every step of a run.

    Attributes:
        lr: The highest learning rate.
        epochs: Epochs of the run.
        steps_per_epoch: Optimizer steps of an epoch.
        warmup_epochs: Epochs in which the rate rises.
        milestones: Epochs, counted from 0, from which on the rate is `gamma` times what it was (steps).
        gamma: See `milestones`.
        final_lr: The rate at the end (cosine, one-cycle).
    """

    lr: float
    epochs: int
    steps_per_epoch: int = 1
    warmup_epochs: int = 0
    milestones: Sequence[int] = ()
    gamma: float = 0.1
    final_lr: float = 0.0

    @abstractmethod
    def __call__(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0 over the whole run."""

    @property
    def total(self) -> int:
        return self.epochs * self.steps_per_epoch

    @property
    def warmup(self) -> int:
        return self.warmup_epochs * self.steps_per_epoch


class StepSchedule(Schedule):
    """Epoch e of the warm-up has lr * (e + 1) / warmup_epochs; afterwards lr * gamma ** (milestones passed)."""

    def __call__(self, step: int) -> float:
        epoch = step // self.steps_per_epoch
        if epoch < self.warmup_epochs:
            return self.lr * (epoch + 1) / self.warmup_epochs
        return self.lr * self.gamma ** sum(epoch >= milestone for milestone in self.milestones)


class CosineSchedule(Schedule):
    """Step s of the warm-up has lr * (s + 1) / warm-up steps; afterwards half a cosine from lr to final_lr."""

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        return _cosine(self.lr, self.final_lr, (step - self.warmup) / max(1, self.total - self.warmup))


class OneCycleSchedule(Schedule):
    """From lr / 25 up to lr in the warm-up, then down to final_lr, which is reached in the last step."""

    def __call__(self, step: int) -> float:
        peak = max(1, self.warmup - 1)
        if step <= peak:
            return _cosine(self.lr / 25, self.lr, step / peak)
        return _cosine(self.lr, self.final_lr, (step - peak) / max(1, self.total - 1 - peak))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(share, 1.0))) / 2


SCHEDULES: Mapping[str, type[Schedule]] = {"steps": StepSchedule, "cosine": CosineSchedule, "one-cycle": OneCycleSchedule}


def create_schedule(
    name: str,
    *,
    lr: float,
    epochs: int,
    steps_per_epoch: int,
    warmup_epochs: int = 0,
    milestones: Sequence[int] = (),
    gamma: float = 0.1,
    final_lr: float = 0.0,
) -> Schedule:
    """Create a schedule by name; see `Schedule` for the arguments.

    Raises:
        NotFoundError: No schedule has this name.
    """
    if name not in SCHEDULES:
        raise NotFoundError(name, SCHEDULES, kind="schedule")
    return SCHEDULES[name](lr, epochs, steps_per_epoch, warmup_epochs, tuple(milestones), gamma, final_lr)
