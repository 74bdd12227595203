"""A pipeline's file: read, written down, refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from poseglot.errors import NotFoundError, PoseglotError
from poseglot.skeletons.batch import ClipBatch
from poseglot.transforms import (
    TRANSFORMS,
    Centre,
    Mirror,
    Pipeline,
    PipelineError,
    Randomness,
    RandomRotate,
    RandomScale,
    Resize,
    SampleLengths,
    Transform,
    apply_pipeline,
    list_pipelines,
    load_pipeline,
    register_transform,
)
from tests.conftest import ROOT
from tests.transforms.clips import LAYOUT, PIPELINES, batch_of, randomness, some_clip

MINE: dict[str, Any] = {
    "name": "mine",
    "transforms": ["drop-empty-frames", "fit-box", {"mirror": {"probability": 1}}, {"resize": {"frames": 16}}],
}


def mine(*transforms: Any, **others: Any) -> dict[str, Any]:
    return {**MINE, "transforms": [*transforms, "resize"], **others}


@pytest.mark.parametrize("name", PIPELINES)
def test_packaged_ones_are_written_down_by_name(name: str) -> None:
    pipeline = load_pipeline(name)
    assert pipeline.name == name and pipeline.described() == name
    assert load_pipeline(pipeline.table()) == pipeline and load_pipeline(pipeline) is pipeline
    family = name.removesuffix("-scaled").removesuffix("-early")
    assert pipeline.layout == {"nw-ucla": "kinect20", "ntu": "ntu25", "body": "body15"}.get(family)
    assert pipeline.frames == {"nw-ucla": 52, "live": 52, "body": 48}.get(family, 64)


def test_a_users_own_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(MINE))
    for source in (path, str(path), MINE):
        pipeline = load_pipeline(source)
        assert pipeline.frames == 16 and pipeline.transforms[-1] == Resize(16)
        assert pipeline.described() == pipeline.table() != "mine"
        # By way of JSON, as a recognizer's file carries it.
        assert load_pipeline(yaml.safe_load(yaml.safe_dump(pipeline.described()))) == pipeline
    assert apply_pipeline(some_clip(1, 9), path, "joint", LAYOUT).shape == (1, 16, 20, 3)


def test_every_transform_round_trips() -> None:
    given = {"random-rotate": {"radians": 0.25, "axes": "zx"}}
    for name in TRANSFORMS:
        transform = load_pipeline(mine({name: given.get(name, {})})).transforms[0]
        written = load_pipeline(Pipeline("other", (transform, Resize())).table())
        assert written.transforms == (transform, Resize())
    lengths = load_pipeline(mine({"sample-lengths": {"lengths": [8, 9]}})).transforms[0]
    assert lengths == SampleLengths(lengths=(8, 9)) and hash(lengths) == hash(SampleLengths(lengths=(8, 9)))


def test_a_name_that_is_packaged_is_not_for_another_file(tmp_path: Path) -> None:
    path = tmp_path / "ntu.yaml"
    path.write_text(yaml.safe_dump({**MINE, "name": "ntu"}))
    with pytest.raises(PipelineError):
        load_pipeline(path)
    path.write_text(yaml.safe_dump(load_pipeline("ntu").table()))
    assert load_pipeline(path) == load_pipeline("ntu")
    # A table that was written down does not go by its name.
    assert load_pipeline({**MINE, "name": "ntu"}).described() == {**load_pipeline(MINE).table(), "name": "ntu"}


@pytest.mark.parametrize(("name", "suggestion"), [("nwucla", "nw-ucla"), ("NTU", "ntu"), ("ntu60", "ntu"), ("xyz", None)])
def test_unknown_pipelines_are_refused_with_the_nearest(name: str, suggestion: str | None) -> None:
    with pytest.raises(NotFoundError) as error:
        load_pipeline(name)
    assert error.value.suggestion == suggestion and set(list_pipelines()) <= set(error.value.known)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    for text in ("[1, 2]", "a: [", "name: x", "name: 3\ntransforms: [centre]", "name: x\ntransforms: centre"):
        path.write_text(text)
        with pytest.raises(PipelineError):
            load_pipeline(path)
    with pytest.raises(PoseglotError):
        load_pipeline(tmp_path / "missing.yaml")


@pytest.mark.parametrize(
    ("table", "named"),
    [
        (mine("center"), ["center", "'centre'"]),
        (mine({"mirror": {"probabilty": 1}}), ["probabilty", "'probability'"]),
        (mine({"mirror": {"probability": "often"}}), ["mirror", "probability", "float", "often"]),
        (mine({"mirror": {"probability": True}}), ["probability"]),
        (mine({"mirror": {"probability": 3}}), ["mirror", "[0, 1]"]),
        (mine({"centre": {"missing": "kept"}}), ["missing", "'zero'", "'moved'", "kept"]),
        (mine({"sample-lengths": {"lengths": 12}}), ["lengths"]),
        (mine({"sample-lengths": {"speeds": [1, 2, 3]}}), ["speeds"]),
        (mine({"crop": {"min_frames": 1.5}}), ["min_frames", "int"]),
        (mine({"mirror": 0.5}), ["mirror"]),
        (mine({"mirror": {}, "crop": {}}), ["mirror"]),
        (mine(3), ["3"]),
        (mine("random-rotate"), ["random-rotate", "radians", "degrees"]),
        (mine(layout=3), ["layout"]),
        (mine(transform=[]), ["transform", "'transforms'"]),
        ({"name": "x", "transforms": ["centre"]}, ["sample-frames", "resize"]),
        (mine("mirror", "mirror"), ["mirror"]),
        (mine("crop", "sample-lengths"), ["crop", "sample-lengths"]),
    ],
    ids=range(18),
)
def test_what_cannot_be_is_refused_by_name(table: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(PipelineError) as error:
        load_pipeline(table)
    assert all(word in str(error.value) for word in named)


def test_clips_of_any_layout_need_to_be_told_theirs() -> None:
    for name in ("metric", "image", "live"):
        with pytest.raises(PipelineError):
            apply_pipeline(some_clip(1, 5), name)
    apply_pipeline(some_clip(1, 5), "nw-ucla")
    with pytest.raises(PoseglotError):  # of 25 joints
        apply_pipeline(some_clip(1, 5), "ntu")
    path = ROOT / "src" / "poseglot" / "skeletons" / "layouts" / "kinect20.yaml"
    made = [apply_pipeline(some_clip(1, 5), "image", "bone", layout) for layout in (LAYOUT, "kinect20", path)]
    np.testing.assert_array_equal(made[0], made[1])
    np.testing.assert_array_equal(made[0], made[2])


def test_clips_that_are_none_are_refused() -> None:
    clip = some_clip(1, 10)
    with pytest.raises(NotFoundError):
        apply_pipeline(clip, "nw-ucla", "bones")
    with pytest.raises(PoseglotError):  # two coordinates are not one and a score
        apply_pipeline(clip[..., :2], "image", "joint", LAYOUT, True)
    clip[0, 4, 3, 1] = np.nan
    with pytest.raises(PoseglotError):
        apply_pipeline(clip, "nw-ucla")


# --- a transform of one's own ----------------------------------------------------------------------------------------------


@pytest.fixture
def shift() -> Iterator[type[Transform]]:
    @register_transform("shift")
    @dataclass(frozen=True)
    class Shift(Transform):
        """Move each training clip by a random distance along x, up to `by`; in evaluation nothing is done."""

        by: float = 1.0
        purposes = (1000,)

        def __call__(self, batch: ClipBatch, randomness: Randomness | None) -> ClipBatch:
            if randomness is None:
                return batch
            distance = self.by * randomness.uniform(1000, 1).to(batch.dtype)
            along_x = torch.nn.functional.pad(distance, (0, batch.num_dims - 1))
            return batch.with_position(batch.position + along_x[:, None, None, None])

    yield Shift
    del TRANSFORMS._entries["shift"]


@pytest.mark.parametrize("has_scores", [False, True], ids=["plain", "scores"])
def test_a_transform_of_ones_own_stands_in_a_list(shift: type[Transform], has_scores: bool) -> None:
    table = mine({"shift": {"by": 3}})
    pipeline, still = load_pipeline(table), load_pipeline(mine())
    assert isinstance(pipeline.transforms[0], shift) and load_pipeline(pipeline.table()) == pipeline
    batch, drawn = (
        batch_of([some_clip(1, 30, has_scores=has_scores, whole=True)] * 2, has_scores=has_scores),
        randomness([0, 1]),
    )
    assert torch.equal(pipeline(batch), still(batch))
    distance = pipeline(batch, randomness=drawn) - still(batch, randomness=drawn)
    for index in (0, 1):
        wanted = torch.zeros_like(distance[index])
        wanted[..., 0] = 3 * drawn.uniform(1000, 1)[index]
        torch.testing.assert_close(distance[index], wanted, rtol=0, atol=1e-5)


def test_a_pipeline_is_made_in_python_as_well() -> None:
    pipeline = Pipeline("other", (Centre(), Mirror(), RandomScale(0.9, 1.1), RandomRotate(radians=0.1), Resize(8)))
    made = pipeline(batch_of([some_clip(2, 30)]), modality="bone", randomness=randomness([0]))
    assert made.shape == (1, 2, 8, 20, 3)
    assert load_pipeline(pipeline.table()) == pipeline
