"""Every registered encoder keeps the contract; those of GAP's table 1d have the parameters and the cost that they should."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from poseglot.errors import NotFoundError, PoseglotError, SettingError
from poseglot.models.encoders import create_encoder, list_encoders, register_encoder
from poseglot.models.encoders.backbone import SkeletonEncoder
from poseglot.models.encoders.ctr_gcn import CTRGCN
from poseglot.models.encoders.registry import ENCODERS
from poseglot.models.recognizer import Recognizer, RecognizerSpec
from poseglot.skeletons.layout import load_layout
from poseglot.testing import ENCODER_CASES, ENCODER_CHECKS, check_encoder, random_clips, small_encoder
from tests.models.encoders.test_backbone import TABLE


@pytest.mark.parametrize("check", ENCODER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("layout", "num_persons"), ENCODER_CASES)
@pytest.mark.parametrize("name", list_encoders())
def test_contract(name: str, layout: str, num_persons: int, check: Callable[[str, str, int], None]) -> None:
    check(name, layout, num_persons)


class Pooled(SkeletonEncoder):
    """Keeps the contract, with no option but `base_channels`."""

    def __init__(self, layout: Any, *, num_persons: int = 1, channels: int = 3, base_channels: int = 8) -> None:
        super().__init__(layout, num_persons=num_persons, channels=channels, features=base_channels)
        self.mix = nn.Conv2d(channels, base_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.leave(self.mix(self.enter(x)))


class LooksAround(Pooled):
    """Breaks it: a clip's features depend on the others."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y - y.mean(dim=0)


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[nn.Module]], str]:
    """Register an encoder for one test; returns its name."""
    monkeypatch.setattr(ENCODERS, "_entries", dict(ENCODERS))

    def register(encoder: type[nn.Module]) -> str:
        register_encoder("plugin")(encoder)
        return "plugin"

    return register


def test_plugin_without_options_passes(plugin: Callable[[type[nn.Module]], str]) -> None:
    name = plugin(Pooled)
    check_encoder(name)
    assert name in list_encoders()
    assert isinstance(create_encoder(name, "coco17", base_channels=4), Pooled)


def test_plugin_that_breaks_the_contract_fails(plugin: Callable[[type[nn.Module]], str]) -> None:
    with pytest.raises(AssertionError, match="check_independence"):
        check_encoder(plugin(LooksAround))


def test_layout_by_name_or_object() -> None:
    first, second = (create_encoder("st-gcn", layout) for layout in ("ntu25", load_layout("ntu25")))
    assert [p.shape for p in first.parameters()] == [p.shape for p in second.parameters()]
    assert first(random_clips(1, 1, 4, "ntu25")).shape == (1, 1, 1, 25, 256)


# From here on: the four encoders of GAP's table 1d, which share a backbone.


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize(("frames", "quarter"), [(1, 1), (4, 1), (5, 2), (13, 4), (52, 13), (64, 16)])
def test_time_is_halved_twice_rounding_up(name: str, frames: int, quarter: int) -> None:
    encoder = small_encoder(name, "kinect20", 1)
    assert encoder(random_clips(1, 1, frames, "kinect20")).shape == (1, 1, quarter, 20, 32)


def case(name: str, option: str, value: object, error: type[PoseglotError] = SettingError) -> Any:
    return pytest.param(name, {option: value}, error, id=f"{name}-{option}-{value!r}")


@pytest.mark.parametrize(
    ("name", "encoder_kwargs", "error"),
    [
        *(case(name, "base_channels", value) for name in TABLE for value in (0, 12, "64", 64.0)),
        *(case(name, "kernel", value) for name in TABLE for value in (0, 4, -3, "9", True)),
        case("ctr-gcn", "temporal", "x"),
        case("ctr-baseline", "temporal", "x"),
        case("ctr-gcn", "kernel", 5),
        case("st-gcn", "temporal", "multi-scale"),
        case("ctr-gcn-single", "temporal", "multi-scale"),
        case("gcn", "base_channels", 8, NotFoundError),
    ],
)
def test_wrong_names_and_values(name: str, encoder_kwargs: dict[str, Any], error: type[PoseglotError]) -> None:
    with pytest.raises(error):
        small_encoder(name, "kinect20", 1, **encoder_kwargs)


def test_similar_name_is_suggested() -> None:
    with pytest.raises(NotFoundError) as raised:
        create_encoder("ctrgcn", "kinect20")
    assert raised.value.suggestion == "ctr-gcn" and "st-gcn" in raised.value.known


def test_temporal_modules_are_options() -> None:
    def names(encoder: nn.Module) -> list[str]:
        return list(encoder.state_dict())

    single = small_encoder("ctr-gcn-single", "kinect20", 1, kernel=5)
    assert isinstance(single, CTRGCN)
    assert names(single) == names(small_encoder("ctr-gcn", "kinect20", 1, temporal="single-scale", kernel=5))
    assert single.state_dict()["blocks.3.temporal.conv.weight"].shape == (8, 8, 1, 5)
    multi = set(names(small_encoder("ctr-gcn", "kinect20", 1)))
    both = [
        name for name in names(small_encoder("ctr-baseline", "kinect20", 1, temporal="multi-scale")) if ".temporal." in name
    ]
    assert both and set(both) <= multi


