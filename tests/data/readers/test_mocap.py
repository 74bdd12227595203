"""Motion capture as points: TRC, C3D, Motive's CSV; AMC with its ASF skeleton."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poseglot.data.prepare import CustomDataset, prepare
from poseglot.data.quality.issues import ClipError
from poseglot.data.readers import guess_format, read_clip, read_recording
from poseglot.skeletons.layout import load_layout

FRAMES = 4
MARKERS = ("Hip", "RHip", "Neck")


def points(seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.random.default_rng(seed).normal(size=(FRAMES, 3, 3)).round(4) * 100


def trc(path: Path, joints: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    lines = [f"PathFileType\t4\t(X/Y/Z)\t{path.name}", "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits", "30\t30\t4\t3\tmm",
             "Frame#\tTime\t" + "\t\t\t".join(MARKERS) + "\t\t", "\t\t" + "\t".join("XYZXYZXYZ"), ""]  # fmt: skip
    for number, frame in enumerate(joints):
        cells = [f"{value:.4f}" if value else "" for value in frame.reshape(-1)]
        lines.append(f"{number + 1}\t{number / 30:.4f}\t" + "\t".join(cells))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def test_trc(tmp_path: Path) -> None:
    joints = points()
    joints[1, 2] = 0
    trc(tmp_path / "a.trc", joints)
    found = read_recording(tmp_path / "a.trc")
    assert found.joint_names == MARKERS
    np.testing.assert_allclose(found.clip.joints, joints[None], rtol=1e-5)


def test_c3d(tmp_path: Path) -> None:
    ezc3d = pytest.importorskip("ezc3d")
    joints = points()
    content = ezc3d.c3d()
    content["parameters"]["POINT"]["RATE"]["value"] = [100]
    content["parameters"]["POINT"]["LABELS"]["value"] = MARKERS
    content["data"]["points"] = np.concatenate([joints.transpose(2, 1, 0), np.ones((1, 3, FRAMES))])
    content.write(str(tmp_path / "a.c3d"))
    found = read_recording(tmp_path / "a.c3d")
    assert found.joint_names == MARKERS
    np.testing.assert_allclose(found.clip.joints, joints[None], rtol=1e-5)


def test_motive(tmp_path: Path) -> None:
    joints = points()
    names = [f"Skeleton:{name}" for name in MARKERS for _ in range(7)]
    rows = [["Format Version", "1.23", "Take Name", "walk"], [], ["", "Type", *["Bone"] * 21], ["", "Name", *names],
            ["", "ID", *["1"] * 21],
            ["", "", *(["Rotation"] * 4 + ["Position"] * 3) * 3], ["Frame", "Time (Seconds)", *"XYZWXYZ" * 3]]  # fmt: skip
    for number, frame in enumerate(joints):
        cells = [cell for joint in frame for cell in ("0", "0", "0", "1", *(f"{value:.4f}" for value in joint))]
        rows.append([str(number), f"{number / 100}", *cells])
    (tmp_path / "a.csv").write_text("\n".join(",".join(row) for row in rows) + "\n")
    found = read_recording(tmp_path / "a.csv")
    assert found.joint_names == tuple(f"Skeleton:{name}" for name in MARKERS)
    np.testing.assert_allclose(found.clip.joints, joints[None], rtol=1e-5)


def test_markers_are_found_by_name_in_class_folders(tmp_path: Path) -> None:
    table = {"name": "three", "joints": ["neck", "hip", "right_hip"], "bones": {"neck": "hip", "right_hip": "hip"}, "centre": "hip",
             "parts": {"head": ["neck"], "hand": [], "arm": [], "hip": ["hip", "right_hip"], "leg": [], "foot": []}}  # fmt: skip
    layout = load_layout(table)
    for number in range(6):
        trc(tmp_path / "set" / ("walk" if number % 2 else "sit") / f"{number}.trc", points(number))
    clip = read_clip(tmp_path / "set" / "walk" / "1.trc", layout)
    np.testing.assert_allclose(clip.joints[0], points(1)[:, [2, 0, 1]], rtol=1e-5)
    assert guess_format([tmp_path / "set"]) == "trc"
    (tmp_path / "three.yaml").write_text(str(table))
    custom = CustomDataset("mine", layout=str(tmp_path / "three.yaml"), scale=0.001)
    made = prepare("trc", source=tmp_path / "set", out=tmp_path / "store", custom=custom)
    np.testing.assert_allclose(made.store[3].joints[0], points(1)[:, [2, 0, 1]] / 1000, rtol=1e-5)
    assert made.store.info.source["reading"] == {"scale": 0.001}


ASF = """:version 1.10
:units
  mass 1.0
  length 0.45
  angle deg
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name thigh
     direction 0 -1 0
     length 2
     axis 0 0 0  XYZ
    dof rx ry rz
    limits (-160.0 20.0)
  end
  begin
     id 2
     name shin
     direction 0 -1 0
     length 3
     axis 0 0 90  XYZ
    dof rx
  end
:hierarchy
  begin
    root thigh
    thigh shin
  end
"""


def test_amc_with_its_skeleton(tmp_path: Path) -> None:
    """The thigh turns by 90 degrees about x: it points to -z. The shin then turns by 90 degrees about its own x, which is the y of the
    thigh's frame, along the bone: it goes on in the same direction."""
    (tmp_path / "01.asf").write_text(ASF)
    motion = "# by hand\n:FULLY-SPECIFIED\n:DEGREES\n1\nroot 1 2 3 0 0 0\nthigh 0 0 0\nshin 0\n2\nroot 0 0 0 0 0 0\nthigh 90 0 0\nshin 90\n"
    (tmp_path / "01_02.amc").write_text(motion)
    found = read_recording(tmp_path / "01_02.amc")
    assert found.joint_names == ("root", "thigh", "shin")
    wanted = [[[1, 2, 3], [1, 0, 3], [1, -3, 3]], [[0, 0, 0], [0, 0, -2], [0, 0, -5]]]
    np.testing.assert_allclose(found.clip.joints[0], wanted, atol=1e-5)
    (tmp_path / "01.asf").unlink()
    with pytest.raises(ClipError, match=r"\.asf"):
        read_clip(tmp_path / "01_02.amc")


@pytest.mark.parametrize(("name", "content"), [("a.trc", "PathFileType\t4\n"), ("a.c3d", "xP"), ("a.amc", "1\nroot 0\n")])
def test_damaged_files_are_refused(name: str, content: str, tmp_path: Path) -> None:
    if name.endswith("c3d"):
        pytest.importorskip("ezc3d")
    (tmp_path / name).write_text(content)
    with pytest.raises(ClipError, match=name.replace(".", r"\.")):
        read_clip(tmp_path / name)
