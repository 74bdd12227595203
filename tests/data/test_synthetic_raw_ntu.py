"""Synthetic NTU RGB+D files: a plain reader gets back exactly what was planted, and the files look like real ones."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.synthetic import raw_ntu
from poseglot.data.synthetic.raw_ntu import FAULTS, RawClip, broken_files, raw_clip, raw_file, raw_names, write_raw_set
from poseglot.errors import FileError, NotFoundError, SettingError
from poseglot.skeletons.layout import load_layout

LAYOUT = load_layout("ntu25")
ALONE, TOGETHER = "S003C002P007R001A022", "S018C001P041R002A110"
Array = npt.NDArray[np.float64]

# --- a slow, strict, line-by-line reader ------------------------------------------------------------------------------------


@dataclass
class Body:
    frames: list[int] = field(default_factory=list)
    rows: list[list[list[float]]] = field(default_factory=list)

    @property
    def table(self) -> Array:
        """(n, 25, 12)."""
        return np.array(self.rows)

    @property
    def joints(self) -> npt.NDArray[np.float32]:
        return self.table[..., :3].astype(np.float32)


@dataclass
class Read:
    frames: list[list[str]]  # the ids in each
    bodies: dict[str, Body]


def read(text: bytes) -> Read:
    """Every value of a file; ValueError on whatever is not of the form. Only x, y and z must be finite."""
    end = b"\r\n" if b"\r\n" in text else b"\n"
    lines = text.split(end)
    if lines.pop() != b"" or any(byte in line for line in lines for byte in (b"\r", b"\n")):
        raise ValueError("line ends are mixed, or the last line has none")
    rest = iter(lines)

    def whole() -> int:
        line = next(rest, b"")
        if not line.isdigit():
            raise ValueError(f"{line!r} is no count")
        return int(line)

    count = whole()
    if count == 0:
        raise ValueError("no frames")
    result = Read([], {})
    for frame in range(count):
        result.frames.append([])
        for _ in range(whole()):
            head = next(rest, b"").split(b" ")
            if len(head) != 10 or not head[0].isdigit() or whole() != 25:
                raise ValueError("a body has ten values, then its 25 joints")
            [float(value) for value in head[1:]]
            rows = []
            for _ in range(25):
                words = next(rest, b"").split(b" ")
                values = [0.0 if place > 2 and word == b"-1.#IND" else float(word) for place, word in enumerate(words)]
                if len(values) != 12 or not np.isfinite(values[:3]).all():
                    raise ValueError("a joint has twelve values")
                rows.append(values)
            id_ = head[0].decode()
            if id_ in result.frames[-1]:
                raise ValueError("an id is there twice")
            result.frames[-1].append(id_)
            body = result.bodies.setdefault(id_, Body())
            body.frames.append(frame)
            body.rows.append(rows)
    if next(rest, None) is not None:
        raise ValueError("something follows the last frame")
    return result


def noisy_share(joints: npt.NDArray[np.float32]) -> float:
    """Of the frames in which a body is wider than 0.8 times its height."""
    span = np.ptp(joints, axis=1)
    return float((span[:, 0] > 0.8 * span[:, 1]).mean())


def assert_text_is_truth(clip: RawClip) -> None:
    found, truth = read(clip.text), clip.truth
    assert len(found.frames) == truth.frames
    assert found.bodies.keys() == {body.id for body in truth.bodies}
    assert len(truth.bodies) == len(found.bodies)
    for body in truth.bodies:
        same = found.bodies[body.id]
        assert body.frames.tolist() == same.frames
        assert body.joints.dtype == np.float32 and np.array_equal(body.joints, same.joints)
    for frame, ids in enumerate(found.frames):
        assert ids == [body.id for body in truth.bodies if frame in body.frames]


@pytest.fixture(scope="module")
def clips() -> list[RawClip]:
    """A small set with the usual faults, all 120 actions likely."""
    return [raw_clip(name, seed=5) for name in raw_names(120, seed=5)]


@pytest.fixture(scope="module")
def tables(clips: list[RawClip]) -> list[Read]:
    return [read(clip.text) for clip in clips[:12]]


# --- the text -------------------------------------------------------------------------------------------------------------


def test_a_plain_reader_gets_the_truth_back(clips: list[RawClip]) -> None:
    for clip in clips[:24]:
        assert_text_is_truth(clip)


def test_every_fault_at_once_is_still_well_formed() -> None:
    for seed in range(4):
        for name in (ALONE, TOGETHER):
            clip = raw_clip(name, seed=seed, faults=[fault for fault in FAULTS if fault != "no bodies"], frames=40)
            assert_text_is_truth(clip)
            assert clip.truth.faults == set(FAULTS) - {"no bodies"}


def test_numbers_are_written_as_the_sensor_wrote_them(clips: list[RawClip]) -> None:
    ends = {b"\r\n" in clip.text for clip in clips}
    assert ends == {True, False}
    for clip in clips[:8]:
        words = clip.text.split()
        floats = [word for word in words if b"." in word]
        digits = [len(word.lower().partition(b"e")[0].strip(b"-0").replace(b".", b"").lstrip(b"0")) for word in floats]
        assert max(digits, default=0) <= 7 and np.mean([count >= 6 for count in digits]) > 0.95
        assert b"-0" not in words and not any(word.lower() in (b"nan", b"inf", b"-inf") for word in words)
    for clip in clips[:30]:
        wrong, right = (b"e-", b"E-") if b"\r\n" in clip.text else (b"E-", b"e-")  # Windows writes E-05
        assert wrong not in clip.text
        assert right in clip.text or len(clip.text) < 1e5


def test_ids_are_numbers_that_floats_confuse(clips: list[RawClip]) -> None:
    confused = 0
    for clip in clips:
        ids = [body.id for body in clip.truth.bodies]
        assert len(set(ids)) == len(ids)
        assert all(len(id_) == 17 and id_.startswith("720575940379") for id_ in ids)
        confused += len({float(id_) for id_ in ids}) < len(ids)
    assert confused > 3


def test_the_other_columns_belong_to_the_joints(tables: list[Read]) -> None:
    for found in tables:
        for body in found.bodies.values():
            rows = body.table.reshape(-1, 12)
            for column, axis, focal, near in (
                (3, 0, 366.5, 0.01),
                (4, 1, -366.6, 0.01),
                (5, 0, 1058.0, 40),
                (6, 1, -1058.0, 0.01),
            ):
                offset = rows[:, column] - focal * rows[:, axis] / rows[:, 2]
                assert np.ptp(offset) < near
            sizes = np.linalg.norm(rows[:, 7:11], axis=1)
            assert 25 * np.isclose(sizes, 1, atol=1e-5).sum() == 18 * len(rows) and 25 * (sizes == 0).sum() == 7 * len(rows)
            assert set(rows[:, 11]) <= {1.0, 2.0}


# --- reproducible ---------------------------------------------------------------------------------------------------------


def test_a_file_depends_on_seed_and_name_only() -> None:
    first, again, other = (raw_file(ALONE, seed=seed) for seed in (3, 3, 4))
    assert first == again != other
    assert len({raw_file(name, seed=3) for name in raw_names(10, seed=0)}) == 10


def test_a_fault_leaves_the_people_as_they_are() -> None:
    clean = {body.person: body.joints for body in raw_clip(TOGETHER, seed=1, faults=()).truth.bodies}
    for fault in ("noise body", "ghost", "empty middle"):
        bodies = raw_clip(TOGETHER, seed=1, faults=[fault]).truth.bodies
        people = [body for body in bodies if body.role == "person"]
        assert len(people) == 2
        for body in people:
            assert np.array_equal(body.joints, clean[body.person][body.frames])


def test_three_cameras_see_one_performance() -> None:
    views = [raw_clip(f"S004C00{camera}P012R001A009", seed=2, faults=()).truth.bodies[0].joints for camera in (1, 2, 3)]
    assert len({len(view) for view in views}) == 1
    back = [np.linalg.norm(view[:, LAYOUT.index["neck"]] - view[:, LAYOUT.index["spine_base"]], axis=1) for view in views]
    assert np.ptp([np.median(length) for length in back]) < 0.03
    assert np.abs(views[0] - views[1]).max() > 0.1


# --- faults ---------------------------------------------------------------------------------------------------------------


def missing_inside(body: Body) -> list[int]:
    """Lengths of the holes in a body's frames."""
    steps = np.diff(body.frames)
    return [int(step) - 1 for step in steps if step > 1]


