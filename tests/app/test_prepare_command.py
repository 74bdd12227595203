"""`poseglot prepare` at work: what it prints, what it leaves, and its exit status."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.data.readers.ntu.names import known_incomplete
from poseglot.data.store import open_store
from poseglot.data.synthetic.raw_ntu import broken_files, raw_clip

Command = Callable[..., Any]
NAMES = [f"S001C00{camera}P00{subject}R001A0{action}" for camera in (1, 2, 3) for subject in (1, 3) for action in (11, 55)]


@pytest.fixture(scope="module")
def raw_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("raw") / "nturgbd_skeletons_s001_to_s017.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in NAMES:
            archive.writestr(f"nturgb+d_skeletons/{name}.skeleton", raw_clip(name, seed=0, faults=(), frames=30).text)
    return path


def test_ntu_from_the_zip(poseglot: Command, raw_zip: Path, tmp_path: Path) -> None:
    said = poseglot("prepare", "ntu60", "--source", raw_zip, "--out", tmp_path / "ntu60", "--workers", 1, "--dtype", "float16")
    assert (said.status, said.error) == (0, "")
    first, note = said.out.splitlines()
    assert "12 clips (6 train, 6 test of cross-subject)" in first and "60 classes, layout ntu25" in first
    assert note == "note: the complete set has 40,091 train and 16,487 test clips (cross-subject)"
    store = open_store(tmp_path / "ntu60")
    assert store.joints.dtype == np.float16
    assert len(store.subset("cross-view", "train")) == 8
    assert store.max_persons == 2


def test_faults_are_listed_counted_and_make_the_status_1(poseglot: Command, raw_zip: Path, tmp_path: Path) -> None:
    texts = broken_files(seed=0)
    folder = tmp_path / "more"
    folder.mkdir()
    for number in range(14):
        (folder / f"S001C001P001R001A0{20 + number}.skeleton").write_bytes(texts["unbroken"][: 2000 * (number + 1)])
    (folder / f"{NAMES[0]}.skeleton").write_bytes(texts["unbroken"])
    (folder / f"{min(known_incomplete())}.skeleton").write_bytes(texts["unbroken"])
    said = poseglot("prepare", "ntu60", "--source", raw_zip, folder, "--out", tmp_path / "ntu60", "--workers", 1)
    assert said.status == 1
    assert "12 clips" in said.out
    assert "left out: 1 known to be incomplete" in said.out
    lines = said.out.splitlines()
    assert [line.split() for line in lines if line.startswith(("  cut short ", "  duplicate "))] == [
        ["cut", "short", "14"],
        ["duplicate", "1"],
    ]
    assert sum(line.startswith(("  cut short:", "  duplicate:")) for line in lines) == 10 and "  ... and 5 more" in lines
    assert "15 issues; everything else is stored" in said.error and "preparation.json" in said.error
    report = json.loads((tmp_path / "ntu60" / "preparation.json").read_text())
    assert len(report["issues"]) == 15 and report["stored"] == 12


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["ntu60"], "preparing ntu60 needs --source"),
        (["ntu60", "--source", "nowhere.zip"], "nowhere.zip does not exist"),
        (["ntu60", "--source", ".", "--layout", "coco17"], "ntu60 has its own layout"),
        (["ntu60", "--source", ".", "--workers", "0"], "--workers must be at least 1, not 0"),
        (["demo", "--source", "."], "--source"),
        (["ntu", "--source", "."], "known: nw-ucla, ntu60"),
        (["csv", "--source", ".", "--classes", "absent.txt"], "could not read the class names in absent.txt"),
    ],
)
def test_bad_requests_are_refused(
    poseglot: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    said = poseglot("prepare", *given, "--out", "store")
    assert said.status == 1 and message in said.error
    assert list(tmp_path.iterdir()) == []


def test_preparing_does_not_wait_for_torch_to_load(raw_zip: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from poseglot.app.cli import main\n"
        "assert main(['prepare', 'ntu60', '--source', sys.argv[1], '--out', sys.argv[2], '--workers', '1']) == 0\n"
        "assert main(['info', sys.argv[2], '--no-pictures']) == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, str(raw_zip), str(tmp_path / "store")], check=True, capture_output=True)
