"""`poseglot info`: what it says of a store, against the store itself."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.data.benchmarks import load_benchmark
from poseglot.data.quality.checks import CHECKS
from poseglot.data.store import PackedStore, open_store, write_store
from poseglot.data.synthetic import ACTIONS
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout

Command = Callable[..., Any]


@pytest.fixture
def faulty(small_store: PackedStore, tmp_path: Path) -> Path:
    """The small store with a jump in one clip, and one clip for testing that is also one for training."""
    clips = [small_store[place] for place in range(len(small_store))]
    joints = clips[3].joints.copy()
    joints[0, 8, 7] += 2
    clips[3] = replace(clips[3], joints=joints)
    (test,) = small_store.subset("cross-person", "test")[:1]
    clips[test] = replace(clips[test], joints=clips[5].joints)
    path = tmp_path / "faulty"
    write_store(
        path,
        clips,
        benchmark=load_benchmark("demo"),
        layout=load_layout("kinect20"),
        source={"file": "some.zip", "sha256": "c4" * 32, "members": 1200, "files": [f"part {n}.zip" for n in range(9)]},
    )
    return path


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    """Sixty classes, of which most are empty; subjects, cameras and setups with gaps."""
    numbers = np.random.default_rng(0)
    clips = [
        Clip(
            numbers.normal(size=(1, 30 + place, 25, 3)).astype(np.float32),
            name=f"clip {place}",
            label=place % 7 * (place % 7),
            subject=1 if place % 7 == 6 else place % 5 + (place % 5) // 4 * 10,
            camera=place % 3 + 1,
            setup=1 + place % 2 * 4,
        )
        for place in range(40)
    ]
    path = tmp_path / "numbered"
    write_store(path, clips, benchmark=load_benchmark("ntu60"), layout=load_layout("ntu25"), source={})
    return path


def fits(text: str) -> None:
    assert max(map(len, text.splitlines())) <= 100


def test_a_clean_store(poseglot: Command, store_path: Path, small_store: PackedStore) -> None:
    said = poseglot("info", store_path, "--no-pictures")
    assert (said.status, said.error) == (0, "")
    lines = said.out.splitlines()
    assert lines[0] == f"{store_path}: demo, 120 clips"
    frames = small_store.clips["frames"]
    assert f"  layout      kinect20, 20 joints with x, y, z (float32); pipeline {small_store.info.pipeline}" in lines
    assert "  people      1 in 120 clips" in lines
    expected = f"{frames.min()} to {frames.max()} a clip, median {np.median(frames):g}; {frames.sum():,} in all"
    assert f"  frames      {expected}" in lines
    assert "hours" not in said.out
    sizes = []
    for place in range(len(small_store)):
        for body in small_store[place].joints[0]:
            sizes.append(np.linalg.norm(body.max(axis=0) - body.min(axis=0)))
    found = re.search(r"^  body        median (\d\.\d+) units across the box", said.out, flags=re.M)
    assert found and float(found[1]) == pytest.approx(float(np.median(sizes)), rel=0.02)
    assert "  subjects    10: 1-10" in lines
    assert "  source      synthetic: tests" in lines
    assert "classes: 12" in lines
    for action in ACTIONS:
        assert re.search(rf"{action} +10( |$)", said.out, flags=re.M), action
    assert "split cross-person: 96 train, 24 test" in lines
    assert "warning" not in said.out
    assert lines[-1] == "worth a look: no clip (--checks lists the checks)"
    assert not (store_path / "pictures").exists()


def test_what_is_worth_a_look(poseglot: Command, faulty: Path, small_store: PackedStore) -> None:
    said = poseglot("info", faulty)
    assert (said.status, said.error) == (0, "")
    fits("\n".join(line for line in said.out.splitlines() if str(faulty) not in line))
    names = small_store.clips["name"]
    test = names[small_store.subset("cross-person", "test")[0]]
    assert "worth a look: 3 of 120 clips (2.5 %; --checks lists the checks)" in said.out
    assert re.search(rf"  jump: +1  {CHECKS['jump'].meaning[:30]}", said.out)
    assert re.search(rf"^ +{names[3]}  \d\.\d+ bodies in a frame, frame (9|10), left_hand$", said.out, flags=re.M)
    assert re.search(r"  same_content: +1  ", said.out)
    assert f"{names[5]}  2 clips, as {test}" in said.out
    assert re.search(r"warning: split cross-person: test clips that .* test nothing: 1 \(", " ".join(said.out.split()))
    assert "  source      file: some.zip\n              sha256: " + "c4" * 32 in said.out
    assert "members: 1,200" in said.out
    assert "part 5.zip, ..." in said.out
    made = [Path(line) for line in said.out.splitlines()[-2:]]
    assert made == [faulty / "pictures" / name for name in ("clips.png", "worth-a-look.png")]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in made)
    open_store(faulty)  # pictures in its folder do not disturb a store


def test_more_and_fewer_findings(poseglot: Command, small_store: PackedStore, tmp_path: Path) -> None:
    clips = [small_store[place] for place in range(60)]
    clips[:5] = [replace(clip, joints=clip.joints[:, :3]) for clip in clips[:5]]
    path = tmp_path / "short"
    write_store(path, clips, benchmark=load_benchmark("demo"), layout=load_layout("kinect20"), source={})
    for options, listed, rest in (
        ((), 3, "... and 2 more (--findings 5)"),
        (("--findings", 5), 5, ""),
        (("--findings", 0), 0, "and 5 more"),
    ):
        said = poseglot("info", path, "--no-pictures", *options)
        assert sum(clip.name in said.out for clip in clips[:5]) == listed
        assert rest in said.out
        assert ("more (--findings" in said.out) == bool(rest)


def test_many_classes_are_listed_on_demand(poseglot: Command, numbered: Path) -> None:
    said = poseglot("info", numbered, "--no-pictures")
    assert said.status == 0
    names = load_benchmark("ntu60").classes
    assert "classes: 60 (--classes lists all)" in said.out
    assert f"  fewest      {names[25]} 5, {names[36]} 5, {names[0]} 6" in said.out
    assert "  none        53: " in said.out
    assert re.search(r"hours at 30 frames/s", said.out)
    assert "  subjects    4: 1-3, 14" in said.out
    assert "  cameras     3: 1-3" in said.out
    assert "  setups      2: 1, 5" in said.out
    fits("\n".join(said.out.splitlines()[1:]))
    whole = poseglot("info", numbered, "--no-pictures", "--classes").out
    for name in names:
        assert re.search(rf"(^|  ){re.escape(name)} +\d", whole, flags=re.M), name
    fits("\n".join(whole.splitlines()[1:]))
    assert f"  warning: classes without a clip in the test set: 1 ({names[36]})" in said.out.splitlines()


def test_the_report_of_the_preparation(poseglot: Command, faulty: Path) -> None:
    issues = [
        {"name": f"S{number}", "origin": "a.zip", "kind": kind, "message": f"a.zip, S{number}: something {kind}"}
        for number, kind in enumerate(["unreadable"] * 4 + ["cut short"])
    ]
    report = {"stored": 120, "skipped": {"known to miss skeletons": ["A", "B", "C", "D"]}, "issues": issues}
    (faulty / "preparation.json").write_text(json.dumps(report))
    said = poseglot("info", faulty, "--no-pictures")
    lines = said.out.splitlines()
    begin = lines.index("preparation: 120 stored, 5 issues")
    assert lines[begin + 1 : begin + 8] == [
        "  left out: 4 known to miss skeletons (A, B, C, ...)",
        "  unreadable: 4",
        *[f"    a.zip, S{number}: something unreadable" for number in range(3)],
        "  cut short: 1",
        "    a.zip, S4: something cut short",
    ]
    for strange in ('{"issues": 3, "skipped": [1]}', '{"issues": [1, {}], "skipped": {"x": 3}}', "{", "[]"):
        (faulty / "preparation.json").write_text(strange)
        said = poseglot("info", faulty, "--no-pictures")
        assert (said.status, said.error) == (0, ""), strange
        assert "preparation: " in said.out


def test_json_says_everything(poseglot: Command, faulty: Path, small_store: PackedStore) -> None:
    said = poseglot("info", faulty, "--json", "--findings", 0)
    assert (said.status, said.error) == (0, "")
    everything = json.loads(said.out)
    assert everything["clips"] == 120
    assert everything["classes"] == dict.fromkeys(ACTIONS, 10)
    assert everything["splits"]["cross-person"]["clips"] == {"train": 96, "test": 24}
    assert {finding["check"] for finding in everything["findings"]} == {"jump", "same_content"}
    jump = next(finding for finding in everything["findings"] if finding["check"] == "jump")
    assert (jump["clip"], jump["joint"], jump["limit"]) == (small_store.clips["name"][3], "left_hand", CHECKS["jump"].limit)
    assert set(everything["checks"]) == set(CHECKS)
    assert everything["trained_and_tested"] == {
        "cross-person": [small_store.clips["name"][small_store.subset("cross-person", "test")[0]]]
    }
    assert [Path(path).name for path in everything["pictures"]] == ["clips.png", "worth-a-look.png"]


def test_the_checks_are_explained_without_a_store(poseglot: Command) -> None:
    said = poseglot("info", "--checks")
    assert said.status == 0
    for what, check in CHECKS.items():
        assert f"  {what}:" in said.out
        assert " ".join(check.meaning.split()[:5]) in said.out
    fits("\n".join(said.out.splitlines()[1:]))


def test_pictures_go_where_they_are_told(poseglot: Command, store_path: Path, tmp_path: Path) -> None:
    said = poseglot("info", store_path, "--pictures", tmp_path / "a" / "b")
    assert said.out.splitlines()[-1] == str(tmp_path / "a" / "b" / "clips.png")
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["clips.png"]
    assert not (store_path / "pictures").exists()


def test_no_pictures_without_the_package_or_the_right_to_write(
    poseglot: Command, faulty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)
        for module in [name for name in sys.modules if name.startswith(("poseglot.report", "matplotlib."))]:
            patch.delitem(sys.modules, module)
        said = poseglot("info", faulty)
    assert (said.status, said.error) == (0, "")
    assert re.search(r"no pictures: drawing needs the package 'matplotlib.*pip install", said.out)
    assert not (faulty / "pictures").exists()

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "replace", refuse)
    said = poseglot("info", faulty)
    assert said.status == 0
    assert re.search(r"no pictures: could not write .*clips.png.*Read-only", said.out)
    told = poseglot("info", faulty, "--pictures", tmp_path / "there")
    assert told.status == 1
    assert "Read-only" in told.error


def array_of(store: PackedStore, path: Path, places: list[int]) -> Path:
    """An array as the field's scripts make it, of some clips."""
    arrays: dict[str, Any] = {}
    for subset in ("train", "test"):
        own = [place for place in places if store.subset_mask("cross-subject", subset)[place]]
        x = np.zeros((len(own), 300, 2, 25, 3), dtype=np.float32)
        for row, place in zip(x, own, strict=True):
            joints = store[place].joints
            row[: joints.shape[1], : len(joints)] = joints.transpose(1, 0, 2, 3)
        arrays[f"x_{subset}"] = x.reshape(len(own), 300, 150)
        arrays[f"y_{subset}"] = np.eye(60)[store.clips["label"][own]]
    np.savez(path, **arrays)
    return path


