"""The argument parser: suggestions for misspelt commands and flags, and commands listed in groups."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that suggests the nearest command, value or flag."""

    def _print_message(self, message: str, file: Any = None) -> None:  # argparse ignores that an output is full
        if file is sys.stdout:
            file.write(message)
        else:
            super()._print_message(message, file)

    def _check_value(self, action: argparse.Action, value: Any) -> None:  # argparse has no public hook
        if action.choices is not None and value not in action.choices:
            choices = list(map(str, action.choices))
            kind = "command" if isinstance(action, argparse._SubParsersAction) else "value"
            listed = "" if kind == "command" else f"; accepted are {', '.join(choices)}"
            raise argparse.ArgumentError(action, f"unknown {kind} {value!r}{listed}{did_you_mean(str(value), choices)}")

    def refuse(self, arguments: Iterable[str]) -> NoReturn:
        """Print the usage and the unknown arguments, with suggestions for flags, and exit with status 2."""
        known = list(self._option_string_actions)
        unknown = [
            f"{argument}{did_you_mean(argument.split('=')[0], known) if argument.startswith('-') else ''}"
            for argument in arguments
        ]
        self.error(f"unknown {'argument' if len(unknown) == 1 else 'arguments'}: {' '.join(unknown)}")


class RootParser(Parser):
    """The parser of the whole command line; its help lists the commands in groups.

    Attributes:
        groups: Group -> command -> help.
    """

    groups: Mapping[str, Mapping[str, str]] = {}

    def format_help(self) -> str:
        """Return usage, description and the commands in groups."""
        width = max(len(name) for commands in self.groups.values() for name in commands)
        lines = [self.format_usage().rstrip(), "", str(self.description)]
        for group, commands in self.groups.items():
            lines += ["", f"{group}:"]
            for name, help in commands.items():
                lines += textwrap.wrap(help, 100, initial_indent=f"  {name:{width}}  ", subsequent_indent=" " * (width + 4))
        return "\n".join([*lines, "", "--version prints the version; COMMAND --help explains a command.", ""])


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """Return ` (did you mean X?)` for the most similar known word; empty if none is similar."""
    nearest = get_close_matches(value, list(known), n=1)
    return f" (did you mean {nearest[0]}?)" if nearest else ""
