"""Studies in a temporary folder, and runs of them made by hand, without a training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from poseglot.evaluation.scores import SavedScores, save_scores
from poseglot.studies.study import Cell, Study, load_study
from poseglot.training.recipe import Recipe
from poseglot.training.recipe_io import recipe_yaml
from poseglot.training.run_folder import RunFolder
from poseglot.training.subsets import subset_name
from tests.training.helpers import small_recipe

# In the place of `poseglot`, where a test is about processes and not about training.
STAND_IN = Path(__file__).parent / "stand_in.py"
ROWS = [
    {"name": "without", "settings": {"text.prompt": "none"}},
    {"name": "four parts", "settings": {"text.partition": "four"}},
]


class WithoutAliases(yaml.SafeDumper):
    """Writes what occurs twice twice: files with aliases are refused."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def write_study(folder: Path, recipe: Recipe | None = None, **changes: Any) -> Path:
    """A study of two rows and one table in `folder`, with its base recipe in a subfolder; keys set to None are left out."""
    (folder / "recipes").mkdir(parents=True, exist_ok=True)
    recipe = recipe or small_recipe(folder / "no store", Path("no-text-encoder"))
    (folder / "recipes" / "base.yaml").write_text(recipe_yaml(recipe))
    content = {
        "format": "poseglot-study/2",
        "title": "A study",
        "base": "recipes/base.yaml",
        "seeds": [0],
        "tables": [{"title": "Words", "rows": ROWS}],
    }
    content = {key: value for key, value in {**content, **changes}.items() if value is not None}
    path = folder / "study.yaml"
    path.write_text(yaml.dump(content, Dumper=WithoutAliases, sort_keys=False))
    return path


def loaded(folder: Path, *settings: str, **changes: Any) -> Study:
    return load_study(write_study(folder, **changes), runs=folder / "runs", settings=settings)


def finish(
    cell: Cell, logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], names: tuple[str, ...] | None = None
) -> None:
    """Leave in the cell's folder what training and evaluation leave."""
    run, classes = RunFolder(cell.folder), tuple(f"action {place}" for place in range(logits.shape[1]))
    cell.folder.mkdir(parents=True)
    run.recipe.write_text(recipe_yaml(cell.recipe))
    run.recognizer.write_bytes(b"weights")
    run.machine.write_text(
        json.dumps(
            {
                "poseglot": "0.1.0",
                "commit": "c0ffee",
                "torch": "2.13.0",
                "device": "abacus",
                "threads": 3,
                "texts": "mine, version 2",
            }
        )
    )
    for epoch in (1, 2):
        run.add_to_log({"epoch": epoch, "loss": 1 / epoch, "seconds": 600.25})
    data = cell.recipe.data
    names = names or tuple(f"clip {place}" for place in range(len(labels)))
    save_scores(SavedScores(names, labels, logits, classes, data.modality, "a set", data.split, subset_name(data)), run.scores)