def blocks(frames: int) -> Iterator[tuple[int, int, int, int, bool]]:
    """Channels in and out, frames in and out, and whether the block's residual is a convolution."""
    in_channels = 3
    for number, out_channels in enumerate([64] * 4 + [128] * 3 + [256] * 3, start=1):
        after = -(-frames // 2) if number in (5, 8) else frames
        yield in_channels, out_channels, frames, after, number in (5, 8)
        in_channels, frames = out_channels, after


def conv_parameters(in_channels: int, out_channels: int, kernel: int = 1) -> int:
    return (in_channels * kernel + 1) * out_channels


def parameters(name: str, joints: int, num_persons: int, classes: int) -> int:
    """Counted from the equations: a 1x1 convolution of i to o channels has (i + 1) o, a BatchNorm of c channels 2 c."""
    total = 2 * num_persons * joints * 3 + conv_parameters(256, classes)
    for i, o, _, _, strided in blocks(1):
        r, q = max(i // 8, 8), o // 4
        total += 3 * joints**2 + 2 * o  # A or its mask, BatchNorm
        if name.startswith("ctr-gcn"):  # theta, phi; from them to channels; values; alpha
            total += 3 * (2 * conv_parameters(i, r) + conv_parameters(r, o) + conv_parameters(i, o)) + 1
        elif name == "ctr-baseline":
            total += 3 * conv_parameters(i, o)
        else:  # three convolutions, whose biases are one
            total += conv_parameters(3 * i, o)
        if name != "st-gcn" and i != o:
            total += conv_parameters(i, o) + 2 * o
        if name == "ctr-gcn":  # into three branches and BatchNorm, two of 5x1, the fourth branch, BatchNorm
            total += conv_parameters(o, 3 * q) + 2 * 3 * q + 2 * conv_parameters(q, q, 5) + conv_parameters(o, q) + 2 * o
        else:
            total += conv_parameters(o, o, 5 if name == "ctr-baseline" else 9) + 2 * o
        if strided:
            total += conv_parameters(i, o) + 2 * o
    return total


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize(("layout", "people", "classes"), [("kinect20", 1, 10), ("ntu25", 2, 120)])
def test_parameters_are_as_many_as_in_the_equations(name: str, layout: str, people: int, classes: int) -> None:
    recognizer = Recognizer(RecognizerSpec(layout, tuple(map(str, range(classes))), num_persons=people, encoder=name))
    count = sum(parameter.numel() for parameter in recognizer.parameters())
    assert count == parameters(name, len(load_layout(layout)), people, classes)


def test_parameters_are_as_many_as_published() -> None:
    assert parameters("ctr-baseline", joints=25, num_persons=2, classes=120) == 2_108_322
    assert parameters("ctr-gcn", joints=20, num_persons=1, classes=10) == 1_426_892
    # Five more are published; GAP's loss has five learnable scales.
    assert parameters("ctr-gcn", joints=25, num_persons=2, classes=120) + 5 == 1_462_097


def flops(name: str, layout: str, people: int, frames: int) -> int:
    """Of one clip, as torch counts them: a multiply-add is two."""
    encoder = create_encoder(name, load_layout(layout), num_persons=people, channels=3).eval().to("meta")
    with FlopCounterMode(display=False) as counter:
        encoder(torch.empty(1, people, frames, len(load_layout(layout)), 3, device="meta"))
    return counter.get_total_flops()


BENCHMARKS = pytest.mark.parametrize(
    ("layout", "people", "frames", "published"), [("kinect20", 1, 52, 1.235e9), ("ntu25", 2, 64, 3.88e9)]
)


@BENCHMARKS
def test_cost_of_ctr_gcn(layout: str, people: int, frames: int, published: float) -> None:
    """What is published, less what the early mean saves."""
    joints = len(load_layout(layout))
    # Theta and phi of three subsets see one frame instead of all.
    saved = sum(2 * 3 * 2 * i * max(i // 8, 8) * joints * (t - 1) for i, _, t, _, _ in blocks(frames)) * people
    ours = flops("ctr-gcn", layout, people, frames)
    assert saved > 0.05 * published
    assert ours + saved == pytest.approx(published, rel=0.01)


@BENCHMARKS
@pytest.mark.parametrize("name", ["st-gcn", "ctr-baseline"])
def test_cost_of_plain_graph_convolutions(name: str, layout: str, people: int, frames: int, published: float) -> None:
    v, total = len(load_layout(layout)), 0
    for i, o, t, after, strided in blocks(frames):
        kernel = 5 if name == "ctr-baseline" else 9
        total += 3 * i * t * v * v + 3 * i * o * t * v + kernel * o * o * after * v
        total += i * o * t * v * (name == "ctr-baseline" and i != o) + i * o * after * v * strided
    assert flops(name, layout, people, frames) == 2 * people * total
