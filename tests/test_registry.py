"""Registries: things found by name."""

from __future__ import annotations

import pytest

from poseglot.errors import NotFoundError, PoseglotError, SettingError, nearest
from poseglot.registry import Registry


@pytest.fixture
def registry() -> Registry[object]:
    registry: Registry[object] = Registry("encoder")

    @registry.register("ctr-gcn")
    class CTRGCN: ...

    @registry.register("st-gcn")
    def st_gcn() -> None: ...

    assert registry["ctr-gcn"] is CTRGCN and registry["st-gcn"] is st_gcn
    return registry


def test_it_is_a_mapping_in_order(registry: Registry[object]) -> None:
    assert list(registry) == ["ctr-gcn", "st-gcn"] and len(registry) == 2
    assert "st-gcn" in registry and "other" not in registry and 3 not in registry
    assert repr(registry) == "Registry('encoder': ctr-gcn, st-gcn)"


@pytest.mark.parametrize(
    ("name", "suggestion"), [("ctr_gcn", "ctr-gcn"), ("CTRGCN", "ctr-gcn"), ("stgcn", "st-gcn"), ("lstm", None)]
)
def test_an_unknown_name_is_refused_with_the_nearest(registry: Registry[object], name: str, suggestion: str | None) -> None:
    with pytest.raises(NotFoundError) as error:
        registry[name]
    found = error.value
    assert isinstance(found, PoseglotError)
    assert (found.name, found.known, found.suggestion) == (name, ("ctr-gcn", "st-gcn"), suggestion)
    assert all(word in str(found) for word in ("encoder", repr(name), "ctr-gcn", "st-gcn", suggestion or ""))


def test_a_name_is_given_once(registry: Registry[object]) -> None:
    with pytest.raises(SettingError):
        registry.register("st-gcn")(dict)
    registry.add("st-gcn", registry["st-gcn"])


def test_a_module_may_be_imported_again() -> None:
    registry: Registry[type] = Registry("thing")
    first, second = (type("Thing", (), {"__module__": "plugin", "__qualname__": "Thing"}) for _ in range(2))
    registry.add("thing", first)
    registry.add("thing", second)
    assert registry["thing"] is second


def test_nearest_ignores_case_and_dashes() -> None:
    assert nearest("Min_Max", ["min-max", "mirror"]) == "min-max"
    assert nearest("nothing like it", ["min-max"]) is None
