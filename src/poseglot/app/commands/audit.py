"""`poseglot audit`: what a good score on a store's test set may be made of besides recognition."""

from __future__ import annotations

import argparse
from pathlib import Path

from poseglot.app.commands.register import AddCommand
from poseglot.errors import SettingError
from poseglot.safe_text import json_text

_LISTED = 3


def add(command: AddCommand) -> None:
    audit = command("audit", run, "check a store's splits: test clips that are training clips, people in both, giveaways")
    audit.add_argument("store", type=Path, help="the store's folder")
    audit.add_argument("--split", help="audit only this split")
    audit.add_argument("--list", type=int, default=_LISTED, metavar="N", help=f"clips to list of each kind ({_LISTED})")
    audit.add_argument("--json", action="store_true", help="print JSON, with all clips")


def run(parsed: argparse.Namespace) -> None:
    from poseglot.app.formatting.audit import audit_text
    from poseglot.data.quality.audit import audit_store
    from poseglot.data.store import open_store

    if parsed.list < 0:
        raise SettingError(f"--list is at least 0, not {parsed.list}.")
    audit = audit_store(open_store(parsed.store), (parsed.split,) if parsed.split else ())
    print(json_text(audit.table(), indent=1) if parsed.json else audit_text(audit, listed=parsed.list))
