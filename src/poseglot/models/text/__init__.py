"""Text encoders: texts -> features, through transformers. Used in training only.

`load_text_encoder` loads one by name, hub name or local folder; `register_text_encoder` adds a name. Text encoders never train with
dropout, so that a text has one encoding per step, and each distinct text needs encoding only once.
"""

from __future__ import annotations

from poseglot.models.text.encoder import TextEncoder
from poseglot.models.text.load import list_text_encoders, load_text_encoder, register_text_encoder
from poseglot.models.text.prompt_learner import PromptLearner

__all__ = ["PromptLearner", "TextEncoder", "list_text_encoders", "load_text_encoder", "register_text_encoder"]
