"""Checkpoints of the public implementations: recorded outputs, the authors' input transform, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from poseglot.errors import FileError, InputError, NotFoundError, SettingError
from poseglot.models.convert import input_transform, official_parts, read_official_file, recognizer_from_official
from poseglot.skeletons.layout import load_layout
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


def test_recorded_outputs_of_gap(golden: Golden, state: Golden) -> None:
    recognizer = recognizer_from_official(
        state, layout="kinect20", people=1, input_transform=golden["input_transform"], parts=None
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


def test_recorded_logits_of_ctr_baseline(shared: Path) -> None:
    with np.load(shared / "golden" / "ctrbaseline_ntu.npz") as arrays:
        golden = {name: arrays[name] for name in arrays.files}
    state = {name.removeprefix("state/"): array for name, array in golden.items() if name.startswith("state/")}
    recognizer = recognizer_from_official(state, layout="ntu25", people=2)
    assert recognizer.spec.encoder == "ctr-baseline" and recognizer.classifier.weight.dtype == torch.float32
    with torch.no_grad():
        output = recognizer(torch.from_numpy(golden["input"]).permute(0, 4, 2, 3, 1))
    np.testing.assert_allclose(output["logits"], golden["logits"], rtol=1e-4, atol=1e-4)
    assert output["alignment"] == {}


def test_recorded_input_transforms(golden: Golden, shared: Path) -> None:
    np.testing.assert_array_equal(input_transform(KINECT, "joint"), golden["input_transform"])
    with np.load(shared / "golden" / "gap_input_transform.npz") as recorded:
        for key, layout, modality in (
            ("ntu/1", "ntu25", "bone"),
            ("ntu/8", "ntu25", "joint"),
            ("nwucla/1", "kinect20", "bone"),
            ("nwucla/6", "kinect20", "joint"),
        ):
            np.testing.assert_array_equal(input_transform(layout, modality), recorded[key])
            np.testing.assert_array_equal(input_transform(load_layout(layout), f"{modality}_motion"), recorded[key])


def test_input_transforms_are_as_described() -> None:
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
    bone = y.clone()
    for child, parent in NTU.bone_pairs:
        if child != 1:  # the root, which stays absolute
            bone[:, child] = y[:, child] - y[:, parent]
    bone[:, 20] = y[:, 20] - y[:, 1]
    torch.testing.assert_close(torch.from_numpy(input_transform(NTU, "bone")) @ y, bone)
    with pytest.raises(NotFoundError):
        input_transform("coco17", "joint")


def test_official_parts_depend_on_the_modality() -> None:
    assert official_parts(KINECT, "joint_motion")["hip"] == (0, 1, 12, 16)
    assert official_parts(KINECT, "bone")["hip"] == (0, 1, 11, 15)
    assert official_parts(NTU, "bone_motion")["head"] == (2, 3)
    assert official_parts(NTU, "joint")["hand"] == (4, 5, 6, 7, 8, 9, 10, 11, 21, 22, 23, 24)


def test_parts_of_the_caller(golden: Golden, state: Golden) -> None:
    parts = {"head": [3], "hand": [7], "hip": [0], "foot": [15, 19]}
    recognizer = recognizer_from_official(state, parts=parts)
    x = torch.randn(2, 1, 52, 20, 3)
    with torch.no_grad():
        foot = recognizer.encoder(x)[:, :, :, [15, 19]].mean(dim=(1, 2, 3))
        wanted = foot @ torch.from_numpy(state["part_list.2.weight"]).T + torch.from_numpy(state["part_list.2.bias"])
        torch.testing.assert_close(recognizer(x)["alignment"]["foot"], wanted, rtol=1e-4, atol=1e-4)


def test_ctr_gcn_has_no_alignment(state: Golden) -> None:
    plain = {f"module.{name}": torch.from_numpy(array) for name, array in state.items()}
    plain["module.fc.weight"] = torch.nn.Parameter(plain["module.fc.weight"])
    plain = {
        name: tensor for name, tensor in plain.items() if not name.startswith(("module.linear", "module.part", "module.logit"))
    }
    output = recognizer_from_official(plain)(torch.randn(1, 1, 20, 20, 3))
    assert output["alignment"] == {}


def test_wrong_names_and_shapes(state: Golden) -> None:
    without = {name: array for name, array in state.items() if name != "l3.gcn1.convs.1.conv3.weight"}
    with pytest.raises(InputError):
        recognizer_from_official(without)
    with pytest.raises(InputError):
        recognizer_from_official({**state, "l11.extra": np.zeros(3)})
    with pytest.raises(InputError):
        recognizer_from_official(state, layout="ntu25")


def test_files_are_read_as_tensors_only(tmp_path: Path, state: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"state_dict": {name: torch.from_numpy(array) for name, array in state.items()}}, path)
    assert torch.equal(read_official_file(path)["fc.weight"], torch.from_numpy(state["fc.weight"]))

    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError):
        read_official_file(path)
    torch.save({"state_dict": {"epoch": 3}}, path)
    with pytest.raises(FileError):
        read_official_file(path)
    with pytest.raises(FileError):
        read_official_file(tmp_path / "nowhere.pt")


# --- the weights of NTU RGB+D ----------------------------------------------------------------------------------------------


def test_ntu_weights() -> None:
    state = official_state(joints=25, people=2, classes=60, embed_dim=12)
    recognizer = recognizer_from_official(state, layout="ntu25", people=2, input_transform=input_transform(NTU, "joint"))
    spec = recognizer.spec
    assert (spec.layout, spec.pipeline, spec.num_persons, spec.channels, len(spec.classes)) == ("ntu25", "ntu", 2, 3, 60)
    with torch.no_grad():
        output = recognizer(torch.randn(2, 2, 64, 25, 3))
    assert output["logits"].shape == (2, 60) and output["logits"].isfinite().all()
    assert {level: tuple(feature.shape) for level, feature in output["alignment"].items()} == dict.fromkeys(
        ("global", "head", "hand", "hip", "foot"), (2, 12)
    )
    with pytest.raises(InputError):
        recognizer_from_official(state, layout="ntu25", people=1, classes=[str(number) for number in range(60)])


def test_other_layouts_need_a_pipeline() -> None:
    state = official_state(joints=17, people=1, classes=4)
    with pytest.raises(SettingError):
        recognizer_from_official(state, layout="h36m17")
    assert recognizer_from_official(state, layout="h36m17", pipeline="metric").spec.pipeline == "metric"


@pytest.mark.parametrize("encoder", ["ctr-baseline", "ctr-gcn"])
def test_single_scale_checkpoints(encoder: str) -> None:
    """Their temporal modules are one convolution, of any span."""
    state = official_state(joints=20, people=1, classes=4)
    single = {name: array for name, array in state.items() if ".tcn1." not in name}
    for layer, channels in enumerate([16] * 4 + [32] * 3 + [64] * 3, start=1):
        single[f"l{layer}.tcn1.conv.weight"] = torch.randn(channels, channels, 3, 1) * 0.1
        single[f"l{layer}.tcn1.conv.bias"] = torch.zeros(channels)
        for field, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            single[f"l{layer}.tcn1.bn.{field}"] = torch.full((channels,), value)
        single[f"l{layer}.tcn1.bn.num_batches_tracked"] = torch.tensor(1)
    if encoder == "ctr-baseline":
        single = {
            name.replace("convs", "conv_d").replace(".conv3.", "."): array
            for name, array in single.items()
            if not any(part in name for part in (".conv1.", ".conv2.", ".conv4.", "alpha"))
        }
    recognizer = recognizer_from_official(single)
    assert recognizer.spec.encoder == encoder
    assert recognizer.encoder.blocks[0].temporal.span == 3  # type: ignore[union-attr, index]
    assert recognizer(torch.randn(1, 1, 8, 20, 3))["logits"].isfinite().all()
