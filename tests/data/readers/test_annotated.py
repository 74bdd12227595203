"""Clips that are cut out of annotated recordings: the frames that the annotation names, of the people that `poseglot segment` numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.data.prepare import CustomDataset, prepare
from poseglot.data.readers import guess_format
from poseglot.data.segments import Segment, write_segments
from poseglot.data.store import PackedStore
from poseglot.data.tracking import person_tracks
from poseglot.errors import FileError, InputError, SettingError
from poseglot.inference.segmentation import SegmentConfig, find_stretches
from poseglot.models.recognizer import RecognizerSpec

FPS = 20.0


def recording(frames: int = 400, people: int = 1, *, seed: int = 0) -> Any:
    """A pose for each person, far from the others, that is noisy in every frame: frames are told apart."""
    rng = np.random.default_rng(seed)
    poses = rng.normal(size=(people, 1, 20, 3)) + 30 * np.arange(people)[:, None, None, None]
    return (poses + rng.normal(scale=0.01, size=(people, frames, 20, 3))).astype(np.float32)


def prepared(folder: Path, **options: Any) -> Any:
    custom = CustomDataset("kitchen", layout="kinect20", **{"fps": FPS, **options})
    return prepare(guess_format([folder]), source=folder, out=folder.parent / "store", custom=custom)


def named(store: PackedStore) -> dict[str, Any]:
    return {str(name): store[place] for place, name in enumerate(store.clips["name"])}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for number in range(3):
        np.save(folder / f"day{number}.npy", recording(seed=number))
    cook, wash = Segment(1.0, 3.5, "cook"), Segment(4.0, 4.55, "wash hands")
    write_segments([cook, wash, Segment(5, 6, "unknown")], folder / "day0.eaf")
    write_segments([wash, Segment(10.0, 12.0, "cook"), Segment(19, 20.7, "cook")], folder / "day1.vtt")
    write_segments([cook, wash], folder / "day2.segments.csv")
    return folder


def test_segments_become_clips_and_recordings_stay_together(folder: Path) -> None:
    np.save(folder / "day3.npy", recording(seed=3))
    result = prepared(folder)
    clips = named(result.store)
    assert set(clips) == {
        "day0/p1_1.00-3.50", "day0/p1_4.00-4.55", "day1/p1_4.00-4.55", "day1/p1_10.00-12.00", "day1/p1_19.00-20.70",
        "day2/p1_1.00-3.50", "day2/p1_4.00-4.55",
    }  # fmt: skip
    np.testing.assert_array_equal(clips["day0/p1_1.00-3.50"].joints, recording(seed=0)[:, 20:70])
    np.testing.assert_array_equal(clips["day1/p1_19.00-20.70"].joints, recording(seed=1)[:, 380:400])
    assert result.store.info.classes == ("cook", "wash hands")
    assert result.store.info.classes[clips["day2/p1_4.00-4.55"].label] == "wash hands"
    assert result.skipped == {"not annotated": ["day3"]} and not result.issues
    assert any("the 7 segments of 3 annotated recordings" in note for note in result.notes)
    subsets = [
        {str(name).split("/")[0] for name in result.store.clips["name"][result.store.subset_mask(result.split, subset)]}
        for subset in ("train", "test")
    ]
    assert subsets[0] and subsets[1] and not subsets[0] & subsets[1]


def test_people_are_numbered_as_segmenting_numbers_them(tmp_path: Path) -> None:
    folder, joints = tmp_path / "recordings", recording(200, 2)
    joints[1, :40] = 0  # the second comes later
    joints[:, 100:] = joints[::-1, 100:]  # and then they change places in the file
    folder.mkdir()
    np.save(folder / "two.npy", joints)
    spoken = [Segment(1, 9, "talk", person=1), Segment(6, 8, "listen", person=2), Segment(3, 9, "talk", person=0)]
    write_segments(spoken, folder / "two.segments.json")
    clips = named(prepared(folder).store)
    first = np.concatenate([joints[:1, :100], joints[1:, 100:]], axis=1)
    np.testing.assert_array_equal(clips["two/p1_1.00-9.00"].joints, first[:, 20:180])
    np.testing.assert_array_equal(clips["two/p2_6.00-8.00"].joints, joints[:1, 120:160])
    np.testing.assert_array_equal(clips["two/all_3.00-9.00"].joints, joints[:, 60:180])

    class Single:
        spec, layout = RecognizerSpec("kinect20", ("talk", "listen")), range(20)

    stretches = find_stretches(Single(), joints, fps=FPS, config=SegmentConfig(), people="each")  # type: ignore[arg-type]
    tracks = person_tracks(joints, fps=FPS)
    assert [(first, len(part[0])) for first, part in stretches] == [(track.start, len(track.joints)) for track in tracks]
    for (_, part), track in zip(stretches, tracks, strict=True):
        np.testing.assert_array_equal(part[0], track.joints)


def test_names_tell_people_and_other_clips_stay_if_they_tell_a_class(folder: Path) -> None:
    result = prepared(folder, names="day{subject}")
    assert set(result.store.clips["subject"].tolist()) == {1, 2, 3} and len(result.store) == 7
    np.save(folder / "wave_s7.npy", recording(30, seed=9))
    for number in range(3):  # a pattern with a label; recordings do not need to fit it
        assert (folder / f"day{number}.npy").exists()
    result = prepare(
        "npy",
        source=folder,
        out=folder.parent / "other",
        custom=CustomDataset("k", layout="kinect20", names="{label}_s{subject}", fps=FPS),
    )
    assert len(result.store) == 8 and "wave" in result.store.info.classes


def test_what_cannot_be_cut_is_an_issue_and_the_rest_goes_on(folder: Path) -> None:
    wrong = [Segment(1, 2, "cook"), Segment(30, 31, "cook"), Segment(2, 2.01, "cook"), Segment(3, 4, "cook", person=9)]
    write_segments(wrong, folder / "day0.eaf")
    result = prepared(folder)
    assert sorted(issue.kind for issue in result.issues) == ["empty", "malformed"]
    assert any("behind the 20.00 s" in issue.message for issue in result.issues)
    assert "day0/p9_3.00-4.00" in named(result.store), "there is one person only, whatever the annotator calls them"
    np.save(folder / "day0.npy", recording(400, 2))
    result = prepare("npy", source=folder, out=folder.parent / "two", custom=CustomDataset("k", layout="kinect20", fps=FPS))
    assert any("person 9, but 2 are seen" in issue.message for issue in result.issues)


def test_what_is_unclear_is_refused(folder: Path) -> None:
    with pytest.raises(SettingError, match="--fps"):
        prepared(folder, fps=None)
    with pytest.raises(SettingError, match="above 0"):
        prepared(folder, fps=-1.0)
    write_segments([Segment(1, 2, "cook")], folder / "day9.eaf")
    with pytest.raises(FileError, match=r"day9\.eaf annotates no recording"):
        prepared(folder)
    (folder / "day9.eaf").rename(folder / "day0.vtt")
    with pytest.raises(InputError, match=r"day0\.eaf and day0\.vtt"):
        prepared(folder)


def test_actions_at_the_same_time_have_names_of_their_own(folder: Path) -> None:
    write_segments([Segment(1, 2, "cook"), Segment(1, 2, "talk")], folder / "day0.eaf")
    clips = named(prepared(folder).store)
    assert {"day0/p1_1.00-2.00_1", "day0/p1_1.00-2.00_2"} <= set(clips)


def test_what_is_said_of_annotations_that_say_little(folder: Path, tmp_path: Path) -> None:
    (folder / "clips.csv").write_text("file,label\nday0.npy,cook\nday1.npy,wash\n")
    assert any("annotations are not read" in note for note in prepared(folder).notes)
    one = tmp_path / "one"
    one.mkdir()
    np.save(one / "day.npy", recording())
    (one / "day.segments.csv").write_text("start,end,action\n")
    custom = CustomDataset("one", layout="kinect20", fps=FPS)
    with pytest.raises(InputError, match="name no action"):
        prepare("npy", source=one, out=tmp_path / "out", custom=custom)
    (one / "day.segments.csv").write_text("start,end,action\n1,2,cook\n3,4,talk\n5,6,cook\n7,8,talk\n")
    notes = prepare("npy", source=one, out=tmp_path / "out", custom=custom).notes
    assert any("one recording" in note for note in notes) and not any("counts as a person" in note for note in notes)


def test_people_who_are_hardly_seen_are_issues_and_the_rest_goes_on(folder: Path) -> None:
    nobody = np.zeros((2, 400, 20, 3), np.float32)
    np.save(folder / "day0.npy", nobody)
    away = recording(400, 2)
    away[0, 100:130] = 0  # for a second and a half; then it is another person
    np.save(folder / "day1.npy", away)
    write_segments([Segment(1, 3, "cook", person=1)], folder / "day0.eaf")
    write_segments([Segment(4, 9, "cook", person=1), Segment(1, 4, "cook", person=1)], folder / "day1.vtt")
    result = prepared(folder)
    assert [issue.name for issue in result.issues] == ["day0/p1_1.00-3.00", "day1/p1_4.00-9.00"]
    assert "0 are seen" in result.issues[0].message and "20 of the 100 frames" in result.issues[1].message
    assert len(result.store) == 3


def test_blanks_in_actions_do_not_make_classes(folder: Path) -> None:
    (folder / "day2.segments.csv").write_text('start,end,action\n1,2,cook \n2,3,"wash\n  hands"\n3,4,Unknown \n')
    assert prepared(folder).store.info.classes == ("cook", "wash hands")
