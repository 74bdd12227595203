"""`poseglot init`: from somebody's files to a folder in which `poseglot train` runs, as its owner would type it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from poseglot.data.store import PackedStore, open_store
from poseglot.skeletons.layout import load_layout
from poseglot.training.recipe_io import read_recipe

Command = Callable[..., Any]
ORDER = ("head", "spine", "shoulder_centre", "left_hand", "right_hand", "left_elbow", "right_elbow", "left_knee", "right_knee",
         "left_foot", "right_foot", "hip_centre")  # fmt: skip
SHORT = [
    "--optim.epochs",
    2,
    "--data.repeat",
    1,
    "--optim.warmup_epochs",
    1,
    "--optim.milestones",
    "[1]",
    "--model.base_channels",
    8,
    "--optim.batch_size",
    8,
]


@pytest.fixture
def files(small_store: PackedStore, tmp_path: Path) -> Path:
    """Twelve joints of synthetic clips, (joints, channels, frames), in folders of classes; five people."""
    places = [load_layout("kinect20").index[joint] for joint in ORDER]
    for place in range(len(small_store)):
        clip = small_store[place]
        if clip.label < 4 and clip.subject <= 5:
            path = tmp_path / "clips" / small_store.info.classes[clip.label] / f"p{clip.subject}_{place}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, clip.joints[0][:, places].transpose(1, 2, 0))
    return tmp_path / "clips"


def test_a_project_trains_evaluates_and_predicts(
    poseglot: Command, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["--names", "{label}/p{subject}_*", "--layout", "kinect20", "--joints", ",".join(ORDER)]
    said = poseglot("init", tmp_path / "gestures", "--source", files, *names)
    assert said.status == 0, said.error
    assert "4 classes, layout gestures" in said.out and "note: " in said.out  # so few clips
    folder = tmp_path / "gestures"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "classes.txt", "data", "descriptions.yaml", "layout.yaml", "recipe.yaml", "study.yaml",
    ]  # fmt: skip
    store = open_store(folder / "data")
    assert store.info.classes == tuple((folder / "classes.txt").read_text().splitlines())
    assert load_layout(str(folder / "layout.yaml")) == load_layout(store.info.layout) and list(store.info.splits) == [
        "by-subject"
    ]
    assert (folder / "README.md").read_text().startswith("# gestures: ") and len(
        (folder / "README.md").read_text().splitlines()
    ) == 5
    assert read_recipe(folder / "recipe.yaml").loss.balanced
    entries = yaml.safe_load((folder / "descriptions.yaml").read_text())["classes"]
    assert [entry["label"] for entry in entries] == list(store.info.classes)

    monkeypatch.chdir(folder)
    said = poseglot("train", "--out", "runs/first", *SHORT)
    assert said.status == 0, said.error
    assert poseglot("evaluate", "runs/first").status == 0
    clip = next(files.rglob("*.npy"))
    said = poseglot("predict", "runs/first", clip)
    assert said.status == 0 and any(name in said.out for name in store.info.classes)

    # The classes of the demo set are described in the package, and borrowed from there.
    said = poseglot("train", "--text.prompt", "synonym+parts", *SHORT)
    assert said.status == 0, said.error


def test_what_cannot_become_a_project_leaves_nothing(poseglot: Command, files: Path, tmp_path: Path) -> None:
    said = poseglot("init", tmp_path / "mine", "--source", files)
    assert said.status == 1 and "does not say what its joints are" in said.error
    said = poseglot("init", tmp_path / "mine", "--source", files, "--layout", "kinect20", "--joints", "head,nose,spine")
    assert said.status == 1 and "nose" in said.error
    (tmp_path / "empty").mkdir()
    said = poseglot("init", tmp_path / "mine", "--source", tmp_path / "empty", "--layout", "kinect20")
    assert said.status == 1 and "empty" in said.error
    assert not (tmp_path / "mine").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    said = poseglot("init", tmp_path / "mine", "--source", files, "--layout", "kinect20", "--joints", ",".join(ORDER))
    assert said.status == 1 and (tmp_path / "mine" / "thesis.txt").exists()


def test_numbers_for_names_are_mentioned(poseglot: Command, shared: Path, tmp_path: Path) -> None:
    zip_file = shared / "data" / "utd-mhad" / "Skeleton.zip"
    options = ["--layout", "kinect20", "--names", "a{label}_s{subject}_t*", "--test-subjects", 2, 4, 6, 8]
    said = poseglot("init", tmp_path / "mhad", "--source", zip_file, *options)
    assert said.status == 0, said.error
    assert "861 clips (431 train, 430 test of by-subject)" in said.out and "the classes are numbers" in said.out


@pytest.mark.parametrize(
    ("scale", "speed", "pipeline"),
    [(1, 0, "metric"), (1, 0.3, "image"), (1000, 0, "image")],
    ids=["metres", "walking", "millimetres"],
)
def test_the_pipeline_follows_from_the_clips(
    scale: float, speed: float, pipeline: str, poseglot: Command, small_store: PackedStore, tmp_path: Path
) -> None:
    """People who walk about, and other units than metres, want a box around the clip."""
    for index in range(0, 60, 3):
        clip = small_store[index]
        steps = np.arange(clip.joints.shape[1])[:, None, None] * np.float32([speed, 0, 0])
        path = tmp_path / "clips" / small_store.info.classes[clip.label] / f"{index}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, (clip.joints[0] + steps) * np.float32(scale))
    said = poseglot("init", tmp_path / "mine", "--source", tmp_path / "clips", "--layout", "kinect20")
    assert said.status == 0, said.error
    recipe = read_recipe(tmp_path / "mine" / "recipe.yaml")
    assert (recipe.data.pipeline or "metric") == pipeline
    assert ("pipeline image" in said.out) == (pipeline == "image")
