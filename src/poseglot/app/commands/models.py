"""`poseglot models`: the recognizers that the package brings."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from poseglot.app.commands.register import AddCommand
from poseglot.safe_text import json_text


def add(command: AddCommand) -> None:
    models = command("models", run, "list the packaged recognizers, or print the model card of one")
    models.add_argument("name", nargs="?", help="print the card of this one")
    models.add_argument("--json", action="store_true", help="print JSON")


def run(parsed: argparse.Namespace) -> None:
    from poseglot.app.formatting.models import models_text
    from poseglot.models.pretrained import CARD_FILE, describe_recognizer, list_recognizers

    names = list_recognizers() if parsed.name is None else [parsed.name]
    found = [describe_recognizer(name) for name in names]
    if parsed.json:
        print(json_text([{**asdict(each), "folder": str(each.folder)} for each in found], indent=1))
    elif parsed.name is None:
        print(models_text(found))
    else:
        print((found[0].folder / CARD_FILE).read_text(encoding="utf-8"), end="")
