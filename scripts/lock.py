"""Write `lock.txt`: the versions and the SHA-256 of every package of a development environment, for `pip install --require-hashes`.

    .venv/bin/python scripts/lock.py             what is installed in this environment, as pip finds it now
    python -m pip install --require-hashes --no-deps -r lock.txt && python -m pip install --no-deps --editable .

`constraints.txt` pins what is asked for; this pins what that brings along, too, and the content of the files. Hashes are of the files for
this system and this Python.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from pathlib import Path

LOCK = Path(__file__).parent.parent / "lock.txt"
_NOT_LOCKED = ("poseglot", "pip", "setuptools", "wheel")


def main() -> None:
    found = {each.metadata["Name"].lower().replace("_", "-"): each.version for each in distributions()}
    wanted = [f"{name}=={version}" for name, version in sorted(found.items()) if name not in _NOT_LOCKED]
    with tempfile.TemporaryDirectory() as folder:
        listed, report = Path(folder) / "listed.txt", Path(folder) / "report.json"
        listed.write_text("\n".join(wanted))
        options = [
            "--dry-run",
            "--ignore-installed",
            "--no-deps",
            "--quiet",
            "--report",
            str(report),
            "--requirement",
            str(listed),
        ]
        subprocess.run([sys.executable, "-m", "pip", "install", *options], check=True)
        LOCK.write_text(lock(json.loads(report.read_text())))
    print(f"written: {LOCK}")


def lock(report: dict[str, object]) -> str:
    """Return the lines of the lock file from pip's report."""
    lines = []
    installs = report["install"]
    assert isinstance(installs, list)
    for entry in installs:
        sha256 = entry["download_info"]["archive_info"]["hashes"]["sha256"]
        lines.append(f"{entry['metadata']['name'].lower()}=={entry['metadata']['version']} --hash=sha256:{sha256}")
    python, system = f"{sys.version_info[0]}.{sys.version_info[1]}", sys.platform
    return f"# Made by scripts/lock.py for Python {python} on {system}.\n" + "\n".join(sorted(lines)) + "\n"


if __name__ == "__main__":
    main()
