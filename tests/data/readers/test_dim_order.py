"""Orders of dimensions: each, given or found, yields the same joints; an ambiguous one is refused."""

from __future__ import annotations

import numpy as np
import pytest

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.dim_order import DimOrder, arrange, find_order
from poseglot.data.readers.formats import parse_columns
from poseglot.errors import SettingError

JOINTS = np.random.default_rng(0).normal(size=(2, 30, 13, 3))  # people, frames, joints, channels
KNOWN = {"joint_count": 13, "has_scores": False}


def in_order(order: str) -> np.ndarray:
    """Return JOINTS (of the first person, where the order has no people) as an array of that order."""
    letters = order.replace(",", "")
    native = "mtvc" if "m" in letters else "tvc"
    array = JOINTS if "m" in letters else JOINTS[0]
    moved = array.transpose([native.index(letter) for letter in letters])
    sizes = dict(zip(native, array.shape, strict=True))
    return moved.reshape([int(np.prod([sizes[letter] for letter in dim])) for dim in order.split(",")])


@pytest.mark.parametrize(
    "order",
    ["t,v,c", "m,t,v,c", "v,c,t", "c,t,v", "c,v,t", "v,t,c", "t,c,v", "t,vc", "tv,c", "t,mvc", "vc,t", "t,m,v,c", "m,c,t,v",
     "v,c,t,m",],
)  # fmt: skip
@pytest.mark.parametrize("given", [True, False])
def test_every_order(order: str, given: bool) -> None:
    found = arrange(in_order(order), DimOrder(order if given else None), origin="clip", **KNOWN)
    np.testing.assert_array_equal(found, JOINTS if "m" in order else JOINTS[0])


@pytest.mark.parametrize("order", ["t,cv", "c,t,v,m", "t,m,vc"])
def test_an_order_that_shapes_cannot_tell_is_given(order: str) -> None:
    """Rows may begin with all x or with the first joint; three channels of two people look like two channels of three."""
    wanted = JOINTS if "m" in order else JOINTS[0]
    np.testing.assert_array_equal(arrange(in_order(order), DimOrder(order), origin="clip", **KNOWN), wanted)
    if order != "t,m,vc":  # which is refused
        assert not np.array_equal(arrange(in_order(order), DimOrder(), origin="clip", **KNOWN), wanted)


def test_several_files_resolve_ambiguity() -> None:
    shapes = [(13, 3, 13), (13, 3, 40)]
    with pytest.raises(ClipError, match="--dim-order v,c,t"):
        find_order(shapes[:1], DimOrder(), origin="clip", **KNOWN)
    assert find_order(shapes, DimOrder(), origin="clip", **KNOWN) == "v,c,t"


def test_scores_and_skipped_numbers() -> None:
    scored = np.concatenate([JOINTS[0], np.ones((30, 13, 1))], axis=-1)
    with_number = np.concatenate([np.arange(30)[:, None], scored.reshape(30, -1)], axis=1)
    found = arrange(with_number, DimOrder(skip=1), joint_count=13, has_scores=True, origin="clip")
    np.testing.assert_array_equal(found, scored)


@pytest.mark.parametrize("order", ["t,vc", "tv,c", "t,v,c", "v,c,t"])
@pytest.mark.parametrize("extra", [0, 1, 3])
@pytest.mark.parametrize("columns", [(1, 2, 3), (1, 3), (2, 1)])
def test_columns(columns: tuple[int, ...], extra: int, order: str) -> None:
    """Joints of `x y z` and up to three more numbers: the asked-for columns are read, in that order."""
    joints = np.concatenate([JOINTS[0], 100 + np.arange(extra) + np.zeros((30, 13, extra))], axis=-1)
    letters = order.replace(",", "")
    sizes = dict(zip("tvc", joints.shape, strict=True))
    array = joints.transpose(["tvc".index(letter) for letter in letters])
    array = array.reshape([int(np.prod([sizes[letter] for letter in dim])) for dim in order.split(",")])
    found = arrange(array, DimOrder(order, columns=columns), origin="clip", **KNOWN)
    np.testing.assert_array_equal(found, joints[..., [column - 1 for column in columns]])


def test_columns_as_text() -> None:
    assert parse_columns("1-3") == parse_columns("1,2,3") == parse_columns(" 1 - 2 , 3") == (1, 2, 3)
    for text in ("", "0-2", "3-1", "a", "1-", "1;2"):
        with pytest.raises(SettingError):
            parse_columns(text)
    with pytest.raises(ClipError):
        arrange(JOINTS, DimOrder("m,t,v,c", columns=(1, 4)), origin="clip", joint_count=13, has_scores=True)


def test_what_fits_nothing_is_refused() -> None:
    with pytest.raises(ClipError, match=r"\(30, 40\)") as refused:
        arrange(np.zeros((30, 40)), DimOrder(), origin="clip", **KNOWN)
    assert refused.value.kind == "joint count"
    with pytest.raises(ClipError, match="'t,vc'"):
        arrange(np.zeros((30, 40)), DimOrder("t,vc"), origin="clip", **KNOWN)
    with pytest.raises(ClipError, match="2 numbers"):
        arrange(np.zeros((30, 2)), DimOrder(skip=2), origin="clip", **KNOWN)


@pytest.mark.parametrize("order", ["t,v", "t,v,c,x", "t,,vc", "tvvc", "t,v,c,"])
def test_an_invalid_order_is_refused(order: str) -> None:
    with pytest.raises(SettingError):
        DimOrder(order)
