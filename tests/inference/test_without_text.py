"""At test time nothing of the words is left: no module, no parameter, no operation (paper, section 3.1)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from poseglot.inference import Predictor
from poseglot.models.fuse import fuse
from poseglot.models.recognizer import Recognizer
from poseglot.skeletons.clip import Clip
from poseglot.transforms import apply_pipeline

evaluation_input = partial(apply_pipeline, modality="joint")

# Predicts, then prints the forbidden modules it finds loaded.
PREDICT = """
import sys
import poseglot.inference
predictions = poseglot.inference.Predictor(sys.argv[1], device="cpu").predict([sys.argv[2]])
assert len(predictions[0].scores) == 5
packages = {"transformers", "tokenizers", "lightning_fabric", "jsonargparse", "tensorboard", "matplotlib", "cv2", "rtmlib",
            "huggingface_hub"}
rooms = ("losses", "training", "models.text", "descriptions")
for name in sys.modules:
    ours = any(name == f"poseglot.{room}" or name.startswith(f"poseglot.{room}.") for room in rooms)
    if ours or name.split(".")[0] in packages or name == "torch._dynamo":  # torch's compiler: a second
        print(name)
print("predicted")
"""


def views_of(clips: Sequence[Clip]) -> torch.Tensor:
    return torch.from_numpy(np.stack([evaluation_input(clip.joints, pipeline="nw-ucla") for clip in clips]))


def operations(module: nn.Module, x: torch.Tensor) -> int:
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        module(x)
    return int(counter.get_total_flops())


def parameters(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def test_predicting_loads_nothing_that_only_training_needs(run_folder: Path, clips: Sequence[Clip], tmp_path: Path) -> None:
    np.save(tmp_path / "clip.npy", clips[0].joints)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PREDICT, str(run_folder), str(tmp_path / "clip.npy")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["predicted"]


def test_parameters_are_those_of_encoder_and_classifier(recognizer: Recognizer) -> None:
    alone = parameters(recognizer.encoder, recognizer.classifier)
    assert parameters(recognizer.drop_heads()) == alone
    assert parameters(recognizer) == alone + 5 * (32 * 16 + 16), "the trained one has five heads to a text width of 16"


def test_operations_are_those_of_encoder_and_classifier(recognizer: Recognizer, clips: Sequence[Clip]) -> None:
    views = views_of(clips[:2])
    pooled = torch.zeros(2, recognizer.classifier.in_features)
    alone = operations(recognizer.encoder, views) + operations(recognizer.classifier, pooled)
    assert alone > 1_000_000
    assert operations(recognizer.drop_heads(), views) == alone
    assert operations(fuse(recognizer), views) <= alone
    assert operations(recognizer, views) > alone, "the heads would have been counted"


def test_outputs_are_encoder_mean_and_classifier_by_hand(
    run_folder: Path, recognizer: Recognizer, clips: Sequence[Clip]
) -> None:
    views = views_of(clips)
    with torch.no_grad():
        features = recognizer.encoder(views)  # (N, M, T, V, F)
        pooled = torch.stack([clip.reshape(-1, clip.shape[-1]).mean(dim=0) for clip in features])
        expected = pooled @ recognizer.classifier.weight.T + recognizer.classifier.bias
    np.testing.assert_allclose(Predictor(run_folder, device="cpu").logits(views), expected.numpy(), rtol=1e-4, atol=1e-5)


def test_the_whole_recognizer_keeps_its_heads(recognizer: Recognizer) -> None:
    bare = recognizer.drop_heads()
    assert not bare.training
    assert not bare.spec.levels
    assert bare.encoder is recognizer.encoder
    assert len(recognizer.heads) == 5 and len(bare.heads) == 0
