"""The engine: runs a recipe, on whatever Lightning Fabric finds (CPU, a GPU, many, many machines). Fabric stays in this file.

An epoch's order, its augmentation and its texts follow from (seed, epoch, sample), so a run that was stopped and resumed, and one
spread over several processes, compute the same. The batch size is that of all processes together.

Within a step nothing waits for a GPU: what has to be known (labels, texts, their lengths) is known on the CPU, and sums stay on the device
until somebody looks.
"""

from __future__ import annotations

import json
import math
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from poseglot import __version__
from poseglot.data.quality.checks import check_subsets
from poseglot.devices import to_device
from poseglot.errors import PoseglotError
from poseglot.evaluation.metrics import Accuracy, top_k
from poseglot.files import write_atomically
from poseglot.models.recognizer import save_recognizer
from poseglot.skeletons.transforms import Augmentation
from poseglot.training.build import Built, build
from poseglot.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from poseglot.training.compiling import as_it_is, compile_in_place, explain_compile_errors, wanted
from poseglot.training.distributed import own_share, synchronise_batch_norm, world_size
from poseglot.training.provenance import source_commit
from poseglot.training.recipe import Recipe
from poseglot.training.recipe_io import recipe_yaml
from poseglot.training.run import Run
from poseglot.training.schedule import learning_rate
from poseglot.training.subsets import names_hash, subset_name


@dataclass(frozen=True)
class Runtime:
    """What to run on.

    Attributes:
        accelerator: auto, cpu, cuda, mps.
        devices: how many (processes), or auto.
        nodes: machines; start the command on each, through torchrun or SLURM.
        compile: the skeleton encoder by torch.compile: auto (on a GPU), on or off.
    """

    accelerator: str = "auto"
    devices: str = "1"
    nodes: int = 1
    compile: str = "auto"


@dataclass(frozen=True)
class Result:
    """What a training came to: the last epoch, and beside it the best epoch as seen on the test set."""

    last: Accuracy
    best_on_test: tuple[int, int]


def train(recipe: Recipe, out: Path, *, resume: bool = False, machine: Runtime | None = None) -> Result:
    """Train a recipe into a folder.

    Args:
        recipe: the experiment.
        out: the run's folder; see `poseglot.training.run`.
        resume: go on from its checkpoint, if there is one.
        machine: one device of any kind by default.

    Raises:
        PoseglotError: the recipe cannot be run, the folder holds another run, or the disk refused.
    """
    machine = machine or Runtime()
    run = Run(out)
    if out.exists() and not out.is_dir():
        raise PoseglotError(f"{out} is a file; --out takes a folder for the run.")
    if not (resume and run.checkpoint.exists()):
        run.refuse_to_overwrite(resume=resume)
    fabric = _fabric(machine, recipe.precision)
    compiled = wanted(machine.compile, fabric.device)
    fabric.launch()
    return _Training(fabric, recipe, build(recipe), run, compiled=compiled).go(resume)


# Seconds between two looks of the progress bar at numbers on the device: each look waits for it.
_LOOK_EVERY = 0.5


def _fabric(machine: Runtime, precision: Any) -> Fabric:
    if machine.nodes < 1 or not (machine.devices == "auto" or (machine.devices.isdecimal() and int(machine.devices) > 0)):
        raise PoseglotError(
            f"--devices takes a number from 1, or auto, and --nodes a number from 1; not {machine.devices!r} and {machine.nodes}."
        )
    several = machine.nodes > 1 or machine.devices != "1"
    try:
        return Fabric(
            accelerator=machine.accelerator,
            devices=machine.devices if machine.devices == "auto" else int(machine.devices),
            num_nodes=machine.nodes,
            strategy="ddp" if several else "auto",
            precision=precision,
        )
    except (ValueError, RuntimeError, ImportError, MisconfigurationException) as error:
        raise PoseglotError(
            f"cannot run on accelerator {machine.accelerator!r} with {machine.devices} devices: {error} "
            "Accelerators are auto, cpu, cuda and mps."
        ) from error


