"""How the clips of a data set were read from their files: what a recognizer remembers, so that prediction reads alike.

`prepare` notes it in the store (`source["reading"]`), training passes it on to the recognizer, and prediction applies it to files of the
same format. Files of other formats are read as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from poseglot.data.readers.formats import READERS, ClipFile, ReadOptions, parse_columns
from poseglot.errors import NotFoundError, SettingError
from poseglot.skeletons.clip import Joints

if TYPE_CHECKING:
    from poseglot.data.readers.poses import Poses

# What is remembered besides the format. Whether joints have scores is part of the recognizer.
OPTIONS = ("dim_order", "skip", "columns", "scale", "up", "variable")
# The reader of single files of a set's format, where its name is another.
_READER_OF = {"csv": "long-csv"}


@dataclass(frozen=True)
class Reading:
    """How files are read.

    Attributes:
        remembered: How the training clips were read: `format` and some of `OPTIONS`. Used for files of that format.
        given: The same, said for prediction, and `has_scores`: the last number of a joint is its confidence. It comes first, for files
            of all formats; None stands for the default.
    """

    remembered: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.given:
            if name not in (known := (*OPTIONS, "has_scores", "format")):
                raise NotFoundError(name, known, kind="option of reading")
        if (format := self.given.get("format")) is not None and format not in READERS:
            raise NotFoundError(format, READERS, kind="format of single files")
        self._options(self.given)  # refuses values that are not valid

    def of(self, file: ClipFile) -> tuple[str | None, ReadOptions]:
        """Return the format that a file is read as (None: by content), and the options, without layout and scores."""
        if (format := self.given.get("format")) is None:
            format = self._trained
            if not _takes(format, file):
                return None, self._options(self.given)
        return format, self.options(format)

    def options(self, format: str) -> ReadOptions:
        """Return the options for files of a format, without layout and scores."""
        return self._options({**(self.remembered if format == self._trained else {}), **self.given})

    def joints_of_poses(self, poses: Poses, *, num_dims: int | None, has_scores: bool, origin: str) -> Joints:
        """Return the joints (M, T, V, C) of estimated poses, in the units in which they are read."""
        joints = poses.joints(num_dims=num_dims, has_scores=has_scores)
        return self.options("poses").in_units(joints, has_scores=has_scores, origin=origin)

    @property
    def _trained(self) -> str:
        """The reader of the training clips; empty if it is not known."""
        format = str(self.remembered.get("format", ""))
        return _READER_OF.get(format, format)

    def table(self) -> dict[str, Any]:
        """Return what was given as plain data."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self.given.items()}

    @staticmethod
    def _options(said: Mapping[str, Any]) -> ReadOptions:
        said = {name: value for name, value in said.items() if name in (*OPTIONS, "has_scores") and value is not None}
        if "columns" in said:
            said["columns"] = as_columns(said["columns"])
        return ReadOptions(**said)


def _takes(format: str, file: ClipFile) -> bool:
    """Tell whether the reader of that name, if there is one, takes a file."""
    if format not in READERS:
        return False
    reader = READERS[format]
    return file.ending in reader.endings and (not file.frames or reader.frames) and bool(reader.recognizes(file))


def as_columns(given: Any) -> tuple[int, ...]:
    """Return columns, counted from 1, of text such as `1-3` or of a sequence of numbers.

    Raises:
        SettingError: It is neither.
    """
    if isinstance(given, str):
        return parse_columns(given)
    try:
        columns = tuple(given)
    except TypeError:
        columns = ()
    if not columns or any(type(column) is not int or column < 1 for column in columns) or len(set(columns)) < len(columns):
        raise SettingError(f"columns {given!r} are not valid; they are counted from 1, each named once: (1, 2, 3) or '1-3'.")
    return columns


def reading_of(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a store's clips were read, as its `source` says it; empty if it does not."""
    reading = source.get("reading")
    if not isinstance(reading, Mapping):
        return {}
    said = {name: value for name, value in reading.items() if name in OPTIONS}
    return {"format": source["format"], **said} if isinstance(source.get("format"), str) else said
