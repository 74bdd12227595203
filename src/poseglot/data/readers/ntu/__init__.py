"""NTU RGB+D 60 and 120 as people download them: `SsssCcccPpppRrrrAaaa.skeleton`, what Kinect v2 tracked in one recording.

The name says setup, camera, performer, replication and action. `text` reads a file, `chain` makes one or two actors of it, `names`
knows which recordings are incomplete.
"""

from __future__ import annotations

from pathlib import Path

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.ntu.names import fields_of
from poseglot.data.readers.ntu.preprocessing import preprocess
from poseglot.data.readers.ntu.text import read_text
from poseglot.errors import PoseglotError
from poseglot.skeletons.clip import Clip

SUFFIX = ".skeleton"


def read_clip(path: Path | str) -> Clip:
    """One file after the whole chain.

    Returns:
        A clip with joints (M, T, 25, 3) float32, M = 1 or 2; label, subject, camera and setup from the name, as far as it is one of
        NTU's.

    Raises:
        PoseglotError: not there, or not of the format.
    """
    path = Path(path)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise PoseglotError(f"could not read {path}: {error.strerror or error}.") from error
    return parse_clip(text, name=path.stem, origin=str(path))


def parse_clip(text: bytes, *, name: str, origin: str) -> Clip:
    """A clip from the content of a file; `name` as in `read_clip`.

    Raises:
        ClipError: not of the format, or nobody is in it.
    """
    recording = read_text(text, origin)
    if not any(body.joints.any() for body in recording.bodies):
        raise ClipError("empty", f"{origin}: all joints of all bodies are at the sensor's own place, that is nowhere.")
    return Clip(preprocess(recording), name=name, **fields_of(name))
