"""Tables of numbers: any separator, decimal commas, byte-order marks, headers; whatever else is refused with line and cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poseglot.data.quality.issues import ClipError
from poseglot.data.readers import read_clip
from poseglot.data.readers.number_table import joint_columns, parse_numbers
from poseglot.errors import PoseglotError
from poseglot.skeletons.layout import load_layout

NUMBERS = st.floats(-1e4, 1e4, allow_nan=False).map(lambda value: round(value, 4))
TABLES = st.integers(2, 6).flatmap(
    lambda width: st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=1, max_size=5)
)


@pytest.mark.parametrize(
    "text",
    ["x y z\n1 2.5 -3\n4 5 6e-1\n", "1,2.5,-3\n\n4, 5, 6e-1", "# by hand\n1;2.5;-3  # first\n4;5;6e-1\n", "1\t2.5\t-3\n4\t5\t0.6",
     "1;2,5;-3\n4;5;0,6\n", "1 2,5 -3\n4 5 0,6\n", "\ufeff1 2.5 -3\r\n4 5 .6\r\n", '"a";"b";"c"\n1;2,5;-3;\n4;5;0,6;\n'],
    ids=["header", "commas", "semicolons", "tabs", "decimal-commas", "decimal-commas-blanks", "bom", "quoted"],
)  # fmt: skip
def test_forms(text: str) -> None:
    np.testing.assert_array_equal(parse_numbers(text, origin="clip").rows, [[1, 2.5, -3], [4, 5, 0.6]])


@given(
    TABLES,
    st.sampled_from([";", "\t", " ", "; ", "  "]),
    st.booleans(),
    st.sampled_from(["", "\ufeff"]),
    st.sampled_from(["\n", "\r\n"]),
)
@settings(max_examples=300, deadline=None)
def test_any_table_is_read_as_it_was_written(
    rows: list[list[float]], separator: str, comma: bool, mark: str, newline: str
) -> None:
    def cell(value: float) -> str:
        return f"{value:.4f}".replace(".", "," if comma else ".")

    text = mark + newline.join(separator.join(map(cell, row)) for row in rows)
    np.testing.assert_array_equal(parse_numbers(text, origin="clip").rows, rows)


@given(TABLES, st.sampled_from(["-", "null", "#N/A", "n/a", "NaN", "?", "abc"]), st.data())
@settings(max_examples=200, deadline=None)
def test_a_cell_that_is_no_number_is_refused_by_line_and_cell(rows: list[list[float]], bad: str, data: st.DataObject) -> None:
    """Also in the first row, which must not vanish as a header."""
    line, cell = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, len(rows[0]) - 1))
    cells = [[f"{value:.4f}" for value in row] for row in rows]
    cells[line][cell] = bad
    with pytest.raises(ClipError, match=f"line {line + 1}, cell {cell + 1}"):
        parse_numbers("\n".join(";".join(row) for row in cells), origin="clip")


@pytest.mark.parametrize(
    ("text", "fact"),
    [("", ""), ("a b\n", ""), ("1 2\n3\n", "line 2"), ("1 2\nx y\n", "line 2, cell 1"), ("1;2,5.0\n", "line 1, cell 2"),
     ("- - -\n1 2 3\n", "line 1, cell 1"), ("10,20 30,40\n50,60 70,80\n", "10,20")],
    ids=["empty", "header-only", "ragged", "words", "both-marks", "dashes", "pairs"],
)  # fmt: skip
def test_what_is_refused(text: str, fact: str) -> None:
    with pytest.raises(ClipError, match=fact):
        parse_numbers(text, origin="clip")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "cp1252"])
def test_other_encodings_are_refused(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("# größe\n1 2 3\n4 5 6\n".encode(encoding))
    with pytest.raises(PoseglotError, match="UTF-8"):
        read_clip(tmp_path / "a.txt", joint_count=1)


@pytest.mark.parametrize(
    "form", ["{joint}_{axis}", "{joint}.{axis}", "{axis}_{joint}", "{joint} {axis}", "{Camel}{AXIS}", "{AXIS} {Camel}"]
)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("extra", [[], ["frame"], ["time", "frame"]], ids=["joints", "frame", "two"])
def test_joints_are_found_by_the_names_in_a_header(form: str, reverse: bool, extra: list[str], tmp_path: Path) -> None:
    layout = load_layout("kinect20")
    joints = np.random.default_rng(1).normal(size=(4, 20, 3)).round(5)
    order = list(range(20))[:: -1 if reverse else 1]
    names = [
        form.format(joint=layout.joints[j], axis=axis, AXIS=axis.upper(), Camel=layout.joints[j].title().replace("_", ""))
        for j in order
        for axis in "xyz"
    ]
    rows = np.concatenate([np.arange(4 * len(extra)).reshape(4, -1), joints[:, order].reshape(4, -1)], axis=1)
    lines = [";".join([*extra, *names]), *(";".join(f"{value:.5f}" for value in row) for row in rows)]
    (tmp_path / "wide.csv").write_text("\n".join(lines))
    clip = read_clip(tmp_path / "wide.csv", layout)
    np.testing.assert_allclose(clip.joints[0], joints, atol=1e-6)


def test_a_header_that_lacks_a_joint_is_refused(tmp_path: Path) -> None:
    layout = load_layout("kinect20")
    names = [f"{joint}_{axis}" for joint in layout.joints for axis in "xyz"]
    names[layout.joints.index("head") * 3 + 1] = "hat_y"
    (tmp_path / "wide.txt").write_text(" ".join(names) + "\n" + " ".join(["1.5"] * 60) + "\n")
    with pytest.raises(ClipError, match="head"):
        read_clip(tmp_path / "wide.txt", layout)


def test_names_that_are_no_joints() -> None:
    assert joint_columns(["a", "b", "c"]) == joint_columns(["x", "y", "z"]) == joint_columns(["v1", "v2", "v3"]) == {}
    assert joint_columns(["frame", "x0", "y0", "x1", "y1"]) == {"0": {"x": 1, "y": 2}, "1": {"x": 3, "y": 4}}
