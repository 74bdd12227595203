"""`poseglot import-weights`: public CTR-GCN and GAP checkpoints."""

from __future__ import annotations

import argparse
from pathlib import Path

from poseglot.app.commands.register import AddCommand
from poseglot.errors import FileError


def add(command: AddCommand) -> None:
    modalities = ("joint", "bone", "joint_motion", "bone_motion")
    weights = command("import-weights", run, "convert a public CTR-GCN or GAP checkpoint, safely")
    weights.add_argument("file", type=Path, help="a .pt file with a state_dict (loaded with weights_only), or .npz")
    weights.add_argument("--out", type=Path, required=True, help="the folder of the recognizer")
    weights.add_argument("--layout", default="kinect20", help="the layout of its clips (kinect20)")
    weights.add_argument("--pipeline", help="the pipeline of its clips (default: the public code's for the layout's benchmark)")
    weights.add_argument("--num-persons", type=int, default=1, help="the number of persons (1)")
    weights.add_argument("--benchmark", help="take the class names of a benchmark, for example nw-ucla")
    weights.add_argument("--modality", default="joint", choices=modalities, help="the modality it was trained on (joint)")
    weights.add_argument("--gap", action="store_true", help="a GAP checkpoint, which needs the authors' input transform")


def run(parsed: argparse.Namespace) -> None:
    from poseglot.data.benchmarks import load_benchmark
    from poseglot.models.convert import input_transform, official_parts, read_official_file, recognizer_from_official
    from poseglot.models.pretrained import RECOGNIZER_FILE
    from poseglot.models.recognizer import save_recognizer
    from poseglot.skeletons.layout import load_layout

    path = parsed.out / RECOGNIZER_FILE
    if path.exists():
        raise FileError(f"{path} exists; choose another --out.")
    recognizer = recognizer_from_official(
        read_official_file(parsed.file),
        layout=parsed.layout,
        pipeline=parsed.pipeline,
        people=parsed.num_persons,
        input_transform=input_transform(load_layout(parsed.layout), parsed.modality) if parsed.gap else None,
        parts=official_parts(parsed.layout, parsed.modality) if parsed.gap else None,
        classes=load_benchmark(parsed.benchmark).classes if parsed.benchmark else None,
        # GAP's network computes bones itself, from joints.
        modality=parsed.modality.replace("bone", "joint") if parsed.gap else parsed.modality,
    )
    save_recognizer(recognizer, path)
    levels = ", ".join(recognizer.spec.levels or {}) or "none"
    print(f"{path}: {len(recognizer.spec.classes)} classes, layout {parsed.layout}, alignment levels: {levels}")
