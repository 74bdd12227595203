"""Motion capture in BVH, held against forward kinematics written out plainly."""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers import read_clip, read_recording
from poseglot.skeletons.layout import Layout, load_layout
from tests.data.readers.opened import Read, read_set

# The joints that the layout takes, which are not all that the files have, nor in their order.
LAYOUT = load_layout(
    {
        "name": "captured",
        "joints": ["Head", "Hips", "LeftHand", "RightFoot", "Spine", "LeftKnee"],
        "bones": {"Head": "Spine", "LeftHand": "Spine", "RightFoot": "Hips", "Spine": "Hips", "LeftKnee": "Hips"},
        "centre": "Hips",
        "parts": {
            "head": ["Head"], "hand": ["LeftHand"], "arm": ["Spine"], "hip": ["Hips"], "leg": ["LeftKnee"], "foot": ["RightFoot"]
        },
    }
)  # fmt: skip


@dataclass
class Joint:
    name: str
    children: list[Joint] = field(default_factory=list)


def body() -> Joint:
    return Joint(
        "Hips",
        [
            Joint("Spine", [Joint("Head"), Joint("LeftArm", [Joint("LeftHand")])]),
            Joint("LeftKnee"),
            Joint("RightKnee", [Joint("RightFoot")]),
        ],
    )


def rotation(axis: str, degrees: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array(
        {
            "X": [[1, 0, 0], [0, c, -s], [0, s, c]],
            "Y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
            "Z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
        }[axis]
    )


class Recording:
    """A moving skeleton: as the text of a BVH file, and where its joints are."""

    def __init__(self, seed: int, frames: int = 5, positions_first: bool = True) -> None:
        rng = np.random.default_rng(seed)
        lines, motion = ["HIERARCHY"], []
        self.positions: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]] = {}

        def add(joint: Joint, turned: list[np.ndarray], at: list[np.ndarray], depth: int) -> None:  # type: ignore[type-arg]
            root, indent = depth == 0, "  " * depth
            offset = np.zeros(3) if root else rng.normal(size=3).round(4) * 10
            order = "".join(rng.permutation(list("XYZ")))
            angles = rng.uniform(-180, 180, size=(frames, 3)).round(4)
            moved = rng.normal(size=(frames, 3)).round(4) * 50
            rotations, places = [f"{axis}rotation" for axis in order], [f"{axis}position" for axis in "XYZ"]
            channels = (places + rotations if positions_first else rotations + places) if root else rotations
            lines.append(f"{indent}{'ROOT' if root else 'JOINT'} {joint.name}")
            lines.append(f"{indent}{{\n{indent}  OFFSET {' '.join(map(str, offset))}")
            lines.append(f"{indent}  CHANNELS {len(channels)} {' '.join(channels)}")
            motion.append(np.concatenate([moved, angles] if positions_first else [angles, moved], axis=1) if root else angles)
            own_turn, own_place = [], []
            for frame in range(frames):
                # A joint is where its parent's turns have carried its offset; its own turn carries those after it.
                own_place.append(moved[frame] if root else at[frame] + turned[frame] @ offset)
                turn = np.eye(3) if root else turned[frame]
                for axis, degrees in zip(order, angles[frame], strict=True):
                    turn = turn @ rotation(axis, degrees)
                own_turn.append(turn)
            self.positions[joint.name] = np.array(own_place)
            for child in joint.children:
                add(child, own_turn, own_place, depth + 1)
            if not joint.children:
                lines.append(f"{indent}  End Site\n{indent}  {{\n{indent}    OFFSET 0 1 0\n{indent}  }}")
            lines.append(f"{indent}}}")

        add(body(), [], [], 0)
        lines += ["MOTION", f"Frames: {frames}", "Frame Time: 0.033333"]
        lines += [" ".join(map(str, row)) for row in np.concatenate(motion, axis=1)]
        self.text = "\n".join(lines) + "\n"

    def joints(self, layout: Layout = LAYOUT) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """(1, T, V, 3)."""
        return np.stack([self.positions[joint] for joint in layout.joints], axis=1)[None]


