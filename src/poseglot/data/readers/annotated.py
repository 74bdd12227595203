"""Long recordings with an annotation beside each: every segment is cut out as a clip.

`kitchen.npy` is annotated by one of `kitchen.eaf` (ELAN), `kitchen.vtt` (WebVTT), `kitchen.segments.csv` (also BORIS's) and
`kitchen.segments.json`. An annotator's times are seconds, so frames per second must be known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from poseglot.data.manifest import Entry
from poseglot.data.quality.issues import ClipError
from poseglot.data.segments import UNKNOWN, Segment, read_segments
from poseglot.data.tracking import person_tracks, stack_tracks
from poseglot.errors import InputError, SettingError
from poseglot.skeletons.clip import Joints


@dataclass(frozen=True, kw_only=True)
class SegmentEntry(Entry):
    """A part of a recording, listed but not read.

    Attributes:
        segment: The part.
    """

    segment: Segment


ENDINGS = (".eaf", ".vtt", ".segments.csv", ".segments.json")
TOLERANCE = 1.0  # seconds by which a segment may end behind its recording, as annotators' video players do


def is_annotation(path: Path) -> bool:
    """Tell by its name whether a file annotates a recording."""
    return path.name.lower().endswith(ENDINGS) and not path.name.startswith(".")


def find_annotations(files: Iterable[Path]) -> dict[Path, Path]:
    """Return the annotations among some files: recording's path without ending -> annotation.

    Raises:
        InputError: Two annotate one recording.
    """
    found: dict[Path, list[Path]] = {}
    for path in sorted(filter(is_annotation, files)):
        ending = next(ending for ending in ENDINGS if path.name.lower().endswith(ending))
        found.setdefault(path.with_name(path.name[: -len(ending)]), []).append(path)
    for paths in found.values():
        if len(paths) > 1:
            raise InputError(
                f"{paths[0].parent} holds {' and '.join(path.name for path in paths)}, which annotate one recording; keep one of them."
            )
    return {stem: path for stem, (path,) in found.items()}


def entries_of(recording: Entry, annotation: Path) -> list[SegmentEntry]:
    """Return an entry for each segment of a recording whose action is not `unknown`.

    People are rarely known of recordings. Without a `subject` the recording counts as one, so that no recording is in both subsets.

    Raises:
        FileError: The annotation cannot be read.
    """
    subject = recording.subject or f"recording {recording.name}"
    entries = []
    for segment in read_segments(annotation):
        action = " ".join(segment.action.split())
        if action.casefold() != UNKNOWN:
            who = f"p{segment.person}" if segment.person else "all"
            name = f"{recording.name}/{who}_{segment.start:.2f}-{segment.end:.2f}"
            fields = {**vars(recording), "name": name, "label": action, "subject": subject}
            entries.append(SegmentEntry(**fields, segment=segment))
    again = Counter(entry.name for entry in entries)
    numbers: Counter[str] = Counter()
    for place, entry in enumerate(entries):  # two actions at the same time
        numbers[entry.name] += 1
        if again[entry.name] > 1:
            entries[place] = replace(entry, name=f"{entry.name}_{numbers[entry.name]}")
    return entries


class SegmentReader:
    """Reads the clips of entries. A recording is read once for all of its segments, which follow one another.

    Args:
        read: Reads the joints (M, T, V, C) of a file.
        fps: The frames per second of recordings.
        has_scores: Whether the last channel is the confidence in each joint.
    """

    def __init__(self, read: Callable[[Path], Joints], *, fps: float | None, has_scores: bool) -> None:
        self._read, self._fps, self._has_scores = read, fps, has_scores
        self._last: tuple[str, Joints, list[Joints]] | None = None

    def __call__(self, entry: Entry) -> Joints:
        """Return the joints of an entry.

        Raises:
            SettingError: It is a segment, and the frames per second are not known.
            ClipError: The segment is not in the recording.
            PoseglotError: As `read`.
        """
        if not isinstance(entry, SegmentEntry):
            return self._read(Path(entry.origin))
        fps = require_fps(self._fps)
        if self._last is None or self._last[0] != entry.origin:
            joints = self._read(Path(entry.origin))
            self._last = entry.origin, joints, _people(joints, fps, has_scores=self._has_scores)
        return _cut(*self._last[1:], entry.segment, fps, entry.origin)


def require_fps(fps: float | None) -> float:
    """Return the frames per second of annotated recordings.

    Raises:
        SettingError: They are not known, or none that can be.
    """
    if fps is None:
        raise SettingError("annotated recordings need their frames per second, because annotations are in seconds: --fps 30.")
    if not 0 < fps < 1e5:
        raise SettingError(f"frames per second are above 0, not {fps}.")
    return fps


def _people(joints: Joints, fps: float, *, has_scores: bool) -> list[Joints]:
    """Return everybody in a recording (1, T, V, C), zero while absent, numbered as `poseglot segment` does."""
    if len(joints) == 1:
        return [joints]
    tracks = person_tracks(joints, fps=fps, has_scores=has_scores)
    return [stack_tracks([track], joints.shape[1]) for track in tracks]


def _cut(joints: Joints, people: list[Joints], segment: Segment, fps: float, origin: str) -> Joints:
    """Return the joints of a segment; of everybody where it names nobody."""
    frames = joints.shape[1]
    if segment.end > frames / fps + TOLERANCE:
        raise ClipError(
            "malformed",
            f"{origin}: {segment.action!r} ends at {segment.end:.2f} s, behind the {frames / fps:.2f} s of the recording at {fps:g} frames "
            "per second; check both, and --fps.",
        )
    everybody = segment.person == 0 or len(joints) == 1
    if not everybody and segment.person > len(people):
        raise ClipError("malformed", f"{origin}: the annotation has person {segment.person}, but {len(people)} are seen.")
    of = joints if everybody else people[segment.person - 1]
    first, last = (min(round(seconds * fps), frames) for seconds in (segment.start, segment.end))
    if last - first < 2:
        raise ClipError("empty", f"{origin}: {segment.action!r} at {segment.start:.2f} s has fewer than two frames.")
    cut = of[:, first:last]
    seen = int((cut != 0).any(axis=(0, 2, 3)).sum())
    if not everybody and 2 * seen < last - first:
        raise ClipError(
            "empty",
            f"{origin}: person {segment.person} is seen in {seen} of the {last - first} frames of {segment.action!r} at "
            f"{segment.start:.2f} s; whoever comes back after half a second counts as another person.",
        )
    return cut
