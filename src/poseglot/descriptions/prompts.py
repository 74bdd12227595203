"""Prompts: the texts that the text encoder reads, made from descriptions (paper, figures 4 and 5, tables 1b, 1e and 1f).

Each class has one or more candidate texts at each alignment level. A training step draws one per clip and level.

    label           the class name in one of the paper's prefixes and suffixes ("Human action of ...")
    synonym         the class name or one of its synonyms
    paragraph       the whole movement in some sentences
    manual          atomic movements in order
    states          the nearest part states of a vocabulary (see `poseglot.descriptions.part_states`)
    learned         the class name after learned prompt vectors (see `poseglot.models.text.prompt_learner`)
    parts           the whole body as the class name, and each part of the partition as the class name and its sentences
    synonym+parts   the whole body as `synonym` and each part of the partition as `parts`; the paper's best

The first six describe the whole body and need the partition `global`. A description with several samples of its paragraph or parts has
a candidate for each. Distinct texts are numbered, so that a step encodes each of them once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poseglot.descriptions.description import Description
from poseglot.errors import InputError, NotFoundError, SettingError
from poseglot.skeletons.layout import GLOBAL, PARTITIONS

if TYPE_CHECKING:
    from torch import Tensor

# torch is imported inside functions, so that reading recipes and studies does not wait for it.

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
    """The candidate texts of each level and class.

    Attributes:
        levels: The names of the K alignment levels.
        texts: All distinct texts.
        sentences: Each text without its class name; texts of the whole body are unchanged.
        candidates: (K, classes, width) int64 indices into `texts`; shorter lists are padded with their first entry.
        counts: (K, classes) int64, the numbers of candidates without the padding.
    """

    levels: tuple[str, ...]
    texts: tuple[str, ...]
    sentences: tuple[str, ...]
    candidates: Tensor
    counts: Tensor

    def draw(self, labels: Tensor, *, seed: int, epoch: int, index: Tensor) -> Tensor:
        """Draw a text per level and clip: (B,) labels and sample indices -> (K, B) indices into `texts`, on the device of `labels`."""
        import torch

        from poseglot.random import Purpose, uniform

        counts = self.counts.to(labels.device)[:, labels]
        draws = uniform(seed, epoch, index, Purpose.TEXT, len(self.levels)).T
        pick = (draws * counts).to(torch.int64)
        return self.candidates.to(labels.device)[:, labels].gather(2, pick[..., None]).squeeze(2)

    def class_means(self, features: Tensor) -> Tensor:
        """Average (texts, width) features over the candidates of each class: (K, classes, width)."""
        import torch

        # Without the padding.
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
    name_class: bool = True,
) -> PromptTable:
    """Make the prompt table of some classes.

    Args:
        descriptions: The descriptions of the classes, in the order of their labels.
        prompt: One of `PROMPTS`.
        partition: The parts that have a level of their own; `none` has no levels.
        states: The states of each class, for the prompt `states`.
        official_format: Write the texts as the authors' code does (no comma after the label in the text of `hand`).
        name_parts: Name the part before each of its sentences: "put on a shoe, the foot: slides into the shoe".
        name_class: Begin the texts of parts with the class name, as the paper does.

    Raises:
        SettingError: There is no such prompt or partition, or they do not go together.
        InputError: A description lacks what the prompt needs.
    """
    check_prompt(prompt, partition)
    if partition == "none":
        return _numbered({})
    levels: dict[str, list[list[str]]] = {}
    sentences: dict[str, str] = {}
    if prompt in WHOLE_BODY:
        levels[GLOBAL] = _whole_body(descriptions, prompt, states)
    if prompt == "synonym+parts":
        levels[GLOBAL] = _whole_body(descriptions, "synonym", ())
    if prompt == "parts" and partition != GLOBAL:
        levels[GLOBAL] = [[each.label] for each in descriptions]
    if prompt in ("parts", "synonym+parts"):
        for part, pieces in PARTITIONS[partition].items():
            own = [_part_texts(each, part, pieces, official_format, name_parts, name_class) for each in descriptions]
            # In `synonym+parts` the level of the whole body is there already.
            levels.setdefault(part, [list(texts) for texts in own])
            for texts in own:
                sentences |= texts
    return _numbered(levels, sentences)


def label_prompts(labels: Sequence[str], levels: Sequence[str], *, forms: bool = False) -> PromptTable:
    """Make the prompt table of class names alone, the same at every level, for classes without a description.

    Args:
        forms: Use the paper's prefixes and suffixes, as the prompt `label` does.
    """
    texts = [[form.format(label) for form in LABEL_FORMS] if forms else [label] for label in labels]
    return _numbered(dict.fromkeys(levels, texts))


def check_prompt(prompt: str, partition: str) -> None:
    """Check that a prompt and a partition are known and go together.

    Raises:
        SettingError: They are not, or do not.
    """
    if prompt not in PROMPTS:
        raise NotFoundError(prompt, PROMPTS, kind="prompt")
    if partition not in PARTITIONS:
        raise NotFoundError(partition, PARTITIONS, kind="partition")
    if prompt in WHOLE_BODY and partition not in (GLOBAL, "none"):
        raise SettingError(
            f"the prompt {prompt!r} describes the whole body and needs the partition 'global', not {partition!r}. Add "
            "--text.partition global, or use 'parts' or 'synonym+parts'."
        )


def _whole_body(descriptions: Sequence[Description], prompt: str, states: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the candidate texts of each class for the whole body."""
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
            raise InputError(
                f"the prompt 'manual' needs a list 'manual' of atomic movements for every class; {', '.join(map(repr, without))} "
                "has none. Add it, or choose another prompt."
            )
        return [[f"{each.label}: {', '.join(each.manual)}"] for each in descriptions]
    assert prompt == "learned"
    return [[each.label] for each in descriptions]


def _part_texts(
    description: Description, part: str, pieces: Sequence[str], official_format: bool, name_parts: bool, name_class: bool
) -> dict[str, str]:
    """Return the text of each sample -> its sentences; sentences of different samples are not mixed."""
    if part in description.sides:
        samples, pieces = [description.sides], [part]
    else:
        samples = [description.parts, *description.more_parts]
    before = description.label + (" " if official_format and part == "hand" else ", ") if name_class else ""
    texts = {}
    for sample in samples:
        named = (f"the {piece.replace('_', ' ')}: {sample[piece]}" if name_parts else sample[piece] for piece in pieces)
        sentences = ", ".join(named)
        texts[before + sentences] = sentences
    return texts


def _distinct(texts: Iterable[str]) -> list[str]:
    """Return each text once, in order."""
    return list(dict.fromkeys(texts))


def _numbered(levels: Mapping[str, list[list[str]]], sentences: Mapping[str, str] | None = None) -> PromptTable:
    import torch

    index: dict[str, int] = {}
    numbered = [
        [[index.setdefault(text, len(index)) for text in candidates] for candidates in classes] for classes in levels.values()
    ]
    width = max((len(candidates) for classes in numbered for candidates in classes), default=1)
    num_classes = len(numbered[0]) if numbered else 0
    padded = [[candidates + [candidates[0]] * (width - len(candidates)) for candidates in classes] for classes in numbered]
    counts = [[len(candidates) for candidates in classes] for classes in numbered]
    return PromptTable(
        levels=tuple(levels),
        texts=tuple(index),
        sentences=tuple((sentences or {}).get(text, text) for text in index),
        candidates=torch.tensor(padded, dtype=torch.int64).view(len(levels), num_classes, width),
        counts=torch.tensor(counts, dtype=torch.int64).view(len(levels), num_classes),
    )
