"""PYSKL's pickles, the form in which skeletons of NTU RGB+D, FineGYM, UCF101, HMDB51 and others are shared (Duan et al., ACM MM 2022).

    split         name -> ids of clips: `xsub_train`, `xsub_val`, ...
    annotations   a list of dicts: `frame_dir` (the id), `label`, `total_frames`, `keypoint` (M, T, V, C) of any float dtype,
                  `keypoint_score` (M, T, V) for what a pose estimator saw; `img_shape` and `original_shape` are not needed

In 2D the joints are in pixels. Reading goes through `unpickle`, which executes nothing. `write_pyskl` gives a store out in this form.
"""

from __future__ import annotations

import contextlib
import pickle
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from poseglot.data.benchmarks import Benchmark, SplitRule, load_benchmark
from poseglot.data.manifest import MOST_CLASSES, class_names, clip_joints, clip_or_fault, same_channels, spread
from poseglot.data.quality.issues import ClipError, ClipIssue, Kind
from poseglot.data.readers.ntu.names import fields_of
from poseglot.data.readers.source import Source
from poseglot.data.readers.unpickle import PickledArray, load_plain
from poseglot.data.splits import Member, by_names, custom_split
from poseglot.errors import PoseglotError
from poseglot.files import file_written_atomically
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import Layout, load_layout

if TYPE_CHECKING:
    from poseglot.data.store import PackedStore

# The layouts of what PYSKL itself shares, by joints and axes.
_LAYOUTS = {(17, 2): "coco17", (25, 3): "ntu25"}
_SIDE = re.compile(r"(?:(?P<name>.+)_)?(?P<side>train|val|test)(?P<number>\d*)")


def read_source(
    sources: Sequence[Path], *, name: str, layout: Layout | None = None, classes: Sequence[str] | None = None
) -> Source:
    """The clips of a pickle, with its splits.

    `NAME_train` and `NAME_test` (or `NAME_val`) become the split NAME; `train` and `val` alone `as-given`; `train1` and `test1`
    `as-given-1`. A pickle without such a pair is split as in `own_split`. Clips named as NTU RGB+D names them tell subject, camera and
    setup. People who are zero throughout are dropped.

    Args:
        sources: the file.
        name: of the data set.
        layout: of the joints; not needed for COCO's 17 joints in 2D and Kinect v2's 25 in 3D.
        classes: their names in the order of the labels; by default those of NTU RGB+D where all clips are named and labelled so, else
            "class i".

    Raises:
        PoseglotError: not there, not a whole pickle, one that asks for more than data, not of this form, or of unknown joints.
    """
    path = sources[0]
    annotations, splits = _opened(path)
    listed = [_listed(annotation) for annotation in annotations]
    labels = {clip: label for clip, label in listed if clip and label >= 0}
    if not labels:
        raise PoseglotError(f"{path}: no annotation has a `frame_dir` (text) and a `label` (a number from 0 on).")
    joints, channels, has_scores = _form(annotations, path)
    layout = _layout(layout, joints, channels - has_scores, path)
    rules, expected, how = _splits(splits, labels)
    benchmark = Benchmark(
        name=name,
        layout=layout.name,
        pipeline="metric" if channels - has_scores == 3 else "image",
        classes=_classes(labels, classes, path),
        splits=rules,
        expected=expected,
    )
    described = {"file": path.name, "form": "PYSKL", "split": how}
    return Source(benchmark, layout, has_scores, _clips(annotations, listed, path, layout, channels, has_scores), described)


def write_pyskl(store: PackedStore, path: Path) -> None:
    """Write a store as such a pickle, which PYSKL and any Python from 3.4 on reads; clip by clip, so that it may be larger than memory.

    Scores become `keypoint_score`; the sides of a split NAME become `NAME_train` and `NAME_val`. Subjects, cameras and class names have
    no place in the form and are left out.

    Raises:
        PoseglotError: the disk refused; `path` is as it was before.
    """
    split = {
        f"{name}_{ending}": [str(clip) for clip in store.clips["name"][store.subset_mask(name, subset)]]
        for name, subsets in store.info.splits.items()
        for subset, ending in (("train", "train"), ("test", "val"))
        if subset in subsets
    }
    with file_written_atomically(path) as file:
        # A pickle of protocol 4, put together from pieces that are pickles of their own: a dictionary of two items, the second of
        # which is a list that grows by a clip at a time.
        file.write(pickle.PROTO + bytes([4]) + pickle.EMPTY_DICT + pickle.MARK)
        file.write(_piece("split") + _piece(split) + _piece("annotations") + pickle.EMPTY_LIST)
        for place in range(len(store)):
            file.write(_piece(_annotation(store[place])) + pickle.APPEND)
        file.write(pickle.SETITEMS + pickle.STOP)


