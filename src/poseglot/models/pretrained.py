"""Find trained recognizers: packaged ones by name, folders and files by path, repositories of the Hugging Face Hub by `hf-hub:ID`.

The folder of a recognizer holds

    recognizer.safetensors    weights and spec
    README.md                 the model card; its front matter is read by the Hub and by `poseglot models`
    recipe.yaml               the recipe, which adding classes by text needs
    descriptions.yaml         the descriptions of its classes, if they are no packaged set
    calibration.json          the temperature, if the run was calibrated
    machine.json              the machine and versions of the training
    texts.safetensors         the text features of actions that it may be asked for (`poseglot.inference.actions`)
    segmenter.safetensors     the segmenter for long recordings, if one was trained (`poseglot.models.segmenter`)
    LICENSE                   the licence of the weights

Packaged ones lie in `poseglot/recognizers/NAME`. Nothing is downloaded for a name or a path, only for `hf-hub:ID`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any

from poseglot.errors import FileError, NotFoundError
from poseglot.files import as_path
from poseglot.models import hub
from poseglot.safe_yaml import parse_yaml

# The name of a recognizer in the folder of a run.
RECOGNIZER_FILE = "recognizer.safetensors"
CARD_FILE = "README.md"
MACHINE_FILE = "machine.json"
LICENCE_FILE = "LICENSE"
TEXTS_FILE = "texts.safetensors"
DESCRIPTIONS_FILE = "descriptions.yaml"
SEGMENTER_FILE = "segmenter.safetensors"
# What a download brings, so that no other file, such as a pickle, is ever fetched.
FILES = (
    RECOGNIZER_FILE,
    CARD_FILE,
    "recipe.yaml",
    "calibration.json",
    MACHINE_FILE,
    TEXTS_FILE,
    DESCRIPTIONS_FILE,
    SEGMENTER_FILE,
    LICENCE_FILE,
)
HUB = "hf-hub:"

_LOGGER = logging.getLogger("poseglot.models")


@dataclass(frozen=True)
class PackagedRecognizer:
    """A recognizer that the package brings, as its card describes it.

    Attributes:
        name: Its name, for `poseglot.load`.
        folder: Where its files lie.
        layout: The name of its layout.
        classes: The number of its classes.
        size: The bytes of its weights.
        licence: The name of the licence of its weights.
        notice: What is said at first use.
        results: Each with `dataset`, `split`, `correct` and `total`.
    """

    name: str
    folder: Path
    layout: str
    classes: int
    size: int
    licence: str
    notice: str
    results: Sequence[Mapping[str, Any]]


def list_recognizers() -> list[str]:
    """Return the names of the packaged recognizers."""
    folder = _packaged()
    return sorted(each.parent.name for each in folder.glob(f"*/{RECOGNIZER_FILE}"))


def describe_recognizer(name: str) -> PackagedRecognizer:
    """Return the facts of a packaged recognizer, from its card.

    Raises:
        NotFoundError: There is none of this name.
    """
    if name not in (known := list_recognizers()):
        raise NotFoundError(name, known, kind="recognizer")
    folder = _packaged() / name
    card = read_front_matter(folder / CARD_FILE)
    ours = card["poseglot"]
    return PackagedRecognizer(
        name=name,
        folder=folder,
        layout=ours["layout"],
        classes=ours["classes"],
        size=(folder / RECOGNIZER_FILE).stat().st_size,
        licence=card["license_name"],
        notice=ours["notice"],
        results=ours["results"],
    )


def is_packaged(path: str | PathLike[str]) -> bool:
    """Tell whether a path lies in the package, where nothing is to be written."""
    return _packaged().resolve() in Path(path).resolve().parents


def find_recognizer(given: str | PathLike[str]) -> Path:
    """Return the folder or file of a recognizer.

    Args:
        given: The folder of a run, a file, the name of a packaged recognizer, or `hf-hub:ORGANISATION/NAME`. A folder or file of the name
            of a packaged recognizer is taken if it is a recognizer. The log says which of the two was taken.

    Returns:
        A path; it need not exist unless a name was given.

    Raises:
        NotFoundError: One word was given that is neither a path nor the name of a packaged recognizer.
        FileError: It is no path, or the download failed.
        MissingPackageError: A download needs huggingface_hub, which is not installed.
    """
    path = as_path(given)
    name = path.as_posix()
    if name.startswith(HUB):
        return download(name.removeprefix(HUB))
    if len(path.parts) != 1:
        return path
    if name not in (known := list_recognizers()):
        if not path.exists() and not path.suffix:
            raise NotFoundError(
                name, known, kind="recognizer", advice="Or give the folder of a run, which does not exist here."
            )
        return path
    if path.is_file() or (path / RECOGNIZER_FILE).exists():
        _say(
            f"{name}: taken from {path.resolve()}, not the packaged recognizer of this name; rename it to use the packaged one."
        )
        return path
    if path.exists():
        _say(f"{name}: the packaged recognizer is taken, since the folder {path.resolve()} holds no {RECOGNIZER_FILE}.")
    found = describe_recognizer(name)
    _say(f"{name}: {found.notice}")
    return found.folder


def recognizer_file(path: str | PathLike[str]) -> Path:
    """Return the recognizer's file of a run folder or of a name that `find_recognizer` knows, or the file itself.

    Raises:
        FileError: The folder holds no recognizer.
        NotFoundError: As `find_recognizer`.
    """
    path = find_recognizer(path)
    if not path.is_dir():
        return path
    file = path / RECOGNIZER_FILE
    if not file.exists():
        raise FileError(
            f"{path} holds no {RECOGNIZER_FILE}; give the folder of a finished run. `poseglot train --resume` finishes a stopped one."
        )
    return file


def pretrained_file(given: str | PathLike[str], *, revision: str | None = None) -> Path:
    """Return the recognizer's file of a path, a name, or a repository of the Hub, which needs no `hf-hub:` here.

    Raises:
        PoseglotError: As `recognizer_file`.
    """
    path = as_path(given)
    name = path.as_posix().removeprefix(HUB)
    is_repository = name != path.as_posix() or (len(path.parts) == 2 and not path.is_absolute() and not path.exists())
    return recognizer_file(download(name, revision=revision) if is_repository else path)


def download(repository: str, *, revision: str | None = None) -> Path:
    """Return the folder of a repository of the Hub, downloaded unless it is in the cache.

    Raises:
        PoseglotError: As `hub.download`.
    """
    return hub.download(repository, FILES, revision=revision)


def push_to_hub(
    folder: str | PathLike[str], repository: str, *, private: bool | None = None, token: str | None = None, message: str = ""
) -> str:
    """Upload a folder that `publish_run` or `save_pretrained` wrote: the recognizer, and what of `FILES` lies beside it.

    Args:
        folder: The folder.
        repository: `organisation/name`; it is made if there is none.
        private: Whether a new repository is private; by default as the organisation has it.
        token: Of huggingface_hub; by default the one that is logged in.
        message: Of the commit.

    Returns:
        The address of the commit.

    Raises:
        FileError: The folder holds no recognizer, or as `hub.upload`.
    """
    path = as_path(folder)
    if not (path / RECOGNIZER_FILE).exists():
        raise FileError(f"{path} holds no {RECOGNIZER_FILE}; expected a folder of `publish_run` or `save_pretrained`.")
    if (path / "log.jsonl").exists():
        raise FileError(
            f"{path} is the folder of a run, whose recipe names paths of this machine. Write it with `publish_run` first."
        )
    message = message or "Upload a recognizer"
    return hub.upload(path, repository, files=FILES, private=private, token=token, message=message)


def read_front_matter(path: Path) -> dict[str, Any]:
    """Return the YAML at the beginning of a model card.

    Raises:
        FileError: The file cannot be read, or does not begin with such YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"could not read {path}: {error}.") from error
    before, _, rest = text.partition("---\n")
    table = parse_yaml(rest.partition("\n---\n")[0], str(path)) if not before else None
    if not isinstance(table, dict):
        raise FileError(f"{path} does not begin with YAML between two lines of ---, as a model card does.")
    return table


def _packaged() -> Path:
    return Path(str(resources.files("poseglot") / "recognizers"))


@cache
def _say(message: str) -> None:
    """Log a message once per process."""
    _LOGGER.warning(message)
