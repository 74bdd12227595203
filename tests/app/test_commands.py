"""The commands at work: what each prints and writes, against the rooms below computed by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from poseglot import __version__
from poseglot.data.benchmarks import load_benchmark
from poseglot.data.store import PackedStore, open_store, write_store
from poseglot.data.synthetic import ACTIONS
from poseglot.evaluation.scores import load_scores
from poseglot.inference import Predictor
from poseglot.models.recognizer import load_recognizer
from poseglot.skeletons.layout import load_layout
from poseglot.training.subsets import names_hash
from poseglot.transforms import apply_pipeline

evaluation_input = partial(apply_pipeline, modality="joint")

Outcome = Any
Command = Callable[..., Outcome]
MakeRun = Callable[..., Path]


def expected_logits(
    run: Path, store: PackedStore, modality: str = "joint"
) -> tuple[npt.NDArray[np.float32], list[int], list[str]]:
    """Logits, labels and names of the test people's clips, clip by clip."""
    recognizer = load_recognizer(run / "recognizer.safetensors")
    logits, labels, names = [], [], []
    for place in range(len(store)):
        clip = store[place]
        if clip.subject >= 9:
            view = torch.from_numpy(evaluation_input(clip.joints, pipeline="nw-ucla", modality=modality))
            with torch.no_grad():
                logits.append(recognizer(view[None])["logits"][0].numpy())
            labels.append(clip.label)
            names.append(clip.name)
    return np.stack(logits), labels, names


def correct(logits: npt.NDArray[np.floating], labels: list[int], k: int = 1) -> int:
    return sum(label in np.argsort(-row)[:k] for row, label in zip(logits, labels, strict=True))


def test_prepare_packs_the_demo_set(poseglot: Command, tmp_path: Path) -> None:
    out = tmp_path / "data" / "demo"
    said = poseglot("prepare", "demo", "--out", out)
    assert (said.status, said.error) == (0, "")
    assert "864 clips (576 train, 288 test of cross-person)" in said.out
    assert "note:" not in said.out
    store = open_store(out)
    assert len(store) == 864
    assert store.info.classes == ACTIONS
    again = poseglot("prepare", "demo", "--out", out)
    assert again.status == 1
    assert "--overwrite" in again.error


