"""Archives: shards cover every clip once, their answers are the predictor's, and a run that was stopped goes on, or is refused."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.store import PackedStore, is_store, write_store
from poseglot.errors import FileError, InputError, MissingPackageError, SettingError
from poseglot.inference import Predictor
from poseglot.inference.batch import BatchJob, BatchResult, Shard, count_results, make_shards, open_batch, predict_locally
from poseglot.inference.batch_ray import predict_on_ray
from poseglot.models.recognizer import Recognizer, save_recognizer
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout


@pytest.fixture
def files(clips: Sequence[Clip], tmp_path: Path) -> list[Path]:
    """Seven files of clips, and among them one that is none."""
    paths = [tmp_path / "files" / f"clip{number}.npy" for number in range(8)]
    paths[0].parent.mkdir()
    for path, clip in zip([path for path in paths if path.stem != "clip3"], clips, strict=True):
        np.save(path, clip.joints)
    paths[3].write_text("not an array")
    return paths


@pytest.fixture
def job(run_folder: Path, tmp_path: Path) -> BatchJob:
    return BatchJob(str(run_folder), str(tmp_path / "answers"))


def answer(job: BatchJob, shards: Sequence[Shard], only: int | None = None) -> BatchResult:
    """Answers for the shards that are not done, or for so many of them."""
    done = BatchResult()
    with open_batch(job, shards) as todo:
        for _, each in islice(predict_locally(job, todo), only):
            done += each
    return done


def lines_of(job: BatchJob, shards: Sequence[Shard]) -> list[dict[str, Any]]:
    return [json.loads(line) for shard in shards for line in (Path(job.out) / shard.file).read_text().splitlines()]


@pytest.mark.parametrize("size", [1, 7, 50, 120, 1000])
def test_every_clip_is_in_one_shard(store_path: Path, files: list[Path], size: int) -> None:
    shards = make_shards([store_path], [*files, files[2]], size=size)
    assert [shard.number for shard in shards] == list(range(len(shards)))
    assert max(shard.clips for shard in shards) <= size
    places = [shard.first + place for shard in shards if shard.store for place in range(shard.clips)]
    assert places == list(range(120))
    assert [name for shard in shards for name in shard.files] == [str(file) for file in files]
    assert all(len(shard.files) == shard.clips for shard in shards if not shard.store)
    assert is_store(store_path) and not is_store(files[0].parent)


def test_shards_that_cannot_be_made_are_refused(store_path: Path) -> None:
    with pytest.raises(SettingError):
        make_shards([store_path], [], size=0)
    with pytest.raises(SettingError):
        make_shards([store_path, store_path], [])


def test_the_answers_are_the_predictors(
    job: BatchJob, store_path: Path, small_store: PackedStore, files: list[Path], run_folder: Path
) -> None:
    shards = make_shards([store_path], files, size=50)
    job = replace(job, top=3, threshold=0.2)
    assert answer(job, shards) == count_results(job, shards) == BatchResult(predicted=127, failed=1)
    predictor = Predictor(run_folder, engine="torch", threshold=0.2)
    good = [path for path in files if path.stem != "clip3"]
    whole = predictor.predict([small_store[place] for place in range(120)], top=3) + predictor.predict(list(good), top=3)
    lines = lines_of(job, shards)
    wrong = lines.pop(123)
    assert wrong["clip"] == str(files[3]) and "clip3.npy" in wrong["error"] and "scores" not in wrong
    assert [line["clip"] for line in lines] == [*map(str, small_store.clips["name"]), *map(str, good)]
    assert [line.get("store") for line in lines] == [str(store_path)] * 120 + [None] * 7
    for line, prediction in zip(lines, whole, strict=True):
        assert (line["action"], line["unknown"]) == (prediction.action, prediction.unknown)
        assert [each["action"] for each in line["scores"]] == [each.action for each in prediction.scores]
        # Other clips are beside it in its batch.
        for each, expected in zip(line["scores"], prediction.scores, strict=True):
            assert each["probability"] == pytest.approx(expected.probability, abs=1e-6)
    assert {line["unknown"] for line in lines} == {False, True}


def test_what_was_stopped_goes_on_and_does_nothing_twice(job: BatchJob, store_path: Path, tmp_path: Path) -> None:
    shards, unbroken = make_shards([store_path], [], size=25), replace(job, out=str(tmp_path / "unbroken"))
    answer(unbroken, shards)
    assert answer(job, shards, only=2) == BatchResult(predicted=50)
    out = Path(job.out)
    (out / f".{shards[2].file}.abc").write_text("half a sh")  # as a worker leaves it that is killed
    before = {shard.file: (out / shard.file).stat() for shard in shards[:2]}
    with pytest.raises(FileError):
        count_results(job, shards)
    with open_batch(job, shards) as todo:
        assert todo == list(shards[2:])
    assert answer(job, shards) == BatchResult(predicted=70)
    assert answer(job, shards) == BatchResult()
    for name, status in before.items():
        assert ((out / name).stat().st_ino, (out / name).stat().st_mtime_ns) == (status.st_ino, status.st_mtime_ns)
    assert sorted(path.name for path in out.iterdir()) == ["batch.json", *(shard.file for shard in shards)]
    for shard in shards:
        assert (out / shard.file).read_bytes() == (Path(unbroken.out) / shard.file).read_bytes()


def test_an_answer_to_something_else_is_refused(
    job: BatchJob, files: list[Path], build: Callable[..., Recognizer], tmp_path: Path
) -> None:
    shards = make_shards([], files, size=3)
    answer(job, shards, only=1)

    def refused(what: str, job: BatchJob = job, shards: Sequence[Shard] = shards) -> None:
        with pytest.raises(FileError, match=rf"{what} differ.*--out"):
            answer(job, shards)

    save_recognizer(build(1), tmp_path / "other" / "recognizer.safetensors")
    refused("recognizer", job=replace(job, run=str(tmp_path / "other")))
    refused("settings", job=replace(job, top=2))
    refused("settings", job=replace(job, threshold=0.1))
    refused("settings", job=replace(job, layout="kinect20"))
    refused("shards", shards=make_shards([], files, size=4))
    refused("clips, contents, shards", shards=make_shards([], files[:-1], size=3))
    refused("contents", shards=make_shards([], [*files[1:], files[0]], size=3))
    os.utime(files[5], (0, 0))
    refused("contents")


def test_a_store_that_was_prepared_anew_is_another_one(job: BatchJob, small_store: PackedStore, tmp_path: Path) -> None:
    clips = [small_store[place] for place in range(12)]
    info = {"benchmark": load_benchmark("demo"), "layout": load_layout("kinect20"), "source": {}}
    store = tmp_path / "store"
    write_store(store, clips, **info)
    shards = make_shards([store], [], size=5)
    answer(job, shards)
    write_store(store, [replace(clip, joints=2 * clip.joints) for clip in clips], **info, overwrite=True)
    with pytest.raises(FileError):
        answer(job, shards)


def test_folders_that_hold_something_else_are_refused(job: BatchJob, files: list[Path]) -> None:
    shards = make_shards([], files)
    with pytest.raises(FileError):
        answer(replace(job, out=str(files[0].parent)), shards)
    with pytest.raises(FileError):
        answer(replace(job, out=str(files[0])), shards)
    with pytest.raises(FileError):
        answer(replace(job, out=str(files[0] / "below")), shards)
    with pytest.raises(SettingError):
        replace(job, top=0)
    answer(job, shards)
    (Path(job.out) / "batch.json").write_text("{")
    with pytest.raises(FileError):
        answer(job, shards)


def test_a_shard_that_lost_a_line_is_named(job: BatchJob, files: list[Path]) -> None:
    shards = make_shards([], files)
    answer(job, shards)
    path = Path(job.out) / shards[0].file
    path.write_text(path.read_text().split("\n", 1)[1])
    with pytest.raises(FileError):
        count_results(job, shards)


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
def test_exclusive_lock_process_fills_a_folder(job: BatchJob, files: list[Path]) -> None:
    shards = make_shards([], files)
    with open_batch(job, shards), pytest.raises(FileError):
        answer(job, shards)


def test_other_joints_are_mapped_and_what_cannot_be_is_refused_at_once(
    job: BatchJob, clips: Sequence[Clip], tmp_path: Path
) -> None:
    """Stores of layouts and channels that the recognizer has not: of Kinect v2, with scores, and of 2D poses without hips' names."""
    others: dict[str, tuple[Clip, bool]] = {
        "ntu25": (Clip(np.random.default_rng(0).normal(size=(1, 9, 25, 3)).astype(np.float32), "a"), False),
        "kinect20": (Clip(np.random.default_rng(0).normal(size=(1, 9, 20, 4)).astype(np.float32), "a", has_scores=True), True),
    }
    for layout, (clip, has_scores) in others.items():
        write_store(
            tmp_path / layout,
            [clip],
            benchmark=load_benchmark("demo"),
            layout=load_layout(layout),
            source={},
            has_scores=has_scores,
        )
    done = answer(job, make_shards([tmp_path / "ntu25"], []))
    assert done.predicted == 1
    (mapped,) = done.mapped
    assert "ntu25" in mapped and "kinect20" in mapped
    scored_job = replace(job, out=str(tmp_path / "scored"))
    with pytest.raises(InputError):
        answer(scored_job, make_shards([tmp_path / "kinect20"], []))
    assert not Path(scored_job.out).exists()


def test_without_ray_its_extra_is_named(job: BatchJob, files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackageError, match="'ray'"):
        list(predict_on_ray(job, make_shards([], files)))
