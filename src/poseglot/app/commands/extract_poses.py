"""`poseglot extract-poses`: the people of a video as a clip, and drawn on the video. Needs no recognizer."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from poseglot.app.commands.register import AddCommand, add_pose, notes
from poseglot.errors import SettingError

_DESCRIPTION = """Find the people in a video: their joints as a clip that every command reads, and drawn on the video.

    poseglot extract-poses video.mp4 --out clip.npz
    poseglot extract-poses video.mp4 --draw drawn.mp4
    poseglot extract-poses video.mp4 --draw picture.png --at 2.5"""


def add(command: AddCommand) -> None:
    extract = command("extract-poses", run, "find the people in a video: their joints, and a drawing")
    extract.formatter_class = argparse.RawDescriptionHelpFormatter
    extract.description = _DESCRIPTION
    extract.add_argument("video", type=Path, help="a video file")
    extract.add_argument("--out", type=Path, help="write the joints: an .npz file")
    extract.add_argument("--draw", type=Path, help="write a drawing: .mp4, .webm, .avi, or one picture, .png, .jpg")
    extract.add_argument("--at", type=float, metavar="S", help="the time of the picture, in seconds (when most is seen)")
    extract.add_argument("--fps", type=float, help="frames per second to estimate (all)")
    extract.add_argument("--2d", dest="two_d", action="store_true", help="leave out 3D joints")
    extract.add_argument("--device", help="cpu or cuda, for rtmpose (cpu)")
    add_pose(extract)


def run(parsed: argparse.Namespace) -> None:
    from poseglot.data.readers.poses import ENDING, write_poses
    from poseglot.data.tracking import presence_tracks
    from poseglot.inference.video.drawing import check_drawing_name, draw_video
    from poseglot.inference.video.estimator import load_estimator
    from poseglot.inference.video.extract import poses_of_video

    if parsed.out is None and parsed.draw is None:
        raise SettingError("nothing to write: give --out clip.npz, --draw drawn.mp4, or both.")
    if parsed.out is not None and parsed.out.suffix.lower() != ENDING:
        raise SettingError(f"--out must end in {ENDING}, not {parsed.out.name}.")
    if parsed.draw is not None:
        check_drawing_name(parsed.draw)
    estimator = load_estimator(parsed.pose, models=parsed.pose_models, device=parsed.device)
    with notes():
        poses = poses_of_video(parsed.video, estimator, fps=parsed.fps, progress=True)
    if parsed.two_d:
        poses = replace(poses, world=None)
    tracks = len(presence_tracks(poses.pixels))
    occupied = int((poses.pixels != 0).any(axis=(0, 2, 3)).sum())
    found = f"somebody in {occupied}, {tracks} {'track' if tracks == 1 else 'tracks'}"
    kind = "2D" if poses.world is None else "3D and 2D"
    print(f"{parsed.video}: {poses.pixels.shape[1]} frames, {poses.fps:g} a second, {found}; {poses.layout.name}, {kind}")
    if parsed.out is not None:
        write_poses(poses, parsed.out)
        print(f"written: {parsed.out}")
    if parsed.draw is not None:
        draw_video(parsed.video, poses, parsed.draw, at=parsed.at)
        print(f"written: {parsed.draw}")
