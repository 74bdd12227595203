"""Which state of the source a run was made by, when it runs from a checkout: a number leads back to its code."""

from __future__ import annotations

import subprocess
from pathlib import Path


def source_commit() -> str | None:
    """The commit of the checkout that this package is imported from, `+` behind it if files were changed; None if it is none."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here), *arguments], capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()

    try:
        # Installed somewhere inside another repository, the package is not one of its files.
        git("ls-files", "--error-unmatch", str(Path(__file__).resolve()))
        return git("rev-parse", "HEAD") + (
            "+" if git("status", "--porcelain", "--untracked-files=no", str(here.parent)) else ""
        )
    except (OSError, subprocess.SubprocessError):
        return None
