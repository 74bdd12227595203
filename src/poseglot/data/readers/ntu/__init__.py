"""NTU RGB+D 60 and 120 as people download them: `SsssCcccPpppRrrrAaaa.skeleton`, what Kinect v2 tracked in one recording.

The name gives setup, camera, performer, replication and action. `text` reads a file, `preprocessing` makes one or two actors of it,
`names` lists the incomplete recordings, `archive` reads them from zips.
"""

from __future__ import annotations

from pathlib import Path

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.formats import ClipFile, ReadOptions, Recording
from poseglot.data.readers.ntu.names import fields_of
from poseglot.data.readers.ntu.preprocessing import preprocess
from poseglot.data.readers.ntu.text import read_text
from poseglot.errors import FileError
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout

SUFFIX = ".skeleton"


def read_clip(path: Path | str) -> Clip:
    """Read one file and preprocess it as the field does (`preprocessing`).

    Returns:
        A clip with joints (M, T, 25, 3) float32, M = 1 or 2. Label, subject, camera and setup come from the name if it is one of NTU's.

    Raises:
        FileError: There is no such file.
        ClipError: It is not of the format.
    """
    path = Path(path)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise FileError(f"could not read {path}: {error.strerror or error}.") from error
    return parse_clip(text, name=path.stem, origin=str(path))


def parse_clip(text: bytes, *, name: str, origin: str) -> Clip:
    """Parse the content of a file and preprocess it.

    Raises:
        ClipError: It is not of the format, or nobody is in it.
    """
    recording = read_text(text, origin)
    if not any(body.joints.any() for body in recording.bodies):
        raise ClipError("empty", f"{origin}: all joints of all bodies are at the origin, which means that nobody was tracked.")
    return Clip(preprocess(recording), name=name, **fields_of(name))


def recognizes(file: ClipFile) -> bool:
    """Tell whether the file ends in .skeleton."""
    return file.ending == SUFFIX


def read(file: ClipFile, options: ReadOptions) -> Recording:
    """Read a file as `read_clip` does."""
    return Recording(read_clip(file.path), load_layout("ntu25"))
