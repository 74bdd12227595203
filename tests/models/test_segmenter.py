"""Segmenters: saved as they are, and refused where they do not belong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from poseglot.errors import FileError, SettingError
from poseglot.files import sha256_of
from poseglot.models.segmenter import Segmenter, SegmenterSpec, load_segmenter, save_segmenter
from poseglot.models.tensor_file import read_tensors, write_tensors

pytestmark = pytest.mark.base
FEATURES = np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)


@pytest.fixture
def recognizer(tmp_path: Path) -> Path:
    path = tmp_path / "recognizer.safetensors"
    path.write_bytes(b"a recognizer")
    return path


@pytest.fixture
def segmenter(recognizer: Path) -> Segmenter:
    torch.manual_seed(0)
    spec = SegmenterSpec(("a", "b"), 12, (0.5, 1.0), 0.1, channels=8, layers=3, recognizer=sha256_of(recognizer))
    made = Segmenter(spec).eval()
    made.normalise_like(FEATURES)
    return made


def test_what_is_loaded_answers_as_what_was_saved(segmenter: Segmenter, recognizer: Path, tmp_path: Path) -> None:
    save_segmenter(segmenter, tmp_path / "s.safetensors")
    loaded = load_segmenter(tmp_path / "s.safetensors", recognizer)
    assert loaded.spec == segmenter.spec
    for ours, theirs in zip(segmenter.probabilities(FEATURES), loaded.probabilities(FEATURES), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    probabilities, boundary = loaded.probabilities(FEATURES)
    assert probabilities.shape == (40, 3) and boundary.shape == (40,)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (boundary > 0).all() and (boundary < 1).all()


def test_features_are_normalised(segmenter: Segmenter) -> None:
    normal = (FEATURES - FEATURES.mean(axis=0)) / (FEATURES.std(axis=0) + 1e-3)
    plain = Segmenter(segmenter.spec).eval()
    state = {name: tensor for name, tensor in segmenter.state_dict().items() if name not in ("mean", "std")}
    plain.load_state_dict(state, strict=False)
    np.testing.assert_allclose(segmenter.probabilities(FEATURES)[0], plain.probabilities(normal)[0], atol=1e-5)


def test_features_of_another_width_are_refused(segmenter: Segmenter) -> None:
    with pytest.raises(SettingError, match="11 features"):
        segmenter.probabilities(FEATURES[:, :11])


def test_a_segmenter_of_another_recognizer_is_refused(segmenter: Segmenter, recognizer: Path, tmp_path: Path) -> None:
    save_segmenter(segmenter, tmp_path / "s.safetensors")
    recognizer.write_bytes(b"trained again")
    with pytest.raises(FileError, match="another recognizer"):
        load_segmenter(tmp_path / "s.safetensors", recognizer)


def test_files_that_are_no_segmenters_are_refused(segmenter: Segmenter, recognizer: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    save_segmenter(segmenter, path)
    table, tensors = read_tensors(path)
    for wrong in (
        {"format": "poseglot-recognizer/3"},
        {"classes": ["a"]},
        {"windows": 3},
        {"layers": 4},
        {"step": 0},
        {"step": 1e-12},  # would ask for terabytes
        {"windows": [float("inf"), 1.0]},
        {"windows": [float("nan"), 1.0]},
        {"layers": 10**6},
        {"odd": 1},
    ):
        write_tensors(path, tensors, {**table, **wrong})
        with pytest.raises(FileError):
            load_segmenter(path, recognizer)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileError, match="damaged"):
        load_segmenter(path, recognizer)


def test_weights_that_are_not_finite_are_refused(segmenter: Segmenter, recognizer: Path, tmp_path: Path) -> None:
    segmenter.heads[0].bias.data.fill_(float("nan"))  # type: ignore[union-attr, operator]
    save_segmenter(segmenter, tmp_path / "s.safetensors")
    with pytest.raises(FileError, match="finite"):
        load_segmenter(tmp_path / "s.safetensors", recognizer)


def test_a_spec_of_nothing_is_refused(segmenter: Segmenter) -> None:
    for wrong in ({"classes": ()}, {"windows": ()}, {"step": -1.0}, {"features": 0}):
        with pytest.raises(SettingError):
            replace(segmenter.spec, **wrong)
