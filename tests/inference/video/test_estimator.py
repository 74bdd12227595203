"""Which estimator is taken, and what is said where none can be."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from poseglot.errors import InputError, MissingPackageError, NotFoundError
from poseglot.inference.video import estimator as module
from poseglot.inference.video.estimator import ESTIMATORS, load_estimator
from tests.inference.video.actors import Squares


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes believe that only these packages are installed, and that every estimator is `Squares`."""

    def make(packages: Iterable[str]) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name in packages else None)
        for name, known in ESTIMATORS.items():
            made = Squares()
            made.name = name
            fake = module.EstimatorInfo(known.package, known.has_world, "", lambda models, device, made=made: made)  # type: ignore[misc]
            monkeypatch.setitem(module.ESTIMATORS, name, fake)  # type: ignore[arg-type]

    return make


@pytest.mark.parametrize(
    ("packages", "num_dims", "name"),
    [
        ({"rtmlib"}, None, "rtmpose"),
        ({"rtmlib"}, 2, "rtmpose"),
        ({"mediapipe"}, 2, "mediapipe"),
        ({"rtmlib", "mediapipe"}, 2, "rtmpose"),
        ({"rtmlib", "mediapipe"}, 3, "mediapipe"),
    ],
)
def test_auto_takes_what_is_installed_and_fits(installed: Any, packages: set[str], num_dims: int | None, name: str) -> None:
    installed(packages)
    assert load_estimator(num_dims=num_dims).name == name


def test_what_cannot_be_is_said(installed: Any) -> None:
    installed(set())
    with pytest.raises(MissingPackageError):
        load_estimator()
    with pytest.raises(MissingPackageError):
        load_estimator(num_dims=3)
    with pytest.raises(MissingPackageError, match="'rtmlib'"):
        load_estimator("rtmpose")
    with pytest.raises(NotFoundError, match="'openpose'"):
        load_estimator("openpose")
    installed({"rtmlib"})
    for name in ("auto", "rtmpose"):
        with pytest.raises(InputError, match="--pose"):
            load_estimator(name, num_dims=3)


def test_every_estimator_has_a_package_and_a_line() -> None:
    page = (Path(__file__).parents[3] / "docs" / "video.md").read_text()
    for name, known in ESTIMATORS.items():
        assert known.package in ("rtmlib", "mediapipe") and known.description
        assert f"| `{name}` |" in page