def _annotation(clip: Clip) -> dict[str, Any]:
    axes = clip.joints.shape[-1] - clip.has_scores
    return {
        "keypoint": np.ascontiguousarray(clip.joints[..., :axes], dtype="<f4"),
        **({"keypoint_score": np.ascontiguousarray(clip.joints[..., axes], dtype="<f4")} if clip.has_scores else {}),
        "frame_dir": clip.name,
        "label": clip.label,
        "total_frames": clip.joints.shape[1],
    }


def _piece(thing: Any) -> bytes:
    """A pickle without its first and last opcode. Protocol 3 numbers what it remembers, so a piece can stand anywhere in another pickle.

    numpy 2 names a module of its own that older ones lack; both know the old name. It comes before any array's bytes, and once.
    """
    return pickle.dumps(thing, protocol=3)[2:-1].replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n", 1)


def _opened(path: Path) -> tuple[list[Any], Mapping[Any, Any]]:
    """Annotations and splits."""
    table = load_plain(path)
    if isinstance(table, list):  # an older form: the annotations alone
        table = {"annotations": table}
    annotations, splits = (table.get("annotations"), table.get("split", {})) if isinstance(table, dict) else (None, {})
    if not isinstance(annotations, list) or not isinstance(splits, dict) or not annotations:
        raise PoseglotError(f"{path} is not a pickle of PYSKL: expected a dictionary with `annotations` (a list) and `split`.")
    return annotations, splits


def _listed(annotation: Any) -> tuple[str, int]:
    """Name and label; "" and -1 where they are not given."""
    if not isinstance(annotation, dict):
        return "", -1
    name, label = annotation.get("frame_dir"), annotation.get("label")
    return (name if isinstance(name, str) else ""), (label if type(label) is int and 0 <= label < MOST_CLASSES else -1)


def _form(annotations: Sequence[Any], path: Path) -> tuple[int, int, bool]:
    """How many joints and channels most clips have, and whether the last channel is a score; by some that lie all over the set."""
    found: Counter[tuple[int, int, bool]] = Counter()
    for annotation in spread(annotations):
        with contextlib.suppress(ClipError):
            joints, has_scores = _joints(annotation)
            if joints.ndim in (3, 4):
                found[joints.shape[-2], joints.shape[-1], has_scores] += 1
    if not found:
        raise PoseglotError(
            f"{path}: no annotation has a `keypoint` of shape (people, frames, joints, coordinates). (PYSKL's files of Kinetics only "
            "point to others, and cannot be read.)"
        )
    return found.most_common(1)[0][0]


def _layout(layout: Layout | None, joints: int, axes: int, path: Path) -> Layout:
    if layout is None and (joints, axes) not in _LAYOUTS:
        raise PoseglotError(f"{path} has {joints} joints with {axes} coordinates; name the layout that they are in.")
    layout = layout or load_layout(_LAYOUTS[joints, axes])
    if len(layout) != joints:
        raise PoseglotError(f"{path} has {joints} joints, but the layout {layout.name} has {len(layout)}.")
    return layout


def _classes(labels: Mapping[str, int], classes: Sequence[str] | None, path: Path) -> tuple[str, ...]:
    count = max(labels.values()) + 1
    if classes is not None:
        if len(classes) < count:
            raise PoseglotError(f"{path} has labels up to {count - 1}, but there are only {len(classes)} class names.")
        return tuple(classes)
    if count <= 120 and all(fields_of(name).get("label") == label for name, label in labels.items()):
        return load_benchmark("ntu60" if count <= 60 else "ntu120").classes
    return class_names(count)


