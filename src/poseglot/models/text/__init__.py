"""Text encoders: texts -> features, through transformers; used while training only.

A family is one file with its pooling; `load_text_encoder` picks it by name or by the configuration of a local folder or hub model.
Text encoders never train with dropout, so that a text has one encoding per step, and each distinct text needs encoding only once.
"""

from __future__ import annotations

from poseglot.models.text.encoder import TextEncoder
from poseglot.models.text.load import load_text_encoder

__all__ = ["TextEncoder", "load_text_encoder"]
