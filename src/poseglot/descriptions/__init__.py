"""Descriptions: what actions look like in words, and the prompts that are made from them.

A description set is a YAML file that people write and read. Packaged sets are in `descriptions/sets`; a user's own has the same form.
Classes are matched to a data set by label, never by position.
"""

from poseglot.descriptions.description import Description, DescriptionSet, load_descriptions
from poseglot.descriptions.part_states import load_vocabulary, nearest_states
from poseglot.descriptions.prompts import PROMPTS, PromptTable, check_prompt, label_prompts, make_prompts

__all__ = [
    "PROMPTS",
    "Description",
    "DescriptionSet",
    "PromptTable",
    "check_prompt",
    "label_prompts",
    "load_descriptions",
    "load_vocabulary",
    "make_prompts",
    "nearest_states",
]
