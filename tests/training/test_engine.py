"""The engine: a run from start to end, interrupted and resumed bit for bit, its log, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poseglot.errors import DeviceError, FileError, PoseglotError, SettingError
from poseglot.models.recognizer import load_recognizer
from poseglot.models.tensor_file import read_tensors
from poseglot.training.batches import TrainingBatches
from poseglot.training.build import build
from poseglot.training.callbacks import Callback, FitState, Result
from poseglot.training.checkpoint import load_weights
from poseglot.training.engine import Runtime, train
from poseglot.training.recipe import LossRecipe, OptimRecipe, Recipe
from poseglot.training.recipe_io import read_recipe, recipe_yaml
from poseglot.training.run_folder import RunFolder
from poseglot.training.subsets import names_hash
from tests.conftest import ROOT
from tests.training.helpers import small_recipe

CPU = Runtime(accelerator="cpu")


@pytest.fixture(scope="module")
def recipe(few_clips: Path, tiny_bert: Path) -> Recipe:
    return small_recipe(few_clips, tiny_bert)


@pytest.fixture(scope="module")
def unbroken(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    train(recipe, folder, runtime=CPU)
    return RunFolder(folder)


class Interrupt(Callback):
    """Ends a training after a step, or after its first checkpoint."""

    def __init__(self, *, step: int = 0, checkpoint: bool = False) -> None:
        self.step, self.checkpoint = step, checkpoint

    def on_step_end(self, state: FitState, losses: Any) -> None:
        if state.step == self.step:
            raise KeyboardInterrupt

    def on_checkpoint(self, state: FitState) -> None:
        if self.checkpoint:
            raise KeyboardInterrupt


class Weights(Callback):
    """Keeps the state after every step, in double precision."""

    def __init__(self) -> None:
        self.seen: list[dict[str, torch.Tensor]] = []

    def on_step_end(self, state: FitState, losses: Any) -> None:
        self.seen.append({name: tensor.detach().double() for name, tensor in state.module.state_dict().items()})


class Listener(Callback):
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.result: Result | None = None

    def on_fit_start(self, state: FitState) -> None:
        self.heard.append("start")

    def on_step_end(self, state: FitState, losses: Any) -> None:
        self.heard.append("step")

    def on_epoch_end(self, state: FitState, entry: Any) -> None:
        self.heard.append("epoch")

    def on_validate_end(self, state: FitState, accuracy: Any) -> None:
        self.heard.append("validate")

    def on_checkpoint(self, state: FitState) -> None:
        self.heard.append("checkpoint")

    def on_fit_end(self, state: FitState, result: Result | None) -> None:
        self.heard.append("end")
        self.result = result


def lasting(run: RunFolder) -> list[dict[str, Any]]:
    """The log without what a clock measured."""
    return [
        {key: value for key, value in entry.items() if "second" not in key and key != "elapsed"} for entry in run.read_log()
    ]


def test_a_run_leaves_recipe_log_checkpoint_and_recognizer(recipe: Recipe, unbroken: RunFolder) -> None:
    assert read_recipe(unbroken.recipe) == recipe
    log = unbroken.read_log()
    assert [entry["epoch"] for entry in log] == [1, 2, 3]
    assert [entry["lr"] for entry in log] == pytest.approx([0.1, 0.1, 0.01])
    assert all(entry["train"]["total"] == 32 and entry["test"]["total"] == 8 for entry in log)
    assert log[-1]["loss"] < log[0]["loss"]
    assert list(unbroken.tensorboard.iterdir())
    recognizer = load_recognizer(unbroken.recognizer)
    assert recognizer.spec.levels is not None
    assert list(recognizer.spec.levels) == ["global", "head", "hand", "hip", "foot"]


def test_the_result_is_the_last_epoch_and_the_best_on_test_is_kept_apart(
    recipe: Recipe, unbroken: RunFolder, tmp_path: Path
) -> None:
    result = train(recipe, unbroken.folder, resume=True, runtime=CPU)  # complete already: only looked at again
    log = unbroken.read_log()
    assert (result.last.correct, result.last.total) == (log[-1]["test"]["correct"], 8)
    counts = [entry["test"]["correct"] for entry in log]
    assert result.best_on_test == (max(counts), counts.index(max(counts)) + 1)


@pytest.mark.parametrize("step", [7, 12])
def test_interrupted_and_resumed_is_bit_for_bit_the_unbroken_run(
    recipe: Recipe, unbroken: RunFolder, tmp_path: Path, step: int
) -> None:
    run = RunFolder(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):  # in the middle of the second or third epoch of five steps
        train(recipe, run.folder, runtime=CPU, callbacks=[Interrupt(step=step)])
    assert not run.recognizer.exists()
    with run.log.open("a") as log:
        log.write('{"epoch": 3, "lo')  # what a kill may leave
    train(recipe, run.folder, resume=True, runtime=CPU)
    assert run.recognizer.read_bytes() == unbroken.recognizer.read_bytes()
    assert run.checkpoint.read_bytes() == unbroken.checkpoint.read_bytes()
    assert lasting(run) == lasting(unbroken)


SGD = OptimRecipe(epochs=3, batch_size=7, drop_last=False, warmup_epochs=1)


@pytest.mark.parametrize(
    "optim",
    [
        replace(SGD, schedule="cosine", ema_decay=0.9),
        replace(
            SGD, name="AdamW", lr=0.01, schedule="one-cycle", kwargs={"betas": [0.8, 0.99]}, decay_all=False, ema_decay=0.5
        ),
        replace(SGD, name="RMSprop", lr=0.01, kwargs={"momentum": 0.5}),
        replace(SGD, name="Adagrad", lr=0.01, kwargs={"lr_decay": 0.1}),
    ],
    ids=["cosine-ema", "adamw", "rmsprop", "adagrad"],
)
def test_every_optimizer_and_schedule_is_resumed_bit_for_bit(recipe: Recipe, tmp_path: Path, optim: OptimRecipe) -> None:
    recipe = replace(recipe, optim=optim, data=replace(recipe.data, mixup=0.4, part_swap=0.5))
    whole, cut = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    train(recipe, whole.folder, runtime=CPU)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, cut.folder, runtime=CPU, callbacks=[Interrupt(step=12)])
    train(recipe, cut.folder, resume=True, runtime=CPU)
    assert cut.checkpoint.read_bytes() == whole.checkpoint.read_bytes()
    assert cut.recognizer.read_bytes() == whole.recognizer.read_bytes()
    assert lasting(cut) == lasting(whole)


def test_the_average_is_what_is_validated_and_saved(recipe: Recipe, tmp_path: Path) -> None:
    recipe = replace(recipe, optim=replace(recipe.optim, ema_decay=0.8))
    run, weights = RunFolder(tmp_path / "run"), Weights()
    result = train(recipe, run.folder, runtime=CPU, callbacks=[weights])
    wanted = weights.seen[0]
    for step, after in enumerate(weights.seen[1:], start=2):
        share = max(0.2, 9 / (9 + step))
        wanted = {name: (1 - share) * wanted[name] + share * tensor for name, tensor in after.items()}
    saved = load_recognizer(run.recognizer)
    for name, tensor in saved.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, wanted[f"recognizer.{name}"].float(), rtol=1e-4, atol=1e-6)
    assert not torch.equal(saved.classifier.weight, weights.seen[-1]["recognizer.classifier.weight"].float())
    # Validated with these weights; the checkpoint's are the same ones, for those who restore them.
    test = build(recipe).test
    with torch.no_grad():
        logits = saved(torch.cat(list(test.eval_inputs(8, torch.device("cpu")))))["logits"]
    assert int((logits.argmax(dim=1) == test.labels).sum()) == result.last.correct
    task = build(recipe).task
    load_weights(run.checkpoint, task)
    for name, tensor in task.recognizer.state_dict().items():
        torch.testing.assert_close(tensor, saved.state_dict()[name], rtol=0, atol=0)


def test_callbacks_hear_everything_in_order(recipe: Recipe, tmp_path: Path) -> None:
    recipe, listener = replace(recipe, optim=replace(recipe.optim, epochs=2)), Listener()
    result = train(recipe, str(tmp_path / "run"), runtime=CPU, callbacks=[listener])
    epoch = [*["step"] * 5, "validate", "epoch", "checkpoint"]
    assert listener.heard == ["start", *epoch, *epoch, "end"]
    assert listener.result == result
    again = Listener()
    train(recipe, tmp_path / "run", resume=True, runtime=CPU, callbacks=[again])
    assert again.heard == ["start", "validate", "end"]


def test_what_learns_beside_the_skeleton_is_resumed_too(recipe: Recipe, tmp_path: Path) -> None:
    """A learned context before fixed words, and a learned lambda, cut off between epochs."""
    recipe = replace(
        recipe,
        text=replace(recipe.text, prompt="learned", partition="global", freeze=True, context_length=4),
        loss=LossRecipe(learn_alignment_weight=True),
    )
    whole, cut = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    train(recipe, whole.folder, runtime=CPU)
    weights = [entry["weight"] for entry in whole.read_log()]
    assert len(set(weights)) == 3
    assert min(weights) > 0
    with pytest.raises(KeyboardInterrupt):
        train(recipe, cut.folder, runtime=CPU, callbacks=[Interrupt(checkpoint=True)])
    train(recipe, cut.folder, resume=True, runtime=CPU)
    assert cut.checkpoint.read_bytes() == whole.checkpoint.read_bytes()
    assert lasting(cut) == lasting(whole)
    # The text encoder was left as it was, the vectors before the words were not.
    _, tensors = read_tensors(whole.checkpoint)
    before = build(recipe).task.state_dict()
    moved = {name for name, tensor in before.items() if "bank" in name and not torch.equal(tensor, tensors[f"module.{name}"])}
    assert moved == {"bank.encoder.vectors"}


def test_a_fold_is_held_out_of_the_training_side(recipe: Recipe, tmp_path: Path) -> None:
    folded = replace(recipe, data=replace(recipe.data, folds=4, fold=2), optim=replace(recipe.optim, epochs=1))
    result = train(folded, tmp_path / "run", runtime=CPU)
    (entry,) = RunFolder(tmp_path / "run").read_log()
    assert (entry["train"]["total"], result.last.total) == (24, 8)  # 32 clips of eight people
    built = build(folded)
    whole = build(recipe)
    assert set(built.train.names) | set(built.test.names) == set(whole.train.names)
    assert not set(built.test.names) & set(whole.test.names)


def test_a_run_says_which_state_of_the_source_made_it(unbroken: RunFolder) -> None:
    commit = json.loads(unbroken.machine.read_text())["commit"]
    head = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    assert (commit or "").rstrip("+") == head


def test_a_run_remembers_what_it_learned_from(recipe: Recipe, unbroken: RunFolder) -> None:
    train = build(recipe).train
    assert unbroken.trained_on() == names_hash(train.store, train.indices)
    assert unbroken.trained_on() != names_hash(train.store, train.indices[1:])


def test_a_full_disk_while_saving_keeps_the_last_checkpoint(
    recipe: Recipe, unbroken: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, saves = RunFolder(tmp_path / "run"), 0
    original = os.fsync

    def full(handle: int) -> None:
        nonlocal saves
        if os.fstat(handle).st_size > 100_000:
            saves += 1
            if saves == 2:
                raise OSError(28, "No space left on device")
        original(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match=r"checkpoint\.safetensors.*No space left on device"):
        train(recipe, run.folder, runtime=CPU)
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "checkpoint.safetensors",
        "log.jsonl",
        "machine.json",
        "recipe.yaml",
        "tensorboard",
    ]
    train(recipe, run.folder, resume=True, runtime=CPU)
    assert run.recognizer.read_bytes() == unbroken.recognizer.read_bytes()


def test_another_run_is_not_overwritten_and_another_recipe_not_resumed(recipe: Recipe, unbroken: RunFolder) -> None:
    with pytest.raises(FileError, match="--resume"):
        train(recipe, unbroken.folder, runtime=CPU)
    with pytest.raises(SettingError, match=r"optim\.lr \(0\.1 there, 0\.2 wanted\)"):
        train(replace(recipe, optim=replace(recipe.optim, lr=0.2)), unbroken.folder, resume=True, runtime=CPU)
    assert read_recipe(unbroken.recipe) == recipe


def test_resume_without_a_checkpoint_begins_anew_and_says_so(
    recipe: Recipe, unbroken: RunFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "poseglot.training")
    run = RunFolder(tmp_path / "run")
    run.folder.mkdir()
    run.recipe.write_text(recipe_yaml(recipe))  # killed in its first epoch
    train(replace(recipe, optim=replace(recipe.optim, epochs=1)), run.folder, resume=True, runtime=CPU)
    assert "no checkpoint in" in caplog.text
    run.checkpoint.unlink()
    with pytest.raises(FileError, match="--out"):
        train(recipe, run.folder, resume=True, runtime=CPU)


def test_a_file_in_the_place_of_the_folder_is_named(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(FileError, match="run"):
        train(recipe, tmp_path / "run", runtime=CPU)


def test_a_checkpoint_cut_short_is_named(recipe: Recipe, unbroken: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.folder.mkdir()
    whole = unbroken.checkpoint.read_bytes()
    run.checkpoint.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(FileError, match=r"checkpoint\.safetensors"):
        train(recipe, run.folder, resume=True, runtime=CPU)


def test_what_cannot_be_trained_is_refused_before_anything_is_written(recipe: Recipe, tmp_path: Path) -> None:
    cases = {
        "nothing": replace(recipe, data=replace(recipe.data, store=str(tmp_path / "nothing"))),
        "cross-view": replace(recipe, data=replace(recipe.data, split="cross-view")),
        "nod head": replace(recipe, text=replace(recipe.text, descriptions="nw-ucla")),
        "gcn": replace(recipe, model=replace(recipe.model, encoder="gcn")),
        "batch of 33": replace(recipe, optim=replace(recipe.optim, batch_size=33, drop_last=True)),
        "16-mixed": replace(recipe, precision="16-mixed"),
        "NoSuch": replace(recipe, optim=replace(recipe.optim, name="NoSuch")),
    }
    for named, case in cases.items():
        with pytest.raises(PoseglotError, match=named):
            train(case, tmp_path / "run", runtime=CPU)
    assert not (tmp_path / "run").exists()


def test_a_training_that_diverges_says_so(recipe: Recipe, tmp_path: Path) -> None:
    wild = replace(recipe, optim=replace(recipe.optim, lr=1e12, warmup_epochs=0))
    with pytest.raises(PoseglotError, match=r"optim\.lr"):
        train(wild, tmp_path / "run", runtime=CPU)
    assert not (tmp_path / "run" / "recognizer.safetensors").exists()


@pytest.mark.parametrize(
    "runtime",
    [
        Runtime("abacus"),
        Runtime("cpu", "many"),
        Runtime("cpu", "0"),
        Runtime("cpu", "-2"),
        Runtime("cpu", "1", 0),
        Runtime("tpu"),
    ],
)
def test_a_machine_that_is_not_there_is_named(recipe: Recipe, tmp_path: Path, runtime: Runtime) -> None:
    with pytest.raises(DeviceError, match=f"'{runtime.accelerator}'|'{runtime.devices}'"):
        train(recipe, tmp_path / "run", runtime=runtime)


def test_the_epochs_order_follows_from_seed_and_epoch(recipe: Recipe) -> None:
    train = build(recipe).train

    def batches(seed: int, epoch: int, drop_last: bool, repeat: int) -> list[torch.Tensor]:
        made = TrainingBatches(train, None, seed=seed, batch_size=7, drop_last=drop_last, repeat=repeat)
        found = list(made.order(epoch))
        assert (made.steps_per_epoch, made.samples_per_epoch) == (len(found), sum(map(len, found)))
        return found

    whole = torch.cat(batches(0, 4, False, 2))
    assert sorted(whole.tolist()) == list(range(64))  # every clip twice, as samples of their own
    assert torch.equal(whole, torch.cat(batches(0, 4, False, 2)))
    assert not torch.equal(whole, torch.cat(batches(0, 5, False, 2)))
    assert not torch.equal(whole, torch.cat(batches(1, 4, False, 2)))
    assert [len(batch) for batch in batches(0, 0, True, 1)] == [7, 7, 7, 7]
    assert [len(batch) for batch in batches(0, 0, False, 1)] == [7, 7, 7, 7, 4]


@pytest.mark.parametrize("repeated", [True, False])
def test_repeated_augmentation_shows_the_same_inputs_every_epoch(recipe: Recipe, repeated: bool) -> None:
    made = TrainingBatches(build(recipe).train, None, seed=0, batch_size=7, repeated_augmentation=repeated)
    first, second = (made.load(torch.arange(8), epoch, torch.device("cpu")).inputs for epoch in (0, 1))
    assert torch.equal(first, second) == repeated


def test_bfloat16_training_stays_close_to_float32(recipe: Recipe, unbroken: RunFolder, tmp_path: Path) -> None:
    short = replace(recipe, precision="bf16-mixed", optim=replace(recipe.optim, epochs=1))
    train(short, tmp_path / "run", runtime=CPU)
    loss = RunFolder(tmp_path / "run").read_log()[0]["loss"]
    assert loss == pytest.approx(unbroken.read_log()[0]["loss"], rel=0.05)
    assert load_recognizer(tmp_path / "run" / "recognizer.safetensors").classifier.weight.dtype == torch.float32


def command(recipe: Recipe, folder: Path, *arguments: str) -> list[str]:
    (folder / "recipe.yaml").write_text(recipe_yaml(recipe))
    return [
        *(sys.executable, "-m", "poseglot", "train", "--config", str(folder / "recipe.yaml"), "--out", str(folder / "run")),
        *("--accelerator", "cpu", *arguments),
    ]


@pytest.mark.slow
def test_killed_at_any_moment_and_resumed_is_bit_for_bit_the_unbroken_run(recipe: Recipe, tmp_path: Path) -> None:
    longer = replace(recipe, optim=replace(recipe.optim, epochs=30))
    (tmp_path / "whole").mkdir()
    subprocess.run(command(longer, tmp_path / "whole"), check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    (tmp_path / "killed").mkdir()
    kills = 0
    for moment in range(40):
        process = subprocess.Popen(command(longer, tmp_path / "killed", "--resume"), stdout=subprocess.DEVNULL, cwd=ROOT)
        before = RunFolder(tmp_path / "killed" / "run").log
        size = before.stat().st_size if before.exists() else 0
        while process.poll() is None and (not before.exists() or before.stat().st_size <= size):
            time.sleep(0.02)
        time.sleep(0.037 * moment)  # anywhere in a step, a test, a save
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    assert process.wait() == 0
    assert kills >= 5
    whole, killed = RunFolder(tmp_path / "whole" / "run"), RunFolder(tmp_path / "killed" / "run")
    assert killed.recognizer.read_bytes() == whole.recognizer.read_bytes()
    assert lasting(killed) == lasting(whole)


TODAY = OptimRecipe(
    name="AdamW", lr=0.01, kwargs={"eps": 1e-3}, schedule="cosine", warmup_epochs=0, ema_decay=0.7, decay_all=False
)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("today", [False, True], ids=["paper", "today"])
def test_two_processes_train_the_same_recognizer_as_one(recipe: Recipe, store_path: Path, tmp_path: Path, today: bool) -> None:
    """In 64 bits: in 32, rounding alone moves the gradients of early layers by a percent, and a few steps multiply that."""
    # Batches of 21, so that shares differ in size; and five steps, as each makes a hundred times more of what was rounding.
    data, optim = replace(recipe.data, store=str(store_path)), replace(recipe.optim, epochs=1, milestones=[], batch_size=21)
    exact = replace(recipe, precision="64-true", data=data, optim=optim)
    if today:
        exact = replace(
            exact,
            data=replace(data, mixup=0.4, part_swap=0.5, augment=["axis-drop"]),
            text=replace(exact.text, train_layers=1),
            loss=LossRecipe(label_smoothing=0.1, positives="text"),
            optim=replace(TODAY, epochs=1, batch_size=21, drop_last=False),
        )
    logs, states = {}, {}
    launchers = ("fabric",) if today else ("fabric", "torchrun")
    for launcher in ("one", *launchers):
        (tmp_path / launcher).mkdir()
        given = command(exact, tmp_path / launcher, "--devices", "1" if launcher == "one" else "2")
        if launcher == "torchrun":
            given = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", *given[1:]]
        said = subprocess.run(given, check=True, capture_output=True, text=True, cwd=ROOT).stdout
        assert said.count("last epoch") == 1  # one process speaks
        run = RunFolder(tmp_path / launcher / "run")
        logs[launcher] = lasting(run)
        states[launcher] = load_recognizer(run.recognizer).state_dict()
    for launcher in launchers:
        for name, wanted in states["one"].items():
            torch.testing.assert_close(states[launcher][name], wanted, msg=lambda text, name=name: f"{name}: {text}")
        for entry, wanted in zip(logs[launcher], logs["one"], strict=True):
            assert entry["loss"] == pytest.approx(wanted["loss"], rel=1e-5)
            assert (entry["train"], entry["test"]) == (wanted["train"], wanted["test"])


@pytest.fixture
def stopped(recipe: Recipe, tmp_path: Path) -> RunFolder:
    """A run that was interrupted in its third epoch."""
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run", runtime=CPU, callbacks=[Interrupt(step=12)])
    return RunFolder(tmp_path / "run")


def test_a_damaged_checkpoint_goes_on_from_the_one_before_bit_for_bit(
    recipe: Recipe, unbroken: RunFolder, stopped: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    content = bytearray(stopped.checkpoint.read_bytes())
    content[len(content) // 2] ^= 4
    stopped.checkpoint.write_bytes(content)
    with stopped.log.open("ab") as log:
        log.write(b"\0" * 300 + b"\n" + b"\0" * 100)  # as after a power cut
    train(recipe, stopped.folder, resume=True, runtime=CPU)
    assert "damaged" in caplog.text
    assert stopped.recognizer.read_bytes() == unbroken.recognizer.read_bytes()
    assert lasting(stopped) == lasting(unbroken)
    assert not stopped.previous_checkpoint.exists()


def test_a_store_that_has_changed_is_refused_before_anything_is_written(
    recipe: Recipe, stopped: RunFolder, tmp_path: Path
) -> None:
    store = shutil.copytree(recipe.data.store, tmp_path / "store")
    moved = replace(recipe, data=replace(recipe.data, store=str(store)))
    run = tmp_path / "moved"
    with pytest.raises(KeyboardInterrupt):
        train(moved, run, runtime=CPU, callbacks=[Interrupt(step=7)])
    before = {path: path.read_bytes() for path in run.iterdir() if path.is_file()}
    described = json.loads((store / "store.json").read_text())
    split = described["splits"][recipe.data.split]
    swapped = {**described, "splits": {recipe.data.split: {"train": split["test"], "test": split["train"]}}}
    (store / "store.json").write_text(json.dumps(swapped))
    with pytest.raises(SettingError):
        train(moved, run, resume=True, runtime=CPU)
    (store / "store.json").write_text(json.dumps(described))
    joints = np.load(store / "joints.npy", mmap_mode="r+")
    joints[5] += 1
    joints.flush()
    with pytest.raises(SettingError):
        train(moved, run, resume=True, runtime=CPU)
    assert {path: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


@pytest.mark.skipif(os.name != "posix", reason="no such locks")
def test_one_writer_a_run(recipe: Recipe, tmp_path: Path) -> None:
    class Another(Callback):
        def on_fit_start(self, state: FitState) -> None:
            train(recipe, tmp_path / "run", resume=True, runtime=CPU)

    with pytest.raises(FileError, match="another process"):
        train(recipe, tmp_path / "run", runtime=CPU, callbacks=[Another()])
