"""Checks for plugin authors: `check_encoder("my-encoder")` holds a registered encoder to the contract of `poseglot.models.encoders`.

Each check is a function that raises an AssertionError, and needs no test runner. With pytest, one test for each:

    @pytest.mark.parametrize("check", ENCODER_CHECKS, ids=lambda check: check.__name__)
    def test_contract(check):
        check("my-encoder", "kinect20", 1)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from poseglot.errors import InputError, PoseglotError, SettingError
from poseglot.models.encoders import create_encoder, encoder_options
from poseglot.models.fuse import fuse
from poseglot.models.recognizer import RecognizerSpec, new_recognizer
from poseglot.skeletons.layout import load_layout

ENCODER_CASES = (("kinect20", 1), ("kinect20", 2), ("ntu25", 2))
"""(layout, num_persons) that `check_encoder` runs all checks with."""


def check_encoder(name: str) -> None:
    """Hold a registered encoder to the contract.

    Raises:
        AssertionError: a check failed; it names the encoder, the check, the layout and the number of people.
        NotFoundError: there is no such encoder.
    """
    for check in ENCODER_CHECKS:
        for layout, num_persons in ENCODER_CASES:
            try:
                check(name, layout, num_persons)
            except AssertionError as error:
                raise AssertionError(
                    f"encoder {name} fails {check.__name__} with {layout}, {num_persons} people: {error}"
                ) from error


def small_encoder(name: str, layout: str, num_persons: int, *, seed: int = 0, **encoder_kwargs: Any) -> nn.Module:
    """Build an encoder with few channels, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        kwargs = {"base_channels": 8, **encoder_kwargs}
        return create_encoder(name, layout, num_persons=num_persons, **kwargs).eval()


def scramble(module: nn.Module, *, seed: int = 1) -> nn.Module:
    """Make every parameter and statistic random, in place, so that nothing hides behind a zero or a one."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.dtype.is_floating_point:
            values = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype) * 0.3
            tensor.copy_(values.abs() + 0.5 if name.endswith("running_var") else values)
    return module


def random_clips(count: int, num_persons: int, frames: int, layout: str, *, seed: int = 2) -> Tensor:
    """Return random clips (count, num_persons, frames, V, 3)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, num_persons, frames, len(load_layout(layout)), 3, generator=generator)


def check_shape(name: str, layout: str, num_persons: int) -> None:
    """Features are (N, num_persons, T', V, F) for clips of any length."""
    encoder = small_encoder(name, layout, num_persons)
    for frames in (1, 2, 13):
        features = encoder(random_clips(3, num_persons, frames, layout))
        wanted = (3, num_persons, len(load_layout(layout)), encoder.features)
        assert features.ndim == 5 and features.shape[2] >= 1, f"features of shape {tuple(features.shape)}"
        assert features.shape[:2] + features.shape[3:] == wanted, f"features of shape {tuple(features.shape)}"


def check_gradients(name: str, layout: str, num_persons: int) -> None:
    """Every parameter gets a gradient in training."""
    encoder = small_encoder(name, layout, num_persons).train()
    for seed in range(3):  # a small network may have a branch in which ReLU happens to pass nothing
        scramble(encoder, seed=seed)(random_clips(4, num_persons, 16, layout)).square().sum().backward()
    silent = [key for key, parameter in encoder.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    # A bias in front of a BatchNorm cancels out in training.
    silent = [key for key in silent if not key.endswith("bias")]
    assert not silent, f"no gradient for {silent}"


def check_people(name: str, layout: str, num_persons: int) -> None:
    """People are interchangeable, and a missing person is one of zeros."""
    encoder = scramble(small_encoder(name, layout, num_persons)).double()
    x = random_clips(2, num_persons, 12, layout).double()
    x[:, num_persons - 1] = 0
    _assert_close(encoder(x[:, : num_persons - 1]), encoder(x))
    norm = getattr(encoder, "input_norm", nn.Identity())
    for tensor in norm.state_dict().values():  # the input BatchNorm has statistics for each person
        if tensor.ndim:
            tensor.copy_(tensor.view(num_persons, -1)[0].repeat(num_persons))
    x = random_clips(2, num_persons, 12, layout).double()
    _assert_close(encoder(x.flip(1)), encoder(x).flip(1))


def check_independence(name: str, layout: str, num_persons: int) -> None:
    """In evaluation mode the features of a clip depend on that clip alone."""
    encoder = scramble(small_encoder(name, layout, num_persons)).double()
    x = random_clips(3, num_persons, 12, layout).double()
    _assert_close(encoder(x), torch.cat([encoder(clip[None]) for clip in x]))


def check_seed(name: str, layout: str, num_persons: int) -> None:
    """Weights follow from torch's seed, and nothing random is drawn later."""
    first, second, other = (small_encoder(name, layout, num_persons, seed=seed) for seed in (5, 5, 6))
    for key, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[key]), f"{key} differs"
    x = random_clips(2, num_persons, 12, layout)
    for training in (True, False):
        assert torch.equal(first.train(training)(x), second.train(training)(x)), "features differ"
    assert not torch.equal(first(x), other(x)), "another seed gives the same features"