def test_compare(poseglot: Command, numbered: Path, tmp_path: Path) -> None:
    store = open_store(numbered)
    order = np.random.default_rng(1).permutation(len(store)).tolist()
    same = poseglot("info", numbered, "--compare", array_of(store, tmp_path / "same.npz", order), "--split", "cross-subject")
    assert (same.status, same.error) == (0, "")
    on_a_side = int((store.subset_mask("cross-subject", "train") | store.subset_mask("cross-subject", "test")).sum())
    lines = same.out.splitlines()
    assert lines[0] == (
        f"{numbered} against {tmp_path / 'same.npz'} (split cross-subject; equal: no coordinate differs by more than 0.0001)"
    )
    assert lines[1] == "  tolerance     0.0001: the default for a store of float32"
    assert lines[2:5] == [
        f"  clips here    {on_a_side:>9}",
        f"  rows there    {on_a_side:>9}",
        f"  equal         {on_a_side:>9}   ({on_a_side} of them to the last bit)",
    ]
    assert f"  note: clips here in neither subset of the split, left out: {40 - on_a_side}" in lines
    assert lines[-1] == f"the same: each clip ({on_a_side}) equals a row, and each row a clip."

    path = array_of(store, tmp_path / "other.npz", [place for place in order if place != 6])
    with np.load(path) as arrays:
        changed = dict(arrays)
    subset = "train" if store.subset_mask("cross-subject", "train")[11] else "test"
    row = int(np.flatnonzero(changed[f"x_{subset}"][:, 0, 0] == store[11].joints[0, 0, 0, 0])[0])
    changed[f"x_{subset}"][row, 7, 3 * 4 + 1] += 0.5
    np.savez(path, **changed)
    other = poseglot("info", numbered, "--compare", path)
    assert (other.status, other.error) == (0, "")
    assert (
        f"clip 11 ({subset} row {row}): 1 coordinate differs, by up to 0.5 at person 1, frame 8, left_shoulder, y"
        in " ".join(other.out.split())
    )
    assert re.search(r"only here +\d+\n +clip ", other.out)
    assert "clip 6" in other.out
    assert re.search(r"not the same: \d+ of 40 clips equal no row, 1 of \d+ rows equals no clip\.$", other.out.strip())

    loose = poseglot("info", numbered, "--compare", path, "--tolerance", 0.6, "--json", "--split", "cross-subject")
    read = json.loads(loose.out)
    assert (read["tolerance"], read["differing"], read["unmatched_clips"], read["same"]) == (0.6, [], ["clip 6"], False)


