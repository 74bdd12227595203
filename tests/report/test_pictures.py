"""Every picture of a clip is the page's: nothing is mirrored or upside down, whatever the axes of the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from poseglot.app.web.drawing import draw_clip
from poseglot.data.benchmarks import load_benchmark
from poseglot.data.store import write_store
from poseglot.report import contact_sheets, plots, sections, store_sheets
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout
from tests.skeletons.test_orientation import AXES, INDEX, LAYOUT, pose

Array = npt.NDArray[np.float64]
CASES = [*AXES, "pixels", "pixels with scores", "2D, y up"]


def stored(case: str) -> Clip:
    """A clip of somebody who raises the right hand, which is at the viewer's left; it moves in depth over five frames."""
    picture = np.repeat(pose()[None], 5, axis=1) + np.linspace(0, 1, 5)[:, None, None] * np.array([0.1, 0, 0.5])
    if case in AXES:
        joints = picture @ np.array(AXES[case], dtype=float)
    else:
        joints = picture[..., :2] * (100, 100 if case == "2D, y up" else -100) + (300, 400)
    if case == "pixels with scores":
        joints = np.concatenate([joints, np.full((*joints.shape[:-1], 1), 0.9)], axis=-1)
    return Clip(joints.astype(np.float32), "asymmetric", label=0, has_scores=case == "pixels with scores")


def bones_of_rows(people: list[list[list[float]]]) -> list[Array]:
    """The bones (bone, parent and child, x and y) of the last frame of a clip for a script."""
    joints = np.array(people[0][-1]).reshape(-1, 3)[:, :2]
    return [joints[[parent, child]] for child, parent in LAYOUT.bone_pairs]


def bones_of_figure(figure: Figure) -> list[Array]:
    """The bones of the last frame of a figure, as they are on paper."""
    figure.draw_without_rendering()
    axis = [axis for axis in figure.axes if axis.collections][-1]
    (lines,) = (collection for collection in axis.collections if isinstance(collection, LineCollection))
    return [axis.transData.transform(segment) for segment in lines.get_segments()]


def shape(bones: list[Array]) -> Array:
    """Bones without their place and size."""
    array = np.array(bones)
    array = array - array.reshape(-1, 2).mean(axis=0)
    return array / np.ptp(array.reshape(-1, 2), axis=0).max()


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    made: list[Figure] = []
    for module in (plots, contact_sheets):
        monkeypatch.setattr(module, "save_figure", lambda figure, _: made.append(figure))
    return made


def sheet(clip: Clip, path: Path) -> None:
    store = write_store(
        path / "store",
        [clip],
        benchmark=replace(load_benchmark("demo"), layout="kinect20"),
        layout=LAYOUT,
        source={},
        has_scores=clip.has_scores,
    )
    list(store_sheets.write_sheets(store, [], path))


PAPER: dict[str, Callable[[Clip, Path], Any]] = {
    "plot": lambda clip, path: plots.plot_skeleton(clip, LAYOUT, path / "plot.png", title=""),
    "contact sheet": sheet,
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", [*PAPER, "report"])
def test_it_is_the_picture_of_the_page(kind: str, case: str, figures: list[Figure], tmp_path: Path) -> None:
    clip = stored(case)
    page = shape(bones_of_rows(draw_clip(clip, LAYOUT)["people"]))
    if kind == "report":
        other = bones_of_rows(sections.moving(clip, LAYOUT)["people"])
    else:
        PAPER[kind](clip, tmp_path)
        other = bones_of_figure(figures[-1])
    np.testing.assert_allclose(shape(other), page, atol=2e-3)
    hand = next(place for place, (child, _) in enumerate(LAYOUT.bone_pairs) if child == INDEX["right_hand"])
    x, y = shape(other)[hand, 1]
    assert x < -0.1 and y > 0.3  # at the left, above the head


def test_a_hand_is_as_the_page_has_it() -> None:
    """A layout without head and feet: 2D runs down, as pixels do."""
    layout = replace(
        load_layout("kinect20"),
        name="half",
        parts={
            **LAYOUT.parts,
            "head": (),
            "foot": (),
            "arm": (*LAYOUT.parts["arm"], *LAYOUT.parts["head"], *LAYOUT.parts["foot"]),
        },
    )
    clip = stored("pixels")
    points, _ = plots.clip_picture(clip, layout)
    np.testing.assert_allclose(points[..., :2], clip.joints * (1, -1))
