"""Frame by frame is whole: what a recognizer says of a clip, whether it comes at once or a frame at a time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from poseglot.errors import SettingError
from poseglot.models.continual import ContinualRecognizer, RunningMean
from poseglot.models.encoders.ctr_gc import RefinedGraph
from poseglot.models.recognizer import Recognizer, RecognizerSpec, new_recognizer
from poseglot.testing import random_clips, scramble
from tests.models.encoders.test_backbone import TABLE

FRAMES = 21


def recognizer_of(encoder: str, *, people: int = 1, **encoder_kwargs: Any) -> Recognizer:
    spec = RecognizerSpec(
        layout="kinect20",
        classes=("a", "b", "c"),
        num_persons=people,
        encoder=encoder,
        encoder_kwargs={"base_channels": 8, **encoder_kwargs},
    )
    made = new_recognizer(spec, seed=0)
    scramble(made)
    return made.double().eval()


def whole(recognizer: Recognizer, clip: Tensor) -> Tensor:
    """(M, T, V, C) -> (classes,)."""
    with torch.no_grad():
        logits: Tensor = recognizer(clip[None])["logits"][0]
    return logits


def assert_same_as_whole(steps: ContinualRecognizer, recognizer: Recognizer, clip: Tensor) -> None:
    """After every frame: what the recognizer says of the clip that ends with it."""
    state = steps.start()
    with torch.no_grad():
        for frame in range(clip.shape[1]):
            state = steps.step(state, clip[:, frame])
            said, wanted = steps.logits(steps.flush(state)), whole(recognizer, clip[:, : frame + 1])
            assert said is not None
            torch.testing.assert_close(said / wanted.abs().max(), wanted / wanted.abs().max(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("encoder", TABLE)
@pytest.mark.parametrize("people", [1, 2])
def test_causal_is_exact_after_each_frame(encoder: str, people: int) -> None:
    recognizer = recognizer_of(encoder, people=people, causal=True)
    steps = ContinualRecognizer(recognizer)
    assert steps.is_exact and steps.lag == 0
    assert_same_as_whole(steps, recognizer, random_clips(1, people, FRAMES, "kinect20").double()[0])


@pytest.mark.parametrize("interval", [1, 3])
def test_topology_interval(interval: int) -> None:
    recognizer = recognizer_of("ctr-gcn", causal=True, topology_interval=interval)
    assert_same_as_whole(ContinualRecognizer(recognizer), recognizer, random_clips(1, 1, 11, "kinect20").double()[0])


@pytest.mark.parametrize(("encoder", "half"), [("st-gcn", 4), ("ctr-baseline", 2)])
def test_exact_at_the_end_of_a_clip(encoder: str, half: int) -> None:
    recognizer = recognizer_of(encoder)
    steps = ContinualRecognizer(recognizer)
    assert steps.is_exact and steps.lag == half * (5 + 2 * 3 + 4 * 2)  # half a window a block, at each rate
    assert_same_as_whole(steps, recognizer, random_clips(1, 1, FRAMES, "kinect20").double()[0])


@pytest.mark.parametrize("encoder", ["ctr-gcn", "ctr-gcn-single"])
def test_only_the_mean_of_ctr_gcn_is_approximate(encoder: str) -> None:
    """The approximation is the one that is named: with topologies of running means the whole network says the same."""
    recognizer = recognizer_of(encoder)
    clip = random_clips(1, 1, FRAMES, "kinect20").double()[0]
    steps = ContinualRecognizer(recognizer, topology_interval=5)
    assert not steps.is_exact
    usual = whole(recognizer, clip)
    for module in recognizer.modules():
        if isinstance(module, RefinedGraph):
            module.topology_interval = 5
    assert_same_as_whole(steps, recognizer, clip)
    assert not torch.allclose(whole(recognizer, clip), usual, rtol=1e-3)


def test_lag() -> None:
    recognizer = recognizer_of("st-gcn")
    steps = ContinualRecognizer(recognizer)
    state, clip = steps.start(), random_clips(1, 1, steps.lag + 5, "kinect20").double()[0]
    said = []
    with torch.no_grad():
        for frame in range(clip.shape[1]):
            state = steps.step(state, clip[:, frame])
            said.append(steps.logits(state))
    assert all(logits is None for logits in said[: steps.lag]) and said[steps.lag] is not None
    first, last = said[steps.lag], said[-1]
    assert first is not None and last is not None and not torch.equal(first, last)


def test_states_are_immutable() -> None:
    recognizer = recognizer_of("ctr-gcn", causal=True)
    steps = ContinualRecognizer(recognizer)
    clip, other = random_clips(2, 1, 12, "kinect20").double()
    with torch.no_grad():
        kept = steps.start()
        for frame in range(6):
            kept = steps.step(kept, clip[:, frame])
        for continued in (clip, other, clip):
            state = kept
            for frame in range(6, 12):
                state = steps.step(state, continued[:, frame])
            said, wanted = steps.logits(state), whole(recognizer, torch.cat([clip[:, :6], continued[:, 6:]], dim=1))
            torch.testing.assert_close(said, wanted)


def test_memory() -> None:
    recognizer = recognizer_of("ctr-gcn", causal=True)
    steps = ContinualRecognizer(recognizer, memory=8)
    clip = random_clips(1, 1, 150, "kinect20").double()[0]

    def through(frames: Tensor) -> tuple[Tensor, int]:
        state = steps.start()
        with torch.no_grad():
            for frame in range(frames.shape[1]):
                state = steps.step(state, frames[:, frame])
            logits = steps.logits(state)
        assert logits is not None
        kept = [t for block in state.blocks for t in (block.topology, block.window, block.mean.mean) if t is not None]
        return logits, sum(tensor.numel() for tensor in kept)

    # Other frames long before; as many, so that topologies are refreshed at the same ones.
    before = torch.cat([random_clips(1, 1, 30, "kinect20", seed=9).double()[0], clip[:, 30:]], dim=1)
    (long, size), (others, _), (_, short) = through(clip), through(before), through(clip[:, :20])
    assert size == short
    torch.testing.assert_close(long, others, rtol=1e-3, atol=1e-3 * long.abs().max().item())
    assert not torch.equal(long, others)


def test_running_mean() -> None:
    values = torch.arange(10.0).square()
    mean = RunningMean()
    for value in values[:4]:
        mean = mean.update(value, 4)
    assert mean.mean == values[:4].mean()
    plain = values[:4].mean()
    for value in values[4:]:
        mean = mean.update(value, 4)
        plain = 0.75 * plain + 0.25 * value
    torch.testing.assert_close(mean.mean, plain)


def test_refused() -> None:
    recognizer = recognizer_of("st-gcn")
    for wrong in ({"memory": 0}, {"topology_interval": 0}, {"memory": 2.5}):
        with pytest.raises(SettingError):
            ContinualRecognizer(recognizer, **wrong)  # type: ignore[arg-type]

    class Other(nn.Module):
        features = 32

        def forward(self, x: Tensor) -> Tensor:
            return x

    recognizer.encoder = Other()
    with pytest.raises(SettingError):
        ContinualRecognizer(recognizer)
