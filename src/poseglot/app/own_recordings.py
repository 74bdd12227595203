"""Annotated recordings of a user's own, as `poseglot train-segmenter` learns from: pose files, and what was done in them beside."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from poseglot.data.readers.annotated import ENDINGS, TOLERANCE, find_annotations, is_annotation
from poseglot.data.segments import UNKNOWN, Segment, read_segments
from poseglot.errors import InputError, NotFoundError, as_known
from poseglot.evaluation.segments import BACKGROUND
from poseglot.inference.predictor import Predictor
from poseglot.inference.segment_scores import joints_hash
from poseglot.inference.segmentation import SegmentConfig, default_people, find_stretches
from poseglot.training.recordings import Recording

_LOGGER = logging.getLogger("poseglot.app")


def read_annotated(folder: str | Path, predictor: Predictor, *, fps: float, layout: str | None = None) -> list[Recording]:
    """Read every recording of a folder that has an annotation beside it: `walk.npy` and `walk.eaf`, one for each person.

    Args:
        folder: The folder. An annotation has the name of its recording and one of `ENDINGS`.
        predictor: The recognizer, in whose joints recordings are read.
        fps: Frames per second of files that do not state them.
        layout: The layout of the files, if it is not the recognizer's.

    Raises:
        PoseglotError: There is no annotation, one lacks its recording or is one of several of it, names an action that the recognizer
            does not know or a person who is not seen then, ends behind the recording, or contradicts itself, or a file is not acceptable.
    """
    files = sorted(path for path in Path(folder).iterdir() if path.is_file()) if Path(folder).is_dir() else []
    annotations = find_annotations(files)
    if not annotations:
        raise InputError(f"{folder} holds no annotation; name it as its recording, with the ending {', '.join(ENDINGS)}.")
    made: list[Recording] = []
    for stem, annotation in annotations.items():
        recordings = [path for path in files if not is_annotation(path) and path.stem == stem.name]
        if len(recordings) != 1:
            raise InputError(f"{annotation} needs one recording named {stem.name} beside it, not {len(recordings)}.")
        made += _recordings(recordings[0], annotation, predictor, fps, layout)
    return made


def _recordings(path: Path, annotation: Path, predictor: Predictor, fps: float, layout: str | None) -> list[Recording]:
    """Return a recording for each person of a file, or for each stretch where people are recognised together."""
    loaded, people = predictor.read(path, layout=layout), default_people(predictor)
    segments = [replace(segment, action=as_known(segment.action, predictor.classes)) for segment in read_segments(annotation)]
    for sentence in loaded.warnings.values():
        _LOGGER.warning("%s: %s", path, sentence)
    fps = loaded.fps or fps
    stretches = find_stretches(predictor, loaded.clip.joints, fps=fps, config=SegmentConfig(), people=people)
    if people == "each" and (unseen := {segment.person for segment in segments} - set(range(len(stretches) + 1))):
        raise InputError(
            f"{annotation} has person {max(unseen)}, but {len(stretches)} are seen in {path}; they count as they appear."
        )
    seconds = loaded.clip.joints.shape[1] / fps
    if late := [segment for segment in segments if segment.end > seconds + TOLERANCE]:
        raise InputError(
            f"{annotation}: {_named(late[0])} ends behind the {seconds:.2f} s of {path} at {fps:g} frames per second; "
            "check both, and --recordings-fps."
        )
    made, used, source = [], set(), joints_hash(loaded.clip.joints)
    for number, (first, joints) in enumerate(stretches, start=1):
        own = [segment for segment in segments if people == "together" or segment.person in (0, number)]
        used |= {segment for segment in own if _frames(segment, first, joints.shape[1], fps)}
        labels = _labels(own, predictor.classes, first, joints.shape[1], fps, annotation)
        made.append(Recording(joints, labels, fps, source))
    if unused := [segment for segment in segments if segment not in used]:
        raise InputError(f"{annotation}: nobody whom {_named(unused[0])} is about is seen in {path} then.")
    return made


def _named(segment: Segment) -> str:
    return f"{segment.action!r} from {segment.start:.2f} to {segment.end:.2f} s"


def _frames(segment: Segment, first: int, frames: int, fps: float) -> range:
    """Return the frames of a segment in a stretch of `frames` frames that begins with frame `first`."""
    start, end = (min(max(0, round(seconds * fps) - first), frames) for seconds in (segment.start, segment.end))
    return range(start, end)


def _labels(
    segments: list[Segment], classes: tuple[str, ...], first: int, frames: int, fps: float, origin: Path
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the label of each frame (T,) of a stretch that begins with frame `first`."""
    labels = np.full(frames, BACKGROUND, dtype=np.int64)
    owners = np.full(frames, -1)
    for number, segment in enumerate(segments):
        if segment.action not in (*classes, UNKNOWN):
            raise InputError(f"{origin}: {NotFoundError(segment.action, classes, kind='action')}")
        own = _frames(segment, first, frames, fps)
        place = slice(own.start, own.stop)
        for owner in np.unique(owners[place]).tolist():
            if owner >= 0 and segments[owner].action != segment.action:
                raise InputError(
                    f"{origin}: {_named(segments[owner])} and {_named(segment)} overlap; at any time there is one action."
                )
        owners[place] = number
        labels[place] = BACKGROUND if segment.action == UNKNOWN else classes.index(segment.action)
    return labels
