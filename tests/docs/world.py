"""What the pages take for granted - runs, stores, clips, files -, made small; and how the commands on them are run.

A page says `runs/first` and has not said how that was trained: `PROVIDED` names, for each page, what lies there when its first
command is given. What a page makes itself is made by its own commands.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.store import open_store, write_store
from poseglot.descriptions.questions import template
from poseglot.files import write_atomically
from poseglot.models.recognizer import Recognizer, RecognizerSpec, save_recognizer
from poseglot.skeletons.layout import load_layout
from poseglot.training.recipe import DataRecipe, ModelRecipe, OptimRecipe, Recipe, TextRecipe
from poseglot.training.recipe_io import recipe_yaml
from poseglot.training.run import Run
from tests.conftest import ROOT

EVALUATED = [f"runs/{name}" for name in ("a", "b", *(f"{subset}-seed{seed}" for subset in "ab" for seed in range(3)))]
FUSED = ["runs/joint", "runs/bone", *(f"runs/{modality}-fold{fold}" for modality in ("joint", "bone") for fold in (1, 2))]
FOUR = [f"runs/nw-ucla-{modality}" for modality in ("joint", "bone", "joint_motion", "bone_motion")]
CLIPS = ["some_clip.json", "another.npy", "a_folder_of_clips"]
PROVIDED: Mapping[str, Sequence[str]] = {
    "README.md": ["data/nw-ucla", "all_sqe.zip", "my-clips", *CLIPS, "runs/with-words", "runs/without-words", "runs/demo"],
    "results/README.md": ["data/nw-ucla", "all_sqe.zip"],
    "docs/batch.md": ["data/nw-ucla", "runs/first"],
    "docs/data.md": ["data/nw-ucla", "all_sqe.zip", "my-clips", "my-clips.csv", "my-layout.yaml"],
    "docs/export.md": ["data/nw-ucla", "runs/first", *CLIPS],
    "docs/long-recordings.md": ["runs/first", "recording.npy", "recording.csv", "annotated.csv"],
    "docs/page.md": ["runs/demo", "runs/with-words", "runs/without-words"],
    "docs/predicting.md": ["data/nw-ucla", "runs/first", *CLIPS, "from_a_pose_estimator.npy"],
    "docs/python.md": ["data/demo", "runs/demo"],
    "docs/streaming.md": ["data/nw-ucla", "runs/live", "clip.npy", "recording.npy"],
    "docs/studies.md": [*EVALUATED, *FUSED],
    "docs/text.md": ["data/nw-ucla", "data/mine", "labels.txt", "my-actions.yaml", "before.yaml", "after.yaml"],
    "docs/zero-shot.md": ["runs/demo", "my-actions.yaml"],
}
# What makes a training of seconds of every recipe. Settings that a page's command gives itself come later, and win.
TINY = {
    "optim.epochs": "1", "optim.warmup_epochs": "1", "optim.milestones": "[]", "optim.batch_size": "16", "data.repeat": "1",
    "optim.drop_last": "false",    "model.base_channels": "8", "text.freeze": "frozen", "evaluate_every": "1",
}  # fmt: skip


class World:
    """A folder in which the commands of a page are given.

    Args:
        folder: empty.
        store: where the small synthetic store is; the demo recipe learns from it, too.
        text_encoder: the folder of a tiny one.
    """

    def __init__(self, folder: Path, store: Path, text_encoder: Path) -> None:
        self.folder, self.store, self._store, self.text_encoder = folder, store, open_store(store), text_encoder
        for name in ("src", "benchmarks"):
            (folder / name).symlink_to(ROOT / name)

    def provide(self, names: Sequence[str]) -> None:
        for name in names:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._maker(name)(path)

    def _maker(self, name: str) -> Callable[[Path], Any]:
        if name.startswith("runs/"):
            return self._run
        if name.endswith(".yaml") and name != "my-layout.yaml":
            return _descriptions
        return {
            "data/demo": lambda path: shutil.copytree(self.store, path),
            "data/mine": lambda path: shutil.copytree(self.store, path),
            "data/nw-ucla": self._nw_ucla,
            "all_sqe.zip": self._json_files,
            "my-clips": self._two_dimensional,
            "my-clips.csv": lambda path: self._table(path, clips=True),
            "my-layout.yaml": lambda path: path.write_text(json.dumps({**load_layout("kinect20").table(), "name": "mine"})),
            "some_clip.json": self._json,
            "clip.npy": lambda path: np.save(path, self._joints(1)),
            "another.npy": lambda path: np.save(path, self._joints(1)),
            "from_a_pose_estimator.npy": lambda path: np.save(path, np.random.default_rng(0).normal(size=(30, 17, 3))),
            "a_folder_of_clips": self._folder_of_clips,
            "recording.npy": lambda path: np.save(path, self._recording()),
            "recording.csv": lambda path: self._table(path, clips=False),
            "annotated.csv": lambda path: path.write_text("start,end,action,score,person\n0,3,wave one hand,1,1\n"),
            "labels.txt": lambda path: path.write_text("".join(f"{label}\n" for label in self._store.info.classes)),
        }[name]

    def _joints(self, place: int) -> Any:
        return self._store[place].joints

    def _recording(self) -> Any:
        return np.concatenate([self._joints(place) for place in range(0, 60, 12)], axis=1)

    def _run(self, folder: Path) -> None:
        """A run on the demo set: random weights, its recipe, and scores as `poseglot evaluate` writes them."""
        from poseglot.app.cli import main

        torch.manual_seed(sum(folder.name.encode()))
        modality = folder.name.split("-fold")[0] if folder.name.split("-fold")[0] in ("joint", "bone") else "joint"
        worded = folder.name in ("demo", "with-words")
        levels = load_layout("kinect20").partition("four") if worded else None
        spec = RecognizerSpec(
            "kinect20",
            self._store.info.classes,
            encoder_kwargs={"base_channels": 8},
            modality=modality,
            levels=levels,
            embed_dim=24 if worded else 0,
        )
        run = Run(folder)
        save_recognizer(Recognizer(spec).eval(), run.recognizer)
        words = TextRecipe(
            prompt="parts" if worded else "none", descriptions="demo", encoder=str(self.text_encoder), freeze=True
        )
        fold = int(folder.name.split("-fold")[1]) if "-fold" in folder.name else 0
        data = DataRecipe(str(self.store), "cross-person", modality, folds=2 if fold else 0, fold=fold)  # type: ignore[arg-type]
        recipe = Recipe(data, ModelRecipe(base_channels=8), words, optim=OptimRecipe(epochs=1, steps=[]))
        write_atomically(run.recipe, recipe_yaml(recipe))
        counted = {"correct": 2, "total": 24}
        log = {"epoch": 1, "lr": 0.1, "loss": 2.5, "classification": 2.5, "alignment": 0.0, "train": counted, "test": counted}
        run.add_to_log({**log, "seconds": 1.0, "clips_per_second": 96.0})
        assert main(["evaluate", str(folder)]) == 0
        if folder.name == "demo":
            np.save(folder / "unseen-clip.npy", self._joints(0))

    def _nw_ucla(self, path: Path) -> None:
        """Clips of the synthetic set under NW-UCLA's names and views."""
        clips = [self._store[place] for place in range(100)]
        named = [
            replace(clip, label=place % 10, camera=place // 10 % 3 + 1, subject=place // 30 + 1, name=f"clip{place}")
            for place, clip in enumerate(clips)
        ]
        write_store(path, named, benchmark=load_benchmark("nw-ucla"), layout=load_layout("kinect20"), source={})

    def _json(self, path: Path) -> None:
        table = {"file_name": "a01_s01_e00_v01", "skeletons": self._joints(0)[0].tolist(), "label": 1}
        path.write_text(json.dumps(table))

    def _json_files(self, path: Path) -> None:
        """NW-UCLA's zip with twelve clips in it."""
        import zipfile

        with zipfile.ZipFile(path, "w") as archive:
            for place, (action, view) in enumerate((action, view) for action in (1, 2, 3, 4) for view in (1, 2, 3)):
                name = f"a{action:02}_s01_e{place:02}_v{view:02}"
                table = {"file_name": name, "skeletons": self._joints(place)[0].tolist(), "label": action}
                archive.writestr(f"all_sqe/{name}.json", json.dumps(table))

    def _two_dimensional(self, path: Path) -> None:
        """A folder for each of three actions, of COCO's joints with scores."""
        rng = np.random.default_rng(0)
        for action in ("wave", "bow", "squat"):
            (path / action).mkdir(parents=True)
            for number in range(1, 7):
                np.save(path / action / f"{number:04}.npy", rng.uniform(0, 1, size=(20, 17, 3)))

    def _table(self, path: Path, *, clips: bool) -> None:
        """Joints in long form: some clips of three people, or one recording."""
        names = load_layout("kinect20").joints
        lines = ["clip,label,subject,frame,person,joint,x,y,z" if clips else "frame,person,joint,x,y,z"]
        for place in range(12) if clips else range(1):
            joints = self._joints(place)[0, ::3] if clips else self._recording()[0]
            first = f"c{place},{('wave', 'bow')[place % 2]},{(3, 5, 7)[place // 2 % 3]}," if clips else ""
            lines += [
                f"{first}{frame},0,{name},{x:.4f},{y:.4f},{z:.4f}"
                for frame, posture in enumerate(joints)
                for name, (x, y, z) in zip(names, posture, strict=True)
            ]
        path.write_text("\n".join(lines))

    def _folder_of_clips(self, path: Path) -> None:
        path.mkdir()
        for place in range(3):
            np.save(path / f"clip{place}.npy", self._joints(place))


def _descriptions(path: Path) -> None:
    """A description file of two classes, filled in."""
    text = template(["doing push-ups", "sitting on the floor"], synonyms=2)
    for number, (empty, filled) in enumerate((('""', '"a text about it"'), ("[]", "[this, that]"))):
        assert empty in text, number
        text = text.replace(empty, filled)
    path.write_text(text)
