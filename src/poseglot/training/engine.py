"""The engine: trains a recipe on whatever Lightning Fabric finds (CPU, a GPU, many, many machines). Fabric stays in this file.

An epoch's order, its augmentation, its texts and its learning rates follow from (seed, epoch, step, sample), so a run that was stopped and
resumed, and one spread over several processes, compute the same. The batch size is that of all processes together.

Within a step nothing waits for a GPU: labels, texts and their lengths are known on the CPU, and sums stay on the device until they
are logged.
"""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor

from poseglot import __version__
from poseglot.data.quality.checks import check_centre, check_subsets
from poseglot.descriptions import load_descriptions
from poseglot.devices import describe_device
from poseglot.errors import DeviceError, FileError, PoseglotError, SettingError
from poseglot.evaluation.metrics import Accuracy, top_k
from poseglot.files import folder_lock, write_atomically
from poseglot.models.recognizer import save_recognizer
from poseglot.training.average import WeightAverage
from poseglot.training.batches import TrainingBatches, balanced_copies
from poseglot.training.build import Built, build
from poseglot.training.callbacks import Callback, FitState, Result
from poseglot.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from poseglot.training.compiling import as_it_is, compile_in_place, explain_compile_errors, wanted
from poseglot.training.distributed import own_share, synchronise_batch_norm, world_size
from poseglot.training.loggers import LogLines, create_loggers
from poseglot.training.optimizers import create_optimizer
from poseglot.training.provenance import source_commit
from poseglot.training.recipe import Recipe
from poseglot.training.recipe_io import read_recipe, recipe_yaml
from poseglot.training.run_folder import RunFolder
from poseglot.training.schedule import create_schedule
from poseglot.training.subsets import contents_hash, names_hash, subset_name

_logger = logging.getLogger("poseglot.training")


@dataclass(frozen=True)
class Runtime:
    """The hardware to run on, and where numbers are logged.

    Attributes:
        accelerator: One of auto, cpu, cuda and mps.
        devices: The number of devices (and processes), or auto.
        nodes: The number of machines; start the command on each, through torchrun or SLURM.
        compile: Whether torch.compile compiles the skeleton encoder: auto (on a GPU), on or off.
        loggers: Names (see `poseglot.training.loggers`), or objects with `log_metrics(metrics, step)`.
    """

    accelerator: str = "auto"
    devices: str = "1"
    nodes: int = 1
    compile: str = "auto"
    loggers: Sequence[Any] = ("tensorboard",)


def train(
    recipe: Recipe | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    runtime: Runtime | None = None,
    callbacks: Sequence[Callback] = (),
) -> Result:
    """Train a recipe into a folder.

    Args:
        recipe: The experiment; or the name of a packaged recipe, or a path ending in .yaml.
        out: The run's folder; see `poseglot.training.run_folder`.
        resume: Go on from its checkpoint, if there is one.
        runtime: One device of any kind by default.
        callbacks: See `poseglot.training.callbacks`.

    Raises:
        PoseglotError: The recipe cannot be run, the folder holds another run, or the disk refused.
    """
    runtime, run = runtime or Runtime(), RunFolder(Path(out))
    if not isinstance(recipe, Recipe):
        recipe = read_recipe(Path(recipe) if isinstance(recipe, os.PathLike) else recipe)
    if run.folder.exists() and not run.folder.is_dir():
        raise FileError(f"{out} is a file; --out takes a folder for the run.")
    if not (resume and run.has_checkpoint):
        run.refuse_to_overwrite(resume=resume)
    every = [LogLines(), *create_loggers(runtime.loggers), *callbacks]
    fabric = _fabric(runtime, recipe.precision)
    compiled = wanted(runtime.compile, fabric.device)
    fabric.launch()
    trainer = Trainer(fabric, recipe, build(recipe), run, compiled=compiled, callbacks=every)
    if not fabric.is_global_zero:
        return trainer.fit(resume=resume)
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"could not make the folder {out}: {error.strerror or error}. Choose another --out.") from error
    with folder_lock(run.folder):
        return trainer.fit(resume=resume)


