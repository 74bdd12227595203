"""Clips that a run was trained on are found in any store, or it is said that they could not be looked for."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import poseglot
from poseglot.data.benchmarks import load_benchmark
from poseglot.data.store import PackedStore, write_store
from poseglot.files import write_atomically
from poseglot.models.recognizer import Recognizer, RecognizerSpec, save_recognizer
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout
from poseglot.skeletons.mapping import map_layout
from poseglot.training.evaluate import Evaluation, evaluate
from poseglot.training.recipe import DataRecipe, ModelRecipe, Recipe, TextRecipe
from poseglot.training.recipe_io import recipe_yaml
from poseglot.training.run import Run
from poseglot.training.run_folder import RunFolder

LEARNED = 3  # people 1 to 8 are trained on
Write = Callable[..., Path]


@pytest.fixture
def run(store_path: Path, small_store: PackedStore, tmp_path: Path) -> Run:
    files = RunFolder(tmp_path / "run")
    spec = RecognizerSpec(layout="kinect20", classes=small_store.classes, encoder_kwargs={"base_channels": 8})
    torch.manual_seed(0)
    save_recognizer(Recognizer(spec).eval(), files.recognizer)
    text = TextRecipe(prompt="none", partition="none", descriptions="demo")
    recipe = Recipe(data=DataRecipe(store=str(store_path), split="cross-person"), model=ModelRecipe(base_channels=8), text=text)
    write_atomically(files.recipe, recipe_yaml(recipe))
    return poseglot.open_run(files.folder, device="cpu")


@pytest.fixture
def write(small_store: PackedStore, tmp_path: Path) -> Write:
    """Writes a store that tests on three clips of a trained person and five of another, all under new names."""

    def make(change: Callable[[Clip], Clip] = lambda clip: clip, *, layout: str = "kinect20", **options: str) -> Path:
        clips = [clip for clip in small_store if clip.subject == 1][:LEARNED]
        clips += [clip for clip in small_store if clip.subject == 9][:5]
        clips = [replace(clip, name=f"theirs{number}", subject=9) for number, clip in enumerate(clips)]
        clips = [change(clip) for clip in (*clips, next(clip for clip in small_store if clip.subject == 2))]
        path = tmp_path / "theirs"
        write_store(path, clips, benchmark=load_benchmark("demo"), layout=load_layout(layout), source={}, **options)  # type: ignore[arg-type]
        return path

    return make


def heard(run: Run, store: Path, *arguments: object, **options: object) -> tuple[Evaluation, str]:
    """Evaluate, and return the warnings in a text."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = evaluate(run, store, *arguments, **options)  # type: ignore[arg-type]
    return found, "\n".join(str(each.message) for each in caught)


@pytest.mark.parametrize("way", ["split", "map", "half"])
def test_training_clips_in_another_store_are_counted(way: str, run: Run, write: Write) -> None:
    """By the store's own split, as another data set, and rounded to half precision."""
    store = write(dtype="float16") if way == "half" else write()
    found, said = heard(run, store, "cross-person", class_map={} if way == "map" else None)
    assert found.in_training is not None and found.in_training.tolist() == [True] * LEARNED + [False] * 5
    clean = found.top1_without_training_clips
    assert clean is not None and clean.total == 5 and clean.correct == int(found.correct[LEARNED:].sum())
    assert f"{LEARNED} of 8 evaluated clips are training clips" in said


def test_what_cannot_be_compared_is_said(run: Run, write: Write) -> None:
    """Mapped joints are equal to nothing, and a run whose store is gone, or that has no recipe, does not know its clips."""
    mapping = map_layout(load_layout("kinect20"), load_layout("ntu25"))
    mapped = write(lambda clip: replace(clip, joints=mapping.apply(clip.joints)), layout="ntu25")
    for folder, reason in ((mapped, "joints"), (None, "cannot be read"), (None, "no recipe")):
        store = folder or write()
        if reason == "cannot be read":
            recipe = replace(run.recipe, data=replace(run.recipe.data, store="gone"))
            write_atomically(run.files.recipe, recipe_yaml(recipe))
        elif reason == "no recipe":
            run.files.recipe.unlink()
        run = poseglot.open_run(run.folder, device="cpu")
        found, said = heard(run, store, "cross-person", class_map={})
        assert found.in_training is None and found.top1_without_training_clips is None
        assert "could not be checked" in said and reason in said
        (folder or store).rename(store.with_name(f"{store.name} {reason}"))


def test_the_same_recordings_prepared_otherwise_are_named(run: Run, small_store: PackedStore, tmp_path: Path) -> None:
    clips = [replace(clip, joints=2 * clip.joints, subject=9) for clip in small_store if clip.subject in (1, 9)]
    clips += [replace(small_store[0], name="theirs", subject=1)]
    write_store(tmp_path / "again", clips, benchmark=load_benchmark("demo"), layout=load_layout("kinect20"), source={})
    found, said = heard(run, tmp_path / "again", "cross-person")
    assert found.in_training is not None and not found.in_training.any()
    assert f"{sum(clip.subject == 1 for clip in small_store)} of {len(clips) - 1} evaluated clips have the names" in said


def test_clips_of_other_people_are_clean(run: Run) -> None:
    found, said = heard(run, Path(run.recipe.data.store), "cross-person")
    assert found.in_training is not None and not np.any(found.in_training) and said == ""
