"""Finding YAML files by name in the package, or by path where users bring their own."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from poseglot.errors import PoseglotError

# Runs lie in runs/RUN or runs/STUDY/RUN of the folder that they were trained in.
_LEVELS_ABOVE = 3


def packaged_yaml(package: str, folder: str, name: str, *, kind: str, own: bool = True) -> str:
    """Read a packaged YAML file, or a user's own.

    Args:
        package, folder: where the packaged files lie.
        name: the name of a packaged file, or - if `own` allows it - a path that ends in .yaml or .yml.
        kind: what error messages call the file.

    Raises:
        PoseglotError: there is no such file, or a file of the user's ends otherwise.
    """
    path = find_yaml(package, folder, name, kind=kind, own=own)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PoseglotError(f"could not read the {kind} {name}: {error}.") from error


def find_yaml(package: str, folder: str, name: str, *, kind: str, own: bool = True) -> Path:
    """Find a packaged YAML file, or a user's own, which may be missing.

    A packaged file in a subfolder has the subfolder in its name: nw-ucla/paper. The arguments are those of `packaged_yaml`.

    Raises:
        PoseglotError: no packaged file has this name (the message lists those there are), or a file of the user's ends otherwise.
    """
    if own and name.endswith((".yaml", ".yml")):
        return Path(name)
    root = Path(str(resources.files(package) / folder))
    known = packaged_names(package, folder)
    if name not in known:
        if own and os.path.isfile(name):
            raise PoseglotError(f"{name} is a file, but a {kind} file ends in .yaml or .yml; rename it, if it is one.")
        otherwise = ", or give the path of a .yaml or .yml file" if own else ""
        raise PoseglotError(f"unknown {kind} {name!r}; there are {', '.join(known)}{otherwise}.")
    return root / f"{name}.yaml"


def packaged_names(package: str, folder: str) -> list[str]:
    """List the names of the packaged YAML files of a folder and its subfolders."""
    root = Path(str(resources.files(package) / folder))
    return sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.yaml"))


def resolve_path(path: str, base: Path) -> str:
    """Find a path that a file in the folder `base` names.

    The path is relative to the current folder. If there is nothing, it is relative to `base`, then to each of the next folders above
    it, as many as a run lies deep. If there is nothing anywhere, it is returned as it is.
    """
    if os.path.exists(path):
        return path
    base = base.resolve()
    for folder in (base, *base.parents[:_LEVELS_ABOVE]):
        if (folder / path).exists():
            return str(folder / path)
    return path
