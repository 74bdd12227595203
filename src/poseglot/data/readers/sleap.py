"""SLEAP's predictions: `.slp` projects and `.analysis.h5` files, both HDF5 (the extra `poseglot[hdf5]`).

    .analysis.h5   `tracks` (tracks, 2, nodes, frames), `node_names`, `point_scores` (tracks, nodes, frames)
    .slp           `frames`, `instances`, `pred_points` and `points`, with the nodes in the JSON of `metadata`

Coordinates are pixels; joints have the names of the skeleton's nodes.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.formats import ClipFile, ReadOptions, Recording
from poseglot.data.readers.hdf5 import open_hdf5
from poseglot.data.readers.people import Person, in_order, recording_of

_HDF5 = b"\x89HDF\r\n\x1a\n"


def recognizes(file: ClipFile) -> bool:
    """Tell whether the file is a SLEAP project or an analysis file."""
    return file.head.startswith(_HDF5) and (file.ending == ".slp" or b"node_names" in file.content)


def read(file: ClipFile, options: ReadOptions) -> Recording:
    """Read all tracks.

    Raises:
        MissingPackageError: h5py is not installed.
        ClipError: It has another form.
    """
    with open_hdf5(file) as h5:
        try:
            return _analysis(h5, file) if "tracks" in h5 and "node_names" in h5 else _project(h5, file)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ClipError("malformed", f"{file.origin} is not a SLEAP file that can be read ({error}).") from error


def _analysis(h5: Any, file: ClipFile) -> Recording:
    tracks = np.array(h5["tracks"], dtype=np.float64).transpose(3, 0, 2, 1)  # frames, tracks, nodes, 2
    names = [_text(name) for name in h5["node_names"]]
    has_scores = "point_scores" in h5 and np.isfinite(h5["point_scores"]).any()
    if has_scores:
        scores = np.nan_to_num(np.array(h5["point_scores"], dtype=np.float64)).transpose(2, 0, 1)
        tracks = np.concatenate([tracks, scores[..., None]], axis=-1)
    frames = [
        [Person(person, track) for track, person in enumerate(people) if np.isfinite(person[:, :2]).any()] for people in tracks
    ]
    return recording_of(frames, file, has_scores=has_scores, joint_names=names)


def _project(h5: Any, file: ClipFile) -> Recording:
    metadata = json.loads(_text(h5["metadata"].attrs["json"]))
    nodes = [node["name"] if isinstance(node, dict) else node for node in metadata["nodes"]]
    order = [node["id"] if isinstance(node, dict) else node for node in metadata["skeletons"][0]["nodes"]]
    names = [nodes[index] for index in order]
    instances, predicted, labelled = h5["instances"][:], h5["pred_points"][:], h5["points"][:]
    frames: dict[int, list[Person]] = {}
    for frame in h5["frames"][:]:
        people = []
        for row in instances[frame["instance_id_start"] : frame["instance_id_end"]]:
            is_predicted = row["instance_type"] == 1
            points = (predicted if is_predicted else labelled)[row["point_id_start"] : row["point_id_end"]]
            score = points["score"] if is_predicted else points["visible"].astype(np.float64)
            track = int(row["track"])
            people.append(Person(np.stack([points["x"], points["y"], score], axis=1), track if track >= 0 else None))
        frames[int(frame["frame_idx"])] = people
    return recording_of(in_order(frames), file, has_scores=True, joint_names=names)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