class _Training:
    """One process's part of a run."""

    def __init__(self, fabric: Fabric, recipe: Recipe, built: Built, run: Run, *, compiled: bool = False) -> None:
        self.fabric, self.recipe, self.built, self.run, self.compiled = fabric, recipe, built, run, compiled
        self.task = built.task
        if recipe.precision == "16-mixed" and fabric.device.type == "cpu":
            raise PoseglotError("precision 16-mixed needs a GPU; on a CPU use --precision bf16-mixed or --precision 32-true.")
        if fabric.world_size > recipe.optim.batch_size:
            raise PoseglotError(f"{fabric.world_size} processes cannot share a batch of {recipe.optim.batch_size}.")
        if fabric.world_size > 1:
            synchronise_batch_norm(self.task.recognizer)
        if compiled:
            compile_in_place(self.task.recognizer.encoder)
        optim = recipe.optim
        self.optimizer = torch.optim.SGD(
            self.task.parameter_groups(lr=optim.lr, text_lr_scale=recipe.text.lr_scale),
            lr=optim.lr,
            momentum=optim.momentum,
            nesterov=optim.nesterov,
            weight_decay=optim.weight_decay,
            # All parameters in one kernel, which also takes 16-mixed's scale without asking for it; elsewhere torch's own choice.
            fused=True if fabric.device.type == "cuda" else None,
        )
        self.wrapped, self.wrapped_optimizer = fabric.setup(self.task, self.optimizer)
        self.labels = built.train.labels

    def go(self, resume: bool) -> Result:
        """Train from where the run stands to the last epoch."""
        progress = Progress()
        if resume and self.run.checkpoint.exists():
            progress = load_checkpoint(self.run.checkpoint, self.task, self.optimizer, self.recipe)
            self.fabric.strategy.precision.load_state_dict(progress.scaler)
        if self.fabric.is_global_zero:
            write_atomically(self.run.recipe, recipe_yaml(self.recipe))
            write_atomically(self.run.machine, json.dumps(self._machine(), indent=1) + "\n")
            self.run.forget_log_after(progress.epochs)
            self._announce(progress, resume)
        self.fabric.barrier()
        epochs = self.recipe.optim.epochs
        last = self.test() if progress.epochs == epochs else None
        with self._bar(progress.epochs) as bar, self._tensorboard(progress.epochs) as board:
            for epoch in range(progress.epochs, epochs):
                entry = self.train_epoch(epoch, bar)
                if (epoch + 1) % self.recipe.evaluate_every == 0 or epoch + 1 == epochs:
                    last = self.test()
                    progress = replace(progress, best_on_test=_better(progress.best_on_test, (last.correct, epoch + 1)))
                    entry["test"] = asdict(last)
                progress = replace(progress, epochs=epoch + 1)
                if board is not None:
                    self._report(entry, bar, board)
                if (epoch + 1) % self.recipe.checkpoint_every == 0 or epoch + 1 == epochs:
                    self._save(progress)
        if self.fabric.is_global_zero:
            save_recognizer(self.task.recognizer, self.run.recognizer)
        self.fabric.barrier()
        assert last is not None and progress.best_on_test is not None
        return Result(last, progress.best_on_test)

    def train_epoch(self, epoch: int, bar: tqdm[Any]) -> dict[str, Any]:
        """One epoch; returns its line of the log."""
        rate = learning_rate(self.recipe.optim, epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["lr_scale"]
        self.wrapped.train()
        started = time.monotonic()
        # Sums over the epoch, kept on the device: loss, classification, alignment (weighted by clips), correct.
        sums = torch.zeros(4, device=self.fabric.device)
        clips, look = 0, started
        for index in self._batches(epoch):
            losses = self.step(index, epoch)
            own = own_share(len(index))
            correct = (losses["logits"].argmax(dim=1) == losses["labels"][own]).sum()
            # The mean over processes is the batch's, also where their shares differ in size.
            parts = torch.stack([losses["loss"].detach(), losses["classification"], losses["alignment"]])
            parts = parts * (len(index) / world_size())
            sums += torch.cat([parts.float(), correct[None].float()])
            clips += len(losses["logits"])
            bar.update(len(index))
            if not bar.disable and time.monotonic() >= look:
                loss, *_, correct = sums.tolist()
                bar.set_postfix_str(
                    f"epoch {epoch + 1}, loss {loss / clips:.3f}, accuracy {correct / clips:.1%}", refresh=False
                )
                look = time.monotonic() + _LOOK_EVERY
        sums = torch.cat([sums, sums.new_tensor([clips])])
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

    def step(self, index: Tensor, epoch: int) -> Any:
        """One optimiser step on the samples `index` (of all processes together), on the CPU; returns the task's losses and `labels`."""
        recipe, train = self.recipe, self.built.train
        same_views = recipe.data.official_repeated_augmentation
        device, share = self.fabric.device, index[own_share(len(index))]
        randomness = Augmentation(
            recipe.seed,
            0 if same_views else epoch,
            recipe.data.effective_scale,
            batch=int(index[0]),
            index=to_device(share, device),
        )
        view = train.inputs(share, randomness, device)
        labels = self.labels[index % len(self.labels)]
        places = None
        if self.built.prompts is not None:
            places = self.built.prompts.draw(labels, seed=recipe.seed, epoch=epoch, index=index).numpy()
        labels = to_device(labels, device)
        with explain_compile_errors(self.compiled):
            losses = self.wrapped(view, labels, places)
            self.wrapped_optimizer.zero_grad()
            self.fabric.backward(losses["loss"])
        self.wrapped_optimizer.step()
        return {**losses, "labels": labels}

    def test(self) -> Accuracy:
        """Top-1 on the test set, in the weights' own precision, with each process taking its share."""
        self.wrapped.eval()
        views = self.built.test
        share = torch.arange(len(views))[own_share(len(views))]
        logits = []
        with torch.inference_mode(), as_it_is(self.compiled):
            for index in share.split(self.recipe.optim.batch_size):
                view = views.inputs(index, None, self.fabric.device).to(self.task.recognizer.classifier.weight.dtype)
                logits.append(self.task.recognizer(view)["logits"])
        # Looked at when all are there: until then the device need not be waited for.
        own = top_k(torch.cat(logits).cpu().numpy(), views.labels[share].numpy(), 1).correct if logits else 0
        correct = torch.as_tensor(self.fabric.all_reduce(torch.tensor([own], device=self.fabric.device), reduce_op="sum"))
        return Accuracy(int(correct), len(views))

    def _batches(self, epoch: int) -> Iterator[Tensor]:
        """Sample numbers of each step, in an order that follows from (seed, epoch)."""
        optim = self.recipe.optim
        generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + epoch)
        order = torch.randperm(self._samples(), generator=generator)
        for index in order.split(optim.batch_size):
            # A remainder smaller than the number of processes cannot be shared.
            if len(index) == optim.batch_size or (not optim.drop_last and len(index) >= self.fabric.world_size):
                yield index

    def _samples(self) -> int:
        return len(self.built.train) * self.recipe.data.repeat

    def _announce(self, progress: Progress, resume: bool) -> None:
        built, optim = self.built, self.recipe.optim
        words = f"{len(built.prompts.texts)} texts" if built.prompts is not None else "no words"
        if self.task.levels and built.prompts is None:
            words += f" but a classifier on each of {', '.join(self.task.levels)}"
        print(
            f"{built.train.store.info.name}, {self.recipe.data.modality} stream: {len(built.train):,} training clips, {len(built.test):,} "
            f"{subset_name(self.recipe.data)} clips, {words}; {optim.epochs} epochs of {self._samples():,} samples, "
            f"{self.fabric.world_size} x {self.fabric.device.type}"
        )
        train, test, balanced = built.train.indices, built.test.indices, self.recipe.loss.balanced
        for note in check_subsets(built.train.store, train, test, balanced=balanced):
            print(f"note: {note}")
        if resume:
            print(
                f"going on after epoch {progress.epochs}"
                if progress.epochs
                else f"no checkpoint in {self.run.folder}; starting anew"
            )
        sys.stdout.flush()

    def _machine(self) -> dict[str, Any]:
        device = self.fabric.device
        return {
            "poseglot": __version__,
            "commit": source_commit(),
            "torch": torch.__version__,
            "python": platform.python_version(),
            "system": platform.platform(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type}{_processor()}",
            "processes": self.fabric.world_size,
            "threads": torch.get_num_threads(),
            "compiled": self.compiled,
            "learned_from": names_hash(self.built.train.store, self.built.train.indices),
        }

    def _save(self, progress: Progress) -> None:
        if self.fabric.is_global_zero:
            progress = replace(progress, scaler=self.fabric.strategy.precision.state_dict())
            save_checkpoint(self.run.checkpoint, self.task, self.optimizer, progress, self.recipe)

    def _report(self, entry: dict[str, Any], bar: tqdm[Any], board: SummaryWriter) -> None:
        self.run.add_to_log(entry)
        line = f"epoch {entry['epoch']}/{self.recipe.optim.epochs}  loss {entry['loss']:.4f}"
        if self.task.levels:
            beside = "alignment" if self.built.prompts is not None else "part classes"
            line += f" (classification {entry['classification']:.4f}, {beside} {entry['alignment']:.4f})"
        if "weight" in entry:
            line += f"  lambda {entry['weight']:.3f}"
            board.add_scalar("train/lambda", entry["weight"], entry["epoch"])
        line += f"  train {Accuracy(**entry['train'])}  {entry['clips_per_second']:.1f} clips/s"
        for name in ("lr", "loss", "classification", "alignment", "clips_per_second"):
            board.add_scalar(f"train/{name}", entry[name], entry["epoch"])
        board.add_scalar("train/accuracy", Accuracy(**entry["train"]).percent, entry["epoch"])
        if "test" in entry:
            line += f"  {subset_name(self.recipe.data)} {Accuracy(**entry['test'])}"
            board.add_scalar("test/accuracy", Accuracy(**entry["test"]).percent, entry["epoch"])
        bar.write(line, file=sys.stdout)
        sys.stdout.flush()

    def _bar(self, epochs_done: int) -> tqdm[Any]:
        optim = self.recipe.optim
        per_epoch = self._samples() - (self._samples() % optim.batch_size if optim.drop_last else 0)
        return tqdm(
            total=per_epoch * optim.epochs,
            initial=per_epoch * epochs_done,
            unit="clip",
            smoothing=0.05,
            dynamic_ncols=True,
            # A bar is for people at a terminal; a file or a pipe gets the epoch lines.
            disable=not (self.fabric.is_global_zero and sys.stderr.isatty()),
        )

    def _tensorboard(self, epochs_done: int) -> AbstractContextManager[SummaryWriter | None]:
        if not self.fabric.is_global_zero:
            return nullcontext()
        return SummaryWriter(str(self.run.tensorboard), purge_step=epochs_done + 1 if epochs_done else None)


def _processor() -> str:
    """The processor's name in brackets, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((f" ({line.partition(':')[2].strip()})" for line in lines if line.startswith("model name")), "")


def _better(best: tuple[int, int] | None, new: tuple[int, int]) -> tuple[int, int]:
    """(correct, epoch): the earlier of equals."""
    return new if best is None or new[0] > best[0] else best
