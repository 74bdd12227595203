"""CTR-GCN in the CPU kernels against the same encoder in torch's operations: outputs, gradients, statistics, reasons."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from poseglot.kernels import channels_last, native
from poseglot.models.encoders import create_encoder, ctr_gcn_channels_last
from poseglot.models.encoders.ctr_gcn import CTRGCN
from poseglot.testing import random_clips, scramble

Ways = Callable[[nn.Module, Tensor], tuple[Tensor, Tensor]]


@pytest.fixture(scope="module", autouse=True)
def kernels() -> None:
    """Compiled when the first of these tests runs, and not by everyone who collects them."""
    if reason := native.unavailable_reason(torch.float64):
        pytest.skip(f"no kernels: {reason}")


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Ways:
    """(encoder, x) -> features by the kernels and by torch."""

    def both(encoder: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        assert isinstance(encoder, CTRGCN)
        assert ctr_gcn_channels_last.unsupported_reason(encoder, x) is None
        found = []
        for switch in ("on", "off"):
            monkeypatch.setenv("POSEGLOT_KERNELS", switch)
            found.append(encoder(x))
        monkeypatch.setenv("POSEGLOT_KERNELS", "on")
        return found[0], found[1]

    return both


def encoder_of(layout: str, people: int, *, width: int, dtype: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(0)
    return scramble(create_encoder("ctr-gcn", layout, num_persons=people, base_channels=width)).to(dtype)


# Widths for vectors of 16, 32 and 64 bytes; lengths that the strides do not divide; a clip alone; more clips than threads.
SHAPES = pytest.mark.parametrize(
    ("layout", "people", "width", "count", "frames"),
    [
        ("kinect20", 1, 16, 2, 13),
        ("kinect20", 1, 32, 1, 7),
        ("ntu25", 2, 16, 3, 10),
        ("ntu25", 2, 64, 1, 5),
        ("coco17", 1, 48, 2, 9),
        ("kinect20", 1, 16, 5, 1),
    ],
)


@SHAPES
def test_training_is_that_of_torch(ways: Ways, layout: str, people: int, width: int, count: int, frames: int) -> None:
    encoder = encoder_of(layout, people, width=width).train()
    x = random_clips(count, people, frames, layout).double().requires_grad_()
    state = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    first = ways(encoder, x)
    ours, by_torch = first
    torch.testing.assert_close(ours, by_torch, rtol=1e-9, atol=1e-9)
    weight = torch.randn(ours.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    inputs = [x, *encoder.parameters()]
    gradients = [torch.autograd.grad((y * weight).sum(), inputs) for y in first]
    for name, mine, theirs in zip(["x", *(n for n, _ in encoder.named_parameters())], *gradients, strict=True):
        size = theirs.abs().max().clamp_min(1)
        torch.testing.assert_close(mine / size, theirs / size, rtol=1e-8, atol=1e-8, msg=lambda m, n=name: f"{n}: {m}")
    # Both have remembered the same batch: from the same start, the statistics after each are equal.
    statistics = []
    for training in range(2):
        encoder.load_state_dict(state)
        statistics.append({})
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("POSEGLOT_KERNELS", ("on", "off")[training])
            encoder(x)
        statistics[-1].update({name: tensor.clone() for name, tensor in encoder.named_buffers()})
    for name, remembered in statistics[0].items():
        torch.testing.assert_close(remembered, statistics[1][name], rtol=1e-10, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}")
        assert not name.endswith("num_batches_tracked") or remembered == state[name] + 1


@SHAPES
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-3)])
def test_evaluation_is_that_of_torch(
    ways: Ways, layout: str, people: int, width: int, count: int, frames: int, dtype: torch.dtype, tolerance: float
) -> None:
    encoder = encoder_of(layout, people, width=width, dtype=dtype).eval()
    with torch.no_grad():
        ours, by_torch = ways(encoder, random_clips(count, people, frames, layout).to(dtype))
    size = by_torch.abs().max()
    torch.testing.assert_close(ours / size, by_torch / size, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("training", [True, False])
def test_a_number_that_is_none_stays_one(ways: Ways, training: bool) -> None:
    encoder = encoder_of("kinect20", 1, width=16).train(training)
    x = random_clips(2, 1, 8, "kinect20").double()
    x[0, 0, 3, 5, 1] = torch.nan
    with torch.no_grad() if not training else torch.enable_grad():
        ours, by_torch = ways(encoder, x)
    assert torch.equal(ours.isnan(), by_torch.isnan())
    assert ours.isnan().any()


def test_clips_are_shared_among_threads_without_a_trace() -> None:
    """With few clips the frames of one are shared, too (in evaluation)."""
    encoder = encoder_of("kinect20", 1, width=16)
    state = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    threads = torch.get_num_threads()
    for count in (1, 5):
        x = random_clips(count, 1, 12, "kinect20").double()
        found = []
        try:
            for cores in (1, 3):
                torch.set_num_threads(cores)
                encoder.load_state_dict(state)
                with torch.no_grad():
                    found.append([encoder.eval()(x)])
                encoder.train().zero_grad()
                encoder(x).square().mean().backward()
                found[-1] += [p.grad.clone() for p in encoder.parameters() if p.grad is not None]
        finally:
            torch.set_num_threads(threads)
        assert len(found[0]) > 100
        for one, three in zip(*found, strict=True):
            torch.testing.assert_close(three, one, rtol=1e-8, atol=1e-8)


def test_the_same_step_twice_gives_the_same_bits() -> None:
    encoder = encoder_of("ntu25", 2, width=16, dtype=torch.float32).train()
    x = random_clips(3, 2, 9, "ntu25")
    found = []
    for _ in range(2):
        encoder.zero_grad()
        encoder(x).square().mean().backward()
        found.append([p.grad.clone() for p in encoder.parameters() if p.grad is not None])
    assert found[0] and all(map(torch.equal, *found))


def test_weights_that_changed_are_seen_at_the_next_call(ways: Ways) -> None:
    encoder = encoder_of("kinect20", 1, width=16).eval()
    x = random_clips(2, 1, 8, "kinect20").double()
    with torch.no_grad():
        before, _ = ways(encoder, x)
        encoder.blocks[3].graph.value.weight.mul_(1.5)  # type: ignore[union-attr,operator]
        encoder.blocks[5].temporal.exit_norm.running_var.mul_(2)  # type: ignore[union-attr,operator]
        after, by_torch = ways(encoder, x)
    torch.testing.assert_close(after, by_torch, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(after, before)


def refusal(encoder: nn.Module, x: Tensor) -> str:
    assert isinstance(encoder, CTRGCN)
    return ctr_gcn_channels_last.unsupported_reason(encoder, x) or "none"


def test_unsupported_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    x = random_clips(2, 1, 8, "kinect20")
    encoder = encoder_of("kinect20", 1, width=16, dtype=torch.float32).train()
    assert refusal(encoder, x) == "none"
    assert "weights of torch.float32" in refusal(encoder, x.double())
    assert "fills no vector" in refusal(encoder_of("kinect20", 1, width=8, dtype=torch.float32), x)
    assert "mixed precision" in _in_autocast(encoder, x)
    assert "gradients in evaluation mode" in refusal(encoder.eval(), x)
    assert "not on a CPU" in refusal(encoder.train(), x.to("meta"))
    handle = encoder.blocks[0].register_forward_hook(lambda *_: None)  # type: ignore[union-attr]
    assert "hook" in refusal(encoder, x)
    handle.remove()
    single = create_encoder("ctr-gcn-single", "kinect20", base_channels=16)
    assert "multi-scale" in refusal(single, x)
    across = nn.SyncBatchNorm.convert_sync_batchnorm(encoder_of("kinect20", 1, width=16, dtype=torch.float32).train())
    assert "SyncBatchNorm" in refusal(across, x)
    monkeypatch.setenv("POSEGLOT_KERNELS", "off")
    assert refusal(encoder, x) == "POSEGLOT_KERNELS is off"


def _in_autocast(encoder: nn.Module, x: Tensor) -> str:
    with torch.autocast("cpu", torch.bfloat16):
        return refusal(encoder, x)


def test_a_second_derivative_is_refused_rather_than_wrong() -> None:
    encoder = encoder_of("kinect20", 1, width=16).train()
    x = random_clips(1, 1, 6, "kinect20").double().requires_grad_()
    (gradient,) = torch.autograd.grad(encoder(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_statistics_of_clips_put_together_are_those_of_all_numbers() -> None:
    x = torch.randn(4, 7, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3 + 1000
    norm = nn.BatchNorm2d(8, dtype=torch.float64).train()
    other = nn.BatchNorm2d(8, dtype=torch.float64).train()
    found = channels_last.BatchNorm(norm).statistics(channels_last.moments(x, 8), 35)
    other(x.permute(0, 3, 1, 2))
    torch.testing.assert_close(found.mean, x.mean(dim=(0, 1, 2)))
    torch.testing.assert_close(found.inverse, (x.var(dim=(0, 1, 2), unbiased=False) + norm.eps).rsqrt())
    for name, remembered in norm.named_buffers():
        torch.testing.assert_close(remembered, other.get_buffer(name))
