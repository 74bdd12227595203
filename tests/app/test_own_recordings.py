"""Annotated recordings: read person by person, refused where recording and annotation do not fit, and learned from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.app.own_recordings import read_annotated
from poseglot.data.segments import Segment, write_segments
from poseglot.data.store import PackedStore
from poseglot.errors import InputError
from poseglot.inference import Predictor
from poseglot.skeletons.layout import load_layout
from poseglot.skeletons.mapping import map_layout

Poseglot = Callable[..., Any]
MakeRun = Callable[..., Path]


@pytest.fixture
def folder(small_store: PackedStore, tmp_path: Path) -> Path:
    """A recording of two people, the second of whom comes after a second, with an annotation at 20 frames per second."""
    path = tmp_path / "mine"
    path.mkdir()
    one, two = (np.concatenate([small_store[place].joints[0] for place in places]) for places in ((0, 13), (26, 39)))
    joints = np.zeros((2, 60, 20, 3), dtype=np.float32)
    joints[0], joints[1, 20:] = one[:60], two[:40] + np.array([5, 0, 0], dtype=np.float32)
    np.save(path / "party.npy", joints)
    segments = [
        Segment(0.5, 1.5, "squat", person=1),
        Segment(1.5, 2.5, "nod head", person=2),
        Segment(2.5, 3, "clap hands", person=0),
    ]
    write_segments(segments, path / "party.eaf")
    return path


def test_each_person_has_a_recording(folder: Path, make_run: MakeRun, tmp_path: Path) -> None:
    predictor = Predictor(make_run(tmp_path / "run"), device="cpu")
    squat, nod, clap = (predictor.classes.index(name) for name in ("squat", "nod head", "clap hands"))
    one, two = read_annotated(folder, predictor, fps=20)
    assert (one.fps, one.joints.shape, two.joints.shape) == (20, (1, 60, 20, 3), (1, 40, 20, 3))
    assert one.labels.tolist() == [-1] * 10 + [squat] * 20 + [-1] * 20 + [clap] * 10
    assert two.labels.tolist() == [-1] * 10 + [nod] * 20 + [clap] * 10
    np.testing.assert_array_equal(two.joints[0], np.load(folder / "party.npy")[1, 20:])


def test_case_and_layout_are_taken(folder: Path, make_run: MakeRun, tmp_path: Path) -> None:
    predictor = Predictor(make_run(tmp_path / "run"), device="cpu")
    as_read = read_annotated(folder, predictor, fps=20)
    write_segments(
        [Segment(0.5, 1.5, "SQUAT"), Segment(1.5, 2.5, "Nod head", person=2), Segment(2.5, 3, "clap hands", person=0)],
        folder / "party.eaf",
    )
    np.save(folder / "party.npy", map_layout(predictor.layout, load_layout("ntu25")).apply(np.load(folder / "party.npy")))
    mapped = read_annotated(folder, predictor, fps=20, layout="ntu25")
    for one, other in zip(as_read, mapped, strict=True):
        assert one.labels.tolist() == other.labels.tolist()
        np.testing.assert_allclose(one.joints, other.joints, atol=1e-6)


def test_what_does_not_fit_is_refused(folder: Path, make_run: MakeRun, tmp_path: Path) -> None:
    predictor = Predictor(make_run(tmp_path / "run"), device="cpu")
    for wrong, said in (
        ([Segment(0, 1, "squatt")], "squat"),
        ([Segment(0, 1, "squat", person=3)], "person 3"),
        ([Segment(0, 4.1, "squat")], "'squat' from 0.00 to 4.10 s ends behind the 3.00 s"),
        ([Segment(3.1, 3.9, "squat")], "nobody"),
        ([Segment(0, 0.9, "squat", person=2)], "nobody"),  # who comes after a second
        ([Segment(0, 1, "squat"), Segment(0.9, 2, "nod head")], "overlap"),
        ([Segment(0, 1, "unknown"), Segment(0.5, 2, "squat", person=0)], "overlap"),
    ):
        write_segments(wrong, folder / "party.eaf")
        with pytest.raises(InputError, match=said):
            read_annotated(folder, predictor, fps=20)
    (folder / "party.npy").rename(folder / "other.npy")
    with pytest.raises(InputError, match="party"):
        read_annotated(folder, predictor, fps=20)
    (folder / "party.eaf").unlink()
    with pytest.raises(InputError, match="no annotation"):
        read_annotated(folder, predictor, fps=20)


def test_a_little_behind_the_end_is_cut(folder: Path, make_run: MakeRun, tmp_path: Path) -> None:
    predictor = Predictor(make_run(tmp_path / "run"), device="cpu")
    write_segments([Segment(2, 3.9, "squat"), Segment(1, 2, "nod head", person=2)], folder / "party.eaf")
    one, two = read_annotated(folder, predictor, fps=20)
    assert one.labels.tolist() == [-1] * 40 + [predictor.classes.index("squat")] * 20
    assert one.source == two.source != ""


def test_two_annotations_of_a_recording_are_refused(folder: Path, make_run: MakeRun, tmp_path: Path) -> None:
    write_segments([Segment(0, 1, "squat")], folder / "party.segments.csv")
    with pytest.raises(InputError, match=r"party\.eaf and party\.segments\.csv"):
        read_annotated(folder, Predictor(make_run(tmp_path / "run"), device="cpu"), fps=20)


def test_a_segmenter_learns_from_them(poseglot: Poseglot, folder: Path, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    few = ("--joined", 3, "--updates", 2)
    weights = []
    for more in ((), ("--recordings", folder, "--recordings-fps", 20)):  # at the 30 of --fps the annotation would not fit
        made = poseglot("train-segmenter", run, *few, *more)
        assert made.status == 0, made.error
        assert ("learned from 2 people" in made.out) == bool(more)
        weights.append((run / "segmenter.safetensors").read_bytes())
    assert weights[0] != weights[1]
    assert poseglot("train-segmenter", run, *few, "--recordings-fps", 20).status == 1
    assert "--recordings" in poseglot("train-segmenter", run, *few, "--scored").error
    other = tmp_path / "other.npy"
    np.save(other, np.load(folder / "party.npy")[:, ::-1])
    for recording, method, warned in (
        (folder / "party.npy", "dense", True),
        (folder / "party.npy", "frames", False),
        (other, "dense", False),
    ):
        said = poseglot("segment", run, recording, "--fps", 20, "--truth", folder / "party.eaf", "--method", method)
        assert said.status == 0 and ("has learned from" in said.error) == warned, said.error
