"""The recognizer: pooling, heads, dropping the words, and its file."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from poseglot.errors import FileError
from poseglot.models.encoders import list_encoders
from poseglot.models.recognizer import Recognizer, RecognizerSpec, described, load_recognizer, save_recognizer
from poseglot.models.tensor_file import read_tensors, write_tensors
from poseglot.skeletons.layout import PARTITIONS, load_layout
from tests.data.own import TABLE

LEVELS = {"global": tuple(range(20)), **load_layout("kinect20").partition("four")}


def build(**changes: object) -> Recognizer:
    torch.manual_seed(0)
    settings = {"num_persons": 2, "encoder_kwargs": {"base_channels": 8}, "levels": LEVELS, "embed_dim": 6, **changes}
    return Recognizer(RecognizerSpec("kinect20", ("a", "b", "c"), **settings))  # type: ignore[arg-type]


def test_logits_and_alignment() -> None:
    recognizer = build().double().eval()
    x = torch.randn(3, 2, 10, 20, 3, dtype=torch.float64)
    output, features = recognizer(x), recognizer.encoder(x)
    torch.testing.assert_close(output["logits"], recognizer.classifier(features.mean(dim=(1, 2, 3))))
    for level, joints in LEVELS.items():
        pooled = torch.stack([features[:, :, :, joint].mean(dim=(1, 2)) for joint in joints]).mean(dim=0)
        torch.testing.assert_close(output["alignment"][level], recognizer.heads[f"{level}_head"](pooled))


def test_alignment_in_both_modes_and_without_heads() -> None:
    recognizer = build()
    x = torch.randn(2, 2, 10, 20, 3)
    assert set(recognizer.train()(x)["alignment"]) == set(recognizer.eval()(x)["alignment"]) == set(LEVELS)
    bare = recognizer.drop_heads()
    assert bare(x)["alignment"] == {}
    torch.testing.assert_close(bare(x)["logits"], recognizer(x)["logits"])
    assert bare.encoder is recognizer.encoder


def test_input_transform() -> None:
    matrix = torch.randn(20, 20)
    recognizer = build(input_transform=tuple(map(tuple, matrix.tolist()))).eval()
    plain = build().eval()
    x = torch.randn(2, 2, 10, 20, 3)
    torch.testing.assert_close(recognizer(x)["logits"], plain(matrix @ x)["logits"])


@pytest.mark.parametrize("levels", [LEVELS, None], ids=["with text", "without"])
def test_save_and_load(tmp_path: Path, levels: dict[str, tuple[int, ...]] | None) -> None:
    recognizer = build(levels=levels, input_transform=tuple(map(tuple, torch.eye(20).tolist()))).eval()
    save_recognizer(recognizer, tmp_path / "r.safetensors")
    again = load_recognizer(tmp_path / "r.safetensors")
    assert again.spec == recognizer.spec
    assert again.layout == recognizer.layout
    assert not again.training
    x = torch.randn(2, 2, 10, 20, 3)
    assert torch.equal(again(x)["logits"], recognizer(x)["logits"])


def test_truncated_file(tmp_path: Path) -> None:
    path = tmp_path / "r.safetensors"
    save_recognizer(build(), path)
    whole = path.read_bytes()
    for keep in (0, 4, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:keep])
        with pytest.raises(FileError):
            load_recognizer(path)


# --- layouts ---------------------------------------------------------------------------------------------------------------


def test_layout_of_a_user(tmp_path: Path) -> None:
    """Its YAML file may be gone by the time the recognizer is used, and so may a packaged layout of its name."""
    path = tmp_path / "mine.yaml"
    for name in ("mine", "kinect20"):
        table = TABLE | {"name": name}
        path.write_text(yaml.safe_dump(table))
        # A file may not take a packaged name; a table may have one that was free when it was written.
        layout = str(path) if name == "mine" else table
        spec = RecognizerSpec(
            layout, ("a", "b"), channels=4, has_scores=True, encoder_kwargs={"base_channels": 8}, pipeline="metric"
        )
        recognizer = Recognizer(spec).eval()
        path.unlink()
        save_recognizer(recognizer, tmp_path / "r.safetensors")
        again = load_recognizer(tmp_path / "r.safetensors")
        assert again.spec == recognizer.spec
        assert again.spec.layout == table and again.spec.has_scores
        assert again.layout == load_layout(table)
        bare = again.drop_heads()
        assert bare.layout == again.layout
        x = torch.randn(2, 1, 10, 8, 4)
        assert torch.equal(bare(x)["logits"], recognizer(x)["logits"])


def test_packaged_layout(tmp_path: Path) -> None:
    for layout in ("kinect20", load_layout("kinect20").table()):
        recognizer = Recognizer(RecognizerSpec(layout, ("a", "b"), encoder_kwargs={"base_channels": 8}))
        save_recognizer(recognizer, tmp_path / "r.safetensors")
        assert recognizer.spec.layout == load_recognizer(tmp_path / "r.safetensors").spec.layout == "kinect20"


def write_file(path: Path, recognizer: Recognizer, **changes: Any) -> None:
    """A recognizer's file with some entries of its metadata changed."""
    table = {**described(recognizer.spec, recognizer.layout), **changes}
    write_tensors(path, recognizer.state_dict(), table)


