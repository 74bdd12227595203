"""Layouts: the packaged tables against the facts of the data sets, and a user's own table with its mistakes named."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from poseglot.colors import PART_COLORS
from poseglot.errors import FileError, InputError, NotFoundError
from poseglot.skeletons.layout import PARTITIONS, PARTS, Layout, load_layout

pytestmark = pytest.mark.base

# Bones as the field writes them: (child, parent), joints counted from 1.
FIELD_BONES = {
    "kinect20": "1,2 2,3 4,3 5,3 6,5 7,6 8,7 9,3 10,9 11,10 12,11 13,1 14,13 15,14 16,15 17,1 18,17 19,18 20,19",
    "ntu25": "1,2 2,21 3,21 4,3 5,21 6,5 7,6 8,7 9,21 10,9 11,10 12,11 13,1 14,13 15,14 16,15 17,1 18,17 19,18 20,19 "
    "22,23 23,8 24,25 25,12",
}
LIMBS = {5: "shoulder", 6: "elbow", 7: "wrist", 8: "hand"}
LEGS = {13: "hip", 14: "knee", 15: "ankle", 16: "foot"}
BOTH = ("kinect20", "ntu25")


def sided(numbers: dict[int, str]) -> dict[int, str]:
    """Joint number (from 1) -> name, for the left side and, four further on, the right side."""
    left = {number: f"left_{name}" for number, name in numbers.items()}
    return left | {number + 4: f"right_{name}" for number, name in numbers.items()}


# What the sensors' documentation calls each joint, by its number from 1.
FIELD_JOINTS = {
    "kinect20": {1: "hip_centre", 2: "spine", 3: "shoulder_centre", 4: "head"} | sided(LIMBS) | sided(LEGS),
    "ntu25": {1: "spine_base", 2: "spine_middle", 3: "neck", 4: "head", 21: "spine_shoulder"}
    | {22: "left_hand_tip", 23: "left_thumb", 24: "right_hand_tip", 25: "right_thumb"}
    | sided(LIMBS)
    | sided(LEGS),
}

# The six parts, joints counted from 1.
SIX = {
    "kinect20": {
        "head": (3, 4),
        "hand": (7, 8, 11, 12),
        "arm": (5, 6, 9, 10),
        "hip": (1, 2, 13, 17),
        "leg": (14, 18),
        "foot": (15, 16, 19, 20),
    },
    "ntu25": {
        "head": (3, 4, 21),
        "hand": (7, 8, 11, 12, 22, 23, 24, 25),
        "arm": (5, 6, 9, 10),
        "hip": (1, 2, 13, 17),
        "leg": (14, 18),
        "foot": (15, 16, 19, 20),
    },
}


@pytest.mark.parametrize("name", BOTH)
def test_joints_are_in_the_order_of_the_sensor(name: str) -> None:
    layout = load_layout(name)
    assert layout.name == name
    assert len(layout) == len(FIELD_JOINTS[name])
    assert {index + 1: joint for index, joint in enumerate(layout.joints)} == FIELD_JOINTS[name]
    assert {index + 1: joint for joint, index in layout.index.items()} == FIELD_JOINTS[name]


@pytest.mark.parametrize("name", BOTH)
def test_bones_are_those_of_the_field(name: str) -> None:
    layout = load_layout(name)
    expected = {tuple(int(joint) - 1 for joint in bone.split(",")) for bone in FIELD_BONES[name].split()}
    assert set(layout.bone_pairs) == expected
    assert len(layout.bone_pairs) == len(layout) - 1
    assert list(layout.bone_pairs) == sorted(layout.bone_pairs)


@pytest.mark.parametrize(("name", "root", "centre"), [("kinect20", 3, 2), ("ntu25", 21, 2)])
def test_root_is_its_own_parent_and_the_centre_is_joint_two(name: str, root: int, centre: int) -> None:
    layout = load_layout(name)
    expected = {int(child) - 1: int(parent) - 1 for child, parent in (bone.split(",") for bone in FIELD_BONES[name].split())}
    assert layout.parents == tuple(expected.get(joint, joint) for joint in range(len(layout)))
    assert [joint + 1 for joint, parent in enumerate(layout.parents) if joint == parent] == [root]
    assert layout.centre_index == centre - 1


@pytest.mark.parametrize("name", BOTH)
def test_mirror_pairs_every_sided_joint_once(name: str) -> None:
    layout = load_layout(name)
    left = [joint for joint in layout.joints if joint.startswith("left_")]
    assert layout.mirror == {joint: joint.replace("left_", "right_") for joint in left}
    assert {*layout.mirror, *layout.mirror.values()} == {
        joint for joint in layout.joints if joint.startswith(("left_", "right_"))
    }
    # Mirrored joints hang on mirrored (or the same, middle) parents.
    for one, other in layout.mirror.items():
        parent = layout.bones[one]
        assert layout.bones[other] == layout.mirror.get(parent, parent)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("partition", [partition for partition in PARTITIONS if partition != "none"])
def test_every_joint_is_in_exactly_one_part(name: str, partition: str) -> None:
    layout = load_layout(name)
    parts = layout.partition(partition)
    assert sorted(joint for joints in parts.values() for joint in joints) == list(range(len(layout)))
    assert all(list(joints) == sorted(joints) and joints for joints in parts.values())


@pytest.mark.parametrize("name", BOTH)
def test_partitions_are_unions_of_the_six_parts(name: str) -> None:
    layout = load_layout(name)
    six = {part: tuple(joint - 1 for joint in joints) for part, joints in SIX[name].items()}
    assert layout.partition("six") == six
    assert list(layout.partition("six")) == ["head", "hand", "arm", "hip", "leg", "foot"]
    assert layout.partition("none") == {}
    assert layout.partition("global") == {"global": tuple(range(len(layout)))}
    assert layout.partition("two") == {
        "upper": tuple(sorted(six["head"] + six["hand"] + six["arm"])),
        "lower": tuple(sorted(six["hip"] + six["leg"] + six["foot"])),
    }
    four = layout.partition("four")
    assert list(four) == ["head", "hand", "hip", "foot"]
    assert four["head"] == six["head"]
    assert four["hand"] == tuple(sorted(six["hand"] + six["arm"]))
    assert four["hip"] == six["hip"]
    assert four["foot"] == tuple(sorted(six["leg"] + six["foot"]))
    sides = layout.partition("sides")
    assert sorted(sides["left_arm"] + sides["right_arm"]) == list(four["hand"])
    assert sorted(sides["left_leg"] + sides["right_leg"]) == list(four["foot"])
    for part, joints in sides.items():
        side = part.partition("_")[0]
        assert side not in ("left", "right") or all(layout.joints[joint].startswith(f"{side}_") for joint in joints)


def test_unknown_partition_and_layout_name_the_known_ones() -> None:
    with pytest.raises(NotFoundError, match=r"'three'.*none, global, two, four, six"):
        load_layout("kinect20").partition("three")
    with pytest.raises(NotFoundError, match=r"kinect20.*ntu25.*'kinect20'\?"):
        load_layout("kinect21")


# --- a user's own ----------------------------------------------------------------------------------------------------------


def stick_figure() -> dict[str, Any]:
    return {
        "name": "stick",
        "joints": ["belly", "crown", "left_palm", "right_palm", "left_toe", "right_toe", "sleeves", "knees"],
        "bones": {"crown": "belly", "left_palm": "crown", "right_palm": "crown", "left_toe": "belly", "right_toe": "belly"}
        | {"sleeves": "crown", "knees": "belly"},
        "mirror": {"left_palm": "right_palm", "left_toe": "right_toe"},
        "centre": "belly",
        "parts": {
            "head": ["crown"],
            "hand": ["left_palm", "right_palm"],
            "arm": ["sleeves"],
            "hip": ["belly"],
            "leg": ["knees"],
            "foot": ["left_toe", "right_toe"],
        },
    }


def load(table: object, folder: Path) -> Layout:
    path = folder / "mine.yaml"
    path.write_text(table if isinstance(table, str) else yaml.safe_dump(table))
    return load_layout(str(path))


def test_a_users_layout_is_read_from_its_path(tmp_path: Path) -> None:
    layout = load(stick_figure(), tmp_path)
    assert layout.name == "stick" and len(layout) == 8 and layout.centre_index == 0
    assert layout.parents == (0, 0, 1, 1, 0, 0, 1, 0)
    assert layout.partition("two") == {"upper": (1, 2, 3, 6), "lower": (0, 4, 5, 7)}


def test_mirror_may_be_left_out(tmp_path: Path) -> None:
    table = stick_figure()
    del table["mirror"]
    assert load(table, tmp_path).mirror == {}


@pytest.mark.parametrize("where", ["bones", "mirror", "centre", "parts"])
def test_unknown_joint_is_named(where: str, tmp_path: Path) -> None:
    table = stick_figure()
    if where == "centre":
        table["centre"] = "tail"
    elif where == "parts":
        table["parts"]["hip"] = ["belly", "tail"]
    else:
        table[where]["tail"] = "belly"
    with pytest.raises(InputError, match=rf"stick.*{where}.*'tail'"):
        load(table, tmp_path)


@pytest.mark.parametrize(
    ("hip", "named"),
    [
        (["belly", "crown"], ["crown"]),
        (["belly", "belly"], ["belly"]),
        ([], ["belly"]),
        (["crown", "knees"], ["belly", "crown, knees"]),
    ],
)
def test_joint_in_two_parts_or_in_none_is_named(hip: list[str], named: list[str], tmp_path: Path) -> None:
    table = stick_figure()
    table["parts"]["hip"] = hip
    with pytest.raises(InputError, match=".*: ".join(named)):
        load(table, tmp_path)


def test_a_part_without_joints_is_in_no_partition_that_sets_it_apart(tmp_path: Path) -> None:
    table = stick_figure()
    table["parts"]["hand"] += table["parts"].pop("arm")
    table["parts"]["foot"] += table["parts"].pop("leg")
    table["parts"] |= {"arm": [], "leg": []}
    layout = load(table, tmp_path)
    for partition in ("none", "global", "two", "four"):
        assert all(layout.partition(partition).values())
    with pytest.raises(InputError, match=r"arm, leg .*'six'"):
        layout.partition("six")
    table["parts"] |= {"hip": table["parts"]["hip"] + table["parts"].pop("foot"), "foot": []}
    with pytest.raises(InputError, match=r"foot .*'four'"):
        load(table, tmp_path).partition("four")
    assert all(load(table, tmp_path).partition("two").values())


def test_bones_in_a_cycle_are_refused(tmp_path: Path) -> None:
    table = stick_figure()
    table["bones"] |= {"left_palm": "right_palm", "right_palm": "left_palm"}
    with pytest.raises(InputError, match=r"(left|right)_palm"):
        load(table, tmp_path)


def test_two_roots_or_none_are_refused(tmp_path: Path) -> None:
    table = stick_figure()
    del table["bones"]["crown"]
    with pytest.raises(InputError, match=r"'belly', 'crown'"):
        load(table, tmp_path)
    table["bones"] |= {"crown": "belly", "belly": "crown"}
    with pytest.raises(InputError, match=r"\[\]"):
        load(table, tmp_path)


def test_joint_name_given_twice_is_refused(tmp_path: Path) -> None:
    table = stick_figure()
    table["joints"].append("crown")
    with pytest.raises(InputError, match="crown"):
        load(table, tmp_path)


def test_wrong_part_names_are_refused(tmp_path: Path) -> None:
    table = stick_figure()
    table["parts"]["tail"] = table["parts"].pop("leg")
    with pytest.raises(InputError, match="'tail'"):
        load(table, tmp_path)


@pytest.mark.parametrize("key", ["name", "joints", "bones", "centre", "parts"])
def test_missing_key_is_named(key: str, tmp_path: Path) -> None:
    table = stick_figure()
    del table[key]
    with pytest.raises(InputError, match=rf"mine\.yaml.*: {key}\."):
        load(table, tmp_path)


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    table = stick_figure() | {"joints": "belly", "bones": ["crown"], "color": "red"}
    del table["centre"], table["name"]
    table["parts"]["hand"] = {"left_palm": 1}
    with pytest.raises(InputError) as refusal:
        load(table, tmp_path)
    for said in (
        "missing: name, centre;",
        "joints must be a list of names, found 'belly';",
        "bones must be a table of pairs of joints, found a list;",
        "the part hand must be a list of joints, found a table;",
        "unknown: color.",
    ):
        assert said in str(refusal.value)


def test_an_unknown_key_is_named_beside_what_else_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mine\.yaml.*: center, 3\."):
        load(stick_figure() | {"center": "belly", 3: 4}, tmp_path)
    with pytest.raises(InputError, match=r"centr;.*centre.*'tail'"):
        load(stick_figure() | {"centr": "belly", "centre": "tail"}, tmp_path)


@pytest.mark.parametrize(
    ("text", "found"), [("", "nothing"), ("just a sentence", "'just a sentence'"), ("- a\n- b\n", "a list"), ("3", "'3'")]
)
def test_a_file_that_is_no_table_is_told_so(text: str, found: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"mine\.yaml.* {found}"):
        load(text, tmp_path)


def test_a_changed_layout_needs_a_name_of_its_own_and_an_equal_one_does_not(tmp_path: Path) -> None:
    table = load_layout("kinect20").table()
    assert load(table, tmp_path) == load_layout("kinect20")
    table["parts"]["foot"].append(table["parts"]["leg"].pop())
    with pytest.raises(InputError, match=r"mine\.yaml.*kinect20"):
        load(table, tmp_path)
    assert load(table | {"name": "mine"}, tmp_path).described() == table | {"name": "mine"}


def test_a_layout_file_ends_in_yaml(tmp_path: Path) -> None:
    for ending in ("yaml", "yml"):
        (tmp_path / f"l.{ending}").write_text(yaml.safe_dump(stick_figure()))
        assert load_layout(tmp_path / f"l.{ending}").name == "stick"
    (tmp_path / "l.txt").write_text(yaml.safe_dump(stick_figure()))
    with pytest.raises(FileError, match=r"l\.txt.*\.yaml"):
        load_layout(str(tmp_path / "l.txt"))
    with pytest.raises(NotFoundError, match=r"m\.txt.*kinect20"):
        load_layout(str(tmp_path / "m.txt"))


@pytest.mark.parametrize("text", ["", "just a sentence", "joints: [a, b", "- a\n- b\n", "name: x\njoints: 3\n"])
def test_file_that_is_no_layout_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mine\.yaml"):
        load(text, tmp_path)


def test_missing_layout_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nowhere\.yaml"):
        load_layout(str(tmp_path / "nowhere.yaml"))


@pytest.mark.parametrize(
    "change", ["bones: [arm, leg]", "mirror: [left_knee]", "joints: 3", "joints: head", "parts: head", "parts: {head: head}"]
)
def test_a_section_of_the_wrong_form_is_refused(tmp_path: Path, change: str) -> None:
    text = resources.files("poseglot.skeletons").joinpath("layouts/kinect20.yaml").read_text()
    section = change.split(":")[0]
    table = yaml.safe_load(text)
    table[section] = yaml.safe_load(change)[section]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(table))
    with pytest.raises(InputError, match="own"):
        load_layout(str(tmp_path / "own.yaml"))


def test_a_layout_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileError, match=r"own\.yaml"):
        load_layout(str(tmp_path / "own.yaml"))


# --- written down ----------------------------------------------------------------------------------------------------------


def packaged() -> list[str]:
    folder = resources.files("poseglot.skeletons").joinpath("layouts")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


@pytest.mark.parametrize("name", packaged())
def test_a_packaged_layout_is_described_by_its_name(name: str) -> None:
    layout = load_layout(name)
    assert layout.described() == name
    assert load_layout(json.loads(json.dumps(layout.table()))) == layout
    assert load_layout(layout.table()).described() == name


@pytest.mark.parametrize("name", ["stick", "../kinect20", "../layouts/kinect20", "kinect20.yaml"])
def test_a_users_layout_is_described_by_its_table(name: str, tmp_path: Path) -> None:
    """Whatever it is called: by its name it would not be found again, or another one would."""
    layout = load(stick_figure() | {"name": name}, tmp_path)
    written = layout.described()
    assert written == stick_figure() | {"name": name}
    again = load_layout(json.loads(json.dumps(written)))
    assert again == layout and again.described() == written


def test_a_changed_packaged_layout_is_a_users_own() -> None:
    table = load_layout("kinect20").table()
    table["parts"]["head"].reverse()
    changed = load_layout(table)
    assert changed.name == "kinect20" and changed.described() == table


def test_names_that_yaml_takes_for_other_things_survive_being_written_down(tmp_path: Path) -> None:
    """Unquoted numbers are numbers to YAML, and `no` is false; JSON has only text for keys."""
    text = yaml.safe_dump(stick_figure())
    for name, joint in (("1", "belly"), ("2", "left_palm"), ("no", "crown")):
        text = text.replace(joint, name)
    layout = load(text, tmp_path)
    assert layout.joints[:3] == ("1", "False", "2") and layout.centre == "1"
    assert layout.parents == load_layout(stick_figure()).parents
    assert load_layout(json.loads(json.dumps(layout.described()))) == layout


@pytest.mark.parametrize("table", [{}, {"name": "x"}, {**stick_figure(), "joints": None}, {**stick_figure(), "bones": [1, 2]}])
def test_a_table_that_is_no_layout_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="table"):
        load_layout(table)


# --- some of a layout's joints, or another order ---------------------------------------------------------------------------


def test_the_same_joints_in_another_order_are_the_same_body() -> None:
    whole = load_layout("kinect20")
    turned = whole.select(whole.joints[::-1], name="turned")
    assert turned.joints == whole.joints[::-1] and (turned.bones, turned.mirror, turned.parts) == (
        whole.bones,
        whole.mirror,
        whole.parts,
    )
    assert load_layout(turned.described()) == turned


def test_a_joint_whose_parent_is_not_selected_gets_the_nearest_ancestor() -> None:
    whole = load_layout("kinect20")
    some = whole.select(["head", "spine", "left_hand", "left_elbow", "right_hand", "left_hip", "right_foot"], name="some")
    assert some.bones == {
        "spine": "head", "left_hand": "left_elbow", "left_elbow": "head", "right_hand": "head", "left_hip": "spine", "right_foot": "spine",
    }  # fmt: skip
    assert some.mirror == {"left_hand": "right_hand"} and some.parts["leg"] == () and some.parts["hip"] == ("spine", "left_hip")


def test_joints_that_are_not_there_are_refused() -> None:
    with pytest.raises(NotFoundError, match=r"nose.*hip_centre"):
        load_layout("kinect20").select(["nose", "spine"], name="some")
    with pytest.raises(InputError, match="spine"):
        load_layout("kinect20").select(["head", "left_hand"], name="some")


def test_it_prints_its_name_and_size() -> None:
    assert repr(load_layout("ntu25")) == "Layout('ntu25', 25 joints)"


def test_every_part_has_a_colour() -> None:
    assert tuple(PART_COLORS) == PARTS and len(set(PART_COLORS.values())) == len(PARTS)
