"""Weights of the public implementations: recorded outputs, the authors' input transform, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from poseglot.errors import PoseglotError
from poseglot.models.convert import input_transform, official_parts, read_official_file, recognizer_from_official
from poseglot.skeletons.layout import load_layout
from poseglot.skeletons.streams import bones
from tests.models.official_state import official_state

KINECT, NTU = load_layout("kinect20"), load_layout("ntu25")
Golden = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    with np.load(shared / "golden" / "ctrgcn_nwucla_joint.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.fixture(scope="module")
def state(golden: Golden) -> Golden:
    return {name.removeprefix("state/"): array for name, array in golden.items() if name.startswith("state/")}


def test_recorded_logits_and_alignment_features_are_reproduced(golden: Golden, state: Golden) -> None:
    recognizer = recognizer_from_official(
        state, layout="kinect20", num_persons=1, input_transform=golden["input_transform"], parts=None
    )
    assert not recognizer.training
    clips = torch.from_numpy(golden["input"]).permute(0, 4, 2, 3, 1)  # N,C,T,V,M -> N,M,T,V,C
    with torch.no_grad():
        output = recognizer(clips)
    np.testing.assert_allclose(output["logits"], golden["logits"], rtol=1e-4, atol=1e-4)
    assert list(output["alignment"]) == ["global", "head", "hand", "hip", "foot"]
    for level, feature in output["alignment"].items():
        wanted = golden["global_text_feature"] if level == "global" else golden[f"part_text_feature/{level}"]
        np.testing.assert_allclose(feature, wanted, rtol=1e-4, atol=1e-4)


def test_the_recorded_input_transform_is_the_authors_hop_of_the_joint_stream(golden: Golden) -> None:
    np.testing.assert_array_equal(input_transform(KINECT, "joint"), golden["input_transform"])


def test_hop_transforms_are_what_the_facts_say() -> None:
    x = torch.randn(5, 20, 3)
    three = x.clone()
    three[:, 2] = x[:, 2] - x[:, 15] - x[:, 19]
    torch.testing.assert_close(torch.from_numpy(input_transform(KINECT, "joint_motion")) @ x, three)
    bone = x.clone()
    for child, parent in KINECT.bone_pairs:
        bone[:, parent] -= x[:, child]
    torch.testing.assert_close(torch.from_numpy(input_transform(KINECT, "bone")) @ x, bone)

    y = torch.randn(5, 25, 3)
    torch.testing.assert_close(torch.from_numpy(input_transform(NTU, "joint")) @ y, y)
    absolute = bones(y, NTU)
    absolute[:, 20] = y[:, 20]
    torch.testing.assert_close(torch.from_numpy(input_transform(NTU, "bone")) @ y, absolute)


def test_official_parts_depend_on_the_stream_as_in_the_authors_code() -> None:
    assert official_parts(KINECT, "joint_motion")["hip"] == (0, 1, 12, 16)
    assert official_parts(KINECT, "bone")["hip"] == (0, 1, 11, 15)
    assert official_parts(NTU, "bone_motion")["head"] == (2, 3)
    assert official_parts(NTU, "joint")["hand"] == (4, 5, 6, 7, 8, 9, 10, 11, 21, 22, 23, 24)


def test_parts_given_by_the_caller_are_pooled(golden: Golden, state: Golden) -> None:
    parts = {"head": [3], "hand": [7], "hip": [0], "foot": [15, 19]}
    recognizer = recognizer_from_official(state, parts=parts)
    x = torch.randn(2, 1, 52, 20, 3)
    with torch.no_grad():
        foot = recognizer.encoder(x)[:, :, :, [15, 19]].mean(dim=(1, 2, 3))
        wanted = foot @ torch.from_numpy(state["part_list.2.weight"]).T + torch.from_numpy(state["part_list.2.bias"])
        torch.testing.assert_close(recognizer(x)["alignment"]["foot"], wanted, rtol=1e-4, atol=1e-4)


def test_a_plain_ctr_gcn_checkpoint_has_no_alignment(state: Golden) -> None:
    plain = {f"module.{name}": torch.from_numpy(array) for name, array in state.items()}
    plain["module.fc.weight"] = torch.nn.Parameter(plain["module.fc.weight"])
    plain = {
        name: tensor for name, tensor in plain.items() if not name.startswith(("module.linear", "module.part", "module.logit"))
    }
    output = recognizer_from_official(plain)(torch.randn(1, 1, 20, 20, 3))
    assert output["alignment"] == {}


def test_missing_unknown_and_misshapen_names_are_refused(state: Golden) -> None:
    without = {name: array for name, array in state.items() if name != "l3.gcn1.convs.1.conv3.weight"}
    with pytest.raises(PoseglotError, match=r"has no 'l3\.gcn1\.convs\.1\.conv3\.weight'"):
        recognizer_from_official(without)
    with pytest.raises(PoseglotError, match=r"no place in our model, for example 'l11\.extra'"):
        recognizer_from_official({**state, "l11.extra": np.zeros(3)})
    with pytest.raises(PoseglotError, match="do not fit layout ntu25"):
        recognizer_from_official(state, layout="ntu25")


def test_a_file_is_read_as_tensors_only(tmp_path: Path, state: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"state_dict": {name: torch.from_numpy(array) for name, array in state.items()}}, path)
    assert torch.equal(read_official_file(path)["fc.weight"], torch.from_numpy(state["fc.weight"]))

    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PoseglotError, match="could not be read as a file of tensors"):
        read_official_file(path)
    torch.save({"state_dict": {"epoch": 3}}, path)
    with pytest.raises(PoseglotError, match="no state_dict"):
        read_official_file(path)
    with pytest.raises(PoseglotError, match="does not exist"):
        read_official_file(tmp_path / "nowhere.pt")


# --- the weights of NTU RGB+D ----------------------------------------------------------------------------------------------


def test_weights_of_ntu_are_taken_over_with_their_protocol() -> None:
    state = official_state(joints=25, num_persons=2, classes=60, embed_dim=12)
    recognizer = recognizer_from_official(state, layout="ntu25", num_persons=2, input_transform=input_transform(NTU, "joint"))
    spec = recognizer.spec
    assert (spec.layout, spec.pipeline, spec.people, spec.channels, len(spec.classes)) == ("ntu25", "ntu", 2, 3, 60)
    with torch.no_grad():
        output = recognizer(torch.randn(2, 2, 64, 25, 3))
    assert output["logits"].shape == (2, 60) and output["logits"].isfinite().all()
    assert {level: tuple(feature.shape) for level, feature in output["alignment"].items()} == dict.fromkeys(
        ("global", "head", "hand", "hip", "foot"), (2, 12)
    )
    with pytest.raises(PoseglotError, match="do not fit layout ntu25 with 1 people"):
        recognizer_from_official(state, layout="ntu25", num_persons=1, classes=[str(number) for number in range(60)])


def test_other_clips_must_say_how_they_were_fed() -> None:
    state = official_state(joints=17, num_persons=1, classes=4)
    with pytest.raises(PoseglotError, match=r"no clips of layout h36m17 .*pipeline=, one of nw-ucla, ntu, metric, image"):
        recognizer_from_official(state, layout="h36m17")
    assert recognizer_from_official(state, layout="h36m17", pipeline="metric").spec.pipeline == "metric"
    with pytest.raises(PoseglotError, match="unknown protocol 'metres'"):
        recognizer_from_official(state, layout="h36m17", pipeline="metres")