def check_state(name: str, layout: str, num_persons: int) -> None:
    """The state dict is everything that an encoder has learned."""
    first, second = (small_encoder(name, layout, num_persons, seed=seed) for seed in (5, 6))
    second.load_state_dict(scramble(first).state_dict())
    x = random_clips(2, num_persons, 12, layout)
    assert torch.equal(first(x), second(x)), "features differ"


def check_errors(name: str, layout: str, num_persons: int) -> None:
    """Clips and options that do not fit are refused with a typed error."""
    encoder = small_encoder(name, layout, num_persons)
    joints = len(load_layout(layout))
    for shape in ((1, 1, 5, joints + 1, 3), (1, num_persons + 1, 5, joints, 3), (1, 1, 5, joints, 4)):
        _assert_raises(InputError, partial(encoder, torch.zeros(shape)), f"clips of shape {shape}")
    _assert_raises(SettingError, partial(small_encoder, name, layout, num_persons, heigth=3), "an unknown option")


def check_fused(name: str, layout: str, num_persons: int) -> None:
    """The fused form for inference gives the same logits."""
    kwargs = {"base_channels": 8}
    spec = RecognizerSpec(layout, ("a", "b"), num_persons=num_persons, encoder=name, encoder_kwargs=kwargs)
    recognizer = new_recognizer(spec, seed=0)
    scramble(recognizer).double().eval()
    x = random_clips(2, num_persons, 12, layout).double()
    with torch.no_grad():
        _assert_close(fuse(recognizer)(x), recognizer(x)["logits"])


def check_causal(name: str, layout: str, num_persons: int) -> None:
    """With the option `causal`, if the encoder has it, what is still to come changes nothing."""
    if "causal" not in encoder_options(name):
        return
    encoder = scramble(small_encoder(name, layout, num_persons, causal=True)).double()
    clip = random_clips(1, num_persons, 18, layout).double()
    other = torch.cat([clip[:, :, :9], random_clips(1, num_persons, 9, layout, seed=7).double()], dim=2)
    with torch.no_grad():
        features, others = encoder(clip), encoder(other)
    seen = -(-9 * features.shape[2] // 18)  # frames out that have seen nothing but the first nine
    _assert_close(features[:, :, :seen], others[:, :, :seen])
    assert features.abs().max() > 0, "all features are zero"


ENCODER_CHECKS: tuple[Callable[[str, str, int], None], ...] = (
    check_shape,
    check_gradients,
    check_people,
    check_independence,
    check_seed,
    check_state,
    check_errors,
    check_fused,
    check_causal,
)
"""The contract, one function (name, layout, num_persons) for each part."""


def _assert_close(found: Tensor, wanted: Tensor) -> None:
    size = wanted.abs().max().clamp_min(1e-30)
    torch.testing.assert_close(found / size, wanted / size, rtol=1e-7, atol=1e-7)


def _assert_raises(kind: type[PoseglotError], call: Callable[[], object], what: str) -> None:
    try:
        call()
    except kind:
        return
    raise AssertionError(f"{what} did not raise {kind.__name__}")
