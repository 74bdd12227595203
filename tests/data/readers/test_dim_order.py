"""Orders of axes: every one of them, said or found, gives the same joints; what may be two things is asked about."""

from __future__ import annotations

import numpy as np
import pytest

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers.dim_order import DimOrder, arranged, one_that_fits, rows_of
from poseglot.errors import PoseglotError

JOINTS = np.random.default_rng(0).normal(size=(2, 30, 13, 3))  # people, frames, joints, channels
KNOWN = {"joint_count": 13, "scored": False}


def in_order(order: str) -> np.ndarray:
    """JOINTS (of the first person, where the order knows no people) as an array of that order."""
    letters = order.replace(",", "")
    native = "mtvc" if "m" in letters else "tvc"
    array = JOINTS if "m" in letters else JOINTS[0]
    moved = array.transpose([native.index(letter) for letter in letters])
    sizes = dict(zip(native, array.shape, strict=True))
    return moved.reshape([int(np.prod([sizes[letter] for letter in axis])) for axis in order.split(",")])


@pytest.mark.parametrize(
    "order",
    ["t,v,c", "m,t,v,c", "v,c,t", "c,t,v", "c,v,t", "v,t,c", "t,c,v", "t,vc", "tv,c", "t,mvc", "vc,t", "t,m,v,c", "m,c,t,v",
     "v,c,t,m",],
)  # fmt: skip
@pytest.mark.parametrize("said", [True, False])
def test_every_order_gives_the_same_joints(order: str, said: bool) -> None:
    found = arranged(in_order(order), DimOrder(order if said else None), origin="clip", **KNOWN)
    np.testing.assert_array_equal(found, JOINTS if "m" in order else JOINTS[0])


@pytest.mark.parametrize("order", ["t,cv", "c,t,v,m", "t,m,vc"])
def test_an_order_that_shapes_cannot_tell_must_be_said(order: str) -> None:
    """Rows may begin with all x or with the first joint; three channels of two people look like two channels of three."""
    wanted = JOINTS if "m" in order else JOINTS[0]
    np.testing.assert_array_equal(arranged(in_order(order), DimOrder(order), origin="clip", **KNOWN), wanted)
    if order != "t,m,vc":  # which is refused
        assert not np.array_equal(arranged(in_order(order), DimOrder(), origin="clip", **KNOWN), wanted)


def test_several_files_tell_what_one_leaves_open() -> None:
    shapes = [(13, 3, 13), (13, 3, 40)]
    with pytest.raises(ClipError, match=r"may be v,c,t \(joints, channels, frames\); t,c,v .*--dim-order v,c,t"):
        one_that_fits(shapes[:1], origin="clip", **KNOWN)
    assert one_that_fits(shapes, origin="clip", **KNOWN) == "v,c,t"


def test_scores_and_numbers_to_skip() -> None:
    has_scores = np.concatenate([JOINTS[0], np.ones((30, 13, 1))], axis=-1)
    with_number = np.concatenate([np.arange(30)[:, None], has_scores.reshape(30, -1)], axis=1)
    found = arranged(with_number, DimOrder(skip=1), joint_count=13, has_scores=True, origin="clip")
    np.testing.assert_array_equal(found, has_scores)


def test_what_fits_nothing_is_refused() -> None:
    with pytest.raises(ClipError, match=r"shape \(30, 40\) there is no order .* 13 joints of 2 or 3 numbers") as refused:
        arranged(np.zeros((30, 40)), DimOrder(), origin="clip", **KNOWN)
    assert refused.value.kind == "joint count"
    with pytest.raises(ClipError, match=r"does not fit the order 't,vc' \(frames, joints x channels, 13 joints\)"):
        arranged(np.zeros((30, 40)), DimOrder("t,vc"), origin="clip", **KNOWN)
    with pytest.raises(ClipError, match="rows of 2 numbers, of which 2"):
        arranged(np.zeros((30, 2)), DimOrder(skip=2), origin="clip", **KNOWN)


@pytest.mark.parametrize("order", ["t,v", "t,v,c,x", "t,,vc", "tvvc", "t,v,c,"])
def test_an_order_that_cannot_be_is_refused(order: str) -> None:
    with pytest.raises(PoseglotError, match="cannot be"):
        DimOrder(order)


def test_rows_of_numbers_with_any_separator_header_and_comment() -> None:
    wanted = [[1, 2.5, -3], [4, 5, 6e-1]]
    for text in ("x y z\n1 2.5 -3\n4 5 6e-1\n", "1,2.5,-3\n\n4, 5, 6e-1", "# made by hand\n1;2.5;-3  # first\n4\t5\t6e-1\n"):
        np.testing.assert_array_equal(rows_of(text, origin="clip"), wanted)
    for text, said in (("", "no numbers"), ("1 2\n3\n", "line 2: 1 numbers"), ("1 2\nx y\n", "line 2: 'x y' is no row")):
        with pytest.raises(ClipError, match=said):
            rows_of(text, origin="clip")
