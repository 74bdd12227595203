"""The commit of the source that a run was made with, so that a result leads back to its code."""

from __future__ import annotations

import subprocess
from pathlib import Path


def source_commit() -> str | None:
    """Return the commit of the checkout that this package is imported from, with a `+` if files were changed; None if it is installed."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here), *arguments], capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()

    try:
        # A package that is installed inside another repository is not one of its files.
        git("ls-files", "--error-unmatch", str(Path(__file__).resolve()))
        return git("rev-parse", "HEAD") + (
            "+" if git("status", "--porcelain", "--untracked-files=no", str(here.parent)) else ""
        )
    except (OSError, subprocess.SubprocessError):
        return None
