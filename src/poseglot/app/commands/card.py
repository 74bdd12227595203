"""`poseglot card`: the model card of a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from poseglot.app.commands.register import AddCommand, check_run_folder, missing_package, notes
from poseglot.errors import MissingPackageError


def add(command: AddCommand) -> None:
    card = command("card", run, "write the model card of a run: it is evaluated, and its cost is measured on this machine")
    card.add_argument("run", type=Path, help="the run's folder")
    card.add_argument("--out", type=Path, metavar="FILE.md", help="where to write it (RUN/README.md)")
    card.add_argument("--store", type=Path, help="the store of the run's clips, if it has moved")
    card.add_argument(
        "--seeds", type=Path, nargs="+", default=[], metavar="RUN", help="runs of the same recipe with other seeds"
    )
    card.add_argument(
        "--licence", default="", metavar="ID", help="of the weights, as the Hugging Face Hub names it: apache-2.0"
    )
    card.add_argument("--title", default="", help="the name of the recognizer (the folder's)")
    card.add_argument("--device", help="cpu, cuda, ... (default: a GPU if there is one)")


def run(parsed: argparse.Namespace) -> None:
    try:
        from poseglot.report.card import run_card
    except ImportError as error:
        raise MissingPackageError(missing_package("a model card", error)) from error
    from poseglot.files import write_atomically
    from poseglot.models.card import Licence
    from poseglot.models.pretrained import CARD_FILE
    from poseglot.training.run import open_run

    check_run_folder(parsed.run, "card")
    licence, opened = Licence(parsed.licence), open_run(parsed.run, device=parsed.device)
    with notes():
        text = run_card(opened, store=parsed.store, seeds=parsed.seeds, licence=licence, title=parsed.title)
    out = parsed.out or parsed.run / CARD_FILE
    write_atomically(out, text)
    print(out)
    if not parsed.licence:
        print("  the licence of the weights is not stated; --licence names it")
