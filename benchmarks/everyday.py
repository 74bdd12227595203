"""How well a recognizer of the common body does: on each set it learned from, in 2D, with joints missing, and on sets it never saw.

    poseglot join data/nw-ucla data/utd-mhad data/msr-action3d data/utkinect --out data/everyday
    poseglot train --config everyday --out runs/everyday/seed0
    python benchmarks/everyday.py runs/everyday/seed0 --unseen data/bandai=bandai.txt --out results/everyday

`--unseen STORE=MAP` is a store of a set that it was not trained on, with its map of classes (`poseglot evaluate --class-map`). It
is recognised among all classes of the recognizer, and among the classes that the set has. Nothing is chosen on any of these clips.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from measuring import machine, table, write_results

from poseglot.data.adapt import adapt_store, read_class_map
from poseglot.data.dataset import ClipDataset
from poseglot.data.join import set_names
from poseglot.data.store import open_store
from poseglot.evaluation.metrics import Accuracy
from poseglot.models.fuse import fuse
from poseglot.training.run import Run, open_run

Change = Callable[[torch.Tensor], torch.Tensor]
LEGS = ("left_knee", "left_ankle", "right_knee", "right_ankle")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="runs of several seeds")
    parser.add_argument("--unseen", nargs="*", default=[], metavar="STORE=MAP", help="stores of sets that were not trained on")
    parser.add_argument("--out", type=Path, required=True)
    parsed = parser.parse_args()
    torch.set_num_threads(1)
    runs = [open_run(path, device="cpu") for path in parsed.runs]
    trained, unseen = [_trained_rows(run) for run in runs], []
    for entry in parsed.unseen:
        store, _, class_map = entry.partition("=")
        unseen.append([_unseen_row(run, Path(store), Path(class_map)) for run in runs])
    first = runs[0]
    about = machine()
    content = {"runs": [str(path) for path in parsed.runs], "trained": trained, "unseen": unseen, "machine": about}
    write_results(parsed.out, "everyday", f"{_text(first, trained, unseen)}\n`{about['command']}`\n", content)


def _trained_rows(run: Run) -> dict[str, dict[str, Accuracy]]:
    """Set -> what was done to its test clips -> correct ones."""
    store, layout = run.store, run.layout
    names = set_names(store)
    sets = np.array([names[number] for number in store.clips["setup"][run.test.indices].tolist()])
    labels = run.test.labels.numpy()
    legs = [layout.index[joint] for joint in LEGS]
    changes: dict[str, Change] = {
        "as it is": lambda x: x,
        "flattened to 2D": lambda x: torch.cat([x[..., :2], torch.zeros_like(x[..., 2:])], dim=-1),
        "without legs": lambda x: x.index_fill(3, torch.tensor(legs), 0),
    }
    rows: dict[str, dict[str, Accuracy]] = {name: {} for name in [*names.values(), "all"]}
    for change, function in changes.items():
        logits = _logits(run, run.test, function)
        right = logits.argmax(axis=1) == labels
        for name in names.values():
            rows[name][change] = _accuracy(right[sets == name])
        rows["all"][change] = _accuracy(right)
        if change != "as it is":
            continue
        for number, name in names.items():
            own = np.unique(store.clips["label"][store.clips["setup"] == number])
            chosen = own[logits[:, own].argmax(axis=1)] == labels
            rows[name]["among its own classes"] = _accuracy(chosen[sets == name])
    return rows


def _unseen_row(run: Run, path: Path, class_map: Path) -> dict[str, object]:
    store = open_store(path)
    adapted = adapt_store(
        store, classes=run.classes, layout=run.layout, num_persons=run.spec.num_persons, class_map=read_class_map(class_map)
    ).store
    dataset = run.dataset(np.arange(len(adapted)), store=adapted)
    labels = dataset.labels.numpy()
    logits, own = _logits(run, dataset, lambda x: x), np.unique(labels)
    among = own[logits[:, own].argmax(axis=1)]
    return {
        "set": store.info.name,
        "classes": [run.classes[label] for label in own],
        "all": _accuracy(logits.argmax(axis=1) == labels),
        "own": _accuracy(among == labels),
        "per class": {run.classes[label]: _accuracy((among == labels)[labels == label]) for label in own},
    }


def _logits(run: Run, dataset: ClipDataset, change: Change) -> np.ndarray:
    predict = fuse(run.recognizer.drop_heads())
    with torch.inference_mode():
        return np.concatenate([predict(change(inputs)).numpy() for inputs in dataset.eval_inputs(64)])


def _accuracy(right: np.ndarray) -> Accuracy:
    return Accuracy(int(right.sum()), len(right))


def _text(run: Run, trained: Sequence[dict[str, dict[str, Accuracy]]], unseen: Sequence[Sequence[dict[str, object]]]) -> str:
    columns = ["as it is", "among its own classes", "flattened to 2D", "without legs"]
    rows = []
    for name in trained[0]:
        for seed, one in enumerate(trained):
            rows.append({"test clips of": name, "run": seed, **{column: str(one[name].get(column, "")) for column in columns}})
    parts = [
        f"# `{run.folder.name}`: {len(run.classes)} classes, one network\n",
        table(rows),
    ]
    for found in unseen:
        one = found[0]
        classes = one["classes"]
        assert isinstance(classes, list)
        parts.append(f"\n## {one['set']}, a set that it never saw: {', '.join(classes)}; chance {100 / len(classes):.0f} %\n")
        parts.append(
            table(
                [
                    {
                        "run": seed,
                        f"among all {len(run.classes)}": str(each["all"]),
                        f"among these {len(classes)}": str(each["own"]),
                    }
                    for seed, each in enumerate(found)
                ]
            )
        )
    return "\n".join(parts)


if __name__ == "__main__":
    main()
