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


HEADER = [f"{joint}_{axis}" for joint in load_layout("kinect20").joints for axis in "xyz"]
VALUES = np.random.default_rng(2).normal(size=(3, 60)).round(4)


def table(names: list[str], rows: np.ndarray, separator: str, begin: str = "") -> str:  # type: ignore[type-arg]
    return "\n".join([begin + separator.join(names), *(separator.join(f"{value:.4f}" for value in row) for row in rows)])


@pytest.mark.parametrize("separator", [";", ",", "\t", " "])
@pytest.mark.parametrize("names", [HEADER[:-1], [*HEADER, "speed"]], ids=["fewer", "more"])
def test_a_header_of_joints_with_another_number_of_cells_is_refused(names: list[str], separator: str) -> None:
    with pytest.raises(ClipError, match="60 numbers"):
        parse_numbers(table(names, VALUES, separator), origin="clip")


@pytest.mark.parametrize("separator", [";", ",", "\t", " "])
def test_a_header_may_be_a_comment(separator: str, tmp_path: Path) -> None:
    """As numpy.savetxt writes it. The joints lie in reverse order."""
    names = [name for joint in range(19, -1, -1) for name in HEADER[3 * joint : 3 * joint + 3]]
    rows = VALUES.reshape(3, 20, 3)[:, ::-1].reshape(3, 60)
    (tmp_path / "a.txt").write_text(table(names, rows, separator, "# "))
    np.testing.assert_allclose(read_clip(tmp_path / "a.txt", "kinect20").joints.reshape(3, 60), VALUES, rtol=1e-6)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_names_may_have_blanks_in_them(separator: str, tmp_path: Path) -> None:
    order = list(range(19, -1, -1))
    layout = load_layout("kinect20")
    names = [f"{layout.joints[j].replace('_', ' ').title()} {axis}" for j in order for axis in "XYZ"]
    (tmp_path / "a.csv").write_text(table(names, VALUES.reshape(3, 20, 3)[:, order].reshape(3, 60), separator))
    np.testing.assert_allclose(read_clip(tmp_path / "a.csv", layout).joints.reshape(3, 60), VALUES, rtol=1e-6)


@given(
    axes=st.permutations(["x", "y", "z", "score"]),
    extra=st.sampled_from([[], ["frame"], ["time", "frame"]]),
    scored=st.booleans(),
    separator=st.sampled_from([",", ";", " "]),
)
@settings(max_examples=40, deadline=None)
def test_axes_are_found_by_name(
    axes: list[str], extra: list[str], scored: bool, separator: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A row for each joint under a header such as `frame,x,z,y`."""
    axes = axes if scored else [axis for axis in axes if axis != "score"]
    joints = np.random.default_rng(3).normal(size=(4, 20, 4)).round(4)
    columns = joints[..., [["x", "y", "z", "score"].index(axis) for axis in axes]].reshape(80, -1)
    rows = np.concatenate([np.ones((80, len(extra))), columns], axis=1)
    path = tmp_path_factory.mktemp("axes") / "a.txt"
    path.write_text(table([*extra, *axes], rows, separator))
    read = read_clip(path, "kinect20", has_scores=scored).joints[0]
    np.testing.assert_allclose(read, joints[..., : 3 + scored], rtol=1e-6)
    np.testing.assert_allclose(read_clip(path, "kinect20", has_scores=False).joints[0], joints[..., :3], rtol=1e-6)


@pytest.mark.parametrize("index", [False, True], ids=["columns", "index"])
@pytest.mark.parametrize("separator", [",", ";"])
def test_the_header_of_pandas_is_no_frame(index: bool, separator: str) -> None:
    """`DataFrame.to_csv` of an array, with and without its row numbers."""
    lines = [separator.join([*([""] if index else []), *map(str, range(60))])]
    lines += [separator.join([*([str(n)] if index else []), *(f"{v:.4f}" for v in row)]) for n, row in enumerate(VALUES)]
    np.testing.assert_array_equal(parse_numbers("\n".join(lines), origin="clip").rows, VALUES)


@pytest.mark.parametrize("text", ["0,1,2\n3,4,5\n", "0 1 2\n1.5 2 3\n0 1 2\n"])
def test_a_row_of_small_numbers_is_a_row(text: str) -> None:
    assert len(parse_numbers(text, origin="clip").rows) == text.count("\n")


@pytest.mark.parametrize("columns", [None, (1, 2), (3, 1)])
@pytest.mark.parametrize("skip", [0, 1])
def test_columns_and_skip_count_beside_named_joints(columns: tuple[int, ...] | None, skip: int, tmp_path: Path) -> None:
    rows = np.concatenate([np.arange(3)[:, None], VALUES], axis=1)
    (tmp_path / "a.csv").write_text(table(["frame", *HEADER], rows, ";"))
    read = read_clip(tmp_path / "a.csv", "kinect20", columns=columns, skip=skip).joints[0]
    chosen = [0, 1, 2] if columns is None else [column - 1 for column in columns]
    np.testing.assert_allclose(read, VALUES.reshape(3, 20, 3)[..., chosen], rtol=1e-6)
    with pytest.raises(PoseglotError, match="hip_centre"):
        read_clip(tmp_path / "a.csv", "kinect20", skip=2)


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize("num_dims", [2, 3])
@pytest.mark.parametrize("word", ["visibility", "score", "c", "conf"])
def test_scores_of_numbered_joints(word: str, num_dims: int, scored: bool, tmp_path: Path) -> None:
    """A score beside two coordinates is no third one."""
    axes = [*["x", "y", "z"][:num_dims], word]
    joints = np.random.default_rng(4).uniform(0.1, 1, size=(4, 20, len(axes))).round(4)
    names = [f"{axis}{joint}" for joint in range(20) for axis in axes]
    (tmp_path / "a.csv").write_text(table(names, joints.reshape(4, -1), ","))
    read = read_clip(tmp_path / "a.csv", "kinect20", has_scores=scored).joints[0]
    np.testing.assert_allclose(read, joints[..., : num_dims + scored], rtol=1e-6)


@given(st.lists(st.lists(NUMBERS, min_size=6, max_size=6), min_size=10, max_size=12), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_decimal_commas_among_commas_are_never_read_as_twice_the_numbers(rows: list[list[float]], digits: int) -> None:
    rows[0][0], rows[0][1] = -0.5, 1.05  # as real tables have them
    text = "\n".join(",".join(f"{value:.{max(digits, 2)}f}".replace(".", ",") for value in row) for row in rows)
    with pytest.raises(ClipError, match="decimal commas"):
        parse_numbers(text, origin="clip")


def test_whole_numbers_between_commas_are_read() -> None:
    rows = np.random.default_rng(5).integers(-900, 2000, size=(9, 6))
    text = "\n".join(",".join(map(str, row)) for row in rows.tolist())
    np.testing.assert_array_equal(parse_numbers(text, origin="clip").rows, rows)


def test_names_that_are_no_joints() -> None:
    assert joint_columns(["a", "b", "c"]) == joint_columns(["x", "y", "z"]) == joint_columns(["v1", "v2", "v3"]) == {}
    assert joint_columns(["frame", "x0", "y0", "x1", "y1"]) == {"0": {"x": 1, "y": 2}, "1": {"x": 3, "y": 4}}
