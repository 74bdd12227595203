"""`poseglot zero-shot`: recognise classes that a run was not trained on by their texts."""

from __future__ import annotations

import argparse
from pathlib import Path

from poseglot.app.commands.register import AddCommand, check_run_folder, missing_package, notes
from poseglot.errors import MissingPackageError, SettingError
from poseglot.safe_text import json_text


def add(command: AddCommand) -> None:
    zero_shot = command(
        "zero-shot", run, "recognise classes that a run was not trained on by their texts; of several runs the mean"
    )
    zero_shot.add_argument("runs", type=Path, nargs="+", help="trained with data.unseen_classes")
    bias = zero_shot.add_mutually_exclusive_group()
    bias.add_argument(
        "--bias",
        type=float,
        help="subtracted from the cosines of seen classes, where all are compared (what leaves 90 %% of training clips with them)",
    )
    bias.add_argument(
        "--bias-from",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="find the bias on these runs, one for each: trained without the unseen classes (data.excluded_classes) and evaluated on "
        "training clips",
    )
    zero_shot.add_argument("--out", type=Path, help="a folder for table.md and table.json")
    zero_shot.add_argument("--device", help="cpu, cuda, ...; by default a GPU if there is one")


def run(parsed: argparse.Namespace) -> None:
    try:
        from poseglot.app.formatting.zero_shot import page, paragraph, summary
        from poseglot.training.run import open_run
        from poseglot.training.zero_shot import evaluate_zero_shot
    except ImportError as error:
        raise MissingPackageError(missing_package("encoding texts", error)) from error
    from poseglot.files import write_atomically

    others: list[Path | None] = list(parsed.bias_from or [None] * len(parsed.runs))
    if len(others) != len(parsed.runs):
        raise SettingError(f"--bias-from has {len(others)} runs for {len(parsed.runs)}; give one for each, in their order.")
    found = []
    for folder, other in zip(parsed.runs, others, strict=True):
        check_run_folder(folder, "zero-shot")
        opened = open_run(folder, device=parsed.device)
        bias_from = None if other is None else open_run(other, device=parsed.device)
        with notes():
            evaluation = evaluate_zero_shot(opened, bias=parsed.bias, bias_from=bias_from)
        write_atomically(opened.files.zero_shot, json_text(evaluation.table(), indent=1) + "\n")
        print(paragraph(evaluation), flush=True)
        found.append(evaluation)
    if len(found) > 1:
        print(summary(found))
    if parsed.out is not None:
        write_atomically(parsed.out / "table.md", page(found, _command(parsed)))
        rows = [evaluation.table() for evaluation in found]
        write_atomically(parsed.out / "table.json", json_text(rows, indent=1) + "\n")
        print(f"written: {parsed.out / 'table.md'}, {parsed.out / 'table.json'}")


def _command(parsed: argparse.Namespace) -> str:
    command = ["poseglot", "zero-shot", *map(str, parsed.runs)]
    if parsed.bias_from:
        command += ["--bias-from", *map(str, parsed.bias_from)]
    elif parsed.bias is not None:
        command += ["--bias", str(parsed.bias)]
    return " ".join(command)
