"""The command line. Each command is one function in `poseglot.app.commands`; it talks, the rooms below it work."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from poseglot import __version__
from poseglot.app.commands import (
    calibrate,
    check_descriptions,
    compare,
    ensemble,
    evaluate,
    export,
    extract_poses,
    generate_descriptions,
    import_weights,
    info,
    init,
    plot,
    predict,
    prepare,
    report,
    segment,
    serve,
    stream,
    study,
    train,
    webcam,
    zero_shot,
)
from poseglot.devices import keep_freed_memory
from poseglot.errors import PoseglotError

# In the order of `poseglot --help`.
_COMMANDS = (
    init, prepare, info, generate_descriptions, check_descriptions, train, evaluate, zero_shot, calibrate, study, compare, ensemble, predict,
    segment, stream, webcam, extract_poses, plot, report, serve, export, import_weights,
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status (0 well, 1 the user's matter, 2 wrong usage, 130 stopped by Ctrl-C)."""
    parser = build_parser()
    given = list(sys.argv[1:] if arguments is None else arguments)
    parsed, rest = parser.parse_known_args(given)
    if rest and parsed.command not in (train.run, study.run):
        parser.error(f"unknown arguments: {' '.join(rest)} (see `poseglot --help`)")
    parsed.rest = rest
    keep_freed_memory()
    try:
        parsed.command(parsed)
    except PoseglotError as error:
        print(f"poseglot: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `poseglot ... | head` has read enough; nothing more can be said, not at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(
            "poseglot: stopped. A training goes on from its last checkpoint with the same command and --resume, a preparation of NTU RGB+D "
            "or an archive (predict --engine) with the same command.",
            file=sys.stderr,
        )
        return 130
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; `command` of what it parses is the function to call."""
    parser = argparse.ArgumentParser(
        prog="poseglot", description="Skeleton-based action recognition that learns from language."
    )
    parser.add_argument("--version", action="version", version=f"poseglot {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, function: Callable[[argparse.Namespace], None], help: str, *, own_help: bool = True
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help, add_help=own_help)
        added.set_defaults(command=function)
        return added

    for module in _COMMANDS:
        module.add(command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
