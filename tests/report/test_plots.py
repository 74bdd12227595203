"""Pictures: whole PNG files of a sensible size that show what they were given; never half of one."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.colors import to_rgb

from poseglot.data.store import PackedStore
from poseglot.errors import PoseglotError
from poseglot.report.plots import PART_COLORS, plot_confusion, plot_curve, plot_skeleton
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import PARTS, load_layout

LAYOUT = load_layout("kinect20")
CLASSES = ("nod head", "shake head", "wave one hand")
Picture = npt.NDArray[np.float32]


def picture(path: Path) -> Picture:
    """The pixels (height, width, RGB), after a look at the file itself."""
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert content.endswith(b"IEND\xaeB`\x82")
    pixels: Picture = matplotlib.image.imread(io.BytesIO(content))[..., :3]
    assert pixels.shape[:2] == struct.unpack(">II", content[16:24])[::-1]
    assert 200 <= pixels.shape[0] <= 2000
    assert 200 <= pixels.shape[1] <= 3000
    return pixels


def amount(pixels: Picture, color: str) -> int:
    """How many pixels have (nearly) this color."""
    return int((np.abs(pixels - np.array(to_rgb(color))).max(axis=-1) < 0.02).sum())


def log(epochs: int, *, alignment: bool = True, every: int = 1) -> list[dict[str, Any]]:
    entries = []
    for epoch in range(1, epochs + 1):
        entry: dict[str, Any] = {
            "epoch": epoch,
            "lr": 0.1,
            "loss": 3 / epoch,
            "classification": 2 / epoch,
            "alignment": 1 / epoch if alignment else 0.0,
            "train": {"correct": 10 * epoch, "total": 96},
            "seconds": 1.5,
            "clips_per_second": 64.0,
        }
        if epoch % every == 0 or epoch == epochs:
            entry["test"] = {"correct": 2 * epoch, "total": 24}
        entries.append(entry)
    return entries


@pytest.fixture(scope="module")
def clip(small_store: PackedStore) -> Clip:
    return small_store[64]


def test_a_skeleton_shows_every_part_in_its_colour(clip: Clip, tmp_path: Path) -> None:
    plot_skeleton(clip, LAYOUT, tmp_path / "new" / "one.png", title="bow")
    pixels = picture(tmp_path / "new" / "one.png")
    figures = pixels[: int(0.85 * len(pixels))]  # without the legend
    for part in PARTS:
        assert amount(figures, PART_COLORS[part]) > 20, part


def test_two_people_have_more_ink_than_one(clip: Clip, tmp_path: Path) -> None:
    beside = clip.joints + np.array([1, 0, 0], dtype=np.float32)
    plot_skeleton(clip, LAYOUT, tmp_path / "one.png", title="")
    plot_skeleton(Clip(np.concatenate([clip.joints, beside]), name="two"), LAYOUT, tmp_path / "two.png", title="")
    one, two = (picture(tmp_path / f"{name}.png") for name in ("one", "two"))
    assert one.shape == two.shape

    def spread(pixels: Picture) -> int:
        """Columns of the first frame's panel with any color of a part in them."""
        panel = pixels[int(0.2 * len(pixels)) : int(0.85 * len(pixels)), : pixels.shape[1] // 8]
        return sum(any(amount(panel[:, column], PART_COLORS[part]) for part in PARTS) for column in range(panel.shape[1]))

    assert spread(two) > 1.3 * spread(one)


def test_width_follows_the_number_of_frames_shown(clip: Clip, tmp_path: Path) -> None:
    widths = []
    for frames in (1, 3, 8):
        short = Clip(clip.joints[:, :frames], name="short")
        plot_skeleton(short, LAYOUT, tmp_path / "picture.png", title="t")
        widths.append(picture(tmp_path / "picture.png").shape[1])
    assert widths[0] < widths[1] < widths[2]
    plot_skeleton(clip, LAYOUT, tmp_path / "picture.png", title="t")
    assert clip.joints.shape[1] > 8
    assert picture(tmp_path / "picture.png").shape[1] == widths[2]
    plot_skeleton(clip, LAYOUT, tmp_path / "picture.png", title="t", frames=3)
    assert picture(tmp_path / "picture.png").shape[1] == widths[1]


def test_the_curve_has_an_alignment_line_only_with_words(tmp_path: Path) -> None:
    orange = []
    for alignment in (True, False):
        plot_curve(log(6, alignment=alignment), tmp_path / "curve.png", title="Training")
        pixels = picture(tmp_path / "curve.png")
        orange.append(amount(pixels[:, : int(0.48 * pixels.shape[1])], "#D55E00"))
    assert orange[0] > 50
    assert orange[1] == 0


@pytest.mark.parametrize(("epochs", "every"), [(1, 1), (6, 4), (6, 100)])
def test_the_curve_of_a_run_that_is_seldom_tested_shows_its_tests(tmp_path: Path, epochs: int, every: int) -> None:
    plot_curve(log(epochs, every=every), tmp_path / "curve.png", title="Training")
    pixels = picture(tmp_path / "curve.png")
    assert amount(pixels[:, pixels.shape[1] // 2 :], "#D55E00") > 5


def test_confusion_is_dark_where_clips_are_and_grows_with_the_classes(tmp_path: Path) -> None:
    path = tmp_path / "confusion.png"
    darkest = "#08306b"  # the end of matplotlib's Blues
    plot_confusion(np.diag([8, 8, 8]), CLASSES, path, title="24/24")
    right = picture(path)
    mixed = np.array([[4, 4, 0], [4, 4, 0], [4, 0, 4]])
    plot_confusion(mixed, CLASSES, path, title="12/24")
    assert amount(right, darkest) > 1000
    assert amount(picture(path), darkest) == 0
    plot_confusion(np.diag(np.arange(1, 13)), [f"action {number}" for number in range(12)], path, title="all")
    assert picture(path).shape[0] > right.shape[0]


def test_confusion_of_a_class_without_clips(tmp_path: Path) -> None:
    with np.errstate(all="raise"):
        plot_confusion(np.array([[3, 0, 0], [0, 0, 0], [0, 0, 2]]), CLASSES, tmp_path / "confusion.png", title="5/5")
        picture(tmp_path / "confusion.png")
        plot_confusion(np.zeros((3, 3), dtype=np.int64), CLASSES, tmp_path / "confusion.png", title="0/0")
    assert amount(picture(tmp_path / "confusion.png"), "#08306b") == 0


def draw_all(clip: Clip) -> Sequence[Callable[[Path], None]]:
    return [
        lambda path: plot_skeleton(clip, LAYOUT, path, title="bow"),
        lambda path: plot_curve(log(2), path, title="Training"),
        lambda path: plot_confusion(np.eye(3, dtype=np.int64), CLASSES, path, title="3/3"),
    ]


@pytest.mark.parametrize(
    ("kind", "step"), [(0, "replace"), (1, "fsync"), (2, "replace")], ids=["skeleton", "curve", "confusion"]
)
def test_a_refusing_disk_leaves_no_half_picture(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: int, step: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    draw = draw_all(clip)[kind]
    old = tmp_path / "old.png"
    old.write_bytes(b"the picture before")
    with monkeypatch.context() as patch:
        patch.setattr(os, step, refuse)
        for path in (old, tmp_path / "new.png"):
            with pytest.raises(PoseglotError, match="No space left"):
                draw(path)
    assert [path.name for path in tmp_path.iterdir()] == ["old.png"]
    assert old.read_bytes() == b"the picture before"
    draw(old)
    picture(old)
