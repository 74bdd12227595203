"""What is the user's matter ends in a message that names it and status 1; wrong usage in 2; never in a traceback."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.store import PackedStore
from poseglot.evaluation.scores import load_scores, save_scores

Outcome = Any
Command = Callable[..., Outcome]
MakeRun = Callable[..., Path]


def refused(said: Outcome) -> str:
    """The message, after a look at its form."""
    assert said.status == 1
    assert said.error.startswith("poseglot: ")
    assert "Traceback" not in said.error
    return str(said.error)


def test_training_without_a_recipe(poseglot: Command, tmp_path: Path) -> None:
    assert "--config" in refused(poseglot("train", "--out", tmp_path / "run"))
    assert "--config demo" in refused(poseglot("train", "demo"))
    assert "--text.prompt" in refused(poseglot("train", "--text.promt", "label"))
    message = refused(poseglot("train", "--config", tmp_path / "absent.yaml", "--out", tmp_path / "run"))
    assert "absent.yaml" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("where", "key", "value", "named"),
    [
        ("optim", "learning_rate", 0.1, "learning_rate"),
        (None, "optimiser", {"lr": 0.1}, "optimiser"),
        ("optim", "epochs", "many", "epochs"),
        ("optim", "lr", [0.1], "lr"),
        ("data", "modality", "bones", "modality"),
        ("text", "freeze", "thawed", "freeze"),
        ("optim", "epochs", 0, "optim.epochs"),
    ],
)
@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_faulty_recipe_names_its_fault(
    poseglot: Command,
    make_run: MakeRun,
    tmp_path: Path,
    command: str,
    where: str | None,
    key: str,
    value: object,
    named: str,
) -> None:
    run = make_run(tmp_path / "run")
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    (recipe if where is None else recipe[where])[key] = value
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    out = tmp_path / "new"
    arguments = ["--config", run / "recipe.yaml", "--out", out] if command == "train" else [run]
    assert named in refused(poseglot(command, *arguments))
    assert not out.exists()


def test_an_unknown_setting_of_train_is_named(poseglot: Command, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    arguments = ("train", "--config", run / "recipe.yaml", "--out", tmp_path / "new")
    assert "optim.learning_rate" in refused(poseglot(*arguments, "--optim.learning_rate", "3"))
    assert "optim.epochs" in refused(poseglot(*arguments, "--optim.epochs", "three"))
    assert not (tmp_path / "new").exists()


def test_training_over_another_run(poseglot: Command, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    before = (run / "recognizer.safetensors").read_bytes()
    assert "already holds a run" in refused(poseglot("train", "--config", run / "recipe.yaml", "--out", run))
    assert (run / "recognizer.safetensors").read_bytes() == before


def test_a_run_of_another_data_set(poseglot: Command, make_run: MakeRun, store_path: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", classes=load_benchmark("nw-ucla").classes)
    for arguments in ([], ["--store", store_path, "--split", "cross-person"]):
        message = refused(poseglot("evaluate", run, *arguments))
        assert "pick up with one hand" in message and "nod head" in message
        assert str(store_path) in message or "--class-map" in message
    assert not (run / "scores.npz").exists()


def test_unknown_store_and_split(poseglot: Command, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert "absent" in refused(poseglot("evaluate", run, "--store", tmp_path / "absent"))
    assert "cross-person" in refused(poseglot("evaluate", run, "--split", "cross-view"))
    assert "absent" in refused(poseglot("evaluate", tmp_path / "absent"))


def test_ensembles_that_do_not_fit(poseglot: Command, make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, seed=seed) for seed, name in enumerate(("one", "two"))]
    assert poseglot("evaluate", runs[0]).status == 0
    assert str(runs[1] / "scores.npz") in refused(poseglot("ensemble", *runs))
    whole = load_scores(runs[0] / "scores.npz")

    for weights in (["1"], ["1", "1", "1"]):
        refused(poseglot("ensemble", *runs, "--weights", *weights))

    others = {
        "fewer clips": replace(whole, names=whole.names[:-1], labels=whole.labels[:-1], logits=whole.logits[:-1]),
        "other names": replace(whole, names=("x", *whole.names[1:])),
        "other order": replace(
            whole, names=whole.names[::-1], labels=whole.labels[::-1], logits=np.ascontiguousarray(whole.logits[::-1])
        ),
        "other labels": replace(whole, labels=(whole.labels + 1) % 12),
        "other classes": replace(whole, classes=whole.classes[::-1]),
    }
    for what, scores in others.items():
        save_scores(scores, runs[1] / "scores.npz")
        message = refused(poseglot("ensemble", *runs))
        assert "not evaluated on the same clips" in message, what
        assert str(runs[1]) in message


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "run", "clip.npy", "--color"),
        ("evaluate", "run", "--stream", "bone"),
        ("prepare", "demo", "--out", "x", "extra"),
        ("predict", "run"),
        ("predict", "run", "clip.npy", "--top", "five"),
        ("recognise", "run"),
        (),
    ],
)
def test_wrong_usage_is_told(poseglot: Command, arguments: tuple[str, ...]) -> None:
    said = poseglot(*arguments)
    assert said.status == 2
    assert said.out == ""
    assert "usage: poseglot" in said.error
    assert "Traceback" not in said.error


def test_an_unknown_argument_is_named(poseglot: Command) -> None:
    assert "--color" in poseglot("predict", "run", "clip.npy", "--color").error


def test_unacceptable_clips(poseglot: Command, make_run: MakeRun, small_store: PackedStore, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    joints = small_store[0].joints
    np.save(tmp_path / "good.npy", joints)
    np.save(tmp_path / "short.npy", joints[:, :, :13])
    for name in ("film.mp4", "film.gif"):
        (tmp_path / name).write_bytes(b"moving")
    cases = (("short.npy", "13 joints"), ("film.gif", "'.gif'"), ("film.mp4", "video"), ("absent.npy", "absent.npy"))
    for name, said in cases:
        output = poseglot("predict", run, tmp_path / "good.npy", tmp_path / name)
        message = refused(output)
        assert said in message
        assert name in message
        assert output.out == ""


def test_export_of_an_unknown_clip(poseglot: Command, store_path: Path, tmp_path: Path) -> None:
    message = refused(poseglot("export-clip", store_path, "a99", "--out", tmp_path / "a99.npy"))
    assert "'a99'" in message
    assert list(tmp_path.iterdir()) == []


def test_prepare_refuses_unknown_sets_and_missing_sources(poseglot: Command, tmp_path: Path) -> None:
    assert "nw-ucla, ntu60, ntu120, demo" in refused(poseglot("prepare", "ntu", "--out", tmp_path / "store"))
    assert "--source" in refused(poseglot("prepare", "nw-ucla", "--out", tmp_path / "store"))
    assert "absent.zip" in refused(
        poseglot("prepare", "nw-ucla", "--source", tmp_path / "absent.zip", "--out", tmp_path / "store")
    )
    assert list(tmp_path.iterdir()) == []


class _Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("saved_by", ["torch", "torch's old form", "pickle"])
def test_a_malicious_checkpoint_is_refused_unopened(poseglot: Command, tmp_path: Path, saved_by: str) -> None:
    path, target = tmp_path / "weights.pt", tmp_path / "sprung"
    content = {"fc.weight": torch.zeros(10, 4), "fc.bias": _Trap(target)}
    if saved_by == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=saved_by == "torch")
    message = refused(poseglot("import-weights", path, "--out", tmp_path / "run"))
    assert "weights.pt could not be read as a file of tensors" in message
    assert not target.exists()
    assert not (tmp_path / "run").exists()
    # The trap is a real one.
    if saved_by == "pickle":
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert target.exists()


def test_weights_that_are_not_a_recognizers(poseglot: Command, tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pt")
    torch.save([torch.zeros(3)], tmp_path / "list.pt")
    (tmp_path / "text.pt").write_text("no weights at all")
    for name, named in (
        ("other.pt", "checkpoint"),
        ("list.pt", "no state_dict"),
        ("text.pt", "text.pt"),
        ("x.pt", "x.pt"),
    ):
        assert named in refused(poseglot("import-weights", tmp_path / name, "--out", tmp_path / "run"))
    assert not (tmp_path / "run").exists()
