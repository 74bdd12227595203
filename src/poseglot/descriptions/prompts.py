"""Prompts: how descriptions become the texts that the text encoder reads (paper, figures 4 and 5, tables 1b, 1e and 1f).

Each alignment level has, for each class, one or more candidate texts; a training step draws one per clip, each level on its own.

    label           the class name in the paper's prefixes and suffixes ("Human action of ..."), one at random
    synonym         the class name or one of its synonyms, at random
    paragraph       the whole movement in some sentences
    manual          atomic movements in the order in which they happen
    states          the part states of a vocabulary that are nearest to the class name (see `poseglot.descriptions.part_states`)
    learned         the class name; what stands before it is learned (see `poseglot.models.text.prompt_learner`)
    parts           the whole body as the class name, and each part of the partition as the class name followed by its sentences
    synonym+parts   both: the whole body as `synonym`, and each part of the partition as `parts`; the paper's best

The first six describe the whole body and go with the partition `global`. A description with several samples of its paragraph or parts
has a candidate for each. All distinct texts are numbered once, so that a step encodes each distinct text once, however many clips use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poseglot.descriptions.description import Description
from poseglot.errors import PoseglotError, SettingError
from poseglot.skeletons.layout import GLOBAL, PARTITIONS

if TYPE_CHECKING:
    from torch import Tensor

# torch is imported where it is needed: recipes and studies are read without the seconds that it takes to load.

WHOLE_BODY = ("label", "synonym", "paragraph", "manual", "states", "learned")
PROMPTS = (*WHOLE_BODY, "parts", "synonym+parts")
# Figure 4 of the paper.
LABEL_FORMS = (
    '"{}", a video of action',
    '"{}", this is an action',
    'This is "{}", a video of action',
    'Human action of "{}"',
    'Playing a kind of action, "{}"',
)


@dataclass(frozen=True, eq=False)
class PromptTable:
    """Which texts each level and class may use.

    Attributes:
        levels: names of the alignment levels, K of them.
        texts: every distinct text, once.
        sentences: what each text says apart from its class name; a text of the whole body stands for itself.
        candidates: (K, classes, most) int64, places in `texts`, repeated to the width of the longest list.
        counts: (K, classes) int64, how many of them are real.
    """

    levels: tuple[str, ...]
    texts: tuple[str, ...]
    sentences: tuple[str, ...]
    candidates: Tensor
    counts: Tensor

    def draw(self, labels: Tensor, *, seed: int, epoch: int, index: Tensor) -> Tensor:
        """One text per level and clip: (B,) labels and sample indices -> (K, B) places in `texts`, on the device of `labels`."""
        import torch

        from poseglot.random import Purpose, uniform

        counts = self.counts.to(labels.device)[:, labels]
        draws = uniform(seed, epoch, index, Purpose.TEXT, len(self.levels)).T
        pick = (draws * counts).to(torch.int64)
        return self.candidates.to(labels.device)[:, labels].gather(2, pick[..., None]).squeeze(2)

    def class_means(self, features: Tensor) -> Tensor:
        """(texts, width) features of `texts` -> (K, classes, width), the mean over each class's own texts."""
        import torch

        # Candidates beyond a class's own are repetitions.
        own = torch.arange(self.candidates.shape[2]) < self.counts[..., None]
        return (features[self.candidates] * own[..., None]).sum(dim=2) / self.counts[..., None]


def make_prompts(
    descriptions: Sequence[Description],
    *,
    prompt: str,
    partition: str,
    states: Sequence[Sequence[str]] = (),
    official_format: bool = False,
    name_parts: bool = False,
) -> PromptTable:
    """The prompt table of a data set.

    Args:
        descriptions: of the classes, in the order of their labels.
        prompt: one of `PROMPTS`.
        partition: which parts have a level of their own; `none` has no level at all.
        states: for the prompt `states`, those of each class.
        official_format: write the texts as the authors' code does (no comma after the label in the text of `hand`).
        name_parts: name the part before each of its sentences: "put on a shoe, the foot: slides into the shoe".

    Raises:
        PoseglotError: no such prompt or partition, the two do not go together, or a description lacks what the prompt needs.
    """
    check_prompt(prompt, partition)
    if partition == "none":
        return _numbered({})
    levels: dict[str, list[list[str]]] = {}
    said: dict[str, str] = {}
    if prompt in WHOLE_BODY:
        levels[GLOBAL] = _whole_body(descriptions, prompt, states)
    if prompt == "synonym+parts":
        levels[GLOBAL] = _whole_body(descriptions, "synonym", ())
    if prompt == "parts" and partition != GLOBAL:
        levels[GLOBAL] = [[each.label] for each in descriptions]
    if prompt in ("parts", "synonym+parts"):
        for part, pieces in PARTITIONS[partition].items():
            own = [_part_texts(each, part, pieces, official_format, name_parts) for each in descriptions]
            # In `synonym+parts` the whole body has its level already.
            levels.setdefault(part, [list(texts) for texts in own])
            for texts in own:
                said |= texts
    return _numbered(levels, said)


