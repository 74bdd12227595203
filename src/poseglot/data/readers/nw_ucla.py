"""NW-UCLA as people download it: `all_sqe.zip`, or the folder in it, of JSON files `aXX_sYY_eZZ_vNN.json`.

A file is a clip: `file_name`, `skeletons` (T x 20 x 3, Kinect v1 joints in metres, camera space) and `label` (1..10). Action numbers 1-6,
8, 9, 11 and 12 in the names are labels 1..10 in that order. v01 and v02 are for training, v03 is the test view.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from poseglot.data.manifest import clip_joints, clip_or_issue
from poseglot.data.quality.issues import ClipError, ClipIssue
from poseglot.data.readers.formats import ClipFile, ReadOptions, Recording, parse_json
from poseglot.errors import FileError
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout
from poseglot.zips import open_zip

JOINTS = 20
_NAME = re.compile(r"a(?P<action>\d\d)_s(?P<subject>\d\d)_e(?P<take>\d\d)_v(?P<view>\d\d)")
_ACTIONS = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12)


def read_source(source: Path) -> Iterator[Clip | ClipIssue]:
    """Yield every clip of the zip or folder, ordered by name, or the issue with it.

    Raises:
        FileError: The source is missing, not a zip, cut short, or without clips.
    """
    found = False
    for origin, stem, content in _files(source):
        found = True
        yield clip_or_issue(partial(_named_clip, content, origin, stem), name=stem, origin=origin)
    if not found:
        raise FileError(f"{source} holds no file named like a01_s01_e00_v01.json; is it NW-UCLA's all_sqe.zip?")


def recognizes_clip(file: ClipFile) -> bool:
    """Tell whether the file is JSON with a key `skeletons`."""
    return isinstance(file.json, dict) and "skeletons" in file.json


def read_clip(file: ClipFile, options: ReadOptions) -> Recording:
    """Read a file in NW-UCLA's JSON form, whatever its name and its number of joints.

    Raises:
        ClipError: It is not JSON, not of that form, or not a valid clip.
    """
    clip = parse_clip(file.content, origin=file.origin)
    return Recording(clip, load_layout("kinect20") if clip.joints.shape[2] == JOINTS else None)


def parse_clip(content: bytes, *, origin: str, joint_count: int | None = None) -> Clip:
    """Parse the content of a file in NW-UCLA's JSON form.

    Raises:
        ClipError: It is not JSON, not of that form, or not a valid clip.
    """
    table: Any = parse_json(content.decode("utf-8-sig", "replace"), origin)
    if not isinstance(table, dict) or "skeletons" not in table:
        raise ClipError(
            "malformed",
            f'{origin} is not a clip: expected an object with "skeletons" (frames x joints x 3) and no such key is there.',
        )
    joints = clip_joints(table["skeletons"], joint_count=joint_count, origin=origin)
    label = table.get("label")
    name = table.get("file_name")
    return Clip(
        joints,
        name=name if isinstance(name, str) and name else Path(origin).stem,
        label=label - 1 if isinstance(label, int) and not isinstance(label, bool) and label > 0 else -1,
    )


def _named_clip(content: bytes, origin: str, stem: str) -> Clip:
    """Parse a clip of the data set itself, whose label must fit its name."""
    match = _NAME.fullmatch(stem)
    assert match is not None
    clip = parse_clip(content, origin=origin, joint_count=JOINTS)
    action = int(match["action"])
    if action not in _ACTIONS or clip.label != _ACTIONS.index(action):
        raise ClipError("malformed", f"{origin}: label {clip.label + 1} in the file does not fit action {action} in its name.")
    return Clip(clip.joints, name=stem, label=clip.label, subject=int(match["subject"]), camera=int(match["view"]))


def _files(source: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield (origin, name without ending, content) of every file named like a clip, in a folder or a zip, which is not unpacked."""
    try:
        if source.is_dir():
            for path in sorted(source.rglob("*.json"), key=lambda path: path.name):
                if _NAME.fullmatch(path.stem):
                    yield str(path), path.stem, path.read_bytes()
            return
        with open_zip(source) as archive:
            names = [
                name for name in archive.namelist() if name.endswith(".json") and _NAME.fullmatch(PurePosixPath(name).stem)
            ]
            for name in sorted(names, key=lambda name: PurePosixPath(name).name):
                yield f"{source}:{name}", PurePosixPath(name).stem, archive.read(name)
    except FileNotFoundError as error:
        raise FileError(f"{source} does not exist; --source takes NW-UCLA's all_sqe.zip or the folder in it.") from error
    except zipfile.BadZipFile as error:
        raise FileError(
            f"{source} is not a whole zip file ({error}); the download may have been cut short. Fetch it again."
        ) from error
    except (zlib.error, EOFError, UnicodeDecodeError) as error:
        raise FileError(f"{source} is damaged ({type(error).__name__}: {error}). Fetch it again.") from error
    except (OSError, RuntimeError) as error:  # zipfile raises RuntimeError for encrypted files and unknown methods
        raise FileError(f"could not read {source}: {error}.") from error