def test_compare_a_store_of_half_precision(poseglot: Command, numbered: Path, tmp_path: Path) -> None:
    store = open_store(numbered)
    half = tmp_path / "half"
    clips = [store[place] for place in range(len(store))]
    write_store(half, clips, benchmark=load_benchmark("ntu60"), layout=load_layout("ntu25"), source={}, dtype="float16")
    array = array_of(store, tmp_path / "array.npz", list(range(40)))
    on_a_side = int((store.subset_mask("cross-subject", "train") | store.subset_mask("cross-subject", "test")).sum())
    said = poseglot("info", half, "--compare", array, "--split", "cross-subject")
    assert said.out.splitlines()[-1] == f"the same: each clip ({on_a_side}) equals a row, and each row a clip."
    assert re.search(r"^  tolerance     0\.00\d+: 0\.0001, and the 0\.00\d+ by which float16 rounds", said.out, flags=re.M)
    strict = poseglot("info", half, "--compare", array, "--tolerance", 1e-4)
    assert "  tolerance     0.0001: as given" in strict.out
    assert "not the same: " in strict.out


def test_compare_with_what_is_no_such_array(poseglot: Command, numbered: Path, tmp_path: Path) -> None:
    members: dict[str, Any] = {f"member{number:02}": np.zeros(1) for number in range(30)}
    np.savez(tmp_path / "raw.npz", **members)
    said = poseglot("info", numbered, "--compare", tmp_path / "raw.npz")
    assert said.status == 1
    assert "and it has member00, member01, member02 and 27 more." in said.error
    assert "member03" not in said.error


