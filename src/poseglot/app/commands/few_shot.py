"""`poseglot few-shot`: recognise classes that a run was not trained on by a few example clips."""

from __future__ import annotations

import argparse
from pathlib import Path

from poseglot.app.commands.register import AddCommand, check_run_folder, missing_package, notes
from poseglot.errors import MissingPackageError


def add(command: AddCommand) -> None:
    few_shot = command("few-shot", run, "recognise classes that a run was not trained on by a few example clips of each")
    few_shot.add_argument("run", type=Path, help="trained with data.unseen_classes")
    few_shot.add_argument(
        "--shots", type=int, nargs="+", default=[1, 5, 10], help="the numbers of examples (1 5 10); 0: by text alone"
    )
    few_shot.add_argument("--draws", type=int, default=5, help="the number of draws of examples (5)")
    few_shot.add_argument("--seed", type=int, default=0, help="draws the examples (0)")
    few_shot.add_argument("--device", help="cpu, cuda, ...; by default a GPU if there is one")


def run(parsed: argparse.Namespace) -> None:
    try:
        from poseglot.app.formatting.few_shot import few_shot_text
        from poseglot.training.few_shot import evaluate_few_shot
        from poseglot.training.run import open_run
    except ImportError as error:
        raise MissingPackageError(missing_package("evaluating", error)) from error
    check_run_folder(parsed.run, "few-shot")
    opened = open_run(parsed.run, device=parsed.device)
    with notes():
        results = evaluate_few_shot(opened, shots=parsed.shots, draws=parsed.draws, seed=parsed.seed)
    print(few_shot_text(opened, results))
