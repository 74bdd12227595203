"""`poseglot init`: a project folder made of a user's own clips, with everything that a training needs.

layout.yaml         the joints
classes.txt         the class names
data/               the packed clips
descriptions.yaml   a template, filled in by hand or by `poseglot generate-descriptions`
recipe.yaml         the recipe of `poseglot train` in this folder
study.yaml          a study: with and without text, several seeds
README.md           what to do next
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import yaml

from poseglot.data.ingest import Bar
from poseglot.data.prepare import CustomDataset, NoBar, Prepared, prepare
from poseglot.data.quality.checks import choose_pipeline
from poseglot.data.readers import guess_format
from poseglot.data.store import PackedStore
from poseglot.descriptions.borrow import borrow_descriptions, borrowed_notes
from poseglot.descriptions.questions import template
from poseglot.files import folder_written_atomically
from poseglot.skeletons.layout import load_layout

PROJECT_RECIPE = "recipe.yaml"
# A small set is repeated to about 1,000 samples per epoch, which trains in minutes on two cores.
_EPOCHS, _SAMPLES_PER_EPOCH = 30, 1000
_SYNONYMS = 10


@dataclass(frozen=True)
class Project:
    """A project that was made.

    Attributes:
        folder: Its folder.
        prepared: The result of the preparation.
        notes: What to improve, in sentences.
    """

    folder: Path
    prepared: Prepared
    notes: tuple[str, ...]


def init_project(
    folder: str | PathLike[str],
    sources: Sequence[str | PathLike[str]],
    *,
    format: str | None = None,
    custom: CustomDataset | None = None,
    bar: Bar | None = None,
) -> Project:
    """Pack clips and write a project around them.

    Args:
        folder: The folder to make. It appears when it is complete.
        sources: A folder, a zip, or files.
        format: A format of `poseglot.data.prepare`; by default recognized by content.
        custom: What is known of the data.
        bar: A progress bar.

    Raises:
        InputError: The sources hold no clip of a known format.
        FileError: A source is missing, or the folder exists or cannot be written.
    """
    folder, paths = Path(folder), [Path(source) for source in sources]
    format = format or guess_format(paths)
    with folder_written_atomically(folder) as partial:
        prepared = prepare(format, source=paths, out=partial / "data", custom=custom, bar=NoBar() if bar is None else bar)
        for name, text in project_files(folder.resolve().name, prepared).items():
            (partial / name).write_text(text, encoding="utf-8")
        name, reason = choose_pipeline(prepared.store)
    classes = prepared.store.classes
    chosen = (f"the recipe has the pipeline {name}: {reason}.",) if reason else ()
    notes = (*chosen, *class_name_notes(classes), *borrowed_notes(classes, borrow_descriptions(classes)))
    return Project(folder, prepared, notes)


def project_files(name: str, prepared: Prepared) -> dict[str, str]:
    """Return the text files of a project."""
    info = prepared.store.info
    layout = load_layout(info.layout).table()
    return {
        "layout.yaml": yaml.safe_dump(layout, sort_keys=False, default_flow_style=None, width=120),
        "classes.txt": "".join(f"{label}\n" for label in info.classes),
        "descriptions.yaml": template(info.classes, synonyms=_SYNONYMS, borrowed=borrow_descriptions(info.classes)),
        PROJECT_RECIPE: recipe_text(
            prepared.split,
            prepared.counts["train"],
            choose_pipeline(prepared.store),
            partition=prepared.store.layout.finest_partition,
        ),
        "study.yaml": _STUDY,
        "README.md": _readme(name, prepared.store, prepared.split),
    }


def recipe_text(split: str, clips: int, pipeline: tuple[str, str] = ("", ""), *, partition: str = "four") -> str:
    """Return a recipe for a number of training clips, with the pipeline and the reason for it if it is not the store's.

    The batch is small enough for several steps per epoch, and the learning rate scales with it (0.1 for 32 clips).
    """
    repeat = max(1, round(_SAMPLES_PER_EPOCH / clips))
    batch_size = max(8, min(32, clips * repeat // 16))
    name, reason = pipeline
    return _RECIPE.format(
        pipeline=f"\n  pipeline: {name}        # {reason}" if reason else "",
        split=json.dumps(split),
        repeat=repeat,
        batch_size=batch_size,
        lr=round(0.1 * batch_size / 32, 4),
        epochs=_EPOCHS,
        partition=partition,
        prompt="synonym" if partition == "global" else "synonym+parts",
    )


def class_name_notes(classes: Sequence[str]) -> list[str]:
    """Return what a text encoder would not understand in class names."""
    notes = []
    if all(name.removeprefix("class ").isdigit() for name in classes):
        notes.append("the classes are numbers, which no text encoder understands: name them with --classes names.txt.")
    odd = [name for name in classes if "_" in name or (name.isupper() and len(name) > 3) or (name[1:] != name[1:].lower())]
    if odd:
        notes.append(
            f"text encoders read class names: replace {', '.join(odd[:3])}{', ...' if len(odd) > 3 else ''} by plain words "
            "(wave both hands)."
        )
    return notes


_RECIPE = """\
# Everything that a training in this folder does. Any setting can be overridden: poseglot train --model.base_channels 32 --seed 1
data:
  store: data
  split: {split}{pipeline}
  modality: joint
  repeat: {repeat}              # passes over the clips per epoch, each augmented anew
model:
  encoder: ctr-gcn
  base_channels: 16      # the paper has 64, which is slower and overfits small sets
text:
  prompt: none           # without text; {prompt} once descriptions.yaml is filled in
  partition: {partition}
  descriptions: descriptions.yaml
  encoder: minilm
  freeze: true
loss:
  balanced: true         # every class weighs the same, however many clips it has
optim:
  epochs: {epochs}
  batch_size: {batch_size}
  lr: {lr}
  weight_decay: 4.0e-4
  warmup_epochs: 3
  milestones: [21, 27]
evaluate_every: 10
"""

_STUDY = """\
# poseglot study study.yaml: does text help here? Three seeds each; needs descriptions.yaml.
format: poseglot-study/2
title: With and without text
base: recipe.yaml
seeds: [0, 1, 2]
tables:
  - title: Text
    compare_with: without text
    rows:
      - {name: without text, settings: {text.prompt: none}}
      - {name: with text, settings: {text.prompt: synonym+parts}}
"""


def _folds(split: str) -> str:
    if "/" in split:
        return (
            f"`poseglot cross-validate --out runs/folds` trains all splits {split.partition('/')[0]}/... and prints their mean."
        )
    return "`poseglot cross-validate --folds 5` trains and evaluates on people of the training set."


def _readme(name: str, store: PackedStore, split: str) -> str:
    counts = " and ".join(f"{store.subset_mask(split, subset).sum():,} {subset}" for subset in ("train", "test"))
    return f"""\
# {name}: {len(store):,} clips ({counts}, split `{split}`) of {len(store.info.classes)} actions; `poseglot info data` shows them.
`poseglot train --out runs/first` trains recipe.yaml; `poseglot evaluate runs/first` and `poseglot report runs/first` show the result.
For text, fill in descriptions.yaml (or `poseglot generate-descriptions --labels classes.txt --out descriptions.yaml --model NAME`), \
check it with `poseglot check-descriptions descriptions.yaml`, and add `--text.prompt synonym+parts` or change recipe.yaml.
`poseglot study study.yaml --jobs 2` compares with and without text; {_folds(split)}
`poseglot predict runs/first CLIP ...` recognises clips of the same kind of skeleton.
"""
