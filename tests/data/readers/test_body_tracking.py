"""JSON of depth cameras' body trackers: bodies by id, in the coordinates of the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.data.readers import layout_of, read_clip, read_recording
from poseglot.skeletons.layout import load_layout

RNG = np.random.default_rng(0)
FRAMES = 3


def write(path: Path, table: Any) -> Path:
    path.write_text(json.dumps(table))
    return path


def test_azure_kinect(tmp_path: Path) -> None:
    joints = RNG.normal(size=(2, FRAMES, 32, 3)).round(3) * 1000
    frames = [
        {
            "frame_id": number,
            "num_bodies": 2,
            "timestamp_usec": 33 * number,
            "bodies": [
                {"body_id": body, "joint_positions": joints[body, number].tolist(), "joint_orientations": [[1, 0, 0, 0]] * 32}
                for body in ([0] if number == 1 else [1, 0])
            ],
        }
        for number in range(FRAMES)
    ]
    path = write(tmp_path / "a.json", {"k4abt_sdk_version": "1.1", "joint_names": ["PELVIS"] * 32, "frames": frames})
    joints[1, 1] = 0
    np.testing.assert_allclose(read_clip(path).joints, joints[::-1], rtol=1e-5)
    assert layout_of(path) == load_layout("azure32")
    np.testing.assert_allclose(read_clip(path, scale=0.001).joints, joints[::-1] / 1000, rtol=1e-5)


@pytest.mark.parametrize("count", [18, 34, 38])
@pytest.mark.parametrize("form", ["timestamps", "list"])
def test_zed(form: str, count: int, tmp_path: Path) -> None:
    joints = RNG.normal(size=(FRAMES, count, 3)).round(4)
    scores = RNG.uniform(1, 100, size=(FRAMES, count)).round(2)
    frames = [
        {
            "is_new": True,
            "timestamp": 100 + number,
            "body_list": [{"id": 4, "keypoint": joints[number].tolist(), "keypoint_confidence": scores[number].tolist()}],
        }
        for number in range(FRAMES)
    ]
    frames[1]["body_list"][0]["keypoint"][5] = [float("nan")] * 3  # type: ignore[index]
    path = write(tmp_path / "a.json", {str(f["timestamp"]): f for f in frames} if form == "timestamps" else frames)
    wanted = np.concatenate([joints, scores[..., None] / 100], axis=-1)
    wanted[1, 5] = 0
    found = read_recording(path)
    np.testing.assert_allclose(found.clip.joints, wanted[None], rtol=1e-5)
    assert found.clip.has_scores
    if count == 18:
        assert found.layout == load_layout("openpose18")
    else:
        assert found.joint_names[0] == "pelvis" and len(found.joint_names) == count


@pytest.mark.parametrize("form", ["camera", "position", "names"])
def test_kinect_v2(form: str, tmp_path: Path) -> None:
    joints = RNG.normal(size=(FRAMES, 25, 3)).round(4)
    layout = load_layout("ntu25")

    def body(frame: Any) -> Any:
        if form == "camera":
            return {
                "tracked": True,
                "trackingId": "72057",
                "joints": [{"cameraX": x, "cameraY": y, "cameraZ": z, "depthX": 0.5} for x, y, z in frame],
            }
        if form == "position":
            listed = [{"JointType": index, "Position": {"X": x, "Y": y, "Z": z}} for index, (x, y, z) in enumerate(frame)]
            return {"TrackingId": 7, "IsTracked": True, "Joints": listed[::-1]}
        names = {
            joint.title().replace("_", "").replace("Middle", "Mid"): dict(zip("xyz", place, strict=True))
            for joint, place in zip(layout.joints, frame, strict=True)
        }
        return {"joints": names}

    frames = [{"bodies": [{"tracked": False, "joints": []}, body(frame.tolist())]} for frame in joints]
    path = write(tmp_path / "a.json", frames)
    np.testing.assert_allclose(read_clip(path).joints, joints[None], rtol=1e-5)
    assert layout_of(path) == layout
