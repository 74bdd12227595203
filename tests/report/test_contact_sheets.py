"""Contact sheets: a row a clip, whatever the clip is like."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.quality.checks import Finding
from poseglot.data.quality.summary import finding_text
from poseglot.data.store import PackedStore, write_store
from poseglot.errors import PoseglotError
from poseglot.report import contact_sheets
from poseglot.report.contact_sheets import Row, plot_contact_sheet, some_clips, suspicious_clips
from poseglot.report.plots import PART_COLORS
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import PARTS, load_layout

LAYOUT = load_layout("kinect20")
Picture = npt.NDArray[np.float32]


def sheet(store: PackedStore, rows: list[Row], path: Path, layout: str = "kinect20") -> Picture:
    plot_contact_sheet(store, load_layout(layout), rows, path, title="a sheet")
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert content.endswith(b"IEND\xaeB`\x82")
    pixels: Picture = matplotlib.image.imread(io.BytesIO(content))[..., :3]
    return pixels


def places_of(pixels: Picture, color: str) -> npt.NDArray[np.int64]:
    """(row, column) of the pixels of a color, without the legend."""
    return np.argwhere(np.abs(pixels[:-60] - np.array(to_rgb(color))).max(axis=-1) < 0.02)


def store_of(joints: list[npt.ArrayLike], path: Path, *, has_scores: bool = False, layout: str = "kinect20") -> PackedStore:
    clips = [
        Clip(np.asarray(array, dtype=np.float32), name=f"clip_{place} $x$", label=place - 1, has_scores=has_scores)
        for place, array in enumerate(joints)
    ]
    benchmark = replace(load_benchmark("demo"), layout=layout)
    return write_store(path, clips, benchmark=benchmark, layout=load_layout(layout), source={}, has_scores=has_scores)


def test_a_sheet_has_a_row_a_clip_and_six_frames_in_it(small_store: PackedStore, tmp_path: Path) -> None:
    heights = []
    for count in (1, 3, 4):
        pixels = sheet(small_store, [Row(place, "why") for place in range(count)], tmp_path / "deep" / "sheet.png")
        heights.append(pixels.shape[0])
        for part in PARTS:
            places = places_of(pixels, PART_COLORS[part])
            rows = (places[:, 0] - 60) // ((pixels.shape[0] - 120) / count)
            panels = set(zip(rows, places[:, 1] // (pixels.shape[1] / 6), strict=True))
            assert panels == {(row, column) for row in range(count) for column in range(6)}
    assert heights[2] - heights[1] == pytest.approx((heights[1] - heights[0]) / 2, abs=2)


def test_a_clip_fills_its_row_in_whatever_unit(small_store: PackedStore, tmp_path: Path) -> None:
    joints = small_store[4].joints
    store = store_of([joints, joints * 1000 + 500], tmp_path / "store")
    pixels = sheet(store, [Row(0), Row(1)], tmp_path / "sheet.png")
    middle = pixels.shape[0] // 2
    metres, pixels_ = (len(places_of(half, PART_COLORS["leg"])) for half in (pixels[:middle], pixels[middle:]))
    assert metres == pytest.approx(pixels_, rel=0.1)


def test_everybody_is_shown_and_nobody_who_is_not_there(small_store: PackedStore, tmp_path: Path) -> None:
    joints = small_store[4].joints
    store = store_of(
        [joints, np.concatenate([joints, joints + np.float32([1, 0, 0])]), np.concatenate([joints, 0 * joints]), 0 * joints],
        tmp_path / "store",
    )
    one, two, ghost, nobody = (sheet(store, [Row(place)], tmp_path / "sheet.png") for place in range(4))
    head = PART_COLORS["head"]
    panel = one.shape[1] // 6

    def groups(pixels: Picture) -> int:
        """Heads in the first panel."""
        columns = np.unique(places_of(pixels[:, :panel], head)[:, 1])
        return 1 + int((np.diff(columns) > 3).sum())

    assert (groups(one), groups(two)) == (1, 2)
    np.testing.assert_array_equal(places_of(ghost, head), places_of(one, head))
    assert len(places_of(nobody, head)) == 0


def drawn(store: PackedStore, rows: list[Row], path: Path, monkeypatch: pytest.MonkeyPatch) -> Figure:
    """The figure of a sheet, before it is saved."""
    figures: list[Figure] = []
    monkeypatch.setattr(contact_sheets, "save_figure", lambda figure, _: figures.append(figure))
    plot_contact_sheet(store, LAYOUT, rows, path, title="a sheet")
    return figures[0]


def test_where_nobody_is_it_says_so(small_store: PackedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joints = small_store[4].joints[:, :6].copy()
    joints[:, 2] = 0
    store = store_of([joints, 0 * joints, 0 * joints[:, :1]], tmp_path / "store")
    figure = drawn(store, [Row(0), Row(1), Row(2)], tmp_path / "sheet.png", monkeypatch)
    said = ["no person" in [text.get_text() for text in axis.texts] for axis in figure.axes]
    assert said == [place == 2 for place in range(6)] + [True] * 6 + [True] + [False] * 5


def test_a_second_person_is_thinner(small_store: PackedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joints = small_store[4].joints
    two = np.concatenate([joints, joints + np.array([1, 0, 0], dtype=np.float32)])
    store = store_of([two, joints, np.concatenate([joints, 0 * joints])], tmp_path / "store")
    figure = drawn(store, [Row(0), Row(1), Row(2)], tmp_path / "sheet.png", monkeypatch)
    for axis in figure.axes[:6]:
        lines = [collection for collection in axis.collections if isinstance(collection, LineCollection)]
        first, second = (np.atleast_1d(line.get_linewidth())[0] for line in lines)
        assert second <= 0.6 * first
        one, other = (np.mean([segment[:, 0].mean() for segment in line.get_segments()]) for line in lines)
        assert one - other == pytest.approx(1, abs=1e-3)  # a depth camera's x runs to the picture's left
    headings = [text.get_text() for text in figure.texts]
    assert ["person 1 drawn thicker" in heading for heading in headings if "clip_" in heading] == [True, False, False]


def test_a_slot_has_an_edge_and_a_row_one_scale(
    small_store: PackedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joints = small_store[4].joints[:, :6].copy()
    joints[:, 3:] += np.array([4, 0, 0], dtype=np.float32)
    store = store_of([joints, joints[:, :2]], tmp_path / "store")
    figure = drawn(store, [Row(0), Row(1)], tmp_path / "sheet.png", monkeypatch)
    assert [len(axis.patches) for axis in figure.axes] == [1] * 8 + [0] * 4
    assert len({(*axis.get_xlim(), *axis.get_ylim()) for axis in figure.axes[:6]}) == 1
    for axis in figure.axes[:8]:
        low, high = axis.get_xlim()
        for line in axis.collections:
            if isinstance(line, LineCollection):
                x = np.concatenate(line.get_segments())[:, 0]
                assert low < x.min() and x.max() < high


def test_heads_are_up_in_the_coordinates_of_a_picture_too(tmp_path: Path) -> None:
    layout = load_layout("coco17")
    numbers = np.random.default_rng(0)
    y = {"head": 100, "arm": 200, "hand": 250, "hip": 300, "leg": 400, "foot": 500}
    joints = np.zeros((1, 10, 17, 3))
    for part, names in layout.parts.items():
        for name in names:
            joints[0, :, layout.index[name]] = (numbers.uniform(100, 200), y[part], 1)
    joints[0, 3, layout.index["left_ankle"]] = (900, 5, 0.0)  # not seen
    for path, array in (("down", joints), ("up", joints * (1, -1, 1))):
        store = store_of([array], tmp_path / path, has_scores=True, layout="coco17")
        pixels = sheet(store, [Row(0)], tmp_path / "sheet.png", "coco17")
        heads, feet = (places_of(pixels, PART_COLORS[part])[:, 0] for part in ("head", "foot"))
        assert heads.max() < feet.min()


def test_frames_around_the_place_of_a_finding(small_store: PackedStore, tmp_path: Path) -> None:
    joints = np.repeat(small_store[4].joints[:, :1], 60, axis=1)
    joints[0, 30, LAYOUT.index["head"]] += [0, 0.5, 0]
    store = store_of([joints], tmp_path / "store")
    spread, around = (sheet(store, [Row(0, frame=frame)], tmp_path / "sheet.png") for frame in (0, 31))
    highest = [
        [places_of(pixels[:, column : column + 200], PART_COLORS["head"])[:, 0].min() for column in range(0, 1200, 200)]
        for pixels in (spread, around)
    ]
    assert max(highest[0]) - min(highest[0]) <= 1
    assert sorted(highest[1])[0] < sorted(highest[1])[1] - 20
    assert int(np.argmin(highest[1])) == 3


def test_clips_of_one_frame_and_without_a_class(small_store: PackedStore, tmp_path: Path) -> None:
    store = store_of([small_store[4].joints[:, :1]], tmp_path / "store")
    pixels = sheet(store, [Row(0, frame=1)], tmp_path / "sheet.png")
    columns = places_of(pixels, PART_COLORS["leg"])[:, 1]
    assert len(columns)
    assert columns.max() < pixels.shape[1] / 6


def test_some_clips_are_of_all_kinds(small_store: PackedStore) -> None:
    chosen = some_clips(small_store, count=12)
    assert [int(small_store.clips["label"][row.index]) for row in chosen] == list(range(12))
    assert [int(small_store.clips["label"][row.index]) for row in some_clips(small_store, count=3)][::2] == [0, 11]
    assert len(some_clips(small_store, count=100)) == 12


def test_the_worst_of_every_check_in_turn(small_store: PackedStore) -> None:
    names = [str(name) for name in small_store.clips["name"][:6]]
    jumps = [Finding(names[place], "jump", 3 - place, 0.6, frame=place + 2, joint="head") for place in range(3)]
    short = [Finding(names[place], "short", place, 8) for place in (4, 0)]
    same = [Finding(names[5], "same_content", 2, 1, others=(names[4],))]
    rows = suspicious_clips(small_store, [*short, *jumps, *same])
    assert [row.index for row in rows] == [4, 0, 5, 1, 2]
    assert rows[1].about == f"{finding_text(jumps[0])}; also short"
    assert rows[2].about == finding_text(same[0])
    assert [row.frame for row in rows] == [0, 2, 0, 3, 4]
    assert [row.index for row in suspicious_clips(small_store, jumps, count=2)] == [0, 1]


def test_a_refusing_disk_leaves_no_half_sheet(
    small_store: PackedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PoseglotError, match=r"No space left"):
        plot_contact_sheet(small_store, LAYOUT, [Row(0)], tmp_path / "sheet.png", title="")
    assert list(tmp_path.iterdir()) == []