def _fabric(runtime: Runtime, precision: Any) -> Fabric:
    if runtime.nodes < 1 or not (runtime.devices == "auto" or (runtime.devices.isdecimal() and int(runtime.devices) > 0)):
        raise DeviceError(
            f"--devices takes a number from 1, or auto, and --nodes a number from 1; not {runtime.devices!r} and {runtime.nodes}."
        )
    several = runtime.nodes > 1 or runtime.devices != "1"
    try:
        return Fabric(
            accelerator=runtime.accelerator,
            devices=runtime.devices if runtime.devices == "auto" else int(runtime.devices),
            num_nodes=runtime.nodes,
            strategy="ddp" if several else "auto",
            precision=precision,
        )
    except (ValueError, RuntimeError, ImportError, MisconfigurationException) as error:
        raise DeviceError(
            f"cannot run on accelerator {runtime.accelerator!r} with {runtime.devices} devices: {error} "
            "Accelerators are auto, cpu, cuda and mps."
        ) from error


class Trainer:
    """One process's part of a training.

    Args:
        fabric: A Fabric that is launched.
        recipe: The experiment.
        built: The data and the model, from `poseglot.training.build`.
        run: The folder of the run.
        compiled: Run the skeleton encoder by torch.compile.
        callbacks: See `poseglot.training.callbacks`.

    Raises:
        SettingError: The recipe cannot be run on this device, or with so many processes.
    """

    def __init__(
        self,
        fabric: Fabric,
        recipe: Recipe,
        built: Built,
        run: RunFolder,
        *,
        compiled: bool = False,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.fabric, self.recipe, self.built, self.run, self.compiled = fabric, recipe, built, run, compiled
        self.task, self.callbacks = built.task, callbacks
        if recipe.precision == "16-mixed" and fabric.device.type == "cpu":
            raise SettingError("precision 16-mixed needs a GPU; on a CPU use --precision bf16-mixed or --precision 32-true.")
        if fabric.world_size > recipe.optim.batch_size:
            raise SettingError(f"{fabric.world_size} processes cannot share a batch of {recipe.optim.batch_size}.")
        if fabric.world_size > 1:
            synchronise_batch_norm(self.task.recognizer)
        if compiled:
            compile_in_place(self.task.recognizer.encoder)
        data, optim = recipe.data, recipe.optim
        self.batches = TrainingBatches(
            built.train,
            built.prompts,
            seed=recipe.seed,
            batch_size=optim.batch_size,
            drop_last=optim.drop_last,
            repeat=data.repeat,
            copies=balanced_copies(built.train) if data.balance_sets else None,
            repeated_augmentation=data.official_repeated_augmentation,
            mixup=data.mixup,
            part_swap=data.part_swap,
        )
        self.schedule = create_schedule(
            optim.schedule,
            lr=optim.lr,
            epochs=optim.epochs,
            steps_per_epoch=self.batches.steps_per_epoch,
            warmup_epochs=optim.warmup_epochs,
            milestones=optim.milestones,
            gamma=optim.gamma,
            final_lr=optim.final_lr,
        )
        self.optimizer = create_optimizer(
            optim.name,
            self.task.parameter_groups(lr=optim.lr, text_lr_scale=recipe.text.lr_scale, decay_all=optim.decay_all),
            lr=optim.lr,
            weight_decay=optim.weight_decay,
            kwargs=optim.kwargs,
            device=fabric.device,
        )
        self.wrapped, self.wrapped_optimizer = fabric.setup(self.task, self.optimizer)
        self.average = WeightAverage(self.task, optim.ema_decay) if optim.ema_decay else None
        self.state = FitState(recipe, run, self.task, fabric.is_global_zero, self.batches.samples_per_epoch)

    def fit(self, *, resume: bool = False) -> Result:
        """Train from where the run stands to the last epoch."""
        progress, state, epochs, run = Progress(), self.state, self.recipe.optim.epochs, self.run
        sets = {"train": self.built.train, subset_name(self.recipe.data): self.built.test}
        self.clips = {subset: contents_hash(clips.store, clips.indices) for subset, clips in sets.items()}
        if resume and run.has_checkpoint:
            names = names_hash(self.built.train.store, self.built.train.indices)
            if run.trained_on() not in (None, names):
                raise SettingError(
                    f"{run.folder} has learned from other clips than the training set of {self.recipe.data.store} has now. Bring the store "
                    "back, or train into another folder."
                )
            progress = load_checkpoint(
                run.checkpoint,
                self.task,
                self.optimizer,
                self.recipe,
                self.average,
                clips=self.clips,
                previous=run.previous_checkpoint,
            )
            self.fabric.strategy.precision.load_state_dict(progress.scaler)
        state.first_epoch = progress.epochs
        if state.is_main:
            write_atomically(run.recipe, recipe_yaml(self.recipe))
            write_atomically(run.machine, json.dumps(self._machine(), indent=1) + "\n")
            run.truncate_log(progress.epochs)
            self._announce(resume)
        self.fabric.barrier()
        result, started = None, time.monotonic() - self.run.elapsed()
        try:
            self._tell("on_fit_start")
            last = self.validate() if progress.epochs == epochs else None
            for epoch in range(progress.epochs, epochs):
                entry = self.train_epoch(epoch)
                if (epoch + 1) % self.recipe.evaluate_every == 0 or epoch + 1 == epochs:
                    last = self.validate()
                    progress = replace(progress, best_on_test=_better(progress.best_on_test, (last.correct, epoch + 1)))
                    if last.total:
                        entry["test"] = asdict(last)
                progress = replace(progress, epochs=epoch + 1)
                entry["elapsed"] = round(time.monotonic() - started, 2)
                if state.is_main:
                    run.add_to_log(entry)
                self._tell("on_epoch_end", entry)
                if (epoch + 1) % self.recipe.checkpoint_every == 0 or epoch + 1 == epochs:
                    self._save(progress)
            if state.is_main:
                with self._averaged():
                    save_recognizer(self.task.recognizer, run.recognizer)
                run.previous_checkpoint.unlink(missing_ok=True)
            self.fabric.barrier()
            assert last is not None and progress.best_on_test is not None
            result = Result(last, progress.best_on_test)
        finally:
            self._tell("on_fit_end", result)
        return result

    def train_epoch(self, epoch: int) -> dict[str, Any]:
        """Train one epoch, counted from 0; return its line of the log."""
        state, device = self.state, self.fabric.device
        state.epoch, state.clips, state.sums = epoch + 1, 0, torch.zeros(4, device=device)
        self.wrapped.train()
        started, rate = time.monotonic(), 0.0
        first = epoch * self.batches.steps_per_epoch
        for number, index in enumerate(self.batches.order(epoch)):
            rate = self.schedule(first + number)
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group["lr_scale"]
            losses = self.step(index, epoch)
            own = own_share(len(index))
            correct = (losses["logits"].argmax(dim=1) == losses["labels"][own]).sum()
            # The mean over processes is the batch's, also where their shares differ in size.
            parts = torch.stack([losses["loss"].detach(), losses["classification"], losses["alignment"]])
            parts = parts * (len(index) / world_size())
            state.sums += torch.cat([parts.float(), correct[None].float()])
            state.clips += len(losses["logits"])
            state.step = first + number + 1
            self._tell("on_step_end", losses)
        sums = torch.cat([state.sums, state.sums.new_tensor([state.clips])])
        sums = torch.as_tensor(self.fabric.all_reduce(sums, reduce_op="sum"))
        loss, classification, alignment, correct, clips = sums.tolist()
        if not math.isfinite(loss):
            raise PoseglotError(
                f"the loss of epoch {epoch + 1} is not a finite number: the training has diverged. Lower optim.lr (or text.lr_scale) "
                "and train into another folder; the last checkpoint is from before."
            )
        seconds = time.monotonic() - started
        entry = {
            "epoch": epoch + 1,
            "lr": rate,
            "loss": loss / clips,
            "classification": classification / clips,
            "alignment": alignment / clips,
            "train": {"correct": int(correct), "total": int(clips)},
            "seconds": round(seconds, 2),
            "clips_per_second": round(clips / seconds, 2),
        }
        if self.task.learned_weight is not None:
            entry["weight"] = self.task.weight
        return entry

    def step(self, index: Tensor, epoch: int) -> Mapping[str, Tensor]:
        """Take one optimizer step.

        Args:
            index: The sample indices of all processes together, on the CPU.
            epoch: The epoch, counted from 0.

        Returns:
            The task's losses, and `labels`.
        """
        batch = self.batches.load(index, epoch, self.fabric.device)
        with explain_compile_errors(self.compiled):
            losses = self.wrapped(batch.inputs, batch.labels, batch.texts, batch.mix)
            self.wrapped_optimizer.zero_grad()
            self.fabric.backward(losses["loss"])
        self.wrapped_optimizer.step()
        if self.average is not None:
            self.average.update()
        return {**losses, "labels": batch.labels}

    def validate(self) -> Accuracy:
        """Count the correct clips of the test set, in the weights' own precision, with each process taking its share.

        The weights are the averaged ones where the recipe averages.
        """
        self.wrapped.eval()
        clips = self.built.test
        share = torch.arange(len(clips))[own_share(len(clips))]
        logits = []
        with self._averaged(), torch.inference_mode(), as_it_is(self.compiled):
            for index in share.split(self.recipe.optim.batch_size):
                x = clips.inputs(index, None, self.fabric.device).to(self.task.recognizer.classifier.weight.dtype)
                logits.append(self.task.recognizer(x)["logits"])
        # Looked at when all are there: until then the device need not be waited for.
        own = top_k(torch.cat(logits).cpu().numpy(), clips.labels[share].numpy(), 1).correct if logits else 0
        correct = torch.as_tensor(self.fabric.all_reduce(torch.tensor([own], device=self.fabric.device), reduce_op="sum"))
        accuracy = Accuracy(int(correct), len(clips))
        self._tell("on_validate_end", accuracy)
        return accuracy

    def _averaged(self) -> AbstractContextManager[None]:
        """Put the averaged weights in place, where the recipe averages."""
        return nullcontext() if self.average is None else self.average.applied()

    def _tell(self, event: str, *what: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self.state, *what)

    def _announce(self, resume: bool) -> None:
        built, recipe, state = self.built, self.recipe, self.state
        texts = f"{len(built.prompts.texts)} texts" if built.prompts is not None else "no text"
        if self.task.levels and built.prompts is None:
            texts += f" but a classifier on each of {', '.join(self.task.levels)}"
        _logger.info(
            f"{built.train.store.info.name}, {recipe.data.modality} modality: {len(built.train):,} training clips, {len(built.test):,} "
            f"{subset_name(recipe.data)} clips, {texts}; {recipe.optim.epochs} epochs of {self.batches.samples:,} samples, "
            f"{self.fabric.world_size} x {self.fabric.device.type}"
        )
        train, test = built.train.indices, built.test.indices
        store = built.train.store
        for note in [*check_subsets(store, train, test, balanced=recipe.loss.balanced), *check_centre(store, train)]:
            _logger.info(f"note: {note}")
        if resume and state.first_epoch:
            _logger.info(f"going on after epoch {state.first_epoch}")
        elif resume:
            _logger.info(f"no checkpoint in {self.run.folder}; starting anew")

    def _machine(self) -> dict[str, Any]:
        device = self.fabric.device
        return {
            "poseglot": __version__,
            "commit": source_commit(),
            "torch": torch.__version__,
            "python": platform.python_version(),
            "system": platform.platform(),
            "device": describe_device(device),
            "processes": self.fabric.world_size,
            "threads": torch.get_num_threads(),
            "compiled": self.compiled,
            "texts": load_descriptions(self.recipe.text.descriptions).title if self.recipe.with_text else "",
            "learned_from": names_hash(self.built.train.store, self.built.train.indices),
        }

    def _save(self, progress: Progress) -> None:
        if self.state.is_main:
            progress = replace(progress, scaler=self.fabric.strategy.precision.state_dict())
            save_checkpoint(
                self.run.checkpoint,
                self.task,
                self.optimizer,
                progress,
                self.recipe,
                self.average,
                clips=self.clips,
                keep=self.run.previous_checkpoint,
            )
        self._tell("on_checkpoint")


def _better(best: tuple[int, int] | None, new: tuple[int, int]) -> tuple[int, int]:
    """(correct, epoch): the earlier of equals."""
    return new if best is None or new[0] > best[0] else best