def test_evaluate_counts_without_clips_that_were_learned_from(
    poseglot: Command, make_run: MakeRun, small_store: PackedStore, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run")
    assert "trained on" not in poseglot("evaluate", run).out
    clips = [small_store[place] for place in range(len(small_store))]
    tested = [place for place, clip in enumerate(clips) if clip.subject >= 9]
    learned = [place for place, clip in enumerate(clips) if clip.subject < 9]
    for test, train in zip(tested[:3], learned, strict=False):
        clips[test] = replace(clips[test], joints=clips[train].joints)
    write_store(
        tmp_path / "twins",
        clips,
        benchmark=load_benchmark("demo"),
        layout=load_layout("kinect20"),
        source={"synthetic": "here"},
    )
    said = poseglot("evaluate", run, "--store", tmp_path / "twins", "--split", "cross-person")
    scores = load_scores(run / "scores.npz")
    right = [bool(row.argmax() == label) for row, label in zip(scores.logits, scores.labels, strict=True)]
    own = [
        hit for hit, name in zip(right, scores.names, strict=True) if name not in {clips[place].name for place in tested[:3]}
    ]
    line = f"  top-1  {sum(own)}/21 = {100 * sum(own) / 21:.2f} % without 3/24 clips that were trained on"
    assert line in said.out.splitlines()


def test_evaluate_warns_when_the_training_side_is_another_now(
    poseglot: Command, make_run: MakeRun, small_store: PackedStore, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run")
    machine, places = run / "machine.json", small_store.subset("cross-person", "train")
    for hashed, warned in ((names_hash(small_store, places), False), (names_hash(small_store, places[1:]), True)):
        machine.write_text(json.dumps({"learned_from": hashed}))
        said = poseglot("evaluate", run)
        assert said.status == 0 and ("was trained on other clips" in said.error) == warned
    machine.write_text("{")  # an older run, or a damaged note: nothing is known
    assert poseglot("evaluate", run).error == ""


def test_evaluate_counts_and_writes_scores(
    poseglot: Command, make_run: MakeRun, small_store: PackedStore, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run")
    said = poseglot("evaluate", run)
    assert said.status == 0, said.error
    logits, labels, names = expected_logits(run, small_store)
    lines = said.out.splitlines()
    assert "demo, split cross-person, test set, modality joint" in lines[0]
    for k in (1, 5):
        assert f"  top-{k}  {correct(logits, labels, k)}/24 = {100 * correct(logits, labels, k) / 24:.2f} %" in lines
    for place, action in enumerate(ACTIONS):
        own = [row for row, label in enumerate(labels) if label == place]
        (line,) = [line for line in lines if line.startswith(f"    {action} ")]
        assert f" {correct(logits[own], [place] * len(own))}/2 " in line
    scores = load_scores(run / "scores.npz")
    assert scores.names == tuple(names)
    assert scores.labels.tolist() == labels
    assert scores.classes == ACTIONS
    np.testing.assert_allclose(scores.logits, logits, rtol=1e-3, atol=1e-3)


def test_evaluate_takes_another_store(poseglot: Command, make_run: MakeRun, store_path: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    # The best epoch of the log is that of the recipe's own clips.
    with_recipe = re.sub(r"  not a result.*\n", "", poseglot("evaluate", run).out)
    (run / "recipe.yaml").unlink()
    said = poseglot("evaluate", run, "--store", store_path, "--split", "cross-person")
    assert said.status == 0, said.error
    assert said.out == with_recipe
    lost = poseglot("evaluate", run)
    assert lost.status == 1
    assert "--store" in lost.error


def test_ensemble_fuses_by_the_fixed_weights_or_by_given_ones(
    poseglot: Command, make_run: MakeRun, small_store: PackedStore, tmp_path: Path
) -> None:
    runs = [
        make_run(tmp_path / modality, seed=seed, modality=modality) for seed, modality in enumerate(("joint", "bone_motion"), 3)
    ]
    for run in runs:
        assert poseglot("evaluate", run).status == 0
    (joint, labels, _), (motion, _, _) = (expected_logits(run, small_store, run.name) for run in runs)
    for options, weights in (([], (0.8, 0.2)), (["--weights", "0.1", "3"], (0.1, 3)), (["--weights", "1", "0"], (1, 0))):
        said = poseglot("ensemble", *runs, *options)
        assert said.status == 0, said.error
        *_, fused = said.out.splitlines()
        assert fused.endswith(f"  {correct(weights[0] * joint + weights[1] * motion, labels)}/24 = " + fused.rsplit("= ")[-1])
        assert ("fixed" in fused) == (not options)
    assert f"{correct(joint, labels)}/24" in said.out
    assert f"{correct(motion, labels)}/24" in said.out


def test_export_clip_then_predict(
    poseglot: Command, make_run: MakeRun, store_path: Path, small_store: PackedStore, tmp_path: Path
) -> None:
    run, clip = make_run(tmp_path / "run"), small_store[75]
    out = tmp_path / "clips" / "one.npy"
    said = poseglot("export-clip", store_path, clip.name, "--out", out)
    assert said.status == 0, said.error
    assert f"{clip.joints.shape[1]} frames, true action: {ACTIONS[clip.label]}" in said.out
    assert np.array_equal(np.load(out, allow_pickle=False), clip.joints)

    (expected,) = Predictor(run, device="cpu").predict([clip], top=3)
    said = poseglot("predict", run, out, "--top", 3, "--device", "cpu")
    assert said.status == 0, said.error
    first, *answers = said.out.splitlines()
    assert first == str(out)
    assert answers == [f"  {score.probability:6.1%}  {score.action}" for score in expected.scores]


def test_one_bad_clip_does_not_stop_the_rest(
    poseglot: Command, make_run: MakeRun, small_store: PackedStore, tmp_path: Path
) -> None:
    run, folder = make_run(tmp_path / "run"), tmp_path / "clips"
    folder.mkdir()
    for name, place in (("a.npy", 1), ("c.npy", 2)):
        np.save(folder / name, small_store[place].joints)
    np.save(folder / "b.npy", np.zeros((1, 5, 7, 3)))
    said = poseglot("predict", run, folder)
    assert said.status == 1
    assert "a.npy" in said.out and "c.npy" in said.out and "b.npy" not in said.out
    assert "1 of 3" in said.error and "b.npy" in said.error and "7 joints" in said.error
    rows = json.loads(poseglot("predict", run, folder, "--json").out)
    assert [("error" in row, Path(row["file"]).name) for row in rows] == [(False, "a.npy"), (True, "b.npy"), (False, "c.npy")]


def test_predict_writes_json(poseglot: Command, make_run: MakeRun, small_store: PackedStore, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    paths = [tmp_path / 'a "quoted" näme.npy', tmp_path / "b.npy"]
    for place, path in enumerate(paths):
        np.save(path, small_store[30 * place].joints)
    said = poseglot("predict", run, *paths, "--json", "--top", 12)
    assert (said.status, said.error) == (0, "")
    rows = json.loads(said.out)
    assert [row["file"] for row in rows] == [str(path) for path in paths]
    for row, prediction in zip(rows, Predictor(run).predict(paths, top=12), strict=True):
        answers = {answer["action"]: answer["probability"] for answer in row["scores"]}
        assert answers == pytest.approx({score.action: score.probability for score in prediction.scores})
        assert set(answers) == set(ACTIONS)
        assert sum(answers.values()) == pytest.approx(1)


def test_draw_makes_the_pictures_of_an_evaluated_run(
    poseglot: Command, make_run: MakeRun, small_store: PackedStore, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run")
    early = poseglot("plot", run)
    assert early.status == 1
    assert "poseglot evaluate" in early.error
    assert poseglot("evaluate", run).status == 0
    assert poseglot("plot", run).status == 0
    assert sorted(path.name for path in (run / "pictures").iterdir()) == ["confusion.png", "curve.png"]
    np.save(tmp_path / "clip.npy", small_store[5].joints)
    said = poseglot("plot", run, "--clip", tmp_path / "clip.npy")
    assert said.status == 0, said.error
    made = [Path(line) for line in said.out.splitlines()]
    assert {path.name for path in made} == {"confusion.png", "curve.png", "skeleton.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in made)


@pytest.fixture(scope="module")
def official(shared: Path) -> dict[str, npt.NDArray[np.float32]]:
    with np.load(shared / "golden" / "ctrgcn_nwucla_joint.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("wrapped", [False, True], ids=["state", "state in a checkpoint"])
def test_import_weights_of_a_gap_checkpoint(
    poseglot: Command, official: dict[str, npt.NDArray[np.float32]], small_store: PackedStore, tmp_path: Path, wrapped: bool
) -> None:
    state = {
        name.removeprefix("state/"): torch.from_numpy(array) for name, array in official.items() if name.startswith("state/")
    }
    torch.save({"state_dict": state, "epoch": 3} if wrapped else state, tmp_path / "gap.pt")
    out = tmp_path / "imported"
    said = poseglot("import-weights", tmp_path / "gap.pt", "--out", out, "--benchmark", "nw-ucla", "--gap")
    assert said.status == 0, said.error
    assert "10 classes" in said.out
    assert "alignment levels: global, head, hand, hip, foot" in said.out

    predictor = Predictor(out, device="cpu")
    views = torch.from_numpy(official["input"].transpose(0, 4, 2, 3, 1).copy())  # N,C,T,V,M -> N,M,T,V,C
    np.testing.assert_allclose(predictor.logits(views), official["logits"], rtol=1e-4, atol=1e-4)

    np.save(tmp_path / "clip.npy", small_store[0].joints)
    predicted = poseglot("predict", out, tmp_path / "clip.npy", "--json", "--top", 10)
    assert predicted.status == 0, predicted.error
    assert {answer["action"] for answer in json.loads(predicted.out)[0]["scores"]} == set(load_benchmark("nw-ucla").classes)

    again = poseglot("import-weights", tmp_path / "gap.pt", "--out", out, "--gap")
    assert again.status == 1
    assert "choose another --out" in again.error


def test_version(poseglot: Command) -> None:
    said = poseglot("--version")
    assert (said.status, said.out) == (0, f"poseglot {__version__}\n")