def test_other_formats(tmp_path: Path) -> None:
    write_file(tmp_path / "r.safetensors", build())
    load_recognizer(str(tmp_path / "r.safetensors"))
    write_file(tmp_path / "r.safetensors", build(), format="poseglot-recognizer/1")
    with pytest.raises(FileError):
        load_recognizer(tmp_path / "r.safetensors")


@pytest.mark.parametrize(
    "table",
    [None, "kinect20", ["spine"], {"name": "mine"}, TABLE | {"centre": "tail"}],
    ids=["none", "word", "list", "only a name", "wrong centre"],
)
def test_damaged_layout(tmp_path: Path, table: object) -> None:
    path = tmp_path / "r.safetensors"
    write_file(path, build(), layout_table=table)
    with pytest.raises(FileError):
        load_recognizer(path)


def test_metadata(tmp_path: Path) -> None:
    save_recognizer(build(), tmp_path / "r.safetensors")
    table, _ = read_tensors(tmp_path / "r.safetensors")
    assert table["layout_table"] == load_layout("kinect20").table()
    assert (table["pipeline"], table["has_scores"], table["num_persons"]) == ("nw-ucla", False, 2)


def chain(joints: int) -> dict[str, Any]:
    """A layout of any size: joints in a row, given to the six parts in turn."""
    names = [f"joint {place}" for place in range(joints)]
    return {
        "name": f"chain of {joints}",
        "joints": names,
        "bones": dict(zip(names[1:], names, strict=False)),
        "mirror": {},
        "centre": names[0],
        "parts": {part: names[place::6] for place, part in enumerate(("head", "hand", "arm", "hip", "leg", "foot"))},
    }


def packaged_layouts() -> list[str]:
    folder = resources.files("poseglot.skeletons").joinpath("layouts")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


LAYOUTS: list[Any] = [*packaged_layouts(), *map(chain, (6, 17, 18, 26, 33))]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout if isinstance(layout, str) else layout["name"])
@pytest.mark.parametrize("encoder", list_encoders())
def test_every_encoder_layout_and_partition(encoder: str, layout: str | dict[str, Any]) -> None:
    table = load_layout(layout)
    levels = {f"{name} {part}": joints for name in PARTITIONS for part, joints in table.partition(name).items()}
    channels = 2 + len(table) % 3  # 2 to 4: with and without scores
    torch.manual_seed(0)
    spec = RecognizerSpec(layout, ("a", "b"), 2, channels, encoder, {"base_channels": 8}, levels, embed_dim=6)
    made = Recognizer(spec).eval()(torch.randn(1, 2, 3, len(table), channels))
    assert list(made["alignment"]) == list(levels) and len(levels) == 1 + 2 + 4 + 6 + 6
    assert torch.isfinite(torch.cat([made["logits"], *made["alignment"].values()], dim=1)).all()


def test_reprs() -> None:
    assert "ctr-gcn" in repr(build()) and "kinect20" in repr(build()) and "3 classes" in repr(build())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    recognizer = build()
    with torch.no_grad():
        recognizer.classifier.weight[0, 0] = value
    save_recognizer(recognizer, tmp_path / "r.safetensors")
    with pytest.raises(FileError, match=r"classifier\.weight"):
        load_recognizer(tmp_path / "r.safetensors")
