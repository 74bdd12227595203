"""BVH, the motion capture format of Biovision: a skeleton and its joint angles, one file for a clip of one person.

The package `pybvh` (an optional extra: `pip install 'poseglot[bvh]'`) reads the file and turns angles into positions; only this file
knows it. Positions are where the joints are in the world, in the units of the file (often centimetres). The layout's joint names say
which joints are taken, and in which order.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from poseglot.data.manifest import clip_joints
from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.folder import folder_source
from poseglot.data.readers.source import Source
from poseglot.errors import PoseglotError
from poseglot.skeletons.clip import Clip, Joints
from poseglot.skeletons.layout import Layout


def read_source(
    sources: Sequence[Path],
    *,
    name: str,
    layout: Layout,
    classes: Sequence[str] | None = None,
    test_subjects: Sequence[int] | None = None,
    names: str | None = None,
) -> Source:
    """The `.bvh` files of a folder.

    Args:
        sources: the folder.
        name: of the data set.
        layout: its joint names are those of the files; joints that it does not name are left out.
        classes, test_subjects, names: as in `folder_source`.

    Raises:
        PoseglotError: as `folder_source`, or pybvh is not installed.
    """
    _pybvh()  # better missed now than at the first file
    read = partial(read_joints, layout=layout)
    return folder_source(
        sources[0],
        (".bvh",),
        lambda paths: read,
        name=name,
        layout=layout,
        classes=classes,
        test_subjects=test_subjects,
        names=names,
    )


def read_clip(path: Path, *, joint_count: int | None = None, layout: Layout | None = None) -> Clip:
    """The clip in a file.

    Raises:
        PoseglotError: as `read_joints`.
    """
    return Clip(read_joints(path, layout=layout, joint_count=joint_count), name=path.stem)


def read_joints(path: Path, *, layout: Layout | None, joint_count: int | None = None) -> Joints:
    """The joints in a file.

    Args:
        layout: which joints; None takes all but the ends of the limbs, in the order of the file.
        joint_count: how many joints there must be, if that is known.

    Returns:
        (1, T, V, 3).

    Raises:
        PoseglotError: pybvh is not installed, no such file, not a BVH file that it can read, or a joint of the layout is not in it.
    """
    pybvh = _pybvh()
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "clip.bvh"  # pybvh reads no other ending, and does not say why it cannot open a file
            shutil.copyfile(path, file)
            # Which way is up is nothing that positions depend on; given here, pybvh need not guess it.
            motion = pybvh.read_bvh_file(file, world_up="+y")
        places = {node.name: place for place, node in reversed(list(enumerate(motion.nodes)))}
        positions = motion.node_positions()
    except OSError as error:
        raise ClipError("unreadable", f"could not read {path}: {error.strerror or error}.") from error
    except Exception as error:  # pybvh's own are ValueErrors; what it says of a damaged file may be anything
        said = " ".join(str(error).replace(str(file), path.name).split())
        remedy = " Every joint but the root must have three rotations and no positions: export with rotations only."
        message = f"{path} is not a BVH file as pybvh reads it ({said}).{remedy if 'channel' in said else ''}"
        raise ClipError("malformed", message) from error
    names = layout.joints if layout is not None else tuple(motion.joint_names)
    missing = [joint for joint in names if joint not in places]
    if missing:
        raise ClipError(
            "joint count",
            f"{path} has no joint named {', '.join(missing)} of the layout; it has {', '.join(motion.joint_names)}.",
        )
    joints = np.asarray(positions)[None, :, [places[joint] for joint in names]]
    return clip_joints(joints, joint_count=joint_count, origin=str(path))


def _pybvh() -> Any:
    try:
        import pybvh  # type: ignore[import-untyped]
    except ImportError as error:
        raise PoseglotError("reading .bvh files needs the package pybvh: pip install 'poseglot[bvh]'.") from error
    return pybvh
