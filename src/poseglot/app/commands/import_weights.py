"""`poseglot import-weights`: public CTR-GCN and GAP checkpoints."""

from __future__ import annotations

import argparse
from pathlib import Path

from poseglot.app.commands.register import AddCommand
from poseglot.errors import PoseglotError


def add(command: AddCommand) -> None:
    modalities = ("joint", "bone", "joint_motion", "bone_motion")
    weights = command("import-weights", run, "take over the weights of a public CTR-GCN or GAP checkpoint, safely")
    weights.add_argument("file", type=Path, help="a .pt file with a state_dict (never unpickled freely), or .npz")
    weights.add_argument("--out", type=Path, required=True, help="folder for the recognizer")
    weights.add_argument("--layout", default="kinect20")
    weights.add_argument("--pipeline", help="how the clips are fed (default: as the public code feeds the layout's benchmark)")
    weights.add_argument("--people", type=int, default=1)
    weights.add_argument("--benchmark", help="whose class names to use, for example nw-ucla")
    weights.add_argument("--modality", default="joint", choices=modalities, help="that the weights were trained on")
    weights.add_argument("--gap", action="store_true", help="a GAP checkpoint: it wants the authors' input transform")


def run(parsed: argparse.Namespace) -> None:
    from poseglot.data.benchmarks import load_benchmark
    from poseglot.models.convert import input_transform, read_official_file, recognizer_from_official
    from poseglot.models.recognizer import RECOGNIZER_FILE, save_recognizer
    from poseglot.skeletons.layout import load_layout

    classes = load_benchmark(parsed.benchmark).classes if parsed.benchmark else None
    transform = input_transform(load_layout(parsed.layout), parsed.modality) if parsed.gap else None
    recognizer = recognizer_from_official(
        read_official_file(parsed.file),
        layout=parsed.layout,
        pipeline=parsed.pipeline,
        people=parsed.people,
        input_transform=transform,
        classes=classes,
        # GAP's network makes its bones itself, from joints.
        modality=parsed.modality.replace("bone", "joint") if parsed.gap else parsed.modality,
    )
    path = parsed.out / RECOGNIZER_FILE
    if path.exists():
        raise PoseglotError(f"{path} exists; choose another --out.")
    save_recognizer(recognizer, path)
    levels = ", ".join(recognizer.spec.levels or {}) or "none"
    print(f"{path}: {len(recognizer.spec.classes)} classes, layout {parsed.layout}, alignment levels: {levels}")