def _splits(splits: Mapping[Any, Any], labels: Mapping[str, int]) -> tuple[dict[str, SplitRule], dict[str, int], str]:
    """The splits' rules, the sizes of the first one's sides, and what they are in words."""
    subsets: dict[str, dict[str, list[str]]] = {}
    for key, clips in splits.items():
        match = _SIDE.fullmatch(key) if isinstance(key, str) else None
        if match is not None and isinstance(clips, list):
            name = "-".join(filter(None, [match["name"] or "as-given", match["number"]]))
            subsets.setdefault(name, {})[match["side"]] = [clip for clip in clips if isinstance(clip, str)]
    pairs = {
        name: (found["train"], found["test" if "test" in found else "val"])
        for name, found in subsets.items()
        if "train" in found and ("test" in found or "val" in found)
    }
    if not pairs:
        members = [Member(name, label, fields_of(name).get("subject", 0)) for name, label in labels.items()]
        own = custom_split(members)
        return {own.name: own.rule}, own.counts, f"{own.name}: {own.how}"
    train, test = next(iter(pairs.values()))
    rules = {name: by_names(*pair) for name, pair in pairs.items()}
    return rules, {"train": len(set(train)), "test": len(set(test))}, f"as the file gives them: {', '.join(map(str, splits))}"


def _clips(
    annotations: Sequence[Any],
    listed: Sequence[tuple[str, int]],
    path: Path,
    layout: Layout,
    channels: int,
    has_scores: bool,
) -> Iterator[Clip | ClipIssue]:
    seen: set[str] = set()
    for number, (annotation, (name, label)) in enumerate(zip(annotations, listed, strict=True)):
        origin = f"{path}, annotation {number}"
        if name and name in seen:
            yield ClipIssue(
                name, str(path), "duplicate", f"{origin}: an annotation before it has the same `frame_dir`, {name}."
            )
        else:
            seen.add(name)
            read = partial(_clip, annotation, name, label, origin, layout, channels, has_scores)
            yield clip_or_fault(read, name=name or f"annotation {number}", origin=str(path))


def _clip(annotation: Any, name: str, label: int, origin: str, layout: Layout, channels: int, has_scores: bool) -> Clip:
    if not name or label < 0:
        raise ClipError("malformed", f"{origin}: expected a `frame_dir` (text) and a `label` (a number from 0 on).")
    joints, own_score = _joints(annotation, origin)
    if own_score != has_scores:
        raise ClipError("malformed", f"{origin}: {'a' if own_score else 'no'} `keypoint_score`, other than most clips.")
    checked = clip_joints(joints, joint_count=len(layout), has_scores=has_scores, origin=origin)
    same_channels(checked, channels, origin)
    frames = annotation.get("total_frames", checked.shape[1])
    if frames != checked.shape[1]:
        kind: Kind = "cut short" if isinstance(frames, int) and frames > checked.shape[1] else "malformed"
        raise ClipError(kind, f"{origin}: {checked.shape[1]} frames of joints, but `total_frames` is {frames!r:.40}.")
    there = checked[..., : channels - has_scores].any(axis=(1, 2, 3))
    if not there.any():
        raise ClipError("empty", f"{origin}: every joint is zero.")
    fields = fields_of(name)
    people = {"subject": fields.get("subject", 0), "camera": fields.get("camera", 0), "setup": fields.get("setup", 0)}
    return Clip(checked[there], name=name, label=label, has_scores=has_scores, **people)


def _joints(annotation: Any, origin: str = "") -> tuple[npt.NDArray[Any], bool]:
    """The channels of an annotation, and whether the last one is a score.

    Raises:
        ClipError: no arrays there, or they do not fit together.
    """
    keypoint, score = (annotation.get(key) if isinstance(annotation, dict) else None for key in ("keypoint", "keypoint_score"))
    if not isinstance(keypoint, PickledArray) or not (score is None or isinstance(score, PickledArray)):
        raise ClipError(
            "malformed", f"{origin}: expected a `keypoint` that is an array (and no `keypoint_score` that is none)."
        )
    try:
        joints = keypoint.array()
        if score is None:
            return joints, False
        scores = score.array()
    except PoseglotError as error:
        raise ClipError("malformed", f"{origin}: {error}") from error
    if scores.shape != joints.shape[:-1]:
        raise ClipError(
            "malformed", f"{origin}: `keypoint_score` has shape {scores.shape} beside a `keypoint` of {joints.shape}."
        )
    # numpy joins float16 and int64 as float64; whatever comes out, check_joints makes float32 of it.
    return np.concatenate([joints, scores[..., None]], axis=-1), True
