"""Small runs, stores, clips and files that the pages assume.

`PROVIDED` lists for each page what is there before its first command. The page's own commands make the rest.
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
from poseglot.data.segments import Segment, write_segments
from poseglot.data.store import open_store, write_store
from poseglot.descriptions.questions import template
from poseglot.files import write_atomically
from poseglot.models.recognizer import Recognizer, RecognizerSpec, save_recognizer
from poseglot.skeletons.layout import GLOBAL, load_layout
from poseglot.training.recipe import DataRecipe, ModelRecipe, OptimRecipe, Recipe, TextRecipe
from poseglot.training.recipe_io import recipe_yaml
from poseglot.training.run_folder import RunFolder
from tests.conftest import ROOT

EVALUATED = [f"runs/{name}" for name in ("a", "b", *(f"{subset}-seed{seed}" for subset in "ab" for seed in range(3)))]
FUSED = ["runs/joint", "runs/bone", *(f"runs/{modality}-fold{fold}" for modality in ("joint", "bone") for fold in (1, 2))]
FOUR = [f"runs/nw-ucla-{modality}" for modality in ("joint", "bone", "joint_motion", "bone_motion")]
CLIPS = ["some_clip.json", "another.npy", "a_folder_of_clips"]
PROVIDED: Mapping[str, Sequence[str]] = {
    "README.md": ["data/nw-ucla", "all_sqe.zip", "my-clips", *CLIPS, "runs/with-text", "runs/without-text", "runs/demo"],
    "results/README.md": ["data/nw-ucla", "all_sqe.zip"],
    "docs/batch.md": ["data/nw-ucla", "runs/first"],
    "docs/data.md": ["data/nw-ucla", "all_sqe.zip", "my-clips", "my-clips.csv", "my-layout.yaml"],
    "docs/from-file-to-answer.md": ["data/demo", "runs/demo"],
    "docs/index.md": ["runs/demo"],
    "docs/everyday.md": ["my-clips", "some_clip.json"],
    "docs/export.md": ["data/nw-ucla", "runs/first", *CLIPS],
    "docs/long-recordings.md": ["runs/first", "recording.npy", "recording.csv", "annotated.csv"],
    "docs/training-settings.md": ["data/nw-ucla"],
    "docs/nw-ucla.md": ["data/nw-ucla", "all_sqe.zip"],
    "docs/model-card.md": ["runs/first", "runs/second", "runs/third"],
    "docs/own-data.md": ["my-recordings"],
    "docs/page.md": ["runs/demo", "runs/with-text", "runs/without-text"],
    "docs/predicting.md": ["data/nw-ucla", "runs/first", *CLIPS, "from_a_pose_estimator.npy"],
    "docs/streaming.md": ["data/nw-ucla", "runs/live", "clip.npy", "recording.npy"],
    "docs/studies.md": [*EVALUATED, *FUSED],
    "docs/text.md": ["data/nw-ucla", "data/mine", "labels.txt", "my-actions.yaml", "before.yaml", "after.yaml"],
    "docs/zero-shot.md": ["runs/demo", "my-actions.yaml", "my-examples"],
}
# Settings that shorten every training to seconds. Those of the page's command have precedence.
TINY = {
    "optim.epochs": "1", "optim.warmup_epochs": "1", "optim.milestones": "[]", "optim.batch_size": "16", "data.repeat": "1",
    "optim.drop_last": "false",    "model.base_channels": "8", "text.freeze": "true", "evaluate_every": "1",
}  # fmt: skip


class World:
    """The folder in which the commands of a page run.

    Args:
        folder: An empty folder.
        store: The path of the small synthetic store, which the demo recipe uses, too.
        text_encoder: The folder of a tiny text encoder.
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
            "my-examples": lambda path: self._folder_of_clips(path / "push-up"),
            "my-recordings": self._annotated,
            "recording.npy": lambda path: np.save(path, self._recording()),
            "recording.csv": lambda path: self._table(path, clips=False),
            "annotated.csv": lambda path: path.write_text("start,end,action,score,person\n0,3,wave one hand,1,1\n"),
            "labels.txt": lambda path: path.write_text("".join(f"{label}\n" for label in self._store.info.classes)),
        }[name]

    def _joints(self, index: int) -> Any:
        return self._store[index].joints

    def _recording(self) -> Any:
        return np.concatenate([self._joints(index) for index in range(0, 60, 12)], axis=1)

    def _annotated(self, folder: Path) -> None:
        folder.mkdir()
        for number in range(3):
            np.save(folder / f"day{number}.npy", self._recording())
            write_segments([Segment(0, 1, "wave"), Segment(1.5, 3, "bow")], folder / f"day{number}.eaf")

    def _run(self, folder: Path) -> None:
        """Write a run on the demo set: random weights, its recipe, and scores of `poseglot evaluate`."""
        from poseglot.app.cli import main

        torch.manual_seed(sum(folder.name.encode()))
        modality = folder.name.split("-fold")[0] if folder.name.split("-fold")[0] in ("joint", "bone") else "joint"
        with_text = folder.name in ("demo", "with-text")
        layout = load_layout("kinect20")
        levels = {GLOBAL: tuple(range(len(layout))), **layout.partition("four")} if with_text else None
        spec = RecognizerSpec(
            "kinect20",
            self._store.info.classes,
            encoder_kwargs={"base_channels": 8},
            modality=modality,
            levels=levels,
            embed_dim=24 if with_text else 0,
        )
        run = RunFolder(folder)
        save_recognizer(Recognizer(spec).eval(), run.recognizer)
        text = TextRecipe(
            prompt="parts" if with_text else "none", descriptions="demo", encoder=str(self.text_encoder), freeze=True
        )
        fold = int(folder.name.split("-fold")[1]) if "-fold" in folder.name else 0
        data = DataRecipe(str(self.store), "cross-person", modality, folds=2 if fold else 0, fold=fold)  # type: ignore[arg-type]
        recipe = Recipe(data, ModelRecipe(base_channels=8), text, optim=OptimRecipe(epochs=1, milestones=[]))
        write_atomically(run.recipe, recipe_yaml(recipe))
        counted = {"correct": 2, "total": 24}
        log = {"epoch": 1, "lr": 0.1, "loss": 2.5, "classification": 2.5, "alignment": 0.0, "train": counted, "test": counted}
        run.add_to_log({**log, "seconds": 1.0, "clips_per_second": 96.0})
        assert main(["evaluate", str(folder)]) == 0
        if folder.name == "demo":
            np.save(folder / "unseen-clip.npy", self._joints(0))

    def _nw_ucla(self, path: Path) -> None:
        """Write clips of the synthetic set under NW-UCLA's names and views."""
        clips = [self._store[index] for index in range(100)]
        named = [
            replace(clip, label=index % 10, camera=index // 10 % 3 + 1, subject=index // 30 + 1, name=f"clip{index}")
            for index, clip in enumerate(clips)
        ]
        write_store(path, named, benchmark=load_benchmark("nw-ucla"), layout=load_layout("kinect20"), source={})

    def _json(self, path: Path) -> None:
        table = {"file_name": "a01_s01_e00_v01", "skeletons": self._joints(0)[0].tolist(), "label": 1}
        path.write_text(json.dumps(table))

    def _json_files(self, path: Path) -> None:
        """Write NW-UCLA's zip with twelve clips."""
        import zipfile

        with zipfile.ZipFile(path, "w") as archive:
            for index, (action, view) in enumerate((action, view) for action in (1, 2, 3, 4) for view in (1, 2, 3)):
                name = f"a{action:02}_s01_e{index:02}_v{view:02}"
                table = {"file_name": name, "skeletons": self._joints(index)[0].tolist(), "label": action}
                archive.writestr(f"all_sqe/{name}.json", json.dumps(table))

    def _two_dimensional(self, path: Path) -> None:
        """Write a folder for each of three actions, with COCO's joints and scores."""
        rng = np.random.default_rng(0)
        for action in ("wave", "bow", "squat"):
            (path / action).mkdir(parents=True)
            for number in range(1, 7):
                np.save(path / action / f"{number:04}.npy", rng.uniform(0, 1, size=(20, 17, 3)))

    def _table(self, path: Path, *, clips: bool) -> None:
        """Write joints in long form: some clips of three people, or one recording."""
        names = load_layout("kinect20").joints
        lines = ["clip,label,subject,frame,person,joint,x,y,z" if clips else "frame,person,joint,x,y,z"]
        for index in range(12) if clips else range(1):
            joints = self._joints(index)[0, ::3] if clips else self._recording()[0]
            first = f"c{index},{('wave', 'bow')[index % 2]},{(3, 5, 7)[index // 2 % 3]}," if clips else ""
            lines += [
                f"{first}{frame},0,{name},{x:.4f},{y:.4f},{z:.4f}"
                for frame, posture in enumerate(joints)
                for name, (x, y, z) in zip(names, posture, strict=True)
            ]
        path.write_text("\n".join(lines))

    def _folder_of_clips(self, path: Path) -> None:
        path.mkdir(parents=True)
        for index in range(3):
            np.save(path / f"clip{index}.npy", self._joints(index))


def _descriptions(path: Path) -> None:
    """Write a description file of two classes."""
    text = template(["doing push-ups", "sitting on the floor"], synonyms=2)
    for number, (empty, filled) in enumerate((('""', '"a text about it"'), ("[]", "[this, that]"))):
        assert empty in text, number
        text = text.replace(empty, filled)
    path.write_text(text)
