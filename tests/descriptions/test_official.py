"""The texts of GAP's authors: their real files, and files with faults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from poseglot.data.benchmarks import load_benchmark
from poseglot.descriptions import load_descriptions, make_prompts
from poseglot.descriptions.official import import_official_texts
from poseglot.errors import FileError

CLASSES = ("put on a hat or cap", "throw")


@pytest.mark.parametrize(("benchmark", "prefix", "left_out"), [("nw-ucla", "ucla_", 4), ("ntu60", "", 11), ("ntu120", "", 21)])
def test_the_real_files_make_prompts_of_every_kind(
    benchmark: str, prefix: str, left_out: int, shared: Path, tmp_path: Path
) -> None:
    classes = load_benchmark(benchmark).classes
    folder, out = shared / "data" / "gap-texts" / "text", tmp_path / "gap.yaml"
    assert import_official_texts(folder, classes, prefix=prefix, name="gap", out=out) == left_out
    read = load_descriptions(out)
    assert tuple(read.classes) == classes and "Apache-2.0" in read.about
    lines = (folder / f"{prefix}pasta_openai_t01.txt").read_text().splitlines()
    for line, described in zip(lines, read.classes.values(), strict=False):
        own = [each.strip() for each in line.split(";")[1:]]
        assert [described.parts[part] for part in ("head", "hand", "arm", "hip", "leg", "foot")] == own
    paragraphs = (folder / f"{prefix}sentence_openai_t01.txt").read_text().splitlines()
    assert all(line.strip().endswith(each.paragraph) for line, each in zip(paragraphs, read.classes.values(), strict=False))
    for prompt, partition in (("synonym+parts", "four"), ("parts", "six"), ("paragraph", "global")):
        table = make_prompts(read.of(classes), prompt=prompt, partition=partition)
        assert table.candidates.shape[1] == len(classes)


def test_a_text_of_the_hand_is_that_of_the_authors(shared: Path, tmp_path: Path) -> None:
    out = tmp_path / "gap.yaml"
    classes = load_benchmark("nw-ucla").classes
    import_official_texts(shared / "data" / "gap-texts" / "text", classes, prefix="ucla_", name="gap", out=out)
    table = make_prompts(load_descriptions(out).of(["carry"]), prompt="synonym+parts", partition="four", official_format=True)
    text = table.texts[int(table.candidates[table.levels.index("hand"), 0, 0])]
    assert text == "carry grasps the object securely with his hand, His arm supports the object"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = {
        "pasta": "put on a hat/cap; head a; hand b;c;d;e;f.\nthrow;u;v;w;x;y;z\n\n",
        "sentence": "put on a hat/cap,He puts, on.\nthrow;He throws; and waits.\n",
        "synonym": "put on a hat/cap,don, Don, put on a hat or cap, cap on,\nthrow,toss\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}_openai_t01.txt").write_text(text)
    return tmp_path


def test_separators_spaces_and_repetitions(folder: Path) -> None:
    assert import_official_texts(folder, CLASSES, prefix="", name="mine", out=folder / "out.yaml") == 2
    hat, throw = load_descriptions(folder / "out.yaml").classes.values()
    assert hat.synonyms == ("don", "cap on") and hat.parts["head"] == "head a" and hat.parts["foot"] == "f."
    assert (hat.paragraph, throw.paragraph) == ("He puts, on.", "He throws; and waits.")


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("pasta", lambda text: text.replace(";c", ""), "line 1.*expected 6 texts, found 5"),
        ("pasta", lambda text: text.replace("throw", "catch"), "line 2.*'throw'.*'catch"),
        ("synonym", lambda text: text.replace(",toss", ""), "line 2"),
        ("sentence", lambda text: text.split("\n")[0], "1 lines, fewer than the 2 classes"),
        ("sentence", None, "No such file"),
    ],
    ids=["five parts", "another class", "no synonym", "a class too few", "no file"],
)
def test_faults_are_named(name: str, change: Callable[[str], str] | None, said: str, folder: Path) -> None:
    path = folder / f"{name}_openai_t01.txt"
    if change is None:
        path.unlink()
    else:
        path.write_text(change(path.read_text()))
    with pytest.raises(FileError, match=rf"{name}_openai_t01.txt.*{said}"):
        import_official_texts(folder, CLASSES, prefix="", name="mine", out=folder / "out.yaml")
    assert not (folder / "out.yaml").exists()
