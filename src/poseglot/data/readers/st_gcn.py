"""ST-GCN's arrays (Yan et al., AAAI 2018), also 2s-AGCN's and MS-G3D's: joints in `.npy`, names and labels in a pickle beside them.

    train_data.npy    (N, C, T, V, M) float32, zero after a clip's last frame and for an absent person; also `train_data_joint.npy`
    train_label.pkl   (names, labels); the same with `val` or `test`

With C = 3 and OpenPose's 18 joints (Kinetics) the third channel is the score. Arrays are read memory-mapped, one clip at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from poseglot.data.benchmarks import Benchmark, load_benchmark
from poseglot.data.manifest import MAX_CLASSES, class_names, clip_joints, clip_or_issue
from poseglot.data.quality.issues import ClipError, ClipIssue
from poseglot.data.readers.formats import Source
from poseglot.data.readers.ntu.names import fields_of
from poseglot.data.readers.unpickle import PickledArray, load_plain
from poseglot.data.splits import by_names
from poseglot.errors import FileError, SettingError
from poseglot.files import load_array
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import Layout, load_layout

_SUBSETS = {"train": ("train",), "test": ("test", "val", "eval")}
_ARRAYS = ("{}_data_joint.npy", "{}_data.npy", "{}_joint.npy")
_LAYOUTS = {25: "ntu25", 18: "openpose18", 17: "coco17", 20: "kinect20"}


def read_source(
    sources: Sequence[Path], *, name: str, layout: Layout | None = None, classes: Sequence[str] | None = None
) -> Source:
    """Open the arrays of a folder, with its two subsets as the split `as-given`.

    Args:
        sources: The folder.
        name: Of the data set.
        layout: Of the joints; None goes by their number.
        classes: Their names in the order of the labels; by default those of NTU RGB+D if there are as many, else "class i".

    Raises:
        FileError: An array or its pickle is missing, damaged, or of another form.
        SettingError: The layout or the class names do not fit.
    """
    folder = sources[0]
    parts = {subset: _part(folder, spellings) for subset, spellings in _SUBSETS.items()}
    arrays = [array for array, _, _ in parts.values()]
    count, channels = arrays[0].shape[3], arrays[0].shape[1]
    if any((array.shape[3], array.shape[1]) != (count, channels) for array in arrays):
        raise FileError(f"{folder}: its arrays have different joints: {', '.join(str(array.shape) for array in arrays)}.")
    if layout is None and count not in _LAYOUTS:
        raise SettingError(f"{folder} has {count} joints; name the layout that they are in.")
    layout = layout or load_layout(_LAYOUTS[count])
    if len(layout) != count:
        raise SettingError(f"{folder} has {count} joints, but the layout {layout.name} has {len(layout)}.")
    has_scores = layout.name in ("openpose18", "coco17") and channels == 3
    labels = [label for _, _, found in parts.values() for label in found]
    benchmark = Benchmark(
        name=name,
        layout=layout.name,
        pipeline="image" if channels - has_scores == 2 else "metric",
        classes=_classes(max(labels) + 1, classes, folder),
        splits={"as-given": by_names(*(names for _, names, _ in parts.values()))},
        expected={subset: len(names) for subset, (_, names, _) in parts.items()},
    )
    return Source(
        benchmark, layout, has_scores, _clips(parts, layout, has_scores, folder), {"folder": folder.name, "form": "ST-GCN"}
    )


def _part(folder: Path, spellings: Sequence[str]) -> tuple[npt.NDArray[Any], list[str], list[int]]:
    """Return the array, names and labels of a subset."""
    candidates = [(folder / form.format(word), folder / f"{word}_label.pkl") for word in spellings for form in _ARRAYS]
    data, pickle = next(((data, pickle) for data, pickle in candidates if data.is_file()), candidates[1])
    array, content = load_array(data), load_plain(pickle)
    if array.ndim != 5:
        raise FileError(f"{data} has shape {array.shape}; expected (clips, channels, frames, joints, people).")
    names, labels = (
        (_plain(each) for each in content[:2]) if isinstance(content, (tuple, list)) and len(content) >= 2 else ([], [])
    )
    if (
        len(names) != len(array)
        or len(labels) != len(array)
        or not all(type(label) is int and 0 <= label < MAX_CLASSES for label in labels)
    ):
        raise FileError(f"{pickle} does not hold {len(array)} names and labels from 0 on, one for each clip of {data.name}.")
    return array, [str(each).removesuffix(".skeleton") for each in names], labels


def _plain(values: Any) -> list[Any]:
    found = values.array().tolist() if isinstance(values, PickledArray) else values
    return list(found) if isinstance(found, (list, tuple)) else []


def _classes(count: int, classes: Sequence[str] | None, folder: Path) -> tuple[str, ...]:
    if classes is not None:
        if len(classes) < count:
            raise SettingError(f"{folder} has labels up to {count - 1}, but there are only {len(classes)} class names.")
        return tuple(classes)
    return load_benchmark(f"ntu{count}").classes if count in (60, 120) else class_names(count)


def _clips(parts: Any, layout: Layout, has_scores: bool, folder: Path) -> Iterator[Clip | ClipIssue]:
    for array, names, labels in parts.values():
        for index, (name, label) in enumerate(zip(names, labels, strict=True)):
            read = partial(_clip, array, index, name, label, layout, has_scores, f"{folder}, {name}")
            yield clip_or_issue(read, name=name, origin=str(folder))


def _clip(array: npt.NDArray[Any], index: int, name: str, label: int, layout: Layout, has_scores: bool, origin: str) -> Clip:
    joints = np.array(array[index]).transpose(3, 1, 2, 0)  # people, frames, joints, channels
    there: npt.NDArray[np.bool_] = np.any(joints[..., : joints.shape[-1] - has_scores], axis=(2, 3))
    if not there.any():
        raise ClipError("empty", f"{origin}: every joint of every frame is zero.")
    joints = joints[np.any(there, axis=1), : np.flatnonzero(np.any(there, axis=0))[-1] + 1]
    fields = fields_of(name)
    people = {"subject": fields.get("subject", 0), "camera": fields.get("camera", 0), "setup": fields.get("setup", 0)}
    checked = clip_joints(joints, joint_count=len(layout), has_scores=has_scores, origin=origin)
    return Clip(checked, name=name, label=label, has_scores=has_scores, **people)