@pytest.mark.parametrize("name", [ALONE, TOGETHER])
@pytest.mark.parametrize("seed", range(4))
def test_without_faults_people_are_there_throughout(name: str, seed: int) -> None:
    clip = raw_clip(name, seed=seed, faults=())
    found = read(clip.text)
    people = 2 if name == TOGETHER else 1
    assert clip.truth.faults == frozenset() and {body.role for body in clip.truth.bodies} == {"person"}
    assert {len(ids) for ids in found.frames} == {people} and len(found.bodies) == people
    assert all(noisy_share(body.joints) < 0.69754 for body in found.bodies.values())


@pytest.mark.parametrize("frames", [30, 60])
@pytest.mark.parametrize("name", [ALONE, TOGETHER])
@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_fault_asked_for_is_in_the_text(fault: str, name: str, frames: int) -> None:
    people = 2 if name == TOGETHER else 1
    for seed in range(3):
        clip = raw_clip(name, seed=seed, faults=[fault], frames=frames)
        assert clip.truth.faults == {fault} and clip.truth.frames == frames
        found = read(clip.text)
        counts = [len(ids) for ids in found.frames]
        bodies = list(found.bodies.values())
        lengths = sorted(len(body.frames) for body in bodies)
        noise = [body for body in bodies if noisy_share(body.joints) >= 0.69754]
        if fault == "noise body":
            assert len(noise) in (1, 2) and len(bodies) == people + len(noise) and max(counts) > people
        elif fault == "ghost":
            assert lengths[0] <= 11 and lengths[1:] == [frames] * people and not noise
        elif fault == "id flickers":
            assert len(bodies) == people + 1 and set(counts) == {people}
            assert lengths[0] + lengths[1] == frames and lengths[0] > 11
        elif fault == "gap":
            holes = [hole for body in bodies for hole in missing_inside(body)]
            assert len(holes) == 1 and 1 <= holes[0] <= 5 and min(counts) == people - 1
        elif fault == "leaves and returns":
            holes = [hole for body in bodies for hole in missing_inside(body)]
            assert len(holes) == 1 and holes[0] >= frames / 5 and min(counts) == people - 1
        elif fault == "empty start":
            assert counts[0] == 0 and counts == sorted(counts) and counts[-1] == people
        elif fault == "empty middle":
            assert counts[0] == counts[-1] == people and 1 <= counts.count(0) <= 4
        elif fault == "all noise":
            assert len(noise) == len(bodies) == people
        else:
            assert fault == "no bodies" and set(counts) == {0}


