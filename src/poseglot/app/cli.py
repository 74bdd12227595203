"""The command line. Each command is a file of `poseglot.app.commands` that parses, calls the library and prints."""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TextIO, cast

from poseglot import __version__
from poseglot.app.commands import (
    audit,
    browser_page,
    calibrate,
    card,
    check_descriptions,
    compare,
    completion,
    cross_validate,
    ensemble,
    evaluate,
    export,
    export_clip,
    extract_poses,
    few_shot,
    generate_descriptions,
    import_descriptions,
    import_weights,
    info,
    init,
    join,
    models,
    plot,
    predict,
    prepare,
    report,
    segment,
    serve,
    stream,
    study,
    train,
    train_segmenter,
    webcam,
    zero_shot,
)
from poseglot.app.parser import Parser, RootParser
from poseglot.devices import keep_freed_memory
from poseglot.errors import PoseglotError, SettingError
from poseglot.safe_text import ShownStream, name_text, shown

_GROUPS: dict[str, tuple[ModuleType, ...]] = {
    "Data": (init, prepare, join, info, audit, export_clip, extract_poses),
    "Text": (generate_descriptions, check_descriptions, import_descriptions),
    "Train": (train, train_segmenter, cross_validate, study, import_weights),
    "Evaluate": (evaluate, zero_shot, few_shot, calibrate, compare, ensemble, report, card, plot),
    "Predict": (models, predict, segment, stream, webcam),
    "Serve & export": (serve, export, browser_page, completion),
}
_TAKE_SETTINGS = ("train", "cross-validate", "study")  # their unknown arguments are settings of the recipe


# What a system says when a device or a quota is full.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0 success, 1 user error, 2 wrong usage, 130 interrupted."""
    if sys.stdout is None:  # closed by the shell, as by `>&-`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    for output in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # an ASCII locale cannot show all class names
            output.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        try:
            return _run(list(sys.argv[1:] if arguments is None else arguments))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # `poseglot ... | head`: nothing more can be written, not at exit either
        _write_nowhere()
        return 0
    except OSError as error:
        if error.errno not in _FULL:
            raise
        _write_nowhere()
        print(f"poseglot: the output could not be written: {error.strerror}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "poseglot: interrupted. Resume a training with the same command and --resume; a preparation of NTU RGB+D or a batch prediction "
            "with the same command.",
            file=sys.stderr,
        )
        return 130


def _run(arguments: list[str]) -> int:
    _check_locale(arguments)
    parser = build_parser()
    parsed, rest = parser.parse_known_args(arguments)
    if rest and parsed.command_name not in _TAKE_SETTINGS:
        parsed.parser.refuse(rest)
    parsed.rest, parsed.root = rest, parser
    keep_freed_memory()
    warnings = logging.StreamHandler(sys.stderr)
    warnings.setLevel(logging.WARNING)
    warnings.setFormatter(_ShownFormatter())
    logging.getLogger("poseglot").addHandler(warnings)
    try:
        _import_plugins(parsed.plugin)
        # Names of clips and classes come from files; they must not steer the terminal.
        with contextlib.redirect_stdout(cast(TextIO, ShownStream(sys.stdout))):
            parsed.command(parsed)
    except PoseglotError as error:
        print(f"poseglot: {shown(error)}", file=sys.stderr)
        return 1
    finally:
        logging.getLogger("poseglot").removeHandler(warnings)
    return 0


def _check_locale(arguments: Sequence[str]) -> None:
    """Exit if the locale cannot decode the arguments: no file could be written under such a name."""
    if sys.getfilesystemencoding() == "utf-8":
        return
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            print(
                f"poseglot: the locale has no encoding for {name_text(argument)}. Set LC_ALL=C.UTF-8 or PYTHONUTF8=1.",
                file=sys.stderr,
            )
            raise SystemExit(1) from None


class _ShownFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"note: {shown(super().format(record))}"


def _write_nowhere() -> None:
    """Let what is left in the buffer of standard output go nowhere, or Python would complain at exit."""
    with contextlib.suppress(OSError, ValueError):  # a stream without a file, as in tests
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def build_parser() -> RootParser:
    """Return the parser of the whole command line; `command` of its result is the function to call."""
    parser = RootParser(
        prog="poseglot",
        description="Skeleton-based action recognition that learns from language.",
        usage="poseglot COMMAND ...",
    )
    parser.add_argument("--version", action="version", version=f"poseglot {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", prog="poseglot", parser_class=Parser)
    helps: dict[str, str] = {}

    def command(
        name: str, function: Callable[[argparse.Namespace], None], help: str, *, own_help: bool = True
    ) -> argparse.ArgumentParser:
        helps[name] = help
        added = commands.add_parser(name, help=help, description=help, add_help=own_help)
        added.add_argument(
            "--plugin",
            action="append",
            default=[],
            metavar="MODULE",
            help="import a module that registers encoders, readers, ...",
        )
        added.set_defaults(command=function, command_name=name, parser=added)
        return added

    groups: dict[str, dict[str, str]] = {}
    for group, modules in _GROUPS.items():
        before = set(helps)
        for module in modules:
            module.add(command)
        groups[group] = {name: help for name, help in helps.items() if name not in before}
    parser.groups = groups
    return parser


def _import_plugins(modules: Sequence[str]) -> None:
    """Import the modules of --plugin, also from the current folder.

    Raises:
        SettingError: A module cannot be imported.
    """
    if modules and "" not in sys.path:
        sys.path.insert(0, "")
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise SettingError(f"--plugin {name} cannot be imported: {error}.") from error


if __name__ == "__main__":
    sys.exit(main())
