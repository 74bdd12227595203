"""`poseglot completion`: completion of commands and flags for a shell."""

from __future__ import annotations

import argparse

from poseglot.app.commands.register import AddCommand
from poseglot.errors import MissingPackageError

_DESCRIPTION = """Print a completion script for a shell, by the package shtab.

    bash   poseglot completion bash > ~/.local/share/bash-completion/completions/poseglot
    zsh    poseglot completion zsh > DIRECTORY_OF_FPATH/_poseglot"""


def add(command: AddCommand) -> None:
    completion = command("completion", run, "print a completion script for a shell")
    completion.formatter_class = argparse.RawDescriptionHelpFormatter
    completion.description = _DESCRIPTION
    completion.add_argument("shell", choices=["bash", "zsh", "tcsh"])


def run(parsed: argparse.Namespace) -> None:
    try:
        import shtab
    except ImportError as error:
        raise MissingPackageError(
            "completion needs the package 'shtab', which is not installed: pip install 'poseglot[completion]'."
        ) from error
    print(shtab.complete(parsed.root, shell=parsed.shell))
