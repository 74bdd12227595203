"""Trainings, preparations and batch predictions are killed and go on: what they write is bit for bit that of unbroken ones.

    python benchmarks/attack_kills.py --kills 1000

A victim is a process that is killed (SIGKILL) after a random time and started again, until it has ended by itself. After a fifth of the
kills a bit of a training's last checkpoint is flipped, if there is one before it. In the end the victim's files are compared with those
of one that nobody killed. Victims are forked from a process that has imported everything.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measuring import machine, table, write_results

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.prepare import prepare
from poseglot.data.store import open_store, write_store
from poseglot.data.synthetic import make_clips
from poseglot.data.synthetic.raw_ntu import write_raw_set
from poseglot.inference.batch import BatchJob, make_shards, open_batch, predict_locally
from poseglot.models.recognizer import RecognizerSpec, new_recognizer, save_recognizer
from poseglot.skeletons.layout import load_layout
from poseglot.training.engine import Runtime, train
from poseglot.training.recipe import DataRecipe, ModelRecipe, OptimRecipe, Recipe, TextRecipe

TIMES = ("seconds", "elapsed", "clips_per_second")  # of the log: they differ from run to run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000, help="of all kinds together (1000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--out", type=Path, default=Path("results/attacks"))
    parsed = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    began, rows = time.monotonic(), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        victims = _victims(folder)
        for number, (kind, victim) in enumerate(victims.items(), start=1):
            end = began + parsed.seconds * number / len(victims)
            rows.append(
                attack(kind, victim, folder / kind, parsed.kills // len(victims), random.Random(f"{parsed.seed} {kind}"), end)
            )
            print(rows[-1], flush=True)
    about = machine()
    text = f"# Kills\n\n`{about['command']}`, {time.monotonic() - began:,.0f} s.\n\n{table(rows)}"
    write_results(parsed.out, "kills", text, {"machine": about, "rows": rows})
    sys.exit(1 if any(row["different"] or row["refused"] for row in rows) else 0)


Victim = tuple[Callable[[Path], None], Callable[[Path], dict[str, Any]]]


def attack(kind: str, victim: Victim, folder: Path, kills: int, draw: random.Random, end: float) -> dict[str, Any]:
    """Kill a victim until there are enough kills; return the counts."""
    work, content = victim
    folder.mkdir()
    began = time.monotonic()
    assert _in_child(work, folder / "unbroken", None) == 0
    whole, expected = time.monotonic() - began, content(folder / "unbroken")
    row = {"what": kind, "kills": 0, "finished": 0, "equal": 0, "different": 0, "refused": 0}
    while row["kills"] < kills and time.monotonic() < end:
        out = folder / f"victim-{row['finished']}"
        while (status := _in_child(work, out, draw.uniform(0, whole))) == -signal.SIGKILL:
            row["kills"] += 1
            _flip(out, draw)
        row["finished"] += 1
        row["refused"] += status != 0
        same = status == 0 and content(out) == expected
        row["equal" if same else "different"] += 1
        shutil.rmtree(out, ignore_errors=True)
    return row


def _flip(out: Path, draw: random.Random) -> None:
    """Flip a bit of the last checkpoint, now and then, if there is one before it."""
    last, before = out / "checkpoint.safetensors", out / "checkpoint.previous.safetensors"
    if draw.random() < 0.2 and last.exists() and before.exists():
        content = bytearray(last.read_bytes())
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        last.write_bytes(content)


def _in_child(work: Callable[[Path], None], out: Path, seconds: float | None) -> int | None:
    """Call a function in a fork, kill it after some seconds, and return its exit code."""
    process = multiprocessing.get_context("fork").Process(target=_quietly, args=(work, out))
    process.start()
    process.join(seconds)
    if process.is_alive():
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    return process.exitcode


def _quietly(work: Callable[[Path], None], out: Path) -> None:
    with open(out.with_name("log"), "a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        work(out)


def _victims(folder: Path) -> dict[str, Victim]:
    store, benchmark = folder / "demo", load_benchmark("demo")
    clips = make_clips()[::12]
    write_store(store, clips, benchmark=benchmark, layout=load_layout(benchmark.layout), source={})
    recipe = Recipe(
        data=DataRecipe(store=str(store), split="cross-person"),
        model=ModelRecipe(encoder="st-gcn", base_channels=8),
        text=TextRecipe(prompt="none"),
        optim=OptimRecipe(epochs=4, batch_size=16, warmup_epochs=1, milestones=[2]),
    )
    runtime = Runtime(accelerator="cpu", compile="off", loggers=())
    raw = folder / "raw.zip"
    write_raw_set(raw, files=24, seed=0, benchmark="ntu60")
    model = folder / "model" / "recognizer.safetensors"
    classes = open_store(store).classes
    save_recognizer(
        new_recognizer(RecognizerSpec("kinect20", classes, encoder="st-gcn", encoder_kwargs={"base_channels": 8}), seed=0),
        model,
    )
    shards = make_shards([store], [], size=20)

    def training(out: Path) -> None:
        train(recipe, out, resume=out.exists(), runtime=runtime)

    def trained(out: Path) -> dict[str, Any]:
        lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        log = [{key: value for key, value in line.items() if key not in TIMES} for line in lines]
        return {"log": log, **{name: (out / f"{name}.safetensors").read_bytes() for name in ("recognizer", "checkpoint")}}

    def preparing(out: Path) -> None:
        prepare("ntu60", source=raw, out=out, overwrite=out.exists())

    def stored(out: Path) -> dict[str, Any]:
        return {path.name: path.read_bytes() for path in out.iterdir()}

    def predicting(out: Path) -> None:
        job = BatchJob(run=str(model), out=str(out), device="cpu")
        with open_batch(job, shards) as left:
            for _ in predict_locally(job, left):
                pass

    def predicted(out: Path) -> dict[str, Any]:
        return {path.name: path.read_bytes() for path in out.glob("shard-*")}

    return {"training": (training, trained), "preparation": (preparing, stored), "batch": (predicting, predicted)}


if __name__ == "__main__":
    main()
