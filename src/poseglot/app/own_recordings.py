"""Annotated recordings of a user's own, as `poseglot train-segmenter` learns from: pose files, and what was done in them beside."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from poseglot.errors import InputError, NotFoundError
from poseglot.evaluation.segments import BACKGROUND
from poseglot.inference.predictor import Predictor
from poseglot.inference.segmentation import SegmentConfig, default_people, find_stretches
from poseglot.inference.segments import UNKNOWN, Segment, read_segments
from poseglot.training.recordings import Recording

ENDINGS = (".eaf", ".vtt", ".segments.csv", ".segments.json")


def read_annotated(folder: str | Path, predictor: Predictor, *, fps: float) -> list[Recording]:
    """Read every recording of a folder that has an annotation beside it: `walk.npy` and `walk.eaf`, one for each person.

    Args:
        folder: The folder. An annotation has the name of its recording and one of `ENDINGS`.
        predictor: The recognizer, in whose joints recordings are read.
        fps: Frames per second of files that do not state them.

    Raises:
        PoseglotError: There is no annotation, one lacks its recording, names an action that the recognizer does not know or a person who
            is not seen, or a file is not acceptable.
    """
    files = sorted(path for path in Path(folder).iterdir() if path.is_file()) if Path(folder).is_dir() else []
    annotations = {
        path: path.name[: -len(ending)] for path in files for ending in ENDINGS if path.name.lower().endswith(ending)
    }
    if not annotations:
        raise InputError(f"{folder} holds no annotation; name it as its recording, with the ending {', '.join(ENDINGS)}.")
    made: list[Recording] = []
    for annotation, stem in annotations.items():
        recordings = [path for path in files if path not in annotations and path.stem == stem]
        if len(recordings) != 1:
            raise InputError(f"{annotation} needs one recording named {stem} beside it, not {len(recordings)}.")
        made += _recordings(recordings[0], annotation, predictor, fps)
    return made


def _recordings(path: Path, annotation: Path, predictor: Predictor, fps: float) -> list[Recording]:
    """Return a recording for each person of a file, or for each stretch where people are recognised together."""
    loaded, people, segments = predictor.read(path), default_people(predictor), read_segments(annotation)
    fps = loaded.fps or fps
    stretches = find_stretches(predictor, loaded.clip.joints, fps=fps, config=SegmentConfig(), people=people)
    if people == "each" and (unseen := {segment.person for segment in segments} - set(range(len(stretches) + 1))):
        raise InputError(
            f"{annotation} has person {max(unseen)}, but {len(stretches)} are seen in {path}; they count as they appear."
        )
    made = []
    for number, (first, joints) in enumerate(stretches, start=1):
        own = [segment for segment in segments if people == "together" or segment.person in (0, number)]
        made.append(Recording(joints, _labels(own, predictor.classes, first, joints.shape[1], fps, annotation), fps))
    return made


def _labels(
    segments: list[Segment], classes: tuple[str, ...], first: int, frames: int, fps: float, origin: Path
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the label of each frame (T,) of a stretch that begins with frame `first`."""
    labels = np.full(frames, BACKGROUND, dtype=np.int64)
    for segment in segments:
        if segment.action not in (*classes, UNKNOWN):
            raise InputError(f"{origin}: {NotFoundError(segment.action, classes, kind='action')}")
        start, end = (max(0, round(seconds * fps) - first) for seconds in (segment.start, segment.end))
        labels[start:end] = BACKGROUND if segment.action == UNKNOWN else classes.index(segment.action)
    return labels
