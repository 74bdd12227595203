"""Small recognizers with alignment heads and uneven running statistics, saved as a training would save them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from poseglot.data.store import PackedStore
from poseglot.data.synthetic import ACTIONS
from poseglot.models.recognizer import Recognizer, RecognizerSpec, save_recognizer
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout

SPEC = RecognizerSpec(
    layout="kinect20",
    classes=ACTIONS,
    encoder_kwargs={"base_channels": 8},
    levels={"global": tuple(range(20)), **load_layout("kinect20").partition("four")},
    embed_dim=16,
)


@pytest.fixture(scope="session")
def build() -> Callable[..., Recognizer]:
    """Builds a recognizer for these people and this stream, in evaluation mode."""

    def make(seed: int = 0, *, people: int = 1, modality: str = "joint") -> Recognizer:
        torch.manual_seed(seed)
        recognizer = Recognizer(replace(SPEC, num_persons=people, modality=modality))
        with torch.no_grad():
            for module in recognizer.modules():
                if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                    assert module.running_mean is not None
                    assert module.running_var is not None
                    module.running_mean.normal_(std=0.2)
                    module.running_var.uniform_(0.5, 2)
                    module.weight.uniform_(0.5, 1.5)
                    module.bias.normal_(std=0.2)
            # Logits of about the size that training makes, so that no probability is rounded to 0 or 1.
            recognizer.eval()
            clips = torch.rand(8, people, 52, 20, 3) * 2 - 1
            recognizer.classifier.weight.mul_(2 / recognizer(clips)["logits"].std())
            recognizer.classifier.bias.normal_()
        return recognizer

    return make


@pytest.fixture(scope="session")
def recognizer(build: Callable[..., Recognizer]) -> Recognizer:
    return build()


@pytest.fixture(scope="session")
def run_folder(recognizer: Recognizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "demo"
    save_recognizer(recognizer, folder / "recognizer.safetensors")
    return folder


@pytest.fixture(scope="session")
def clips(small_store: PackedStore) -> Sequence[Clip]:
    """Seven clips of different actions and lengths."""
    return [small_store[place] for place in range(0, 112, 16)]
