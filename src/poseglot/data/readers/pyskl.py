"""PYSKL's pickles, the form in which skeletons of NTU RGB+D, FineGYM, UCF101, HMDB51 and others are shared (Duan et al., ACM MM 2022).

    split         name -> ids of clips: `xsub_train`, `xsub_val`, ...; any sequence or set of ids, or of indices of annotations
    annotations   a list of dicts: `frame_dir` (the id), `label`, `total_frames`, `keypoint` (M, T, V, C) of any float dtype,
                  `keypoint_score` (M, T, V) or (M, T, V, 1) for what a pose estimator saw; `img_shape` and others are ignored

In 2D the joints are in pixels. Reading goes through `unpickle`, which executes nothing. `write_pyskl` exports a store in this form.
"""

from __future__ import annotations

import contextlib
import pickle
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poseglot.data.benchmarks import Benchmark, SplitRule, load_benchmark
from poseglot.data.manifest import MAX_CLASSES, class_names, clip_joints, clip_or_issue, same_channels, spread
from poseglot.data.quality.issues import ClipError, ClipIssue, Kind
from poseglot.data.readers.formats import Source
from poseglot.data.readers.ntu.names import fields_of
from poseglot.data.readers.unpickle import PickledArray, load_plain
from poseglot.data.splits import Member, by_names, custom_split
from poseglot.data.store import PackedStore
from poseglot.errors import FileError, PoseglotError, SettingError
from poseglot.files import file_written_atomically
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import Layout, load_layout

# The layouts of what PYSKL itself shares, by number of joints and dimensions.
_LAYOUTS = {(17, 2): "coco17", (25, 3): "ntu25"}
_SUBSET = re.compile(
    r"(?:(?P<name>.+?)[_-])?(?P<subset>training|train|validation|valid|val|testing|test|eval)(?P<number>\d*)", re.IGNORECASE
)
_SUBSET_NAMES = {"training": "train", "validation": "val", "valid": "val", "testing": "test", "eval": "val"}


def read_source(
    sources: Sequence[Path], *, name: str, layout: Layout | None = None, classes: Sequence[str] | None = None
) -> Source:
    """Open the clips of a pickle, with its splits.

    `NAME_train` and `NAME_test` (or `NAME_val`) become the split NAME; `train` and `val` alone become `as-given`, `train1` and `test1`
    `as-given-1`. A pickle without splits is split as in `custom_split`. Clips named as in NTU RGB+D tell subject, camera and setup. People
    who are zero throughout are dropped.

    Args:
        sources: The file.
        name: Of the data set.
        layout: Of the joints; not needed for COCO's 17 joints in 2D and Kinect v2's 25 in 3D.
        classes: Their names in the order of the labels. By default those of NTU RGB+D if all clips are named and labelled so, else
            "class i".

    Raises:
        FileError: The file is missing, not a whole pickle, one that asks for more than data, or not of this form.
        SettingError: Its joints are unknown, or the class names do not fit.
    """
    path = sources[0]
    annotations, splits = _opened(path)
    listed = [_listed(annotation) for annotation in annotations]
    labels = {clip: label for clip, label in listed if clip and label >= 0}
    if not labels:
        raise FileError(f"{path}: no annotation has a `frame_dir` (text) and a `label` (a number from 0 on).")
    joints, channels, has_scores = _form(annotations, path)
    layout = _layout(layout, joints, channels - has_scores, path)
    rules, expected, how, notes = _splits(splits, [clip for clip, _ in listed], labels, path)
    benchmark = Benchmark(
        name=name,
        layout=layout.name,
        pipeline="metric" if channels - has_scores == 3 else "image",
        classes=_classes(labels, classes, path),
        splits=rules,
        expected=expected,
    )
    described = {"file": path.name, "form": "PYSKL", "split": how}
    clips = _clips(annotations, listed, path, layout, channels, has_scores)
    return Source(benchmark, layout, has_scores, clips, described, notes=notes)


def write_pyskl(store: PackedStore, path: str | Path) -> None:
    """Write a packed store as such a pickle, clip by clip. PYSKL and any Python from 3.4 on reads it.

    Scores become `keypoint_score`; the subsets of a split NAME become `NAME_train` and `NAME_val`. Subjects, cameras and class names have
    no place in the form and are left out.

    Raises:
        PoseglotError: The disk refused; `path` is as it was before.
    """
    split = {
        f"{name}_{ending}": [str(clip) for clip in store.clips["name"][store.subset_mask(name, subset)]]
        for name, subsets in store.info.splits.items()
        for subset, ending in (("train", "train"), ("test", "val"))
        if subset in subsets
    }
    with file_written_atomically(Path(path)) as file:
        # A pickle of protocol 4 made of pieces that are pickles of their own: a dictionary of two items, the second of which is a list that
        # grows by one clip at a time.
        file.write(pickle.PROTO + bytes([4]) + pickle.EMPTY_DICT + pickle.MARK)
        file.write(_piece("split") + _piece(split) + _piece("annotations") + pickle.EMPTY_LIST)
        for index in range(len(store)):
            file.write(_piece(_annotation(store[index])) + pickle.APPEND)
        file.write(pickle.SETITEMS + pickle.STOP)


