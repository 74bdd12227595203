"""Run `poseglot generate-descriptions` against a local endpoint that fails many calls: is every class complete, is anything lost?

    python benchmarks/describe_faults.py

The endpoint (`loopback.py`) knows the packaged descriptions of NTU RGB+D 120 and answers the three questions of every class; each call
meets a fault with the probability `--rate`; whether and which is decided by the seed, the question and how often it was asked. After
`--broken-off` good answers it refuses everything, as if a key had been revoked; the run ends, and the same command goes on until the file
is there. Then the file is compared with the packaged set, text by text, and the endpoint's own count says whether an answer that had been
given was asked for again. The command runs in this process, by its own `main`.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loopback import FAULTS, Asked, Loopback
from measuring import machine, table, write_results

from poseglot.app.cli import main as poseglot
from poseglot.descriptions import Description, load_descriptions


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=120, help="of NTU RGB+D 120, the first ones")
    parser.add_argument("--rate", type=float, default=0.4, help="share of calls that fail")
    parser.add_argument("--broken-off", type=int, default=150, help="good answers before the first run is made to end")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--out", type=Path, default=Path("results/describe-faults"))
    given = parser.parse_args()
    if not 0 <= given.rate < 1 or given.classes < 2:
        parser.error(f"--rate goes from 0 to below 1 and --classes from 2, not {given.rate} and {given.classes}.")
    known = dict(list(load_descriptions("ntu120").classes.items())[: given.classes])
    runs, server, described = ask(known, given)
    report(runs, server, known, described, given)
    return 0 if all(label in described and is_same(described[label], told) for label, told in known.items()) else 1


def ask(
    known: dict[str, Description], given: argparse.Namespace
) -> tuple[list[dict[str, Any]], Loopback, dict[str, Description]]:
    """The command until its file is there, or ten times; what each run did, the endpoint, and what the file says."""

    def decide(asked: Asked, before: int) -> str | tuple[int, dict[str, Any]] | None:
        if not runs and server.answered.total() >= given.broken_off:
            return 401, {"error": {"message": "revoked"}}
        draw = random.Random(f"{given.seed} {asked} {before}")
        return draw.choice(list(FAULTS)) if draw.random() < given.rate else None

    runs: list[dict[str, Any]] = []
    with Loopback(known, decide, rest=0.05, hang=0.6) as server, tempfile.TemporaryDirectory() as folder:
        labels, out = Path(folder) / "labels.txt", Path(folder) / "mine.yaml"
        labels.write_text("\n".join(known) + "\n")
        command = [
            "generate-descriptions",
            "--labels",
            str(labels),
            "--out",
            str(out),
            "--base-url",
            server.url,
            "--model",
            "loopback",
        ]
        while not out.exists() and len(runs) < 10:
            before, started = (server.asked.total(), server.faults.total(), server.answered.total()), time.perf_counter()
            status = poseglot([*command, "--first-wait", "0.01", "--timeout", "0.5", "--concurrency", "8"])
            after = (server.asked.total(), server.faults.total(), server.answered.total())
            calls, faults, answers = (now - then for now, then in zip(after, before, strict=True))
            runs.append(
                {
                    "run": len(runs) + 1,
                    "exit status": status,
                    "calls": calls,
                    "faults injected": faults,
                    "answers": answers,
                    "refused as revoked": calls - faults - answers,
                    "answers kept": len(list(out.with_suffix(".answers").iterdir())),
                    "seconds": time.perf_counter() - started,
                }
            )
        found = dict(load_descriptions(str(out)).classes) if out.exists() else {}
    return runs, server, found


def report(
    runs: Sequence[dict[str, Any]],
    server: Loopback,
    known: dict[str, Description],
    found: dict[str, Description],
    given: argparse.Namespace,
) -> None:
    same = [label for label, told in known.items() if label in found and is_same(found[label], told)]
    result = {
        "classes asked": len(known),
        "questions": 3 * len(known),
        "calls": server.asked.total(),
        "faults injected": server.faults.total(),
        "classes complete": len(found),
        "equal, text by text": len(same),
        "lost": len(known) - len(same),
        "answers asked for twice": sum(count - 1 for count in server.answered.values()),
    }
    faults = [{"fault": fault, "counted as": kind, "injected": server.faults[fault]} for fault, kind in FAULTS.items()]
    about = {**machine(), "rate": given.rate, "seed": given.seed, "broken off after": given.broken_off}
    lines = [
        "# `poseglot generate-descriptions` under injected faults\n",
        "\n".join(f"- {name}: {value}" for name, value in about.items()) + "\n",
        table([result]),
        "## Runs of the same command\n\nThe first is made to end, by a refusal of the key.\n",
        table(runs),
        "## Faults\n",
        table(faults),
    ]
    write_results(given.out, "table", "\n".join(lines), {"machine": about, "result": result, "runs": runs, "faults": faults})


def is_same(found: Description, known: Description) -> bool:
    """All that was asked for (the lists `manual` are not)."""
    return (found.synonyms, found.paragraph, found.parts) == (known.synonyms, " ".join(known.paragraph.split()), known.parts)


if __name__ == "__main__":
    sys.exit(main())
