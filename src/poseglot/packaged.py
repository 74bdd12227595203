"""Finding YAML files by name in the package, or by path where users bring their own."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from poseglot.errors import PoseglotError


def packaged_yaml(package: str, folder: str, name: str, *, kind: str, own: bool = True) -> str:
    """The text of a packaged YAML file, or of a user's own.

    Args:
        package, folder: where the packaged ones lie.
        name: of a packaged one, or - if `own` allows it - a path ending in .yaml or .yml.
        kind: what error messages call it.

    Raises:
        PoseglotError: no such file, and the message lists the packaged names; or a file of the user's that ends otherwise.
    """
    if own and name.endswith((".yaml", ".yml")):
        try:
            return Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PoseglotError(f"could not read the {kind} {name}: {error}.") from error
    root = resources.files(package) / folder
    file = root / f"{name}.yaml"
    if not file.is_file():
        if own and os.path.isfile(name):
            raise PoseglotError(f"{name} is a file, but a {kind} file ends in .yaml or .yml; rename it, if it is one.")
        known = sorted(entry.name.removesuffix(".yaml") for entry in root.iterdir() if entry.name.endswith(".yaml"))
        otherwise = ", or give the path of a .yaml or .yml file" if own else ""
        raise PoseglotError(f"unknown {kind} {name!r}; there are {', '.join(known)}{otherwise}.")
    return file.read_text(encoding="utf-8")
