"""The commit of the source that a run was made with, so that a result leads back to its code."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

# git takes locks, and starts programs that a repository names. A question needs neither.
_QUIET = (
    "--no-optional-locks",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.untrackedCache=false",
)


def source_commit() -> str | None:
    """Return the commit of the checkout that this package is imported from, with a `+` if files were changed; None if it is installed."""
    here = Path(__file__).resolve()
    root = here.parents[3]  # of src/poseglot/training
    # Only our own checkout is asked: a package may be installed inside another repository, whose settings are not ours.
    if not (root / ".git").exists() or not (root / "src" / "poseglot").is_dir():
        return None

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *_QUIET, "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "GIT_CEILING_DIRECTORIES": str(root.parent), "GIT_TERMINAL_PROMPT": "0"},
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", str(here))
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no", "src/poseglot") else "")
    except (OSError, subprocess.SubprocessError):
        return None
