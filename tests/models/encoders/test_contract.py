"""Every registered encoder keeps the contract of `poseglot.models.encoders`; ours have the parameters and the cost they should.

`CHECKS` are the contract, one function each: `tests/docs/test_adding_an_encoder.py` holds the encoder of
`docs/adding-an-encoder.md` to them, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from poseglot.errors import PoseglotError
from poseglot.models.encoders import ENCODERS, create_encoder
from poseglot.models.encoders.ctr_gcn import CTRGCN
from poseglot.models.recognizer import Recognizer, RecognizerSpec
from poseglot.skeletons.layout import load_layout
from tests.models.encoders.helpers import build, clips, scrambled

CASES = pytest.mark.parametrize(("layout", "num_persons"), [("kinect20", 1), ("kinect20", 2), ("ntu25", 2)])


def features_are_by_clip_person_frame_and_joint(name: str, layout: str, num_persons: int) -> None:
    encoder = build(name, layout, num_persons)
    for frames in (1, 2, 13):
        features = encoder(clips(3, num_persons, frames, layout))
        assert features.ndim == 5 and features.shape[2] >= 1
        assert features.shape[:2] + features.shape[3:] == (3, num_persons, len(load_layout(layout)), encoder.features)


def every_parameter_gets_a_gradient(name: str, layout: str, num_persons: int) -> None:
    encoder = build(name, layout, num_persons).train()
    for seed in range(3):  # a small network may have a branch in which ReLU happens to let nothing through
        scrambled(encoder, seed=seed)(clips(4, num_persons, 16, layout)).square().sum().backward()
    silent = [name for name, parameter in encoder.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    # A bias in front of a BatchNorm cannot matter in training.
    assert [name for name in silent if not name.endswith("bias")] == []


def people_are_interchangeable(name: str, layout: str, num_persons: int) -> None:
    encoder = scrambled(build(name, layout, num_persons)).double()
    norm = getattr(encoder, "input_norm", nn.Identity())
    for tensor in norm.state_dict().values():  # but for the input BatchNorm, which knows each person apart
        if tensor.ndim:
            tensor.copy_(tensor.view(num_persons, -1)[0].repeat(num_persons))
    x = clips(2, num_persons, 12, layout).double()
    torch.testing.assert_close(encoder(x.flip(1)), encoder(x).flip(1))


def a_missing_person_is_one_of_zeros(name: str, layout: str, num_persons: int) -> None:
    encoder = scrambled(build(name, layout, num_persons)).double()
    x = clips(2, num_persons, 12, layout).double()
    x[:, num_persons - 1] = 0
    torch.testing.assert_close(encoder(x[:, : num_persons - 1]), encoder(x))


def clips_do_not_see_each_other(name: str, layout: str, num_persons: int) -> None:
    encoder = scrambled(build(name, layout, num_persons)).double()
    x = clips(3, num_persons, 12, layout).double()
    alone = torch.cat([encoder(clip[None]) for clip in x])
    torch.testing.assert_close(encoder(x), alone)


def the_seed_says_everything(name: str, layout: str, num_persons: int) -> None:
    first, second, other = (build(name, layout, num_persons, seed=seed) for seed in (5, 5, 6))
    for key, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[key]), key
    x = clips(2, num_persons, 12, layout)
    for training in (True, False):  # nor is anything drawn later on
        assert torch.equal(first.train(training)(x), second.train(training)(x))
    assert not torch.equal(first(x), other(x))


def its_state_is_all_that_it_knows(name: str, layout: str, num_persons: int) -> None:
    first, second = scrambled(build(name, layout, num_persons, seed=5)), build(name, layout, num_persons, seed=6)
    second.load_state_dict(first.state_dict())
    x = clips(2, num_persons, 12, layout)
    assert torch.equal(first(x), second(x))


def what_does_not_fit_is_refused(name: str, layout: str, num_persons: int) -> None:
    encoder = build(name, layout, num_persons)
    joints = len(load_layout(layout))
    with pytest.raises(PoseglotError, match=rf"{joints} joints.*\(1, 1, 5, 7, 3\)"):
        encoder(torch.zeros(1, 1, 5, 7, 3))
    with pytest.raises(PoseglotError, match=f"up to {num_persons} people"):
        encoder(torch.zeros(1, num_persons + 1, 5, joints, 3))
    with pytest.raises(PoseglotError, match=rf"{name} has no option 'depth', 'heigth'; it has .*\bwidth\b"):
        build(name, layout, num_persons, heigth=3, depth=4)


CHECKS: tuple[Callable[[str, str, int], None], ...] = (
    features_are_by_clip_person_frame_and_joint,
    every_parameter_gets_a_gradient,
    people_are_interchangeable,
    a_missing_person_is_one_of_zeros,
    clips_do_not_see_each_other,
    the_seed_says_everything,
    its_state_is_all_that_it_knows,
    what_does_not_fit_is_refused,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@CASES
@pytest.mark.parametrize("name", ENCODERS)
def test_contract(name: str, layout: str, num_persons: int, check: Callable[[str, str, int], None]) -> None:
    check(name, layout, num_persons)


# From here on: the four encoders of GAP's table 1d, which share a backbone.
TABLE = ("st-gcn", "ctr-baseline", "ctr-gcn-single", "ctr-gcn")


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize(("frames", "quarter"), [(1, 1), (4, 1), (5, 2), (13, 4), (52, 13), (64, 16)])
def test_time_is_halved_twice_rounding_up(name: str, frames: int, quarter: int) -> None:
    encoder = build(name, "kinect20", 1)
    assert encoder(clips(1, 1, frames, "kinect20")).shape == (1, 1, quarter, 20, 32)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        *((name, {"base_channels": width}, "multiple of 8") for name in TABLE for width in (0, 12, "64", 64.0)),
        *((name, {"kernel": kernel}, "odd number of frames") for name in TABLE for kernel in (0, 4, -3, "9", True)),
        ("ctr-gcn", {"temporal": "x"}, "multi-scale or single-scale, not 'x'"),
        ("ctr-baseline", {"temporal": "x"}, "multi-scale or single-scale, not 'x'"),
        ("ctr-gcn", {"kernel": 5}, "kernel 5 goes with temporal single-scale"),
        ("st-gcn", {"temporal": "multi-scale"}, "st-gcn has no option 'temporal'; it has width, kernel"),
        ("ctr-gcn-single", {"temporal": "multi-scale"}, "it has width, kernel"),
        ("gcn", {}, "unknown encoder 'gcn'; there are st-gcn, "),
    ],
)
def test_wrong_names_and_values_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(PoseglotError, match=message):
        build(name, "kinect20", 1, **options)


def test_single_scale_and_multi_scale_are_the_encoders_options() -> None:
    def names(encoder: nn.Module) -> list[str]:
        return list(encoder.state_dict())

    single = build("ctr-gcn-single", "kinect20", 1, kernel=5)
    assert isinstance(single, CTRGCN)
    assert names(single) == names(build("ctr-gcn", "kinect20", 1, temporal="single-scale", kernel=5))
    assert single.state_dict()["blocks.3.temporal.conv.weight"].shape == (8, 8, 5, 1)
    multi = set(names(build("ctr-gcn", "kinect20", 1)))
    both = [name for name in names(build("ctr-baseline", "kinect20", 1, temporal="multi-scale")) if ".temporal." in name]
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
        else:  # three convolutions, whose biases are one
            total += conv_parameters(3 * i, o)
        if name != "st-gcn" and i != o:
            total += conv_parameters(i, o) + 2 * o
        if name == "ctr-gcn":  # into three branches and BatchNorm, two of 5x1, the fourth branch, BatchNorm
            total += conv_parameters(o, 3 * q) + 2 * 3 * q + 2 * conv_parameters(q, q, 5) + conv_parameters(o, q) + 2 * o
        else:
            total += conv_parameters(o, o, 9) + 2 * o
        if strided:
            total += conv_parameters(i, o) + 2 * o
    return total


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize(("layout", "num_persons", "classes"), [("kinect20", 1, 10), ("ntu25", 2, 120)])
def test_parameters_are_as_many_as_the_equations_have(name: str, layout: str, num_persons: int, classes: int) -> None:
    recognizer = Recognizer(RecognizerSpec(layout, tuple(map(str, range(classes))), num_persons=num_persons, encoder=name))
    count = sum(parameter.numel() for parameter in recognizer.parameters())
    assert count == parameters(name, len(load_layout(layout)), num_persons, classes)


def test_ctr_gcn_has_as_many_parameters_as_published() -> None:
    assert parameters("ctr-gcn", joints=20, num_persons=1, classes=10) == 1_426_892
    # Five more are published; GAP's loss has five learnable scales.
    assert parameters("ctr-gcn", joints=25, num_persons=2, classes=120) + 5 == 1_462_097


def flops(name: str, layout: str, num_persons: int, frames: int) -> int:
    """Of one clip, as torch counts them: a multiply-add is two."""
    encoder = create_encoder(name, load_layout(layout), num_persons=num_persons, channels=3).eval().to("meta")
    with FlopCounterMode(display=False) as counter:
        encoder(torch.empty(1, num_persons, frames, len(load_layout(layout)), 3, device="meta"))
    return counter.get_total_flops()


BENCHMARKS = pytest.mark.parametrize(
    ("layout", "num_persons", "frames", "published"), [("kinect20", 1, 52, 1.235e9), ("ntu25", 2, 64, 3.88e9)]
)


@BENCHMARKS
def test_ctr_gcn_costs_what_is_published_less_what_the_early_mean_saves(
    layout: str, num_persons: int, frames: int, published: float
) -> None:
    joints = len(load_layout(layout))
    # Theta and phi of three subsets see one frame instead of all.
    saved = sum(2 * 3 * 2 * i * max(i // 8, 8) * joints * (t - 1) for i, _, t, _, _ in blocks(frames)) * num_persons
    ours = flops("ctr-gcn", layout, num_persons, frames)
    assert saved > 0.05 * published
    assert ours + saved == pytest.approx(published, rel=0.01)


@BENCHMARKS
@pytest.mark.parametrize("name", ["st-gcn", "ctr-baseline"])
def test_plain_graph_convolutions_cost_what_their_equations_say(
    name: str, layout: str, num_persons: int, frames: int, published: float
) -> None:
    v, total = len(load_layout(layout)), 0
    for i, o, t, after, strided in blocks(frames):
        total += 3 * i * t * v * v + 3 * i * o * t * v + 9 * o * o * after * v
        total += i * o * t * v * (name == "ctr-baseline" and i != o) + i * o * after * v * strided
    assert flops(name, layout, num_persons, frames) == 2 * num_persons * total