def label_prompts(labels: Sequence[str], levels: Sequence[str], *, forms: bool = False) -> PromptTable:
    """Class names alone, the same at every level: what is left of words where nobody has described a class.

    Args:
        forms: in the paper's prefixes and suffixes, as the prompt `label` has them.
    """
    texts = [[form.format(label) for form in LABEL_FORMS] if forms else [label] for label in labels]
    return _numbered(dict.fromkeys(levels, texts))


def check_prompt(prompt: str, partition: str) -> None:
    """See that both are known and go together.

    Raises:
        SettingError: they are not, or do not.
    """
    if prompt not in PROMPTS:
        raise SettingError(f"unknown prompt {prompt!r}; there are {', '.join(PROMPTS)}.")
    if partition not in PARTITIONS:
        raise SettingError(f"unknown partition {partition!r}; there are {', '.join(PARTITIONS)}.")
    if prompt in WHOLE_BODY and partition not in (GLOBAL, "none"):
        raise SettingError(
            f"the prompt {prompt!r} describes the whole body and goes with the partition 'global', not {partition!r} "
            "(add --text.partition global); 'parts' and 'synonym+parts' describe parts."
        )


def _whole_body(descriptions: Sequence[Description], prompt: str, states: Sequence[Sequence[str]]) -> list[list[str]]:
    """The candidate texts of each class for the whole body."""
    if prompt == "label":
        return [[form.format(each.label) for form in LABEL_FORMS] for each in descriptions]
    if prompt == "synonym":
        return [[each.label, *each.synonyms] for each in descriptions]
    if prompt == "paragraph":
        return [
            _distinct(f"{each.label}: {paragraph}" for paragraph in (each.paragraph, *each.more_paragraphs))
            for each in descriptions
        ]
    if prompt == "states":
        assert len(states) == len(descriptions)
        return [[f"{each.label}: {', '.join(own)}"] for each, own in zip(descriptions, states, strict=True)]
    if prompt == "manual":
        without = [each.label for each in descriptions if not each.manual]
        if without:
            raise PoseglotError(
                f"the prompt 'manual' needs a list 'manual' of atomic movements for every class; {', '.join(map(repr, without))} "
                "has none in this description set. Add it, or choose another prompt."
            )
        return [[f"{each.label}: {', '.join(each.manual)}"] for each in descriptions]
    assert prompt == "learned"
    return [[each.label] for each in descriptions]


def _part_texts(
    description: Description, part: str, pieces: Sequence[str], official_format: bool, name_parts: bool
) -> dict[str, str]:
    """Return a text for each sample, and its sentences. Those of different samples are not mixed, which would multiply the texts."""
    after_label = " " if official_format and part == "hand" else ", "
    texts = {}
    for sample in (description.parts, *description.more_parts):
        sentences = ", ".join(f"the {piece}: {sample[piece]}" if name_parts else sample[piece] for piece in pieces)
        texts[description.label + after_label + sentences] = sentences
    return texts


def _distinct(texts: Iterable[str]) -> list[str]:
    """Each text once, in the order in which they come."""
    return list(dict.fromkeys(texts))


def _numbered(levels: Mapping[str, list[list[str]]], said: Mapping[str, str] | None = None) -> PromptTable:
    import torch

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
        sentences=tuple((said or {}).get(text, text) for text in places),
        candidates=torch.tensor(padded, dtype=torch.int64).view(len(levels), classes_count, most),
        counts=torch.tensor(counts, dtype=torch.int64).view(len(levels), classes_count),
    )
