"""The recognizer: pooling, heads, dropping the words, and its file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from poseglot.errors import PoseglotError
from poseglot.models.recognizer import Recognizer, RecognizerSpec, load_recognizer, save_recognizer
from poseglot.skeletons.layout import load_layout

LEVELS = {"global": tuple(range(20)), **load_layout("kinect20").partition("four")}


def build(**changes: object) -> Recognizer:
    torch.manual_seed(0)
    settings = {"people": 2, "options": {"width": 8}, "levels": LEVELS, "text_width": 6, **changes}
    return Recognizer(RecognizerSpec("kinect20", ("a", "b", "c"), **settings))  # type: ignore[arg-type]


def test_logits_and_alignment_are_means_through_linear_heads() -> None:
    recognizer = build().double().eval()
    x = torch.randn(3, 2, 10, 20, 3, dtype=torch.float64)
    output, features = recognizer(x), recognizer.encoder(x)
    torch.testing.assert_close(output["logits"], recognizer.classifier(features.mean(dim=(1, 2, 3))))
    for level, joints in LEVELS.items():
        pooled = torch.stack([features[:, :, :, joint].mean(dim=(1, 2)) for joint in joints]).mean(dim=0)
        torch.testing.assert_close(output["alignment"][level], recognizer.heads[f"{level}_head"](pooled))


def test_alignment_is_returned_in_both_modes_and_dropped_without_words() -> None:
    recognizer = build()
    x = torch.randn(2, 2, 10, 20, 3)
    assert set(recognizer.train()(x)["alignment"]) == set(recognizer.eval()(x)["alignment"]) == set(LEVELS)
    bare = recognizer.without_words()
    assert bare(x)["alignment"] == {}
    torch.testing.assert_close(bare(x)["logits"], recognizer(x)["logits"])
    assert bare.encoder is recognizer.encoder


def test_the_input_transform_comes_first() -> None:
    matrix = torch.randn(20, 20)
    recognizer = build(input_transform=tuple(map(tuple, matrix.tolist()))).eval()
    plain = build().eval()
    x = torch.randn(2, 2, 10, 20, 3)
    torch.testing.assert_close(recognizer(x)["logits"], plain(matrix @ x)["logits"])


@pytest.mark.parametrize("levels", [LEVELS, None])
def test_a_saved_recognizer_comes_back_whole(tmp_path: Path, levels: dict[str, tuple[int, ...]] | None) -> None:
    recognizer = build(levels=levels, input_transform=tuple(map(tuple, torch.eye(20).tolist()))).eval()
    save_recognizer(recognizer, tmp_path / "r.safetensors")
    again = load_recognizer(tmp_path / "r.safetensors")
    assert again.spec == recognizer.spec
    assert again.layout == recognizer.layout
    assert not again.training
    x = torch.randn(2, 2, 10, 20, 3)
    assert torch.equal(again(x)["logits"], recognizer(x)["logits"])


def test_a_file_cut_short_at_any_place_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.safetensors"
    save_recognizer(build(), path)
    whole = path.read_bytes()
    for keep in (0, 4, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:keep])
        with pytest.raises(PoseglotError, match="cut short"):
            load_recognizer(path)