def _annotation(clip: Clip) -> dict[str, Any]:
    dims = clip.joints.shape[-1] - clip.has_scores
    return {
        "keypoint": np.ascontiguousarray(clip.joints[..., :dims], dtype="<f4"),
        **({"keypoint_score": np.ascontiguousarray(clip.joints[..., dims], dtype="<f4")} if clip.has_scores else {}),
        "frame_dir": clip.name,
        "label": clip.label,
        "total_frames": clip.joints.shape[1],
    }


def _piece(thing: Any) -> bytes:
    """Return a pickle without its first and last opcode. Protocol 3 numbers its memory, so a piece can stand anywhere in another pickle.

    numpy 2 names a module that older ones lack; both know the old name. It comes before any array's bytes, and once.
    """
    return pickle.dumps(thing, protocol=3)[2:-1].replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n", 1)


def _opened(path: Path) -> tuple[list[Any], Mapping[Any, Any]]:
    """Return annotations and splits."""
    table = load_plain(path)
    if isinstance(table, list):  # an older form: the annotations alone
        table = {"annotations": table}
    fields = _lower(table) if isinstance(table, dict) else {}
    annotations, splits = fields.get("annotations"), fields.get("split", fields.get("splits", {}))
    if isinstance(annotations, tuple):
        annotations = list(annotations)
    if not isinstance(annotations, list) or not isinstance(splits, dict) or not annotations:
        raise FileError(f"{path} is not a pickle of PYSKL: expected a dictionary with `annotations` (a list) and `split`.")
    return [_lower(each) if isinstance(each, dict) else each for each in annotations], splits


