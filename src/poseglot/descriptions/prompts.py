"""Prompts: how descriptions become the texts that the text encoder reads (paper, figures 4 and 5).

Each alignment level has, for each class, one or more candidate texts; a training step draws one per clip. `synonym+parts`, the
paper's best: for the whole body the label or one of its synonyms, at random; for each part of the partition the label followed by the
part's sentences. All distinct texts are numbered once, so that a step encodes each distinct text once, however many clips use it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from poseglot.descriptions.description import Description
from poseglot.errors import PoseglotError
from poseglot.skeletons.layout import GLOBAL, PARTITIONS
from poseglot.skeletons.random import Purpose, uniform

PROMPTS = ("none", "synonym+parts")


@dataclass(frozen=True, eq=False)
class PromptTable:
    """Which texts each level and class may use.

    Attributes:
        levels: names of the alignment levels, K of them.
        texts: every distinct text, once.
        candidates: (K, classes, most) int64, places in `texts`, repeated to the width of the longest list.
        counts: (K, classes) int64, how many of them are real.
    """

    levels: tuple[str, ...]
    texts: tuple[str, ...]
    candidates: Tensor
    counts: Tensor

    def draw(self, labels: Tensor, *, seed: int, epoch: int, index: Tensor) -> Tensor:
        """One text per level and clip: (B,) labels and sample indices -> (K, B) places in `texts`, on the device of `labels`."""
        counts = self.counts.to(labels.device)[:, labels]
        draws = uniform(seed, epoch, index, Purpose.TEXT, len(self.levels)).T
        pick = (draws * counts).to(torch.int64)
        return self.candidates.to(labels.device)[:, labels].gather(2, pick[..., None]).squeeze(2)


def make_prompts(
    descriptions: Sequence[Description], *, prompt: str, partition: str, official_format: bool = False
) -> PromptTable:
    """The prompt table of a data set.

    Args:
        descriptions: of the classes, in the order of their labels.
        prompt: one of `PROMPTS`.
        partition: which parts have a level of their own.
        official_format: write the texts as the authors' code does (no comma after the label in the text of `hand`).

    Raises:
        PoseglotError: no such prompt kind or partition.
    """
    if prompt not in PROMPTS:
        raise PoseglotError(f"unknown prompt {prompt!r}; there are {', '.join(PROMPTS)}.")
    if partition not in PARTITIONS:
        raise PoseglotError(f"unknown partition {partition!r}; there are {', '.join(PARTITIONS)}.")
    levels: dict[str, list[list[str]]] = {}
    if prompt != "none" and partition != "none":
        levels[GLOBAL] = [[description.label, *description.synonyms] for description in descriptions]
        for part, pieces in _parts_of(partition).items():
            levels[part] = [[_part_text(description, part, pieces, official_format)] for description in descriptions]
    return _numbered(levels)


def _parts_of(partition: str) -> Mapping[str, tuple[str, ...]]:
    """The parts that have a text of their own; the partition `global` is the whole body, which has its level already."""
    return {part: pieces for part, pieces in PARTITIONS[partition].items() if part != GLOBAL}


def _part_text(description: Description, part: str, pieces: Sequence[str], official_format: bool) -> str:
    after_label = " " if official_format and part == "hand" else ", "
    return description.label + after_label + ", ".join(description.parts[piece] for piece in pieces)


def _numbered(levels: Mapping[str, list[list[str]]]) -> PromptTable:
    places: dict[str, int] = {}
    numbered = [
        [[places.setdefault(text, len(places)) for text in candidates] for candidates in classes] for classes in levels.values()
    ]
    most = max((len(candidates) for classes in numbered for candidates in classes), default=1)
    classes_count = len(numbered[0]) if numbered else 0
    padded = [[candidates + [candidates[0]] * (most - len(candidates)) for candidates in classes] for classes in numbered]
    counts = [[len(candidates) for candidates in classes] for classes in numbered]
    return PromptTable(
        levels=tuple(levels),
        texts=tuple(places),
        candidates=torch.tensor(padded, dtype=torch.int64).view(len(levels), classes_count, most),
        counts=torch.tensor(counts, dtype=torch.int64).view(len(levels), classes_count),
    )
