"""`poseglot export`: a recognizer as an ONNX file, checked against torch before it is kept."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from poseglot.app.commands.register import AddCommand
from poseglot.errors import PoseglotError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from poseglot.models.recognizer import Recognizer

_BATCH = 16


def add(command: AddCommand) -> None:
    export = command("export", run, "write a recognizer as an ONNX file, checked against torch")
    export.add_argument("run", type=Path, help="a run's folder, or a recognizer's .safetensors file")
    export.add_argument(
        "--out",
        type=Path,
        help="the .onnx file; by default recognizer.onnx beside the recognizer, which `predict` then runs on a CPU",
    )
    export.add_argument("--format", choices=["onnx"], default="onnx")
    export.add_argument("--opset", type=int, default=18, help="ONNX's version of its operations (18)")
    export.add_argument(
        "--int8",
        choices=["none", "dynamic", "static"],
        default="none",
        help="round weights to eight bits; static: what flows, too, by clips of the training set. Says the accuracy before and after",
    )
    export.add_argument("--store", type=Path, help="for --int8: where the run's clips are now")
    export.add_argument("--calibrate-on", type=int, default=128, metavar="CLIPS", help="for static: how many clips (128)")


def run(parsed: argparse.Namespace) -> None:
    from poseglot.files import sha256_of
    from poseglot.inference.calibration import temperature_of
    from poseglot.inference.export import export_onnx
    from poseglot.inference.predictor import EXPORTED_FILE
    from poseglot.models.recognizer import RECOGNIZER_FILE, load_recognizer

    file = parsed.run / RECOGNIZER_FILE if parsed.run.is_dir() else parsed.run
    if parsed.out is None:
        if parsed.int8 != "none":
            raise PoseglotError(
                "--int8 changes the answers a little, so its file is not put beside the recognizer unasked: say --out."
            )
        parsed.out = file.with_name(EXPORTED_FILE)
    if parsed.out.suffix != ".onnx":
        raise PoseglotError(f"--out names the file to write, which must end in .onnx; {parsed.out} does not.")
    if parsed.out.exists():
        raise PoseglotError(f"{parsed.out} exists; choose another --out.")
    measurable = parsed.run.is_dir() and ((parsed.run / "recipe.yaml").exists() or parsed.store is not None)
    if parsed.int8 == "static" and not measurable:
        raise PoseglotError(
            "--int8 static calibrates on the clips that a run learned from: give a run's folder, whose recipe names them."
        )
    recognizer = load_recognizer(file).drop_heads()
    calibration = _training_views(parsed.run, parsed.store, recognizer, parsed.calibrate_on) if parsed.int8 == "static" else []
    difference = export_onnx(
        recognizer, parsed.out, opset=parsed.opset, int8=parsed.int8, calibration=calibration, made_from=sha256_of(file),
        temperature=temperature_of(file),
    )  # fmt: skip
    size = parsed.out.stat().st_size / 2**20
    print(f"{parsed.out}: {size:.1f} MiB; logits equal torch's to {difference:.0e} of the largest", end="")
    print("" if parsed.int8 == "none" else ", before rounding")
    if parsed.int8 == "none":
        return
    if not measurable:
        print("accuracy: not measured; there is no recipe beside the recognizer that names its clips")
        return
    for name, path in (("before rounding", parsed.run), ("after", parsed.out)):
        print(f"top-1 {name}: {_accuracy(path, parsed.run, parsed.store)}", flush=True)


def _training_views(run: Path, store_path: Path | None, recognizer: Recognizer, count: int) -> list[npt.NDArray[np.float32]]:
    """Views of so many clips that were learned from, evenly taken from the store's order; batches (N, M, T, V, C)."""
    import numpy as np
    import torch

    from poseglot.app.commands.evaluate import data_of
    from poseglot.data.dataset import ClipDataset
    from poseglot.data.store import open_store
    from poseglot.skeletons.protocols import load_pipeline
    from poseglot.training.subsets import subsets

    data = data_of(run, store_path, None)
    store, spec = open_store(Path(data.store)), recognizer.spec
    learned, _ = subsets(data, store)
    places = learned[np.linspace(0, len(learned) - 1, min(count, len(learned))).astype(int)]
    views = ClipDataset(store, places, transform=partial(load_pipeline(spec.pipeline), modality=spec.modality))
    return [view.numpy() for view in views.eval_inputs(_BATCH, torch.device("cpu"))]


def _accuracy(recognizer: Path, run: Path, store: Path | None) -> str:
    """n/N and percentage on what the run's recipe looks at."""
    from poseglot.app.commands.evaluate import scores_and_repeated
    from poseglot.evaluation.metrics import top_k
    from poseglot.inference import Predictor

    scores, _ = scores_and_repeated(Predictor(recognizer, device="cpu"), run, store, None)
    return str(top_k(scores.logits, scores.labels, 1))