def test_roles_are_what_the_bodies_look_like(clips: list[RawClip]) -> None:
    bodies = [body for clip in clips for body in clip.truth.bodies]
    assert all(noisy_share(body.joints) < 0.69754 for body in bodies if body.role == "person")
    assert all(len(body.frames) <= 11 for body in bodies if body.role == "ghost")
    noise = [body for body in bodies if body.role == "noise"]
    assert noise and all(noisy_share(body.joints) >= 0.69754 for body in noise)
    # Some people look like furniture for a while, as real ones do.
    assert any(noisy_share(body.joints) > 0.05 for body in bodies if body.role == "person")


def test_faults_come_as_often_as_the_table_says() -> None:
    table = {"gap": 0.5, "ghost": 0.1}
    planted = [raw_clip(name, seed=9, faults=table, frames=30).truth.faults for name in raw_names(150, seed=9)]
    assert set().union(*planted) == set(table)
    # Some three standard deviations of a share of 150 either way.
    assert 0.38 < np.mean(["gap" in faults for faults in planted]) < 0.62
    assert 0.02 < np.mean(["ghost" in faults for faults in planted]) < 0.18


def test_usual_faults_are_rare_and_all_there_is() -> None:
    assert all(0 < share < 0.1 for share in FAULTS.values())


