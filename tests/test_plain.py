"""The plain network and step of `benchmarks/plain.py` against ours: same losses, same gradients, same weights after twenty steps."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseglot.losses import alignment_loss
from poseglot.models.convert import OFFICIAL_PARTS, recognizer_from_official
from poseglot.models.recognizer import Recognizer
from poseglot.skeletons.layout import load_layout
from poseglot.testing import random_clips, scramble

HEADS = ("head", "hand", "foot", "hip")  # the order of the public heads
LEVELS = ("global", *HEADS)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "benchmarks"))
    import plain

    yield plain
    sys.modules.pop("plain", None)


def plain_network(plain: Any, layout: str, people: int, *, width: int) -> nn.Module:
    table = load_layout(layout)
    parts = [OFFICIAL_PARTS[layout]["joint"][name] for name in HEADS]
    torch.manual_seed(0)
    network: nn.Module = plain.PlainGAP(table, people=people, classes=4, width=width, embed_dim=12, parts=parts)
    return network


def ours_of(state: dict[str, Tensor], layout: str, people: int) -> Recognizer:
    """The recognizer that holds these public tensors (weights or gradients), in their precision."""
    return recognizer_from_official(state, layout=layout, people=people)


def plain_step(plain: Any, network: nn.Module, x: Tensor, labels: Tensor, texts: dict[str, Tensor]) -> Tensor:
    loss: Tensor = plain.plain_loss(network(x), labels, [texts[level] for level in LEVELS], weight=0.8, scale=10.0)
    return loss


def our_step(recognizer: nn.Module, x: Tensor, labels: Tensor, texts: dict[str, Tensor]) -> Tensor:
    output = recognizer(x)
    aligned = [alignment_loss(output["alignment"][level], texts[level], labels, scale=10.0) for level in LEVELS]
    return F.cross_entropy(output["logits"], labels) + 0.8 * torch.stack(aligned).mean()


def batch(
    layout: str, people: int, frames: int, dtype: torch.dtype, *, count: int = 6, seed: int = 2
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    x = random_clips(count, people, frames, layout, seed=seed).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    texts = {level: torch.randn(count, 12, generator=generator, dtype=dtype) for level in LEVELS}
    return x, torch.tensor([0, 1, 1, 3, 2, 0]).repeat(-(-count // 6))[:count], texts


CASES = pytest.mark.parametrize(("layout", "people", "frames"), [("kinect20", 1, 21), ("ntu25", 2, 10)])
# Wide and narrow enough for every way that our encoder may take.
WIDTHS = pytest.mark.parametrize("width", [8, 32])


@CASES
@WIDTHS
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 5e-3)])
def test_loss_and_gradients_are_those_of_the_plain_step(
    plain: Any, layout: str, people: int, frames: int, width: int, dtype: torch.dtype, tolerance: float
) -> None:
    network = scramble(plain_network(plain, layout, people, width=width)).to(dtype)
    ours = ours_of(network.state_dict(), layout, people)
    x, labels, texts = batch(layout, people, frames, dtype)
    for training in (True, False):
        network.train(training)
        ours.train(training)
        network.zero_grad()
        ours.zero_grad()
        wanted, got = plain_step(plain, network, x, labels, texts), our_step(ours, x, labels, texts)
        torch.testing.assert_close(got, wanted, rtol=tolerance, atol=tolerance)
        wanted.backward()
        got.backward()
        # Gradients have the places of the weights: turned into ours like a state.
        gradients = {name: torch.zeros_like(tensor) for name, tensor in network.state_dict().items()}
        gradients |= {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
        expected = ours_of(gradients, layout, people).state_dict()
        for name, parameter in ours.named_parameters():
            assert parameter.grad is not None
            scale = expected[name].abs().max().clamp_min(1)
            torch.testing.assert_close(
                parameter.grad / scale,
                expected[name] / scale,
                rtol=tolerance,
                atol=tolerance,
                msg=lambda m, name=name: f"{name}: {m}",
            )
    for name, statistic in ours_of(network.state_dict(), layout, people).named_buffers():
        torch.testing.assert_close(ours.get_buffer(name), statistic, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("layout", "people", "frames", "width", "switch"),
    [
        ("kinect20", 1, 9, 16, "on"),
        ("ntu25", 2, 6, 8, "on"),
        pytest.param("kinect20", 1, 21, 16, "off", marks=pytest.mark.slow),
        pytest.param("ntu25", 2, 10, 16, "on", marks=pytest.mark.slow),
    ],
)
def test_weights_after_twenty_steps_are_those_of_plain_training(
    plain: Any, monkeypatch: pytest.MonkeyPatch, layout: str, people: int, frames: int, width: int, switch: str
) -> None:
    """At the learning rate of the recipes' first epoch; each step has its own batch."""
    monkeypatch.setenv("POSEGLOT_KERNELS", switch)
    network = plain_network(plain, layout, people, width=width).double().train()
    ours = ours_of(network.state_dict(), layout, people).train()
    modules = (network, ours)
    optimizers = [
        torch.optim.SGD(module.parameters(), lr=0.02, momentum=0.9, nesterov=True, weight_decay=4e-4) for module in modules
    ]
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    for step in range(20):
        x, labels, texts = batch(layout, people, frames, torch.float64, count=6, seed=step)
        losses = plain_step(plain, network, x, labels, texts), our_step(ours, x, labels, texts)
        for optimizer, loss in zip(optimizers, losses, strict=True):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    expected = ours_of(network.state_dict(), layout, people).state_dict()
    for name, tensor in ours.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-9, atol=1e-9, msg=lambda m, name=name: f"{name}: {m}")
    assert max(float((tensor.detach() - before[name]).abs().max()) for name, tensor in ours.named_parameters()) > 0.1


def test_the_plain_alignment_in_matrices_is_the_one_row_by_row(plain: Any) -> None:
    _, labels, texts = batch("kinect20", 1, 4, torch.float64)
    skeleton, text = texts["global"], texts["head"]
    wanted = plain.plain_alignment(skeleton, text, labels, scale=10.0)
    torch.testing.assert_close(plain.plain_batch_alignment(skeleton, text, labels, scale=10.0), wanted)
