"""The packaged vocabulary `everyday`: class maps of five data sets name its classes, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from poseglot.data.adapt import LEFT_OUT, read_class_map
from poseglot.data.benchmarks import load_benchmark
from poseglot.descriptions import load_descriptions
from poseglot.files import packaged_yaml
from poseglot.skeletons.layout import load_layout
from tests.conftest import ROOT

pytestmark = pytest.mark.base

RECIPES = ROOT / "src" / "poseglot" / "recipes"
MAPS = sorted((RECIPES / "everyday").glob("*.txt"))


def labels_of(name: str) -> list[str]:
    own = RECIPES / name / "classes.txt"
    return own.read_text().splitlines() if own.exists() else list(load_benchmark(name).classes)


def class_of(name: str) -> dict[str, str]:
    given = read_class_map(RECIPES / "everyday" / f"{name}.txt")
    return {label: given.get(label, label) for label in labels_of(name)}


def test_there_is_a_map_for_each_of_the_five_sets() -> None:
    assert [path.stem for path in MAPS] == ["msr-action3d", "nw-ucla", "sbu", "utd-mhad", "utkinect"]
    assert [len(labels_of(path.stem)) for path in MAPS] == [20, 10, 8, 27, 10]


@pytest.mark.parametrize("path", MAPS, ids=lambda path: path.stem)
def test_a_map_names_labels_of_its_set_and_described_classes(path: Path) -> None:
    assert set(read_class_map(path)) <= set(labels_of(path.stem))
    described = {*load_descriptions("everyday").classes, LEFT_OUT}
    classes = class_of(path.stem)
    assert {label: name for label, name in classes.items() if name not in described} == {}
    kept = [name for name in classes.values() if name != LEFT_OUT]
    assert len(set(kept)) == len(kept)  # the labels of one set stay apart


def test_the_trained_classes_come_first_in_the_file() -> None:
    trained = {name for path in MAPS for name in class_of(path.stem).values()} - {LEFT_OUT}
    labels = list(load_descriptions("everyday").classes)
    assert set(labels[: len(trained)]) == trained
    text = packaged_yaml("poseglot.descriptions", "sets", "everyday", kind="")
    head, separator, rest = text.partition("classes are learned from no data set.\n  - label: ")
    assert separator and len(yaml.safe_load(head)["classes"]) == len(trained)
    assert rest.count("- label: ") + 1 == len(labels) - len(trained)


@pytest.mark.parametrize(("name", "count"), [("msr-action3d", 20), ("sbu", 15), ("utd-mhad", 20)])
def test_joint_lists_name_joints_of_the_layout_once(name: str, count: int) -> None:
    joints = (RECIPES / name / "joints.txt").read_text().splitlines()
    assert len(joints) == len(set(joints)) == count
    assert set(joints) <= set(load_layout("kinect20").joints)