# --- like the real files --------------------------------------------------------------------------------------------------


def people_of(tables: Mapping[str, bytes]) -> list[Array]:
    found = [body.table for text in tables.values() for body in read(text).bodies.values()]
    return [table for table in found if len(table) > 20 and noisy_share(table[..., :3].astype(np.float32)) < 0.5]


def bone_lengths(tables: list[Array]) -> Array:
    """(people, 24) medians over a clip."""
    child, parent = np.array(LAYOUT.bone_pairs).T
    return np.array([np.median(np.linalg.norm(t[:, child, :3] - t[:, parent, :3], axis=-1), axis=0) for t in tables])


def test_lengths_and_sizes_are_those_of_the_real_set(clips: list[RawClip]) -> None:
    frames = np.array([clip.truth.frames for clip in clips])
    sizes = np.array([len(clip.text) for clip in clips if clip.truth.bodies])
    assert frames.min() >= 30 and frames.max() <= 300
    assert 73 < frames.mean() < 93  # 83 at real scale; of 120 clips the mean spreads by 3
    assert 20 < frames.std() < 50
    assert 0.2e6 < sizes.mean() < 0.36e6 and (sizes > 60e3).all()


def test_the_action_decides_how_many_people_there_are(clips: list[RawClip]) -> None:
    pairs = {*range(50, 61), *range(106, 121)}
    seen = set()
    for clip in clips:
        people = {body.person for body in clip.truth.bodies if body.role == "person"}
        if not clip.truth.faults & {"all noise", "no bodies"}:
            assert people == ({0, 1} if int(clip.name[-3:]) in pairs else {0})
            seen.add(len(people))
    assert seen == {1, 2}


def test_people_stand_upright_before_the_sensor(clips: list[RawClip]) -> None:
    for clip in clips:
        for body in clip.truth.bodies:
            if body.role != "person":
                continue
            typical = {name: np.median(body.joints[:, place], axis=0) for name, place in LAYOUT.index.items()}
            assert typical["head"][1] > typical["neck"][1] > typical["spine_base"][1] > typical["left_ankle"][1] + 0.4
            assert 1.8 < typical["spine_base"][2] < 4.5
            if clip.name[5:8] == "002" and {other.person for other in clip.truth.bodies if other.role == "person"} == {0}:
                # Who faces a sensor has the left shoulder on its left.
                assert typical["left_shoulder"][0] < typical["right_shoulder"][0]


def test_bones_and_pace_are_those_of_real_people(shared: Path, clips: list[RawClip]) -> None:
    raw = shared / "data" / "ntu" / "raw"
    real = people_of({path.name: path.read_bytes() for path in sorted(raw.glob("*.skeleton"))})
    ours = people_of({clip.name: clip.text for clip in clips[:30] if "noise" not in " ".join(clip.truth.faults)})
    assert len(real) == 6 and len(ours) > 25
    theirs, made = bone_lengths(real), bone_lengths(ours)
    ratio = np.median(made, axis=0) / np.median(theirs, axis=0)
    assert (ratio > 0.6).all() and (ratio < 1.7).all()
    assert 0.85 < np.median(made, axis=0).sum() / np.median(theirs, axis=0).sum() < 1.2

    def pace(table: Array) -> float:
        return float(np.linalg.norm(np.diff(table[..., :3], axis=0), axis=-1).mean())  # metres per frame

    def jitter(table: Array) -> float:
        return float(np.linalg.norm(np.diff(table[..., :3], 2, axis=0), axis=-1).mean())

    for measure in (pace, jitter):
        assert 0.5 < np.median([measure(t) for t in ours]) / np.median([measure(t) for t in real]) < 2
    inferred = [np.mean([(t[..., 11] == 1).mean() for t in tables]) for tables in (ours, real)]
    assert 0.4 < inferred[0] / inferred[1] < 2