def saved(path: Path, recording: Recording) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(recording.text)
    return path


def read(folder: Path, **options: object) -> Read:
    return read_set("bvh", folder, **{"layout": LAYOUT, **options})


@pytest.mark.parametrize("positions_first", [True, False])
def test_positions_are_those_of_forward_kinematics(positions_first: bool, tmp_path: Path) -> None:
    for seed in range(4):
        recording = Recording(seed, positions_first=positions_first)
        path = saved(tmp_path / f"{seed}.bvh", recording)
        clip = read_clip(path, layout=LAYOUT)
        assert clip.joints.shape == (1, 5, 6, 3) and clip.joints.dtype == np.float32 and clip.name == str(seed)
        np.testing.assert_allclose(clip.joints, recording.joints(), rtol=1e-5, atol=1e-4)


def test_without_a_layout_all_joints_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    recording = Recording(7)
    clip = read_clip(saved(tmp_path / "a.bvh", recording), joint_count=8)
    np.testing.assert_allclose(clip.joints[0], np.stack(list(recording.positions.values()), axis=1), rtol=1e-5, atol=1e-4)
    with pytest.raises(ClipError, match="8"):
        read_clip(tmp_path / "a.bvh", joint_count=6)


def test_capitals_in_the_ending_do_not_matter(tmp_path: Path) -> None:
    recording = Recording(2)
    np.testing.assert_allclose(
        read_clip(saved(tmp_path / "walk" / "a.BVH", recording), layout=LAYOUT).joints, recording.joints(), rtol=1e-5, atol=1e-4
    )
    assert [clip.name for clip in read(tmp_path).clips] == ["walk/a"]


def test_a_single_frame_is_a_clip(tmp_path: Path) -> None:
    recording = Recording(1, frames=1)
    clip = read_clip(saved(tmp_path / "a.bvh", recording), layout=LAYOUT)
    np.testing.assert_allclose(clip.joints, recording.joints(), rtol=1e-5, atol=1e-4)


def test_a_folder_is_a_set(tmp_path: Path) -> None:
    recordings = {
        f"{label}/{number}": Recording(10 * number, frames=3 + number) for label in ("walk", "run") for number in range(4)
    }
    for name, recording in recordings.items():
        saved(tmp_path / f"{name}.bvh", recording)
    found = read(tmp_path)
    assert found.classes == ("run", "walk") and found.source.benchmark.pipeline == "metric" and not found.issues
    assert found.source.benchmark.expected == {"train": 6, "test": 2} and not found.source.has_scores
    for clip in found.clips:
        np.testing.assert_allclose(clip.joints, recordings[clip.name].joints(), rtol=1e-5, atol=1e-4)
        assert found.labels()[clip.name] == clip.name.split("/")[0]
    rows = "".join(f"{name}.bvh,{name[:4]},{1 + number // 2}\n" for number, name in enumerate(recordings))
    (tmp_path / "clips.csv").write_text("file,label,subject\n" + rows)
    assert read(tmp_path, test_subjects=[4]).source.benchmark.expected == {"train": 6, "test": 2}


def test_bad_files_are_faults_and_the_others_are_read(tmp_path: Path) -> None:
    text = saved(tmp_path / "walk" / "good.bvh", Recording(1)).read_text()
    lines = text.splitlines(keepends=True)
    number = next(place for place, line in enumerate(lines) if "CHANNELS 3" in line)
    bad = {
        "cut": text[: text.rindex(" ")],
        "frames": "".join(lines[:-1]),
        "hierarchy": text[:200],
        "empty": "",
        "other": "hello\n",
        "text": text[:-8] + " word\n",
        "nan": text.replace(lines[-1].split(" ")[0], "nan"),
        "channel": "".join([*lines[:number], lines[number].replace("Xrotation", "Xtwist"), *lines[number + 1 :]]),
        "joint": text.replace("LeftKnee", "Patella"),
    }
    for name, content in bad.items():
        (tmp_path / "walk" / f"{name}.bvh").write_text(content)
    (tmp_path / "walk" / "bytes.bvh").write_bytes(b"\xff\xfe\x00HIERARCHY")
    found = read(tmp_path)
    assert [clip.name for clip in found.clips] == ["walk/good"]
    kinds = {name.removeprefix("walk/"): issue.kind for name, issue in found.issues.items()}
    assert kinds == dict.fromkeys([*bad, "bytes"], "malformed") | {
        **dict.fromkeys(["cut", "frames", "hierarchy", "empty"], "cut short"),
        "joint": "joint count",
        "nan": "not finite",
    }
    assert "LeftKnee" in found.issues["walk/joint"].message


