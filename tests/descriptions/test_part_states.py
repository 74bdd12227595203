"""Part states: HAKE's vocabulary, a user's own, and the nearest states against a plain search."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch

from poseglot.descriptions import load_vocabulary, nearest_states
from poseglot.descriptions.description import parse_descriptions
from poseglot.errors import PoseglotError
from poseglot.skeletons.layout import PARTS
from tests.conftest import ROOT


def test_the_packaged_vocabulary_is_that_of_hake(shared: Path) -> None:
    lines = (shared / "data" / "hake" / "Part_State_93.txt").read_text().split("\n")
    wanted = {line.strip().replace(": ", " ").replace("_", " ") for line in lines if line.strip()}
    states = load_vocabulary("hake")
    assert len(states) == 93
    assert set(states) == wanted
    assert {state.split()[0] for state in states} == set(PARTS)


def test_the_examples_of_the_docs_are_a_description_set_and_a_vocabulary(tmp_path: Path) -> None:
    described, states = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / "text.md").read_text(), re.M | re.S)
    (description,) = parse_descriptions(described, origin="docs").classes.values()
    assert description.manual[0] == "hip bend"
    (tmp_path / "states.yaml").write_text(states)
    assert load_vocabulary(str(tmp_path / "states.yaml"))[0] == "hand hold"


def test_a_users_own_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("format: poseglot-vocabulary/1\nname: mine\nstates: {hand: [hold, wave], tail: [wag]}\n")
    assert load_vocabulary(str(path)) == ("hand hold", "hand wave", "tail wag")


@pytest.mark.parametrize(
    "text",
    [
        "states: {hand: [hold]}",
        "format: poseglot-vocabulary/1",
        "format: poseglot-vocabulary/1\nstates: {hand: []}",
        "format: poseglot-vocabulary/1\nstates: {hand: [10]}",
        "format: poseglot-vocabulary/1\nstates: [hold]",
        "just words",
        "a: *b",
    ],
)
def test_what_is_no_vocabulary_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(PoseglotError, match=r"mine\.yaml"):
        load_vocabulary(str(path))


def test_nearest_states_equal_a_plain_search() -> None:
    generator = torch.Generator().manual_seed(0)
    labels, states = torch.randn(5, 8, generator=generator), 3 * torch.randn(20, 8, generator=generator)
    nearest = nearest_states(labels, states, 4)

    def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
        return float(sum(x * y for x, y in zip(a, b, strict=True))) / math.hypot(*a.tolist()) / math.hypot(*b.tolist())

    for label, found in zip(labels, nearest, strict=True):
        assert found == sorted(range(20), key=lambda place, label=label: -cosine(label, states[place]))[:4]


@pytest.mark.parametrize("count", [0, 21])
def test_as_many_states_as_there_are(count: int) -> None:
    with pytest.raises(PoseglotError, match=rf"from 1 to the 20 states.*not {count}"):
        nearest_states(torch.randn(2, 3), torch.randn(20, 3), count)