def test_a_body_takes_as_many_bytes_as_a_real_one(shared: Path, clips: list[RawClip]) -> None:
    def per_body(text: bytes) -> float:
        return len(text) / sum(len(ids) for ids in read(text).frames)

    real = [per_body(path.read_bytes()) for path in sorted((shared / "data" / "ntu" / "raw").glob("*.skeleton"))]
    ours = [per_body(clip.text) for clip in clips[:12] if clip.truth.bodies]
    assert abs(np.mean(ours) / np.mean(real) - 1) < 0.03


# --- bad input ------------------------------------------------------------------------------------------------------------


def test_broken_files_are_broken() -> None:
    files = broken_files(3)
    assert len(set(files.values())) == len(files) > 25
    whole = read(files["unbroken"])
    assert len(whole.frames) == 30 and len(whole.bodies) == 1
    (id_,) = whole.bodies
    harmless = read(files["indefinite depth"])
    assert np.array_equal(harmless.bodies[id_].joints, whole.bodies[id_].joints)
    for fault, content in files.items():
        if fault not in ("unbroken", "indefinite depth"):
            with pytest.raises(ValueError, match=r".+"):
                read(content)
    assert broken_files(3) == files != broken_files(4)


@pytest.mark.parametrize("seed", range(6))
def test_broken_files_differ_in_what_they_say(seed: int) -> None:
    files = broken_files(seed)
    whole = files["unbroken"]
    for fault in ("cut in a number", "cut in a line", "cut in a frame", "cut between frames", "cut after the number of frames"):
        assert whole.startswith(files[fault]) and 0 < len(files[fault]) < len(whole), fault
    # In a number: what is left is the beginning of one of the whole file's words.
    assert not whole[len(files["cut in a number"]) :][:1].isspace() and files["cut in a number"][-1:].isdigit()
    assert whole[len(files["cut in a line"]) :][:1] == b" "
    assert files["cut in a frame"].endswith(b"\n") and files["cut between frames"].endswith(b"\n")


# --- whole sets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("benchmark", "total"), [("ntu60", 56880), ("ntu120", 114480)])
def test_names_are_different_and_spread_like_the_real_ones(benchmark: str, total: int) -> None:
    names = raw_names(total, seed=0, benchmark=benchmark)
    assert len(set(names)) == total and names == sorted(names)
    fields = np.array([[int(name[at : at + 3]) for at in range(1, 20, 4)] for name in names])
    assert all(
        name == "S{:03d}C{:03d}P{:03d}R{:03d}A{:03d}".format(*row) for name, row in zip(names[:100], fields, strict=False)
    )
    most = (17, 3, 40, 2, 60) if benchmark == "ntu60" else (32, 3, 106, 2, 120)
    for column, top in zip(fields.T, most, strict=True):
        values, counts = np.unique(column, return_counts=True)
        assert values.tolist() == list(range(1, top + 1))
        assert counts.max() <= 3 * counts.min()
    assert (fields[fields[:, 0] <= 17, 4] <= 60).all() and (fields[fields[:, 0] > 17, 4] > 60).all()
    # Both sides of every split get a good share.
    for rule in load_benchmark(benchmark).splits.values():
        (where, values), *_ = rule["train"].items()
        column = {"subject": 2, "camera": 1, "setup": 0}[where]
        assert 0.3 < np.isin(fields[:, column], values).mean() < 0.7


def test_fewer_names_are_a_part_of_more() -> None:
    few, many = (raw_names(files, seed=2) for files in (20, 50))
    assert set(few) < set(many) and raw_names(20, seed=3) != few
    assert all(name[1:4] <= "017" for name in raw_names(50, seed=2, benchmark="ntu60"))