def test_one_is_not_many(poseglot: Command, small_store: PackedStore, tmp_path: Path) -> None:
    clip = small_store[0]
    path = tmp_path / "one"
    write_store(
        path,
        [replace(clip, joints=clip.joints[:, :1])],
        benchmark=load_benchmark("demo"),
        layout=load_layout("kinect20"),
        source={},
    )
    (path / "preparation.json").write_text(json.dumps({"stored": 1, "issues": [{"kind": "short"}]}))
    said = poseglot("info", path, "--no-pictures").out
    for words in ("demo, 1 clip\n", "1 in 1 clip\n", "1 of 1 clip (", f"{clip.name}  1 frame\n", "1 stored, 1 issue\n"):
        assert words in said
    assert not re.search(r"\b1 (clips|frames|people|issues)\b", said)
    assert poseglot("info", path, "--export", "pyskl", tmp_path / "one.pkl").out.startswith(
        f"{tmp_path / 'one.pkl'}: 1 clip of "
    )


def test_text_and_picture_count_the_same_clips(
    poseglot: Command, faulty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from poseglot.report import store_sheets

    titles: list[str] = []
    monkeypatch.setattr(store_sheets, "plot_contact_sheet", lambda *_, title: titles.append(title))
    said = poseglot("info", faulty, "--pictures", tmp_path)
    assert "worth a look: 3 of 120 clips" in said.out
    assert titles == ["demo: some of its 120 clips", "demo: 2 of the 3 clips worth a look"]


def test_export_overwrites_nothing(poseglot: Command, store_path: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "link.pkl").symlink_to(tmp_path / "absent")
    for name in ("notes.txt", "link.pkl", "."):
        said = poseglot("info", store_path, "--export", "pyskl", tmp_path / name)
        assert (said.status, said.out) == (1, "")
        assert "already exists. Choose another path, or remove it." in said.error
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_export(poseglot: Command, numbered: Path, tmp_path: Path) -> None:
    from poseglot.data.readers.pyskl import read_source

    out = tmp_path / "out.pkl"
    said = poseglot("info", numbered, "--export", "pyskl", out)
    assert (said.status, said.error) == (0, "")
    assert said.out == f"{out}: 40 clips of ntu60\n"
    store = open_store(numbered)
    source = read_source([out], layout=load_layout("ntu25"), name="again", classes=None)
    read = {clip.name: clip for clip in source.clips if isinstance(clip, Clip)}
    assert set(read) == set(map(str, store.clips["name"]))
    np.testing.assert_array_equal(read["clip 3"].joints, store[3].joints)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "cross-person"], "go with --compare"),
        (["--tolerance", "0"], "go with --compare"),
        (["--compare", "absent.npz", "--tolerance", "-1"], "--tolerance"),
        (["--compare", "absent.npz", "--tolerance", "nan"], "--tolerance"),
        (["--compare", "absent.npz"], "absent.npz"),
        (["--export", "mp4", "out"], "cannot export to 'mp4'; the format is pyskl"),
        (["--findings", "-1"], "--findings"),
    ],
)
def test_refusals(poseglot: Command, store_path: Path, arguments: list[str], message: str) -> None:
    said = poseglot("info", store_path, *arguments)
    assert said.status == 1
    assert said.error.startswith("poseglot: ")
    assert message in said.error
    assert said.out == ""


def test_no_store(poseglot: Command, store_path: Path, tmp_path: Path) -> None:
    assert "is not a packed store" in poseglot("info", tmp_path / "absent").error
    shutil.copytree(store_path, tmp_path / "cut")
    (tmp_path / "cut" / "clips.npy").write_bytes(b"")
    assert "damaged store" in poseglot("info", tmp_path / "cut").error
