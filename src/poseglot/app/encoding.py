"""Text encoders for commands: loading with a helpful error, encoding with a progress bar, counting tokens."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from poseglot.app.commands.register import missing_package
from poseglot.errors import MissingPackageError

if TYPE_CHECKING:
    from poseglot.descriptions.review import Encode, TokenLimit
    from poseglot.models.text import TextEncoder


def load_encoder(name: str) -> TextEncoder:
    """Load a pre-trained text encoder by name.

    Raises:
        MissingPackageError: A package that it needs is not installed.
    """
    try:
        from poseglot.models.text import load_text_encoder
    except ImportError as error:
        raise MissingPackageError(missing_package("a text encoder", error)) from error
    return load_text_encoder(name)


def encode_with_progress(encoder: TextEncoder) -> Encode:
    """Return a function that encodes texts and shows a bar on a terminal."""
    from tqdm import tqdm

    from poseglot.models.text.encode import encode_texts

    def encode(texts: Sequence[str]) -> Any:
        with tqdm(total=len(texts), unit=" texts", desc="encoding", disable=not sys.stderr.isatty()) as bar:
            return encode_texts(encoder, texts, progress=bar.update).float().numpy()

    return encode


def token_counters(name: str, encoder: TextEncoder | None) -> dict[TokenLimit, Callable[[str], int]]:
    """Return functions that count tokens, for the text encoder and for CLIP, the paper's.

    Args:
        name: The name of the text encoder.
        encoder: The text encoder; None counts for CLIP alone.
    """
    from poseglot.descriptions.checks import CLIP_MAX_TOKENS, min_clip_tokens
    from poseglot.descriptions.review import TokenLimit

    def by(tokenizer: Any) -> Callable[[str], int]:
        return lambda text: len(tokenizer(text)["input_ids"])

    counters: dict[TokenLimit, Callable[[str], int]] = {}
    if encoder is not None:
        counters[TokenLimit(name, encoder.max_tokens, True)] = by(encoder.tokenizer)
        if encoder.max_tokens == CLIP_MAX_TOKENS:
            return counters
    clip = _clip_tokenizer()
    counters[TokenLimit("clip", CLIP_MAX_TOKENS, clip is not None)] = min_clip_tokens if clip is None else by(clip)
    return counters


def _clip_tokenizer() -> Any:
    """Return CLIP's tokenizer if it is on this machine, or None; nothing is downloaded to count tokens."""
    try:
        from transformers import AutoTokenizer

        from poseglot.models.text.load import HUB_NAMES

        return AutoTokenizer.from_pretrained(HUB_NAMES["clip-b32"], local_files_only=True)
    except (ImportError, OSError, ValueError):
        return None
