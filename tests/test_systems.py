"""The package can be imported on Windows: without the modules and functions that only POSIX systems have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from poseglot.files import try_lock
from tests.conftest import ROOT

# What Python has on Linux and macOS alone.
MODULES = ("fcntl", "grp", "posix", "pty", "pwd", "resource", "termios", "tty")
FUNCTIONS = (
    "fork",
    "forkpty",
    "getuid",
    "geteuid",
    "getgid",
    "getppid",
    "killpg",
    "setsid",
    "sched_getaffinity",
    "sysconf",
    "uname",
)
IMPORT_EVERYTHING = f"""
import importlib, importlib.util, os, pkgutil, sys
assert importlib.util.find_spec("numpy") and importlib.util.find_spec("torch")
import numpy, torch, concurrent.futures.process, multiprocessing.util, subprocess, tempfile  # theirs, which have ways of their own
missing, failed = set(), []
def block(name):
    sys.modules[name] = None
for name in {MODULES!r}:
    block(name)
for name in {FUNCTIONS!r}:
    if hasattr(os, name):
        delattr(os, name)
import poseglot
names = [module.name for module in pkgutil.walk_packages(poseglot.__path__, "poseglot.", onerror=lambda name: None)]
for name in names:
    if name == "poseglot.__main__":
        continue
    try:
        importlib.import_module(name)
    except ImportError as error:
        if error.name in {MODULES!r}:
            failed.append(f"{{name}}: {{error!r}}")
    except Exception as error:
        failed.append(f"{{name}}: {{error!r}}")
print(len(names), *failed, sep="\\n")
"""


def test_every_module_is_imported_where_posix_is_missing() -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_EVERYTHING], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    count, *failed = done.stdout.splitlines()
    assert int(count) > 100
    assert not failed


def test_a_module_that_needs_posix_is_noticed() -> None:
    code = IMPORT_EVERYTHING.replace("import poseglot\n", "import fcntl\n", 1)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "fcntl" in done.stderr


def test_files_are_not_locked_where_there_are_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"
    with path.open("w") as one, path.open("w") as other:
        monkeypatch.setitem(sys.modules, "fcntl", None)
        assert try_lock(one) and try_lock(other)
        monkeypatch.undo()
        if sys.platform != "win32":
            assert try_lock(one) and not try_lock(other)