def test_joints_of_six_channels(tmp_path: Path) -> None:
    """Position channels take the place of the offset. The root is turned, too."""
    text = saved(tmp_path / "a.bvh", Recording(1, frames=1)).read_text()
    lines = text.splitlines(keepends=True)
    number = next(index for index, line in enumerate(lines) if "CHANNELS 3" in line)
    lines[number] = lines[number].replace("CHANNELS 3", "CHANNELS 6 Xposition Yposition Zposition")
    offset = lines[number - 1].split()[1:]
    values = lines[-1].split()
    (tmp_path / "a.bvh").write_text("".join([*lines[:-1], " ".join([*values[:6], *offset, *values[6:]]) + "\n"]))
    np.testing.assert_allclose(
        read_clip(tmp_path / "a.bvh", LAYOUT).joints, Recording(1, frames=1).joints(), rtol=1e-5, atol=1e-4
    )
    moved = [*values[:6], *(str(2 * float(value)) for value in offset), *values[6:]]
    (tmp_path / "b.bvh").write_text("".join([*lines[:-1], " ".join(moved) + "\n"]))
    clip, plain = read_clip(tmp_path / "b.bvh"), Recording(1, frames=1)
    hips, spine = plain.positions["Hips"][0], plain.positions["Spine"][0]
    np.testing.assert_allclose(clip.joints[0, 0, 1], hips + 2 * (spine - hips), rtol=1e-5, atol=1e-4)


def test_two_joints_of_one_name(tmp_path: Path) -> None:
    recording = Recording(1)
    path = tmp_path / "a.bvh"
    path.write_text(recording.text.replace("RightKnee", "LeftKnee"))
    found = read_recording(path)
    assert "LeftKnee" in found.joint_names and "LeftKnee_2" in found.joint_names
    index = found.joint_names.index("LeftKnee_2")
    np.testing.assert_allclose(found.clip.joints[0, :, index], recording.positions["RightKnee"], rtol=1e-5, atol=1e-4)


def test_bandai(shared: Path, tmp_path: Path) -> None:
    """Real motion capture with six channels at every joint: arms go up in "raise up both hands", bones keep their lengths."""
    with zipfile.ZipFile(shared / "data" / "bandai" / "bandai-2-subset.zip") as archive:
        name = next(name for name in archive.namelist() if "raise-up-both-hands" in name)
        (tmp_path / "up.bvh").write_bytes(archive.read(name))
    found = read_recording(tmp_path / "up.bvh")
    joints = dict(zip(found.joint_names, found.clip.joints[0].transpose(1, 0, 2), strict=True))
    assert (joints["Hand_L"][:, 1] > joints["Head"][:, 1]).any() and (joints["Hand_L"][:, 1] < joints["Chest"][:, 1]).any()
    lengths = np.linalg.norm(joints["Hand_L"] - joints["LowerArm_L"], axis=1) if "LowerArm_L" in joints else np.ones(1)
    assert lengths.std() < 0.02 * lengths.mean()


def test_pybvh_agrees(tmp_path: Path) -> None:
    pybvh = pytest.importorskip("pybvh")
    path = saved(tmp_path / "a.bvh", Recording(3))
    motion = pybvh.read_bvh_file(path, world_up="+y")
    names = [node.name for node in motion.nodes]
    found = read_recording(path)
    positions = motion.node_positions()[:, [names.index(name) for name in found.joint_names]]
    np.testing.assert_allclose(found.clip.joints[0], positions, rtol=1e-5, atol=1e-4)
