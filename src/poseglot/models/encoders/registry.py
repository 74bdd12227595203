"""Skeleton encoders by name.

    @register_encoder("my-encoder")
    class MyEncoder(SkeletonEncoder): ...

registers a class or a factory, which every recipe and command then knows. `create_encoder` builds one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from poseglot.errors import SettingError
from poseglot.registry import Registry
from poseglot.skeletons.layout import Layout, as_layout

ENCODERS: Registry[Callable[..., nn.Module]] = Registry("encoder")
register_encoder = ENCODERS.register
_CLIP = ("layout", "num_persons", "channels")  # arguments that describe the clips; all others are the encoder's own


def list_encoders() -> list[str]:
    """Return the names of all registered encoders."""
    return list(ENCODERS)


def create_encoder(
    name: str, layout: Layout | str, *, num_persons: int = 1, channels: int = 3, **encoder_kwargs: Any
) -> nn.Module:
    """Build an encoder by name, without a classifier. Its random weights follow from torch's global generator.

    Args:
        name: one of `list_encoders()`.
        layout: of the clips: a layout, the name of a packaged one, or the path of a YAML file.
        num_persons: how many people a clip holds at most.
        channels: numbers per joint; a score counts as one.
        encoder_kwargs: the encoder's own options.

    Returns:
        A module that maps clips (N, M, T, V, C) to joint features (N, num_persons, T', V, F); its `features` is F.

    Raises:
        NotFoundError: there is no such encoder.
        SettingError: the encoder has no such option, or refuses its value.
    """
    check_encoder_kwargs(name, encoder_kwargs)
    return ENCODERS[name](as_layout(layout), num_persons=num_persons, channels=channels, **encoder_kwargs)


def encoder_options(name: str) -> list[str]:
    """Return the names of an encoder's own options."""
    return [option for option in inspect.signature(ENCODERS[name]).parameters if option not in _CLIP]


def check_encoder_kwargs(name: str, encoder_kwargs: Iterable[str]) -> None:
    """Check that an encoder exists and has these options.

    Raises:
        NotFoundError: there is no such encoder.
        SettingError: it has no such option.
    """
    accepted = encoder_options(name)
    unknown = sorted(set(encoder_kwargs) - set(accepted))
    if unknown:
        raise SettingError(f"encoder {name} has no option {', '.join(map(repr, unknown))}; it has {', '.join(accepted)}.")
