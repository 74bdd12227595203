"""What the command files share: how a command is registered, and how a missing package is reported."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Protocol


class AddCommand(Protocol):
    """Registers a command: its name, its function, a line of help; returns the parser to add arguments to."""

    def __call__(
        self, name: str, function: Callable[[argparse.Namespace], None], help: str, *, own_help: bool = True
    ) -> argparse.ArgumentParser: ...


def missing_package(what: str, error: ImportError) -> str:
    """What to say when an optional package is not installed."""
    name = (error.name or "").replace("_", "-")
    return (
        f"{what} needs the package {name!r}, which is not installed. In the source folder of Poseglot: pip install '.[train]'"
    )
