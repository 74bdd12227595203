"""`poseglot export`: a recognizer as an ONNX file, checked against torch before it is written."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from poseglot.app.commands.register import AddCommand, notes
from poseglot.errors import FileError, SettingError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_BATCH_SIZE = 16


def add(command: AddCommand) -> None:
    export = command("export", run, "write a recognizer as an ONNX file, checked against torch")
    export.add_argument(
        "run", type=Path, help="a run's folder, a recognizer's .safetensors file, or a name that `poseglot predict` takes"
    )
    export.add_argument(
        "--out",
        type=Path,
        help="the .onnx file (default: recognizer.onnx beside the recognizer, which `predict` runs on a CPU; of a name, NAME.onnx here; "
        "with --raw, recognizer-raw.onnx and NAME-raw.onnx)",
    )
    export.add_argument(
        "--raw",
        action="store_true",
        help="put preparation into the file, too: it takes joints as a sensor gives them",
    )
    export.add_argument(
        "--layout",
        help="with --raw: the layout of the joints, mapped by name: a packaged name or a .yaml file (the recognizer's)",
    )
    export.add_argument(
        "--dims", type=int, choices=[2, 3], help="with --layout, of a recognizer for any: coordinates of a joint (3)"
    )
    export.add_argument("--scored", action="store_true", help="likewise: the confidence in each joint follows its coordinates")
    export.add_argument("--format", choices=["onnx"], default="onnx", help="onnx is the only format")
    export.add_argument("--opset", type=int, default=18, help="the ONNX opset version (18)")
    export.add_argument(
        "--int8",
        choices=["none", "dynamic", "static"],
        default="none",
        help="quantize weights to 8 bits; static: activations, too, calibrated on training clips. Prints the accuracy before and after",
    )
    export.add_argument("--store", type=Path, help="with --int8: the store of the run's clips, if it has moved")
    export.add_argument("--calibrate-on", type=int, default=128, metavar="CLIPS", help="with static: the number of clips (128)")


def run(parsed: argparse.Namespace) -> None:
    from poseglot.evaluation.temperature import temperature_of
    from poseglot.files import sha256_of
    from poseglot.inference.export import EXPORTED_FILE, RAW_FILE, export_onnx, export_raw_onnx
    from poseglot.models.pretrained import find_recognizer, recognizer_file
    from poseglot.models.recognizer import load_recognizer

    folder = find_recognizer(parsed.run)
    file = recognizer_file(folder)
    if parsed.out is None:
        if parsed.int8 != "none":
            raise SettingError("--int8 changes scores a little; name its file with --out.")
        is_named = folder != parsed.run  # what the package or the Hub brought is left as it is
        named, beside = ("-raw.onnx", RAW_FILE) if parsed.raw else (".onnx", EXPORTED_FILE)
        parsed.out = Path(f"{parsed.run.name}{named}") if is_named else file.with_name(beside)
    if parsed.out.suffix != ".onnx":
        raise SettingError(f"--out must end in .onnx, not {parsed.out.name}.")
    if parsed.out.exists():
        raise FileError(f"{parsed.out} exists; choose another --out.")
    has_data = folder.is_dir() and ((folder / "recipe.yaml").exists() or parsed.store is not None)
    if parsed.int8 == "static" and not has_data:
        raise SettingError("--int8 static calibrates on the training clips: give a run's folder, whose recipe names them.")
    if parsed.raw and parsed.int8 != "none":
        raise SettingError("--int8 is for files without --raw, whose accuracy is measured on the run's prepared clips.")
    if not parsed.raw and (parsed.layout or parsed.dims or parsed.scored):
        raise SettingError("--layout, --dims and --scored say what raw joints are; add --raw.")
    recognizer = load_recognizer(file).drop_heads()
    made = {"opset": parsed.opset, "made_from": sha256_of(file), "temperature": temperature_of(file)}
    if parsed.raw:
        joints = {"layout": parsed.layout, "num_dims": parsed.dims, "has_scores": parsed.scored or None}
        same = f"probabilities equal torch's to {export_raw_onnx(recognizer, parsed.out, **joints, **made):.0e}"
    else:
        calibration = _training_inputs(parsed) if parsed.int8 == "static" else []
        difference = export_onnx(recognizer, parsed.out, int8=parsed.int8, calibration=calibration, **made)
        same = f"logits equal torch's to {difference:.0e} of the largest"
    quantized = "" if parsed.int8 == "none" else ", before quantization"
    print(f"{parsed.out}: {parsed.out.stat().st_size / 2**20:.1f} MiB; {same}{quantized}")
    if quantized and not has_data:
        print("accuracy: not measured, since no recipe beside the recognizer names its clips")
    elif quantized:
        for name, path in (("before quantization", folder), ("after", parsed.out)):
            print(f"top-1 {name}: {_accuracy(path, parsed)}", flush=True)


def _training_inputs(parsed: argparse.Namespace) -> list[npt.NDArray[np.float32]]:
    """Return evaluation inputs of training clips, evenly spaced over the store, in batches (N, M, T, V, C)."""
    import numpy as np
    import torch

    from poseglot.data.store import open_store
    from poseglot.training.run import open_run
    from poseglot.training.subsets import subsets

    opened = open_run(parsed.run, device="cpu")
    data = opened.data(parsed.store)
    store = open_store(data.store)
    train, _ = subsets(data, store)
    indices = train[np.linspace(0, len(train) - 1, min(parsed.calibrate_on, len(train))).astype(int)]
    dataset = opened.dataset(indices, store=store)
    return [inputs.numpy() for inputs in dataset.eval_inputs(_BATCH_SIZE, torch.device("cpu"))]


def _accuracy(recognizer: Path, parsed: argparse.Namespace) -> str:
    """Return n/N and percentage on the clips that the run's recipe evaluates."""
    from poseglot.inference import Predictor
    from poseglot.training.evaluate import evaluate
    from poseglot.training.run import open_run

    logits = Predictor(recognizer, device="cpu").logits
    with notes():
        return str(evaluate(open_run(parsed.run, device="cpu"), parsed.store, logits=logits).top1)