def _lower(table: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return a dictionary with its keys in lower case; a key in lower case wins over others."""
    other = {key.lower(): value for key, value in table.items() if isinstance(key, str) and key != key.lower()}
    return other | {key: value for key, value in table.items() if not isinstance(key, str) or key == key.lower()}


def _listed(annotation: Any) -> tuple[str, int]:
    """Return name and label; "" and -1 where they are not given."""
    if not isinstance(annotation, dict):
        return "", -1
    name, label = annotation.get("frame_dir"), annotation.get("label")
    return (name if isinstance(name, str) else ""), (label if type(label) is int and 0 <= label < MAX_CLASSES else -1)


def _form(annotations: Sequence[Any], path: Path) -> tuple[int, int, bool]:
    """Return how many joints and channels most of some clips have, and whether the last channel is a score."""
    found: Counter[tuple[int, int, bool]] = Counter()
    for annotation in spread(annotations):
        with contextlib.suppress(ClipError):
            joints, has_scores = _joints(annotation)
            if joints.ndim in (3, 4):
                found[joints.shape[-2], joints.shape[-1], has_scores] += 1
    if not found:
        keys = sorted({str(key) for each in annotations[:100] if isinstance(each, dict) for key in each})
        pointing = " The files of Kinetics point to others (`raw_file`) and cannot be read." if "raw_file" in keys else ""
        raise FileError(
            f"{path}: no annotation has a `keypoint` of shape (people, frames, joints, coordinates); their keys are "
            f"{', '.join(keys[:10])}.{pointing}"
        )
    return found.most_common(1)[0][0]


def _layout(layout: Layout | None, joints: int, num_dims: int, path: Path) -> Layout:
    if layout is None and (joints, num_dims) not in _LAYOUTS:
        raise SettingError(f"{path} has {joints} joints with {num_dims} coordinates; name the layout that they are in.")
    layout = layout or load_layout(_LAYOUTS[joints, num_dims])
    if len(layout) != joints:
        raise SettingError(f"{path} has {joints} joints, but the layout {layout.name} has {len(layout)}.")
    return layout


def _classes(labels: Mapping[str, int], classes: Sequence[str] | None, path: Path) -> tuple[str, ...]:
    count = max(labels.values()) + 1
    if classes is not None:
        if len(classes) == count - 1 and min(labels.values()) == 1:
            raise SettingError(
                f"{path} has labels from 1 to {count - 1}, and PYSKL's count from 0: put a first class that no clip has before the "
                f"{len(classes)} class names."
            )
        if len(classes) < count:
            raise SettingError(f"{path} has labels up to {count - 1}, but there are only {len(classes)} class names.")
        return tuple(classes)
    if count <= 120 and all(fields_of(name).get("label") == label for name, label in labels.items()):
        return load_benchmark("ntu60" if count <= 60 else "ntu120").classes
    return class_names(count)


def _splits(
    splits: Mapping[Any, Any], names: Sequence[str], labels: Mapping[str, int], path: Path
) -> tuple[dict[str, SplitRule], dict[str, int], str, tuple[str, ...]]:
    """Return the rules of the splits, the sizes of the first one's subsets, the split in words, and notes.

    Raises:
        FileError: There are splits, but not in a form that can be read.
    """
    if not splits:
        members = [Member(name, label, fields_of(name).get("subject", 0)) for name, label in labels.items()]
        own = custom_split(members)
        return {own.name: own.rule}, own.counts, f"{own.name}: {own.how}", ()
    subsets: dict[str, dict[str, list[str]]] = {}
    for key, clips in splits.items():
        match = _SUBSET.fullmatch(key) if isinstance(key, str) else None
        if match is None:
            continue
        name = "-".join(filter(None, [match["name"] or "as-given", match["number"]]))
        subset = match["subset"].lower()
        subsets.setdefault(name, {})[_SUBSET_NAMES.get(subset, subset)] = _ids(clips, names, f"{path}, split {key!r}")
    pairs = {
        name: (found["train"], found["test" if found.get("test") else "val"])
        for name, found in subsets.items()
        if "train" in found and (found.get("test") or "val" in found)
    }
    pairs = dict(sorted(pairs.items(), key=lambda pair: not all(pair[1])))  # the first is the default
    if not any(train and test for train, test in pairs.values()):
        shown = ", ".join(map(str, splits))
        raise FileError(
            f"{path}: its `split` has no pair of a training and a test set with clips in both; expected keys such as xsub_train and "
            f"xsub_val, and it has {shown}. Remove `split` to have one made."
        )
    notes = []
    for name, (train, test) in pairs.items():
        if both := sorted(set(train) & set(test)):
            notes.append(f"split {name}: {len(both)} clips are in both subsets, training and test ({', '.join(both[:3])})")
        if missing := sorted({*train, *test} - set(labels)):
            notes.append(f"split {name}: {len(missing)} names are of no clip ({', '.join(missing[:3])})")
    train, test = next(iter(pairs.values()))
    rules = {name: by_names(*pair) for name, pair in pairs.items()}
    counts = {"train": len(set(train)), "test": len(set(test))}
    return rules, counts, f"as the file gives them: {', '.join(map(str, splits))}", tuple(notes)


def _ids(clips: Any, names: Sequence[str], origin: str) -> list[str]:
    """Return the names of clips given as names or as indices, in any container.

    Raises:
        FileError: It is no such container, or an index is of no annotation.
    """
    if isinstance(clips, PickledArray):
        clips = clips.array().reshape(-1).tolist()
    if isinstance(clips, dict):
        clips = list(clips)
    if not isinstance(clips, (list, tuple, set, frozenset)):
        raise FileError(f"{origin} is of type {type(clips).__name__}; expected the names of clips, or indices of annotations.")
    found: list[str] = []
    for clip in sorted(clips, key=str) if isinstance(clips, (set, frozenset)) else clips:
        if isinstance(clip, str):
            found.append(clip)
        elif type(clip) is int and 0 <= clip < len(names):
            found.append(names[clip])
        else:
            raise FileError(f"{origin} has {clip!r:.40}; expected the names of clips, or indices from 0 to {len(names) - 1}.")
    known = set(names)
    if found and not known & set(found):
        raise FileError(f"{origin} names {found[0]!r:.60} and others, but no annotation has such a `frame_dir`.")
    return found


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
            message = f"{origin}: an annotation before it has the same `frame_dir`, {name}."
            yield ClipIssue(name, str(path), "duplicate", message)
        else:
            seen.add(name)
            read = partial(_clip, annotation, name, label, origin, layout, channels, has_scores)
            yield clip_or_issue(read, name=name or f"annotation {number}", origin=str(path))


def _clip(annotation: Any, name: str, label: int, origin: str, layout: Layout, channels: int, has_scores: bool) -> Clip:
    if not name or label < 0:
        raise ClipError("malformed", f"{origin}: expected a `frame_dir` (text) and a `label` (a number from 0 on).")
    joints, own_score = _joints(annotation, origin)
    if own_score != has_scores:
        raise ClipError("malformed", f"{origin}: {'a' if own_score else 'no'} `keypoint_score`, unlike most clips.")
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
    """Return the channels of an annotation, and whether the last one is a score.

    Raises:
        ClipError: There are no arrays, or they do not fit together.
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
    if scores.shape == (*joints.shape[:-1], 1):
        scores = scores[..., 0]
    if scores.shape != joints.shape[:-1]:
        raise ClipError(
            "malformed", f"{origin}: `keypoint_score` has shape {scores.shape} beside a `keypoint` of {joints.shape}."
        )
    # numpy joins float16 and int64 as float64; check_joints makes it float32.
    return np.concatenate([joints, scores[..., None]], axis=-1), True
