"""The folder that `poseglot init` makes of somebody's own clips: everything that a training in it needs, to be read and changed.

layout.yaml         what the joints are
classes.txt         the class names
data/               the packed clips
descriptions.yaml   to be filled in, by hand or by `poseglot generate-descriptions`
recipe.yaml         what `poseglot train` takes in this folder
words.yaml          a study: with and without words, several seeds
README.md           five lines
"""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from poseglot.app.commands.train import OWN_RECIPE
from poseglot.data.store import PackedStore
from poseglot.descriptions.questions import template
from poseglot.skeletons.layout import load_layout

# Samples that a training should see: so many that an epoch of a small set is not over in a blink, and minutes on two cores.
_EPOCHS, _SAMPLES_OF_AN_EPOCH = 30, 1000
_SYNONYMS = 10


def write_project(folder: Path, name: str, store: PackedStore, split: str, train: int) -> None:
    """Fill the folder, whose `data` is there already.

    Args:
        name: of the project. store: the clips. split: of it. train: how many of them are learned from.
    """
    classes = store.info.classes
    layout = load_layout(store.info.layout)
    files = {
        "layout.yaml": yaml.safe_dump(layout.table(), sort_keys=False, default_flow_style=None, width=120),
        "classes.txt": "".join(f"{name}\n" for name in classes),
        "descriptions.yaml": template(classes, synonyms=_SYNONYMS),
        OWN_RECIPE: recipe_text(split, train),
        "words.yaml": STUDY,
        "README.md": readme(name, store, split),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def recipe_text(split: str, train: int) -> str:
    """A recipe for so many clips to learn from.

    The batch is small enough that an epoch has several, and the learning rate goes with it (0.1 for 32 clips).
    """
    repeat = max(1, round(_SAMPLES_OF_AN_EPOCH / train))
    batch = max(8, min(32, train * repeat // 16))
    return RECIPE_TEXT.format(
        split=json.dumps(split), repeat=repeat, batch=batch, rate=round(0.1 * batch / 32, 4), epochs=_EPOCHS
    )


RECIPE_TEXT = """\
# Everything a training in this folder does; every setting can be overridden: poseglot train --model.base_channels 32 --seed 1
data:
  store: data
  split: {split}
  stream: joint
  repeat: {repeat}              # how often an epoch goes through the clips, each time augmented anew
model:
  encoder: ctr-gcn
  width: 16              # the paper has 64: slower, and more to overfit with
words:
  prompt: none           # without words; synonym+parts once descriptions.yaml is filled in
  partition: four
  descriptions: descriptions.yaml
  encoder: minilm
  learning: frozen
loss:
  balanced: true         # every class weighs the same, however many clips it has
optim:
  epochs: {epochs}
  batch_size: {batch}
  lr: {rate}
  weight_decay: 4.0e-4
  warmup_epochs: 3
  steps: [21, 27]
evaluate_every: 10
"""

STUDY = """\
# poseglot study words.yaml: do words help here? Three seeds each; needs descriptions.yaml.
format: poseglot-study/2
title: With and without words
base: recipe.yaml
seeds: [0, 1, 2]
tables:
  - title: Words
    compare_with: without words
    rows:
      - {name: without words, settings: {text.prompt: none}}
      - {name: with words, settings: {text.prompt: synonym+parts}}
"""


def readme(name: str, store: PackedStore, split: str) -> str:
    """Five lines."""
    info = store.info
    counts = " and ".join(f"{store.subset_mask(split, subset).sum():,} {subset}" for subset in ("train", "test"))
    return "\n".join(
        [
            f"# {name}: {len(store):,} clips ({counts}, split `{split}`) of {len(info.classes)} actions; `poseglot info data` shows them.",
            "`poseglot train --out runs/first` learns by recipe.yaml; `poseglot evaluate runs/first` and `poseglot report runs/first` "
            "say how well.",
            "For words fill descriptions.yaml in (or `poseglot generate-descriptions --labels classes.txt --out descriptions.yaml --model NAME`), see "
            "`poseglot check-descriptions descriptions.yaml`, then add `--text.prompt synonym+parts` or change recipe.yaml.",
            "`poseglot study words.yaml --jobs 2` compares with and without words; `--data.folds 5 --data.fold 1` looks at people of the "
            "training set.",
            "`poseglot predict runs/first CLIP ...` recognises clips of the same kind of skeleton.",
            "",
        ]
    )