def test_a_set_does_not_depend_on_workers_nor_on_folder_or_zip(tmp_path: Path) -> None:
    names = write_raw_set(tmp_path / "one.zip", files=20, seed=6)
    assert write_raw_set(tmp_path / "two.zip", files=20, seed=6, workers=2) == names == raw_names(20, seed=6)
    assert write_raw_set(tmp_path / "folder", files=20, seed=6) == names
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"nturgb+d_skeletons/{name}.skeleton" for name in names]
        for info, name in zip(archive.infolist(), names, strict=True):
            text = archive.read(info)
            assert info.compress_type == zipfile.ZIP_DEFLATED and info.date_time == (1980, 1, 1, 0, 0, 0)
            assert text == (tmp_path / "folder" / f"{name}.skeleton").read_bytes() == raw_file(name, seed=6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "one.zip", "two.zip"]
    assert len(list((tmp_path / "folder").iterdir())) == 20


def test_faults_and_progress_reach_every_file(tmp_path: Path) -> None:
    shown: list[str] = []

    def watch(members):  # type: ignore[no-untyped-def]
        for member in members:
            shown.append(member.name)
            yield member

    names = write_raw_set(tmp_path / "set", files=5, seed=1, faults=["no bodies"], benchmark="ntu60", progress=watch)
    assert shown == names
    assert all(not read(path.read_bytes()).bodies for path in (tmp_path / "set").iterdir())


def test_nothing_is_left_of_a_set_that_failed(tmp_path: Path) -> None:
    def stop(members):  # type: ignore[no-untyped-def]
        yield next(iter(members))
        raise RuntimeError("enough")

    for out in ("set", "set.zip"):
        with pytest.raises(RuntimeError, match=r"enough"):
            write_raw_set(tmp_path / out, files=3, seed=0, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    for out in (tmp_path / "set", tmp_path / "set.zip"):
        write_raw_set(out, files=1, seed=0)
        with pytest.raises(FileError):
            write_raw_set(out, files=1, seed=0)


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    for name in (
        "S001C001P001R001A121",
        "S001C004P001R001A001",
        "S000C001P001R001A001",
        "a01_s01_e00_v01",
        "S001C001P001R001A001.skeleton",
    ):
        with pytest.raises(SettingError, match=name):
            raw_clip(name, seed=0)
    with pytest.raises(NotFoundError, match=r"'rain'.*noise body"):
        raw_clip(ALONE, seed=0, faults=["rain"])
    with pytest.raises(NotFoundError, match="'rain'"):
        write_raw_set(tmp_path / "x", files=1, seed=0, faults={"rain": 0.1})
    with pytest.raises(SettingError, match="12"):
        raw_clip(ALONE, seed=0, frames=12)
    with pytest.raises(SettingError, match="-1"):
        raw_clip(ALONE, seed=-1)
    with pytest.raises(SettingError, match="-1"):
        raw_names(1, seed=-1)
    with pytest.raises(SettingError, match="56,880"):
        raw_names(56881, seed=0, benchmark="ntu60")
    with pytest.raises(SettingError, match="0 files"):
        write_raw_set(tmp_path / "x.zip", files=0, seed=0)
    with pytest.raises(NotFoundError, match="nw-ucla"):
        raw_names(1, seed=0, benchmark="nw-ucla")
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_a_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "raw.zip"
    told = ["--files", "3", "--out", str(out), "--seed", "4", "--workers", "1"]
    raw_ntu.main(told)
    with zipfile.ZipFile(out) as archive:
        assert [Path(name).stem for name in archive.namelist()] == raw_names(3, seed=4)
    with pytest.raises(SystemExit, match=r"raw\.zip"):
        raw_ntu.main(told)
    raw_ntu.main(["--files", "2", "--out", str(tmp_path / "clean"), "--faults", "--workers", "1"])
    assert len(list((tmp_path / "clean").iterdir())) == 2
    assert capsys.readouterr().out == ""
