"""Part states: describe a class by the states of a vocabulary that are nearest to its name (paper, section 3.5, "HAKE Part State").

A vocabulary lists for each body part what it can be doing. The pre-trained text encoder encodes name and states, and the K states with
the highest cosines describe the class. The paper does not give K; its figure 4 shows five. The packaged vocabulary is that of HAKE. A
user's own is a YAML file of the same form:

format: poseglot-vocabulary/1
name: my-states
states:
  hand: [hold, reach for, ...]
  foot: [walk to, ...]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from poseglot.errors import FileError, SettingError
from poseglot.files import packaged_yaml
from poseglot.safe_yaml import parse_yaml

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "poseglot-vocabulary/1"


def load_vocabulary(name: str) -> tuple[str, ...]:
    """Load the states of a packaged vocabulary, or of a user's own from a path ending in .yaml, as texts ("hand reach for").

    Raises:
        PoseglotError: There is no such vocabulary, or it has faults.
    """
    text = packaged_yaml("poseglot.descriptions", "vocabularies", name, kind="vocabulary")
    table = parse_yaml(text, name)
    states = table.get("states") if isinstance(table, dict) and table.get("format") == FORMAT else None
    if not isinstance(states, dict) or not all(
        isinstance(listed, list) and listed and all(isinstance(state, str) for state in listed) for listed in states.values()
    ):
        raise FileError(
            f"{name} is not a vocabulary: it must begin with 'format: {FORMAT}' and have 'states' with a list of texts for every part, not "
            "empty (put texts like 'no' or '10' in quotes)."
        )
    texts = [f"{part} {state.replace('_', ' ')}" for part, listed in states.items() for state in listed]
    return tuple(dict.fromkeys(texts))


def nearest_states(labels: Tensor, states: Tensor, count: int) -> list[list[int]]:
    """Return the indices of the `count` states nearest to each label by cosine, nearest first.

    Args:
        labels: (classes, D) features of the labels.
        states: (S, D) features of the states.

    Raises:
        SettingError: There are not so many states.
    """
    if not 1 <= count <= len(states):
        raise SettingError(f"text.states must be from 1 to the {len(states)} states of the vocabulary, not {count}.")
    from torch.nn.functional import normalize

    similarity = normalize(labels, dim=1) @ normalize(states, dim=1).T
    nearest: list[list[int]] = similarity.argsort(dim=1, descending=True, stable=True)[:, :count].tolist()
    return nearest
